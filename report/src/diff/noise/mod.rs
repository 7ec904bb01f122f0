//! How much the sums of a comparison vary by chance.
//!
//! Of several runs, it is how they differ from each other. Of one run, it is
//! how its parts differ: slices of time, each with all threads, since what
//! threads do at a time depends on each other; and threads, if there are many.
//! This is the variance that a block bootstrap converges to, reckoned without
//! drawing: blocks that are drawn at random vary by what blocks differ. It is
//! never taken for less than the error of sampling.

mod items;
mod parts;
mod run;

use rustc_hash::FxHashMap;

pub(crate) use self::items::Items;
use self::items::{Adder, Leaf};
use self::parts::Parts;
pub(crate) use self::run::RunSamples;
use crate::diff::normalize::All;
use crate::diff::stats::dispersion::{self, Runs};
use crate::diff::stats::permutation;
use crate::diff::stats::rates::{Rate, Rates};
use crate::model::calltree::ROOT;

/// Degrees of freedom where bursts are few. That there are few is reckoned with
/// as it is; how they vary is then hardly known.
const LEAST_DEGREES: f64 = 4.0;

/// What the noise of one run was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Differences between slices of time.
    Slices,
    /// The number of samples alone, as if they came by chance: their times are
    /// not known.
    Samples,
}

/// The items of one side.
struct SideNoise {
    weights: Vec<f64>,
    exposure: f64,
    /// Variance of the weight of an item, per unit of weight.
    dispersion: Vec<f64>,
}

/// The items of both sides, and how much they vary.
pub(crate) struct NoiseOf {
    sides: [SideNoise; 2],
    /// Degrees of freedom that the dispersions of an item are estimated with.
    degrees: Vec<f64>,
    /// Of single runs, the part of dispersions that is not the error of
    /// sampling.
    excess: Vec<f64>,
}

impl NoiseOf {
    /// Of single runs, what an item's dispersion is beyond the error of
    /// sampling, and with how many degrees of freedom it is estimated.
    pub fn excess(&self, item: usize) -> (f64, f64) {
        (self.excess.get(item).copied().unwrap_or(0.0), self.degrees[item])
    }

    /// Sums, dispersions that are found only where there is something, and
    /// degrees of freedom; gets dispersions elsewhere, too: at least those of
    /// the other side and of what is `single`, `None` on a side without any.
    ///
    /// Where nothing varies on either side, numbers are exact.
    pub fn new(
        sums: [Sums; 2],
        mut dispersion: [Vec<f64>; 2],
        degrees: Vec<f64>,
        single: [Option<f64>; 2],
    ) -> Self {
        let [first, second] = &mut dispersion;
        for (item, both) in first.iter_mut().zip(second).enumerate() {
            let found = [*both.0, *both.1];
            let filled = [0, 1].map(|side| match sums[side].weights[item] > 0.0 {
                true => found[side],
                false => single[side].or(single[1 - side]).unwrap_or(1.0).max(found[1 - side]),
            });
            // Where one side is exact and the other is not, it is taken to be as
            // good as exact.
            let or_nearly = |here: f64, other: f64| if here > 0.0 { here } else { 1e-3 * other };
            *both.0 = or_nearly(filled[0], filled[1]);
            *both.1 = or_nearly(filled[1], filled[0]);
        }
        let mut dispersion = dispersion.into_iter();
        let sides = sums.map(|Sums { weights, exposure }| {
            let dispersion = dispersion.next().unwrap_or_default();
            SideNoise { weights, exposure, dispersion }
        });
        NoiseOf { sides, degrees, excess: Vec::new() }
    }

    /// Whether both sides can be divided by something.
    pub fn is_comparable(&self) -> bool {
        self.sides.iter().all(|side| side.exposure > 0.0)
    }

    /// Weight per exposure of a side; 0 of nothing.
    pub fn value(&self, side: usize, item: usize) -> f64 {
        let side = &self.sides[side];
        if side.exposure > 0.0 { side.weights[item] / side.exposure } else { 0.0 }
    }

    /// Both sides of an item.
    pub fn rates(&self, item: usize) -> Rates {
        let rate = |side: &SideNoise| Rate {
            weight: side.weights[item],
            exposure: side.exposure,
            dispersion: side.dispersion[item],
        };
        Rates { sides: [rate(&self.sides[0]), rate(&self.sides[1])], degrees: self.degrees[item] }
    }
}

