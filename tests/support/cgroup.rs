//! A control group for the length of a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group of its own in the hierarchy that has a controller, gone when
/// this is dropped: its processes must have ended by then. Needs root.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    is_unified: bool,
}

/// How many there were before.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Cgroup {
    /// Makes one with `controller`, such as `cpu`.
    pub fn new(controller: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let is_unified = root.join("cgroup.controllers").exists();
        let parent = if is_unified { root.to_owned() } else { root.join(controller) };
        if is_unified {
            write(&root.join("cgroup.subtree_control"), &format!("+{controller}"));
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("rz-test-{}-{number}", process::id()));
        fs::create_dir(&path)
            .unwrap_or_else(|e| panic!("{}: {e}: run this test as root", path.display()));
        Cgroup { path, is_unified }
    }

    /// Lets its processes have so many percent of one CPU, in all.
    pub fn set_cpu_quota(&self, percent: u32) {
        let quota = percent * 1000;
        match self.is_unified {
            true => write(&self.path.join("cpu.max"), &format!("{quota} 100000")),
            false => {
                write(&self.path.join("cpu.cfs_period_us"), "100000");
                write(&self.path.join("cpu.cfs_quota_us"), &quota.to_string());
            }
        }
    }

    /// Lets its processes have so much memory, in all.
    pub fn set_memory(&self, bytes: u64) {
        let name = if self.is_unified { "memory.max" } else { "memory.limit_in_bytes" };
        write(&self.path.join(name), &bytes.to_string());
    }

    /// A command that starts a program in it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]);
        command.arg(self.path.join("cgroup.procs")).arg(program);
        command
    }

    /// For how long the kernel says that queues have been throttled, in
    /// nanoseconds, added up over CPUs.
    pub fn throttled_ns(&self) -> u64 {
        let stat = fs::read_to_string(self.path.join("cpu.stat")).expect("cpu.stat");
        let (name, unit) =
            if self.is_unified { ("throttled_usec ", 1000) } else { ("throttled_time ", 1) };
        let number = stat.lines().find_map(|line| line.strip_prefix(name)).expect("its time");
        number.parse::<u64>().expect("a number") * unit
    }

    /// Puts a process into it.
    pub fn add(&self, pid: u32) {
        write(&self.path.join("cgroup.procs"), &pid.to_string());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

#[track_caller]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
