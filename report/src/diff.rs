//! Compares two recordings per second of wall time, function by function.
//!
//! Recordings differ in length and rate, so neither samples nor shares can be
//! compared: a share changes whenever anything else does. What is compared is
//! weight per second of wall time; for CPU time that is the number of cores a
//! function kept busy. A change that chance alone explains is marked as
//! [noise](crate::change::Change::is_noise).

use rustc_hash::FxHashMap;
use rz_convert::profile::{Event, EventId, EventKind, Info, Profile, TotalClass, Unit};

use crate::calltree::{Amount, CallTree, NodeId, NodeKind, ROOT, Roots, Source};
use crate::change::{Change, Exposure, Pair};
use crate::diff_sums::{SumRow, class_of, compare_sums, has_exact};
use crate::error::ReportError;
use crate::matching::match_functions;
use crate::symbols::{SymbolId, Symbols};
use crate::top::{self, SortBy};

/// One of the two recordings.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// What to call the trace.
    pub name: &'a str,
    /// Facts about the recording.
    pub info: &'a Info,
    /// The event compared.
    pub event: &'a Event,
    /// All its samples.
    pub total: Amount,
}

/// One function in both recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The function.
    pub symbol: SymbolId,
    /// Samples in which it ran itself.
    pub self_: Pair,
    /// Samples in which it was anywhere on the stack.
    pub total: Pair,
}

/// One node of both call trees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Its function.
    pub symbol: SymbolId,
    /// What it stands for.
    pub kind: NodeKind,
    /// Whether it was inlined in both recordings.
    pub inlined: bool,
    /// The node above; always a smaller id, except for the root.
    pub parent: NodeId,
    /// Samples that end here.
    pub self_: Pair,
    /// Samples that end here or below.
    pub total: Pair,
}

/// Two recordings, compared.
#[derive(Debug, Clone)]
pub struct Diff<'a> {
    /// The first recording.
    pub before: Side<'a>,
    /// The second recording.
    pub after: Side<'a>,
    /// The names of functions.
    pub symbols: Symbols,
    /// Every function of either recording, the largest change first.
    pub rows: Vec<Row>,
    /// Whether rows are sorted by the change of self or total.
    pub sorted_by: SortBy,
    /// Every node of either call tree; the first one is the root.
    pub nodes: Vec<Node>,
    /// Exact sums of waits or system calls by name, if both recordings have
    /// them.
    pub sums: Option<Vec<SumRow>>,
}

/// A profile to compare, what to call it, and which of its events.
pub type Input<'a> = (&'a Profile, &'a str, Option<EventId>);

/// Compares two recordings, [matching](crate::matching) functions across builds.
/// Rows are sorted by the size of the change of self or total.
///
/// # Errors
/// If they count different things, one does not say for how long it recorded,
/// or one has only sums and the other one only samples.
pub fn compare<'a>(
    before: Input<'a>,
    after: Input<'a>,
    by: SortBy,
) -> Result<Diff<'a>, ReportError> {
    let event = |(profile, _, id): Input<'a>| id.map(|id| &profile.events[id]);
    let (first_event, second_event) = (event(before), event(after));
    check_comparable(before.0, first_event, after.0, second_event)?;

    let roots_of = |(profile, _, event): Input<'_>| {
        event.map_or(Roots::Functions, |event| Roots::of(profile, event))
    };
    let several = [before, after].map(roots_of).contains(&Roots::Processes);
    let roots = if several { Roots::Processes } else { Roots::Functions };
    let mut symbols = Symbols::default();
    let matched = match_functions([&[before.0], &[after.0]], &[], &mut symbols)?;
    let mut tree_of = |(profile, _, event): Input<'_>, functions: &[SymbolId]| {
        // Without samples there is no event, and no sample has this one.
        let event = event.unwrap_or(EventId::MAX);
        CallTree::top_down(Source { profile, event, functions }, roots, &mut symbols)
    };
    let [first, second] = &matched.functions;
    let (first_tree, second_tree) = (tree_of(before, &first[0]), tree_of(after, &second[0]));
    // A recording without samples has none of what the other one counted.
    let any_event = first_event.or(second_event).unwrap_or(&NO_EVENT);
    let side = |(profile, name, _): Input<'a>, event: Option<&'a Event>, tree: &CallTree| Side {
        name,
        info: &profile.info,
        event: event.unwrap_or(any_event),
        total: tree.total(),
    };
    let class = class_of(any_event.kind);
    let sums = class.and_then(|class| compare_sums(before.0, after.0, class));
    if let (Some(class), None) = (class, &sums) {
        check_common_ground([before, after], [&first_tree, &second_tree], class)?;
    }
    let mut diff = Diff {
        sums,
        before: side(before, first_event, &first_tree),
        after: side(after, second_event, &second_tree),
        rows: merge_rows(&first_tree, &second_tree),
        nodes: merge_nodes(&first_tree, &second_tree).nodes,
        sorted_by: by,
        symbols,
    };
    diff.sort_rows();
    Ok(diff)
}

