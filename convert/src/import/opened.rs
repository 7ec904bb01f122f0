//! What another tool recorded, opened as if it was a trace.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rz_profile::foreign::Recognized;
use tempfile::{Builder, TempDir};

use super::{ImportError, ImportOptions, import};

/// A trace, or a temporary one of what another tool recorded.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    _dir: Option<TempDir>,
}

impl Opened {
    /// The trace at `path`, or one made of what is there.
    ///
    /// # Errors
    /// If it is of another tool, and cannot be read.
    pub fn of(path: &Path) -> Result<Opened, ImportError> {
        if !matches!(Recognized::of_file(path), Ok(Some(Recognized::Readable(_)))) {
            expect_trace(path)?;
            return Ok(Opened { path: path.to_owned(), _dir: None });
        }
        let dir = Builder::new().prefix("rz-").tempdir()?;
        // The file's own name is that of what is shown.
        let trace = dir.path().join(path.file_name().unwrap_or("trace".as_ref()));
        let mut writer = BufWriter::new(File::create(&trace)?);
        import(path, &ImportOptions::default(), &mut writer)?;
        writer.flush()?;
        Ok(Opened { path: trace, _dir: Some(dir) })
    }

    /// The trace.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Looks whether a file may be a trace.
///
/// # Errors
/// If it is of another tool: says what it is and what to do. What cannot be opened, and what is
/// not known, the reader of traces says.
pub fn expect_trace(path: &Path) -> Result<(), ImportError> {
    let what = match Recognized::of_file(path) {
        Ok(Some(Recognized::Readable(format))) => {
            let (what, path) = (format.description(), path.display());
            format!("{what}: conv {path} --to rz makes a trace of it")
        }
        Ok(Some(Recognized::Unreadable(what))) => what.to_owned(),
        Ok(None) | Err(_) => return Ok(()),
    };
    Err(ImportError::Unusable(format!("not an rz trace but {what}")))
}
