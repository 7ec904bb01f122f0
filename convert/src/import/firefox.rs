//! Profiles of the Firefox Profiler: as Firefox writes them, and as the profiler's page,
//! samply and other tools save them.
//!
//! Tables are lists of rows in the first, with a name for each place in a row, and of columns
//! in the second. Newer versions share tables among threads.

use std::fmt;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{Event, Frame, Record, Sample, StackId};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::json::{self, Number};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "profile of the Firefox Profiler";
/// What is at the bottom of stacks without having been called.
const ROOT: &str = "(root)";
/// The category of waiting for something to do.
const IDLE: &str = "Idle";

const TIME: u32 = 0;
const IDLE_TIME: u32 = 1;
const BYTES: u32 = 2;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Profile {
    meta: Meta,
    threads: Vec<Thread>,
    shared: Tables,
    /// Those of other processes.
    processes: Vec<Profile>,
    /// What a tool has wrapped it in.
    profile: Option<Box<Profile>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    /// Milliseconds between samples.
    interval: f64,
    /// Milliseconds since the Unix epoch.
    start_time: f64,
    categories: Vec<Category>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Category {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Thread {
    name: String,
    process_name: Option<String>,
    pid: Number,
    tid: Number,
    samples: Table,
    #[serde(flatten)]
    own: Tables,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tables {
    stack_table: Table,
    frame_table: Table,
    func_table: Table,
    #[serde(alias = "stringTable")]
    string_array: Vec<String>,
    sources: Table,
}

/// A table's numbers, by the names of its columns.
#[derive(Debug, Default)]
struct Table {
    columns: FxHashMap<String, Vec<Number>>,
    /// Of samples: what their weights are.
    weight_type: Option<String>,
}

/// A column, or what is none: the number of rows, or nothing.
struct Column(Option<Vec<Number>>);

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Column;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Column, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = list.next_element()? {
                    cells.push(cell);
                }
                Ok(Column(Some(cells)))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Column, E> {
                Ok(Column(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Column, E> {
                Ok(Column(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Column, E> {
                Ok(Column(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Column, E> {
                Ok(Column(None))
            }

            fn visit_unit<E>(self) -> Result<Column, E> {
                Ok(Column(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Column, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Column(None))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_unit<E>(self) -> Result<Table, E> {
                Ok(Table::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut columns = FxHashMap::default();
                let mut schema: FxHashMap<String, usize> = FxHashMap::default();
                let mut rows: Vec<Vec<Number>> = Vec::new();
                let mut weight_type = None;
                while let Some(key) = map.next_key::<String>()? {
                    match &key[..] {
                        "schema" => schema = map.next_value()?,
                        "data" => rows = map.next_value()?,
                        "weightType" => weight_type = map.next_value()?,
                        _ => {
                            if let Column(Some(cells)) = map.next_value()? {
                                columns.insert(key, cells);
                            }
                        }
                    }
                }
                for (name, place) in schema {
                    let cell = |row: &Vec<Number>| row.get(place).copied().unwrap_or_default();
                    columns.insert(name, rows.iter().map(cell).collect());
                }
                Ok(Table { columns, weight_type })
            }
        }

        deserializer.deserialize_any(Columns)
    }
}

impl Table {
    fn rows(&self, column: &str) -> usize {
        self.columns.get(column).map_or(0, Vec::len)
    }

    fn number(&self, column: &str, row: usize) -> Option<f64> {
        self.columns.get(column)?.get(row)?.0
    }

    /// The number of a row of another table.
    fn index(&self, column: &str, row: usize) -> Option<usize> {
        self.number(column, row).filter(|number| *number >= 0.0).map(|number| number as usize)
    }
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut profile: Profile = json::read(&input.file, NAME)?;
    while let Some(inner) = profile.profile.take() {
        profile = *inner;
    }
    let started_ns = (profile.meta.start_time * 1e6) as u64;
    let started_ns = if started_ns > 0 { started_ns } else { input.modified_ns };
    let mut writer = Writer {
        out: Output::begun(input, "firefox", started_ns, out)?,
        unused: vec![
            Amounts::MILLISECONDS.event(TIME, "time"),
            Amounts::MILLISECONDS.event(IDLE_TIME, "idle"),
            Amounts::BYTES.event(BYTES, "bytes"),
        ],
        functions: Functions::default(),
        threads: Threads::default(),
        end_ns: 0,
    };
    writer.add(&profile)?;
    writer.out.finish(Some(writer.end_ns))
}

struct Writer<'o> {
    out: Output<'o>,
    /// Events that no sample has yet.
    unused: Vec<Event>,
    functions: Functions,
    threads: Threads,
    end_ns: u64,
}

impl Writer<'_> {
    fn add(&mut self, profile: &Profile) -> Result<(), ImportError> {
        for thread in &profile.threads {
            self.add_thread(thread, profile)?;
        }
        profile.processes.iter().try_for_each(|process| self.add(process))
    }

    fn add_thread(&mut self, thread: &Thread, profile: &Profile) -> Result<(), ImportError> {
        let (pid, tid) = (thread.pid.id(), thread.tid.id());
        let named = Named { pid, tid, name: thread.name.clone() };
        let number = self.threads.id(named, thread.process_name.as_deref(), &mut self.out)?;
        let frames = self.frames(thread, profile);
        let is_idle: Vec<bool> = profile.meta.categories.iter().map(|c| c.name == IDLE).collect();
        let stack_table = either(&thread.own.stack_table, &profile.shared.stack_table);
        // Of each, in the order of the table: callers are before those that they call.
        let mut stacks: Vec<(Option<StackId>, bool)> = Vec::new();
        for row in 0..stack_table.rows("frame") {
            let caller = stack_table.index("prefix", row).and_then(|at| stacks.get(at)).copied();
            let frame = stack_table.index("frame", row).and_then(|at| frames.get(at)).copied();
            let frame = frame.ok_or_else(|| damaged("a stack without a frame"))?;
            let caller = caller.and_then(|(stack, _)| stack);
            let category = stack_table.index("category", row).or(frame.category);
            let stack = match frame.frame {
                Some(frame) => Some(self.out.stack(caller, frame)),
                None => caller,
            };
            let idle = category.and_then(|at| is_idle.get(at)).copied().unwrap_or(false);
            stacks.push((stack, idle));
        }
        let samples = &thread.samples;
        let interval = if profile.meta.interval > 0.0 { profile.meta.interval } else { 1.0 };
        let mut now_ms = 0.0;
        for row in 0..samples.rows("stack") {
            now_ms = match samples.number("timeDeltas", row) {
                Some(delta) => now_ms + delta,
                None => samples.number("time", row).unwrap_or(now_ms),
            };
            let Some(stack) = samples.index("stack", row) else { continue };
            let (stack, idle) =
                *stacks.get(stack).ok_or_else(|| damaged("a sample without its stack"))?;
            let weight = samples.number("weight", row).unwrap_or(1.0);
            let time = if idle { IDLE_TIME } else { TIME };
            let (event, weight) = match samples.weight_type.as_deref() {
                Some("tracing-ms") => (time, Amounts::MILLISECONDS.weight(weight)),
                Some("bytes") => (BYTES, Amounts::BYTES.weight(weight)),
                _ => (time, Amounts::MILLISECONDS.weight(interval * weight)),
            };
            let time_ns = Amounts::MILLISECONDS.weight(now_ms);
            self.end_ns = self.end_ns.max(time_ns);
            if weight > 0 {
                if let Some(at) = self.unused.iter().position(|unused| unused.id == event) {
                    let first = self.unused.remove(at);
                    self.out.record(Record::Event(first))?;
                }
                let thread = number;
                let sample = Sample { event, thread, stack, weight, time_ns, ..Sample::default() };
                self.out.sample(sample)?;
            }
        }
        Ok(())
    }

    /// The frames of a thread's table.
    fn frames(&mut self, thread: &Thread, profile: &Profile) -> Vec<Placed> {
        let texts = match &thread.own.string_array[..] {
            [] => &profile.shared.string_array,
            _ => &thread.own.string_array,
        };
        let text = |index: Option<usize>| {
            index.and_then(|index| texts.get(index)).cloned().unwrap_or_default()
        };
        let table = either(&thread.own.frame_table, &profile.shared.frame_table);
        let functions = either(&thread.own.func_table, &profile.shared.func_table);
        let rows = table.rows("func").max(table.rows("location"));
        let mut placed = Vec::with_capacity(rows);
        for row in 0..rows {
            let line = table.index("line", row).unwrap_or(0) as u32;
            let column = table.index("column", row).unwrap_or(0) as u32;
            let function = match table.index("func", row) {
                Some(index) => Function {
                    name: text(functions.index("name", index)),
                    file: text(functions.index("fileName", index).or_else(|| {
                        let source = functions.index("source", index)?;
                        profile.shared.sources.index("filename", source)
                    })),
                    line: line.max(functions.index("lineNumber", index).unwrap_or(0) as u32),
                    column,
                    module: String::new(),
                },
                None => of_location(&text(table.index("location", row))),
            };
            let is_root = function.name == ROOT;
            let frame = (!is_root).then(|| self.functions.frame(function, &mut self.out));
            placed.push(Placed { frame, category: table.index("category", row) });
        }
        placed
    }
}

/// A frame that is in the trace.
#[derive(Debug, Clone, Copy)]
struct Placed {
    /// None for what was not called.
    frame: Option<Frame>,
    category: Option<usize>,
}

/// A thread's own table, or the one of all threads.
fn either<'t>(own: &'t Table, shared: &'t Table) -> &'t Table {
    if own.columns.is_empty() { shared } else { own }
}

fn damaged(why: &str) -> ImportError {
    ImportError::Unusable(format!("damaged {NAME}: {why}"))
}

/// A function as Firefox writes it: `name (file:line:column)`, the numbers not always.
fn of_location(location: &str) -> Function {
    let in_brackets = location.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let Some((name, place)) = in_brackets else { return Function::named(location) };
    // A loader's path leads to the file.
    let place = place.rsplit(" -> ").next().unwrap_or(place);
    let number = |text: &str| {
        text.rsplit_once(':').and_then(|(rest, n)| Some((rest.len(), n.parse().ok()?)))
    };
    let (file, line, column) = match number(place) {
        None => (place, 0, 0),
        Some((length, last)) => match number(&place[..length]) {
            None => (&place[..length], last, 0),
            Some((shorter, line)) => (&place[..shorter], line, last),
        },
    };
    let (name, file) = (name.to_owned(), file.to_owned());
    Function { name, file, line, column, module: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_firefox() {
        let check = |location, name: &str, file: &str, line, column| {
            let found = of_location(location);
            assert_eq!((&found.name[..], &found.file[..]), (name, file), "{location}");
            assert_eq!((found.line, found.column), (line, column), "{location}");
        };
        check("main (file:///w/a.js:31)", "main", "file:///w/a.js", 31, 0);
        check("main (file:///w/a.js:31:7)", "main", "file:///w/a.js", 31, 7);
        check("f (resource://a.js -> resource://b.js:150)", "f", "resource://b.js", 150, 0);
        check("next (self-hosted:539)", "next", "self-hosted", 539, 0);
        check("nsAppShell::Run", "nsAppShell::Run", "", 0, 0);
        check("operator()(int)", "operator()(int)", "", 0, 0);
    }
}
