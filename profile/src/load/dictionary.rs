//! Finds frames and stacks by their ids, some of which may be missing.

use rz_format::{Frame, StackDefs, StackNode};

/// Values that are kept, at most; a gigabyte of frames and stacks. Made-up
/// blocks compress so well that a small file can define any number.
const MAX_VALUES: usize = 1 << 25;

/// Values with consecutive ids, except where blocks were lost.
///
/// An id is translated to an index into the values that are there, so that a
/// gap of four billion ids takes no memory.
#[derive(Debug, Clone)]
pub struct Dictionary<T> {
    values: Vec<T>,
    /// Where consecutive ids begin: (first id, its index), both ascending.
    runs: Vec<(u32, usize)>,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Dictionary { values: Vec::new(), runs: Vec::new() }
    }
}

impl<T> Dictionary<T> {
    /// Adds values that have the ids from `first` on. Ids are never reused, so
    /// those at or below a known one can only come from a made-up file: the
    /// first definition stays. Beyond `MAX_VALUES` all are left out, which
    /// is as if they were lost.
    pub fn add(&mut self, first: u32, values: Vec<T>) {
        let next = self.next_id();
        let known = next.saturating_sub(u64::from(first)) as usize;
        if known >= values.len() || self.values.len() + values.len() > MAX_VALUES {
            return;
        }
        let first = u64::from(first).max(next);
        // Fails only beyond the last possible id.
        let Ok(id) = u32::try_from(first) else { return };
        if first != next || self.runs.is_empty() {
            self.runs.push((id, self.values.len()));
        }
        self.values.extend(values.into_iter().skip(known));
    }

    /// One more than the largest id.
    fn next_id(&self) -> u64 {
        let Some(&(first, index)) = self.runs.last() else { return 0 };
        u64::from(first) + (self.values.len() - index) as u64
    }

    /// Index of the value with an id, if it is there.
    pub fn index_of(&self, id: u32) -> Option<usize> {
        let run = self.runs.partition_point(|&(first, _)| first <= id).checked_sub(1)?;
        let (first, start) = self.runs[run];
        let end = self.runs.get(run + 1).map_or(self.values.len(), |&(_, index)| index);
        let index = start + (id - first) as usize;
        (index < end).then_some(index)
    }

    /// The values with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.runs.iter().enumerate().flat_map(|(run, &(first, start))| {
            let end = self.runs.get(run + 1).map_or(self.values.len(), |&(_, index)| index);
            (first..=u32::MAX).zip(&self.values[start..end])
        })
    }

    /// The values in order of their ids.
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

/// The frames and stacks of a trace.
#[derive(Debug, Default)]
pub(super) struct StackDictionary {
    pub(super) frames: Dictionary<Frame>,
    pub(super) stacks: Dictionary<StackNode>,
}

impl StackDictionary {
    /// Adds the content of a block.
    pub(super) fn add(&mut self, definitions: StackDefs) {
        self.frames.add(definitions.first_frame, definitions.frames);
        self.stacks.add(definitions.first_stack, definitions.stacks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds runs of letters and prints what has the ids, `.` for nothing.
    fn check(runs: &[(u32, &str)], ids: &[u32], expected: &str) {
        let mut dictionary = Dictionary::default();
        for &(first, letters) in runs {
            dictionary.add(first, letters.chars().collect());
        }
        let at = |&id: &u32| dictionary.index_of(id).map_or('.', |i| dictionary.values()[i]);
        assert_eq!(ids.iter().map(at).collect::<String>(), expected, "{runs:?}");
        let is_found = |(id, letter): (u32, &char)| {
            dictionary.index_of(id).is_some_and(|index| dictionary.values()[index] == *letter)
        };
        assert!(dictionary.iter().all(is_found), "{runs:?}");
    }

    #[test]
    fn ids_lead_to_their_own_value_or_nowhere() {
        const LAST: u32 = u32::MAX;
        check(&[], &[0, LAST], "..");
        check(&[(0, "ab"), (2, "c")], &[0, 1, 2, 3], "abc.");
        check(&[(1, "ab"), (5, "c")], &[0, 1, 2, 3, 4, 5, 6], ".ab..c.");
        check(&[(0, "a"), (LAST - 1, "yz")], &[0, 1, LAST - 2, LAST - 1, LAST], "a..yz");
        // Beyond the last id, and ids given twice.
        check(&[(LAST, "yz"), (LAST, "x"), (0, "a")], &[0, LAST], ".y");
        check(&[(0, "abc"), (1, "xyz")], &[0, 1, 2, 3, 4], "abcz.");
        check(&[(0, "abc"), (1, "x"), (0, "")], &[0, 1, 2, 3], "abc.");
    }
}
