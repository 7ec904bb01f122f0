//! Numbers of processes and threads for formats that tell them apart by nothing else.

use rustc_hash::{FxHashMap, FxHashSet};

use rz_profile::model::{ProcessId, Profile, SourceId};
use rz_text::clean::clean;

/// No system gives out such numbers itself.
const FIRST_MADE_UP: u32 = 1 << 22;

/// A number for each process and thread: the system's, unless something of another
/// recording has it. What had a number one after the other, as the programs that a process
/// executes, has the same one.
pub(super) struct Numbers {
    pub(super) pids: Vec<u32>,
    pub(super) tids: Vec<u32>,
}

impl Numbers {
    pub(super) fn of(profile: &Profile) -> Self {
        let processes = profile.processes.iter().map(|process| (process.source, process.pid));
        let source = |process: ProcessId| profile.processes[process].source;
        let threads = profile.threads.iter().map(|thread| (source(thread.process), thread.tid));
        Numbers { pids: unique(processes), tids: unique(threads) }
    }
}

fn unique(numbers: impl Iterator<Item = (SourceId, u32)>) -> Vec<u32> {
    let (mut known, mut used) = (FxHashMap::default(), FxHashSet::default());
    let mut next = FIRST_MADE_UP;
    let own = |(source, number)| {
        *known.entry((source, number)).or_insert_with(|| {
            if used.insert(number) {
                return number;
            }
            while !used.insert(next) {
                next = next.wrapping_add(1);
            }
            next
        })
    };
    numbers.map(own).collect()
}

/// The numbers as texts, each of its own: `7`, `7.1`, `7.2`.
pub(super) fn unique_texts(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let mut used: FxHashMap<u32, u32> = FxHashMap::default();
    let own = |number| {
        let times = used.entry(number).or_default();
        *times += 1;
        match *times {
            1 => number.to_string(),
            times => format!("{number}.{}", times - 1),
        }
    };
    numbers.map(own).collect()
}

/// What to call a process; in a merged trace also by its recording.
pub(super) fn process_name(profile: &Profile, id: ProcessId) -> String {
    let process = &profile.processes[id];
    match profile.is_merged() {
        true => clean(&format!("{}: {}", profile.source_name(process.source), process.name)).into(),
        false => clean(&process.name).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_recordings_are_not_used_again() {
        let check = |numbers: &[(SourceId, u32)], expected: &[u32]| {
            assert_eq!(unique(numbers.iter().copied()), expected);
        };
        let first = FIRST_MADE_UP;
        check(&[(0, 1), (0, 2), (0, 1)], &[1, 2, 1]);
        check(
            &[(0, 7), (1, 7), (1, first), (2, 7), (1, 7)],
            &[7, first, first + 1, first + 2, first],
        );
    }

    #[test]
    fn texts_are_different() {
        assert_eq!(unique_texts([7, 8, 7, 7].into_iter()), ["7", "8", "7.1", "7.2"]);
    }
}
