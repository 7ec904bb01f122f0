//! Compares two sides, of one or more runs each, function by function.
//!
//! ```text
//! runs ─► call trees ─► one tree ─► sums of both sides ─► values (Scale)
//!                          └► noise ─────────────────────► verdicts
//! ```

use rustc_hash::FxHashMap;
use rz_convert::profile::{Event, EventId, EventKind, Info, Profile, TotalClass, Unit};

use crate::calls::SortCalls;
use crate::calltree::{Amount, CallTree, NodeId, NodeKind, ROOT, Roots, Source};
use crate::change::{Change, Pair};
use crate::diff_sums::{SumsDiff, class_of, compare_sums, has_exact, named};
use crate::error::ReportError;
use crate::header::{lost_count, lost_percent};
use crate::matching::{Findings, ScaledTree, match_functions};
use crate::merged::Merged;
use crate::noise::{Items, RunSamples, Within, between_runs, permutations, within_runs};
use crate::normalize::{Exposure, Per, Scale, Work};
use crate::symbols::{SymbolId, Symbols};
use crate::top::{SortBy, function_nodes, is_function};
use crate::verdicts::{Confirm, Limits, judge};

/// A profile to compare, what to call it, and which of its events; `None` if
/// it has no samples.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The profile. Of single runs, [`Profile::timeline`] tells how much chance
    /// there is in it; of several runs on a side, it is not used.
    pub profile: &'a Profile,
    /// What to call it.
    pub name: &'a str,
    /// The event.
    pub event: Option<EventId>,
}

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffOptions {
    /// Whether rows are sorted by the change of self or total.
    pub by: SortBy,
    /// What to divide by; `None`: work if it is known, else wall time.
    pub per: Option<Per>,
    /// How much was done.
    pub work: Work,
    /// What exact sums of waits or system calls are compared by.
    pub sums_by: SortCalls,
    /// Share of false changes among those that are called one, at most.
    pub fdr: f64,
    /// The smallest change of interest, as a share of the total of the first
    /// side.
    pub min_effect: f64,
    /// What functions are called on the two sides: `old=new`.
    pub renames: Vec<String>,
}

impl Default for DiffOptions {
    fn default() -> Self {
        let (by, per, work) = (SortBy::default(), None, Work::default());
        let sums_by = SortCalls::default();
        let renames = Vec::new();
        DiffOptions { by, per, work, sums_by, fdr: 0.05, min_effect: 0.005, renames }
    }
}

/// One run of a side.
#[derive(Debug, Clone)]
pub struct SideRun<'a> {
    /// What to call the trace.
    pub name: &'a str,
    /// Facts about the recording.
    pub info: &'a Info,
    /// The event compared.
    pub event: &'a Event,
    /// All its samples.
    pub total: Amount,
    /// Units of work that it did, if known.
    pub work: Option<f64>,
}

/// One of the two sides.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// Its runs; at least one.
    pub runs: Vec<SideRun<'a>>,
    /// All samples of all runs.
    pub total: Amount,
}

impl Side<'_> {
    /// For how long it was recorded, in all runs together.
    pub fn wall_ns(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.info.duration_ns))
    }

    /// How many samples are missing.
    pub fn lost(&self) -> u64 {
        let lost = |run: &SideRun<'_>| lost_count(run.info, run.event.kind);
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(lost(run)))
    }

    /// The share of due samples that are missing, in percent.
    pub fn lost_percent(&self) -> f64 {
        match &self.runs[..] {
            [run] => lost_percent(run.info, run.event.kind, run.total.samples),
            _ => crate::format::percent_of(
                self.lost(),
                self.total.samples.saturating_add(self.lost()),
            ),
        }
    }

    /// Units of work done in all runs, if known.
    pub fn work(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.work).sum()
    }
}

/// One function on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The function.
    pub symbol: SymbolId,
    /// Samples in which it ran itself.
    pub self_: Change,
    /// Samples in which it was anywhere on the stack.
    pub total: Change,
}

/// One node of the call trees of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Its function.
    pub symbol: SymbolId,
    /// What it stands for.
    pub kind: NodeKind,
    /// Whether it was inlined wherever it was seen.
    pub inlined: bool,
    /// The node above; always a smaller id, except for the root.
    pub parent: NodeId,
    /// Samples that end here.
    pub self_: Pair,
    /// Samples that end here or below.
    pub total: Change,
}

/// What noise was taken from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// How runs of one side differ, with so many degrees of freedom.
    BetweenRuns {
        /// Runs, less one for each side.
        degrees: usize,
        /// Whether single functions were put to a permutation test as well:
        /// there are enough runs for it to prove something.
        permuted: bool,
    },
    /// How the parts of the one run of each side differ. How much one run
    /// differs from the next is not known.
    WithinRuns([Within; 2]),
}

