//! What the recorder may use of the machine, and how it stays within that: it leaves
//! out more and more of what it records, never what processes do, and says so.

use std::fmt::Write;
use std::fs;

use crate::config::Limits;
use crate::cost;
use crate::host::page_size;

/// How often the recorder looks at what it uses.
const LOOK_NS: u64 = 250_000_000;
/// How much of what it may use it may have saved, and use at once, as when it begins.
const SAVED_NS: i64 = 4_000_000_000;
/// How much of that it must have saved before it leaves out less again.
const CALM_NS: i64 = 1_000_000_000;
/// How long a step has to show what it is good for before there is another one.
const STEP_NS: u64 = 1_000_000_000;
/// How long it may take more memory than it should, with everything left out, before
/// the recording ends.
const MEMORY_PATIENCE_NS: u64 = 3_000_000_000;

/// Has the kernel end the recorder first when memory runs out, on the machine or in its
/// control group, where what it records may be the largest. It can always be asked for.
pub(crate) fn go_first_when_memory_runs_out() {
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "1000") {
        log::info!("/proc/self/oom_score_adj: {error}");
    }
}

/// How much is left out. Each step leaves out what those before it do, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Restraint(u8);

impl Restraint {
    const NONE: Restraint = Restraint(0);
    const SHORT_STACKS: Restraint = Restraint(1);
    /// The last step that keeps samples: one in 16.
    const FEWEST_SAMPLES: Restraint = Restraint(5);
    const NO_EVENTS: Restraint = Restraint(6);
    const STEPS: usize = 7;

    /// Whether only part of each stack is kept.
    pub(crate) fn shortens(self) -> bool {
        self >= Restraint::SHORT_STACKS
    }

    /// One sample in how many is kept, for all of them.
    pub(crate) fn samples(self) -> u32 {
        1 << self.0.min(Restraint::FEWEST_SAMPLES.0).saturating_sub(1)
    }

    /// By what waits and calls are thinned that are short and have no error.
    pub(crate) fn short_ones(self) -> u32 {
        1 << (2 * u32::from(self.0))
    }

    /// Whether nothing is kept but sums and what processes do.
    pub(crate) fn drops(self) -> bool {
        self >= Restraint::NO_EVENTS
    }

    fn more(self) -> Restraint {
        Restraint(self.0 + 1).min(Restraint::NO_EVENTS)
    }

    fn less(self) -> Restraint {
        Restraint(self.0.saturating_sub(1))
    }

    /// What this step does.
    fn what(self) -> String {
        match self {
            Restraint::NONE => "everything was kept".to_owned(),
            Restraint::SHORT_STACKS => {
                "only 8 KiB of each stack, and fewer short waits and system calls".to_owned()
            }
            Restraint::NO_EVENTS => "nothing but exact sums and what processes do".to_owned(),
            _ => format!("one sample in {} for all of them", self.samples()),
        }
    }
}

/// What the recorder has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// CPU time since it began, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Its resident memory in bytes, with what is mapped twice counted once.
    pub(crate) rss: u64,
}

impl Use {
    /// What has been used by now.
    pub(crate) fn now() -> Use {
        let (user_ns, system_ns) = cost::cpu_ns();
        Use { cpu_ns: user_ns + system_ns, rss: resident() }
    }
}

/// Resident memory in bytes; 0 if that is not known. What it shares with the kernel are
/// mostly the programs' buffers, each of which is mapped twice in a row.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse::<u64>().unwrap_or(0));
    let (all, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    all.saturating_sub(shared / 2) * page_size() as u64
}

/// Keeps the recorder within its limits.
#[derive(Debug)]
pub(crate) struct Governor {
    limits: Limits,
    /// The time in which it would have saved what it may still use at once.
    saved_ns: i64,
    /// When that last led to another step.
    stepped_ns: u64,
    used: Use,
    looked_ns: u64,
    /// What the use of the CPU asks for.
    by_cpu: Restraint,
    now: Restraint,
    most: Restraint,
    /// How long each step was in force.
    took_ns: [u64; Restraint::STEPS],
    /// Since when there has been too much memory in use.
    too_large_since: Option<u64>,
}

/// What follows from a look at what the recorder uses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on; there may be something that the user should know.
    GoOn(Option<String>),
    /// The recording has to end, and why.
    End(String),
}

