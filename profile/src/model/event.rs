//! What samples are of.

use super::heap::Metric;

/// What an [`Event`] is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Running on a CPU.
    #[default]
    Cpu,
    /// Not running: [`OFF_CPU`].
    OffCpu,
    /// Being in a system call, running or not: [`SYSCALLS`].
    Syscalls,
    /// Being in a function whose calls were recorded, running or not: [`FUNCTIONS`].
    Functions,
    /// Running or not: [`WALL`].
    Wall,
    /// Allocating on the heap: [`ALLOC`].
    Alloc,
    /// Making more memory resident, which counts bytes.
    Growth,
    /// What another tool measured, which the event's name says: never CPU time.
    Other,
}

/// What stands for the CPU's event, whatever its name is.
pub const CPU: &str = "cpu";
/// Name of the event whose samples are intervals off the CPU.
pub const OFF_CPU: &str = "off-cpu";
/// Name of the event whose samples are system calls.
pub const SYSCALLS: &str = "syscalls";
/// Name of the event whose samples are calls of functions.
pub const FUNCTIONS: &str = "functions";
/// Name of the event made of the CPU's and [`OFF_CPU`].
pub const WALL: &str = "wall";
/// Name of the event whose samples are allocations. Its numbers are those of
/// [`Profile::heap`](super::Profile::heap), rounded; see [`crate::model::heap::show`].
pub const ALLOC: &str = "alloc";

impl EventKind {
    /// What the kind is called in files for programs.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Cpu => CPU,
            EventKind::OffCpu => OFF_CPU,
            EventKind::Syscalls => SYSCALLS,
            EventKind::Functions => FUNCTIONS,
            EventKind::Wall => WALL,
            EventKind::Alloc => ALLOC,
            EventKind::Growth => "growth",
            EventKind::Other => "other",
        }
    }

    /// The kind of the event that people call so; `None` if only the trace
    /// tells, because it is the event's own name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            CPU => Some(EventKind::Cpu),
            OFF_CPU => Some(EventKind::OffCpu),
            SYSCALLS => Some(EventKind::Syscalls),
            FUNCTIONS => Some(EventKind::Functions),
            WALL => Some(EventKind::Wall),
            ALLOC => Some(EventKind::Alloc),
            _ => None,
        }
    }
}

/// A kind of thing that was sampled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// The event's name, such as `cpu-clock` or `cycles`.
    pub name: String,
    /// What a weight counts.
    pub unit: Unit,
    /// Samples per second that were asked for.
    pub frequency_hz: u32,
    /// Of allocations, the metric that was chosen for their samples to show;
    /// without one they show [`Metric::default`].
    pub metric: Option<Metric>,
}

impl Event {
    /// What it counts, for people: its name, or the metric that was chosen.
    pub fn title(&self) -> &str {
        self.metric.map_or(&self.name, |metric| metric.description())
    }
}

/// What a weight counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nanoseconds of time.
    #[default]
    Nanoseconds,
    /// CPU cycles.
    Cycles,
    /// Bytes of memory.
    Bytes,
    /// Objects.
    Count,
}
