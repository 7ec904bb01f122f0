//! What is recorded on each kernel, and what has to come out.

use crate::machine::Recorded;
use crate::{calls, cpu, memory, refusals, waits};

/// A recording in a virtual machine.
pub struct Scenario {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// What it shows to work.
    pub what: &'static str,
    /// How it goes.
    pub how: How,
    /// The command line of a program that runs meanwhile; empty for none.
    pub target: &'static str,
    /// Arguments of `rec`. `TARGET` is the program's process id.
    pub rec: &'static str,
    /// Panics unless what was recorded is what had to be.
    pub check: fn(&Recorded),
}

/// How a recording goes; `scenario` of `guest/functions` does it.
#[derive(Clone, Copy)]
pub enum How {
    /// `rec` ends by itself.
    Ends,
    /// The program is told to begin when `rec` has begun, and `rec` to end when
    /// the program is done.
    Told,
    /// The same, but `rec` is killed.
    Killed,
}

impl Scenario {
    /// What the virtual machine runs.
    pub fn line(&self) -> String {
        let how = match self.how {
            How::Ends => "ends",
            How::Told => "told",
            How::Killed => "killed",
        };
        format!("scenario {} {how} '{}' '{}'\n", self.name, self.target, self.rec)
    }
}

/// All of them, which have to work on every kernel.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "check",
        what: "rec --check says that everything works",
        how: How::Ends,
        target: "",
        rec: "--check --json",
        check: refusals::nothing_is_missing,
    },
    Scenario {
        name: "perf",
        what: "CPU samples, perf tier",
        how: How::Ends,
        target: "deep20",
        rec: "--tier perf -d 1 -p TARGET -o trace.rz",
        check: cpu::by_perf,
    },
    Scenario {
        name: "bpf",
        what: "CPU samples, bpf tier",
        how: How::Ends,
        target: "deep20",
        rec: "--tier bpf -d 2 -F 199 -p TARGET -o trace.rz",
        check: cpu::by_bpf,
    },
    Scenario {
        name: "python",
        what: "frames of Python, from Linux 5.18 on",
        how: How::Ends,
        target: "fakepython 0 none",
        rec: "--tier bpf -d 2 -F 199 -p TARGET -o trace.rz",
        check: cpu::of_python,
    },
    Scenario {
        name: "all",
        what: "CPU samples of all processes",
        how: How::Ends,
        target: "deep20",
        rec: "-a -d 1 -o trace.rz",
        check: cpu::of_all,
    },
    Scenario {
        name: "all-waiting",
        what: "what all threads of all processes wait for",
        how: How::Ends,
        target: "plan waits",
        rec: "-a --off-cpu --syscalls -d 1 -o trace.rz",
        check: waits::of_all,
    },
    Scenario {
        name: "follow",
        what: "CPU samples of children of a running process",
        how: How::Ends,
        target: "forker",
        rec: "--tier bpf --follow -d 3 -p TARGET -o trace.rz",
        check: cpu::of_children,
    },
    Scenario {
        name: "launch",
        what: "CPU samples of a program and its children",
        how: How::Ends,
        target: "",
        rec: "--tier bpf -o trace.rz -- forker 2",
        check: cpu::of_a_program,
    },
    Scenario {
        name: "syscalls",
        what: "system calls: counts, errors, rows, stacks",
        how: How::Told,
        target: "plan calls",
        rec: "--syscalls --syscall-data -d 30 -p TARGET -o trace.rz",
        check: calls::by_plan,
    },
    Scenario {
        name: "off-cpu",
        what: "off-CPU times: counts, causes, durations, stacks",
        how: How::Told,
        target: "plan waits",
        rec: "--off-cpu -d 30 -p TARGET -o trace.rz",
        check: waits::by_plan,
    },
    Scenario {
        name: "quota",
        what: "what a CPU quota takes is no part of what a thread waited for",
        how: How::Ends,
        target: "limited waiter 0",
        rec: "--off-cpu -d 3 -p TARGET -o trace.rz",
        check: waits::within_a_quota,
    },
    Scenario {
        name: "memory",
        what: "waits for memory have a reason of their own",
        how: How::Ends,
        target: "short_of_memory",
        rec: "--off-cpu --follow -d 2 -p TARGET -o trace.rz",
        check: waits::for_memory,
    },
    Scenario {
        name: "alloc",
        what: "allocations of a running process",
        how: How::Told,
        target: "allocs functions 20",
        rec: "--alloc=full --alloc-limit 1000 -d 30 -p TARGET -o trace.rz",
        check: memory::by_plan,
    },
    Scenario {
        name: "functions",
        what: "calls of functions, from Linux 5.18 on",
        how: How::Told,
        target: "callee",
        rec: "--call doubled(int)->int --call nested --call greeting(str,ulong,bool)->str \
              --call-limit 1000 -d 30 -p TARGET -o trace.rz",
        check: calls::of_functions,
    },
    Scenario {
        name: "alloc-follow",
        what: "allocations of its children",
        how: How::Told,
        target: "allocs child 20",
        rec: "--alloc=full --alloc-limit 1000 --follow -d 30 -p TARGET -o trace.rz",
        check: memory::of_a_child,
    },
    Scenario {
        name: "alloc-limit",
        what: "too many allocations: the guard, and page faults instead",
        how: How::Ends,
        target: "allocs hot 0",
        // The default is above what a virtual machine can allocate with probes.
        rec: "--alloc --alloc-limit 1 -d 5 -p TARGET -o trace.rz",
        check: memory::too_many,
    },
    Scenario {
        name: "alloc-launch",
        what: "allocations of a program that is started",
        how: How::Ends,
        target: "",
        rec: "--tier perf --alloc=full -o trace.rz -- heap 1",
        check: memory::of_a_program,
    },
    Scenario {
        name: "together",
        what: "everything at once",
        how: How::Told,
        target: "allocs functions 20",
        rec: "--off-cpu --syscalls --alloc=full --alloc-limit 1000 -d 30 -p TARGET -o trace.rz",
        check: memory::with_everything_else,
    },
    Scenario {
        name: "killed",
        what: "nothing is left when rec is killed",
        how: How::Killed,
        target: "allocs functions 20",
        rec: "--off-cpu --syscalls --alloc=full --alloc-limit 1000 -d 30 -p TARGET -o trace.rz",
        check: refusals::was_killed,
    },
    Scenario {
        name: "no-process",
        what: "nothing is left when there is no such process",
        how: How::Ends,
        target: "",
        rec: "--off-cpu --syscalls --alloc -p 999999 -o trace.rz",
        check: refusals::has_no_process,
    },
    Scenario {
        name: "no-folder",
        what: "nothing is left when the trace cannot be written",
        how: How::Ends,
        target: "allocs steady 10",
        rec: "--off-cpu --syscalls --alloc -d 1 -p TARGET -o /no/such/folder/trace.rz",
        check: refusals::has_no_folder,
    },
];
