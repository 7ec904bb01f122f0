//! Events in a ring: words of 64 bits, the first of which is a time and a tag.
//!
//! | tag | words |
//! |---|---|
//! | [`SKIP`](tag::SKIP) | none: the ring goes on at its beginning |
//! | [`FREE`](tag::FREE), [`REALLOC_FREE`](tag::REALLOC_FREE) | address |
//! | [`SAME`](tag::SAME) + entry | address, size: the stack is that of the thread's previous allocation |
//! | [`STACK`](tag::STACK) + entry | address, size, shape, return addresses from the outermost one on that is new |
//! | [`SAMPLE`](tag::SAMPLE) + entry | address, size, allocations of the thread, instruction pointer, stack pointer, frame pointer, bytes of stack, the stack |
//! | [`SAMPLED_FREE`](tag::SAMPLED_FREE), [`SAMPLED_REALLOC_FREE`](tag::SAMPLED_REALLOC_FREE) | address, allocations of the thread |
//! | [`LOST`](tag::LOST) | events lost since the one before, time of the first |
//!
//! An event never wraps around the end of the ring: [`tag::SKIP`] fills what is
//! left. A shape is `kept frames | new frames << 16 | truncated << 32`: of the
//! previous stack, so many of the outermost frames are the same, the new ones
//! follow, and `truncated` is one of the format's reasons plus one, or 0 for a
//! stack that is complete.

/// Most frames of a stack.
pub const MAX_FRAMES: usize = 1024;

/// Bits of an event's first word that are the tag; the others are its time.
const TAG_BITS: u32 = 6;

/// What an event is.
pub mod tag {
    /// Goes on at the beginning of the ring.
    pub const SKIP: u64 = 0;
    /// An object was freed.
    pub const FREE: u64 = 1;
    /// An object was freed by `realloc`.
    pub const REALLOC_FREE: u64 = 2;
    /// A sampled object was freed.
    pub const SAMPLED_FREE: u64 = 3;
    /// A sampled object was freed by `realloc`.
    pub const SAMPLED_REALLOC_FREE: u64 = 4;
    /// Events were lost.
    pub const LOST: u64 = 5;
    /// An allocation from the same place as the one before; plus the entry.
    pub const SAME: u64 = 16;
    /// An allocation from another place; plus the entry.
    pub const STACK: u64 = 32;
    /// An allocation that was sampled; plus the entry.
    pub const SAMPLE: u64 = 48;
}

/// Which function allocated.
pub mod entry {
    /// `malloc`, and `operator new` above it.
    pub const MALLOC: u64 = 0;
    /// `calloc`.
    pub const CALLOC: u64 = 1;
    /// `realloc` and `reallocarray`.
    pub const REALLOC: u64 = 2;
    /// `posix_memalign`, `aligned_alloc`, `memalign`, `valloc`, `pvalloc`.
    pub const ALIGNED: u64 = 3;
}

/// The first word of an event.
#[inline]
pub fn first_word(ticks: u64, tag: u64) -> u64 {
    ticks << TAG_BITS | tag
}

/// Words of an event, as they are in a ring.
pub type Words<'a> = &'a [u64];

/// An event as the recorder sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An object was freed.
    Free {
        /// When, in ticks.
        ticks: u64,
        /// Its address.
        address: u64,
        /// Whether by `realloc`.
        realloc: bool,
        /// Allocations that the thread had made, if the object was sampled.
        allocations: Option<u64>,
    },
    /// An object was allocated; every one is reported.
    Allocation {
        /// When, in ticks.
        ticks: u64,
        /// By what: see [`entry`].
        entry: u64,
        /// Its address.
        address: u64,
        /// The size asked for.
        size: u64,
        /// Frames of the previous stack that stay, outermost first.
        kept: usize,
        /// Return addresses of the others, outermost first.
        new: Words<'a>,
        /// Why the stack is not complete: a reason of the format, plus one.
        truncated: u8,
        /// Whether it is the stack of the previous allocation, `truncated`
        /// included; the three fields above say nothing then.
        same: bool,
    },
    /// An object was allocated, and was sampled.
    Sample {
        /// When, in ticks.
        ticks: u64,
        /// By what: see [`entry`].
        entry: u64,
        /// Its address.
        address: u64,
        /// The size asked for.
        size: u64,
        /// Allocations that the thread had made, this one included.
        allocations: u64,
        /// Where the function that allocated returns to.
        ip: u64,
        /// Stack pointer after that.
        sp: u64,
        /// Frame pointer.
        bp: u64,
        /// The stack from `sp` on.
        stack: Words<'a>,
    },
    /// Events were lost.
    Lost {
        /// When the last one was, in ticks.
        ticks: u64,
        /// When the first one was.
        first: u64,
        /// How many.
        count: u64,
    },
}

