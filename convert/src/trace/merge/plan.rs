//! Decides about order, numbers and clocks before anything is merged.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::MergeError;
use super::sources::{Input, Leaf};

/// What is to be merged, and how.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of their first recordings.
    pub(super) inputs: Vec<Input>,
    /// The recordings in order of their beginnings. Their numbers in the
    /// output are their indices.
    pub(super) sources: Vec<PlannedSource>,
    pub(super) trace_id: [u8; 16],
    pub(super) created_unix_ns: u64,
    pub(super) created_ns: u64,
}

/// A recording and its place in the output.
#[derive(Debug)]
pub(super) struct PlannedSource {
    /// The trace that it is in.
    pub(super) input: usize,
    /// With times as they are in that trace.
    pub(super) leaf: Leaf,
    /// What is to be added to those.
    pub(super) delta_ns: i64,
}

impl Plan {
    /// Fails if a recording is there twice.
    pub(super) fn new(mut inputs: Vec<Input>) -> Result<Plan, MergeError> {
        let mut labels: FxHashMap<String, usize> = FxHashMap::default();
        for input in &inputs {
            *labels.entry(input.label.clone()).or_default() += 1;
        }
        for input in inputs.iter_mut().filter(|input| labels[&input.label] > 1) {
            input.tell_apart();
        }

        let key = |leaf: &Leaf| (leaf.start_unix_ns(), leaf.trace_id);
        inputs.sort_by_cached_key(|input| {
            (input.leaves.iter().map(key).min(), Reverse(input.leaves.len()))
        });
        let mut sources: Vec<PlannedSource> = Vec::new();
        for (input, leaves) in inputs.iter().map(|input| &input.leaves).enumerate() {
            let planned = |leaf: &Leaf| PlannedSource { input, leaf: leaf.clone(), delta_ns: 0 };
            sources.extend(leaves.iter().map(planned));
        }
        sources.sort_by_cached_key(|source| key(&source.leaf));
        let mut known: FxHashMap<[u8; 16], usize> = FxHashMap::default();
        for source in &sources {
            if let Some(&first) = known.get(&source.leaf.trace_id) {
                let [first, second] = [first, source.input].map(|at| inputs[at].path.clone());
                let label = source.leaf.label.clone();
                return Err(MergeError::SameTrace { first, second, label });
            }
            known.insert(source.leaf.trace_id, source.input);
        }
        align(&mut sources);
        let Some(first) = sources.first() else { return Err(MergeError::NothingToMerge) };
        Ok(Plan {
            trace_id: join_ids(sources.iter().map(|source| &source.leaf.trace_id)),
            created_unix_ns: first.leaf.created_unix_ns,
            created_ns: shifted(first.leaf.created_ns, first.delta_ns),
            inputs,
            sources,
        })
    }
}

/// Puts all recordings on the clock of the first one. Recordings of one boot
/// have one clock; others are aligned by the time of day.
fn align(sources: &mut [PlannedSource]) {
    let mut boots: FxHashMap<String, i128> = FxHashMap::default();
    let mut first = None;
    for source in sources {
        let own = source.leaf.unix_offset_ns();
        let offset = match source.leaf.boot() {
            Some(boot) => *boots.entry(boot.to_owned()).or_insert(own),
            None => own,
        };
        let shift = offset - *first.get_or_insert(offset);
        let delta = shift - i128::from(source.leaf.shift_ns);
        source.delta_ns = delta.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    }
}

/// A time on the merged clock. 0 stands for what was before the recording, and
/// so do times before the clock began.
pub(super) fn shifted(time_ns: u64, delta_ns: i64) -> u64 {
    if time_ns == 0 { 0 } else { time_ns.saturating_add_signed(delta_ns) }
}

/// An id that follows from those of the sources: their 128-bit FNV-1a hash.
fn join_ids<'t>(ids: impl Iterator<Item = &'t [u8; 16]>) -> [u8; 16] {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash =
        ids.flatten().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_joined_as_fnv_says() {
        let id = *b"foobar\0\0\0\0\0\0\0\0\0\0";
        let joined = join_ids([&id].into_iter());
        assert_ne!(joined, id);
        assert_ne!(joined, join_ids([&id, &id].into_iter()));
        assert_eq!(join_ids([].into_iter())[..2], [0x6c, 0x62]);
    }

    #[test]
    fn what_was_before_stays_before() {
        for (time, delta, expected) in [(0, 5, 0), (10, 5, 15), (10, -3, 7), (10, -30, 0)] {
            assert_eq!(shifted(time, delta), expected);
        }
        assert_eq!(shifted(u64::MAX, 1), u64::MAX);
    }
}
