//! Takes a part of very many samples, each of which stands for several.
//!
//! Of so many that follow each other one is taken, at random, so that nothing that happens
//! at regular times is always or never it. Where every stack is to be known, the first
//! sample of each event, process and stack is taken for itself alone, and is not among
//! those. Sums are right on average in either case.

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{BlockHeader, BlockKind, Sample, StackId};

use super::facts::Facts;
use super::sums::MAX_SUMS;
use crate::filter::Window;

/// What a sample takes in a file, about: they are counted only when they are read.
const SAMPLE_BYTES: u64 = 4;
/// Up to so many times what is wanted, all are taken: the rest would not be much less.
const FAR_MORE: u64 = 4;

/// Words of bits for stacks, at most, whatever numbers a trace has: 32 MiB.
const BIT_WORDS: usize = 4 << 20;

/// Where the samples of a trace are.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleBlocks(Vec<Span>);

#[derive(Debug, Clone, Copy)]
struct Span {
    sequence: u32,
    first_ns: u64,
    last_ns: u64,
    bytes: u32,
}

impl SampleBlocks {
    /// Takes down a block, if it is of samples. It may be there already: a reader asks
    /// more than once whether a block is wanted.
    pub(super) fn add(&mut self, block: &BlockHeader) {
        let &BlockHeader { sequence, first_ns, last_ns, stored_len: bytes, .. } = block;
        self.add_span(block.kind, Span { sequence, first_ns, last_ns, bytes });
    }

    fn add_span(&mut self, kind: BlockKind, span: Span) {
        let is_known = self.0.last().is_some_and(|last| last.sequence == span.sequence);
        if kind == BlockKind::SAMPLES && !is_known {
            self.0.push(span);
        }
    }

    /// How many samples of a window of time one has to stand for if no more than about
    /// `most` are to be taken.
    pub(super) fn each(&self, window: Window, most: Option<u64>) -> u64 {
        let Some(most) = most else { return 1 };
        let bytes = |span: &Span| window.part(span.bytes.into(), span.first_ns, span.last_ns);
        let bytes: u64 = self.0.iter().map(bytes).sum();
        let each = bytes / SAMPLE_BYTES / most.max(1);
        if each < FAR_MORE { 1 } else { each }
    }
}

/// Whose stack something was, and of which event. Of a thread without a known process,
/// the thread.
type Owner = (u32, Result<u32, u32>);

/// Takes samples as they come.
#[derive(Debug)]
pub(super) struct Thin {
    /// How many a sample stands for.
    pub(super) each: u64,
    /// How many of those were seen that one is to stand for, and which of them it is.
    at: u64,
    chosen: u64,
    random: u64,
    /// `None` if stacks need not be known.
    known: Option<Known>,
}

/// Stacks of which there is something, by whose they are.
#[derive(Debug)]
struct Known {
    owners: FxHashMap<Owner, usize>,
    stacks: Vec<Stacks>,
    /// How many there are of all.
    count: usize,
    /// Words that may still be taken for bits.
    room: usize,
}

/// Stacks with low numbers, which are most, are bits: every sample is looked up here.
#[derive(Debug, Default)]
struct Stacks {
    bits: Vec<u64>,
    others: FxHashSet<u64>,
}

impl Stacks {
    /// Whether it is new.
    fn insert(&mut self, stack: Option<StackId>, room: &mut usize) -> bool {
        let number = stack.map_or(0, |id| u64::from(id) + 1);
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        let more = (word + 1).saturating_sub(self.bits.len());
        // What is too far now stays so: each word that comes nearer is taken from the room.
        if more > *room {
            return self.others.insert(number);
        }
        if more > 0 {
            *room -= more;
            self.bits.resize(word + 1, 0);
        }
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_new
    }
}

impl Known {
    fn new() -> Self {
        Known { owners: FxHashMap::default(), stacks: Vec::new(), count: 0, room: BIT_WORDS }
    }

    /// Where the stacks of an owner are.
    fn place_of(&mut self, owner: Owner) -> usize {
        *self.owners.entry(owner).or_insert_with(|| {
            self.stacks.push(Stacks::default());
            self.stacks.len() - 1
        })
    }

    /// Takes down a stack; whether it is new.
    fn add(&mut self, place: usize, stack: Option<StackId>) -> bool {
        let is_new = self.stacks[place].insert(stack, &mut self.room);
        self.count += usize::from(is_new);
        is_new
    }
}

impl Thin {
    /// `None` if each stands for itself.
    pub(super) fn new(each: u64) -> Option<Self> {
        (each > 1).then_some(Thin { each, at: each, chosen: 0, random: 1, known: None })
    }

    /// The same, with something of every stack.
    pub(super) fn of_all_stacks(each: u64) -> Option<Self> {
        let known = Some(Known::new());
        Thin::new(each).map(|thin| Thin { known, ..thin })
    }

