//! Counts of callgrind, and of other tools in its format.
//!
//! The file has what each function cost by itself, and what each caller's calls of a function
//! cost in all, but no stacks.

use std::fs::File;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::Record;

use super::amounts::Amounts;
use super::functions::Function;
use super::lines::for_lines;
use super::output::Output;
use super::shares::{CallGraph, MAX_ENTRIES};
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "callgrind.out";
/// Kinds of events, at most.
const MAX_EVENTS: usize = 64;

#[derive(Debug, Default)]
struct Profile {
    events: Vec<String>,
    command: String,
    /// Names by their numbers: objects, files, functions.
    names: [FxHashMap<String, String>; 3],
    graph: CallGraph,
    unreadable: u64,
}

/// Which of the names.
const OBJECT: usize = 0;
const FILE: usize = 1;
const FUNCTION: usize = 2;

/// Where a file is read.
#[derive(Debug, Default)]
struct At {
    object: String,
    file: String,
    function: Option<usize>,
    called_object: Option<String>,
    called_file: Option<String>,
    called: Option<usize>,
    /// The next line is what calls cost.
    is_call: bool,
    /// Numbers before the costs in a line.
    positions: usize,
    /// Costs of the line before.
    costs: Vec<u64>,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let profile = Profile::read(&input.file)?;
    let mut out = Output::of(input, "callgrind", out)?;
    for (id, event) in (0..).zip(&profile.events) {
        out.record(Record::Event(Amounts::THINGS.event(id, event)))?;
    }
    out.note(
        "callgrind counts calls, and has no stacks: these are put together as if a function \
         cost the same whoever calls it; what functions cost by themselves is exact"
            .to_owned(),
    );
    if profile.unreadable > 0 {
        out.note(format!("{} lines could not be read and were left out", profile.unreadable));
    }
    let name = profile.command.split_whitespace().next().unwrap_or_default();
    let name = name.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("callgrind");
    let thread = Named { name: name.to_owned(), ..Named::default() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    profile.graph.write(thread, &mut out)?;
    out.finish(Some(0))
}

impl Profile {
    fn read(file: &File) -> Result<Self, ImportError> {
        let mut profile = Profile::default();
        let mut at = At { positions: 1, ..At::default() };
        for_lines(file, |line| match line {
            Some(line) => profile.take(line.trim(), &mut at),
            None => {
                profile.unreadable += 1;
                Ok(())
            }
        })?;
        if profile.graph.is_empty() {
            let message = format!("damaged {NAME}: there is no function with a cost");
            return Err(ImportError::Unusable(message));
        }
        Ok(profile)
    }

    fn take(&mut self, line: &str, at: &mut At) -> Result<(), ImportError> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            return self.take_costs(line, at);
        }
        let (key, value) = match line.find(['=', ':']) {
            Some(end) => (&line[..=end], line[end + 1..].trim()),
            None => (line, ""),
        };
        match key {
            // Dumps in one file say it each.
            "events:" if self.events.is_empty() => {
                let events = value.split_whitespace().take(MAX_EVENTS);
                self.events = events.map(str::to_owned).collect();
                self.graph = CallGraph::with_events(self.events.len());
            }
            "positions:" => at.positions = value.split_whitespace().count().max(1),
            "cmd:" => value.clone_into(&mut self.command),
            "ob=" => at.object = self.name(OBJECT, value)?,
            "fl=" | "fi=" | "fe=" => at.file = self.name(FILE, value)?,
            "cob=" => at.called_object = Some(self.name(OBJECT, value)?),
            "cfl=" | "cfi=" => at.called_file = Some(self.name(FILE, value)?),
            "fn=" => {
                let name = self.name(FUNCTION, value)?;
                at.function = Some(self.function(name, &at.file, &at.object)?);
            }
            "cfn=" => {
                let name = self.name(FUNCTION, value)?;
                let file = at.called_file.take().unwrap_or_else(|| at.file.clone());
                let object = at.called_object.take().unwrap_or_else(|| at.object.clone());
                at.called = Some(self.function(name, &file, &object)?);
            }
            "calls=" => at.is_call = true,
            // What is known of the whole, and jumps within functions.
            _ => {}
        }
        Ok(())
    }

    /// A name, which stands for a number from then on: `(3) main`, `(3)`.
    fn name(&mut self, kind: usize, text: &str) -> Result<String, ImportError> {
        let numbered = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let Some((number, name)) = numbered else { return Ok(text.to_owned()) };
        let names = &mut self.names[kind];
        if name.is_empty() {
            return Ok(names.get(number).cloned().unwrap_or_default());
        }
        if names.len() >= MAX_ENTRIES {
            return Err(ImportError::TooMany("names"));
        }
        let name = name.trim().to_owned();
        names.insert(number.to_owned(), name.clone());
        Ok(name)
    }

    fn function(&mut self, name: String, file: &str, object: &str) -> Result<usize, ImportError> {
        let (file, module) = (file.to_owned(), object.to_owned());
        let file = if file == "???" { String::new() } else { file };
        let function = Function { name, file, module, ..Function::default() };
        self.graph.function(function)
    }

    fn take_costs(&mut self, line: &str, at: &mut At) -> Result<(), ImportError> {
        let is_call = std::mem::take(&mut at.is_call);
        let numbers = line.split_whitespace().skip(at.positions);
        let before = at.costs.iter().copied().chain(std::iter::repeat(0));
        let costs: Option<Vec<u64>> = numbers.zip(before).map(|(n, was)| cost(n, was)).collect();
        let (Some(costs), Some(function)) = (costs, at.function) else {
            self.unreadable += 1;
            return Ok(());
        };
        match at.called.filter(|_| is_call) {
            None => self.graph.add_own(function, &costs),
            Some(called) => self.graph.add_call(function, called, &costs)?,
        }
        at.costs = costs;
        Ok(())
    }
}

/// A cost; some tools write it as positions are: by what it is more than in the line before.
fn cost(text: &str, before: u64) -> Option<u64> {
    match text.split_at_checked(1)? {
        ("*", "") => Some(before),
        ("+", more) => before.checked_add(more.parse().ok()?),
        ("-", less) => before.checked_sub(less.parse().ok()?),
        _ => text.parse().ok(),
    }
}
