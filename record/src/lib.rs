//! Records live processes into rz traces.
//!
//! [`record`] does it all: it attaches to processes, or starts a program,
//! without stopping anything, and writes what it sees to a file until there is
//! a reason to end. Nothing here resolves a name: that is for another machine.
//! The exceptions are names that cannot be had later: the kernel's, the vDSO's and
//! those of code that interpreters run.
#![deny(unsafe_code)]

mod alloc;
mod allocator;
mod bpf;
mod capture;
mod check;
mod chunk;
mod code_objects;
mod code_parts;
mod config;
mod confinement;
mod cost;
mod cursor;
mod descriptors;
mod error;
mod event;
mod exports;
mod files;
mod function_spec;
mod functions;
mod header;
mod host;
mod hotspot;
mod kernel_names;
mod launch;
mod learned;
mod libbpf_log;
mod limits;
mod output;
mod perf;
mod program;
mod python;
mod queue;
mod resolve;
mod ring;
mod runtimes;
mod series;
mod session;
mod shared;
mod signals;
mod static_probes;
mod store;
mod tail;
mod ticks;
mod tier;
mod tracker;
mod triggers;
mod v8;
mod whom;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64 as arch;
#[cfg(not(target_arch = "x86_64"))]
compile_error!("rec runs on x86-64 only: another processor takes a folder like src/x86_64");

pub use alloc::{HookError, Unfit};
pub use bpf::BpfError;
pub use check::{Ability, CONFINED, be_looked_at, check};
pub use config::{
    AllocationOptions, CallOptions, CallStacks, Config, FactOptions, Keep, Limits, MAX_DATA_BYTES,
    MAX_STACK_BYTES, Progress, Rotation, Summary, Target, TierChoice, Trigger,
};
pub use error::RecordError;
pub use function_spec::FunctionSpec;
pub use functions::FunctionError;
pub use host::release;
pub use output::OutputError;
pub use perf::AttachError;
pub use rz_format::{CallDetail, EndReason};
pub use session::{default_output, record};
pub use static_probes::{Place, StaticProbe, static_probes};
