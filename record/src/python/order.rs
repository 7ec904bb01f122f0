//! Frames as the program in the kernel takes them down, and where among the native
//! frames they belong.

/// Length of a frame's record.
pub(crate) const FRAME_LEN: usize = 24;

/// A frame of CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// Address of its code object.
    pub(crate) code: u64,
    /// The instruction that it is at, as its version keeps that.
    pub(crate) instruction: u64,
}

/// Frames that one native frame evaluates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// An address on the stack of that native frame; 0 if it is not known.
    pub(crate) native: u64,
    /// Innermost first.
    pub(crate) frames: Vec<RawFrame>,
}

/// All of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// Innermost first.
    pub(crate) runs: Vec<Run>,
    /// Whether there may be more, further out.
    pub(crate) is_cut: bool,
}

impl Frames {
    /// Reads what the program has written.
    pub(crate) fn parse(records: &[u8]) -> Self {
        let mut all = Frames::default();
        let mut frames = Vec::new();
        for record in records.as_chunks::<FRAME_LEN>().0 {
            let words = record.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
            let [code, instruction, native] = std::array::from_fn({
                let mut words = words;
                move |_| words.next().unwrap_or(0)
            });
            if [code, instruction, native] == [0; 3] {
                all.is_cut = true;
                break;
            }
            if code != 0 {
                frames.push(RawFrame { code, instruction });
            }
            if native != 0 {
                all.runs.push(Run { native, frames: std::mem::take(&mut frames) });
            }
        }
        if !frames.is_empty() {
            all.runs.push(Run { native: 0, frames });
        }
        all
    }
}

/// Which native frame has `address` on its part of the stack, by the frames' stack
/// pointers, innermost first; `None` if it lies outside of all. The last one's part
/// ends at `end`.
pub(crate) fn owner(stack_pointers: &[u64], end: u64, address: u64) -> Option<usize> {
    let ends = stack_pointers.iter().skip(1).chain(std::iter::once(&end));
    stack_pointers.iter().zip(ends).position(|(start, end)| (*start..*end).contains(&address))
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
        let found: Vec<(u64, Vec<u64>)> = parsed
            .runs
            .iter()
            .map(|run| (run.native, run.frames.iter().map(|frame| frame.code).collect()))
            .collect();
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

    #[test]
    fn the_native_frame_that_an_address_belongs_to() {
        let cases =
            [(0xf, None), (0x10, Some(0)), (0x1f, Some(0)), (0x20, Some(1)), (0x3f, Some(2))];
        for (address, expected) in cases.into_iter().chain([(0x40, None), (0, None)]) {
            assert_eq!(owner(&[0x10, 0x20, 0x30], 0x40, address), expected, "{address:#x}");
        }
        // A signal handler on a stack of its own, further up.
        assert_eq!(owner(&[0x90, 0x10], 0x40, 0x98), None);
        assert_eq!(owner(&[], 0x40, 0x10), None);
    }
}
