//! How much the sums of a comparison vary by chance.
//!
//! Of several runs, it is how they differ from each other. Of one run, it is
//! how its parts differ: slices of time, each with all threads, since what
//! threads do at a time depends on each other; and threads, if there are many.
//! This is the variance that a block bootstrap converges to, reckoned without
//! drawing: blocks that are drawn at random vary by what blocks differ. It is
//! never taken for less than the error of sampling.

use rustc_hash::FxHashMap;
use rz_convert::profile::{EventId, Profile, StackId, ThreadId};

use crate::calltree::{CallTree, NodeId, ROOT};
use crate::stats::dispersion::{self, Runs};
use crate::stats::permutation;
use crate::stats::rates::{Rate, Rates};
use crate::top::FunctionNodes;

/// Slices of time that a run is cut into.
const SLICES: usize = 64;
/// Noise is taken from slices of this many of them together, whichever shows
/// most: what goes on for longer than a slice looks like less noise than it is.
/// What twice the length adds is taken to be missing once more (Vats and
/// Flegal's lugsail estimator, 2022).
const SLICES_TOGETHER: [usize; 4] = [1, 2, 4, 8];
/// Degrees of freedom of that, at most: as if half of the slices were
/// independent. Fewer are for long slices, but the largest of several
/// estimates is rather too large.
const MAX_DEGREES: usize = SLICES / 2 - 1;

/// Degrees of freedom where bursts are few. That there are few is reckoned with
/// as it is; how they vary is then hardly known.
const LEAST_DEGREES: f64 = 4.0;

/// As many threads of equal weight there must be at least for their differences
/// to be taken for chance: few threads differ because they do different things.
const MANY_THREADS: f64 = 32.0;

/// What sums are made of: for each node of a tree one of all that ends there
/// or below, and for each function one of what ends in it and one of what ends
/// in it or below.
pub(crate) struct Items<'t> {
    tree: &'t CallTree,
    /// By node: the item of its function's own sum.
    own: Vec<Option<usize>>,
    /// By node, if it is its function's outermost: the item of the function's total.
    total: Vec<Option<usize>>,
    functions: usize,
}

impl<'t> Items<'t> {
    pub fn new(tree: &'t CallTree, functions: &[FunctionNodes]) -> Self {
        let nodes = tree.nodes.len();
        let (mut own, mut total) = (vec![None; nodes], vec![None; nodes]);
        for (index, function) in functions.iter().enumerate() {
            function.all.iter().for_each(|&id| own[id] = Some(nodes + index));
            let index = nodes + functions.len() + index;
            function.outermost.iter().for_each(|&id| total[id] = Some(index));
        }
        Items { tree, own, total, functions: functions.len() }
    }

    pub fn len(&self) -> usize {
        self.tree.nodes.len() + 2 * self.functions
    }

    /// The items of nodes, of functions' own sums, and of functions' totals.
    pub fn families(&self) -> [std::ops::Range<usize>; 3] {
        let nodes = self.tree.nodes.len();
        let own = nodes + self.functions;
        [0..nodes, nodes..own, own..self.len()]
    }
}

/// A weight that ends in a node.
type Leaf = (NodeId, f64);

/// Adds up what belongs together, item by item, touching only what is there.
struct Adder<'i> {
    items: &'i Items<'i>,
    sums: Vec<f64>,
    is_touched: Vec<bool>,
    touched: Vec<usize>,
}

impl<'i> Adder<'i> {
    fn new(items: &'i Items<'i>) -> Self {
        let (sums, is_touched) = (vec![0.0; items.len()], vec![false; items.len()]);
        Adder { items, sums, is_touched, touched: Vec::new() }
    }

    fn touch(&mut self, item: usize) -> bool {
        let is_new = !std::mem::replace(&mut self.is_touched[item], true);
        if is_new {
            self.touched.push(item);
        }
        is_new
    }

