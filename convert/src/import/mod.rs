//! Makes traces of what other tools recorded.
//!
//! ```text
//! perf.data    samples, processes, mappings ─► addresses, named when loaded
//! folded       lines of text                ─┬► names
//! pprof        tables of functions          ─┘
//! ```
//!
//! What an input does not tell stays unknown: no time, address or file is made
//! up. Inputs are read as streams, and memory follows what is distinct in them.
//! What is damaged costs what was damaged, and is said in the trace's notes; an
//! input of which nothing can be read is an error.

mod folded;
mod output;
mod perf_data;
mod pprof;
mod spread;
#[cfg(test)]
mod tests;
mod threads;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use rz_format::FormatError;
use rz_profile::foreign::{InputFormat, head};

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

/// What became of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Samples in the trace.
    pub samples: u64,
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
    let format = options.format.or_else(|| InputFormat::of_head(&input.head));
    match format {
        Some(InputFormat::Perf) => perf_data::import(input, &options.perf, out),
        Some(InputFormat::Folded) => folded::import(input, out),
        Some(InputFormat::Pprof) => pprof::import(input, out),
        None => {
            let known = InputFormat::ALL.map(InputFormat::description).join("; ");
            let message = format!("neither a trace nor anything that one can be made of: {known}");
            Err(ImportError::Unusable(message))
        }
    }
}

/// An input file.
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
        if !meta.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(ImportError::Read(error));
        }
        let since_epoch =
            meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ns = since_epoch.map_or(0, |time| time.as_nanos() as u64);
        let mut file = File::open(path).map_err(ImportError::Read)?;
        let head = head(&mut file).map_err(ImportError::Read)?;
        Ok(Input { file, head, size: meta.len(), modified_ns })
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
