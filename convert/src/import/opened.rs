//! What another tool recorded, opened as if it was a trace.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rz_format::{FileHeader, FormatError, HEADER_LEN, MAGIC};
use rz_profile::foreign::{InputFormat, Recognized};
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
/// If it is none: says what it is and what to do. What cannot be opened, or has nothing in it,
/// the reader of traces says.
pub fn expect_trace(path: &Path) -> Result<(), ImportError> {
    let what = match Recognized::of_file(path) {
        Ok(Some(Recognized::Readable(format))) => {
            let (what, path) = (format.description(), path.display());
            format!("{what}: conv {path} --to rz makes a trace of it")
        }
        Ok(Some(Recognized::Unreadable(what))) => what,
        Ok(None) if is_other(path) => return Err(ImportError::Unusable(unknown())),
        Ok(None) | Err(_) => return Ok(()),
    };
    Err(ImportError::Unusable(format!("not an rz trace but {what}")))
}

/// Whether a file does not even begin as a trace does.
fn is_other(path: &Path) -> bool {
    let mut head = Vec::new();
    let is_read = path.is_file()
        && File::open(path).is_ok_and(|file| {
            file.take(HEADER_LEN as u64).read_to_end(&mut head).is_ok() && !head.is_empty()
        });
    let is_cut = MAGIC.starts_with(&head[..head.len().min(MAGIC.len())]);
    let read = FileHeader::from_bytes(&head);
    is_read && !is_cut && matches!(read, Err(FormatError::BadMagic | FormatError::TooShort { .. }))
}

/// What is said of a file that nothing is known of.
pub(super) fn unknown() -> String {
    let count = InputFormat::ALL.len();
    format!(
        "not an rz trace, nor of a format that one can be made of, such as perf.data, pprof or \
         folded stacks: conv --formats lists all {count}"
    )
}
