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
