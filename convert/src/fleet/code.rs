//! What stacks consist of, with ids that are the same for all who have the same code.

use std::io::Write;

use parquet::errors::ParquetError;
use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::model::{FrameKind, FunctionId, Location, LocationId, Profile, StackId};

use super::ids::Content;
use super::table_file::{Cell, TableFile};

/// A function.
#[derive(Debug)]
pub struct Function<'p> {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: &'p str,
    /// Its file.
    pub file: &'p str,
    /// Name of its module.
    pub module: &'p str,
    /// Build-id of that.
    pub build_id: String,
}

/// The functions, places and stacks of a profile.
#[derive(Debug)]
pub struct Code<'p> {
    profile: &'p Profile,
    /// By their ids in the profile.
    pub functions: Vec<Function<'p>>,
    /// For each function, the first one with its id: reports take them for one.
    same: Vec<FunctionId>,
    /// Ids of the frames of each location, innermost first.
    frames: Vec<Vec<i64>>,
    /// By ids of the profile: what it is, and of how many frames.
    stacks: Vec<(i64, u32)>,
    /// What is no code, but says why a stack was taken.
    reasons: FxHashMap<LocationId, String>,
}

impl<'p> Code<'p> {
    /// Gives ids to all there is.
    pub fn of(profile: &'p Profile) -> Code<'p> {
        let functions: Vec<Function> = profile
            .functions
            .iter()
            .enumerate()
            .map(|(id, function)| {
                let module = function.module.map(|module| &profile.modules[module]);
                let (name, file) = (function.name.as_str(), function.file.as_str());
                let module_name = profile.home_of(id);
                let id = Content::of("function").text(name).text(module_name);
                let build_id = module.map_or_else(String::new, |module| hex(&module.build_id));
                Function { id: id.id(), name, file, module: module_name, build_id }
            })
            .collect();
        let reason = |(id, location): (LocationId, &Location)| match location.kind {
            FrameKind::Reason(reason) => Some((id, reason.to_string())),
            FrameKind::User
            | FrameKind::Kernel
            | FrameKind::Jit
            | FrameKind::Runtime(_)
            | FrameKind::Truncated
            | FrameKind::Lost => None,
        };
        let reasons = profile.locations.iter().enumerate().filter_map(reason).collect();
        let mut first: FxHashMap<i64, FunctionId> = FxHashMap::default();
        let same = functions.iter().enumerate();
        let same = same.map(|(id, function)| *first.entry(function.id).or_insert(id)).collect();
        let (frames, stacks) = (Vec::new(), Vec::new());
        let mut code = Code { profile, functions, same, frames, stacks, reasons };
        code.frames = profile
            .locations
            .iter()
            .enumerate()
            .map(|(id, location)| {
                (0..location.lines.len()).map(|at| code.frame_id(id, at)).collect()
            })
            .collect();
        for node in &profile.stacks {
            let parent = node.parent.map_or((0, 0), |parent| code.stacks[parent]);
            let stack = match code.reasons.contains_key(&node.location) {
                true => parent,
                false => {
                    let frames = &code.frames[node.location];
                    let id = Content::of("stack").number(parent.0.cast_unsigned());
                    let id = frames.iter().rev().fold(id, |id, f| id.number(f.cast_unsigned()));
                    (id.id(), parent.1 + frames.len() as u32)
                }
            };
            code.stacks.push(stack);
        }
        code
    }

    fn frame_id(&self, location: LocationId, at: usize) -> i64 {
        let (location, line) =
            (&self.profile.locations[location], self.profile.locations[location].lines[at]);
        let function = &self.functions[line.function];
        Content::of("frame")
            .number(function.id.cast_unsigned())
            .text(function.file)
            .text(&function.build_id)
            .number(line.line.into())
            .text(kind(location.kind))
            .number(u64::from(at + 1 < location.lines.len()))
            .id()
    }

    /// The id of a stack, without what says why it was taken; `None` if nothing else is
    /// in it.
    pub fn stack_id(&self, stack: Option<StackId>) -> Option<i64> {
        let (id, depth) = self.stacks[stack?];
        (depth > 0).then_some(id)
    }

    /// For each stack, how many come before it if callers come before what they call, and
    /// what has callers in common is together.
    pub fn order(&self) -> Vec<u32> {
        let stacks = &self.profile.stacks;
        // By stack, and last for those without a caller: the first that it called, and
        // the next one that its caller called.
        let mut first = vec![None; stacks.len() + 1];
        let mut next = vec![None; stacks.len()];
        for (id, node) in stacks.iter().enumerate().rev() {
            next[id] = first[node.parent.unwrap_or(stacks.len())].replace(id);
        }
        let mut order = vec![0; stacks.len()];
        let (mut open, mut count) = (vec![first[stacks.len()]], 0);
        while let Some(stack) = open.pop() {
            let Some(stack) = stack else { continue };
            order[stack] = count;
            count += 1;
            open.extend([next[stack], first[stack]]);
        }
        order
    }

    /// Writes stacks of a recording and their frames, each once.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write<W: Write + Send>(
        &self,
        trace: i64,
        seen: impl Iterator<Item = StackId>,
        (stacks, frames): (&mut TableFile<W>, &mut TableFile<W>),
    ) -> Result<(), ParquetError> {
        let (mut written, mut places) = (FxHashSet::default(), FxHashSet::default());
        let mut path: Vec<LocationId> = Vec::new();
        let mut ids: Vec<i64> = Vec::new();
        for stack in seen {
            let Some(id) = self.stack_id(Some(stack)).filter(|id| written.insert(*id)) else {
                continue;
            };
            path.clear();
            path.extend(self.locations_of(stack));
            ids.clear();
            ids.extend(path.iter().rev().flat_map(|&place| self.frames[place].iter().rev()));
            let (depth, leaf) = (ids.len() as u64, ids.last().copied());
            stacks.row(&[
                Cell::Int(trace),
                Cell::Int(id),
                depth.into(),
                leaf.into(),
                Cell::Ids(&ids),
            ])?;
            places.extend(path.iter().copied());
        }
        let mut places: Vec<LocationId> = places.into_iter().collect();
        places.sort_unstable();
        written.clear();
        for place in places {
            let location = &self.profile.locations[place];
            for (at, line) in location.lines.iter().enumerate() {
                let id = self.frames[place][at];
                if !written.insert(id) {
                    continue;
                }
                let function = &self.functions[line.function];
                frames.row(&[
                    Cell::Int(trace),
                    Cell::Int(id),
                    Cell::Int(function.id),
                    Cell::Text(function.name),
                    Cell::Text(function.file),
                    line.line.into(),
                    Cell::Text(function.module),
                    Cell::Text(&function.build_id),
                    Cell::Text(kind(location.kind)),
                    Cell::Flag(at + 1 < location.lines.len()),
                ])?;
            }
        }
        Ok(())
    }

    /// The places of a stack, leaf first, without what says why it was taken.
    pub fn locations_of(&self, stack: StackId) -> impl Iterator<Item = LocationId> {
        let mut next = Some(stack);
        let nodes = std::iter::from_fn(move || {
            let node = self.profile.stacks[next?];
            next = node.parent;
            Some(node.location)
        });
        nodes.filter(|place| !self.reasons.contains_key(place))
    }

    /// The functions of a stack, the innermost first, each as the first one with its id.
    pub fn functions_of(&self, stack: StackId) -> impl Iterator<Item = FunctionId> {
        let lines = self.locations_of(stack).flat_map(|place| &self.profile.locations[place].lines);
        lines.map(|line| self.same[line.function])
    }

    /// Why a stack was taken, if it says so.
    pub fn reason(&self, stack: StackId) -> Option<&str> {
        self.reasons.get(&self.profile.stacks[stack].location).map(String::as_str)
    }
}

/// What a frame is, in a word.
fn kind(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::User => "user",
        FrameKind::Kernel => "kernel",
        FrameKind::Jit => "jit",
        FrameKind::Runtime(_) => "runtime",
        FrameKind::Truncated => "truncated",
        FrameKind::Lost => "lost",
        FrameKind::Reason(_) => "reason",
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
