//! What verdicts promise, kept on simulated programs: false alarms and power.
//!
//! The programs have threads that do one thing for a while, then another, so
//! that samples come in bursts, and whole runs that are faster or slower. All
//! random numbers are the same each time.

use rz_profile::model::{CpuTime, CpuTimes, Profile, Sample, TimedSample};

use crate::diff::change::{Change, Verdict};
use crate::diff::{Diff, DiffOptions, Run, compare};
use crate::fixture::Builder;

/// Random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut x = self.0;
        x ^= x >> 33;
        x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((x >> 33) as f64 + 0.5) / (1_u64 << 31) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// A program and how it is recorded.
#[derive(Clone, Copy)]
struct Load {
    threads: usize,
    functions: usize,
    /// For how long a thread does one thing, on average.
    burst_s: f64,
    /// Share of time in which threads do nothing.
    idle: f64,
    seconds: u64,
    hz: u64,
    /// By how much the speed of whole runs varies.
    between_runs: f64,
    /// How much longer `f1` takes than it should.
    slower: f64,
    /// Whether the scheduler's count of CPU time is known.
    counted: bool,
}

const LOAD: Load = Load {
    threads: 4,
    functions: 20,
    burst_s: 0.05,
    idle: 0.3,
    seconds: 10,
    hz: 200,
    between_runs: 0.0,
    slower: 0.0,
    counted: false,
};

/// One recording of it.
fn run(load: Load, seed: u64) -> Profile {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut builder = Builder::new();
    let stacks: Vec<usize> = (0..load.functions)
        .map(|f| builder.stack(&["main", &format!("group{}", f % 4), &format!("f{f}")]))
        .collect();
    let speed = 1.0 + load.between_runs * 1.73 * (2.0 * random.unit() - 1.0);
    let period = 1_000_000_000 / load.hz;
    let end = load.seconds as f64;
    let (mut timeline, mut counts) = (Vec::new(), vec![0_u64; load.threads * load.functions]);
    let mut ran_s = 0.0;
    for thread in 0..load.threads {
        if thread > 0 {
            builder.thread(0, "worker", 4242 + thread as u32);
        }
        let (mut now, mut due) = (0.0, random.unit() / load.hz as f64);
        while now < end {
            let is_idle = random.unit() < load.idle;
            // Small numbers are more frequent.
            let function = (random.unit().powi(2) * load.functions as f64) as usize;
            let longer = if function == 1 { 1.0 + load.slower } else { 1.0 };
            let length =
                random.exponential(load.burst_s) * if is_idle { 1.0 } else { longer * speed };
            while due < (now + length).min(end) {
                if !is_idle {
                    counts[thread * load.functions + function] += 1;
                    timeline.push(TimedSample {
                        time_ns: (due * 1e9) as u64,
                        event: 0,
                        thread,
                        stack: Some(stacks[function]).into(),
                        weight: period,
                        count: 1,
                        ..TimedSample::default()
                    });
                }
                due += 1.0 / load.hz as f64;
            }
            ran_s += if is_idle { 0.0 } else { length.min(end - now) };
            now += length;
        }
    }
    timeline.sort_by_key(|sample| sample.time_ns);
    let mut profile = builder.profile;
    for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let (thread, stack) = (index / load.functions, Some(stacks[index % load.functions]));
        profile.samples.push(Sample { event: 0, thread, stack, count, weight: count * period });
    }
    profile.info.duration_ns = load.seconds * 1_000_000_000;
    profile.cpu_times = load.counted.then(|| counted(ran_s, end));
    profile.events[0].frequency_hz = load.hz as u32;
    profile.timeline = Some(timeline);
    profile
}

fn counted(ran_s: f64, in_s: f64) -> CpuTimes {
    let total = CpuTime { ran_ns: (ran_s * 1e9) as u64, ..CpuTime::default() };
    CpuTimes {
        total,
        span_ns: (in_s * 1e9) as u64,
        complete: true,
        of_samples: true,
        ..CpuTimes::default()
    }
}

/// Compares runs of two programs, `runs` on each side.
fn compared<T>(loads: [Load; 2], runs: usize, seed: u64, show: impl FnOnce(&Diff<'_>) -> T) -> T {
    let side = |load: Load, first: u64| -> Vec<Profile> {
        (0..runs as u64).map(|i| run(load, seed * 1000 + first + i)).collect()
    };
    let profiles = [side(loads[0], 1), side(loads[1], 501)];
    let runs = |side: usize| -> Vec<Run<'_>> {
        profiles[side].iter().map(|profile| Run { profile, name: "t.rz", event: Some(0) }).collect()
    };
    show(&compare([&runs(0), &runs(1)], &DiffOptions::default()).unwrap())
}

/// In how many of so many comparisons of the same anything was called a change:
/// all, functions themselves, functions with what they call, nodes, places that explain it.
fn alarms(loads: [Load; 2], runs: usize, pairs: usize) -> [usize; 5] {
    let mut alarms = [0; 5];
    for seed in 1..=pairs as u64 {
        compared(loads, runs, seed, |diff| {
            let is_change = |change: &Change| change.verdict.is_change();
            let found = [
                is_change(&diff.total),
                diff.rows.iter().any(|row| is_change(&row.self_)),
                diff.rows.iter().any(|row| is_change(&row.total)),
                diff.nodes.iter().skip(1).any(|node| is_change(&node.total)),
                !diff.explanation.places.is_empty(),
            ];
            alarms.iter_mut().zip(found).for_each(|(sum, found)| *sum += usize::from(found));
        });
    }
    alarms
}

