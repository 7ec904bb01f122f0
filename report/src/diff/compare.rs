//! Compares two sides, step by step.
//!
//! ```text
//! runs ─► call trees ─► one tree ─► sums of both sides ─► values (Scale)
//!                          └► noise ─────────────────────► verdicts
//! ```

use rz_profile::model::{Event, EventId, EventKind, FrameKind, TotalClass, Unit};

use super::{Diff, DiffOptions, FunctionChange, Node, Noise, Run, Side, SideRun};
use crate::diff::change::{Change, Pair};
use crate::diff::explain::{Compared, Explanation, Folded, are_full, explain};
use crate::diff::matching::{Findings, Matched, ScaledTree, match_functions};
use crate::diff::noise::{Items, NoiseOf, RunSamples, between_runs, permutations, within_runs};
use crate::diff::normalize::{Exposure, Per, Scale};
use crate::diff::parts;
use crate::diff::stats;
use crate::diff::sums::{class_of, compare_sums, has_exact, named};
use crate::diff::verdicts::{Confirm, Limits, judge};
use crate::error::ReportError;
use crate::model::calltree::{Amount, CallTree, NodeId, NodeKind, ROOT, Roots, TreeInput};
use crate::model::heap_places::owners;
use crate::model::merged::Merged;
use crate::model::symbols::{SymbolId, Symbols};
use crate::model::top::{FunctionNodes, function_nodes, is_function};
use crate::render::wording::wording;

/// Compares two sides, [matching](crate::diff::matching) functions across builds. If one
/// side has several runs, the run is the unit: what differs between runs of
/// one side is noise. With one run on each, noise is taken from within them.
///
/// # Errors
/// If runs count different things, one does not tell what is to be divided by,
/// a side has no run, or one has only sums and another one only samples.
pub fn compare<'a>(sides: [&[Run<'a>]; 2], options: &DiffOptions) -> Result<Diff<'a>, ReportError> {
    let event = common_event(sides)?;
    let mut symbols = Symbols::default();
    let profiles = sides.map(|runs| runs.iter().map(|run| run.profile).collect::<Vec<_>>());
    let matched = match options.one_trace {
        true => parts::matched(sides, &mut symbols),
        false => match_functions([&profiles[0], &profiles[1]], &options.renames, &mut symbols)?,
    };
    let trees = call_trees(sides, &matched, &mut symbols);
    let described = [0, 1].map(|side| describe(sides[side], side, &trees[side], event, options));
    let class = class_of(event.kind);
    let named_sums = class.and_then(|class| named(sides, class));
    if let (Some(class), None) = (class, &named_sums) {
        check_common_ground(sides, &described, class)?;
    }
    let scale = choose_scale(&described, event, options)?;
    let scaled = [0, 1].map(|side| {
        let one = scale.value(side, 1.0);
        trees[side].iter().map(|tree| (tree, one)).collect::<Vec<ScaledTree<'_>>>()
    });
    let findings = match options.one_trace {
        true => Findings::default(),
        false => Findings::new([&scaled[0], &scaled[1]], &symbols),
    };

    let laid = LaidOver::new(sides, &trees, &scale);
    let mut functions = function_nodes(&laid.merged.tree, is_function);
    let owners = match event.kind {
        EventKind::Alloc => owners(&laid.merged.tree, &symbols),
        _ => (0..laid.merged.tree.nodes.len()).collect(),
    };
    // What only passes allocations on is no row.
    functions.retain(|function| function.all.iter().any(|&node| owners[node] == node));
    let items = Items::new(&laid.merged.tree, &functions, &owners);
    let samples = [&laid.samples[0][..], &laid.samples[1][..]];
    let (noise_of, within) = match samples {
        [[before], [after]] => {
            let (noise, within) = within_runs(&items, [before, after], scale.all);
            (noise, Some(within))
        }
        _ => (between_runs(&items, samples, scale.all), None),
    };
    let [before, after] = [0, 1].map(|side| scale.multiplier * noise_of.value(side, ROOT));
    let least = options.min_effect * if before > 0.0 { before } else { after };
    let confirm = |found: &[usize], level: f64| permutations(&items, samples, found, level);
    let judges = Judges {
        noise: &noise_of,
        limits: Limits { fdr: options.fdr, least, multiplier: scale.multiplier },
        confirm: within.is_none().then_some(&confirm as &Confirm<'_>),
    };
    let nodes = judges.nodes(&laid);
    let rows = judges.rows(&laid, &items, &functions);
    let explanation = explanation(
        &Compared {
            tree: &laid.merged.tree,
            owners: &owners,
            own: &|node| laid.pairs[node].0,
            functions: &functions,
            rows: &rows,
            findings: &findings,
            scale: &scale,
            fdr: options.fdr,
            least,
            full: are_full(sides, &described, scale.per),
        },
        samples,
    );

    let sums = match (named_sums, class) {
        (Some(named), Some(class)) => {
            let own_items = items.families()[1].clone();
            // What the time of a call or a reason does is known by its frame.
            let burst = |name: &str| {
                let item = frame_of(name, &functions, &laid.merged.tree);
                noise_of.excess(item.map_or(ROOT, |index| own_items.start + index))
            };
            Some(compare_sums(named, class, event.kind, &described, options, scale.per, burst)?)
        }
        _ => None,
    };
    let noise = match within {
        Some(within) => Noise::WithinRuns(within),
        None => noise_between(samples.map(<[_]>::len), &rows, options.fdr),
    };
    let mut diff = Diff {
        sides: described,
        event,
        scale,
        work_name: options.work.name.clone(),
        one_trace: options.one_trace,
        noise,
        fdr: options.fdr,
        min_effect: [options.min_effect, least],
        total: nodes[ROOT].total,
        symbols,
        rows,
        sorted_by: options.by,
        nodes,
        explanation,
        sums,
        findings,
        old_names: matched.old_names,
        notes: matched.notes,
    };
    diff.sort_rows();
    Ok(diff)
}

