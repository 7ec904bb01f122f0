//! CPU profiles of gperftools: words of 4 or 8 bytes, in either order.
//!
//! ```text
//! 0, 3, 0 (1 of Java), period in µs, 0
//! count, length, addresses from the leaf on      for each stack
//! 0, 1, 0
//! text: mappings, or Java's places
//! ```

use rustc_hash::FxHashMap;

use super::super::super::ImportError;
use super::super::fields::damaged;
use super::draft::{Draft, Sample, kind};
use super::lines::{Lines, calls};
use super::{java, maps};

/// Frames of signal handlers that are looked for, at most.
const MAX_HANDLERS: usize = 2;

/// One in so many samples may be without the handler's frame.
const ODD_SAMPLES: usize = 32;

/// The words that are left.
#[derive(Clone, Copy)]
struct Words<'b> {
    rest: &'b [u8],
    is_wide: bool,
    is_big: bool,
}

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (word, rest) = self.rest.split_at_checked(if self.is_wide { 8 } else { 4 })?;
        self.rest = rest;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let bytes = word.iter();
        Some(if self.is_big { bytes.fold(0, add) } else { bytes.rev().fold(0, add) })
    }
}

/// A profile; `None` if these are no words of one.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Draft>, ImportError> {
    for (is_wide, is_big) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut words = Words { rest: bytes, is_wide, is_big };
        let header: Vec<u64> = words.by_ref().take(5).collect();
        if let [0, 3, is_java @ (0 | 1), period_us, 0] = header[..]
            && period_us > 0
        {
            return read_behind(words, period_us, is_java == 1).map(Some);
        }
    }
    Ok(None)
}

fn read_behind(mut words: Words, period_us: u64, is_java: bool) -> Result<Draft, ImportError> {
    let period = period_us.saturating_mul(1000).try_into().unwrap_or(i64::MAX);
    let mut draft = Draft {
        kinds: vec![kind("samples", "count"), kind("cpu", "nanoseconds")],
        period_kind: kind("cpu", "nanoseconds"),
        period,
        ..Draft::default()
    };
    let early = || damaged("it ends in the middle of a stack".to_owned());
    while !words.rest.is_empty() {
        let count = words.next().ok_or_else(early)?;
        let length = words.next().ok_or_else(early)?;
        let length = usize::try_from(length).ok().filter(|n| *n <= words.rest.len() / 4);
        let length = length.ok_or_else(early)?;
        let stack: Vec<u64> = words.by_ref().take(length).collect();
        if stack.len() < length {
            return Err(early());
        }
        if (count, &stack[..]) == (0, &[0]) {
            break;
        }
        let count =
            i64::try_from(count).map_err(|_| damaged(format!("a stack was seen {count} times")))?;
        let stack = if is_java { stack } else { calls(stack, true) };
        draft.samples.push(Sample { values: vec![count, count.saturating_mul(period)], stack });
    }
    let text = String::from_utf8_lossy(words.rest);
    if is_java {
        java::read_places(&mut Lines::of(&text), &mut draft);
    } else {
        drop_handlers(&mut draft.samples);
        draft.drop_doubled_leaves();
        draft.mappings = maps::read(&mut Lines::of(&text))?;
    }
    Ok(draft)
}

/// Takes out what nearly all leaves are called by: the handler of the signal that took the
/// samples, which is no caller.
fn drop_handlers(samples: &mut [Sample]) {
    for _ in 0..MAX_HANDLERS {
        let mut callers: FxHashMap<u64, usize> = FxHashMap::default();
        for caller in samples.iter().filter_map(|sample| sample.stack.get(1)) {
            *callers.entry(*caller).or_default() += 1;
        }
        let least = samples.len() - samples.len() / ODD_SAMPLES;
        let Some((&handler, _)) = callers.iter().find(|(_, count)| **count >= least) else {
            return;
        };
        for Sample { stack, .. } in samples.iter_mut() {
            if stack.get(1) == Some(&handler) {
                stack.remove(1);
            }
        }
    }
}
