//! The programs in the kernel: which there are, and how they are loaded.
//!
//! All that are called for are loaded together. Where the kernel refuses one,
//! what stands in for it is tried, and if nothing does, the event kind that it
//! is for is left out.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use libbpf_rs::{Link, MapCore, MapHandle, Object, ObjectBuilder, OpenObject, Program, ProgramMut};

use super::error::{BpfError, refused};
use super::layout::Settings;
use super::ways::{Allocators, LastWaits, ObjectFile, Resume, Ways};
use crate::arch::bpf_objects;
use crate::descriptors;
use crate::libbpf_log::{listen, take_said};

/// Allocations or calls that may be put together at the same time on a CPU.
const ROOMS_PER_CPU: u32 = 4;
/// Processes that execute a program at the same time and whose words are kept.
const MAX_EXECUTING: u32 = 256;
/// Calls of functions under way whose texts are kept.
const MAX_TEXTS: u32 = 1 << 13;
/// Threads that are known at the same time, where room for them is made before.
const MAX_THREADS: u32 = 1 << 15;
/// Of those that execute a program, which is all that samples want to know.
const FEW_THREADS: u32 = 1 << 10;
/// Rows of sums, likewise.
const MAX_TOTALS_BEFORE: u32 = 1 << 16;
/// `BPF_F_NO_PREALLOC`.
const NO_PREALLOC: u32 = 1;
/// What libbpf opens at a time besides programs and maps.
const SPARE_DESCRIPTORS: usize = 10;
/// Programs for the beginnings of functions, where each probe needs its own.
pub(super) const MAX_PROBES: u32 = 24;

/// What programs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Samples,
    Waits,
    Calls,
    /// What system calls read and write.
    CallData,
    /// Calls of functions.
    Functions,
    Allocations,
}

impl Kind {
    /// As it is called in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Samples => "samples",
            Kind::Waits => "off-CPU times",
            Kind::Calls => "system calls",
            Kind::CallData => "data of system calls",
            Kind::Functions => "calls of functions",
            Kind::Allocations => "allocations",
        }
    }
}

/// Where programs and maps come from, and how large the latter are.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// What is to be recorded; samples always are.
    pub(super) kinds: Vec<Kind>,
    pub(super) ways: Ways,
    pub(super) settings: Settings,
    pub(super) sizes: Sizes,
    /// Different probes at beginnings of functions.
    pub(super) probes: u32,
    /// What the kernel's types are, where it does not say itself.
    pub(super) types: Option<PathBuf>,
}

/// Sizes of the maps.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub(super) cpus: u32,
    /// Buffers in bytes, powers of two of pages.
    pub(super) samples: u32,
    pub(super) waits: u32,
    pub(super) calls: u32,
    pub(super) allocations: u32,
    /// Rows of sums.
    pub(super) totals: u32,
    /// Sampled objects.
    pub(super) objects: u32,
}

/// Programs that the kernel has taken in.
pub(super) struct Loaded {
    object: Object,
}

/// Why programs could not be loaded.
#[derive(Debug)]
pub(super) struct LoadError {
    /// The program that the kernel refuses, if it is one.
    pub(super) program: Option<String>,
    /// What it is for.
    pub(super) kind: Kind,
    /// What the kernel says.
    pub(super) cause: String,
}

impl Plan {
    /// How what is recorded is recorded, where there are several ways.
    pub(super) fn describe(&self) -> String {
        let of_kinds = self.kinds.iter().filter_map(|kind| self.ways.describe(*kind));
        let old = (self.ways.object == ObjectFile::Old).then_some("programs for old kernels");
        of_kinds.chain(old).collect::<Vec<_>>().join(" and ")
    }