/// Variances of rates, per exposure, that the error of sampling alone gives. If all is
/// known, they are those of a share.
fn sampling(adder: &mut Adder<'_>, squares: &[Leaf], side: &Sums, known: All) -> Vec<f64> {
    let mut variance = vec![0.0; adder.items.len()];
    adder.add(squares, |item, sum| variance[item] = sum);
    let all = variance[ROOT];
    for (item, variance) in variance.iter_mut().enumerate() {
        let share = match known {
            All::Sampled => 0.0,
            All::Counted | All::Divisor => {
                side.weights[item] / side.weights[ROOT].max(f64::MIN_POSITIVE)
            }
        };
        *variance =
            (*variance * (1.0 - 2.0 * share) + share * share * all).max(0.0) / side.exposure;
    }
    variance
}

/// Sums of a side. The first item is all of it.
pub(crate) struct Sums {
    pub weights: Vec<f64>,
    pub exposure: f64,
}

impl Sums {
    fn of(adder: &mut Adder<'_>, runs: &[RunSamples<'_>]) -> Self {
        let mut weights = vec![0.0; adder.items.len()];
        for run in runs {
            adder.add(&run.leaves(), |item, sum| weights[item] += sum);
        }
        Sums { weights, exposure: runs.iter().map(|run| run.exposure).sum() }
    }
}

/// Sums of squares over units that are taken to be alike.
struct Units {
    /// Sum of weight² / exposure, by item.
    squares: Vec<f64>,
    exposure: f64,
    count: usize,
}

impl Units {
    fn new(items: usize) -> Self {
        Units { squares: vec![0.0; items], exposure: 0.0, count: 0 }
    }

    fn add(&mut self, adder: &mut Adder<'_>, leaves: &[Leaf], exposure: f64) {
        if self.has_another(exposure) {
            let squares = &mut self.squares;
            adder.add(leaves, |item, sum| squares[item] += sum * sum / exposure);
        }
    }

    /// Counts a unit; one without exposure tells nothing.
    fn has_another(&mut self, exposure: f64) -> bool {
        if exposure > 0.0 {
            self.exposure += exposure;
            self.count += 1;
        }
        exposure > 0.0
    }

    fn runs(&self, item: usize, side: &Sums) -> Runs {
        let (weight, squares) = (side.weights[item], self.squares[item]);
        Runs { weight, exposure: self.exposure, squares, count: self.count }
    }

    /// Variance of the rate, times the exposure; there are at least two units.
    fn variance(&self, item: usize, side: &Sums) -> f64 {
        self.runs(item, side).within() / (self.count - 1) as f64
    }
}

/// The noise of two runs, from their parts. What it is beyond the error of
/// sampling is what the program does, and is the same on both sides.
pub(crate) fn within_runs(
    items: &Items<'_>,
    runs: [&RunSamples<'_>; 2],
    known: All,
) -> (NoiseOf, [Within; 2]) {
    let of = |run: &RunSamples<'_>| {
        let mut adder = Adder::new(items);
        let sums = Sums::of(&mut adder, std::slice::from_ref(run));
        let parts = Parts::of(&mut adder, run, &sums, known);
        (sums, parts)
    };
    // The sides have nothing to do with each other.
    let [(before, first), (after, second)] = std::thread::scope(|scope| {
        let other = scope.spawn(|| of(runs[1]));
        let one = of(runs[0]);
        [one, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))]
    });
    let (sums, parts) = ([before, after], [first, second]);
    let mut dispersion = [vec![0.0; items.len()], vec![0.0; items.len()]];
    let mut degrees = vec![f64::INFINITY; items.len()];
    let mut excesses = vec![0.0; items.len()];
    for item in 0..items.len() {
        let (mut excess, mut all, mut free) = (0.0, 0.0, 0.0);
        let weight = |side: usize| sums[side].weights[item];
        for side in (0..2).filter(|&side| weight(side) > 0.0 && parts[side].degrees > 0.0) {
            excess += parts[side].excess[item] * sums[side].exposure;
            all += weight(side);
            free += parts[side].degrees;
        }
        let excess = if all > 0.0 { excess / all } else { 0.0 };
        excesses[item] = excess;
        let mut count = 0.0;
        for side in (0..2).filter(|&side| weight(side) > 0.0) {
            let chance = parts[side].chance[item] * sums[side].exposure / weight(side);
            dispersion[side][item] = chance + excess;
            count += weight(side) / dispersion[side][item].max(f64::MIN_POSITIVE);
        }
        if free > 0.0 {
            // Of few bursts, there is little to tell how they vary.
            degrees[item] = free.min((2.0 * count).max(LEAST_DEGREES));
        }
    }
    let single = [0, 1].map(|side| {
        let by_chance = parts[side].chance[ROOT] * sums[side].exposure;
        single(std::slice::from_ref(runs[side]), &sums[side], by_chance)
    });
    let within = parts.map(|parts| parts.within);
    let noise = NoiseOf::new(sums, dispersion, degrees, single);
    (NoiseOf { excess: excesses, ..noise }, within)
}

