//! What is shown of a function, before it is text.

use std::fmt;

use serde::Serialize;

use super::places::Weights;
use crate::model::calltree::Amount;
use crate::model::rows::Rows;
use crate::model::symbols::Symbol;

/// A function with what of an event is where in it, or those of which one is
/// to be named. Neither is there if no function that was sampled matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AnnotatedPage {
    /// What was asked for: a name, or a part or a regular expression of it.
    pub wanted: String,
    /// All samples of the event.
    pub total: Amount,
    /// The function; `null` unless exactly one is meant.
    pub function: Option<AnnotatedFunction>,
    /// Functions that may be meant, if there are several; the one with the
    /// largest total first.
    pub candidates: Rows<CandidateFunction>,
}

/// A function that may be meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidateFunction {
    /// Its name.
    pub function: String,
    /// Short names of the modules that have a function of this name.
    pub modules: Vec<String>,
    /// Samples in which it ran itself.
    #[serde(rename = "self")]
    pub self_: Amount,
    /// Samples in which it was on the stack.
    pub total: Amount,
}

/// A function, and where in it samples are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AnnotatedFunction {
    /// The function. Those of the same name are taken for one.
    #[serde(flatten)]
    pub function: CandidateFunction,
    /// Its lines, then those of what is inlined into it, the heaviest first;
    /// `null` if instructions were asked for.
    pub sources: Option<Rows<SourcePart>>,
    /// Its instructions, by the module that they are in; `null` if lines were
    /// asked for.
    pub code: Option<Vec<ModuleCode>>,
}

/// Samples of a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlaceAmounts {
    /// Samples that end there.
    #[serde(rename = "self")]
    pub self_: Amount,
    /// Samples that go through there, each once.
    pub total: Amount,
}

impl From<Weights> for PlaceAmounts {
    fn from(Weights { self_, total }: Weights) -> Self {
        PlaceAmounts { self_, total }
    }
}

/// The lines that the code of the function has of one function: of itself, or
/// of one that is inlined into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourcePart {
    /// Whose lines they are.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// Whether that is another function, which is inlined.
    pub inlined: bool,
    /// Samples at all of its lines.
    #[serde(flatten)]
    pub amounts: PlaceAmounts,
    /// Path of its source as the compiler recorded it; `null` if it is not
    /// known.
    pub file: Option<String>,
    /// Where the lines' text is from; `null` if it is not here.
    pub text: Option<SourceText>,
    /// Why a source map, which should carry it, has no text either; `null` if
    /// there is a text, or no such map.
    pub no_text_cause: Option<String>,
    /// Lines that have the least share or are near one that has, in order;
    /// `left_out` is how many others have samples. `null` if no lines are
    /// known, as without debug information.
    pub lines: Option<Rows<SourceLine>>,
    /// Samples at lines that are not known; `null` if there are none.
    pub unknown_lines: Option<PlaceAmounts>,
}

/// The text of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceText {
    /// The file that it is from, or the source map that carries it.
    pub path: String,
    /// Whether that is not the path that the compiler recorded.
    pub is_elsewhere: bool,
    /// Whether it was written after the binary was, so that lines may have
    /// moved; `null` if it is not known when.
    pub is_newer: Option<bool>,
    /// Whether it has fewer lines than the source that was compiled.
    pub is_shorter: bool,
    /// Another text than this one; `null` if none is known.
    pub other_text: Option<OtherText>,
}

impl SourceText {
    /// What is to be said of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let from = self.is_elsewhere.then(|| format!("from {}", self.path));
        let other = self.other_text.as_ref().map(OtherText::to_string);
        let newer = (self.is_newer == Some(true))
            .then(|| "the source is newer than the binary: lines may have moved".to_owned());
        let shorter = self
            .is_shorter
            .then(|| "the source has fewer lines than the one that was compiled".to_owned());
        [from, other, newer, shorter].into_iter().flatten().collect()
    }
}

/// There is another text of a source: at `path`, and `what` it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "what", content = "path", rename_all = "kebab-case")]
pub enum OtherText {
    /// This source map carries another one, in which lines are counted: in the
    /// one that is shown they may have moved.
    InMap(String),
    /// The one that is shown is a source map's, as this file is not what was
    /// built.
    InFile(String),
}

impl fmt::Display for OtherText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtherText::InMap(map) => {
                write!(f, "{map} has another text of it: lines may have moved")
            }
            OtherText::InFile(file) => write!(f, "{file} is not what was built"),
        }
    }
}

/// A line of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceLine {
    /// Its number, from 1.
    pub line: u32,
    /// Its text, tabs as four spaces; `null` if it is not here.
    pub text: Option<String>,
    /// Its samples.
    #[serde(flatten)]
    pub amounts: PlaceAmounts,
}

/// The code that the function has in one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModuleCode {
    /// Short name of the module; empty if it is in none.
    pub module: String,
    /// The module's path when it was recorded; empty if it is in none.
    pub path: String,
    /// The file here that the code is read from; `null` if there is none.
    pub file: Option<String>,
    /// Whether a build-id says that this file is the recorded one, not only its
    /// path and its size; `null` without a file.
    pub is_identified: Option<bool>,
    /// Why there are no instructions; `null` if there are.
    pub no_code: Option<NoCode>,
    /// Its pieces, such as its cold part or a copy of it: the one with the
    /// heaviest instruction first.
    pub pieces: Rows<CodePiece>,
    /// Samples at addresses where no function is known to be, or behind where
    /// a piece is cut, added up over addresses.
    pub unknown: Amount,
}

/// Why instructions cannot be shown: `what`, with a `text` where there is more to
/// say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "what", content = "text", rename_all = "kebab-case")]
pub enum NoCode {
    /// The kernel's code is in no file.
    Kernel,
    /// The vDSO's code is in no file.
    Vdso,
    /// Generated code is in no file.
    Generated,
    /// What is in no module has no code.
    NoModule,
    /// The module's file is not here, is another build, or cannot be read: the
    /// text is the cause.
    NoFile(String),
    /// The file has code for another processor: the text is its name.
    Processor(String),
}

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CodePiece {
    /// What the symbol table calls it; `null` if it has no name for it.
    pub function: Option<String>,
    /// Address of its first byte, as the file counts them.
    pub start: u64,
    /// Address behind its last byte.
    pub end: u64,
    /// Address from which on it is not disassembled, as it is too long; `null`
    /// if all of it is.
    pub cut_at: Option<u64>,
    /// Instructions that have the least share or are near one that has, in
    /// order; `left_out` is how many other ones the piece has, up to where it
    /// is cut. `null` if its bytes are not in the file.
    pub instructions: Option<Rows<CodeInstruction>>,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CodeInstruction {
    /// Address of its first byte, as the file counts them.
    pub address: u64,
    /// Its bytes, in hexadecimal digits.
    pub bytes: String,
    /// What assemblers of Unix call it.
    pub text: String,
    /// The address that it jumps to or calls; `null` if it does not, or if that
    /// is not in the instruction.
    pub target: Option<u64>,
    /// Its samples.
    #[serde(flatten)]
    pub amounts: PlaceAmounts,
    /// The line that it was made of; `null` if that is not known.
    pub source: Option<InstructionSource>,
}

impl CodeInstruction {
    /// The address behind its last byte.
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.len() as u64 / 2)
    }
}

/// The line that an instruction was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InstructionSource {
    /// The function that the line is in.
    pub function: String,
    /// Whether that one is inlined here.
    pub inlined: bool,
    /// Path of its source as the compiler recorded it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The line's text, tabs as four spaces, without what is blank around it;
    /// `null` if it is not here.
    pub text: Option<String>,
}
