//! Where each version of CPython keeps what is needed of it.

use super::binary::Version;

/// Where in the memory of a process the frames of its threads are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// In the runtime: the first interpreter.
    pub(crate) interpreters: u32,
    /// The lock under which threads run; 0 where interpreters lead to it.
    pub(crate) gil: u32,
    /// In an interpreter.
    pub(crate) interpreter_next: u32,
    pub(crate) interpreter_threads: u32,
    pub(crate) interpreter_gil: u32,
    /// In the state of a thread. It has either its frame or its cframe, or both.
    pub(crate) thread_next: u32,
    pub(crate) thread_id: u32,
    pub(crate) thread_frame: u32,
    pub(crate) thread_cframe: u32,
    /// In a cframe.
    pub(crate) cframe_frame: u32,
    pub(crate) cframe_previous: u32,
    /// In a frame.
    pub(crate) frame_code: u32,
    pub(crate) frame_previous: u32,
    pub(crate) frame_instruction: u32,
    /// Says whether a frame ends a run.
    pub(crate) frame_owner: u32,
    pub(crate) run_ends: RunEnds,
}

/// Where in a thread's frames the stack of native ones goes on; the numbers are
/// those of `enum run_ends`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum RunEnds {
    /// Each frame is evaluated by a call of its own.
    #[default]
    Always = 0,
    /// At one that says so, the last of its run.
    AtEntry = 1,
    /// Behind the run, at one on the stack.
    AtShim = 2,
}

/// Where in objects something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Objects {
    pub(crate) first_line: usize,
    pub(crate) file: usize,
    pub(crate) name: usize,
    /// `None` where there are no qualified names.
    pub(crate) qualified_name: Option<usize>,
    pub(crate) line_table: usize,
    pub(crate) bytecode: Bytecode,
    /// The characters of a text of ASCII only, and of another one.
    pub(crate) ascii: usize,
    pub(crate) compact: usize,
}

/// How frames say at which instruction they are, which goes with how line tables
/// look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytecode {
    /// By its address; the bytecode is in the code object, at this offset.
    Inside(usize),
    /// By its number, in units of two bytes.
    Units,
    /// By bytes from the first one.
    Bytes,
}

/// All of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) walk: Walk,
    pub(crate) objects: Objects,
}

/// Type of an object, and its number of items.
pub(super) const TYPE_AT: usize = 8;
pub(super) const SIZE_AT: usize = 16;
/// Length and kind of a text; bytes of a bytes object.
pub(super) const TEXT_LENGTH_AT: usize = 16;
pub(super) const TEXT_STATE_AT: usize = 32;
pub(super) const BYTES_AT: usize = 32;

/// Those of a version that does not say them itself, as a compiler sees them in the
/// version's own headers (3.8.18, 3.9.18, 3.10.13, 3.11.7, 3.12.1); within a version they stay.
pub(super) fn of_version(version: Version) -> Option<Offsets> {
    let new_walk = Walk {
        interpreters: 40,
        thread_next: 8,
        thread_cframe: 56,
        frame_instruction: 56,
        ..Walk::default()
    };
    let new_objects = Objects {
        first_line: 68,
        file: 112,
        name: 120,
        qualified_name: Some(128),
        line_table: 136,
        bytecode: Bytecode::Inside(192),
        ascii: 40,
        compact: 56,
    };
    let old = Offsets {
        walk: Walk {
            interpreters: 32,
            gil: 1152,
            interpreter_next: 0,
            interpreter_threads: 8,
            thread_next: 8,
            thread_id: 176,
            thread_frame: 24,
            frame_code: 32,
            frame_previous: 24,
            frame_instruction: 104,
            run_ends: RunEnds::Always,
            ..Walk::default()
        },
        objects: Objects {
            first_line: 40,
            file: 104,
            name: 112,
            qualified_name: None,
            line_table: 120,
            bytecode: Bytecode::Bytes,
            ascii: 48,
            compact: 72,
        },
    };
    match version {
        Version { major: 3, minor: 8 } => Some(old),
        Version { major: 3, minor: 9 } => {
            Some(Offsets { walk: Walk { gil: 352, ..old.walk }, ..old })
        }
        Version { major: 3, minor: 10 } => Some(Offsets {
            walk: Walk {
                gil: 352,
                thread_cframe: 48,
                cframe_previous: 8,
                frame_instruction: 96,
                ..old.walk
            },
            objects: Objects { bytecode: Bytecode::Units, ..old.objects },
        }),
        Version { major: 3, minor: 11 } => Some(Offsets {
            walk: Walk {
                gil: 360,
                interpreter_next: 0,
                interpreter_threads: 16,
                thread_id: 152,
                cframe_frame: 8,
                cframe_previous: 16,
                frame_code: 32,
                frame_previous: 48,
                frame_owner: 68,
                run_ends: RunEnds::AtEntry,
                ..new_walk
            },
            objects: Objects {
                first_line: 72,
                bytecode: Bytecode::Inside(184),
                ascii: 48,
                compact: 72,
                ..new_objects
            },
        }),
        Version { major: 3, minor: 12 } => Some(Offsets {
            walk: Walk {
                interpreter_next: 0,
                interpreter_threads: 72,
                interpreter_gil: 384,
                thread_id: 136,
                cframe_frame: 0,
                cframe_previous: 8,
                frame_code: 0,
                frame_previous: 8,
                frame_owner: 70,
                run_ends: RunEnds::AtShim,
                ..new_walk
            },
            objects: new_objects,
        }),
        _ => None,
    }
}