/// The call tree of each run. They begin with processes if any of them does.
fn call_trees(
    sides: [&[Run<'_>]; 2],
    matched: &Matched,
    symbols: &mut Symbols,
) -> [Vec<CallTree>; 2] {
    let of_processes = |run: &Run<'_>| {
        run.event.is_some_and(|event| Roots::of(run.profile, event) == Roots::Processes)
    };
    let several = sides.into_iter().flatten().any(of_processes);
    let roots = if several { Roots::Processes } else { Roots::Functions };
    std::array::from_fn(|side| {
        let tree_of = |(run, functions): (&Run<'_>, &Vec<SymbolId>)| {
            let Run { profile, event, .. } = *run;
            // Without samples there is no event, and no sample has this one.
            let event = event.unwrap_or(EventId::MAX);
            CallTree::top_down(TreeInput { profile, event, functions }, roots, symbols)
        };
        sides[side].iter().zip(&matched.functions[side]).map(tree_of).collect()
    })
}

/// What is to be said of the runs of a side.
fn describe<'a>(
    runs: &[Run<'a>],
    side: usize,
    trees: &[CallTree],
    event: &'a Event,
    options: &DiffOptions,
) -> Side<'a> {
    let work = options.work.of_side(side, runs.len());
    let run = |(index, run): (usize, &Run<'a>)| SideRun {
        name: run.name,
        info: &run.profile.info,
        event: run.event.map_or(event, |id| &run.profile.events[id]),
        total: trees[index].total(),
        counted_ns: run.profile.counted_cpu_ns(),
        threads: run.profile.info.filter.threads.unwrap_or(run.profile.threads.len()),
        work: work.get(index).copied(),
        heap: run.event.and_then(|event| run.profile.heap_of(event)),
    };
    let runs: Vec<SideRun<'a>> = runs.iter().enumerate().map(run).collect();
    let mut total = Amount::default();
    runs.iter().for_each(|run| total.add(run.total));
    Side { runs, total }
}

/// By what values are divided: what was asked for, else work if it is known.
/// What was there at a moment does not grow with time. Of threads, one side may
/// have more than the other.
fn choose_scale(
    sides: &[Side<'_>; 2],
    event: &Event,
    options: &DiffOptions,
) -> Result<Scale, ReportError> {
    let per = match (options.per, sides.iter().all(|side| side.work().is_some())) {
        (Some(per), _) => per,
        (None, true) => Per::Work,
        (None, false) if event.metric.is_some_and(|metric| !metric.is_rate()) => Per::Raw,
        (None, false) if options.own_threads => Per::Thread,
        (None, false) => Per::Wall,
    };
    let is_cpu_time = (event.kind, event.unit) == (EventKind::Cpu, Unit::Nanoseconds);
    let exposures = [0, 1].map(|side| {
        let exposure = |run: &SideRun<'_>| Exposure {
            wall_ns: run.info.looked_at_ns(),
            threads: run.threads,
            weight: run.total.weight,
            exact_weight: run.counted_ns.filter(|_| is_cpu_time),
            work: run.work,
        };
        sides[side].runs.iter().map(exposure).collect()
    });
    let mut scale = Scale::new(per, event, &exposures, &options.work.name)?;
    if (event.kind, event.unit) == (EventKind::Alloc, Unit::Count) {
        scale.count(wording(Some(event)).time);
    }
    Ok(scale)
}

