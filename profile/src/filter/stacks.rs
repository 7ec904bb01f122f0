//! Selects and changes the stacks of a finished profile.

use super::rewrite::Rewriter;
use super::{Filter, Pattern, heap};
use crate::model::{
    Calls, FrameKind, Function, FunctionId, Location, Profile, StackId, TotalClass, add_up_equal,
};

/// What becomes of stacks.
pub(crate) struct Stacks {
    /// By the old stack: what takes its place, if it is not left out.
    new: Vec<Option<StackId>>,
    /// Whether what has no stack stays.
    keeps_none: bool,
}

impl Stacks {
    /// What takes the place of a stack, which may be none; `None` if it is
    /// left out.
    pub(crate) fn of(&self, old: Option<StackId>) -> Option<Option<StackId>> {
        match old {
            Some(old) => self.new[old].map(Some),
            None => self.keeps_none.then_some(None),
        }
    }
}

/// Applies what a filter says of stacks; the rest is done while loading. Gives what
/// became of stacks, if anything did.
pub(crate) fn apply(profile: &mut Profile, filter: &Filter) -> Option<Stacks> {
    if !filter.by_stack() {
        return None;
    }
    let stacks = select(profile, filter);
    profile.samples.retain_mut(|sample| {
        let new = stacks.of(sample.stack);
        sample.stack = new.flatten();
        new.is_some()
    });
    add_up_equal(&mut profile.samples);
    if let Some(timeline) = &mut profile.timeline {
        timeline.retain_mut(|sample| {
            let new = stacks.of(sample.stack.get());
            sample.stack = new.flatten().into();
            new.is_some()
        });
    }
    if let Some(found) = &mut profile.heap {
        heap::apply(found, &stacks, profile.threads.as_slice(), filter.drops_stacks());
    }
    if filter.drops_stacks() {
        leave_out_sums(profile);
    }
    Some(stacks)
}

/// What has no stack cannot be selected by its stack.
fn leave_out_sums(profile: &mut Profile) {
    for class in [TotalClass::Waits, TotalClass::Calls, TotalClass::IoUring] {
        let any = profile.totals.iter().any(|total| total.class == class);
        if any && !profile.inexact.contains(&class) {
            profile.inexact.push(class);
        }
    }
    profile.totals.clear();
    profile.open_waits.clear();
    profile.calls = Calls::default();
}

/// Finds out what becomes of each stack, and makes the new ones.
fn select(profile: &mut Profile, filter: &Filter) -> Stacks {
    let focused = with_function(profile, &filter.focus);
    let ignored = with_function(profile, &filter.ignore);
    let is_left = |stack: StackId| {
        (filter.focus.is_empty() || focused[stack]) && !ignored.get(stack).is_some_and(|&i| i)
    };
    let keeps_none = filter.focus.is_empty() && !filter.by_code();
    let count = profile.stacks.len();
    if !filter.by_code() && !filter.collapse_recursion {
        let new = (0..count).map(|stack| is_left(stack).then_some(stack)).collect();
        return Stacks { new, keeps_none };
    }
    let is_kept = modules(profile, filter);
    let in_file = files(profile, filter);
    let is_looked_at = |location: &Location| {
        let is_of_runtime = match location.kind {
            FrameKind::Runtime(runtime) => {
                let mut only = filter.only_runtimes.iter();
                filter.only_runtimes.is_empty() || only.any(|named| named.is(runtime))
            }
            _ => filter.only_runtimes.is_empty() && !filter.without_native,
        };
        let is_of_module = match location.module {
            Some(module) => is_kept[module],
            None if filter.only_modules.is_empty() => true,
            None => is_runtime(location.kind) && location.lines.iter().any(|l| in_file[l.function]),
        };
        is_of_runtime && is_of_module && !is_note(location.kind)
    };
    let has_code = with_location(profile, is_looked_at);
    // What is no code says why there is no more of it.
    let keeps =
        |location: &Location| !filter.by_code() || is_note(location.kind) || is_looked_at(location);
    let mut rewriter = Rewriter::new(profile, keeps, filter.collapse_recursion);
    let mut new = |stack: StackId| {
        let left = is_left(stack) && (!filter.by_code() || has_code[stack]);
        left.then(|| rewriter.stack(stack)).flatten()
    };
    Stacks { new: (0..count).map(&mut new).collect(), keeps_none }
}

/// Whether a frame is no code.
fn is_note(kind: FrameKind) -> bool {
    matches!(kind, FrameKind::Truncated | FrameKind::Lost | FrameKind::Reason(_))
}

/// Whether a frame is of a runtime, whose code is in source files, not modules.
fn is_runtime(kind: FrameKind) -> bool {
    matches!(kind, FrameKind::Runtime(_))
}

/// Whether the source file of each function is looked at.
fn files(profile: &Profile, filter: &Filter) -> Vec<bool> {
    let is_kept = |(id, function): (FunctionId, &Function)| {
        let file = function.file.as_str();
        let name = file.rsplit('/').next().unwrap_or(file);
        let names = [name, profile.home_of(id), file];
        filter.only_modules.iter().any(|glob| names.iter().any(|name| glob.matches(name)))
    };
    profile.functions.iter().enumerate().map(is_kept).collect()
}

/// Whether each module is looked at.
fn modules(profile: &Profile, filter: &Filter) -> Vec<bool> {
    let is_kept = |module: &crate::model::Module| {
        let mut globs = filter.only_modules.iter();
        let matches = globs.any(|glob| glob.matches(&module.name) || glob.matches(&module.path));
        filter.only_modules.is_empty() || matches
    };
    profile.modules.iter().map(is_kept).collect()
}

/// Whether each stack has a function whose name matches any of these.
fn with_function(profile: &Profile, patterns: &[Pattern]) -> Vec<bool> {
    if patterns.is_empty() {
        return Vec::new();
    }
    let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let matching: Vec<bool> = profile.functions.iter().map(|f| matches(&f.name)).collect();
    with_location(profile, |location| location.lines.iter().any(|line| matching[line.function]))
}

/// Whether each stack has a location of which something is true.
fn with_location(profile: &Profile, is_one: impl Fn(&Location) -> bool) -> Vec<bool> {
    let of_location: Vec<bool> = profile.locations.iter().map(is_one).collect();
    let mut of_stack: Vec<bool> = Vec::with_capacity(profile.stacks.len());
    for node in &profile.stacks {
        of_stack.push(of_location[node.location] || node.parent.is_some_and(|p| of_stack[p]));
    }
    of_stack
}
