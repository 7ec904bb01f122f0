//! What verdicts promise, kept on simulated programs: false alarms and power.
//!
//! The programs have threads that do one thing for a while, then another, so
//! that samples come in bursts, and whole runs that are faster or slower. All
//! random numbers are the same each time.

use rz_convert::profile::{Profile, Sample, TimedSample};

use crate::change::{Change, Verdict};
use crate::diff::{Diff, DiffOptions, Run, compare};
use crate::fixture::Builder;

struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn unit(&mut self) -> f64 {
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
    /// How much longer `f3` takes than it should.
    slower: f64,
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
    for thread in 0..load.threads {
        if thread > 0 {
            builder.thread(0, "worker", 4242 + thread as u32);
        }
        let (mut now, mut due) = (0.0, random.unit() / load.hz as f64);
        while now < end {
            let is_idle = random.unit() < load.idle;
            // Small numbers are more frequent.
            let function = (random.unit().powi(2) * load.functions as f64) as usize;
            let longer = if function == 3 { 1.0 + load.slower } else { 1.0 };
            let length =
                random.exponential(load.burst_s) * if is_idle { 1.0 } else { longer * speed };
            while due < (now + length).min(end) {
                if !is_idle {
                    counts[thread * load.functions + function] += 1;
                    timeline.push(TimedSample {
                        time_ns: (due * 1e9) as u64,
                        event: 0,
                        thread,
                        stack: Some(stacks[function]),
                        weight: period,
                    });
                }
                due += 1.0 / load.hz as f64;
            }
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
    profile.events[0].frequency_hz = load.hz as u32;
    profile.timeline = Some(timeline);
    profile
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

fn named<'d>(diff: &'d Diff<'_>, name: &str) -> &'d Change {
    let row = diff.rows.iter().find(|row| diff.symbols[row.symbol].name == name);
    &row.unwrap().self_
}

#[derive(Default, Debug)]
struct Alarms {
    pairs: usize,
    total: usize,
    own: usize,
    totals: usize,
    nodes: usize,
}

/// In how many of so many comparisons of the same anything was called a change.
fn alarms(loads: [Load; 2], runs: usize, pairs: usize) -> Alarms {
    let mut alarms = Alarms { pairs, ..Alarms::default() };
    for seed in 1..=pairs as u64 {
        compared(loads, runs, seed, |diff| {
            let any = |mut changes: Box<dyn Iterator<Item = Change> + '_>| {
                usize::from(changes.any(|change| change.verdict.is_change()))
            };
            alarms.total += any(Box::new([diff.total].into_iter()));
            alarms.own += any(Box::new(diff.rows.iter().map(|row| row.self_)));
            alarms.totals += any(Box::new(diff.rows.iter().map(|row| row.total)));
            alarms.nodes += any(Box::new(diff.nodes.iter().skip(1).map(|node| node.total)));
        });
    }
    alarms
}

#[test]
fn explore() {
    let long = Load { burst_s: 0.5, ..LOAD };
    let quick = Load { burst_s: 0.01, ..LOAD };
    let other = Load { hz: 99, seconds: 30, ..LOAD };
    let noisy = Load { between_runs: 0.03, seconds: 3, ..LOAD };
    let one_thread = Load { threads: 1, idle: 0.0, burst_s: 0.01, ..LOAD };
    for (name, loads, runs) in [
        ("plain", [LOAD, LOAD], 1),
        ("quick", [quick, quick], 1),
        ("long bursts", [long, long], 1),
        ("other", [LOAD, other], 1),
        ("one thread", [one_thread, one_thread], 1),
        ("noisy 2", [noisy, noisy], 2),
        ("noisy 3", [noisy, noisy], 3),
        ("noisy 6", [noisy, noisy], 6),
    ] {
        println!("{name}: {:?}", alarms(loads, runs, 200));
        for slower in [0.2, 0.5, 1.0, 2.0] {
            let after = Load { slower, ..loads[1] };
            let (mut found, mut detectable, mut delta, mut first) = (0, 0.0, 0.0, 0);
            for seed in 1..=50 {
                compared([loads[0], after], runs, seed, |diff| {
                    let f3 = named(diff, "f3");
                    found += usize::from(f3.verdict == Verdict::More);
                    first += usize::from(diff.symbols[diff.rows[0].symbol].name == "f3");
                    detectable += f3.test.unwrap().detectable / 50.0;
                    delta += f3.delta() / 50.0;
                });
            }
            println!(
                "   {slower}: found {found}/50, first {first} delta {delta:.2} detectable {detectable:.2}"
            );
        }
    }
}
