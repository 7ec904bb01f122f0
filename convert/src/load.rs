//! Loads an rz trace into a symbolized profile.

use std::path::{Path, PathBuf};

use crate::profile::Profile;

/// How to load a trace.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Keep single samples in order of time, up to a limit, beside the sums.
    pub timeline: bool,
    /// Directories to look for binaries and debug files in, before the
    /// recorded paths.
    pub debug_dirs: Vec<PathBuf>,
}

/// Why a trace could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Reads `path`, symbolizes it with what is found on this machine, and sums
/// up its samples.
pub fn load(path: &Path, _options: &LoadOptions) -> Result<Profile, LoadError> {
    Err(LoadError::Io { path: path.to_owned(), source: std::io::ErrorKind::Unsupported.into() })
}