/// Two sides, compared.
#[derive(Debug, Clone)]
pub struct Diff<'a> {
    /// Before and after.
    pub sides: [Side<'a>; 2],
    /// What both counted.
    pub event: &'a Event,
    /// How weights became values.
    pub scale: Scale,
    /// What a unit of work is called, in the plural.
    pub work_name: String,
    /// What noise was taken from.
    pub noise: Noise,
    /// Share of false changes among those that are called one, at most.
    pub fdr: f64,
    /// The smallest change of interest, as a share of the total of the first
    /// side, and in the unit of [`Diff::scale`].
    pub min_effect: [f64; 2],
    /// All samples.
    pub total: Change,
    /// The names of functions.
    pub symbols: Symbols,
    /// Every function of any run: changes first, then the largest difference.
    pub rows: Vec<Row>,
    /// Whether rows are sorted by the change of self or total.
    pub sorted_by: SortBy,
    /// Every node of any call tree; the first one is the root.
    pub nodes: Vec<Node>,
    /// Exact sums of waits or system calls by name, if all runs have them.
    pub sums: Option<SumsDiff>,
    /// Functions that were probably renamed, were inlined, or moved.
    pub findings: Findings,
    /// What the first side calls functions that were said to be renamed.
    pub old_names: FxHashMap<SymbolId, String>,
    /// What a reader should know about how functions were matched.
    pub notes: Vec<String>,
}