    /// The programs that it calls for, with what they are for.
    fn programs(&self) -> Vec<(String, Kind)> {
        let mut names: Vec<(&str, Kind)> = ["on_tick", "on_fork", "on_exec", "on_exit"]
            .iter()
            .map(|name| (*name, Kind::Samples))
            .collect();
        // Not needed for samples; if it is refused, so is any other like it.
        names.extend(self.kinds.first().map(|kind| ("find_threads", *kind)));
        let mut probes = 0;
        for &kind in &self.kinds {
            let of_kind: &[&str] = match kind {
                Kind::Samples => &[],
                Kind::Waits => &["on_switch", "on_wakeup", "find_waiting"],
                Kind::Calls => &["on_call", "on_return", "find_calling", "find_still_calling"],
                Kind::CallData => &["on_call_data", "on_return_data"],
                Kind::Functions => &["on_function", "on_function_end"],
                Kind::Allocations => &["on_fault", "find_counts"],
            };
            names.extend(of_kind.iter().map(|name| (*name, kind)));
            match kind {
                Kind::Waits => {
                    let resume = match self.ways.resume {
                        Resume::Tracepoint => "on_resume",
                        Resume::Kprobe => "on_resume_probed",
                    };
                    let last = match self.ways.last_waits {
                        LastWaits::InKernel => "find_still_waiting",
                        LastWaits::ByRecorder => "find_still_waiting_bare",
                    };
                    names.extend([(resume, kind), (last, kind)]);
                }
                Kind::Allocations => match (self.ways.allocators, self.ways.object) {
                    (Allocators::Sessions, _) => names.push(("on_allocator", kind)),
                    (Allocators::Pairs, ObjectFile::Current) => {
                        names.extend([("on_begin_probed", kind), ("on_end_probed", kind)]);
                    }
                    (Allocators::Pairs, ObjectFile::Old) => {
                        names.push(("on_end_probed", kind));
                        probes = self.probes.min(MAX_PROBES);
                    }
                },
                Kind::Calls => {
                    if self.ways.counts_io_uring {
                        names.push(("on_io_uring_request", kind));
                    }
                    if self.ways.doubles_calls {
                        names.extend([("on_call_again", kind), ("on_return_again", kind)]);
                    }
                }
                Kind::Samples | Kind::CallData | Kind::Functions => {}
            }
        }
        names.retain(|(name, _)| self.ways.looks || !name.starts_with("find_"));
        let probes = (0..probes).map(|probe| (program_of_probe(probe), Kind::Allocations));
        names.into_iter().map(|(name, kind)| (name.to_owned(), kind)).chain(probes).collect()
    }

    /// Makes the maps, and has the kernel check the programs and take them in.
    pub(super) fn load(&self) -> Result<Loaded, LoadError> {
        let programs = self.programs();
        let failed = |error: &dyn std::fmt::Display| {
            let said = take_said();
            log::debug!("{said}");
            let program = refused_program(&said);
            let kind = program
                .as_ref()
                .and_then(|name| programs.iter().find(|(known, _)| known == name))
                .map_or(Kind::Samples, |(_, kind)| *kind);
            LoadError { program, kind, cause: cause_of(&said, &format!("{error:#}")) }
        };
        listen();
        let mut builder = ObjectBuilder::default();
        if let Some(path) = &self.types {
            builder.btf_custom_path(path).map_err(|error| failed(&error))?;
        }
        let object = match self.ways.object {
            ObjectFile::Current => bpf_objects::CURRENT,
            ObjectFile::Old => bpf_objects::OLD,
        };
        let mut object = builder.open_memory(object).map_err(|error| failed(&error))?;
        for mut program in object.progs_mut() {
            let wanted = programs.iter().any(|(name, _)| program.name() == OsStr::new(name));
            program.set_autoload(wanted);
        }
        self.set_up_maps(&mut object).map_err(|error| failed(&error))?;
        // Where it runs out of them, libbpf takes the kernel for one that can do less, and
        // fails later, of something else.
        descriptors::check(programs.len() + object.maps().count() + SPARE_DESCRIPTORS)
            .map_err(|error| failed(&std::io::Error::from(error)))?;
        let object = object.load().map_err(|error| failed(&error))?;
        log::debug!("{}", take_said());
        Ok(Loaded { object })
    }

