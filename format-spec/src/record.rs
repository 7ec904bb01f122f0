//! Records: single facts about the host, the recording, processes, code and
//! losses.
//!
//! A records block is a sequence of (tag, length, body). Bodies are bincode 2
//! in its standard configuration (SPEC.md pins the bytes). A reader skips tags
//! it does not know and ignores bytes after the fields it knows, so fields may
//! be appended to a record and records may be added without breaking anyone.

mod code;
mod function;
mod process;
mod recording;
mod runtime;

use crate::error::FormatError;
use crate::varint::{read_bytes, read_varint, write_varint};

pub use code::*;
pub use function::*;
pub use process::*;
pub use recording::*;
pub use runtime::*;

/// Most records in a block.
pub(crate) const MAX_RECORDS: usize = 1 << 18;
/// Upper limit of one record's body in bytes, which also bounds what decoding
/// it may allocate.
const MAX_BODY: usize = 1 << 20;

/// Tag of [`Record::CodeObject`].
const CODE_OBJECT: u8 = 28;

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The machine that was recorded.
    Host(Host),
    /// How the recording was made.
    Recording(Recording),
    /// What was counted.
    Event(Event),
    /// One moment on three clocks.
    Clock(Clock),
    /// A process appeared, was found, or replaced its program.
    Process(Process),
    /// A process ended.
    ProcessExit(Exit),
    /// A thread appeared or was found.
    Thread(Thread),
    /// A thread changed its name.
    ThreadName(ThreadName),
    /// A thread ended.
    ThreadExit(Exit),
    /// Something that code addresses belong to.
    Module(Module),
    /// A part of a module became executable in a process.
    Mapping(Mapping),
    /// The name of a piece of code that cannot be looked up later.
    Symbol(Symbol),
    /// Events that were due and are missing.
    Loss(Loss),
    /// What the recorder itself used so far.
    Cost(Cost),
    /// The recording ended.
    End(End),
    /// Something a reader should know.
    Note(Note),
    /// What was recorded besides samples.
    Captured(Captured),
    /// A file that a process had open when the recording found it.
    OpenFile(OpenFile),
    /// Where a process was when the recording found it.
    WorkingDirectory(WorkingDirectory),
    /// How allocations were recorded.
    Allocations(Allocations),
    /// Whose allocations were recorded.
    Allocator(Allocator),
    /// A trace that was merged into this one.
    Source(Source),
    /// Which of them the next records of the block are about.
    OfSource(OfSource),
    /// Code that a process generated.
    Generated(Generated),
    /// What else was seen of a process.
    ProcessFacts(ProcessFacts),
    /// The names of a module's code are in the trace.
    Named(Named),
    /// Something was taken out of the trace.
    Redaction(Redaction),
    /// A piece of code as a runtime knows it.
    CodeObject(CodeObject),
    /// What the CPU times of threads add up to.
    CpuTimes(CpuTimes),
    /// What system calls were given was copied.
    CallData(CallData),
    /// When a thread had been on a CPU last before the recording.
    LastRan(LastRan),
    /// A function whose calls were recorded.
    Function(Function),
}

/// Writes the two directions between tags and record types, so that they
/// cannot disagree.
macro_rules! tagged {
    ($($tag:literal => $name:ident),* $(,)?) => {
        impl Record {
            /// All kinds of records, for those who have to deal with each.
            pub const KINDS: &[&str] = &[$(stringify!($name)),*];

            /// What kind of record it is: one of [`Record::KINDS`].
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Record::$name(_) => stringify!($name),)*
                }
            }
        }

        /// Appends `record` to the payload of a records block.
        pub(crate) fn write_record(out: &mut Vec<u8>, record: &Record) -> Result<(), FormatError> {
            let (tag, body) = match record {
                $(Record::$name(body) => ($tag, bincode::encode_to_vec(body, config())?),)*
            };
            if body.len() > MAX_BODY {
                return Err(FormatError::BlockTooLarge {
                    length: body.len() as u64,
                    limit: MAX_BODY as u64,
                });
            }
            out.push(tag);
            write_varint(out, body.len() as u64);
            out.extend_from_slice(&body);
            Ok(())
        }

        fn decode_body(tag: u8, body: &[u8]) -> Result<Option<Record>, FormatError> {
            let failed = |source| FormatError::BadRecord { tag, source };
            match tag {
                $($tag => {
                    let (body, _) = bincode::decode_from_slice(body, config()).map_err(failed)?;
                    Ok(Some(Record::$name(body)))
                })*
                _ => Ok(None),
            }
        }
    };
}

