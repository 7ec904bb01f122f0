//! What can be recorded here, and what to change where something cannot.

use rz_format::CallDetail;

use crate::bpf;
use crate::config::{AllocationOptions, CallOptions};
use crate::perf;

/// Something that `rec` can record, on the right machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// What it is.
    pub what: &'static str,
    /// How it is done here, or why it cannot be done and what to change.
    pub verdict: Result<String, String>,
}

/// Tries everything out, on this process itself. Nothing is recorded.
pub fn check() -> Vec<Ability> {
    let own = std::process::id();
    let samples = bpf::Options {
        pids: vec![own],
        all: false,
        frequency_hz: 99,
        kernel: true,
        follow: false,
        stack_bytes: 32 << 10,
        start_on_exec: false,
        waits: false,
        calls: None,
        allocations: None,
        stack_threshold_ns: 1_000_000,
    };
    let calls = Some(CallOptions { detail: CallDetail::Calls, ..CallOptions::default() });
    let allocations = Some(AllocationOptions { interval: 512 << 10, limit_percent: 5 });
    let by_bpf = |what, options: &bpf::Options, how: &str| {
        let attached = bpf::attach(options);
        let verdict = match attached {
            Ok(attached) if how.is_empty() => Ok(format!("bpf tier, by {}", attached.event.name)),
            Ok(_) => Ok(how.to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Ability { what, verdict }
    };
    vec![
        own_processes(own),
        by_bpf("any process, and its new threads", &samples, ""),
        by_bpf("all processes (-a)", &bpf::Options { all: true, ..samples.clone() }, "bpf tier"),
        by_bpf(
            "off-CPU times (--off-cpu)",
            &bpf::Options { waits: true, ..samples.clone() },
            "with stacks of user and kernel",
        ),
        by_bpf(
            "system calls (--syscalls)",
            &bpf::Options { calls, ..samples.clone() },
            "while it lasts, all threads of the machine take the traced path into the kernel",
        ),
        by_bpf(
            "allocations of running processes (-p PID --alloc)",
            &bpf::Options { allocations, ..samples },
            "while it lasts, each allocation and each free takes about 0.7 us longer",
        ),
    ]
}

/// What the perf tier can do, which needs the least.
fn own_processes(pid: u32) -> Ability {
    let targets = perf::Targets {
        pids: vec![pid],
        frequency_hz: 99,
        kernel: true,
        follow: false,
        stack_bytes: 32 << 10,
        start_on_exec: false,
    };
    let verdict = match perf::attach(&targets) {
        Ok(attached) => Ok(format!(
            "perf tier, by {}, {}",
            attached.event.name,
            match attached.kernel {
                true => "with kernel stacks",
                false =>
                    "without kernel stacks: these need root, CAP_PERFMON or \
                     `sysctl kernel.perf_event_paranoid=1`",
            }
        )),
        Err(error) => Err(error.to_string()),
    };
    Ability { what: "one's own processes", verdict }
}
