//! What the hook has to know of x86-64; the rest of this crate gets at it as
//! `crate::arch`.

mod calls;
mod clock;
mod frames;
mod linker;
mod registers;
#[cfg(not(test))]
mod stubs;
mod system_call;
mod thread;

pub(crate) use calls::is_call;
pub(crate) use clock::ticks;
pub(crate) use frames::{
    CHAINED_RETURN_ADDRESS, ENTRY_BYTES, RETURN_ADDRESS_AT_END, RETURN_ADDRESS_LEN, SIGNAL_FP,
    SIGNAL_IP, SIGNAL_SP,
};
pub(crate) use linker::{debug, own_dynamic, own_image};
pub(crate) use registers::{FP, FP_PLUS, MAX_REGISTERS, RA, SP, key_rights};
#[cfg(not(test))]
pub(crate) use stubs::{stub, stub_unless};
pub(crate) use system_call::{AUDIT_ARCH, system_call};
pub(crate) use thread::{VARIABLE_LEN, variable};
