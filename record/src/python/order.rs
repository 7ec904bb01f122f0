//! Frames as the program in the kernel takes them down, and where among the native
//! frames they belong.

/// Length of a frame's record.
pub(crate) const FRAME_LEN: usize = 24;

/// A frame of CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RawFrame {
    /// Address of its code object.
    pub(crate) code: u64,
    /// The instruction that it is at, as its version keeps that.
    pub(crate) instruction: u64,
}

/// Frames that one native frame evaluates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    /// An address on the stack of that native frame; 0 if it is not known.
    native: u64,
    /// How many frames that are.
    count: usize,
}

/// All of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Innermost first, as are the runs that they are in.
    list: Vec<RawFrame>,
    runs: Vec<Run>,
    /// Whether there may be more, further out.
    pub(crate) is_cut: bool,
}

impl Frames {
    /// Reads what the program has written.
    pub(crate) fn parse(records: &[u8]) -> Self {
        let list = Vec::with_capacity(records.len() / FRAME_LEN);
        let mut all = Frames { list, ..Frames::default() };
        let mut count = 0;
        for record in records.as_chunks::<FRAME_LEN>().0 {
            let mut words = record.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            let [code, instruction, native] = std::array::from_fn(|_| words.next().unwrap_or(0));
            if [code, instruction, native] == [0; 3] {
                all.is_cut = true;
                break;
            }
            if code != 0 {
                all.list.push(RawFrame { code, instruction });
                count += 1;
            }
            if native != 0 {
                all.runs.push(Run { native, count: std::mem::take(&mut count) });
            }
        }
        if count > 0 {
            all.runs.push(Run { native: 0, count });
        }
        all
    }

    /// The frames, with the native frame that each belongs to: the one that has the
    /// run's address on its part of the stack. `stack_pointers` are those of the native
    /// frames, whose number stands for none of them; all are innermost first. The last
    /// one's part ends at `end`. A run that is cut has no address: it belongs to the next
    /// one of those that are `evaluating`, as each of these has a run.
    pub(crate) fn by_address(
        self,
        stack_pointers: &[u64],
        end: u64,
        evaluating: &[usize],
    ) -> Vec<(usize, RawFrame)> {
        let mut next = 0;
        let holds = |at: &usize, native: u64| {
            let part_end = *stack_pointers.get(at + 1).unwrap_or(&end);
            (stack_pointers[*at]..part_end).contains(&native)
        };
        let mut owners = self.runs.iter().flat_map(|Run { native, count }| {
            let found = match native {
                0 => evaluating.iter().copied().find(|at| *at >= next),
                _ => (next..stack_pointers.len()).find(|at| holds(at, *native)),
            };
            let owner = found.unwrap_or(stack_pointers.len());
            next = owner + 1;
            std::iter::repeat_n(owner, *count)
        });
        self.list.iter().map_while(|raw| Some((owners.next()?, *raw))).collect()
    }

    /// The frames, each with the native frame that it belongs to, where they do not say:
    /// each has one of those that are `evaluating`. `outside` stands for none.
    pub(crate) fn one_each(
        self,
        evaluating: &[usize],
        outside: usize,
        is_whole: bool,
    ) -> Vec<(usize, RawFrame)> {
        // One that is just beginning, or ending, has no frame: it is the innermost.
        let spare = if is_whole { evaluating.len().saturating_sub(self.list.len()) } else { 0 };
        let natives = evaluating.iter().skip(spare).copied().chain(std::iter::repeat(outside));
        natives.zip(self.list).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(words: &[[u64; 3]]) -> Vec<u8> {
        words.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[track_caller]
    fn check(words: &[[u64; 3]], runs: &[(u64, &[u64])], is_cut: bool) {
        let parsed = Frames::parse(&records(words));
        let mut codes = parsed.list.iter().map(|frame| frame.code);
        let mut run = |run: &Run| (run.native, codes.by_ref().take(run.count).collect());
        let found: Vec<(u64, Vec<u64>)> = parsed.runs.iter().map(&mut run).collect();
        let expected = runs.iter().map(|(native, codes)| (*native, codes.to_vec()));
        assert_eq!((found, parsed.is_cut), (expected.collect::<Vec<_>>(), is_cut));
    }

    #[test]
    fn runs_of_all_kinds() {
        // Each frame with a native one of its own; runs that end at an entry; and
        // runs behind which there is a shim.
        check(&[[1, 9, 0x10], [2, 9, 0x20]], &[(0x10, &[1]), (0x20, &[2])], false);
        check(&[[1, 9, 0], [2, 9, 0x20], [3, 9, 0x30]], &[(0x20, &[1, 2]), (0x30, &[3])], false);
        check(&[[1, 9, 0], [2, 9, 0], [0, 0, 0x20]], &[(0x20, &[1, 2])], false);
        check(&[], &[], false);
        // Of what comes behind, nothing is known.
        check(&[[1, 9, 0x10], [2, 9, 0], [0; 3]], &[(0x10, &[1]), (0, &[2])], true);
        // A record that is cut off is none.
        let cut = &records(&[[1, 9, 0x10], [2, 9, 0x20]])[..40];
        assert_eq!(Frames::parse(cut).runs.len(), 1);
    }

    #[track_caller]
    fn check_owner(stack_pointers: &[u64], native: u64, expected: usize) {
        let frames = Frames::parse(&records(&[[1, 9, native], [2, 9, 0], [0; 3]]));
        let found = frames.by_address(stack_pointers, 0x40, &[0, 2]).into_iter();
        let found: Vec<usize> = found.map(|(of, _)| of).collect();
        // What evaluates the rest is further out.
        let rest = if expected < 2 { 2 } else { stack_pointers.len() };
        assert_eq!(found, [expected, rest], "{native:#x}");
    }

    #[test]
    fn the_native_frame_that_an_address_belongs_to() {
        let cases = [(0xf, 3), (0x10, 0), (0x1f, 0), (0x20, 1), (0x3f, 2), (0x40, 3)];
        for (native, expected) in cases {
            check_owner(&[0x10, 0x20, 0x30], native, expected);
        }
        // A signal handler on a stack of its own, further up.
        check_owner(&[0x90, 0x10, 0x20], 0x98, 3);
        check_owner(&[0x90, 0x10, 0x20], 0x18, 1);
    }

    #[test]
    fn frames_that_say_nothing_of_native_ones() {
        let check = |evaluating: &[usize], frames: u64, is_whole, expected: &[usize]| {
            let frames: Vec<_> = (1..=frames).map(|code| [code, 9, 0]).collect();
            let frames = Frames::parse(&records(&frames)).one_each(evaluating, 12, is_whole);
            let found: Vec<usize> = frames.into_iter().map(|(of, _)| of).collect();
            assert_eq!(found, expected);
        };
        check(&[2, 5, 9], 3, true, &[2, 5, 9]);
        // The innermost has just begun; the stack goes on; there is none.
        check(&[2, 5, 9], 2, true, &[5, 9]);
        check(&[2, 5], 3, false, &[2, 5, 12]);
        check(&[], 1, false, &[12]);
    }
}
