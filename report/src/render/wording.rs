//! What reports call the things that each kind of event counts.

use rz_profile::heap::Metric;
use rz_profile::model::{Event, EventKind, Unit};

/// The words for one kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// What a weight is, as in `3.2 s of CPU`.
    pub spent: &'static str,
    /// The same in two words, as a title.
    pub time: &'static str,
    /// What a flame graph is called, as in `CPU flame graph`.
    pub graph: &'static str,
    /// What widths of a flame graph are.
    pub width: &'static str,
    /// Why there may be no samples.
    pub none: &'static str,
}

/// The words for an event; without one, those for the CPU's.
pub fn wording(event: Option<&Event>) -> Wording {
    match event.map_or(EventKind::Cpu, |event| event.kind) {
        EventKind::OffCpu => Wording {
            spent: "off the CPU",
            time: "off CPU",
            graph: "Off-CPU",
            width: "µs off the CPU",
            none: "no wait of the target was recorded",
        },
        EventKind::Syscalls => Wording {
            spent: "in system calls",
            time: "in calls",
            graph: "System call",
            width: "µs in system calls",
            none: "no system call was recorded with a stack",
        },
        EventKind::Functions => Wording {
            spent: "in functions",
            time: "in calls",
            graph: "Function call",
            width: "µs in functions",
            none: "no call of a function was recorded with a stack",
        },
        EventKind::Wall => Wording {
            spent: "on and off the CPU",
            time: "wall time",
            graph: "Wall-clock",
            width: "µs on and off the CPU",
            none: "none was taken of the target, and no wait was recorded",
        },
        EventKind::Growth => Wording {
            spent: "of memory made resident",
            time: "memory",
            graph: "Memory growth",
            width: "bytes made resident",
            none: "no memory of the target was made resident while it was recorded",
        },
        EventKind::Other => Wording {
            spent: match event.map(|event| event.unit) {
                Some(Unit::Bytes) => "of memory",
                _ => "of time",
            },
            time: "measured",
            graph: "Imported",
            width: "of what was measured",
            none: "the imported file has none",
        },
        EventKind::Alloc => of_metric(event.and_then(|event| event.metric).unwrap_or_default()),
        EventKind::Cpu => Wording {
            spent: "of CPU",
            time: "CPU time",
            graph: "CPU",
            width: "µs of CPU time",
            none: "none was taken of the target while it was recorded",
        },
    }
}

fn of_metric(metric: Metric) -> Wording {
    let (spent, time, graph) = match metric {
        Metric::Bytes => ("allocated", "bytes", "Bytes allocated"),
        Metric::Count => ("allocations", "allocations", "Allocations"),
        Metric::Live => ("never freed", "bytes", "Bytes never freed"),
        Metric::LiveCount => ("objects never freed", "objects", "Objects never freed"),
        Metric::Peak => ("at the peak", "bytes", "Bytes at the peak"),
        Metric::Temporary => ("temporary allocations", "allocations", "Temporary allocations"),
    };
    let none = match metric {
        Metric::Bytes | Metric::Count => "no allocation of the target was recorded",
        Metric::Live | Metric::LiveCount => "no object was there at the end",
        Metric::Peak => "no object was there at any time",
        Metric::Temporary => "no allocation was temporary",
    };
    Wording { spent, time, graph, width: metric.description(), none }
}