/// The call trees of all runs, one over the other.
struct LaidOver<'a> {
    merged: Merged,
    /// Of each node, what ends there on both sides, and there or below.
    pairs: Vec<(Pair, Pair)>,
    /// The samples of each run, by the nodes they end in.
    samples: [Vec<RunSamples<'a>>; 2],
}

impl<'a> LaidOver<'a> {
    fn new(sides: [&[Run<'a>]; 2], trees: &[Vec<CallTree>; 2], scale: &Scale) -> Self {
        let mut merged = Merged::of(trees.iter().flatten());
        let mut ids = std::mem::take(&mut merged.ids).into_iter();
        let mut pairs = vec![(Pair::default(), Pair::default()); merged.tree.nodes.len()];
        let samples = std::array::from_fn(|side| {
            let runs = sides[side].iter().zip(&scale.exposures[side]);
            let run =
                |((tree, ids), (run, &exposure)): ((&CallTree, Vec<NodeId>), (&Run<'a>, _))| {
                    for (node, &id) in tree.nodes.iter().zip(&ids) {
                        pairs[id].0[side].add(node.self_);
                        pairs[id].1[side].add(node.total);
                    }
                    let leaves = tree.leaves.iter().map(|&leaf| ids[leaf]).collect();
                    RunSamples { profile: run.profile, event: run.event, leaves, exposure }
                };
            trees[side].iter().zip(&mut ids).zip(runs).map(run).collect()
        });
        LaidOver { merged, pairs, samples }
    }

    /// What ends in nodes or below.
    fn total(&self, nodes: &[NodeId]) -> Pair {
        let mut sum = Pair::default();
        for &node in nodes {
            sum.iter_mut().zip(self.pairs[node].1).for_each(|(sum, amount)| sum.add(amount));
        }
        sum
    }
}

/// What explains the comparison. Its places are judged as what they are part of is.
fn explanation(compared: &Compared<'_>, samples: [&[RunSamples<'_>]; 2]) -> Explanation {
    let scale = compared.scale;
    let is_small = |pair: &Pair| {
        let of_side = |side: usize| scale.value(side, pair[side].weight as f64);
        of_side(0) + of_side(1) < compared.least
    };
    let folded = Folded::new(compared.tree, compared.owners, compared.own, is_small);
    let runs = samples.map(|runs| runs.iter().map(|run| folded.samples(run)).collect::<Vec<_>>());
    let samples = [&runs[0][..], &runs[1][..]];
    let owners: Vec<NodeId> = (0..folded.tree.nodes.len()).collect();
    let items = Items::new(&folded.tree, &[], &owners);
    let (noise, several) = match samples {
        [[before], [after]] => (within_runs(&items, [before, after], scale.all).0, false),
        _ => (between_runs(&items, samples, scale.all), true),
    };
    let confirm = |found: &[usize], level: f64| permutations(&items, samples, found, level);
    let confirm = several.then_some(&confirm as &Confirm<'_>);
    let limits = Limits { fdr: compared.fdr, least: compared.least, multiplier: scale.multiplier };
    let total_of = |node: usize| folded.totals[node];
    let mut judged = judge(&noise, ROOT..ROOT + 1, total_of, limits, confirm);
    judged.extend(judge(&noise, ROOT + 1..folded.tree.nodes.len(), total_of, limits, confirm));
    explain(compared, &folded, &judged)
}

/// What changes are judged by.
struct Judges<'j> {
    noise: &'j NoiseOf,
    limits: Limits,
    confirm: Option<&'j Confirm<'j>>,
}

impl Judges<'_> {
    /// Judges all nodes of the tree. The root, which is the total, is tested by
    /// itself.
    fn nodes(&self, laid: &LaidOver<'_>) -> Vec<Node> {
        let Judges { noise, limits, confirm } = *self;
        let total_of = |node: usize| laid.pairs[node].1;
        let others = ROOT + 1..laid.pairs.len();
        let mut changes = judge(noise, ROOT..ROOT + 1, total_of, limits, confirm);
        changes.extend(judge(noise, others, total_of, limits, confirm));
        let nodes = laid.merged.tree.nodes.iter().zip(&laid.pairs).zip(changes);
        let node =
            |((node, pairs), total): ((&crate::model::calltree::Node, &(Pair, Pair)), Change)| {
                Node {
                    symbol: node.symbol,
                    kind: node.kind,
                    inlined: node.how.inlined,
                    parent: node.parent,
                    self_: pairs.0,
                    total,
                }
            };
        nodes.map(node).collect()
    }