impl Governor {
    /// For a recording that begins now, after attaching has cost what it did.
    pub(crate) fn new(limits: Limits, now_ns: u64, used: Use) -> Self {
        Governor {
            limits,
            saved_ns: SAVED_NS,
            stepped_ns: 0,
            used,
            looked_ns: now_ns,
            by_cpu: Restraint::NONE,
            now: Restraint::NONE,
            most: Restraint::NONE,
            took_ns: [0; Restraint::STEPS],
            too_large_since: None,
        }
    }

    /// How much is to be left out now.
    pub(crate) fn restraint(&self) -> Restraint {
        self.now
    }

    /// Whether there was more memory in use than there may be, and still is nearly as much.
    pub(crate) fn memory_is_short(&self) -> bool {
        self.too_large_since.is_some()
    }

    /// Whether it is time for another look.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.looked_ns) >= LOOK_NS
    }

    /// Takes in what has been used, and decides how much is to be left out.
    pub(crate) fn look(&mut self, now_ns: u64, used: Use) -> Verdict {
        let elapsed_ns = now_ns.saturating_sub(self.looked_ns);
        self.took_ns[usize::from(self.now.0)] += elapsed_ns;
        self.looked_ns = now_ns;
        self.spend(elapsed_ns, used.cpu_ns.saturating_sub(self.used.cpu_ns));
        self.used = used;

        let is_too_large = used.rss > self.limits.max_rss;
        self.too_large_since = match self.too_large_since {
            _ if used.rss <= self.limits.max_rss / 8 * 7 => None,
            None if is_too_large => Some(now_ns),
            since => since,
        };
        self.now = match self.too_large_since {
            Some(_) => Restraint::NO_EVENTS,
            None => self.by_cpu,
        };
        let has_waited = |since: u64| now_ns.saturating_sub(since) > MEMORY_PATIENCE_NS;
        if is_too_large && self.too_large_since.is_some_and(has_waited) {
            return Verdict::End(self.of_memory());
        }
        let is_new = self.now > self.most;
        self.most = self.most.max(self.now);
        Verdict::GoOn(is_new.then(|| self.step()))
    }

    /// Takes CPU time from what may be used, and goes a step up or down by what is left.
    fn spend(&mut self, elapsed_ns: u64, cpu_ns: u64) {
        let Some(percent) = self.limits.max_cpu_percent else { return };
        // In time that would be needed to save it.
        let needed_ns = i128::from(cpu_ns) * 100 / i128::from(percent);
        let saved_ns = i128::from(self.saved_ns) + i128::from(elapsed_ns) - needed_ns;
        self.saved_ns = saved_ns.clamp(-1, SAVED_NS.into()) as i64;
        if self.looked_ns.saturating_sub(self.stepped_ns) < STEP_NS {
            return;
        }
        let next = match self.saved_ns {
            ..0 => self.by_cpu.more(),
            saved_ns if saved_ns > CALM_NS => self.by_cpu.less(),
            _ => self.by_cpu,
        };
        if next != self.by_cpu {
            (self.by_cpu, self.saved_ns, self.stepped_ns) = (next, 0, self.looked_ns);
        }
    }

    /// Says why there is another step, and what it does.
    fn step(&self) -> String {
        let why = match self.too_large_since {
            Some(_) => self.of_memory(),
            None => format!(
                "rec takes more than {} % of a CPU (--max-cpu)",
                self.limits.max_cpu_percent.unwrap_or_default()
            ),
        };
        format!("{why}: for a while it keeps {}", self.now.what())
    }

    fn of_memory(&self) -> String {
        let [used, allowed] = [self.used.rss, self.limits.max_rss].map(mebibytes);
        format!("rec takes {used} of memory, and is allowed {allowed} (--max-rss)")
    }

    /// In the end: what was left out, and for how long, if anything was.
    pub(crate) fn sum(&self) -> Option<String> {
        let all_ns: u64 = self.took_ns.iter().sum();
        let less_ns = all_ns - self.took_ns[0];
        if less_ns == 0 {
            return None;
        }
        let seconds = |ns: u64| ns as f64 / 1e9;
        let mut text = format!(
            "rec kept less than everything for {:.1} of {:.1} s to stay within its limits:",
            seconds(less_ns),
            seconds(all_ns)
        );
        let steps = (1..).zip(&self.took_ns[1..]).filter(|(_, ns)| **ns > 0);
        for (index, (step, ns)) in steps.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let what = Restraint(step).what();
            // Writing to a string does not fail.
            let _ = write!(text, "{comma} {what} for {:.1} s", seconds(*ns));
        }
        Some(text)
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MIB: u64 = 1 << 20;

    fn governor(percent: Option<u32>) -> Governor {
        let limits = Limits { max_rss: 256 * MIB, max_cpu_percent: percent, ..Limits::default() };
        Governor::new(limits, 0, Use { cpu_ns: 5 * SECOND, rss: MIB })
    }

    /// Looks once a second, after so many thousandths of it were used, and with so many
    /// MiB. Returns the notes.
    fn run(governor: &mut Governor, from: u64, uses: &[(u64, u64)]) -> Vec<Option<String>> {
        let mut cpu_ns = governor.used.cpu_ns;
        let looks = (from..).zip(uses).map(|(second, (used, rss))| {
            cpu_ns += used * SECOND / 1000;
            match governor.look((second + 1) * SECOND, Use { cpu_ns, rss: rss * MIB }) {
                Verdict::GoOn(note) => note,
                Verdict::End(why) => Some(format!("the end: {why}")),
            }
        });
        looks.collect()
    }

    #[test]
    fn what_takes_little_is_left_alone() {
        let mut small = governor(Some(25));
        let notes = run(&mut small, 0, &[(900, 200), (240, 200), (250, 256), (250, 200)]);
        assert!(notes.iter().all(Option::is_none), "{notes:?}");
        assert_eq!((small.restraint(), small.sum()), (Restraint::NONE, None));
        let mut unlimited = governor(None);
        run(&mut unlimited, 0, &[(2000, 10); 100]);
        assert_eq!(unlimited.restraint(), Restraint::NONE);
    }

    #[test]
    fn more_and_more_is_left_out_until_it_fits_and_less_afterwards() {
        let mut governor = governor(Some(25));
        // What it has saved lasts for four thirds of a second.
        let notes = run(&mut governor, 0, &[(1000, 10), (1000, 10)]);
        assert_eq!(notes[0], None);
        let note = notes[1].as_deref().unwrap();
        assert!(note.starts_with("rec takes more than 25 % of a CPU (--max-cpu): "), "{note}");
        assert!(note.ends_with(" 8 KiB of each stack, and fewer short waits and system calls"));
        assert!(governor.restraint().shortens() && governor.restraint().samples() == 1);

        let notes = run(&mut governor, 2, &[(900, 10), (600, 10), (400, 10), (300, 10)]);
        assert_eq!(governor.restraint().samples(), 16);
        let last = notes[3].as_deref().unwrap();
        assert!(last.ends_with("keeps one sample in 16 for all of them"), "{last}");
        run(&mut governor, 6, &[(900, 10), (900, 10)]);
        assert!(governor.restraint().drops());

        // What comes again is not told again.
        let notes = run(&mut governor, 8, &[(0, 10); 12]);
        assert_eq!(governor.restraint(), Restraint::NONE);
        let again = run(&mut governor, 20, &[(2000, 10); 4]);
        assert!(notes.iter().chain(&again).all(Option::is_none), "{notes:?} {again:?}");
        let sum = governor.sum().unwrap();
        assert!(sum.contains(" to stay within its limits: only 8 KiB of each stack"), "{sum}");
        assert!(sum.contains(", one sample in 4 for all of them for "), "{sum}");
    }

    #[test]
    fn too_much_memory_drops_events_and_ends_the_recording_if_that_does_not_help() {
        let mut helped = governor(None);
        let notes = run(&mut helped, 0, &[(0, 257), (0, 250), (0, 224)]);
        let note = notes[0].as_deref().unwrap();
        assert!(
            note.starts_with("rec takes 257 MiB of memory, and is allowed 256 MiB (--max-rss): "),
            "{note}"
        );
        assert_eq!(notes[1..], [None, None]);
        assert_eq!(helped.restraint(), Restraint::NONE);
        assert!(helped.sum().unwrap().ends_with("what processes do for 2.0 s"));

        let mut hopeless = governor(None);
        let notes = run(&mut hopeless, 0, &[(0, 300); 5]);
        assert_eq!(notes[1..4], [None, None, None]);
        let last = notes[4].as_deref().unwrap();
        assert!(last.starts_with("the end: rec takes 300 MiB of memory"), "{last}");
    }

    #[test]
    fn memory_in_use_is_known() {
        let used = Use::now();
        assert!(used.rss > MIB && used.rss < 1 << 40, "{used:?}");
    }
}
