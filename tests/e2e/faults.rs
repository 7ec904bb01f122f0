//! System calls of the recorder fail, once or from then on: it records on, or ends with a
//! line that says why; targets are as before, nothing of it is left, and what it has
//! written is a trace.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::sys::signal::Signal;
use rz_tests::{
    Output, Target, binary, conv, left, left_before, names_in, run, temp_dir, text, tool,
    wait_until,
};

/// What fails, and how.
const FAULTS: [&str; 7] = [
    "write:error=EIO",
    "write:error=ENOSPC",
    "openat:error=EMFILE",
    "openat:error=EIO",
    "mmap:error=ENOMEM",
    "ioctl:error=EIO",
    "process_vm_readv:error=EFAULT",
];
/// What Rust's own library says where there is no memory: for the program, or before it
/// begins.
const MEMORY: [&str; 2] = ["memory allocation of", "failed to allocate an alternative stack"];
/// A call of these that rec makes when it is about to begin.
const FEW: usize = 10;

/// Has each fault happen at the calls of these numbers, and from them on.
fn inject(numbers: impl Iterator<Item = usize> + Clone) {
    let target = Target::start("split", &[]);
    let before = left_before(&target.pid_text());
    for fault in FAULTS {
        for number in numbers.clone() {
            for when in [format!("{number}"), format!("{number}+")] {
                fail(&target, &before, &format!("inject={fault}:when={when}"));
            }
        }
    }
}

fn fail(target: &Target, before: &str, fault: &str) {
    let dir = temp_dir();
    let trace = dir.path().join("t.rz");
    let mut strace = Command::new(tool("strace"));
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", fault]);
    strace.arg(binary("rec")).args(["-q", "-d", "0.3", "-F", "997", "--off-cpu", "--syscalls"]);
    let output = run(strace.args(["-p", &target.pid_text(), "-o"]).arg(&trace));

    wait_until("nothing to be left of rec", || left(&target.pid_text()) == before);
    assert!(explains(&output, fault), "{fault}: {output}");
    if !trace.exists() {
        assert_eq!(names_in(dir.path()), Vec::<String>::new(), "{fault}: {output}");
        return;
    }
    assert_eq!(names_in(dir.path()), ["t.rz"], "{fault}: {output}");
    let verified = conv(&["--verify", text(&trace)]);
    assert!(matches!(verified.status.code(), Some(0 | 3)), "{fault}: {output}\n{verified}");
}

/// Whether it has recorded, or said in a line why it could not. Without memory there may
/// be no time for more than that.
fn explains(output: &Output, fault: &str) -> bool {
    let said = &output.stderr;
    let has_line = said.lines().any(|line| line.starts_with("rec: "));
    let is_out_of_memory = fault.contains("mmap")
        && (MEMORY.iter().any(|words| said.contains(words)) || output.status.code() == Some(127));
    match (output.status.code(), output.status.signal()) {
        (Some(0), _) => !said.contains("panicked"),
        // What it says is written, too.
        (Some(1), _) if fault.starts_with("inject=write") => !said.contains("panicked"),
        (Some(1), _) => has_line && !said.contains("panicked"),
        (_, Some(signal)) => is_out_of_memory && signal == Signal::SIGABRT as i32,
        _ => is_out_of_memory,
    }
}

#[test]
fn system_calls_fail_here_and_there() {
    inject([FEW].into_iter());
}

#[test]
#[ignore = "it takes long, for tests/run.sh --all"]
fn each_system_call_fails() {
    inject(1..40);
}
