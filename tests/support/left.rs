//! What recordings leave behind: nothing.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::locate::program_path;
use crate::recorder::wait_until;
use crate::run::run;

/// How long the kernel takes at most to let go of what a recorder had; a third of it is usual.
const LETS_GO: Duration = Duration::from_secs(1);

/// What `left` counts: bpf programs, maps and links of the kernel, and code of a process
/// that is not as in its files.
pub fn left(pid: &str) -> String {
    run(Command::new(program_path("left")).arg(pid)).success().stdout
}

/// The same, once the kernel has let go of what recorders before had.
pub fn left_before(pid: &str) -> String {
    let mut before = left(pid);
    wait_until("the kernel to let go of what others had", || {
        thread::sleep(LETS_GO);
        let now = left(pid);
        std::mem::replace(&mut before, now.clone()) == now
    });
    before
}
