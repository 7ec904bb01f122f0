//! The frames of all functions of a file that could be followed.

use iced_x86::{Instruction, Mnemonic, Register};
use rustc_hash::{FxHashMap, FxHashSet};

use super::code::CodeBytes;
use super::state::FrameState;
use super::walk::{Starts, Walk, call_target, pointer, puts_away, walk};

/// Most instructions that are looked at of a file, those included that are looked at
/// again. Of one that needs more, nothing is known: functions that were not found would be
/// taken for parts of those before.
const MAX_STEPS: usize = 8 << 20;

/// How often it is asked which functions never return: each time, those that end in a call
/// of one are found.
const ENDLESS_ROUNDS: usize = 3;

/// Where the frames are, by address. There may be millions of instructions, with few
/// states among them.
#[derive(Debug, Default)]
pub struct KnownFrames {
    /// First address, length, and the number of the state before each instruction in
    /// between; sorted.
    ranges: Vec<(u64, u32, u32)>,
    states: Vec<FrameState>,
}

impl KnownFrames {
    /// Follows all functions that can be found in `code`, but for those of which something
    /// else is known: where these begin and end, sorted.
    pub fn find(code: &CodeBytes, covered: Vec<(u64, u64)>) -> Self {
        let starts = Starts { covered, ..Starts::default() };
        let mut search = Search { code, starts, budget: MAX_STEPS };
        search.find_starts();
        search.follow_all().unwrap_or_default()
    }

    /// All of them.
    #[cfg(test)]
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64, FrameState)> {
        let state = |number: u32| self.states[number as usize];
        let end = |start: u64, length: u32| start.saturating_add(length.into());
        self.ranges
            .iter()
            .map(move |&(start, length, number)| (start, end(start, length), state(number)))
    }

    /// The state before the instruction that an address is in.
    pub fn at(&self, svma: u64) -> Option<FrameState> {
        let after = self.ranges.partition_point(|(start, ..)| *start <= svma);
        let (start, length, number) = *self.ranges[..after].last()?;
        (svma - start < length.into()).then(|| self.states[number as usize])
    }
}

struct Search<'c> {
    code: &'c CodeBytes,
    starts: Starts,
    budget: usize,
}

impl Search<'_> {
    fn walk(&mut self, start: u64) -> Walk {
        walk(self.code, start, &self.starts, &mut self.budget)
    }

    /// Finds where functions begin: by symbols and calls, then by their addresses.
    fn find_starts(&mut self) {
        let mut reached: FxHashSet<u64> = FxHashSet::default();
        self.starts.possible.extend(self.code.words());
        let mut found: Vec<u64> = self.code.functions.clone();
        let mut pointers = self.look_through_covered(&mut found);
        let mut data: Vec<u64> = self.starts.possible.iter().copied().collect();
        data.sort_unstable();
        loop {
            while let Some(start) = found.pop() {
                let is_followed = self.code.is_code(start) && !self.starts.covers(start);
                if !is_followed || !self.starts.sure.insert(start) {
                    continue;
                }
                let walk = self.walk(start);
                // What was not understood may have led to what is no code.
                if !walk.is_contradictory {
                    found.extend(&walk.calls);
                    reached.extend(walk.instructions.keys());
                }
                self.starts.possible.extend(&walk.pointers);
                pointers.extend(walk.pointers);
            }
            let in_data = data.is_empty();
            let next = if in_data { pointers.pop() } else { data.pop() };
            let Some(start) = next else { return };
            let is_known = self.starts.begins_or_covers(start) || reached.contains(&start);
            if is_known {
                continue;
            }
            let walk = self.walk(start);
            // Where nothing says that it returns, data might as well be numbers.
            let is_function = walk.returns || in_data && self.begins_function(start);
            if is_function && !walk.leaves_frame && !walk.is_contradictory {
                found.push(start);
            }
        }
    }

    /// Adds what covered code calls to `found`, and returns what it has the addresses of.
    fn look_through_covered(&mut self, found: &mut Vec<u64>) -> Vec<u64> {
        let mut pointers = Vec::new();
        for (start, end) in &self.starts.covered {
            let mut at = *start;
            while at < *end && self.budget > 0 {
                self.budget -= 1;
                let Some(instruction) = self.code.instruction(at) else { break };
                let called = call_target(&instruction);
                let elsewhere = |address: &u64| !self.starts.covers(*address);
                found.extend(called.filter(elsewhere));
                pointers.extend(pointer(self.code, &instruction).filter(elsewhere));
                at = instruction.next_ip();
            }
        }
        self.starts.possible.extend(&pointers);
        pointers
    }

    /// Whether code puts away what its caller has in registers, or makes room.
    fn begins_function(&self, start: u64) -> bool {
        let is_endbr = |first: &Instruction| first.mnemonic() == Mnemonic::Endbr64;
        let first = self.code.instruction(start).and_then(|first| match is_endbr(&first) {
            true => self.code.instruction(first.next_ip()),
            false => Some(first),
        });
        first.is_some_and(|first| {
            puts_away(&first)
                || first.mnemonic() == Mnemonic::Sub && first.op0_register() == Register::RSP
        })
    }

    /// Whether a function has no way out.
    fn is_endless(&mut self, start: u64) -> bool {
        if self.starts.endless.contains(&start) {
            return false;
        }
        let walk = self.walk(start);
        !(walk.returns || walk.leaves || walk.is_contradictory)
    }

    /// Follows each function once more, now that all are known; `None` if it takes too
    /// many steps.
    fn follow_all(mut self) -> Option<KnownFrames> {
        let mut starts: Vec<u64> = self.starts.sure.iter().copied().collect();
        starts.sort_unstable();
        for _ in 0..ENDLESS_ROUNDS {
            let mut endless = starts.clone();
            endless.retain(|start| self.is_endless(*start));
            self.starts.endless.extend(endless);
        }
        let mut states: Vec<FrameState> = Vec::new();
        let mut numbers: FxHashMap<FrameState, u32> = FxHashMap::default();
        let mut frames: Vec<(u64, u32, u8)> = Vec::new();
        for start in starts {
            let walk = self.walk(start);
            if walk.is_contradictory {
                continue;
            }
            frames.extend(walk.instructions.into_iter().map(|(at, (length, state))| {
                let number = *numbers.entry(state).or_insert_with(|| {
                    states.push(state);
                    states.len() as u32 - 1
                });
                (at, number, length)
            }));
        }
        if self.budget == 0 {
            return None;
        }
        frames.sort_unstable_by_key(|(at, ..)| *at);
        let mut ranges: Vec<(u64, u32, u32)> = Vec::new();
        for same_place in frames.chunk_by(|a, b| a.0 == b.0) {
            let (at, number, length) = same_place[0];
            if same_place.iter().any(|(_, other, _)| *other != number) {
                continue;
            }
            let length = u32::from(length);
            match ranges.last_mut() {
                Some((start, so_far, same))
                    if at - *start == u64::from(*so_far) && *same == number =>
                {
                    *so_far = so_far.saturating_add(length);
                }
                _ => ranges.push((at, length, number)),
            }
        }
        ranges.shrink_to_fit();
        Some(KnownFrames { ranges, states })
    }
}