/// Refuses to compare sums with samples.
fn check_common_ground(
    inputs: [Input<'_>; 2],
    trees: [&CallTree; 2],
    class: TotalClass,
) -> Result<(), ReportError> {
    for (index, (profile, name, _)) in inputs.into_iter().enumerate() {
        let other = trees[1 - index].total().samples;
        if has_exact(profile, class) && trees[index].total().samples == 0 && other > 0 {
            return Err(ReportError::OnlySums { name: name.to_owned() });
        }
    }
    Ok(())
}

static NO_EVENT: Event =
    Event { kind: EventKind::Cpu, name: String::new(), unit: Unit::Nanoseconds, frequency_hz: 0 };

fn check_comparable(
    before: &Profile,
    before_event: Option<&Event>,
    after: &Profile,
    after_event: Option<&Event>,
) -> Result<(), ReportError> {
    if let (Some(a), Some(b)) = (before_event, after_event)
        && (a.name != b.name || a.unit != b.unit)
    {
        let say = |event: &Event| format!("{} in {}", event.name, event.unit.name());
        return Err(ReportError::DifferentEvents { before: say(a), after: say(b) });
    }
    for (profile, side) in [(before, "before"), (after, "after")] {
        if profile.info.duration_ns == 0 {
            return Err(ReportError::NoDuration { side });
        }
    }
    Ok(())
}

impl Diff<'_> {
    /// How a pair changed, per nanosecond of wall time.
    pub fn change(&self, pair: Pair) -> Change {
        let exposure = |side: &Side<'_>| Exposure::new(side.info.duration_ns, side.total);
        Change::new(pair, exposure(&self.before), exposure(&self.after))
    }

    /// The totals of both sides, compared.
    pub fn total(&self) -> Change {
        self.change(Pair { before: self.before.total, after: self.after.total })
    }

    fn sort_rows(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| {
            let size = |row: &Row| {
                let [own, total] =
                    [row.self_, row.total].map(|pair| self.change(pair).delta().abs());
                match self.sorted_by {
                    SortBy::SelfWeight => [own, total],
                    SortBy::TotalWeight => [total, own],
                }
            };
            let ([a_first, a_second], [b_first, b_second]) = (size(a), size(b));
            let name = |row: &Row| {
                let symbol = &self.symbols[row.symbol];
                (&symbol.name, &symbol.module)
            };
            b_first
                .total_cmp(&a_first)
                .then_with(|| b_second.total_cmp(&a_second))
                .then_with(|| name(a).cmp(&name(b)))
        });
        self.rows = rows;
    }
}

fn merge_rows(before: &CallTree, after: &CallTree) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut index_of: FxHashMap<SymbolId, usize> = FxHashMap::default();
    let mut row_of = |rows: &mut Vec<Row>, symbol| {
        *index_of.entry(symbol).or_insert_with(|| {
            rows.push(Row { symbol, self_: Pair::default(), total: Pair::default() });
            rows.len() - 1
        })
    };
    for row in top::functions(before) {
        let index = row_of(&mut rows, row.symbol);
        rows[index].self_.before = row.self_;
        rows[index].total.before = row.total;
    }
    for row in top::functions(after) {
        let index = row_of(&mut rows, row.symbol);
        rows[index].self_.after = row.self_;
        rows[index].total.after = row.total;
    }
    rows
}

