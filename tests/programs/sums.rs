//! Adds up a vector, again and again: `sums-rust` built with optimization,
//! `sums-rust-debug` without.

fn main() {
    let mut numbers = vec![3_u32; 1 << 16];
    let mut sum = 0_u32;
    println!("ready");
    loop {
        for number in &numbers {
            sum = sum.wrapping_mul(31).wrapping_add(*number);
        }
        for i in 0..numbers.len() {
            numbers[i] = numbers[i].wrapping_add(sum);
        }
        std::hint::black_box(&numbers);
    }
}
