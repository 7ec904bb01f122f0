//! Merges traces into one, on one timeline.
//!
//! ```text
//! files ─► sources: who, when, which clock ─► plan: order, ids, shifts
//!   └────► order: blocks by time ─► remap: ids, times ─► write: larger blocks
//! ```
//!
//! Blocks are read one at a time, in order of time over all files, so that
//! memory follows what is distinct (stacks, modules, threads), not how much
//! happened. The same traces give the same bytes, in whatever order they are
//! named.

mod error;
mod file;
mod identity;
mod ids;
mod order;
mod plan;
mod remap;
mod sources;
#[cfg(test)]
mod tests;
mod write;

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use rz_format::{BlockKind, Damage, FileHeader, MAJOR, MINOR};

pub use error::MergeError;
use order::{Item, Order};
use plan::Plan;
use remap::Remap;
use sources::Input;
pub(crate) use sources::open;
use write::Output;
pub(crate) use write::{MAX_ROWS, SPARE_IDS, stack_blocks, text_blocks};

use rz_profile::notes::limited;

/// Blocks that are read ahead, at most.
const READ_AHEAD: usize = 4;

/// A trace to merge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeInput {
    /// Where it is.
    pub path: PathBuf,
    /// What to call it; without one, the file's name without `.rz`.
    pub label: Option<String>,
}

/// How to merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeOptions {
    /// Merge damaged traces as far as they are whole, and leave out what is no
    /// trace.
    pub keep_going: bool,
}

/// What was merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Number of recordings.
    pub sources: usize,
    /// What is missing of which file, one sentence each.
    pub damage: Vec<String>,
}

/// Reads the first facts of all `inputs` and decides about order, numbers and
/// clocks. Fails if one of them is no trace, unless told to keep going, or if
/// two are the same.
pub fn plan(inputs: &[MergeInput], options: MergeOptions) -> Result<MergePlan, MergeError> {
    let mut read = Vec::new();
    let mut left_out = Vec::new();
    for input in inputs {
        match Input::read(input) {
            Ok(input) => read.push(input),
            Err(error) if options.keep_going => left_out.push(error),
            Err(error) => return Err(error),
        }
    }
    if read.is_empty() {
        return Err(left_out.into_iter().next().unwrap_or(MergeError::NothingToMerge));
    }
    left_out.sort_by_key(ToString::to_string);
    Ok(MergePlan { plan: Plan::new(read)?, left_out, options })
}

/// Traces that can be merged.
pub struct MergePlan {
    plan: Plan,
    left_out: Vec<MergeError>,
    options: MergeOptions,
}

impl MergePlan {
    /// Merges into `out`, which the caller buffers. On failure, what is there
    /// is no whole trace.
    pub fn write(self, out: &mut dyn Write) -> Result<Merged, MergeError> {
        let MergePlan { plan, left_out, options } = self;
        let header = FileHeader::merged(plan.trace_id, plan.created_unix_ns, plan.created_ns);
        let mut remap = Remap::new(&plan);
        let mut output = Output::new(out, &header)?;
        let mut merged = Merged { sources: plan.sources.len(), ..Merged::default() };
        for error in left_out {
            merged.damage.push(format!("{error}, which is left out"));
            remap.note(None, format!("{} is left out: {}", error.file_name(), error.cause()));
        }
        remap.define_sources(&plan);
        output.add_records(plan.created_ns, &mut remap)?;

        let mut order = Order::open(&plan)?;
        // Reading and decoding on one side, encoding and writing on the other.
        let (sender, receiver) = sync_channel(READ_AHEAD);
        thread::scope(|scope| {
            scope.spawn(move || {
                while let Some(item) = order.next().transpose() {
                    let failed = item.is_err();
                    if sender.send(item).is_err() || failed {
                        break;
                    }
                }
            });
            for item in receiver {
                match item? {
                    Item::Block { input, time_ns, block } => {
                        remap.start(input);
                        output.add(time_ns, block, &mut remap)?;
                    }
                    Item::End { input, damage, unknown } => {
                        remap.end(input);
                        let input = &plan.inputs[input];
                        merged.damage.extend(report(input, &damage, options, &mut remap)?);
                        for text in left_out_of(input.minor, &unknown) {
                            merged.damage.push(format!("{}: {text}", input.path.display()));
                            remap.note_about(input, &text);
                        }
                    }
                }
            }
            Ok::<(), MergeError>(())
        })?;
        output.finish(&mut remap)?;
        Ok(merged)
    }
}

/// What of a file of this minor version is not known to this program, and so
/// not in the output.
pub(crate) fn left_out_of(minor: u16, unknown: &[BlockKind]) -> Vec<String> {
    let kinds = unknown.iter().map(|kind| format!("blocks of unknown kind {kind} are left out"));
    let newer = (minor > MINOR)
        .then(|| format!("what a newer format than {MAJOR}.{MINOR} has is left out"));
    kinds.chain(newer).map(|text| text + ": use a newer rz").collect()
}

/// Says what is missing of a file, in the output and to the caller.
fn report(
    input: &Input,
    damage: &[Damage],
    options: MergeOptions,
    remap: &mut Remap,
) -> Result<Vec<String>, MergeError> {
    let Some(first) = damage.first() else { return Ok(Vec::new()) };
    if !options.keep_going {
        let (path, places) = (input.path.clone(), damage.len());
        return Err(MergeError::Damaged { path, first: first.clone(), places });
    }
    let texts = limited(damage, "more damaged places");
    texts.iter().for_each(|text| remap.note_about(input, text));
    Ok(texts.into_iter().map(|text| format!("{}: {text}", input.path.display())).collect())
}
