//! What reports call the things that each kind of event counts.

use rz_convert::profile::{Event, EventKind, Unit};

/// The words for one kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// What time is, as in `3.2 s of CPU`.
    pub spent: &'static str,
    /// The same in two words, as a title.
    pub time: &'static str,
    /// What a flame graph is called, as in `CPU flame graph`.
    pub graph: &'static str,
    /// What widths of a flame graph are.
    pub width: &'static str,
    /// What 100 % of a rate is.
    pub rate: &'static str,
    /// Why there may be no samples.
    pub none: &'static str,
}

/// The words for `kind`.
pub fn wording(kind: EventKind) -> Wording {
    match kind {
        EventKind::OffCpu => Wording {
            spent: "off the CPU",
            time: "off CPU",
            graph: "Off-CPU",
            width: "µs off the CPU",
            rate: "% of one thread",
            none: "no thread of the target waited while it was recorded",
        },
        EventKind::Syscalls => Wording {
            spent: "in system calls",
            time: "in calls",
            graph: "System call",
            width: "µs in system calls",
            rate: "% of one thread",
            none: "no system call was recorded with a stack",
        },
        EventKind::Wall => Wording {
            spent: "on and off the CPU",
            time: "wall time",
            graph: "Wall-clock",
            width: "µs on and off the CPU",
            rate: "% of one thread",
            none: "no thread of the target ran or waited while it was recorded",
        },
        _ => Wording {
            spent: "of CPU",
            time: "CPU time",
            graph: "CPU",
            width: "µs of CPU time",
            rate: "% of one core",
            none: "the target did not run on a CPU while it was recorded",
        },
    }
}

/// What a rate of weight per nanosecond is multiplied by to be shown, and
/// what it is called then.
pub fn rate_scale(event: &Event) -> (f64, &'static str) {
    match event.unit {
        Unit::Nanoseconds => (100.0, wording(event.kind).rate),
        _ => (1e3, "million cycles per second"),
    }
}
