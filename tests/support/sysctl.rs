//! Changes a setting of the kernel for the length of a test.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

/// A kernel setting that has a known value until this is dropped, which puts
/// the old one back. Needs root.
///
/// Only one of these exists on the machine at a time, whichever test or test
/// binary asks for it: the others wait. A thread that asks for a second one
/// waits for ever.
#[derive(Debug)]
pub struct Sysctl {
    path: PathBuf,
    old: String,
    _lock: File,
}

impl Sysctl {
    /// Sets `name`, such as `kernel.perf_event_paranoid`.
    pub fn set(name: &str, value: &str) -> Self {
        let lock = env::temp_dir().join("rz-test-sysctl.lock");
        let lock = File::create(&lock).unwrap_or_else(|e| panic!("{}: {e}", lock.display()));
        lock.lock().expect("locks are known to every file system of Linux");
        let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        let old = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        fs::write(&path, value)
            .unwrap_or_else(|error| panic!("{name}: {error}: run this test as root"));
        Self { path, old, _lock: lock }
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        // It was written a moment ago and takes its own old value.
        fs::write(&self.path, &self.old).expect("the setting takes its old value");
    }
}
