//! Makes a whole trace of a damaged or unfinished one.

use std::io::Write;
use std::path::Path;

use rz_format::{Name, Record, TextDefs, TextId};

use super::merge::MergeError;
use super::rewrite::{self, Edit, Ending};

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What is missing of the input, one sentence each.
    pub damage: Vec<String>,
}

/// Copies what is whole of the trace at `path` to `out`, which the caller buffers, with
/// an index, and with notes of what was left out. On failure, what is there is no whole
/// trace.
///
/// # Errors
/// If the trace cannot be read or is none, and if `out` cannot be written.
pub fn repair(path: &Path, out: &mut dyn Write) -> Result<Repaired, MergeError> {
    let copied = rewrite::copy(path, out, true, &mut AsItIs)?;
    Ok(Repaired { damage: copied.damage })
}

/// Changes nothing.
struct AsItIs;

impl Edit for AsItIs {
    fn records(&mut self, _: &mut Vec<Record>) {}

    fn texts(&mut self, _: &mut TextDefs) {}

    fn names(&mut self, _: &mut Vec<Name>) {}

    fn end(&mut self, _: TextId) -> Ending {
        Ending::default()
    }
}