    fn set_up_maps(&self, object: &mut OpenObject) -> libbpf_rs::Result<()> {
        let Sizes { cpus, samples, waits, calls, allocations, totals, objects } = self.sizes;
        let has = |kind| self.kinds.contains(&kind);
        let rooms = |kind| if has(kind) { cpus } else { 1 };
        let is_old = self.ways.object == ObjectFile::Old;
        let most = |entries: u32, before: u32| if is_old { entries.min(before) } else { entries };
        for mut map in object.maps_mut() {
            let Some(name) = map.name().to_str().map(str::to_owned) else { continue };
            // What is set before the programs are loaded; libbpf calls it by
            // the object and the section.
            if name.ends_with(".rodata") {
                map.set_initial_value(&self.settings.to_bytes())?;
                continue;
            }
            let entries = match name.as_str() {
                "sample_rooms" => cpus,
                "wait_rooms" => rooms(Kind::Waits),
                "call_rooms" if has(Kind::Calls) || has(Kind::Functions) => cpus * ROOMS_PER_CPU,
                "text_rooms" if has(Kind::Functions) => cpus * ROOMS_PER_CPU,
                "function_texts" if has(Kind::Functions) => MAX_TEXTS,
                "data_rooms" if has(Kind::CallData) => cpus * ROOMS_PER_CPU,
                "executing" if has(Kind::CallData) => MAX_EXECUTING,
                "fault_rooms" => rooms(Kind::Allocations),
                "allocation_rooms" if has(Kind::Allocations) => cpus * ROOMS_PER_CPU,
                "samples" => samples,
                "waits" => waits.max(4096),
                "calls" => calls.max(4096),
                "allocations" => allocations.max(4096),
                "objects" => most(objects.max(1), MAX_TOTALS_BEFORE),
                "totals" | "other_totals" => most(totals.max(1), MAX_TOTALS_BEFORE),
                "threads" if is_old && self.kinds.is_empty() => FEW_THREADS,
                "threads" if is_old => MAX_THREADS,
                _ => continue,
            };
            map.set_max_entries(entries)?;
        }
        if is_old {
            // Programs of these kernels must not allocate where the scheduler
            // or a timer runs them.
            for mut map in object.maps_mut() {
                if matches!(map.name().to_str(), Some("tracked" | "objects")) {
                    let flags = map.map_flags();
                    map.set_map_flags(flags & !NO_PREALLOC)?;
                }
            }
        }
        Ok(())
    }
}

impl Loaded {
    /// A program that has been loaded.
    pub(super) fn program(&self, name: &str) -> Result<ProgramMut<'_>, BpfError> {
        let found = self.object.progs_mut().find(|program| program.name() == OsStr::new(name));
        found.ok_or_else(|| refused(name, &"it is not in the object"))
    }

    /// What the kernel calls the programs by: the beginning of the hash of each.
    pub(super) fn program_tags(&self) -> Vec<String> {
        let programs = self.object.progs().filter(|program| program.autoload());
        programs.filter_map(|program| described(program.as_fd().as_raw_fd(), "prog_tag:")).collect()
    }

    /// Attaches a program to what its section names.
    pub(super) fn attach(&self, name: &str) -> Result<Link, BpfError> {
        self.program(name)?.attach().map_err(|error| refused(name, &error))
    }

    /// How often the kernel has not run programs of an event kind when it should
    /// have, as far as it counts that (Linux 5.12): one that is at work on a CPU
    /// is not begun there again.
    pub(super) fn skipped(&self, kind: Kind, has_second: bool) -> u64 {
        let of_kind: &[&str] = match kind {
            Kind::Samples => &["on_tick"],
            Kind::Waits => &["on_switch", "on_wakeup", "on_resume", "on_resume_probed"],
            // Where there are two of each, they notice it themselves.
            Kind::Calls if has_second => &[],
            Kind::Calls => &["on_call", "on_return"],
            // Its call is there without it.
            Kind::CallData => &[],
            Kind::Functions => &["on_function", "on_function_end"],
            Kind::Allocations => &["on_allocator", "on_begin_probed", "on_end_probed"],
        };
        let programs = self.object.progs().filter(|program| {
            program.autoload() && of_kind.iter().any(|name| program.name() == OsStr::new(name))
        });
        let misses = |program: Program<'_>| {
            described(program.as_fd().as_raw_fd(), "recursion_misses:")?.parse::<u64>().ok()
        };
        programs.filter_map(misses).sum()
    }

    /// A map, of its own from now on.
    pub(super) fn map(&self, name: &str) -> Result<MapHandle, BpfError> {
        let found = self.object.maps().find(|map| map.name() == OsStr::new(name));
        let map = found.ok_or_else(|| refused(name, &"there is no such map"))?;
        (&map).try_into().map_err(|error: libbpf_rs::Error| refused(name, &error))
    }
}

