//! What threads of a profile share: stacks, frames, functions, files and strings.

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::export::layer::Layer;
use crate::export::strings::Strings;
use crate::export::tree::{Label, NodeId, Tree};
use rz_profile::model::{FunctionId, Location, ModuleId, Profile, StackId};
use rz_text::clean::clean;

/// A frame as the format tells frames apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FrameKey {
    function: FunctionId,
    line: u32,
    column: u32,
    layer: Layer,
    /// How many calls were inlined around it.
    depth: usize,
}

impl FrameKey {
    fn of(location: &Location, index: usize) -> Self {
        let line = location.lines[index];
        let depth = location.lines.len() - 1 - index;
        let layer = Layer::of(location);
        FrameKey { function: line.function, line: line.line, column: line.column, layer, depth }
    }
}

/// Builds the tables of a profile.
pub(super) struct Tables<'p> {
    profile: &'p Profile,
    strings: Strings,
    frames: Vec<FrameKey>,
    tree: Tree,
}

impl<'p> Tables<'p> {
    pub(super) fn of(profile: &'p Profile) -> Self {
        let (mut frames, mut labels) = (Vec::new(), FxHashMap::default());
        for location in &profile.locations {
            for index in 0..location.lines.len() {
                let key = FrameKey::of(location, index);
                labels.entry(key).or_insert_with(|| {
                    frames.push(key);
                    (frames.len() - 1) as Label
                });
            }
        }
        let label = |location: &Location, index| labels[&FrameKey::of(location, index)];
        let tree = Tree::build(profile, label);
        Tables { profile, strings: Strings::default(), frames, tree }
    }

    /// A stack's row in the table.
    pub(super) fn node_of(&self, stack: StackId) -> NodeId {
        self.tree.node_of(stack)
    }

    /// The place of a text among the strings.
    pub(super) fn text(&mut self, text: &str) -> usize {
        self.strings.id(text) as usize
    }

    /// The modules, as libraries.
    pub(super) fn libs(&self) -> Vec<Lib> {
        let lib = |module: &rz_profile::model::Module| {
            let path = if module.path.is_empty() { &module.name } else { &module.path };
            let (name, path) = (clean(&module.name).to_string(), clean(path).to_string());
            let hex: String = module.build_id.iter().map(|byte| format!("{byte:02X}")).collect();
            Lib {
                arch: "x86_64",
                debug_name: name.clone(),
                debug_path: path.clone(),
                name,
                path,
                // The form of debug ids: 16 bytes and an age.
                breakpad_id: format!("{:0<32.32}0", hex),
                code_id: (!hex.is_empty()).then(|| hex.to_lowercase()),
            }
        };
        self.profile.modules.iter().map(lib).collect()
    }

    pub(super) fn finish(mut self) -> Shared {
        let (func_table, sources) = self.functions();
        let frames = &self.frames;
        let column = |value: fn(&FrameKey) -> u32| {
            frames.iter().map(|frame| Some(value(frame)).filter(|&n| n > 0)).collect()
        };
        let frame_table = FrameTable {
            length: frames.len(),
            // All names are there: nobody has to look them up by address.
            address: vec![-1; frames.len()],
            inline_depth: frames.iter().map(|frame| frame.depth.min(255)).collect(),
            category: frames.iter().map(|frame| frame.layer as usize).collect(),
            subcategory: vec![0; frames.len()],
            func: frames.iter().map(|frame| frame.function).collect(),
            native_symbol: vec![None; frames.len()],
            inner_window_id: vec![None; frames.len()],
            line: column(|frame| frame.line),
            column: column(|frame| frame.column),
        };
        let (prefix, frame): (Vec<_>, Vec<_>) = self.tree.nodes().unzip();
        let stack_table = StackTable { length: frame.len(), prefix, frame };
        let mut resource_table = ResourceTable::default();
        for (id, module) in self.profile.modules.iter().enumerate() {
            resource_table.length += 1;
            resource_table.lib.push(id);
            resource_table.name.push(self.strings.id(&module.name) as usize);
            resource_table.host.push(None);
            resource_table.r#type.push(LIBRARY);
        }
        Shared {
            stack_table,
            frame_table,
            func_table,
            resource_table,
            native_symbols: NativeSymbols::default(),
            sources,
            string_array: self.strings.table,
        }
    }

    fn functions(&mut self) -> (FuncTable, Sources) {
        let mut layers = vec![Layer::Other; self.profile.functions.len()];
        for frame in &self.frames {
            layers[frame.function] = frame.layer;
        }
        let (mut table, mut sources) = (FuncTable::default(), Sources::default());
        let mut known = FxHashMap::default();
        for (function, layer) in self.profile.functions.iter().zip(layers) {
            table.length += 1;
            table.name.push(self.text(&function.name));
            table.is_js.push(layer.is_of_runtime());
            table.relevant_for_js.push(false);
            table.resource.push(function.module.map_or(-1, |id: ModuleId| id as i64));
            table.source.push((!function.file.is_empty()).then(|| {
                *known.entry(&function.file[..]).or_insert_with(|| {
                    sources.length += 1;
                    sources.uuid.push(None);
                    sources.filename.push(self.strings.id(&function.file) as usize);
                    sources.length - 1
                })
            }));
            let known = |number: u32| Some(number).filter(|&number| number > 0);
            table.line_number.push(known(function.first_line));
            table.column_number.push(known(function.first_column));
        }
        (table, sources)
    }
}

/// A resource that is a library.
const LIBRARY: u8 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lib {
    arch: &'static str,
    name: String,
    path: String,
    debug_name: String,
    debug_path: String,
    breakpad_id: String,
    code_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shared {
    stack_table: StackTable,
    frame_table: FrameTable,
    func_table: FuncTable,
    resource_table: ResourceTable,
    native_symbols: NativeSymbols,
    sources: Sources,
    string_array: Vec<String>,
}

#[derive(Serialize)]
struct StackTable {
    length: usize,
    prefix: Vec<Option<NodeId>>,
    frame: Vec<Label>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FrameTable {
    length: usize,
    address: Vec<i64>,
    inline_depth: Vec<usize>,
    category: Vec<usize>,
    subcategory: Vec<usize>,
    func: Vec<FunctionId>,
    native_symbol: Vec<Option<usize>>,
    #[serde(rename = "innerWindowID")]
    inner_window_id: Vec<Option<usize>>,
    line: Vec<Option<u32>>,
    column: Vec<Option<u32>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct FuncTable {
    length: usize,
    name: Vec<usize>,
    #[serde(rename = "isJS")]
    is_js: Vec<bool>,
    #[serde(rename = "relevantForJS")]
    relevant_for_js: Vec<bool>,
    resource: Vec<i64>,
    source: Vec<Option<usize>>,
    line_number: Vec<Option<u32>>,
    column_number: Vec<Option<u32>>,
}

#[derive(Default, Serialize)]
struct ResourceTable {
    length: usize,
    lib: Vec<ModuleId>,
    name: Vec<usize>,
    host: Vec<Option<usize>>,
    r#type: Vec<u8>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NativeSymbols {
    length: usize,
    lib_index: [usize; 0],
    address: [u64; 0],
    name: [usize; 0],
    function_size: [usize; 0],
}

#[derive(Default, Serialize)]
struct Sources {
    length: usize,
    uuid: Vec<Option<String>>,
    filename: Vec<usize>,
}
