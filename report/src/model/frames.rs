//! Nodes of call trees as they are shown: by name, module and kind.

use std::borrow::Cow;

use rz_profile::model::FrameKind;
use serde::Serialize;

use crate::model::calltree::{Node, NodeKind};
use crate::model::symbols::Symbols;

/// What a node of a call tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ShownKind {
    /// All samples: the root.
    All,
    /// A recording of a merged trace.
    Recording,
    /// A process.
    Process,
    /// A function of the process.
    Function,
    /// One that is inlined: in a call tree, wherever it is seen there.
    Inlined,
    /// A function of the kernel.
    Kernel,
    /// Code that was generated at run time.
    Jit,
    /// Callers that could not be followed.
    Truncated,
    /// A stack that a missing part of the file defined.
    Lost,
    /// Why a thread waited, or what it called.
    Reason,
    /// Samples without a stack.
    NoStack,
}

/// What a node is.
pub fn kind_of(kind: NodeKind, inlined: bool) -> ShownKind {
    match kind {
        NodeKind::All => ShownKind::All,
        NodeKind::Source => ShownKind::Recording,
        NodeKind::Process => ShownKind::Process,
        NodeKind::NoStack => ShownKind::NoStack,
        NodeKind::Frame(kind) => kind_of_frame(kind, inlined),
    }
}

/// What a frame is.
pub fn kind_of_frame(kind: FrameKind, inlined: bool) -> ShownKind {
    match kind {
        FrameKind::Kernel => ShownKind::Kernel,
        FrameKind::Jit => ShownKind::Jit,
        FrameKind::Truncated => ShownKind::Truncated,
        FrameKind::Lost => ShownKind::Lost,
        FrameKind::Reason(_) => ShownKind::Reason,
        FrameKind::User if inlined => ShownKind::Inlined,
        FrameKind::User => ShownKind::Function,
    }
}

/// A node as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownFrame {
    /// The name of the function, process or recording.
    pub name: String,
    /// Short name of its module; empty if it has none.
    pub module: String,
    /// What it is.
    pub kind: ShownKind,
}

impl ShownFrame {
    /// How a node is shown.
    pub fn of(node: &Node, symbols: &Symbols) -> Self {
        let symbol = symbols[node.symbol].clone();
        ShownFrame {
            name: symbol.name,
            module: symbol.module,
            kind: kind_of(node.kind, node.inlined),
        }
    }

    /// Its name, with a mark if it is not an ordinary function of the process.
    pub fn text(&self) -> Cow<'_, str> {
        marked(&self.name, self.kind)
    }
}

/// A name, with a mark if it is not that of an ordinary function of the process.
pub fn marked(name: &str, kind: ShownKind) -> Cow<'_, str> {
    match kind {
        ShownKind::Recording => format!("{name} (recording)").into(),
        ShownKind::Process => format!("{name} (process)").into(),
        ShownKind::Kernel => format!("{name} [kernel]").into(),
        ShownKind::Jit => format!("{name} [jit]").into(),
        ShownKind::Inlined => format!("{name} [inlined]").into(),
        ShownKind::All
        | ShownKind::Function
        | ShownKind::Truncated
        | ShownKind::Lost
        | ShownKind::Reason
        | ShownKind::NoStack => name.into(),
    }
}