tagged! {
    1 => Host,
    2 => Recording,
    3 => Event,
    4 => Clock,
    5 => Process,
    6 => ProcessExit,
    7 => Thread,
    8 => ThreadName,
    9 => ThreadExit,
    10 => Module,
    11 => Mapping,
    12 => Symbol,
    13 => Loss,
    14 => Cost,
    15 => End,
    16 => Note,
    17 => Captured,
    18 => OpenFile,
    19 => WorkingDirectory,
    20 => Allocations,
    21 => Allocator,
    22 => Source,
    23 => OfSource,
    24 => Generated,
    25 => ProcessFacts,
    26 => Named,
    27 => Redaction,
    28 => CodeObject,
    29 => CpuTimes,
    30 => CallData,
    31 => LastRan,
    32 => Function,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BODY>()
}

/// Reads the payload of a records block; unknown records are left out.
pub(crate) fn read_records(mut payload: &[u8]) -> Result<Vec<Record>, FormatError> {
    let mut records = Vec::new();
    while !payload.is_empty() {
        if records.len() >= MAX_RECORDS {
            let value = MAX_RECORDS as u64 + 1;
            return Err(FormatError::InvalidValue { what: "number of records", value });
        }
        let tag = read_bytes(&mut payload, 1, "record tag")?[0];
        let length = read_varint(&mut payload, "record length")?;
        let body = read_bytes(&mut payload, length as usize, "record body")?;
        match decode_body(tag, body) {
            Ok(record) => records.extend(record),
            // Frames that refer to it show that it is lost.
            Err(_) if tag == CODE_OBJECT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_records_and_appended_fields_are_ignored() {
        let mut payload = Vec::new();
        let exit = Record::ThreadExit(Exit { id: 3, time_ns: 1_000 });
        payload.extend_from_slice(&[200, 2, 0xaa, 0xbb]);
        write_record(&mut payload, &exit).unwrap();
        // The same record with a byte appended to its body.
        let body = payload[6..].to_vec();
        payload.extend_from_slice(&[9, body.len() as u8 + 1]);
        payload.extend_from_slice(&body);
        payload.push(0xcc);
        assert_eq!(read_records(&payload).unwrap(), vec![exit.clone(), exit]);
    }

    #[test]
    fn a_wrong_code_object_costs_nothing_else() {
        let note = Record::Note(Note { text: "kept".into() });
        let code = Record::CodeObject(CodeObject { name: "f".into(), ..CodeObject::default() });
        let mut good = Vec::new();
        write_record(&mut good, &code).unwrap();
        assert_eq!(read_records(&good).unwrap(), [code]);
        let cut = [&[28, 4], &good[2..6]].concat();
        // Id, process, runtime and kind, then a name of nearly 2^64 bytes.
        let absurd = [&[28, 13, 0, 0, 1, 0, 253][..], &[0xff; 8]].concat();
        for bad in [cut, absurd] {
            let mut payload = bad;
            write_record(&mut payload, &note).unwrap();
            assert_eq!(read_records(&payload).unwrap(), std::slice::from_ref(&note));
        }
    }

    #[test]
    fn kinds_have_names() {
        let kind = Record::Note(Note::default()).kind();
        assert!(kind == "Note" && Record::KINDS.contains(&kind));
        assert_eq!(Record::KINDS.len(), 32);
    }

    #[test]
    fn the_byte_layout_is_the_one_in_the_spec() {
        let mut payload = Vec::new();
        let thread = Thread { id: 1, process: 300, tid: 70_000, start_ns: 0, name: "io".into() };
        write_record(&mut payload, &Record::Thread(thread)).unwrap();
        let expected = [
            7, 13, // tag, length
            1,  // id: below 251, one byte
            251, 0x2c, 1, // process: 251, then a u16
            252, 0x70, 0x11, 1, 0, // tid: 252, then a u32
            0, // start_ns
            2, b'i', b'o', // name: length, bytes
        ];
        assert_eq!(payload, expected);
    }

    proptest! {
        #[test]
        fn damage_never_panics(tag in 1u8..29, body: Vec<u8>) {
            let mut payload = vec![tag];
            write_varint(&mut payload, body.len() as u64);
            payload.extend(body);
            let _ = read_records(&payload);
        }
    }
}
