//! Names of functions, and the frames of a tree that have them.

use rustc_hash::FxHashMap;
use rz_profile::model::Execution;
use serde::Serialize;

use crate::model::calltree::NodeKind;
use crate::model::frames::{RuntimeFrame, ShownKind, kind_of};
use crate::model::symbols::{Symbol, SymbolId, Symbols};

#[derive(Debug, Default, Serialize)]
pub(super) struct Names {
    names: Vec<String>,
    modules: Vec<String>,
    /// Name of each frame, as a distance from that of the one before: mostly 1, which is
    /// packed to next to nothing.
    steps: Vec<isize>,
    kinds: Vec<ShownKind>,
    /// What else is known of frames.
    runtimes: Vec<Option<RuntimeFrame>>,
    #[serde(skip)]
    of_frames: Vec<usize>,
}

impl Names {
    /// How many functions have names.
    pub(super) fn functions(&self) -> usize {
        self.names.len()
    }

    /// The function of a frame.
    pub(super) fn function(&self, frame: usize) -> usize {
        self.of_frames[frame]
    }
}

/// Collects them in order of appearance, each once.
#[derive(Default)]
pub(super) struct Naming {
    names: Names,
    symbols: FxHashMap<SymbolId, usize>,
    frames: FxHashMap<(SymbolId, ShownKind, Option<RuntimeFrame>), usize>,
}

impl Naming {
    /// The number of a symbol.
    pub(super) fn name(&mut self, symbol: SymbolId, symbols: &Symbols) -> usize {
        let Names { names, modules, .. } = &mut self.names;
        *self.symbols.entry(symbol).or_insert_with(|| {
            let Symbol { name, module } = symbols[symbol].clone();
            names.push(name);
            modules.push(module);
            names.len() - 1
        })
    }

    /// The number of the frame that a node of a tree has.
    pub(super) fn frame(
        &mut self,
        (symbol, kind, how): (SymbolId, NodeKind, Execution),
        symbols: &Symbols,
    ) -> usize {
        let name = self.name(symbol, symbols);
        let (shown, runtime) = (kind_of(kind, how.inlined), RuntimeFrame::of(kind, how));
        let Names { steps, kinds, runtimes, of_frames, .. } = &mut self.names;
        *self.frames.entry((symbol, shown, runtime)).or_insert_with(|| {
            let last = of_frames.last().copied().unwrap_or(0);
            steps.push(name as isize - last as isize);
            kinds.push(shown);
            runtimes.push(runtime);
            of_frames.push(name);
            of_frames.len() - 1
        })
    }

    pub(super) fn finish(self) -> Names {
        self.names
    }
}