/// The nodes of two trees as one.
pub(crate) struct Merged {
    /// Every node of either; the first one is the root.
    pub nodes: Vec<Node>,
    /// For each tree, which of them each of its nodes has become.
    pub ids: [Vec<NodeId>; 2],
}

pub(crate) fn merge_nodes(before: &CallTree, after: &CallTree) -> Merged {
    let mut ids = [Vec::new(), Vec::new()];
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: FxHashMap<(NodeId, SymbolId, NodeKind), NodeId> = FxHashMap::default();
    for (tree, is_after) in [(before, false), (after, true)] {
        // Parents come before their children, so theirs are known by then.
        let mut merged: Vec<NodeId> = Vec::with_capacity(tree.nodes.len());
        for (id, node) in tree.nodes.iter().enumerate() {
            let parent = if id == ROOT { ROOT } else { merged[node.parent] };
            let new = *known.entry((parent, node.symbol, node.kind)).or_insert_with(|| {
                nodes.push(Node {
                    symbol: node.symbol,
                    kind: node.kind,
                    inlined: node.inlined,
                    parent,
                    self_: Pair::default(),
                    total: Pair::default(),
                });
                nodes.len() - 1
            });
            let target = &mut nodes[new];
            target.inlined &= node.inlined;
            if is_after {
                (target.self_.after, target.total.after) = (node.self_, node.total);
            } else {
                (target.self_.before, target.total.before) = (node.self_, node.total);
            }
            merged.push(new);
        }
        ids[usize::from(is_after)] = merged;
    }
    Merged { nodes, ids }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::NOISE_LIMIT;
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

    fn diff<'a>(before: &'a Profile, after: &'a Profile) -> Diff<'a> {
        compare((before, "before.rz", Some(0)), (after, "after.rz", Some(0)), SortBy::SelfWeight)
            .unwrap()
    }

    #[test]
    fn the_same_load_at_another_rate_and_length_did_not_change() {
        let (before, after) = (busy(30, 99, 1), busy(10, 997, 2));
        let diff = diff(&before, &after);
        let total = diff.total();
        assert!((total.before - 1.0).abs() < 0.001, "{total:?}");
        assert!(total.is_noise(NOISE_LIMIT), "{total:?}");
        assert_eq!(diff.rows.len(), 11);
        for row in &diff.rows {
            let change = diff.change(row.self_);
            let name = &diff.symbols[row.symbol].name;
            assert!(change.delta().abs() < 0.02, "{name}: {change:?}");
            assert!(change.is_noise(3.0), "{name}: {change:?}");
        }
        let beyond = |row: &&Row| !diff.change(row.self_).is_noise(NOISE_LIMIT);
        assert!(diff.rows.iter().filter(beyond).count() <= 1);
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
        let change = diff.change(row.self_);
        assert!((change.delta() - 10.0 / 55.0 / 2.0).abs() < 0.02, "{change:?}");
        assert!(!change.is_noise(3.0), "{change:?}");
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
                let (own, total) = (row.self_, row.total);
                let counts = [own.before, own.after, total.before, total.after];
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
        let total: u64 = diff.nodes.iter().map(|node| node.self_.before.samples).sum();
        assert_eq!(total, 150);
    }

    #[test]
    fn rebuilt_functions_match() {
        let before = Builder::of(&[("main;parse.constprop.0", 10)]);
        let after = Builder::of(&[("main;parse", 10)]);
        let diff = diff(&before, &after);
        assert_eq!(diff.rows.len(), 2);
        assert!(diff.rows.iter().all(|row| diff.change(row.self_).delta() == 0.0));
    }

    #[test]
    fn a_recording_without_samples_compares() {
        let (idle, busy) = (Builder::new().profile, Builder::of(&[("main", 100)]));
        let (idle, busy) = ((&idle, "idle.rz", None), (&busy, "busy.rz", Some(0)));
        let total = |before, after| {
            let diff = compare(before, after, SortBy::SelfWeight).unwrap();
            (diff.total().delta() * 1000.0).round()
        };
        assert_eq!(total(idle, busy), 100.0);
        assert_eq!(total(busy, idle), -100.0);
        assert_eq!(total(idle, idle), 0.0);
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
            let after = (after, "after.rz", Some(0));
            compare((&before, "before.rz", Some(0)), after, SortBy::SelfWeight)
                .unwrap_err()
                .to_string()
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
