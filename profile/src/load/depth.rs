//! Cuts stacks that are too deep to be shown, in their middle.
//!
//! Views and exports go through every function of every stack. With stacks that are in
//! each other, a small file has the square of what it defines:
//!
//! ```text
//! main ─► a ─► … ─► z ─► leaf      deeper than the limit
//! main ─► a ─► [frames left out] ─► z ─► leaf
//! ```

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::heap::add_up_equal_sites;
use crate::model::{
    Function, FunctionId, Line, Location, LocationId, Profile, StackId, StackNode, add_up_equal,
};

/// Functions of a stack, at most; a recorder follows 1,024 frames.
const DEEPEST: usize = 4096;
/// What stacks are cut to where there are too many functions, at least.
const SHALLOWEST: usize = 16;
/// Functions of all distinct stacks together that any file may have, and that it may have
/// more for each byte. Four million are an hour of samples of a program that recurses a
/// thousand deep, if it is somewhere else each second.
const FUNCTIONS: (u64, u64) = (1 << 22, 16);
/// What part of the depth functions may have that are inlined into each other.
const INLINED_PART: usize = 8;

/// What stands for what was left out.
const LEFT_OUT: &str = "[frames left out]";

/// Cuts the stacks of a profile that was made of a file of so many bytes, and says so.
pub(super) fn cut(profile: &mut Profile, file_size: u64) {
    let leaves = leaves(profile);
    let most = FUNCTIONS.0 + file_size.saturating_mul(FUNCTIONS.1);
    let mut limit = DEEPEST;
    let depths = loop {
        let depths = depths(profile, limit);
        let sum = leaves.iter().map(|&leaf| depths[leaf].min(limit) as u64).sum::<u64>();
        if sum <= most || limit <= SHALLOWEST {
            break depths;
        }
        limit /= 2;
    };
    let too_deep = leaves.iter().filter(|&&leaf| depths[leaf] > limit).count();
    let inlined = limit / INLINED_PART;
    let too_long = profile.locations.iter().filter(|at| at.lines.len() > inlined).count();
    if too_deep == 0 && too_long == 0 {
        return;
    }
    let function = add_function(profile);
    for location in &mut profile.locations {
        cut_lines(&mut location.lines, inlined, function);
    }
    if too_deep > 0 {
        let line = Line { function, ..Line::default() };
        profile.locations.push(Location { lines: vec![line], ..Location::default() });
        let left_out = profile.locations.len() - 1;
        let cut = Cut::new(profile, &leaves, &depths, limit, left_out);
        cut.apply(profile);
    }
    let notes = [
        (too_deep, format!("{too_deep} stacks of more than {limit} functions")),
        (too_long, format!("{too_long} places with more than {inlined} functions inlined")),
    ];
    let what = notes.into_iter().filter(|(count, _)| *count > 0);
    profile.info.notes.extend(
        what.map(|(_, what)| format!("{what} are without their middle, shown as {LEFT_OUT}")),
    );
}

/// The stacks that anything refers to, ascending.
fn leaves(profile: &Profile) -> Vec<StackId> {
    let timeline = profile.timeline.iter().flatten().filter_map(|sample| sample.stack.get());
    let sites = profile.heap.iter().flat_map(|heap| &heap.sites).filter_map(|site| site.stack);
    let samples = profile.samples.iter().filter_map(|sample| sample.stack);
    let distinct: FxHashSet<StackId> = samples.chain(sites).chain(timeline).collect();
    let mut leaves: Vec<StackId> = distinct.into_iter().collect();
    leaves.sort_unstable();
    leaves
}

/// Functions of each stack if inlined ones are cut to their part of the limit.
fn depths(profile: &Profile, limit: usize) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(profile.stacks.len());
    for node in &profile.stacks {
        let above = node.parent.map_or(0, |parent| depths[parent]);
        let lines = profile.locations[node.location].lines.len();
        depths.push(above + lines.min(limit / INLINED_PART));
    }
    depths
}

fn add_function(profile: &mut Profile) -> FunctionId {
    profile.functions.push(Function { name: LEFT_OUT.to_owned(), ..Function::default() });
    profile.functions.len() - 1
}

