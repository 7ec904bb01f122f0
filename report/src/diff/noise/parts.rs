//! How the parts of one run differ.

use rustc_hash::FxHashMap;
use rz_profile::model::ThreadId;

use super::items::{Adder, Leaf};
use super::run::{RunSamples, TimedLeaf};
use super::{Sums, Units, Within, sampling};
use crate::diff::normalize::All;

/// Slices of time that a run is cut into.
pub(super) const SLICES: usize = 64;
/// Noise is taken from slices of this many of them together, whichever shows
/// most: what goes on for longer than a slice looks like less noise than it is.
/// What twice the length adds is taken to be missing once more (Vats and
/// Flegal's lugsail estimator, 2022).
const SLICES_TOGETHER: [usize; 4] = [1, 2, 4, 8];
/// Degrees of freedom of that, at most: as if half of the slices were
/// independent. Fewer are for long slices, but the largest of several
/// estimates is rather too large.
const MAX_DEGREES: usize = SLICES / 2 - 1;

/// As many threads of equal weight there must be at least for their differences
/// to be taken for chance: few threads differ because they do different things.
const MANY_THREADS: f64 = 32.0;

/// How the parts of one run differ. Variances are those of the rate, times the
/// exposure.
pub(super) struct Parts {
    /// Variance that the error of sampling alone gives, by item.
    pub chance: Vec<f64>,
    /// What is beyond.
    pub excess: Vec<f64>,
    /// Degrees of freedom of that; 0 if it is not known.
    pub degrees: f64,
    pub within: Within,
}

impl Parts {
    pub fn of(adder: &mut Adder<'_>, run: &RunSamples<'_>, sums: &Sums, known: All) -> Self {
        let items = adder.items;
        let timed = run.timed();
        // Without times, there is nothing else that could tell how much all varies.
        let known = if timed.is_none() && known == All::Counted { All::Sampled } else { known };
        let chance = sampling(adder, &run.squares(timed.as_deref()), sums, known);
        let of_share = known == All::Divisor;
        let mut excess = vec![0.0_f64; items.len()];
        let mut degrees = 0.0_f64;
        let mut take = |variance: &dyn Fn(usize) -> f64, units: usize| {
            for item in 0..items.len() {
                excess[item] = excess[item].max(variance(item) - chance[item]);
            }
            degrees = degrees.max((units - 1).min(MAX_DEGREES) as f64);
        };
        let weight_of = |leaves: &[Leaf]| leaves.iter().map(|(_, weight)| weight).sum::<f64>();
        if let Some(timed) = &timed {
            let slices = by_slice(timed, items.tree.nodes.len());
            let equal = run.exposure / SLICES as f64;
            let exposure = |leaves: &Vec<Leaf>| if of_share { weight_of(leaves) } else { equal };
            let blocks = blocks(adder, slices.iter().map(|leaves| (leaves, exposure(leaves))));
            let mut shorter: Option<Vec<f64>> = None;
            for units in blocks.iter().filter(|units| units.count >= 2) {
                let variances: Vec<f64> =
                    (0..items.len()).map(|item| units.variance(item, sums)).collect();
                take(&|item| variances[item], units.count);
                if let Some(shorter) = shorter {
                    take(&|item| 2.0 * variances[item] - shorter[item], units.count);
                }
                shorter = Some(variances);
            }
        }
        // How many threads allocate, and how much, is no matter of chance.
        let threads = if run.is_of_heap() { Vec::new() } else { by_thread(run) };
        let weights: Vec<f64> = threads.iter().map(|leaves| weight_of(leaves)).collect();
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        let alike = weights.iter().sum::<f64>().powi(2) / squares.max(f64::MIN_POSITIVE);
        if alike >= MANY_THREADS {
            let mut units = Units::new(items.len());
            let equal = run.exposure / threads.len() as f64;
            for (leaves, weight) in threads.iter().zip(weights) {
                units.add(adder, leaves, if of_share { weight } else { equal });
            }
            take(&|item| units.variance(item, sums), units.count);
        }
        let within = if timed.is_some() { Within::Slices } else { Within::Samples };
        Parts { chance, excess, degrees, within }
    }
}

/// Squares over slices of time, given with their exposures, by how many of them
/// are taken together.
fn blocks<'s>(
    adder: &mut Adder<'_>,
    slices: impl Iterator<Item = (&'s Vec<Leaf>, f64)>,
) -> [Units; SLICES_TOGETHER.len()] {
    let items = adder.items.len();
    let mut blocks = SLICES_TOGETHER.map(|_| Units::new(items));
    // What the block that is being filled has so far; the first one is filled at once.
    let mut filling = SLICES_TOGETHER.map(|_| (vec![0.0_f64; items], 0.0_f64));
    for (index, (leaves, exposure)) in slices.enumerate() {
        let is_counted = blocks[0].has_another(exposure);
        let (squares, (sums, so_far)) = (&mut blocks[0].squares, &mut filling[1]);
        *so_far += exposure;
        adder.add(leaves, |item, sum| {
            sums[item] += sum;
            squares[item] += if is_counted { sum * sum / exposure } else { 0.0 };
        });
        for level in 1..blocks.len() {
            if (index + 1) % SLICES_TOGETHER[level] != 0 {
                break;
            }
            let (filled, longer) = filling.split_at_mut(level + 1);
            let (sums, exposure) = &mut filled[level];
            let exposure = std::mem::take(exposure);
            let is_counted = blocks[level].has_another(exposure);
            if let Some((_, so_far)) = longer.first_mut() {
                *so_far += exposure;
            }
            for (item, sum) in sums.iter_mut().enumerate().filter(|(_, sum)| **sum > 0.0) {
                let sum = std::mem::take(sum);
                blocks[level].squares[item] += if is_counted { sum * sum / exposure } else { 0.0 };
                if let Some((sums, _)) = longer.first_mut() {
                    sums[item] += sum;
                }
            }
        }
    }
    blocks
}

/// The leaves of each slice of time, equal ones added up.
fn by_slice(timed: &[TimedLeaf], nodes: usize) -> Vec<Vec<Leaf>> {
    let mut slices: Vec<Vec<Leaf>> = vec![Vec::new(); SLICES];
    // Where in the slice a node is, if it is there.
    let mut places: Vec<(usize, usize)> = vec![(usize::MAX, 0); nodes];
    for leaf in timed {
        let slice = &mut slices[leaf.slice];
        match places[leaf.node] {
            (in_slice, place) if in_slice == leaf.slice => slice[place].1 += leaf.weight,
            _ => {
                places[leaf.node] = (leaf.slice, slice.len());
                slice.push((leaf.node, leaf.weight));
            }
        }
    }
    slices
}

fn by_thread(run: &RunSamples<'_>) -> Vec<Vec<Leaf>> {
    let mut threads: FxHashMap<ThreadId, Vec<Leaf>> = FxHashMap::default();
    for (leaf, sample) in run.samples() {
        threads.entry(sample.thread).or_default().push((leaf, sample.weight as f64));
    }
    let mut threads: Vec<(ThreadId, Vec<Leaf>)> = threads.into_iter().collect();
    threads.sort_unstable_by_key(|(thread, _)| *thread);
    threads.into_iter().map(|(_, leaves)| leaves).collect()
}