    /// Leaves those in `rows` that stand for several. What comes back are those that
    /// stand for themselves.
    pub(super) fn take(&mut self, rows: &mut Vec<Sample>, facts: &Facts) -> Vec<Sample> {
        let mut alone = Vec::new();
        if let Some(known) = &mut self.known {
            let mut last = None;
            rows.retain(|sample| {
                // As many are kept apart as of sums.
                if known.count >= MAX_SUMS {
                    return true;
                }
                let of = (sample.thread, sample.event);
                let place = match last {
                    Some((last, place)) if last == of => place,
                    _ => {
                        let thread = facts.threads.index_of(sample.thread);
                        let process = thread.map(|index| facts.threads.values()[index].process);
                        known.place_of((sample.event, process.ok_or(sample.thread)))
                    }
                };
                last = Some((of, place));
                let is_first = known.add(place, sample.stack);
                if is_first {
                    alone.push(*sample);
                }
                !is_first
            });
        }
        rows.retain(|_| self.is_chosen());
        alone
    }

    fn is_chosen(&mut self) -> bool {
        if self.at == self.each {
            self.at = 0;
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.chosen = self.random % self.each;
        }
        self.at += 1;
        self.at == self.chosen + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stands_for_several_and_every_stack_is_known() {
        let mut thin = Thin::of_all_stacks(10).unwrap();
        let sample = |at: u32| Sample {
            time_ns: at.into(),
            // Nine of ten have one stack, and every hundredth one that nothing else has.
            stack: Some(if at % 100 == 7 { at } else { u32::from(at % 10 == 3) }),
            ..Sample::default()
        };
        let facts = Facts::within(Window::default());
        let (mut alone, mut several) = (Vec::new(), Vec::new());
        for block in (0..100_000).collect::<Vec<_>>().chunks(1_234) {
            let mut rows: Vec<Sample> = block.iter().map(|&at| sample(at)).collect();
            alone.extend(thin.take(&mut rows, &facts));
            several.extend(rows);
        }
        assert_eq!(alone.len(), 1_002);
        // The others, in tens of which the last ones are not complete.
        assert!(several.len().abs_diff(98_998 / 10) <= 1, "{}", several.len());
        // Though they come at regular times, each stack gets what is its own.
        let of_one = several.iter().filter(|sample| sample.stack == Some(1)).count();
        assert!((900..1_100).contains(&of_one), "{of_one}");
    }

    #[test]
    fn stacks_are_known_by_process_and_event() {
        let mut thin = Thin::of_all_stacks(1 << 40).unwrap();
        let facts = Facts::within(Window::default());
        let sample = |thread, event, stack| Sample { thread, event, stack, ..Sample::default() };
        let known = [sample(0, 0, None), sample(1, 0, None), sample(1, 1, None)];
        let other = sample(1, 1, Some(0));
        let mut rows = known.to_vec();
        assert_eq!(thin.take(&mut rows, &facts), known);
        let mut rows = [&known[..], &[other]].concat();
        assert_eq!(thin.take(&mut rows, &facts), [other]);
        // Where that is not asked for, none is taken for itself.
        let mut thin = Thin::new(4).unwrap();
        let mut rows = [known.to_vec(), vec![other]].concat();
        assert_eq!(thin.take(&mut rows, &facts), []);
        assert_eq!(rows.len(), 1);
        assert!(Thin::new(1).is_none());
    }

    #[test]
    fn high_numbers_of_stacks_take_no_more_room() {
        let (mut stacks, mut room) = (Stacks::default(), 3);
        for (stack, left) in [(None, 2), (Some(u32::MAX), 2), (Some(191), 2), (Some(126), 1)] {
            assert!(stacks.insert(stack, &mut room), "{stack:?}");
            assert!(!stacks.insert(stack, &mut room), "{stack:?}");
            assert_eq!(room, left, "{stack:?}");
        }
        // Once its neighbours have taken the rest, it is still known.
        assert!(stacks.insert(Some(190), &mut room));
        assert!(!stacks.insert(Some(191), &mut room));
        assert_eq!(room, 0);
    }

    #[test]
    fn what_is_large_is_told_by_its_blocks() {
        let mut blocks = SampleBlocks::default();
        let mut add = |kind, sequence, first_ns, bytes| {
            let last_ns = first_ns + 1_000;
            blocks.add_span(kind, Span { sequence, first_ns, last_ns, bytes });
        };
        add(BlockKind::SAMPLES, 0, 0, 400_000);
        add(BlockKind::SAMPLES, 0, 0, 400_000);
        add(BlockKind::CALLS, 1, 0, 400_000);
        add(BlockKind::SAMPLES, 2, 1_000, 800_000);
        let window = |from_ns, to_ns| Window { from_ns, to_ns };
        assert_eq!(blocks.each(window(0, u64::MAX), Some(1_000)), 300);
        assert_eq!(blocks.each(window(500, 1_500), Some(1_000)), 150);
        assert_eq!(blocks.each(window(0, 1_000), Some(25_000)), 4);
        assert_eq!(blocks.each(window(0, 1_000), Some(25_001)), 1);
        assert_eq!(blocks.each(window(0, 1_000), Some(0)), 100_000);
        assert_eq!(blocks.each(window(7_000, 8_000), Some(1)), 1);
        assert_eq!(blocks.each(Window::default(), None), 1);
    }
}