    /// Judges all functions, by self and by total.
    fn rows(
        &self,
        laid: &LaidOver<'_>,
        items: &Items<'_>,
        functions: &[FunctionNodes],
    ) -> Vec<FunctionChange> {
        let Judges { noise, limits, confirm } = *self;
        let [_, own, total] = items.families();
        let own_sums = items.own_sums(|node| laid.pairs[node].0);
        let own_of = |item: usize| own_sums[item - own.start];
        let selves = judge(noise, own.clone(), own_of, limits, confirm);
        let total_of = |item: usize| laid.total(&functions[item - total.start].outermost);
        let totals = judge(noise, total.clone(), total_of, limits, confirm);
        let rows = functions.iter().zip(selves).zip(totals);
        rows.map(|((function, self_), total)| FunctionChange {
            symbol: function.symbol,
            self_,
            total,
        })
        .collect()
    }
}

/// Index of the function that stands for a system call, or a reason for which
/// threads wait; `None` for all of them.
fn frame_of(name: &str, functions: &[FunctionNodes], tree: &CallTree) -> Option<usize> {
    functions.iter().position(|function| {
        function.all.first().is_some_and(|&node| match tree.nodes[node].kind {
            NodeKind::Frame(FrameKind::Reason(reason)) => reason.to_string() == name,
            _ => false,
        })
    })
}

/// How noise between so many runs was tested.
fn noise_between(runs: [usize; 2], rows: &[FunctionChange], fdr: f64) -> Noise {
    let tests = rows.iter().filter(|row| row.self_.test.is_some()).count();
    let smallest = stats::permutation::smallest_probability(runs);
    let permuted = smallest <= stats::fdr::level(tests, 0, fdr);
    Noise::BetweenRuns { degrees: runs[0] + runs[1] - 2, permuted }
}

/// What all runs count.
fn common_event<'a>(sides: [&[Run<'a>]; 2]) -> Result<&'a Event, ReportError> {
    for (runs, side) in sides.iter().zip(["before", "after"]) {
        if runs.is_empty() {
            return Err(ReportError::NoRun { side });
        }
    }
    let runs = sides.iter().flat_map(|runs| runs.iter());
    let mut events = runs.filter_map(|run| run.event.map(|id| &run.profile.events[id]));
    // A recording without samples has none of what the others counted.
    let Some(first) = events.next() else { return Ok(&NO_EVENT) };
    let counted = |event: &'a Event| (&event.name, event.unit, event.metric);
    match events.find(|event| counted(event) != counted(first)) {
        None => Ok(first),
        Some(other) => {
            let say = |event: &Event| format!("{} in {}", event.title(), event.unit.name());
            Err(ReportError::DifferentEvents { before: say(first), after: say(other) })
        }
    }
}

/// Refuses to compare sums with samples.
fn check_common_ground(
    sides: [&[Run<'_>]; 2],
    described: &[Side<'_>; 2],
    class: TotalClass,
) -> Result<(), ReportError> {
    for (side, runs) in sides.iter().enumerate() {
        let is_sampled_elsewhere = described[1 - side].total.samples > 0;
        for (run, described) in runs.iter().zip(&described[side].runs) {
            let only_sums = has_exact(run.profile, class) && described.total.samples == 0;
            if only_sums && is_sampled_elsewhere {
                return Err(ReportError::OnlySums { name: run.name.to_owned() });
            }
        }
    }
    Ok(())
}

pub(super) static NO_EVENT: Event = Event {
    kind: EventKind::Cpu,
    name: String::new(),
    unit: Unit::Nanoseconds,
    frequency_hz: 0,
    metric: None,
};
