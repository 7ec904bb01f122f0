//! Rust as it is written: trait methods, generics, closures, named threads.
//!
//! ```text
//! thread alpha: rustdemo::spin_shapes > rustdemo::total::<…closure…> > …closure… (inlined)
//!     > <rustdemo::Circle as rustdemo::Shape>::area   75 %
//!     > <rustdemo::Square as rustdemo::Shape>::area   25 %
//! thread beta: rustdemo::sum_words > rustdemo::fold::<…> > …closure… (inlined) > rustdemo::hash_word
//! ```
//!
//! The threads have half of the CPU time each; main waits.
//!
//! rustdemo [SECONDS]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Burns about 8 microseconds per unit in the caller's own frame.
#[inline(always)]
fn work(units: u64) {
    let mut x = 1_u64;
    for _ in 0..units * 7_500 {
        x = black_box(x).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
}

trait Shape {
    fn area(&self) -> f64;
}

struct Circle;
struct Square;

impl Shape for Circle {
    #[inline(never)]
    fn area(&self) -> f64 {
        work(3);
        3.14
    }
}

impl Shape for Square {
    #[inline(never)]
    fn area(&self) -> f64 {
        work(1);
        1.0
    }
}

#[inline(never)]
fn total<F: Fn(&dyn Shape) -> f64>(shapes: &[Box<dyn Shape>], measure: F) -> f64 {
    let mut sum = 0.0;
    for shape in shapes {
        sum += measure(black_box(shape.as_ref()));
    }
    sum
}

#[inline(never)]
fn spin_shapes(more: &dyn Fn() -> bool) {
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Circle), Box::new(Square)];
    while more() {
        black_box(total(&shapes, |shape| black_box(shape.area()) * 2.0));
    }
}

#[inline(never)]
fn hash_word(word: &str) -> u64 {
    work(1);
    word.len() as u64
}

#[inline(never)]
fn fold<T: Copy, A>(items: &[T], start: A, step: impl Fn(A, T) -> A) -> A {
    let mut value = start;
    for &item in items {
        value = step(value, item);
    }
    black_box(value)
}

#[inline(never)]
fn sum_words(more: &dyn Fn() -> bool) {
    let words = ["record", "convert", "report"];
    while more() {
        black_box(fold(&words, 0, |sum: u64, word| sum + black_box(hash_word(word))));
    }
}

/// Runs `body` in a thread called `name`, given whether it is to go on.
fn start(
    name: &str,
    end: Option<Instant>,
    body: fn(&dyn Fn() -> bool),
) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || body(&|| end.is_none_or(|end| Instant::now() < end)))
        .expect("a thread can be started")
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(0.0, |s| s.parse().expect("SECONDS"));
    let end = (seconds > 0.0).then(|| Instant::now() + Duration::from_secs_f64(seconds));
    let threads = [start("alpha", end, spin_shapes), start("beta", end, sum_words)];
    println!("ready");
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}
