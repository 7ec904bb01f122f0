//! Why traces cannot be merged, or one cannot be copied with changes.

use std::io;
use std::path::{Path, PathBuf};

use rz_format::{Damage, FormatError};

use rz_profile::load::LoadError;

/// Why traces could not be merged, or one not copied with changes. The message is one line and complete: it
/// contains the cause, which is therefore not an [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A file could not be read.
    #[error("{}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is no trace, or not one that this program understands.
    #[error("{}: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// A trace is not whole.
    #[error(
        "{}: {first}{}; with --keep-going it is taken as far as it is whole",
        path.display(),
        more(*places)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is missing first.
        first: Damage,
        /// In how many places something is.
        places: usize,
    },
    /// A recording would be counted twice.
    #[error("{} and {} have the same recording in them, {label}", first.display(), second.display())]
    SameTrace {
        /// A file.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
        /// What the recording is called.
        label: String,
    },
    /// There are more different things than there are numbers for them.
    #[error("too many {0} for one trace: merge fewer traces")]
    TooMany(&'static str),
    /// No trace is left.
    #[error("no trace to merge")]
    NothingToMerge,
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Write(FormatError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl MergeError {
    /// The error about an input.
    pub(crate) fn reading(path: &Path, cause: FormatError) -> Self {
        let path = path.to_owned();
        match cause {
            FormatError::Io(cause) => MergeError::Read { path, cause },
            cause => MergeError::Format { path, cause },
        }
    }

    /// The name of the file, without its folder.
    pub(super) fn file_name(&self) -> String {
        let (MergeError::Read { path, .. } | MergeError::Format { path, .. }) = self else {
            return "a file".to_owned();
        };
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    /// What is wrong with the file.
    pub(super) fn cause(&self) -> String {
        match self {
            MergeError::Read { cause, .. } => cause.to_string(),
            MergeError::Format { cause, .. } => cause.to_string(),
            other => other.to_string(),
        }
    }
}

impl From<LoadError> for MergeError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Io { path, cause } => MergeError::Read { path, cause },
            LoadError::Format { path, cause } => MergeError::Format { path, cause },
            LoadError::Foreign { path } => {
                MergeError::Format { path, cause: FormatError::BadMagic }
            }
            LoadError::Window { path, cause } => {
                MergeError::Read { path, cause: io::Error::other(cause.to_string()) }
            }
            LoadError::Spans { path, cause } => {
                MergeError::Read { path, cause: io::Error::other(cause.to_string()) }
            }
        }
    }
}

/// `, and more` if there is.
fn more(places: usize) -> String {
    match places {
        0 | 1 => String::new(),
        2 => ", and 1 more damaged place".to_owned(),
        n => format!(", and {} more damaged places", n - 1),
    }
}
