//! Nodes of call trees as they are shown: by name, module and kind.

use std::borrow::Cow;

use rz_profile::model::{CodeTier, Execution, FrameKind, Runtime};
use serde::Serialize;

use crate::model::calltree::{Node, NodeKind};
use crate::model::symbols::Symbols;

/// What a node of a call tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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
    /// Code of a runtime, such as a function of Python, unless it is inlined.
    Runtime,
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
        FrameKind::User | FrameKind::Runtime(_) if inlined => ShownKind::Inlined,
        FrameKind::User => ShownKind::Function,
        FrameKind::Runtime(_) => ShownKind::Runtime,
    }
}

/// A node as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownFrame {
    /// The name of the function, process or recording.
    pub name: String,
    /// Short name of its module, or, of code of a runtime, of its source file;
    /// empty if it has neither.
    pub module: String,
    /// What it is.
    pub kind: ShownKind,
    /// Whose code it is and how it ran; `null` unless it is code of a runtime.
    pub runtime: Option<RuntimeFrame>,
}

/// Code of a runtime, wherever it is seen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RuntimeFrame {
    /// The runtime; `null` if it is unknown, as where the file has lost it.
    pub name: Option<RuntimeName>,
    /// In which of its ways the runtime ran it; `null` if that is unknown, or
    /// not always the same.
    pub tier: Option<TierName>,
    /// Whether it is inlined into its caller, always.
    pub inlined: bool,
    /// Whether it was found near the moment of a sample, and not at it, at
    /// least once.
    pub approximate: bool,
}

/// A runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeName {
    /// Python's own implementation.
    Cpython,
    /// The engine of Node.js, Deno and Electron.
    V8,
    /// The Java virtual machine of OpenJDK.
    Hotspot,
    /// Go's.
    Go,
    /// One that has no name here.
    Other,
}

impl RuntimeName {
    /// The name of a runtime, if it is known.
    pub fn of(runtime: Runtime) -> Option<Self> {
        match runtime {
            Runtime::CPython => Some(RuntimeName::Cpython),
            Runtime::V8 => Some(RuntimeName::V8),
            Runtime::HotSpot => Some(RuntimeName::Hotspot),
            Runtime::Go => Some(RuntimeName::Go),
            Runtime::Other => Some(RuntimeName::Other),
            Runtime::Unknown => None,
        }
    }

    /// What people call it.
    pub fn text(self) -> &'static str {
        match self {
            RuntimeName::Cpython => "CPython",
            RuntimeName::V8 => "V8",
            RuntimeName::Hotspot => "HotSpot",
            RuntimeName::Go => "Go",
            RuntimeName::Other => "another runtime",
        }
    }
}

/// In which of its ways a runtime runs code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TierName {
    /// Instruction by instruction.
    Interpreted,
    /// As machine code that was made in little time.
    Baseline,
    /// As machine code that was made with care.
    Optimized,
}

impl RuntimeFrame {
    /// What is said of a node or function, if it is code of a runtime.
    pub fn of(kind: NodeKind, how: Execution) -> Option<Self> {
        let NodeKind::Frame(FrameKind::Runtime(runtime)) = kind else { return None };
        let tier = match how.tier {
            CodeTier::Unknown => None,
            CodeTier::Interpreted => Some(TierName::Interpreted),
            CodeTier::Baseline => Some(TierName::Baseline),
            CodeTier::Optimized => Some(TierName::Optimized),
        };
        let (inlined, approximate) = (how.inlined, how.approximate);
        Some(RuntimeFrame { name: RuntimeName::of(runtime), tier, inlined, approximate })
    }

    /// What is not usual about it, after the runtime.
    fn text(self) -> String {
        let tier = match self.tier {
            Some(TierName::Baseline) => "baseline",
            Some(TierName::Optimized) => "optimized",
            Some(TierName::Interpreted) | None => "",
        };
        let parts = [
            self.name.map_or("", RuntimeName::text),
            tier,
            if self.inlined { "inlined" } else { "" },
            if self.approximate { "approximate" } else { "" },
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

impl ShownFrame {
    /// How a node is shown.
    pub fn of(node: &Node, symbols: &Symbols) -> Self {
        let symbol = symbols[node.symbol].clone();
        ShownFrame {
            name: symbol.name,
            module: symbol.module,
            kind: kind_of(node.kind, node.how.inlined),
            runtime: RuntimeFrame::of(node.kind, node.how),
        }
    }

    /// Its name, with a mark if it is not an ordinary function of the process.
    pub fn text(&self) -> Cow<'_, str> {
        of_runtime(&self.name, self.runtime).unwrap_or_else(|| marked(&self.name, self.kind))
    }
}

/// The name of code of a runtime, with what is said of it.
pub fn of_runtime(name: &str, runtime: Option<RuntimeFrame>) -> Option<Cow<'_, str>> {
    let text = runtime.map(RuntimeFrame::text).filter(|text| !text.is_empty())?;
    Some(format!("{name} [{text}]").into())
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
        | ShownKind::Runtime
        | ShownKind::Truncated
        | ShownKind::Lost
        | ShownKind::Reason
        | ShownKind::NoStack => name.into(),
    }
}