/// Leaves out the middle of functions that are inlined into each other.
fn cut_lines(lines: &mut Vec<Line>, limit: usize, left_out: FunctionId) {
    if lines.len() > limit {
        let inner = limit / 2;
        let outer = lines.len() - (limit - inner - 1);
        lines.splice(inner..outer, [Line { function: left_out, ..Line::default() }]);
        lines.shrink_to_fit();
    }
}

/// Stacks without what is too deep.
struct Cut {
    nodes: Vec<StackNode>,
    /// What became of each stack that something refers to.
    now: FxHashMap<StackId, StackId>,
}

impl Cut {
    fn new(
        profile: &Profile,
        leaves: &[StackId],
        depths: &[usize],
        limit: usize,
        left_out: LocationId,
    ) -> Self {
        // The outer half of each stack; all of it, if it is no deeper.
        let mut outer: Vec<Option<StackId>> = Vec::with_capacity(profile.stacks.len());
        for (id, node) in profile.stacks.iter().enumerate() {
            let above = node.parent.and_then(|parent| outer[parent]);
            outer.push(if depths[id] <= limit / 2 { Some(id) } else { above });
        }
        let kept =
            kept(
                profile,
                leaves.iter().filter_map(|&leaf| {
                    if depths[leaf] <= limit { Some(leaf) } else { outer[leaf] }
                }),
            );
        let mut this = Cut { nodes: Vec::new(), now: FxHashMap::default() };
        for (id, node) in profile.stacks.iter().enumerate().filter(|&(id, _)| kept[id]) {
            let parent = node.parent.map(|parent| this.now[&parent]);
            this.now.insert(id, this.nodes.len());
            this.nodes.push(StackNode { parent, location: node.location });
        }
        let mut known: FxHashMap<(Option<StackId>, LocationId), StackId> = FxHashMap::default();
        let mut cut = Vec::new();
        for &leaf in leaves.iter().filter(|&&leaf| depths[leaf] > limit) {
            let mut inner = Vec::new();
            let mut next = Some(leaf);
            // A place has at most a part of the limit, so that the innermost one fits.
            while let Some(id) = next
                && depths[leaf] - depths[id] < limit / 2 - limit / INLINED_PART
                && next != outer[leaf]
            {
                inner.push(profile.stacks[id].location);
                next = profile.stacks[id].parent;
            }
            let mut node = outer[leaf].map(|outer| this.now[&outer]);
            for location in [left_out].into_iter().chain(inner.into_iter().rev()) {
                let new = this.nodes.len();
                let id = *known.entry((node, location)).or_insert(new);
                if id == new {
                    this.nodes.push(StackNode { parent: node, location });
                }
                node = Some(id);
            }
            cut.extend(node.map(|node| (leaf, node)));
        }
        this.now.extend(cut);
        this
    }

    fn apply(self, profile: &mut Profile) {
        let Cut { nodes, now } = self;
        let place = |stack: Option<StackId>| stack.and_then(|stack| now.get(&stack).copied());
        let replace = |stack: &mut Option<StackId>| *stack = place(*stack);
        profile.stacks = nodes;
        profile.samples.iter_mut().for_each(|sample| replace(&mut sample.stack));
        add_up_equal(&mut profile.samples);
        let timeline = profile.timeline.iter_mut().flatten();
        timeline.for_each(|sample| sample.stack = place(sample.stack.get()).into());
        if let Some(heap) = &mut profile.heap {
            heap.sites.iter_mut().for_each(|site| replace(&mut site.stack));
            add_up_equal_sites(&mut heap.sites);
        }
    }
}

/// Which stacks are these, or call them.
fn kept(profile: &Profile, leaves: impl Iterator<Item = StackId>) -> Vec<bool> {
    let mut kept = vec![false; profile.stacks.len()];
    for leaf in leaves {
        let mut next = Some(leaf);
        while let Some(id) = next
            && !kept[id]
        {
            kept[id] = true;
            next = profile.stacks[id].parent;
        }
    }
    kept
}
