//! Puts stacks together of what functions cost, and what their calls of others did.
//!
//! Such profiles have no stacks. Each function is taken to cost the same whoever calls it; what
//! it cost by itself stays exact. What cannot be told, as within recursion, is the function's
//! without callers.

use rustc_hash::FxHashMap;
use rz_format::{Frame, Sample, StackId, TruncatedReason};

use super::ImportError;
use super::functions::{Function, Functions};
use super::output::Output;

/// Functions and calls of one by another, each, at most.
pub(super) const MAX_ENTRIES: usize = 1 << 22;
/// Stacks that are put together, at most.
const MAX_STACKS: usize = 200_000;
/// Functions within each other, at most.
const MAX_DEPTH: usize = 1024;
/// A path with a smaller share of everything is not followed.
const SMALLEST_SHARE: f64 = 1e-7;

/// Costs, one for each event.
type Costs = Box<[u64]>;

/// What functions cost by themselves, and what they spent on calls of others.
#[derive(Debug, Default)]
pub(super) struct CallGraph {
    /// How many kinds of cost there are.
    events: usize,
    functions: Vec<Function>,
    by_function: FxHashMap<Function, usize>,
    own: Vec<Costs>,
    /// What calls cost in all, by caller and called.
    calls: FxHashMap<(usize, usize), Costs>,
}

impl CallGraph {
    /// One with so many kinds of cost.
    pub(super) fn with_events(events: usize) -> Self {
        CallGraph { events, ..CallGraph::default() }
    }

    /// The number of a function.
    pub(super) fn function(&mut self, function: Function) -> Result<usize, ImportError> {
        if let Some(index) = self.by_function.get(&function) {
            return Ok(*index);
        }
        let index = self.functions.len();
        if index >= MAX_ENTRIES {
            return Err(ImportError::TooMany("functions"));
        }
        self.functions.push(function.clone());
        self.own.push(vec![0; self.events].into());
        self.by_function.insert(function, index);
        Ok(index)
    }

    /// Adds to what a function cost by itself.
    pub(super) fn add_own(&mut self, function: usize, costs: &[u64]) {
        add(&mut self.own[function], costs);
    }

    /// Adds to what calls cost, with all that was called below them.
    pub(super) fn add_call(
        &mut self,
        caller: usize,
        called: usize,
        costs: &[u64],
    ) -> Result<(), ImportError> {
        if self.calls.len() >= MAX_ENTRIES {
            return Err(ImportError::TooMany("calls"));
        }
        let none = || vec![0; self.events].into();
        add(self.calls.entry((caller, called)).or_insert_with(none), costs);
        Ok(())
    }

    /// Whether nothing cost anything.
    pub(super) fn is_empty(&self) -> bool {
        self.own.iter().flatten().all(|cost| *cost == 0)
    }

    /// Writes samples of all costs; events have numbers from 0 on.
    pub(super) fn write(&self, thread: u32, out: &mut Output) -> Result<(), ImportError> {
        let mut functions = Functions::default();
        let frames = self.functions.iter().map(|f| functions.frame(f.clone(), out)).collect();
        Stacks { graph: self, frames, told: Vec::new(), thread }.write(out)
    }
}

fn add(sums: &mut Costs, costs: &[u64]) {
    for (sum, cost) in sums.iter_mut().zip(costs) {
        *sum = sum.saturating_add(*cost);
    }
}

/// Puts stacks together.
struct Stacks<'p> {
    graph: &'p CallGraph,
    frames: Vec<Frame>,
    /// What functions cost in the stacks that were written.
    told: Vec<Costs>,
    thread: u32,
}

/// A function that is called in some way, and the share of its cost that this has.
struct Path {
    function: usize,
    stack: Option<StackId>,
    share: f64,
    /// How many functions it is in.
    depth: usize,
}

impl Stacks<'_> {
    fn write(&mut self, out: &mut Output) -> Result<(), ImportError> {
        let graph = self.graph;
        let count = graph.functions.len();
        self.told = vec![vec![0; graph.events].into(); count];
        // The first event decides how costs are shared.
        let first = |costs: &Costs| costs.first().copied().unwrap_or(0) as f64;
        let mut called: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
        let mut by_callers = vec![0.0; count];
        for (&(caller, callee), costs) in &graph.calls {
            if caller != callee {
                called[caller].push((callee, first(costs)));
                by_callers[callee] += first(costs);
            }
        }
        called.iter_mut().for_each(|callees| callees.sort_by_key(|(callee, _)| *callee));
        let all: f64 = graph.own.iter().map(first).sum();
        let inclusive: Vec<f64> = (0..count)
            .map(|function| {
                let calls: f64 = called[function].iter().map(|(_, cost)| cost).sum();
                first(&graph.own[function]) + calls
            })
            .collect();
        // What nobody called, or was not called for all that it cost.
        let mut roots: Vec<Path> = (0..count)
            .filter_map(|function| {
                let left = inclusive[function] - by_callers[function];
                let share = (left / inclusive[function]).min(1.0);
                (share > 1e-9).then_some(Path { function, stack: None, share, depth: 0 })
            })
            .collect();
        roots.reverse();
        let mut paths = roots;
        let mut on_path: Vec<usize> = Vec::new();
        let mut written = 0;
        while let Some(Path { function, stack: caller, share, depth }) = paths.pop() {
            on_path.truncate(depth);
            let stack = Some(out.stack(caller, self.frames[function]));
            self.add(function, stack, share, out)?;
            written += 1;
            if written >= MAX_STACKS || depth >= MAX_DEPTH {
                continue;
            }
            on_path.push(function);
            for &(callee, cost) in &called[function] {
                let cost = cost * share;
                let is_small = cost < all * SMALLEST_SHARE;
                if !is_small && !on_path.contains(&callee) {
                    let share = cost / inclusive[callee].max(by_callers[callee]).max(1.0);
                    let depth = depth + 1;
                    paths.push(Path { function: callee, stack, share, depth });
                }
            }
        }
        // All else, so that nothing is missing.
        for function in 0..count {
            let own = self.graph.own[function].iter();
            let left: Costs = own.zip(&self.told[function]).map(|(all, told)| all - told).collect();
            if left.iter().any(|cost| *cost > 0) {
                let caller = out.stack(None, Frame::Truncated(TruncatedReason::Unknown));
                let stack = Some(out.stack(Some(caller), self.frames[function]));
                self.emit(stack, &left, out)?;
            }
        }
        Ok(())
    }

    /// Adds a share of what a function cost by itself.
    fn add(
        &mut self,
        function: usize,
        stack: Option<StackId>,
        share: f64,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let own = self.graph.own[function].iter().zip(&mut self.told[function]);
        let costs: Costs = own
            .map(|(&own, told)| {
                let cost = ((own as f64 * share).round() as u64).min(own - *told);
                *told += cost;
                cost
            })
            .collect();
        self.emit(stack, &costs, out)
    }

    fn emit(
        &self,
        stack: Option<StackId>,
        costs: &Costs,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        for (event, &weight) in (0..).zip(costs) {
            if weight > 0 {
                let thread = self.thread;
                out.sample(Sample { event, thread, stack, weight, ..Sample::default() })?;
            }
        }
        Ok(())
    }
}