/// If nothing changed, every change is a false one, and the share of false
/// ones among the changes of a comparison is 1 if there is any. So there is
/// any in 5 % of comparisons at most, which chance makes 6 of 60.
#[test]
fn the_same_load_gives_few_alarms() {
    let check = |name: &str, loads, runs| {
        let alarms = alarms(loads, runs, 60);
        assert!(alarms.iter().all(|alarms| *alarms <= 6), "{name}: {alarms:?} of 60");
    };
    let clumps = Load { burst_s: 0.3, ..LOAD };
    let other = Load { hz: 99, seconds: 25, ..LOAD };
    let busy = Load { threads: 1, idle: 0.0, burst_s: 0.01, ..LOAD };
    let crowd = Load { threads: 64, seconds: 2, ..LOAD };
    let noisy = Load { between_runs: 0.05, seconds: 2, ..LOAD };
    check("bursts", [LOAD, LOAD], 1);
    check("long bursts", [clumps, clumps], 1);
    check("another rate and length", [LOAD, other], 1);
    check("one thread without a pause", [busy, busy], 1);
    check("many threads", [crowd, crowd], 1);
    check("2 runs", [noisy, noisy], 2);
    check("5 runs", [noisy, noisy], 5);
    let counted = |load: Load| [Load { counted: true, ..load }; 2];
    check("counted bursts", counted(LOAD), 1);
    check("counted, one thread without a pause", counted(busy), 1);
    check("2 counted runs", counted(noisy), 2);
}

/// What the scheduler has counted has no error of sampling: a total that differs by little
/// is found in one run, and of functions it is only uncertain what their shares are.
#[test]
fn a_counted_total_is_exact() {
    let busy = Load { threads: 1, functions: 2, idle: 0.0, burst_s: 0.0002, hz: 997, ..LOAD };
    let profiles = [(9.99, 1), (9.89, 2)].map(|(ran_s, seed)| {
        let sampled = run(busy, seed);
        let counted = Profile { cpu_times: Some(counted(ran_s, 10.0)), ..sampled.clone() };
        [sampled, counted]
    });
    let compared = |which: usize| {
        let [before, after] = profiles
            .each_ref()
            .map(|both| [Run { profile: &both[which], name: "t.rz", event: Some(0) }]);
        let diff = compare([&before, &after], &DiffOptions::default()).unwrap();
        let row = diff.rows.iter().find(|row| diff.symbols[row.symbol].name == "f0");
        let [low, high] = row.unwrap().self_.test.unwrap().interval;
        (diff.total, high - low)
    };
    let [(sampled, width_sampled), (counted, width_counted)] = [0, 1].map(compared);
    assert_eq!((sampled.verdict, counted.verdict), (Verdict::NoEvidence, Verdict::Less));
    for (value, expected) in counted.values.into_iter().zip([99.9, 98.9]) {
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    }
    // Slices of time differ by whether one sample more falls into them.
    let test = counted.test.unwrap();
    assert!(test.detectable < 0.6 && test.interval[0] < -1.0, "{test:?}");
    assert!(sampled.test.unwrap().detectable > 3.0);
    // f0 has some 70 % of all.
    assert!(width_counted < 0.7 * width_sampled, "{width_counted} of {width_sampled}");
}

/// A change of the size that is printed as detectable is detected about as
/// often as is printed, and named first; one of half the size hardly ever.
#[test]
fn what_is_said_to_be_detectable_is_detected() {
    const PAIRS: usize = 30;
    let check = |name: &str, load: Load, runs, slower: f64| {
        let after = Load { slower, ..load };
        let (mut found, mut first, mut detectable, mut delta) = (0, [0, 0], 0.0, 0.0);
        for seed in 1..=PAIRS as u64 {
            compared([load, after], runs, seed, |diff| {
                let row = diff.rows.iter().find(|row| diff.symbols[row.symbol].name == "f1");
                let change = row.unwrap().self_;
                let is_found = change.verdict == Verdict::More;
                found += usize::from(is_found);
                let place = diff.explanation.places.first().map(|place| place.symbol);
                for (first, symbol) in first.iter_mut().zip([Some(diff.rows[0].symbol), place]) {
                    let is_first = symbol.is_some_and(|symbol| diff.symbols[symbol].name == "f1");
                    *first += usize::from(is_found && is_first);
                }
                detectable += change.test.unwrap().detectable / PAIRS as f64;
                delta += change.delta() / PAIRS as f64;
            });
        }
        let size = delta / detectable;
        let share = found as f64 / PAIRS as f64;
        let case = format!("{name}: {size:.2} of what is detectable, {share:.2} found");
        let expected = match size {
            size if size < 0.6 => 0.0..=0.4,
            size if (0.85..1.15).contains(&size) => 0.55..=0.97,
            size if size > 1.5 => 0.95..=1.0,
            _ => panic!("not what this test is about: {case}"),
        };
        assert!(expected.contains(&share), "{case}");
        let case = format!("{case}, {first:?} of {found} named first in the table and as a place");
        // Places are tested with more others at a time.
        let least = [0.9, 0.85].map(|share| share * found as f64);
        assert!(first[0] as f64 >= least[0] && first[1] as f64 >= least[1], "{case}");
    };
    let steady =
        Load { threads: 2, functions: 3, burst_s: 0.002, hz: 400, seconds: 20, idle: 0.1, ..LOAD };
    check("half", steady, 1, 0.05);
    check("as much", steady, 1, 0.13);
    check("twice", steady, 1, 0.26);
    let noisy = Load { between_runs: 0.02, seconds: 5, ..steady };
    check("6 runs, half", noisy, 6, 0.05);
    check("6 runs, as much", noisy, 6, 0.11);
    check("6 runs, twice", noisy, 6, 0.22);
}