    /// Calls `each` with every item that these add to, and its sum.
    fn add(&mut self, leaves: &[Leaf], mut each: impl FnMut(usize, f64)) {
        let items = self.items;
        for &(leaf, weight) in leaves {
            let mut node = leaf;
            while self.touch(node) && node != ROOT {
                node = items.tree.nodes[node].parent;
            }
            self.sums[leaf] += weight;
        }
        // So far there are nodes only. Children have larger ids, and come first.
        if self.touched.len() > items.tree.nodes.len() / 16 {
            let is_touched = &self.is_touched[..items.tree.nodes.len()];
            self.touched.clear();
            self.touched.extend((0..is_touched.len()).rev().filter(|&node| is_touched[node]));
        } else {
            self.touched.sort_unstable_by(|a, b| b.cmp(a));
        }
        for &(leaf, weight) in leaves {
            if let Some(item) = items.own[leaf] {
                self.touch(item);
                self.sums[item] += weight;
            }
        }
        let mut next = 0;
        while next < self.touched.len() {
            let node = self.touched[next];
            next += 1;
            if node >= items.tree.nodes.len() {
                continue;
            }
            let sum = self.sums[node];
            if node != ROOT {
                self.sums[items.tree.nodes[node].parent] += sum;
            }
            if let Some(item) = items.total[node] {
                self.touch(item);
                self.sums[item] += sum;
            }
        }
        for item in self.touched.drain(..) {
            each(item, std::mem::take(&mut self.sums[item]));
            self.is_touched[item] = false;
        }
    }
}

/// One run, with the node of [`Items`] in which each of its samples ends.
pub(crate) struct RunSamples<'a> {
    pub profile: &'a Profile,
    pub event: Option<EventId>,
    /// In the order of the profile's samples of the event.
    pub leaves: Vec<NodeId>,
    /// What the run is divided by.
    pub exposure: f64,
}

impl RunSamples<'_> {
    fn samples(&self) -> impl Iterator<Item = (NodeId, &rz_convert::profile::Sample)> {
        let samples = self.profile.samples.iter();
        let samples = samples.filter(|sample| Some(sample.event) == self.event);
        self.leaves.iter().copied().zip(samples)
    }

    /// Number of samples.
    fn count(&self) -> u64 {
        self.samples().fold(0, |sum, (_, sample)| sum.saturating_add(sample.count))
    }

    fn leaves(&self) -> Vec<Leaf> {
        self.samples().map(|(leaf, sample)| (leaf, sample.weight as f64)).collect()
    }

    /// The squares of the weights of samples. Where single samples are not
    /// known, those of one stack and thread are taken to have equal weights.
    fn squares(&self, timed: Option<&[TimedLeaf]>) -> Vec<Leaf> {
        match timed {
            Some(timed) => {
                timed.iter().map(|leaf| (leaf.node, leaf.weight * leaf.weight)).collect()
            }
            None => {
                let square = |weight: u64, count: u64| weight as f64 * weight as f64 / count as f64;
                let samples = self.samples().filter(|(_, sample)| sample.count > 0);
                samples.map(|(leaf, s)| (leaf, square(s.weight, s.count))).collect()
            }
        }
    }

    /// Single samples, each with the slice of time it is in; `None` if they
    /// are not known.
    fn timed(&self) -> Option<Vec<TimedLeaf>> {
        let timeline = self.profile.timeline.as_ref()?;
        let nodes = self.samples().map(|(leaf, sample)| ((sample.thread, sample.stack), leaf));
        let nodes: FxHashMap<(ThreadId, Option<StackId>), NodeId> = nodes.collect();
        let info = &self.profile.info;
        let length = (info.duration_ns / SLICES as u64).max(1);
        let timeline = timeline.iter().filter(|sample| Some(sample.event) == self.event);
        let timed = timeline.filter_map(|sample| {
            let slice = sample.time_ns.saturating_sub(info.start_ns) / length;
            Some(TimedLeaf {
                node: *nodes.get(&(sample.thread, sample.stack))?,
                slice: (slice as usize).min(SLICES - 1),
                weight: sample.weight as f64,
            })
        });
        let timed: Vec<TimedLeaf> = timed.collect();
        // A class that had too many samples has none here.
        (timed.len() as u64 == self.count()).then_some(timed)
    }
}

