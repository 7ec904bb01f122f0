//! What stands in for what a kernel lacks.
//!
//! | what | from | before |
//! |---|---|---|
//! | task storage, loops, exchange and more | 5.18 | another object, with hash maps by thread |
//! | a tracepoint in the thread that goes on | 6.15 | a kprobe in the scheduler |
//! | sessions of uprobes | 6.13 | a uprobe and a uretprobe |
//! | types, which the kernel describes | 5.10 | the other object with types from a file |
//! | stacks of other threads read by programs | 5.18 | read by the recorder |
//!
//! The other way round, programs of system calls are never preempted before
//! Linux 6.19, and so never skipped; from then on there are two of each.
//!
//! Kernels of distributions have what others lack, and lack what others have:
//! the version only says what is tried first.

use super::programs::Kind;
use crate::host::release;

/// Names ways of older kernels to take on this one, for tests and measurements:
/// `old`, `kprobe`, `pairs`, separated by commas.
const FORCED: &str = "RZ_WAYS";

/// How each thing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ways {
    pub(super) object: ObjectFile,
    pub(super) resume: Resume,
    pub(super) allocators: Allocators,
    pub(super) last_waits: LastWaits,
    /// Whether requests to io_urings are counted, which not every kernel has.
    pub(super) counts_io_uring: bool,
    /// Whether programs of system calls are doubled, as the kernel may skip one.
    pub(super) doubles_calls: bool,
    /// Whether programs look at all threads in the beginning and in the end,
    /// which takes a kernel that describes its types.
    pub(super) looks: bool,
}

/// Which programs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFile {
    Current,
    Old,
}

/// How a thread that goes on is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    Tracepoint,
    Kprobe,
}

/// How functions of allocators are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allocators {
    Sessions,
    Pairs,
}

/// How stacks are read of threads that wait in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWaits {
    InKernel,
    ByRecorder,
}

impl Ways {
    /// What this kernel should have by its version.
    pub(super) fn of_this_kernel() -> Self {
        // Of what calls itself something else, the best is tried first.
        let ways = Ways::of_version(version().unwrap_or((u32::MAX, 0)));
        match std::env::var(FORCED) {
            Ok(forced) => forced.split(',').fold(ways, Ways::forced),
            Err(_) => ways,
        }
    }

    /// With one of them replaced by what older kernels do.
    fn forced(self, way: &str) -> Self {
        match way {
            "old" => Ways { resume: self.resume, ..Ways::old() },
            "kprobe" => Ways { resume: Resume::Kprobe, ..self },
            "pairs" => Ways { allocators: Allocators::Pairs, ..self },
            _ => self,
        }
    }

    fn of_version(version: (u32, u32)) -> Self {
        let since = |first| version >= first;
        let ways = Ways {
            object: ObjectFile::Current,
            resume: if since((6, 15)) { Resume::Tracepoint } else { Resume::Kprobe },
            allocators: if since((6, 13)) { Allocators::Sessions } else { Allocators::Pairs },
            last_waits: LastWaits::InKernel,
            counts_io_uring: true,
            doubles_calls: since((6, 19)),
            looks: true,
        };
        if since((5, 18)) { ways } else { Ways::old() }
    }

    fn old() -> Self {
        Ways {
            object: ObjectFile::Old,
            resume: Resume::Kprobe,
            allocators: Allocators::Pairs,
            last_waits: LastWaits::ByRecorder,
            counts_io_uring: true,
            doubles_calls: false,
            looks: true,
        }
    }

    /// What a kernel can do whose types are described by a file.
    pub(super) fn without_types() -> Self {
        let Ways { resume, .. } = Ways::of_this_kernel();
        Ways { looks: false, resume, ..Ways::old() }
    }

    /// Chooses what comes next where `program` was refused, or what is made for
    /// all programs of an event kind. Returns whether there is something.
    pub(super) fn fall_back(&mut self, kind: Kind, program: Option<&str>) -> bool {
        let before = self.clone();
        match (kind, program) {
            (_, Some("on_resume")) => self.resume = Resume::Kprobe,
            (_, Some("on_allocator")) => self.allocators = Allocators::Pairs,
            (_, Some("find_still_waiting")) => self.last_waits = LastWaits::ByRecorder,
            (_, Some("on_io_uring_request")) => self.counts_io_uring = false,
            (Kind::Samples, _) => {
                *self = Ways { looks: self.looks, resume: self.resume, ..Ways::old() };
            }
            (
                Kind::Waits | Kind::Calls | Kind::CallData | Kind::Functions | Kind::Allocations,
                _,
            ) => {}
        }
        *self != before
    }

    /// By what an event kind is recorded, if there are several ways.
    pub(super) fn describe(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Samples | Kind::Calls | Kind::CallData | Kind::Functions => None,
            Kind::Waits => Some(match self.resume {
                Resume::Tracepoint => "tracepoint sched_exit_tp",
                Resume::Kprobe => "kprobe on finish_task_switch",
            }),
            Kind::Allocations => Some(match self.allocators {
                Allocators::Sessions => "uprobe sessions",
                Allocators::Pairs => "uprobes and uretprobes",
            }),
        }
    }
}

/// The kernel's version.
pub(super) fn version() -> Option<(u32, u32)> {
    parse_version(&release())
}

fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions() {
        let check = |release, expected| assert_eq!(parse_version(release), expected, "{release}");
        check("6.18.44-fc-v782", Some((6, 18)));
        check("5.10.0-36-cloud-amd64", Some((5, 10)));
        check("5.14.0-427.el9.x86_64", Some((5, 14)));
        check("7.2+deb14-cloud-amd64", Some((7, 2)));
        check("unknown", None);
    }

    #[test]
    fn each_way_ends() {
        let mut ways = Ways::of_version((7, 0));
        assert!(ways.fall_back(Kind::Waits, Some("on_resume")));
        assert_eq!(ways.resume, Resume::Kprobe);
        assert!(!ways.fall_back(Kind::Waits, Some("on_resume")));
        assert!(!ways.fall_back(Kind::Waits, Some("on_resume_probed")));
        assert!(ways.fall_back(Kind::Allocations, Some("on_allocator")));
        assert!(ways.fall_back(Kind::Samples, None));
        assert_eq!(ways, Ways::of_version((5, 10)));
        assert!(!ways.fall_back(Kind::Samples, Some("on_tick")));
    }
}