/// The noise of both sides, from how the runs of each differ: quasi-Poisson
/// variables with one dispersion on both sides, since the load is the same but
/// for what changed.
pub(crate) fn between_runs(
    items: &Items<'_>,
    sides: [&[RunSamples<'_>]; 2],
    known: All,
) -> NoiseOf {
    let mut adder = Adder::new(items);
    let sums = sides.map(|runs| Sums::of(&mut adder, runs));
    let chance: [Vec<f64>; 2] = std::array::from_fn(|side| {
        let squares: Vec<Leaf> = sides[side].iter().flat_map(|run| run.squares(None)).collect();
        sampling(&mut adder, &squares, &sums[side], known)
    });
    let runs: [Vec<Runs>; 2] = std::array::from_fn(|side| {
        let mut units = Units::new(items.len());
        sides[side].iter().for_each(|run| units.add(&mut adder, &run.leaves(), run.exposure));
        (0..items.len()).map(|item| units.runs(item, &sums[side])).collect()
    });
    let weight = |side: usize, item: usize| sums[side].weights[item];
    let estimate = |item: usize| dispersion::common([runs[0][item], runs[1][item]]);
    let by_chance = |side: usize, item: usize| match weight(side, item) {
        weight if weight > 0.0 => chance[side][item] * sums[side].exposure / weight,
        _ => 0.0,
    };
    // For what is only on a side of one run: as much beyond chance as all is, or
    // as much as all if nothing comes by chance.
    let (of_all, degrees_of_all) = estimate(ROOT);
    let chance_of_all = by_chance(0, ROOT).max(by_chance(1, ROOT));
    let alone = |chance: f64| match chance_of_all {
        of_chance if of_chance > 0.0 => chance * (of_all / of_chance).max(1.0),
        _ => chance.max(of_all),
    };
    // That runs are all the same is no proof that all will be.
    let least = f64::max(1e-12 * (weight(0, ROOT) + weight(1, ROOT)), f64::MIN_POSITIVE);
    let mut dispersions = [vec![0.0; items.len()], vec![0.0; items.len()]];
    let mut degrees_of = vec![1.0; items.len()];
    for item in 0..items.len() {
        let (found, degrees) = estimate(item);
        degrees_of[item] = f64::max(if degrees > 0.0 { degrees } else { degrees_of_all }, 1.0);
        for (side, dispersions) in dispersions.iter_mut().enumerate() {
            let chance = by_chance(side, item);
            let found = if degrees > 0.0 { found.max(chance) } else { alone(chance) };
            dispersions[item] = found.max(least);
        }
    }
    let single = [0, 1]
        .map(|side| single(sides[side], &sums[side], chance[side][ROOT] * sums[side].exposure));
    NoiseOf::new(sums, dispersions, degrees_of, single)
}

/// About the weight of a single thing that comes by chance, which is a sample;
/// of allocations, it is what a sampled one stands for, which is nothing if all
/// are recorded. Their variance is `by_chance`.
fn single(runs: &[RunSamples<'_>], sums: &Sums, by_chance: f64) -> Option<f64> {
    let weight = sums.weights[ROOT];
    let samples: u64 = runs.iter().map(RunSamples::count).sum();
    let of_heap = runs.iter().any(RunSamples::is_of_heap);
    let single = if of_heap { by_chance / weight } else { weight / samples as f64 };
    (samples > 0 && weight > 0.0).then_some(single)
}

/// Probabilities of items by permutation of runs, at this level; those that
/// cannot reach it because there are too few runs are 0.
pub(crate) fn permutations(
    items: &Items<'_>,
    sides: [&[RunSamples<'_>]; 2],
    found: &[usize],
    level: f64,
) -> Vec<f64> {
    if permutation::smallest_probability(sides.map(<[_]>::len)) > level {
        return vec![0.0; found.len()];
    }
    let mut adder = Adder::new(items);
    let place_of: FxHashMap<usize, usize> =
        found.iter().enumerate().map(|(place, &item)| (item, place)).collect();
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new(); found.len()];
    for run in sides.into_iter().flatten() {
        runs.iter_mut().for_each(|runs| runs.push((0.0, run.exposure)));
        adder.add(&run.leaves(), |item, sum| {
            if let Some(last) = place_of.get(&item).and_then(|&place| runs[place].last_mut()) {
                last.0 = sum;
            }
        });
    }
    let first = sides[0].len();
    runs.iter().map(|runs| permutation::probability(runs, first, level)).collect()
}
