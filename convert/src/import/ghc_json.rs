//! Profiles of Haskell programs as JSON (`+RTS -pj`).

use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{Frame, Record, Sample, StackId};
use serde::Deserialize;

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input, json};

const NAME: &str = "JSON profile of a Haskell program";
const TIME: u32 = 0;
const ALLOCATED: u32 = 1;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    program: String,
    /// Microseconds that a tick stands for.
    tick_interval: f64,
    cost_centres: Vec<CostCentre>,
    profile: Node,
}

#[derive(Deserialize)]
struct CostCentre {
    id: u64,
    label: String,
    #[serde(default)]
    module: String,
    #[serde(default)]
    src_loc: String,
}

/// What a cost centre cost by itself where it was called in this way.
#[derive(Deserialize)]
struct Node {
    id: u64,
    #[serde(default)]
    ticks: u64,
    #[serde(default)]
    alloc: u64,
    #[serde(default)]
    children: Vec<Node>,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let file: File = json::read_nested(&input.file, NAME)?;
    let mut out = Output::of(input, "ghc-json", out)?;
    let amounts = Amounts::MICROSECONDS;
    out.record(Record::Event(amounts.event(TIME, "time")))?;
    out.record(Record::Event(Amounts::BYTES.event(ALLOCATED, "alloc_space")))?;
    let name = file.program;
    let thread = Threads::default().id(Named { name, ..Named::default() }, None, &mut out)?;
    let mut functions = Functions::default();
    let mut frames: FxHashMap<u64, Frame> = FxHashMap::default();
    for centre in file.cost_centres {
        let id = centre.id;
        frames.insert(id, functions.frame(centre.function(), &mut out));
    }
    let mut nodes: Vec<(Node, Option<StackId>)> = vec![(file.profile, None)];
    let mut ticks = Vec::new();
    while let Some((node, caller)) = nodes.pop() {
        let Some(frame) = frames.get(&node.id) else {
            let message = format!("damaged {NAME}: no cost centre {}", node.id);
            return Err(ImportError::Unusable(message));
        };
        let stack = Some(out.stack(caller, *frame));
        if node.ticks > 0 {
            ticks.push((stack, node.ticks));
        }
        if node.alloc > 0 {
            let (event, weight) = (ALLOCATED, node.alloc);
            out.sample(Sample { event, thread, stack, weight, ..Sample::default() })?;
        }
        nodes.extend(node.children.into_iter().map(|child| (child, stack)));
    }
    let spread = Spread::of(ticks.iter().fold(0, |sum, (_, ticks)| sum.saturating_add(*ticks)));
    spread.note().into_iter().for_each(|note| out.note(note));
    for (stack, ticks) in ticks {
        for weight in spread.rows(ticks, amounts.weight(ticks as f64 * file.tick_interval)) {
            out.sample(Sample { event: TIME, thread, stack, weight, ..Sample::default() })?;
        }
    }
    out.finish(Some(0))
}

impl CostCentre {
    /// The function: `module.label`, at `file:(line,column)-(line,column)` or
    /// `file:line:column-column`, or at `<…>` where that is not known.
    fn function(self) -> Function {
        let name = format!("{}.{}", self.module, self.label);
        let Some((file, place)) =
            self.src_loc.split_once(':').filter(|(file, _)| !file.starts_with('<'))
        else {
            return Function::named(name);
        };
        let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
        let mut number = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let (line, column) = (number(), number());
        Function { name, file: file.to_owned(), line, column, module: String::new() }
    }
}