/// One sample in a slice of time.
struct TimedLeaf {
    node: NodeId,
    slice: usize,
    weight: f64,
}

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
    /// the other side and of single samples.
    pub fn new(
        sums: [Sums; 2],
        mut dispersion: [Vec<f64>; 2],
        degrees: Vec<f64>,
        samples: [u64; 2],
    ) -> Self {
        let mean = |side: usize| {
            (samples[side] > 0).then(|| sums[side].weights[ROOT] / samples[side] as f64)
        };
        for (side, sums) in sums.iter().enumerate() {
            let mean = mean(side).or(mean(1 - side)).unwrap_or(1.0).max(f64::MIN_POSITIVE);
            let [ref mut first, ref mut second] = dispersion;
            let (here, other) = if side == 0 { (first, second) } else { (second, first) };
            for (item, (here, other)) in here.iter_mut().zip(other).enumerate() {
                if sums.weights[item] <= 0.0 {
                    *here = mean.max(*other);
                }
                // Shares of 100 % do not vary.
                *here = here.max(mean * 1e-9);
            }
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

/// Variances of rates, per exposure, that the error of sampling alone gives.
/// If all samples are the exposure, they are those of a share.
fn sampling(adder: &mut Adder<'_>, squares: &[Leaf], side: &Sums, of_share: bool) -> Vec<f64> {
    let mut variance = vec![0.0; adder.items.len()];
    adder.add(squares, |item, sum| variance[item] = sum);
    let all = variance[ROOT];
    for (item, variance) in variance.iter_mut().enumerate() {
        let share = if of_share { side.weights[item] / side.exposure } else { 0.0 };
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
    of_share: bool,
) -> (NoiseOf, [Within; 2]) {
    let of = |run: &RunSamples<'_>| {
        let mut adder = Adder::new(items);
        let sums = Sums::of(&mut adder, std::slice::from_ref(run));
        let parts = Parts::of(&mut adder, run, &sums, of_share);
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
    let samples = runs.map(RunSamples::count);
    let within = parts.map(|parts| parts.within);
    let noise = NoiseOf::new(sums, dispersion, degrees, samples);
    (NoiseOf { excess: excesses, ..noise }, within)
}

/// How the parts of one run differ. Variances are those of the rate, times the
/// exposure.
struct Parts {
    /// Variance that the error of sampling alone gives, by item.
    chance: Vec<f64>,
    /// What is beyond.
    excess: Vec<f64>,
    /// Degrees of freedom of that; 0 if it is not known.
    degrees: f64,
    within: Within,
}

impl Parts {
    fn of(adder: &mut Adder<'_>, run: &RunSamples<'_>, sums: &Sums, of_share: bool) -> Self {
        let items = adder.items;
        let timed = run.timed();
        let chance = sampling(adder, &run.squares(timed.as_deref()), sums, of_share);
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
        let threads = by_thread(run);
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

/// The noise of both sides, from how the runs of each differ: quasi-Poisson
/// variables with one dispersion on both sides, since the load is the same but
/// for what changed.
pub(crate) fn between_runs(
    items: &Items<'_>,
    sides: [&[RunSamples<'_>]; 2],
    of_share: bool,
) -> NoiseOf {
    let mut adder = Adder::new(items);
    let sums = sides.map(|runs| Sums::of(&mut adder, runs));
    let chance: [Vec<f64>; 2] = std::array::from_fn(|side| {
        let squares: Vec<Leaf> = sides[side].iter().flat_map(|run| run.squares(None)).collect();
        sampling(&mut adder, &squares, &sums[side], of_share)
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
    // For what is only on a side of one run: as much beyond chance as all is.
    let (of_all, degrees_of_all) = estimate(ROOT);
    let chance_of_all = by_chance(0, ROOT).max(by_chance(1, ROOT));
    let beyond = if chance_of_all > 0.0 { (of_all / chance_of_all).max(1.0) } else { 1.0 };
    let mut dispersions = [vec![0.0; items.len()], vec![0.0; items.len()]];
    let mut degrees_of = vec![1.0; items.len()];
    for item in 0..items.len() {
        let (found, degrees) = estimate(item);
        degrees_of[item] = f64::max(if degrees > 0.0 { degrees } else { degrees_of_all }, 1.0);
        for (side, dispersions) in dispersions.iter_mut().enumerate() {
            let chance = by_chance(side, item);
            dispersions[item] = if degrees > 0.0 { found.max(chance) } else { chance * beyond };
        }
    }
    let samples = sides.map(|runs| runs.iter().map(RunSamples::count).sum());
    NoiseOf::new(sums, dispersions, degrees_of, samples)
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
