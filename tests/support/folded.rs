//! Folded stacks, as a test asks about them.

use std::collections::BTreeMap;

/// Counts by stack; a stack is frames from the root to the leaf, joined by `;`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The count of each distinct stack.
    pub stacks: BTreeMap<String, u64>,
}

/// Panics unless a share of so many samples is as expected: within five standard
/// deviations, and a hundredth for what comes on top.
#[track_caller]
pub fn assert_share(name: &str, share: f64, expected: f64, samples: u64) {
    let deviation = (expected * (1.0 - expected) / samples as f64).sqrt();
    assert!((share - expected).abs() < 5.0 * deviation + 0.01, "{name}: {share}");
}

impl Folded {
    /// The share of stacks that have these frames, with any others between them.
    pub fn share_in_order(&self, names: &[&str]) -> f64 {
        let has_all = |stack: &str| {
            let mut frames = stack
                .split(';')
                .map(|frame| frame.trim_end_matches("_[j]").trim_end_matches("_[i]"));
            names.iter().all(|name| frames.any(|frame| frame == *name))
        };
        let found = self.stacks.iter().filter(|(stack, _)| has_all(stack));
        found.map(|(_, count)| count).sum::<u64>() as f64 / self.total() as f64
    }

    /// Parses lines of `frame;frame;frame count`; any other line is a panic
    /// that shows it.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut stacks = BTreeMap::new();
        for line in text.lines() {
            let parsed = line
                .rsplit_once(' ')
                .and_then(|(stack, count)| Some((stack, count.parse::<u64>().ok()?)));
            let Some((stack, count)) = parsed else { panic!("not a folded stack: {line:?}") };
            *stacks.entry(stack.to_owned()).or_default() += count;
        }
        Self { stacks }
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.stacks.values().sum()
    }

    /// The sum of the counts of stacks that contain `part`. Put `;` around or
    /// before it to match whole frames: `;main;run;hot`.
    pub fn count(&self, part: &str) -> u64 {
        self.stacks.iter().filter(|(stack, _)| stack.contains(part)).map(|(_, n)| n).sum()
    }

    /// [`count`](Self::count) as a part of the total, 0 to 1.
    #[track_caller]
    pub fn share(&self, part: &str) -> f64 {
        assert!(self.total() > 0, "there are no stacks");
        self.count(part) as f64 / self.total() as f64
    }

    /// Panics unless the share of `part` lies within `tolerance` of `expected`.
    #[track_caller]
    pub fn assert_share(&self, part: &str, expected: f64, tolerance: f64) {
        let share = self.share(part);
        assert!(
            (share - expected).abs() <= tolerance,
            "{part}: {share:.3} of {} samples instead of {expected} ± {tolerance} in\n{}",
            self.total(),
            self.head(40),
        );
    }

    /// The `most` greatest stacks as text, greatest first, for a panic message.
    pub fn head(&self, most: usize) -> String {
        let mut stacks: Vec<_> = self.stacks.iter().collect();
        stacks.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        stacks.truncate(most);
        stacks.iter().map(|(stack, count)| format!("{count:8} {stack}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Folded;

    #[test]
    fn counts_and_shares() {
        let folded = Folded::parse("a;b 3\na;b;c d 4\na;b 2\nx 1\n");
        assert_eq!(folded.total(), 10);
        assert_eq!(folded.stacks["a;b"], 5);
        assert_eq!(folded.count(";b"), 9);
        assert_eq!(folded.share("c d"), 0.4);
        folded.assert_share("a;b", 0.85, 0.06);
        assert_eq!(folded.head(1), "       5 a;b\n");
    }

    #[test]
    #[should_panic(expected = "not a folded stack")]
    fn text_that_is_not_folded() {
        Folded::parse("a;b\n");
    }

    #[test]
    #[should_panic(expected = "instead of 0.5")]
    fn a_share_that_is_off() {
        Folded::parse("a 9\nb 1\n").assert_share("a", 0.5, 0.1);
    }
}