/// Compares two sides, [matching](crate::matching) functions across builds. If one
/// side has several runs, the run is the unit: what differs between runs of
/// one side is noise. With one run on each, noise is taken from within them.
///
/// # Errors
/// If runs count different things, one does not tell what is to be divided by,
/// a side has no run, or one has only sums and another one only samples.
pub fn compare<'a>(sides: [&[Run<'a>]; 2], options: &DiffOptions) -> Result<Diff<'a>, ReportError> {
    let event = common_event(sides)?;
    let roots_of = |run: &Run<'_>| run.event.map(|event| Roots::of(run.profile, event));
    let several = sides
        .iter()
        .flat_map(|runs| runs.iter())
        .any(|run| roots_of(run) == Some(Roots::Processes));
    let roots = if several { Roots::Processes } else { Roots::Functions };
    let mut symbols = Symbols::default();
    let profiles = sides.map(|runs| runs.iter().map(|run| run.profile).collect::<Vec<_>>());
    let matched = match_functions([&profiles[0], &profiles[1]], &options.renames, &mut symbols)?;
    let trees: [Vec<CallTree>; 2] = std::array::from_fn(|side| {
        let tree_of = |(run, functions): (&Run<'_>, &Vec<SymbolId>)| {
            let Run { profile, event, .. } = *run;
            // Without samples there is no event, and no sample has this one.
            let event = event.unwrap_or(EventId::MAX);
            CallTree::top_down(Source { profile, event, functions }, roots, &mut symbols)
        };
        sides[side].iter().zip(&matched.functions[side]).map(tree_of).collect()
    });
    let described = [0, 1].map(|side| {
        let work = options.work.of_side(side, sides[side].len());
        let run = |(index, run): (usize, &Run<'a>)| SideRun {
            name: run.name,
            info: &run.profile.info,
            event: run.event.map_or(event, |id| &run.profile.events[id]),
            total: trees[side][index].total(),
            work: work.get(index).copied(),
        };
        let runs: Vec<SideRun<'a>> = sides[side].iter().enumerate().map(run).collect();
        let mut total = Amount::default();
        runs.iter().for_each(|run| total.add(run.total));
        Side { runs, total }
    });
    let class = class_of(event.kind);
    let named_sums = class.and_then(|class| named(sides, class));
    if let (Some(class), None) = (class, &named_sums) {
        check_common_ground(sides, &described, class)?;
    }
    let per = match (options.per, described.iter().all(|side| side.work().is_some())) {
        (Some(per), _) => per,
        (None, true) => Per::Work,
        (None, false) => Per::Wall,
    };
    let exposures = [0, 1].map(|side| {
        let exposure = |run: &SideRun<'_>| Exposure {
            wall_ns: run.info.duration_ns,
            weight: run.total.weight,
            work: run.work,
        };
        described[side].runs.iter().map(exposure).collect()
    });
    let scale = Scale::new(per, event, &exposures, &options.work.name)?;

    let scaled = [0, 1].map(|side| {
        let one = scale.value(side, 1.0);
        trees[side].iter().map(|tree| (tree, one)).collect::<Vec<ScaledTree<'_>>>()
    });
    let findings = Findings::new([&scaled[0], &scaled[1]], &symbols);

    let mut merged = Merged::of(trees.iter().flatten());
    let mut ids = std::mem::take(&mut merged.ids).into_iter();
    let mut node_pairs = vec![(Pair::default(), Pair::default()); merged.tree.nodes.len()];
    let mut samples: [Vec<RunSamples<'a>>; 2] = [Vec::new(), Vec::new()];
    for (side, trees) in trees.iter().enumerate() {
        for ((tree, ids), (index, run)) in
            trees.iter().zip(&mut ids).zip(sides[side].iter().enumerate())
        {
            for (node, &id) in tree.nodes.iter().zip(&ids) {
                node_pairs[id].0[side].add(node.self_);
                node_pairs[id].1[side].add(node.total);
            }
            let leaves = tree.leaves.iter().map(|&leaf| ids[leaf]).collect();
            let exposure = scale.exposures[side][index];
            samples[side].push(RunSamples {
                profile: run.profile,
                event: run.event,
                leaves,
                exposure,
            });
        }
    }
    let functions = function_nodes(&merged.tree, is_function);
    let items = Items::new(&merged.tree, &functions);
    let samples = [&samples[0][..], &samples[1][..]];
    let of_share = per == Per::Share;
    let (noise_of, within) = match samples {
        [[before], [after]] => {
            let (noise, within) = within_runs(&items, [before, after], of_share);
            (noise, Some(within))
        }
        _ => (between_runs(&items, samples, of_share), None),
    };

    let [node_items, own_items, total_items] = items.families();
    let [before, after] = [0, 1].map(|side| scale.multiplier * noise_of.value(side, ROOT));
    let least = options.min_effect * if before > 0.0 { before } else { after };
    let limits = Limits { fdr: options.fdr, least, multiplier: scale.multiplier };
    let confirm = |found: &[usize], level: f64| permutations(&items, samples, found, level);
    let confirm: Option<&Confirm<'_>> = within.is_none().then_some(&confirm as &Confirm<'_>);
    let sum = |nodes: &[NodeId], of: &dyn Fn(NodeId) -> Pair| {
        let mut sum = Pair::default();
        for &node in nodes {
            let pair = of(node);
            sum.iter_mut().zip(pair).for_each(|(sum, amount)| sum.add(amount));
        }
        sum
    };
    let total_of = |node: usize| node_pairs[node].1;
    let total = judge(&noise_of, ROOT..ROOT + 1, total_of, limits, confirm)[0];
    let node_items = ROOT + 1..node_items.end;
    let mut node_changes = vec![total];
    node_changes.extend(judge(&noise_of, node_items, total_of, limits, confirm));
    let own = judge(
        &noise_of,
        own_items.clone(),
        |item| sum(&functions[item - own_items.start].all, &|node| node_pairs[node].0),
        limits,
        confirm,
    );
    let totals = judge(
        &noise_of,
        total_items.clone(),
        |item| sum(&functions[item - total_items.start].outermost, &total_of),
        limits,
        confirm,
    );
    let rows = functions.iter().zip(own).zip(totals);
    let rows: Vec<Row> = rows
        .map(|((function, self_), total)| Row { symbol: function.symbol, self_, total })
        .collect();
    let nodes = merged.tree.nodes.iter().zip(&node_pairs).zip(node_changes);
    let nodes = nodes.map(|((node, pairs), total)| Node {
        symbol: node.symbol,
        kind: node.kind,
        inlined: node.inlined,
        parent: node.parent,
        self_: pairs.0,
        total,
    });
    let nodes = nodes.collect();
    // What the time of a call or a reason does is known by its frame.
    let item_of = |name: &str| {
        let frame = match event.kind {
            EventKind::OffCpu => format!("[off-CPU: {name}]"),
            _ => format!("[syscall: {name}]"),
        };
        let found = functions.iter().position(|f| symbols[f.symbol].name == frame);
        found.map_or(ROOT, |index| own_items.start + index)
    };
    let burst = |name: &str| noise_of.excess(if name.is_empty() { ROOT } else { item_of(name) });
    let sums = match (named_sums, class) {
        (Some(named), Some(class)) => {
            Some(compare_sums(named, class, event.kind, &described, options, per, burst)?)
        }
        _ => None,
    };
    let noise = match within {
        Some(within) => Noise::WithinRuns(within),
        None => {
            let runs = samples.map(<[_]>::len);
            let tests = rows.iter().filter(|row| row.self_.test.is_some()).count();
            let smallest = crate::stats::permutation::smallest_probability(runs);
            let permuted = smallest <= crate::stats::fdr::level(tests, 0, options.fdr);
            Noise::BetweenRuns { degrees: runs[0] + runs[1] - 2, permuted }
        }
    };
    let mut diff = Diff {
        sides: described,
        event,
        scale,
        work_name: options.work.name.clone(),
        noise,
        fdr: options.fdr,
        min_effect: [options.min_effect, least],
        total,
        symbols,
        rows,
        sorted_by: options.by,
        nodes,
        sums,
        findings,
        old_names: matched.old_names,
        notes: matched.notes,
    };
    diff.sort_rows();
    Ok(diff)
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
    match events.find(|event| event.name != first.name || event.unit != first.unit) {
        None => Ok(first),
        Some(other) => {
            let say = |event: &Event| format!("{} in {}", event.name, event.unit.name());
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

static NO_EVENT: Event =
    Event { kind: EventKind::Cpu, name: String::new(), unit: Unit::Nanoseconds, frequency_hz: 0 };

impl Diff<'_> {
    fn sort_rows(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| {
            let changes = |row: &Row| match self.sorted_by {
                SortBy::SelfWeight => [row.self_, row.total],
                SortBy::TotalWeight => [row.total, row.self_],
            };
            let ([a_first, a_second], [b_first, b_second]) = (changes(a), changes(b));
            let size = |change: Change| change.delta().abs();
            let name = |row: &Row| {
                let symbol = &self.symbols[row.symbol];
                (&symbol.name, &symbol.module)
            };
            b_first
                .verdict
                .is_change()
                .cmp(&a_first.verdict.is_change())
                .then_with(|| size(b_first).total_cmp(&size(a_first)))
                .then_with(|| size(b_second).total_cmp(&size(a_second)))
                .then_with(|| name(a).cmp(&name(b)))
        });
        self.rows = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Verdict;
    use crate::fixture::Builder;

    /// A profile of `seconds` at `hz` of a program that keeps one core busy
    /// with ten functions of known shares, sampled at random (with a fixed
    /// seed, so that the test has one outcome).
    fn busy(seconds: u64, hz: u64, seed: u64) -> Profile {
        let mut state = seed;
        let mut counts = [0; 10];
        for _ in 0..seconds * hz {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Shares of 1/55, 2/55, … 10/55.
            let mut point = (state >> 33) % 55;
            let mut function = 0;
            while point > function {
                point -= function + 1;
                function += 1;
            }
            counts[function as usize] += 1;
        }
        let mut builder = Builder::new();
        for (i, count) in counts.into_iter().enumerate() {
            let stack = builder.stack(&["main", &format!("f{i}")]);
            builder.sample(0, stack, count);
        }
        let mut profile = builder.profile;
        profile.info.duration_ns = seconds * 1_000_000_000;
        profile.events[0].frequency_hz = hz as u32;
        profile.samples.iter_mut().for_each(|s| s.weight = s.count * 1_000_000_000 / hz);
        profile
    }

    fn run(profile: &Profile) -> Run<'_> {
        let event = (!profile.samples.is_empty()).then_some(0);
        Run { profile, name: "trace.rz", event }
    }

    fn diff<'a>(before: &'a Profile, after: &'a Profile) -> Diff<'a> {
        compare([&[run(before)], &[run(after)]], &DiffOptions::default()).unwrap()
    }

    #[test]
    fn the_same_load_at_another_rate_and_length_did_not_change() {
        let (before, after) = (busy(30, 99, 1), busy(10, 997, 2));
        let diff = diff(&before, &after);
        let total = diff.total;
        assert!((total.values[0] - 100.0).abs() < 0.1, "{total:?}");
        assert_eq!(total.verdict, Verdict::NoEvidence, "{total:?}");
        assert_eq!(diff.rows.len(), 11);
        for row in &diff.rows {
            let name = &diff.symbols[row.symbol].name;
            for change in [row.self_, row.total] {
                assert!(change.delta().abs() < 2.0, "{name}: {change:?}");
                assert_eq!(change.verdict, Verdict::NoEvidence, "{name}: {change:?}");
            }
        }
    }

    #[test]
    fn a_real_change_stands_out() {
        let before = busy(30, 99, 1);
        let mut after = busy(10, 997, 2);
        // f9 takes half as long again; nothing else changes.
        let grown = after.samples.last_mut().unwrap();
        (grown.count, grown.weight) = (grown.count * 3 / 2, grown.weight / 2 * 3);
        let diff = diff(&before, &after);
        let row = &diff.rows[0];
        assert_eq!(diff.symbols[row.symbol].name, "f9");
        let change = row.self_;
        assert!((change.delta() - 1000.0 / 55.0 / 2.0).abs() < 2.0, "{change:?}");
        assert_eq!(change.verdict, Verdict::More, "{change:?}");
        let test = change.test.unwrap();
        assert!(test.interval[0] > 0.0 && test.detectable < change.delta(), "{test:?}");
    }

    #[test]
    fn new_and_gone_functions_are_kept() {
        let before = Builder::of(&[("main;a", 100), ("main;old;x", 50)]);
        let after = Builder::of(&[("main;a", 100), ("main;new;x", 30)]);
        let diff = diff(&before, &after);
        let rows: Vec<_> = diff
            .rows
            .iter()
            .map(|row| {
                let counts = [row.self_.amounts, row.total.amounts].concat();
                let counts: [Amount; 4] = counts.try_into().unwrap();
                (diff.symbols[row.symbol].name.as_str(), counts.map(|amount| amount.samples))
            })
            .collect();
        let expected = [
            ("x", [50, 30, 50, 30]),
            ("old", [0, 0, 50, 0]),
            ("new", [0, 0, 0, 30]),
            ("main", [0, 0, 150, 130]),
            ("a", [100, 100, 100, 100]),
        ];
        assert_eq!(rows, expected);
        let paths = diff.nodes.iter().filter(|n| diff.symbols[n.symbol].name == "x").count();
        assert_eq!(paths, 2);
        let total: u64 = diff.nodes.iter().map(|node| node.self_[0].samples).sum();
        assert_eq!(total, 150);
    }

    /// Values come from sums over parts, amounts from call trees.
    #[test]
    fn values_are_normalised_amounts() {
        let stacks =
            [("main;f;g;f", 7), ("main;f;f;f", 3), ("[truncated];g;f", 5), ("main;h_[i]", 2)];
        let before = Builder::of(&stacks);
        let after = Builder::of(&[("main;f;g;f", 4), ("main;new;g", 9)]);
        for runs in [1, 2] {
            let sides = [vec![run(&before); runs], vec![run(&after); runs]];
            let diff = compare([&sides[0], &sides[1]], &DiffOptions::default()).unwrap();
            let rows = diff.rows.iter().flat_map(|row| [row.self_, row.total]);
            for change in rows.chain(diff.nodes.iter().map(|node| node.total)) {
                for side in 0..2 {
                    let expected = diff.scale.value(side, change.amounts[side].weight as f64);
                    assert!((change.values[side] - expected).abs() < 1e-9, "{change:?}");
                }
            }
        }
    }

    #[test]
    fn rebuilt_functions_match() {
        let before = Builder::of(&[("main;parse.constprop.0", 10)]);
        let after = Builder::of(&[("main;parse", 10)]);
        let diff = diff(&before, &after);
        assert_eq!(diff.rows.len(), 2);
        assert!(diff.rows.iter().all(|row| row.self_.delta() == 0.0));
    }

    #[test]
    fn a_recording_without_samples_compares() {
        let (idle, busy) = (Builder::new().profile, Builder::of(&[("main", 100)]));
        let check = |before, after, expected, verdict| {
            for per in [Per::Wall, Per::Raw, Per::Share] {
                let options = DiffOptions { per: Some(per), ..DiffOptions::default() };
                let diff = compare([&[run(before)], &[run(after)]], &options).unwrap();
                if per == Per::Wall {
                    assert_eq!(diff.total.delta().round(), expected);
                }
                if per != Per::Share {
                    assert_eq!(diff.total.verdict, verdict, "{:?}", diff.total);
                }
            }
        };
        check(&idle, &busy, 10.0, Verdict::New);
        check(&busy, &idle, -10.0, Verdict::Gone);
        check(&idle, &idle, 0.0, Verdict::NoEvidence);
    }

    #[test]
    fn what_has_no_common_scale_is_refused() {
        let before = Builder::of(&[("main", 1)]);
        let mut after = before.clone();
        after.events[0] = Event {
            name: "cycles".into(),
            unit: Unit::Cycles,
            frequency_hz: 100,
            ..NO_EVENT.clone()
        };
        let error = |after: &Profile| {
            let sides = [&[run(&before)][..], &[run(after)]];
            compare(sides, &DiffOptions::default()).unwrap_err().to_string()
        };
        assert_eq!(
            error(&after),
            "cannot compare cpu-clock in nanoseconds with cycles in cycles: the traces count different things"
        );
        let mut after = before.clone();
        after.info.duration_ns = 0;
        assert_eq!(error(&after), "cannot compare: the after trace has no recorded duration");
    }
}
