//! Makes traces of what other tools recorded.
//!
//! ```text
//! perf.data    samples, processes, mappings ─► addresses, named when loaded
//! pprof        tables of functions          ─┬► names
//! all others   functions by name            ─┘
//! ```
//!
//! Each format has a file, and a line in [`import`].
//!
//! What an input does not tell stays unknown: no time, address or file is made
//! up. Inputs are read as streams, and memory follows what is distinct in them.
//! What is damaged costs what was damaged, and is said in the trace's notes; an
//! input of which nothing can be read is an error.

mod amounts;
mod callgrind;
mod clock;
mod collapsed;
mod firefox;
mod folded;
mod functions;
mod ghc_json;
mod heaptrack;
mod indented;
mod instruments;
mod jfr;
mod json;
mod lines;
mod ltrace;
mod memray;
mod nested;
mod opened;
mod output;
mod papyrus;
mod perf_data;
mod perf_script;
mod pmcstat;
mod pprof;
mod pstats;
mod rbspy;
mod safari;
mod shares;
mod speedscope;
mod spread;
mod stackprof;
mod strace;
#[cfg(test)]
mod tests;
mod threads;
mod trace_events;
mod v8;
mod v8_log;
mod values;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use inferno::collapse::{dtrace, ghcprof, sample, vtune, xctrace};
use rz_format::FormatError;
use rz_profile::foreign::{InputFormat, Recognized, UnpackError, Unpacked};

pub use folded::FoldedRoots;
pub use opened::{Opened, expect_trace};
pub use perf_data::PerfOptions;

/// Why no trace could be made. The message is one line; it is about the input
/// except for [`ImportError::Write`] and [`ImportError::Output`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The input could not be read.
    #[error("{0}")]
    Read(io::Error),
    /// The input is of another kind, or nothing in it can be read.
    #[error("{0}")]
    Unusable(String),
    /// More different ones than a trace can tell apart.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// A block could not be written.
    #[error("{0}")]
    Write(FormatError),
    /// The output could not be written.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl From<UnpackError> for ImportError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Io(error) => ImportError::Read(error),
            error @ (UnpackError::Several(_) | UnpackError::Archive(_)) => {
                ImportError::Unusable(format!("this is {error}"))
            }
            error => ImportError::Unusable(error.to_string()),
        }
    }
}

/// What became of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Samples in the trace.
    pub samples: u64,
    /// System calls in it.
    pub calls: u64,
    /// What a reader of the trace should know; it has these, too.
    pub notes: Vec<String>,
}

/// How to read an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Its format; by what it begins with if it is not given.
    pub format: Option<InputFormat>,
    /// What perf.data needs to be told.
    pub perf: PerfOptions,
    /// What folded stacks begin with; by what they look like if it is not given.
    pub folded_roots: Option<FoldedRoots>,
}

/// Writes a trace of what is in the file at `path` to `out`, which the caller
/// buffers.
///
/// # Errors
/// If the file cannot be read, is of none of the formats, or has nothing that
/// could be read; if the output cannot be written.
pub fn import(
    path: &Path,
    options: &ImportOptions,
    out: &mut dyn Write,
) -> Result<Imported, ImportError> {
    let input = Input::open(path)?;
    let format = match (options.format, Recognized::of_head(&input.head)) {
        (Some(format), _) | (None, Some(Recognized::Readable(format))) => format,
        (None, Some(Recognized::Unreadable(what))) => {
            return Err(ImportError::Unusable(format!("this is {what}")));
        }
        (None, None) => return Err(ImportError::Unusable(opened::unknown())),
    };
    match format {
        InputFormat::Perf => perf_data::import(input, &options.perf, out),
        InputFormat::Folded => folded::import(input, options.folded_roots, out),
        InputFormat::Pprof => pprof::import(input, out),
        InputFormat::PprofLegacy => pprof::legacy::import(input, out),
        InputFormat::Speedscope => speedscope::import(&input, out),
        InputFormat::CpuProfile => v8::import_cpu(&input, out),
        InputFormat::HeapProfile => v8::import_heap(&input, out),
        InputFormat::TraceEvents => trace_events::import(&input, out),
        InputFormat::Stackprof => stackprof::import(&input, out),
        InputFormat::Firefox => firefox::import(&input, out),
        InputFormat::Callgrind => callgrind::import(&input, out),
        InputFormat::V8Log => v8_log::import(&input, out),
        InputFormat::Safari => safari::import(&input, out),
        InputFormat::GhcJson => ghc_json::import(&input, out),
        InputFormat::Instruments => instruments::import(&input, out),
        InputFormat::Pstats => pstats::import(&input, out),
        InputFormat::Strace => strace::import(&input, out),
        InputFormat::Ltrace => ltrace::import(&input, out),
        InputFormat::Rbspy => rbspy::import(&input, out),
        InputFormat::Papyrus => papyrus::import(&input, out),
        InputFormat::Pmcstat => pmcstat::import(&input, out),
        InputFormat::PerfScript => perf_script::import(&input, out),
        InputFormat::Dtrace => collapsed::import(input, dtrace::Folder::default(), format, out),
        InputFormat::Sample => collapsed::import(input, sample::Folder::default(), format, out),
        InputFormat::Vtune => collapsed::import(input, vtune::Folder::default(), format, out),
        InputFormat::Xctrace => collapsed::import(input, xctrace::Folder::default(), format, out),
        InputFormat::GhcProf => collapsed::import(input, ghcprof::Folder::default(), format, out),
        InputFormat::Jfr => jfr::import(&input, out),
        InputFormat::Heaptrack => heaptrack::import(&input, out),
        InputFormat::Memray => memray::import(&input, out),
    }
}

/// An input file, without what it was packed in.
struct Input {
    file: File,
    /// What it begins with.
    head: Vec<u8>,
    /// Its size in bytes.
    size: u64,
    /// When it was written, in nanoseconds since the Unix epoch.
    modified_ns: u64,
}

impl Input {
    fn open(path: &Path) -> Result<Self, ImportError> {
        let meta = fs::metadata(path).map_err(ImportError::Read)?;
        if let Ok(Some(Recognized::Unreadable(what))) = Recognized::of_file(path) {
            return Err(ImportError::Unusable(format!("this is {what}")));
        }
        if !meta.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(ImportError::Read(error));
        }
        let since_epoch =
            meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = since_epoch.map_or(0, |time| time.as_nanos() as u64);
        let file = File::open(path).map_err(ImportError::Read)?;
        let Unpacked { file, head } = Unpacked::of(file)?;
        let size = file.metadata().map_err(ImportError::Read)?.len();
        Ok(Input { file, head, size, modified_ns })
    }

    /// The trace's id: the same for the same input, so that traces of it are
    /// known to be one.
    fn trace_id(&self) -> [u8; 16] {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            hasher.write_u64(self.size);
            hasher.write(&self.head);
            hasher.finish()
        };
        (u128::from(half(0)) << 64 | u128::from(half(1))).to_be_bytes()
    }
}
