//! The tables and their columns: a promise, which docs/FLEET.md shows.
//!
//! Columns are only ever added, at the end of their table, with a new version. What a
//! column means never changes.

/// Version of all tables together.
pub const SCHEMA_VERSION: u32 = 2;

/// What a value of a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A hash of what it stands for, which many rows have in common.
    Id,
    /// A hash that one row has, or few.
    OwnId,
    /// A moment: microseconds since the epoch, UTC.
    Time,
    /// A number of which neighbours differ little, or all differ.
    Varied,
    /// A number of any size, which often comes again soon.
    Amount,
    /// A number of which few are distinct.
    Number,
    /// A number that may have been estimated.
    Real,
    /// A text in UTF-8, of which few are distinct.
    Text,
    /// A text of which many are distinct.
    Name,
    /// Yes or no.
    Flag,
    /// Several ids, in order.
    Ids,
    /// Texts by their names.
    Labels,
}

impl Type {
    /// The type as SQL calls it.
    pub fn sql(self) -> &'static str {
        match self {
            Type::Id | Type::OwnId | Type::Varied | Type::Amount | Type::Number => "BIGINT",
            Type::Time => "TIMESTAMP",
            Type::Real => "DOUBLE",
            Type::Text | Type::Name => "VARCHAR",
            Type::Flag => "BOOLEAN",
            Type::Ids => "BIGINT[]",
            Type::Labels => "MAP",
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Type,
    /// Whether a row may have none.
    pub optional: bool,
    /// What its numbers count; empty if it counts nothing.
    pub unit: &'static str,
    /// What it tells.
    pub what: &'static str,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name, which is that of its folder.
    pub name: &'static str,
    /// What a row is.
    pub what: &'static str,
    /// Columns by which the rows of a row group are sorted.
    pub sort: &'static [&'static str],
    /// All columns, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// Where a column is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

const fn of(name: &'static str, kind: Type, unit: &'static str, what: &'static str) -> Column {
    Column { name, kind, optional: false, unit, what }
}

const fn maybe(name: &'static str, kind: Type, unit: &'static str, what: &'static str) -> Column {
    Column { name, kind, optional: true, unit, what }
}

const TRACE_ID: Column = of("trace_id", Type::Id, "", "the recording, in `trace`");
const TIME: Column = of("time", Type::Time, "µs", "when, or when it began");
const TIME_NS: Column = of("time_ns", Type::Varied, "ns", "the same, since the epoch");
const THREAD_ID: Column = maybe("thread_id", Type::Id, "", "in `thread`; none if it is not known");
const PROCESS_ID: Column =
    maybe("process_id", Type::Id, "", "in `process`; none if it is not known");
const STACK_ID: Column = maybe("stack_id", Type::Id, "", "in `stack`; none if it was not recorded");
const CPU: Column = of("cpu", Type::Number, "", "number of the CPU");
const LATE: Column = of("late", Type::Flag, "", "it had begun before the recording");
const UNFINISHED: Column = of("unfinished", Type::Flag, "", "it was not over at the end");

/// The recordings.
pub static TRACE: Table = Table {
    name: "trace",
    what: "a recording: one run of `rec`. A merged trace has several",
    sort: &[],
    columns: &[
        of("trace_id", Type::Id, "", "hash of `recording`"),
        of("recording", Type::Text, "", "the trace's own id, hexadecimal"),
        of("label", Type::Text, "", "name of the file, or as it was labelled when merged"),
        of("host", Type::Text, "", "host name"),
        of("boot_id", Type::Text, "", "the boot of the host; empty if unknown"),
        of("os", Type::Text, "", "kernel name, release and machine"),
        of("cpus", Type::Number, "", "CPUs online"),
        of("program", Type::Text, "", "the process with most samples of the CPU"),
        of("build_id", Type::Text, "", "build-id of that program's file, hexadecimal"),
        of("cgroup", Type::Text, "", "control group of that process"),
        of("version", Type::Text, "", "`--label version=…`; else empty"),
        of("labels", Type::Labels, "", "all that was given with `--label`"),
        of("recorder", Type::Text, "", "version of `rec`"),
        of("tier", Type::Text, "", "what took samples: `bpf`, `perf`, or another tool"),
        of("start", Type::Time, "µs", "when it began"),
        of("start_ns", Type::Varied, "ns", "the same, since the epoch"),
        of("duration_ns", Type::Varied, "ns", "how long it lasted"),
        of("samples", Type::Varied, "", "samples of the CPU"),
        of("lost_samples", Type::Varied, "", "those that were due and are missing"),
        of("recorder_cpu_ns", Type::Varied, "ns", "CPU time of the recorder"),
        of("recorder_peak_bytes", Type::Varied, "bytes", "memory of the recorder"),
        of("cut_short", Type::Flag, "", "the recorder was killed"),
        of("damaged", Type::Flag, "", "parts of the file are missing"),
        of("redacted", Type::Flag, "", "names were taken out"),
    ],
};

/// The processes.
pub static PROCESS: Table = Table {
    name: "process",
    what: "a process, or what it was before it executed another program",
    sort: &[],
    columns: &[
        TRACE_ID,
        of("process_id", Type::OwnId, "", "hash of recording, number and start"),
        of("pid", Type::Varied, "", "its number on the host"),
        of("parent_pid", Type::Varied, "", "its parent's"),
        of("name", Type::Text, "", "its name"),
        of("exe", Type::Name, "", "path of its program; empty if unknown"),
        of("build_id", Type::Text, "", "build-id of that file, hexadecimal"),
        of("cgroup", Type::Text, "", "its control group; empty if unknown"),
        of("kernel", Type::Flag, "", "it is a thread of the kernel"),
    ],
};

/// The threads.
pub static THREAD: Table = Table {
    name: "thread",
    what: "a thread",
    sort: &[],
    columns: &[
        TRACE_ID,
        of("thread_id", Type::OwnId, "", "hash of process and number"),
        of("process_id", Type::OwnId, "", "its process"),
        of("tid", Type::Varied, "", "its number on the host"),
        of("name", Type::Text, "", "the last name it had"),
    ],
};

/// The frames.
pub static FRAME: Table = Table {
    name: "frame",
    what: "a line of a function that was seen in stacks; calls that were inlined are frames",
    sort: &[],
    columns: &[
        TRACE_ID,
        of("frame_id", Type::OwnId, "", "hash of all that follows"),
        of("function_id", Type::OwnId, "", "hash of function and module, without its build-id"),
        of("function", Type::Name, "", "its name; `[module+0x…]` if it has none"),
        of("file", Type::Name, "", "source file; empty if unknown"),
        of("line", Type::Number, "", "line of it; 0 if unknown"),
        of(
            "module",
            Type::Text,
            "",
            "name of its executable or library; of code of runtimes, its file",
        ),
        of("build_id", Type::Text, "", "build-id of that, hexadecimal"),
        of(
            "kind",
            Type::Text,
            "",
            "`user`, `kernel`, `jit`, `runtime`, `truncated` (callers are missing) or `lost`",
        ),
        of("inlined", Type::Flag, "", "it was inlined into the next frame towards the root"),
    ],
};

/// The stacks.
pub static STACK: Table = Table {
    name: "stack",
    what: "a call stack",
    sort: &[],
    columns: &[
        TRACE_ID,
        of("stack_id", Type::OwnId, "", "hash of its frames"),
        of("depth", Type::Number, "", "how many frames it has"),
        of("leaf_frame_id", Type::OwnId, "", "the innermost one"),
        of("frames", Type::Ids, "", "all of them, the root first"),
    ],
};

/// Samples.
pub static CPU_SAMPLE: Table = Table {
    name: "cpu_sample",
    what: "a sample: a thread was there, for so long",
    sort: &["thread_id", "time_ns"],
    columns: &[
        TRACE_ID,
        TIME,
        TIME_NS,
        THREAD_ID,
        PROCESS_ID,
        STACK_ID,
        of("event", Type::Text, "", "`cpu`; `growth` (of memory) and `other` are no CPU time"),
        of("event_name", Type::Text, "", "the event's own name"),
        of("weight", Type::Number, "`unit`", "what it stands for"),
        of("unit", Type::Text, "", "`nanoseconds`, `cycles`, `bytes` or `count`"),
        CPU,
    ],
};

/// Intervals off the CPU.
pub static WAIT: Table = Table {
    name: "wait",
    what: "an interval in which a thread did not run",
    sort: &["thread_id", "time_ns"],
    columns: &[
        TRACE_ID,
        TIME,
        TIME_NS,
        of("duration_ns", Type::Varied, "ns", "how long it took"),
        of("queued_ns", Type::Varied, "ns", "how much of that it was ready to run"),
        of("weight_ns", Type::Amount, "ns", "what the row stands for: short waits are sampled"),
        of(
            "state",
            Type::Text,
            "",
            "`preempted`, `sleeping`, `blocked`, `disk`, `stopped`, `throttled`, `memory`, `gil` \
             or `unknown`",
        ),
        of("reason", Type::Text, "", "why, as `report --off-cpu` says it"),
        maybe("syscall", Type::Text, "", "the system call that it was in"),
        THREAD_ID,
        PROCESS_ID,
        STACK_ID,
        CPU,
        LATE,
        UNFINISHED,
    ],
};

/// System calls.
pub static SYSCALL: Table = Table {
    name: "syscall",
    what: "a system call",
    sort: &["thread_id", "time_ns"],
    columns: &[
        TRACE_ID,
        TIME,
        TIME_NS,
        of("duration_ns", Type::Amount, "ns", "how long it took"),
        of("name", Type::Text, "", "its name"),
        of("number", Type::Number, "", "its number"),
        of("result", Type::Amount, "", "what it returned"),
        maybe("error", Type::Text, "", "name of the error, such as `ENOENT`, if it failed"),
        of("calls", Type::Number, "", "calls the row stands for, of whatever number"),
        of("weight_ns", Type::Amount, "ns", "time in system calls that its stack stands for"),
        THREAD_ID,
        PROCESS_ID,
        STACK_ID,
        LATE,
        UNFINISHED,
    ],
};

/// Allocations.
pub static ALLOCATION: Table = Table {
    name: "allocation",
    what: "an object that was allocated or freed",
    sort: &[],
    columns: &[
        TRACE_ID,
        TIME,
        TIME_NS,
        THREAD_ID,
        PROCESS_ID,
        STACK_ID,
        of(
            "kind",
            Type::Text,
            "",
            "`malloc`, `calloc`, `realloc`, `aligned`, `unknown`; `free` or `realloc-free`",
        ),
        of("address", Type::Amount, "", "address of the object, as a signed number"),
        of("size", Type::Number, "bytes", "what was asked for; 0 where it was freed"),
        of(
            "objects",
            Type::Real,
            "",
            "objects it stands for, if one in many was recorded; 0 of frees",
        ),
        of("bytes", Type::Real, "bytes", "bytes of these"),
    ],
};

/// What was looked at.
pub static EXPOSURE: Table = Table {
    name: "exposure",
    what: "a minute of a recording: what was looked at, and what is missing",
    sort: &["minute"],
    columns: &[
        TRACE_ID,
        of("host", Type::Text, "", "host name"),
        of("minute", Type::Time, "µs", "beginning of the minute"),
        of("wall_ns", Type::Varied, "ns", "how much of it was recorded"),
        of("cpus", Type::Number, "", "CPUs online"),
        of("cpu_ns", Type::Varied, "ns", "CPU time in samples"),
        of("samples", Type::Varied, "", "samples of the CPU"),
        of("lost_samples", Type::Varied, "", "those that are missing, spread over their time"),
        of("wait_ns", Type::Varied, "ns", "time off the CPU"),
        of("syscalls", Type::Varied, "", "system calls that rows stand for"),
        of("allocated_bytes", Type::Real, "bytes", "bytes allocated"),
    ],
};

/// What functions took.
pub static FUNCTION_MINUTE: Table = Table {
    name: "function_minute",
    what: "what a function of a program took in a minute. Rows may have all keys in common: add up",
    sort: &["minute", "function_id"],
    columns: &[
        TRACE_ID,
        of("host", Type::Text, "", "host name"),
        of("version", Type::Text, "", "as in `trace`"),
        of("minute", Type::Time, "µs", "beginning of the minute, in which a wait or call ended"),
        of("program", Type::Text, "", "name of the processes"),
        of("cgroup", Type::Text, "", "their control group"),
        of(
            "event",
            Type::Text,
            "",
            "`cpu`, `off-cpu`, `syscalls`, `alloc` (bytes), `growth` or `other`",
        ),
        of("unit", Type::Text, "", "`nanoseconds`, `cycles`, `bytes` or `count`"),
        maybe("reason", Type::Text, "", "of `off-cpu` why, of `syscalls` the call"),
        of("function_id", Type::OwnId, "", "as in `frame`"),
        of("function", Type::Name, "", "its name"),
        of("module", Type::Text, "", "where it is"),
        of("build_id", Type::Text, "", "build-id of that"),
        of("self", Type::Amount, "`unit`", "in the function itself"),
        of("total", Type::Amount, "`unit`", "in it and all it called"),
        of("items", Type::Amount, "", "samples, waits, calls or objects that `total` is of"),
        of("folded", Type::Number, "", "functions added up here, called `[others]`; else 0"),
    ],
};

/// The same by hour, for questions of which minutes would be too many rows.
pub static FUNCTION_HOUR: Table = Table {
    name: "function_hour",
    what: "what a function of a program took in an hour, whatever the reason: the sums of \
           `function_minute`. Rows may have all keys in common: add up. Since version 2",
    sort: &[],
    columns: &[
        TRACE_ID,
        of("host", Type::Text, "", "host name"),
        of("version", Type::Text, "", "as in `trace`"),
        of("hour", Type::Time, "µs", "beginning of the hour"),
        of("program", Type::Text, "", "name of the processes"),
        of("cgroup", Type::Text, "", "their control group"),
        of("event", Type::Text, "", "as in `function_minute`"),
        of("unit", Type::Text, "", "as there"),
        of("function", Type::Name, "", "name of the function, or `[others]`"),
        of("module", Type::Text, "", "where it is"),
        of("self", Type::Amount, "`unit`", "in the function itself"),
        of("total", Type::Amount, "`unit`", "in it and all it called"),
        of("items", Type::Amount, "", "samples, waits, calls or objects that `total` is of"),
    ],
};

/// All tables, in the order in which they are shown.
pub static TABLES: [&Table; 12] = [
    &TRACE,
    &PROCESS,
    &THREAD,
    &FRAME,
    &STACK,
    &CPU_SAMPLE,
    &WAIT,
    &SYSCALL,
    &ALLOCATION,
    &EXPOSURE,
    &FUNCTION_MINUTE,
    &FUNCTION_HOUR,
];

/// All columns as docs/FLEET.md shows them.
#[cfg(test)]
fn markdown() -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for table in TABLES {
        let sort = match table.sort {
            [] => String::new(),
            columns => format!(" In each row group sorted by `{}`.", columns.join("`, `")),
        };
        let _ = write!(text, "### {}\n\nA row is {}.{sort}\n\n", table.name, table.what);
        text += "| column | type | unit | what |\n|---|---|---|---|\n";
        for Column { name, kind, optional, unit, what } in table.columns {
            let null = if *optional { "?" } else { "" };
            let _ = writeln!(text, "| `{name}` | {}{null} | {unit} | {what} |", kind.sql());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_and_distinct() {
        for table in TABLES {
            for (position, column) in table.columns.iter().enumerate() {
                assert_eq!(table.position(column.name), Some(position), "{}", table.name);
            }
            assert!(table.sort.iter().all(|name| table.position(name).is_some()));
        }
    }

    #[test]
    fn the_documentation_has_all_columns() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FLEET.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&markdown()), "{path} should have:\n\n{}", markdown());
        let version = format!("schema version {SCHEMA_VERSION}");
        assert!(text.contains(&version), "{path}: {version}");
    }
}
