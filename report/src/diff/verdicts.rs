//! Says of many changes at once which are more than noise.

use std::ops::Range;

use crate::diff::change::{Change, Pair, Test, Verdict};
use crate::diff::noise::NoiseOf;
use crate::diff::stats::{fdr, rates};

/// With what probability intervals have the true difference.
pub const CONFIDENCE: f64 = 0.95;
/// With what probability what is [detectable](Test::detectable) is detected.
pub const POWER: f64 = 0.8;

/// What it takes to be called a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Share of false ones among those called changes, at most.
    pub fdr: f64,
    /// The smallest difference of interest, in the unit shown.
    pub least: f64,
    /// What rates are multiplied by to be in that unit.
    pub multiplier: f64,
}

/// Second opinions on items: probabilities by another test at this level,
/// which is not passed unless both agree.
pub(crate) type Confirm<'c> = dyn Fn(&[usize], f64) -> Vec<f64> + 'c;

/// Judges the items of one family, which are tested together. `amounts` has
/// what each of them was.
///
/// What there is so little of, on both sides together, that no change could be
/// of interest is not tested, which leaves more to the others. Under the
/// hypothesis that nothing changed, how much there is says nothing on how it is
/// split.
pub(crate) fn judge(
    noise: &NoiseOf,
    family: Range<usize>,
    amounts: impl Fn(usize) -> Pair,
    limits: Limits,
    confirm: Option<&Confirm<'_>>,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::with_capacity(family.len());
    let mut tested: Vec<(usize, f64)> = Vec::new();
    for item in family.clone() {
        let values = [0, 1].map(|side| limits.multiplier * noise.value(side, item));
        changes.push(Change { amounts: amounts(item), values, ..Change::default() });
        let both = values[0] + values[1];
        if noise.is_comparable() && both > 0.0 && both >= limits.least {
            tested.push((item, rates::probability(noise.rates(item))));
        }
    }
    if let Some(confirm) = confirm {
        let level = fdr::level(tested.len(), 0, limits.fdr);
        let places: Vec<usize> = (0..tested.len()).filter(|&i| tested[i].1 <= limits.fdr).collect();
        let items: Vec<usize> = places.iter().map(|&i| tested[i].0).collect();
        for (place, p) in places.into_iter().zip(confirm(&items, level)) {
            tested[place].1 = tested[place].1.max(p);
        }
    }
    let probabilities: Vec<f64> = tested.iter().map(|(_, p)| *p).collect();
    let threshold = fdr::threshold(&probabilities, limits.fdr);
    let is_found = |p: f64| threshold.is_some_and(|threshold| p <= threshold);
    let found = probabilities.iter().filter(|p| is_found(**p)).count();
    let level = fdr::level(tested.len(), found, limits.fdr);
    for (item, p) in tested {
        let rates = noise.rates(item);
        let scale = |value: f64| value * limits.multiplier;
        let least = limits.least / limits.multiplier;
        let test = Test {
            p,
            interval: rates::interval(rates, CONFIDENCE).map(scale),
            ratio_interval: rates::ratio_interval(rates, CONFIDENCE),
            detectable: scale(rates::detectable(rates, level, POWER, least)),
        };
        let change = &mut changes[item - family.start];
        change.test = Some(test);
        // Two approximations may disagree where it is close.
        let [low, high] = test.interval;
        if is_found(p) && change.delta().abs() >= limits.least && (low > 0.0 || high < 0.0) {
            change.verdict = match change.amounts.map(|amount| amount.samples) {
                [0, _] => Verdict::New,
                [_, 0] => Verdict::Gone,
                _ if change.delta() > 0.0 => Verdict::More,
                _ => Verdict::Less,
            };
        }
    }
    changes
}
