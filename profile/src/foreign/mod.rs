//! Files of other tools: what they are, by their content.
//!
//! A file may be compressed and its text may be in another encoding; what is in it is what
//! counts.

mod detect;
mod unpack;
mod unreadable;
mod zip;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::str::FromStr;

use rz_format::MAGIC;

pub use self::detect::{is_no_stack, last_number};
use self::unpack::Head;
pub use self::unpack::{UnpackError, Unpacked};

/// Names of formats on the command line, and what writes them.
macro_rules! input_formats {
    ($($(#[$doc:meta])* $format:ident $name:literal $description:literal,)*) => {
        /// A kind of file that a trace can be made of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum InputFormat {
            $($(#[$doc])* $format,)*
        }

        impl InputFormat {
            /// Every format, in the order in which they are listed to people.
            pub const ALL: [InputFormat; [$($name),*].len()] = [$(InputFormat::$format),*];

            /// The format's name on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(InputFormat::$format => $name,)*
                }
            }

            /// What writes it, in a few words.
            pub fn description(self) -> &'static str {
                match self {
                    $(InputFormat::$format => $description,)*
                }
            }
        }
    };
}

input_formats! {
    /// What `perf record` writes, to a file or into a pipe.
    Perf "perf" "perf.data, as perf record writes it",
    /// One line of text per stack.
    Folded "folded" "text, one line per stack",
    /// The protobuf of pprof, gzipped or not.
    Pprof "pprof" "protobuf of pprof, gzipped or not",
    /// What came before that: of gperftools, of Go's texts, and of servers.
    PprofLegacy "pprof-legacy" "older forms of pprof: gperftools, Go's texts, Java",
    /// What speedscope writes, and tools write for it.
    Speedscope "speedscope" "JSON of speedscope",
    /// CPU profiles of V8: Node and Chromium.
    CpuProfile "cpuprofile" ".cpuprofile of Node and Chromium",
    /// Heap samples of V8.
    HeapProfile "heapprofile" ".heapprofile of Node and Chromium",
    /// Ticks of `node --prof`.
    V8Log "v8-log" "JSON of node --prof-process --preprocess",
    /// Events of Chromium's tracing, which many tools write.
    TraceEvents "trace-events" "JSON of Chromium's trace events",
    /// What the Firefox Profiler saves, and samply.
    Firefox "firefox" "JSON of the Firefox Profiler",
    /// Timelines of WebKit.
    Safari "safari" "JSON that Safari's Web Inspector exports",
    /// Counts of Valgrind's callgrind, and of others in its format.
    Callgrind "callgrind" "callgrind.out of Valgrind and others",
    /// What Python's profilers keep.
    Pstats "pstats" "stats of Python's cProfile",
    /// Samples of Ruby's stackprof.
    Stackprof "stackprof" "JSON of stackprof",
    /// Samples, allocations and waits of Java Flight Recorder.
    Jfr "jfr" ".jfr of Java Flight Recorder or async-profiler",
    /// Allocations, as heaptrack keeps them.
    Heaptrack "heaptrack" "recording of heaptrack",
    /// Allocations, as memray keeps them.
    Memray "memray" "recording of memray",
    /// What `perf script` prints.
    PerfScript "perf-script" "text of perf script",
    /// Stacks that DTrace has counted.
    Dtrace "dtrace" "text of DTrace's ustack() or stack()",
    /// What `sample` of macOS prints.
    Sample "sample" "text of sample on macOS",
    /// Call stacks of VTune.
    Vtune "vtune" "CSV of VTune's top-down report",
    /// What `xctrace export` writes.
    Xctrace "xctrace" "XML of Instruments, by xctrace export",
    /// What Instruments copies as text.
    Instruments "instruments" "text of Instruments' Deep Copy",
    /// The report of a Haskell program.
    GhcProf "ghc-prof" ".prof of a Haskell program",
    /// The same as JSON.
    GhcJson "ghc-json" "JSON of a Haskell program, by +RTS -pj",
    /// System calls, a line for each.
    Strace "strace" "log of strace, best with -f -ttt -T",
    /// Calls of libraries, a line for each.
    Ltrace "ltrace" "log of ltrace, best with -f -ttt -T",
    /// Samples of Ruby, as rbspy keeps them.
    Rbspy "rbspy" "raw recording of rbspy",
    /// Calls in scripts of games.
    Papyrus "papyrus" "log of a Papyrus script or stack",
    /// Call graphs of FreeBSD's counters.
    Pmcstat "pmcstat" "text of pmcstat -G",
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognized {
    /// A trace can be made of it.
    Readable(InputFormat),
    /// None can, and this says what it is and what to do.
    Unreadable(String),
}

impl Recognized {
    /// What the file is that begins with `head`, which may be all of it, or else has at least
    /// 64 KiB; `None` if that is not known.
    pub fn of_head(head: &[u8]) -> Option<Recognized> {
        detect::recognize(head)
    }

    /// The same of a file, whatever it is packed in, or of a folder; `None` for a trace as well.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Option<Recognized>> {
        let kind = fs::metadata(path)?.file_type();
        if kind.is_dir() {
            return Ok(detect::recognize_folder(path));
        }
        if !kind.is_file() {
            // Opening a named pipe would wait for a writer.
            return Ok(None);
        }
        match unpack::head(&mut File::open(path)?) {
            Ok(Head { bytes, is_packed: false }) if bytes.starts_with(&MAGIC) => Ok(None),
            Ok(Head { bytes, .. }) => Ok(Recognized::of_head(&bytes)),
            Err(UnpackError::Io(error)) => Err(error),
            Err(error) => Ok(Some(Recognized::Unreadable(error.to_string()))),
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`InputFormat::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown input format {0:?}")]
pub struct UnknownInputFormat(pub String);

impl FromStr for InputFormat {
    type Err = UnknownInputFormat;

    fn from_str(name: &str) -> Result<Self, UnknownInputFormat> {
        let found = InputFormat::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownInputFormat(name.to_owned()))
    }
}
