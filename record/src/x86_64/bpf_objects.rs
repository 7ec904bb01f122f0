//! The programs for the kernel, compiled from `record/bpf`.

/// The programs.
pub(crate) static CURRENT: &[u8] = include_bytes!("../../bpf/x86_64/rz.bpf.o");
/// Those for kernels before Linux 5.18.
pub(crate) static OLD: &[u8] = include_bytes!("../../bpf/x86_64/rz-old.bpf.o");
/// That which names addresses, from `names.bpf.c`.
pub(crate) static NAMES: &[u8] = include_bytes!("../../bpf/x86_64/names.bpf.o");
