//! What a trace file consists of, and what was taken out of it.

use rz_profile::inventory::Inventory;
use serde::Serialize;

use super::cleaned;
use crate::model::frames::RuntimeName;
use crate::model::rows::Rows;

/// Kinds of things taken out that are listed, at most.
const MAX_REDACTIONS: usize = 50;

/// What a trace file consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileInfo {
    /// Its size in bytes.
    pub file_bytes: u64,
    /// Minor version of its format, whose major version is 1.
    pub format_minor: u16,
    /// Its blocks by kind, the ones that take the most bytes first.
    pub blocks: Vec<BlockInfo>,
    /// Modules whose names are in the trace.
    pub named_modules: u64,
    /// Pieces of generated code that have names in the trace.
    pub generated_pieces: u64,
    /// Code of runtimes that frames can be of, by runtime.
    pub code_objects: Vec<CodeObjectsInfo>,
    /// What was taken out, so that the trace can be given away.
    pub redacted: Rows<RedactionInfo>,
}

/// Blocks of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BlockInfo {
    /// What they hold.
    pub kind: String,
    /// How many there are.
    pub blocks: u64,
    /// Bytes that they take in the file.
    pub stored_bytes: u64,
}

/// Code of a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CodeObjectsInfo {
    /// The runtime; `null` if it is unknown.
    pub runtime: Option<RuntimeName>,
    /// How many code objects there are of it.
    pub count: u64,
}

/// Something that was taken out of the trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RedactionInfo {
    /// What, such as `arguments`.
    pub what: String,
    /// What is in its place, such as `left out`.
    pub how: String,
    /// How many of them.
    pub count: u64,
}

/// What is known of the file.
pub(super) fn file_info(inventory: &Inventory) -> FileInfo {
    let blocks = inventory.blocks.iter().map(|sum| BlockInfo {
        kind: cleaned(&sum.kind),
        blocks: sum.count,
        stored_bytes: sum.bytes,
    });
    let code_objects = inventory
        .code_objects
        .iter()
        .map(|&(runtime, count)| CodeObjectsInfo { runtime: RuntimeName::of(runtime), count });
    let redactions = inventory.redactions.iter().collect();
    FileInfo {
        file_bytes: inventory.file_size,
        format_minor: inventory.minor,
        blocks: blocks.collect(),
        named_modules: inventory.named,
        generated_pieces: inventory.generated,
        code_objects: code_objects.collect(),
        redacted: Rows::first(MAX_REDACTIONS, redactions, |redaction| RedactionInfo {
            what: cleaned(&redaction.what),
            how: cleaned(&redaction.how),
            count: redaction.count,
        }),
    }
}