impl Event<'_> {
    /// When it was, in ticks.
    pub fn ticks(&self) -> u64 {
        match *self {
            Event::Free { ticks, .. }
            | Event::Allocation { ticks, .. }
            | Event::Sample { ticks, .. }
            | Event::Lost { ticks, .. } => ticks,
        }
    }
}

/// Reads events off a piece of a ring, up to its end or a [`tag::SKIP`]. Ends
/// with an error at what is no event: nothing behind that can be understood.
#[derive(Debug, Clone)]
pub struct Events<'a> {
    words: Words<'a>,
}

/// A ring holds something that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Events<'a> {
    /// Events in `words`, of which the first one begins an event.
    pub fn new(words: Words<'a>) -> Self {
        Events { words }
    }

    /// What was not read yet.
    pub fn rest(&self) -> Words<'a> {
        self.words
    }

    fn take(&mut self, count: usize) -> Result<Words<'a>, Malformed> {
        let (taken, rest) = self.words.split_at_checked(count).ok_or(Malformed)?;
        self.words = rest;
        Ok(taken)
    }

    fn read(&mut self, first: u64) -> Result<Option<Event<'a>>, Malformed> {
        let (ticks, tag) = (first >> TAG_BITS, first & ((1 << TAG_BITS) - 1));
        let entry = tag & 15;
        Ok(Some(match tag {
            tag::SKIP => {
                self.words = &[];
                return Ok(None);
            }
            tag::FREE | tag::REALLOC_FREE => {
                let address = self.take(1)?[0];
                let realloc = tag == tag::REALLOC_FREE;
                Event::Free { ticks, address, realloc, allocations: None }
            }
            tag::SAMPLED_FREE | tag::SAMPLED_REALLOC_FREE => {
                let words = self.take(2)?;
                let realloc = tag == tag::SAMPLED_REALLOC_FREE;
                Event::Free { ticks, address: words[0], realloc, allocations: Some(words[1]) }
            }
            tag::LOST => {
                let words = self.take(2)?;
                Event::Lost { ticks, count: words[0], first: words[1] }
            }
            tag::SAME..tag::STACK => {
                let words = self.take(2)?;
                let (address, size) = (words[0], words[1]);
                let (kept, new, truncated, same) = (0, &[][..], 0, true);
                Event::Allocation { ticks, entry, address, size, kept, new, truncated, same }
            }
            tag::STACK..tag::SAMPLE => {
                let words = self.take(3)?;
                let (address, size, shape) = (words[0], words[1], words[2]);
                let kept = (shape & 0xffff) as usize;
                let new = self.take((shape >> 16 & 0xffff) as usize)?;
                let (truncated, same) = ((shape >> 32) as u8, false);
                Event::Allocation { ticks, entry, address, size, kept, new, truncated, same }
            }
            tag::SAMPLE.. => {
                let words = self.take(7)?;
                let stack = self.take((words[6] / 8) as usize)?;
                Event::Sample {
                    ticks,
                    entry,
                    address: words[0],
                    size: words[1],
                    allocations: words[2],
                    ip: words[3],
                    sp: words[4],
                    bp: words[5],
                    stack,
                }
            }
            _ => return Err(Malformed),
        }))
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        let event = self.read(*first);
        if event.is_err() {
            self.words = &[];
        }
        event.transpose()
    }
}

/// What fills `shape` of [`tag::STACK`].
#[inline]
pub fn shape(kept: usize, new: usize, truncated: u8) -> u64 {
    kept as u64 | (new as u64) << 16 | u64::from(truncated) << 32
}