/// How a runtime begins that says its offsets itself.
const COOKIE: &[u8; 8] = b"xdebugpy";
/// How much of it is read.
pub(super) const SAID_LEN: usize = 73 * 8;

/// Those that a runtime says of itself, by its first bytes. Where they are in these
/// is laid down by the version.
pub(super) fn said_by(version: Version, runtime: &[u8]) -> Option<Offsets> {
    if version != (Version { major: 3, minor: 13 }) || !runtime.starts_with(COOKIE) {
        return None;
    }
    let number = |at: usize| {
        let bytes = runtime.get(at * 8..)?.first_chunk()?;
        u32::try_from(u64::from_le_bytes(*bytes)).ok()
    };
    let place = |at| number(at).map(|number| number as usize);
    let ascii = place(70)?;
    Some(Offsets {
        walk: Walk {
            interpreters: number(5)?,
            interpreter_next: number(8)?,
            interpreter_threads: number(9)?,
            interpreter_gil: number(14)?,
            thread_next: number(21)?,
            thread_id: number(24)?,
            thread_frame: number(23)?,
            frame_code: number(30)?,
            frame_previous: number(29)?,
            frame_instruction: number(31)?,
            frame_owner: number(33)?,
            run_ends: RunEnds::AtShim,
            ..Walk::default()
        },
        objects: Objects {
            first_line: place(39)?,
            file: place(35)?,
            name: place(36)?,
            qualified_name: Some(place(37)?),
            line_table: place(38)?,
            bytecode: Bytecode::Inside(place(43)?),
            ascii,
            // Two words more: length and address of another encoding.
            compact: ascii + 16,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3_13: Version = Version { major: 3, minor: 13 };

    /// A runtime that says 1000, 1001 and so on.
    fn runtime() -> Vec<u8> {
        let numbers = (1001..1000 + SAID_LEN as u64 / 8).flat_map(u64::to_le_bytes);
        COOKIE.iter().copied().chain(numbers).collect()
    }

    #[test]
    fn a_runtime_says_where_it_keeps_things() {
        let Offsets { walk, objects } = said_by(V3_13, &runtime()).unwrap();
        assert_eq!((walk.interpreters, walk.thread_frame, walk.frame_owner), (1005, 1023, 1033));
        assert_eq!((walk.thread_cframe, walk.run_ends), (0, RunEnds::AtShim));
        assert_eq!((walk.gil, walk.interpreter_gil), (0, 1014));
        assert_eq!(
            (objects.qualified_name, objects.bytecode),
            (Some(1037), Bytecode::Inside(1043))
        );
        assert_eq!((objects.ascii, objects.compact), (1070, 1086));
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let runtime = runtime();
        for length in 0..71 * 8 {
            assert!(said_by(V3_13, &runtime[..length]).is_none(), "{length}");
        }
        assert!(said_by(Version { major: 3, minor: 15 }, &runtime).is_none());
        assert!(said_by(V3_13, &[0; SAID_LEN]).is_none());
        let mut huge = runtime.clone();
        huge[23 * 8..][..8].fill(0xff);
        assert!(said_by(V3_13, &huge).is_none());
        for minor in [0, 7, 13, 15] {
            assert!(of_version(Version { major: 3, minor }).is_none(), "{minor}");
        }
    }
}
