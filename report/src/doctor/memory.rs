//! Memory that grows without end, and objects that are freed at once.

use rz_profile::heap::{Heap, Sum};
use rz_profile::model::Profile;

use super::observed::ByFunction;
use super::{Finding, Seen, Severity, Sure};
use crate::render::format::{bytes, count, duration, percent};

/// What grows by less in a recording is lost in what comes and goes.
const LEAK_HINT_BYTES: f64 = (1 << 20) as f64;

/// What grows by more fills a machine within days.
const LEAK_WARNING_BYTES: f64 = (4 << 20) as f64;

/// The share of moments at which there has to be at least as much as at the one before:
/// what comes and goes shrinks at half of them.
const RISING_SHARE: f64 = 0.9;

/// The fewest moments that tell.
const FEWEST_MOMENTS: usize = 8;

/// The part of what was there in the end that has to have come in the second half: what
/// only fills up at the start has none there.
const SECOND_HALF: f64 = 0.25;

/// The part of it that must never have been freed: a program may give all back as it ends.
const LEFT_SHARE: f64 = 0.5;

/// An allocation and its end take about 50 ns: fewer cost below a hundredth of a core.
const TEMPORARY_PER_SECOND: f64 = 200_000.0;

/// The share of allocations that have to be temporary.
const TEMPORARY_SHARE: f64 = 0.5;

/// The function of the program that has most of what is summed up of each place.
fn heaviest(
    seen: &Seen<'_>,
    heap: &Heap,
    of: impl Fn(&rz_profile::heap::Site) -> Sum,
) -> ByFunction {
    let observed = seen.observed;
    let mut places = ByFunction::default();
    for site in &heap.sites {
        if let Some(frame) = observed.own(observed.user_frames(site.stack)) {
            places.add(frame, of(site).bytes.rounded());
        }
    }
    places
}

/// Memory that grows all the time.
pub(super) fn leak(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let Some(heap) = &observed.profile.heap else { return Vec::new() };
    let Some(levels) = levels(observed.profile, heap) else { return Vec::new() };
    let last = levels[levels.len() - 1];
    let (first, middle) = (levels[levels.len() / 4], levels[levels.len() / 2]);
    let rising = levels.windows(2).filter(|pair| pair[1] >= pair[0]).count();
    let is_rising = rising as f64 >= RISING_SHARE * (levels.len() - 1) as f64;
    let growth = last - first;
    let is_left = heap.shown(&heap.total.at_end).bytes.value >= LEFT_SHARE * growth;
    if !is_rising || !is_left || growth < LEAK_HINT_BYTES || last - middle < SECOND_HALF * last {
        return Vec::new();
    }
    // The first quarter, in which a program may fill up, is not in the growth.
    let rate = growth / (0.75 * observed.duration_ns() as f64 / 1e9).max(1e-3);
    let places = heaviest(seen, heap, |site| site.sums.at_end);
    let mut title = format!("Memory grows by {} a second", bytes(rate as u64));
    let mut next = vec![observed.command(&["--heap", "--leaks"])];
    let mut evidence = vec![
        format!(
            "from {} after a quarter of the time to {} at its end, at {} of all moments no less \
             than before",
            bytes(first as u64),
            bytes(last as u64),
            percent(100.0 * rising as f64 / (levels.len() - 1) as f64)
        ),
        format!("a GiB more every {}", duration((1e9 * (1_u64 << 30) as f64 / rate) as u64)),
    ];
    if let Some((function, line, at_end)) = places.heaviest() {
        let place = observed.place(function, line);
        title += &format!(", most of it from {place}");
        evidence.push(format!("{} of {place} were there at the end", bytes(at_end)));
        let focus = observed.focus(function);
        next.push(observed.command(&["--heap", "--tree", "--metric", "live", "--focus", &focus]));
    }
    vec![Finding {
        title,
        rule,
        severity: match growth < LEAK_WARNING_BYTES {
            true => Severity::Hint,
            false => Severity::Warning,
        },
        cost_ns: None,
        cost_bytes: Some(growth as u64),
        evidence,
        sure: Sure::Likely,
        but: Some("a cache that still fills looks the same: record for longer".to_owned()),
        next,
    }]
}

/// How many bytes were there at the end of each slice of the recording's time.
fn levels(profile: &Profile, heap: &Heap) -> Option<Vec<f64>> {
    let live = &heap.live;
    // Of a part of the stacks it is not known.
    if heap.selected.by_stack || live.slices.len() < FEWEST_MOMENTS {
        return None;
    }
    let mut levels: Vec<f64> = live.slices.iter().map(|slice| slice.last).collect();
    // Nothing is there after the end of a process, of which what it left is known.
    if levels.last() == Some(&0.0) {
        levels.truncate(levels.iter().rposition(|level| *level > 0.0)? + 1);
        return (levels.len() >= FEWEST_MOMENTS).then_some(levels);
    }
    // What is there stays until something else is known.
    let end_ns = profile.info.start_ns.saturating_add(profile.info.duration_ns);
    let slices = end_ns.saturating_sub(live.start_ns).checked_div(live.slice_ns)? as usize;
    let last = *levels.last()?;
    levels.resize(levels.len().max(slices.min(2 * levels.len())), last);
    Some(levels)
}

/// Objects that are freed at once, again and again.
pub(super) fn temporary(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let Some(heap) = &observed.profile.heap else { return Vec::new() };
    let temporary = heap.shown(&heap.total.temporary);
    let all = heap.allocations().value;
    // The lower end of what is estimated.
    let objects = temporary.objects.interval().0;
    let share = objects / all.max(1.0);
    let rate = observed.per_second(objects as u64);
    if rate < TEMPORARY_PER_SECOND || share < TEMPORARY_SHARE {
        return Vec::new();
    }
    let mut title = format!("{} objects a second are freed at once", count(rate as u64));
    let mut next = vec![observed.command(&["--heap", "--temporary"])];
    if let Some((function, line, _)) = heaviest(seen, heap, |site| site.sums.temporary).heaviest() {
        title += &format!(", most of them from {}", observed.place(function, line));
        let focus = observed.focus(function);
        next.push(observed.command(&["--focus", &focus, "--tree"]));
    }
    vec![Finding {
        title,
        rule,
        severity: Severity::Hint,
        cost_ns: None,
        cost_bytes: Some(temporary.bytes.rounded()),
        evidence: vec![format!(
            "{} of {} allocations, {} each",
            percent(100.0 * share),
            count(all as u64),
            bytes((temporary.bytes.value / temporary.objects.value.max(1.0)) as u64)
        )],
        sure: Sure::Likely,
        but: Some("how long allocating takes is not recorded: see CPU samples".to_owned()),
        next,
    }]
}