/// What the kernel says of a program's descriptor.
fn described(program: i32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{program}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
}

/// The program for the beginnings of functions that belongs to a probe.
pub(super) fn program_of_probe(probe: u32) -> String {
    format!("on_begin_{probe}")
}

/// The program that was refused, by libbpf's words.
fn refused_program(said: &str) -> Option<String> {
    said.lines().find_map(|line| {
        let rest = line.strip_prefix("libbpf: prog '")?;
        let (name, what) = rest.split_once("': ")?;
        let is_refusal = ["BPF program load failed", "failed to find kernel BTF type ID"]
            .iter()
            .any(|words| what.starts_with(words));
        is_refusal.then(|| name.to_owned())
    })
}

/// Why, in a line: the verifier's last word, but not its statistics.
fn cause_of(said: &str, error: &str) -> String {
    let missing = said.lines().find_map(|line| {
        let name =
            line.split_once("failed to find kernel BTF type ID of '")?.1.split('\'').next()?;
        Some(format!("it has no {name}"))
    });
    let log = said.split_once("-- BEGIN PROG LOAD LOG --");
    let log = log.map_or("", |(_, log)| log.split("-- END PROG LOAD LOG --").next().unwrap_or(""));
    let is_word = |line: &&str| {
        let line = line.trim();
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time")
    };
    let word = log.lines().rfind(is_word).map(|line| format!("{} ({error})", line.trim()));
    let map = said.lines().find_map(|line| {
        let (name, _) = line.strip_prefix("libbpf: map '")?.split_once("': failed to create")?;
        Some(format!("it cannot make the map {name} ({error})"))
    });
    missing.or(word).or(map).unwrap_or_else(|| error.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "libbpf: prog 'find_still_waiting': BPF program load failed: -EACCES\n\
        libbpf: prog 'find_still_waiting': -- BEGIN PROG LOAD LOG --\n\
        0: R1=ctx(off=0,imm=0) R10=fp0\n\
        12: (85) call bpf_copy_from_user_task#191\n\
        R2 unbounded memory access\n\
        processed 611 insns (limit 1000000) max_states_per_insn 4 total_states 40\n\
        -- END PROG LOAD LOG --\n\
        libbpf: prog 'find_still_waiting': failed to load: -EACCES\n";

    #[test]
    fn a_refusal_in_a_line() {
        assert_eq!(refused_program(REFUSED).as_deref(), Some("find_still_waiting"));
        assert_eq!(cause_of(REFUSED, "EACCES"), "R2 unbounded memory access (EACCES)");
        let said = "libbpf: prog 'on_resume': failed to find kernel BTF type ID of \
                    'sched_exit_tp': -ESRCH\n";
        assert_eq!(refused_program(said).as_deref(), Some("on_resume"));
        assert_eq!(cause_of(said, "ESRCH"), "it has no sched_exit_tp");
        let said = "libbpf: map 'threads': failed to create: -EINVAL\n";
        assert_eq!(refused_program(said), None);
        assert_eq!(cause_of(said, "EINVAL"), "it cannot make the map threads (EINVAL)");
        assert_eq!(cause_of("", "EPERM"), "EPERM");
    }
}
