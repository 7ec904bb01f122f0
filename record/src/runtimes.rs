//! Which runtimes a process has, and how good the frames of their functions will be.

use std::io;

use rustc_hash::FxHashSet;

use crate::python;
use crate::tracker::procfs::{MapEntry, executable_maps};
use crate::tracker::{RuntimesOfFile, open_mapped, read_memory};
use crate::v8;

/// A runtime in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundRuntime {
    /// Its name for programs, which stays the same.
    pub(crate) id: &'static str,
    /// Its name and version, as far as it says that, and the file that it is in.
    pub(crate) name: String,
    /// How good its frames are, or why there are none.
    pub(crate) frames: Result<&'static str, String>,
}

const PYTHON: &str = "exact in the bpf tier, where they are taken down at the very moment; in the \
                      perf tier there are native ones only";
const V8: &str = "in both tiers, exact where their code proves which function it is, and else \
                  marked as approximate";
const HOTSPOT: &str = "in both tiers: compiled, inlined and interpreted methods, by the tables \
                       of the virtual machine";

/// Looks for them in the files of a process. `python_is_followed` says whether the bpf
/// tier takes down frames of CPython here.
pub(crate) fn runtimes_of(
    pid: u32,
    python_is_followed: &Result<bool, String>,
) -> io::Result<Vec<FoundRuntime>> {
    let mut seen = FxHashSet::default();
    let maps = executable_maps(pid)?;
    let files = maps.iter().filter(|entry| entry.is_file());
    let files = files.filter(|entry| seen.insert((entry.device, entry.inode)));
    let mut all = Vec::new();
    for entry in files {
        let Ok(file) = open_mapped(entry, pid) else { continue };
        let RuntimesOfFile { python, v8, hotspot } = RuntimesOfFile::find(&file, &entry.path);
        let can_read = can_read(pid, entry);
        if let Some(python) = python {
            all.push(of_python(&python, &entry.path, python_is_followed, can_read));
        }
        if let Some(v8) = v8 {
            all.push(of_v8(&v8, &entry.path, can_read));
        }
        if hotspot.is_some() {
            let name = format!("HotSpot in {}", entry.path);
            let frames = can_read.map(|()| HOTSPOT).map_err(str::to_owned);
            all.push(FoundRuntime { id: "hotspot", name, frames });
        }
    }
    Ok(all)
}

/// Whether names can be read from the process, as its code can.
fn can_read(pid: u32, entry: &MapEntry) -> Result<(), &'static str> {
    match read_memory(pid, entry.start, &mut [0; 8]) {
        8 => Ok(()),
        _ => Err("its memory cannot be read, and so no names: this takes the same user, and no \
                  more rights than ours, or CAP_SYS_PTRACE"),
    }
}

fn of_python(
    found: &python::Found,
    path: &str,
    is_followed: &Result<bool, String>,
    can_read: Result<(), &'static str>,
) -> FoundRuntime {
    let (version, is_known) = match found {
        python::Found::Known(build) => (Some(build.version), true),
        python::Found::Unknown(version) => (*version, false),
    };
    let name = match version {
        Some(version) => format!("CPython {version} in {path}"),
        None => format!("CPython in {path}"),
    };
    let frames = match (is_known, is_followed) {
        (false, _) => Err("native frames only: those of this version are not known".to_owned()),
        (true, Err(why)) => Err(format!("native frames only, as there is no bpf tier: {why}")),
        (true, Ok(false)) => Err("native frames only: this kernel is too old".to_owned()),
        (true, Ok(true)) => can_read.map(|()| PYTHON).map_err(str::to_owned),
    };
    FoundRuntime { id: "python", name, frames }
}

fn of_v8(found: &v8::Found, path: &str, can_read: Result<(), &'static str>) -> FoundRuntime {
    let frames = match found {
        v8::Found::Known(_) => can_read.map(|()| V8).map_err(str::to_owned),
        v8::Found::Unknown(what) => {
            Err(format!("native frames only: {what} is missing in it, or new"))
        }
    };
    FoundRuntime { id: "v8", name: format!("V8 in {path}"), frames }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Version;

    #[test]
    fn what_is_said_of_python() {
        let check = |version, is_followed: Result<bool, &str>, expected: &str| {
            let found = python::Found::Unknown(version);
            let is_followed = is_followed.map_err(str::to_owned);
            let found = of_python(&found, "/py", &is_followed, Ok(()));
            let frames = found.frames.map_or_else(|why| why, str::to_owned);
            assert_eq!(format!("{}: {frames}", found.name), expected);
        };
        let unknown = "native frames only: those of this version are not known";
        let new = Some(Version { major: 3, minor: 15 });
        check(new, Ok(true), &format!("CPython 3.15 in /py: {unknown}"));
        check(None, Err("no rights"), &format!("CPython in /py: {unknown}"));
    }
}
