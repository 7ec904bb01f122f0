//! Functions that an input knows by name only.

use rustc_hash::FxHashMap;
use rz_format::{Frame, Module, ModuleKind, Name, TruncatedReason};

use super::output::Output;

/// Frames of a stack that are kept, from the leaf on.
pub(super) const MAX_FRAMES: usize = 4096;
/// Bytes of names that are known at a time; what comes again after that gets another number.
const MAX_KNOWN_BYTES: usize = 64 << 20;

/// The module of the kernel's functions.
pub(super) const KERNEL: &str = "[kernel]";

/// A function, or a line of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Function {
    pub(super) name: String,
    /// Where it is; empty and 0 where that is not known.
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    /// The program or library; empty if it is not known.
    pub(super) module: String,
}

impl Function {
    pub(super) fn named(name: impl Into<String>) -> Self {
        Function { name: name.into(), ..Function::default() }
    }
}

/// The functions met so far.
#[derive(Debug, Default)]
pub(super) struct Functions {
    frames: FxHashMap<Function, Frame>,
    modules: FxHashMap<String, u32>,
    bytes: usize,
    /// Frames that have been given a number.
    count: u64,
}

impl Functions {
    /// The frame of a function.
    pub(super) fn frame(&mut self, function: Function, out: &mut Output) -> Frame {
        if let Some(frame) = self.frames.get(&function) {
            return *frame;
        }
        let module = match self.modules.get(&function.module) {
            Some(module) => *module,
            None => {
                let path = function.module.clone();
                let is_kernel = path == KERNEL;
                let kind = if is_kernel { ModuleKind::Kernel } else { ModuleKind::Names };
                let module = out.module(Module { kind: kind.into(), path, ..Module::default() });
                self.modules.insert(function.module.clone(), module);
                module
            }
        };
        self.count += 1;
        let offset = self.count;
        let text = |text: &str, out: &mut Output| (!text.is_empty()).then(|| out.text(text));
        let name = if function.name.is_empty() { "[unknown]" } else { &function.name };
        let name = Name {
            module,
            offset,
            address: offset,
            name: text(name, out),
            file: text(&function.file, out),
            line: function.line,
            column: function.column,
            ..Name::default()
        };
        out.names(&[name]);
        self.bytes += function.name.len() + function.file.len() + function.module.len();
        if self.bytes > MAX_KNOWN_BYTES {
            self.frames.clear();
            self.bytes = 0;
        }
        let frame = Frame::Code { module, offset };
        self.frames.insert(function, frame);
        frame
    }
}

/// What stands for callers beyond those that are kept.
pub(super) fn too_many() -> Frame {
    Frame::Truncated(TruncatedReason::TooManyFrames)
}
