//! Code of the functions that programs call: it passes on where the call comes
//! from.

/// The body of a naked function of so many arguments, which jumps to `$function`
/// with two more: the stack pointer, where the return address is, and the frame
/// pointer.
macro_rules! stub {
    (1, $function:path) => {
        $crate::arch::stub!("mov rsi, rsp", "mov rdx, rbp", $function)
    };
    (2, $function:path) => {
        $crate::arch::stub!("mov rdx, rsp", "mov rcx, rbp", $function)
    };
    (3, $function:path) => {
        $crate::arch::stub!("mov rcx, rsp", "mov r8, rbp", $function)
    };
    ($sp:literal, $fp:literal, $function:path) => {
        core::arch::naked_asm!($sp, $fp, "jmp {}", sym $function)
    };
}
pub(crate) use stub;

/// The body of a naked function that jumps to the one whose address is in `$real`, with
/// all that it was given, unless its first argument is one of these numbers: then to
/// `$other`. No frame is made, as the call may return twice, on another stack.
macro_rules! stub_unless {
    ([$one:expr, $two:expr, $three:expr, $four:expr], $other:path, $real:path) => {
        core::arch::naked_asm!(
            "cmp rdi, {one}",
            "je 2f",
            "cmp rdi, {two}",
            "je 2f",
            "cmp rdi, {three}",
            "je 2f",
            "cmp rdi, {four}",
            "je 2f",
            "jmp qword ptr [rip + {real}]",
            "2:",
            "jmp {other}",
            one = const $one,
            two = const $two,
            three = const $three,
            four = const $four,
            real = sym $real,
            other = sym $other,
        )
    };
}
pub(crate) use stub_unless;
