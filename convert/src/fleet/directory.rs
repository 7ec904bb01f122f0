//! The directory that tables are in: one folder for each, in which each trace has a file.
//!
//! ```text
//! traces/rz-tables.json                         whose directory it is
//! traces/cpu_sample/schema.parquet              no rows: all tables are always there
//! traces/cpu_sample/HOST-0123456789abcdef.parquet
//! ```
//!
//! Files appear when all of their trace are complete; that of `trace` comes last, and is
//! taken away first.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use rustc_hash::FxHashMap;
use tempfile::NamedTempFile;

use super::schema::{SCHEMA_VERSION, TABLES, TRACE, Table};
use super::table_file::TableFile;

/// The file that says whose directory it is.
const MARKER: &str = "rz-tables.json";

/// Letters of a host's name in those of files, at most.
const MAX_NAME: usize = 60;

/// Why tables were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The directory has something else in it.
    #[error(
        "{}: not a directory of rz's tables, and not empty: name a new one with -o",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// It was made by a later version, which may have meant something else.
    #[error("{}: written by a later version of rz (its tables have version {found})", path.display())]
    Later {
        /// The directory.
        path: PathBuf,
        /// The version of its tables.
        found: u64,
    },
    /// A file could not be written or put into its place.
    #[error("{}: {cause}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A table could not be written.
    #[error("cannot write a table: {0}")]
    Table(#[from] ParquetError),
    /// The trace could not be read.
    #[error("{0}")]
    Load(#[from] rz_profile::load::LoadError),
}

/// A file that is not in its place yet.
pub type Draft = BufWriter<NamedTempFile>;

/// A directory of tables.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Files by the hash in their name.
    files: FxHashMap<String, Vec<PathBuf>>,
}

impl Directory {
    /// Opens a directory of tables, or makes one where there is nothing.
    ///
    /// # Errors
    /// If there is something else, or it cannot be made.
    pub fn open(path: &Path) -> Result<Directory, FleetError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| FleetError::Write { path, cause }
        };
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check(path)?,
            result => result.map_err(at(path))?,
        }
        let mut files: FxHashMap<String, Vec<PathBuf>> = FxHashMap::default();
        for table in TABLES {
            let folder = path.join(table.name);
            fs::create_dir_all(&folder).map_err(at(&folder))?;
            for entry in fs::read_dir(&folder).map_err(at(&folder))? {
                let file = entry.map_err(at(&folder))?.path();
                if let Some(hash) = hash_of(&file) {
                    files.entry(hash.to_owned()).or_default().push(file);
                }
            }
            let empty = draft(&folder).map_err(at(&folder))?;
            let (_, empty) = TableFile::new(table, empty)?.finish()?;
            put(empty, &folder.join("schema.parquet")).map_err(at(&folder))?;
        }
        let marker = path.join(MARKER);
        let text = format!("{{\"format\":\"rz tables\",\"schema_version\":{SCHEMA_VERSION}}}\n");
        let mut file = draft(path).map_err(at(path))?;
        file.write_all(text.as_bytes()).map_err(at(&marker))?;
        put(file, &marker).map_err(at(&marker))?;
        Ok(Directory { path: path.to_owned(), files })
    }

    /// Begins the file of a table.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn draft(&self, table: &Table) -> Result<Draft, FleetError> {
        let folder = self.path.join(table.name);
        draft(&folder).map_err(|cause| FleetError::Write { path: folder, cause })
    }

    /// Puts the files of a trace into their places, in which they replace all that there
    /// are of the same trace. Gives the bytes they have.
    ///
    /// # Errors
    /// If that fails, after which there may be some of them, but not that of `trace`.
    pub fn put(
        &mut self,
        host: &str,
        hash: i64,
        drafts: Vec<(&'static Table, Draft)>,
    ) -> Result<u64, FleetError> {
        let hash = format!("{hash:016x}");
        let name = format!("{}-{hash}.parquet", file_name(host));
        let mut before = self.files.remove(&hash).unwrap_or_default();
        let is_trace = |path: &Path| path.parent().is_some_and(|it| it.ends_with(TRACE.name));
        before.sort_by_key(|path| !is_trace(path));
        for path in before {
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(FleetError::Write { path, cause });
                }
                _ => {}
            }
        }
        let mut drafts = drafts;
        drafts.sort_by_key(|(table, _)| table.name == TRACE.name);
        let (mut bytes, mut files) = (0, Vec::new());
        for (table, draft) in drafts {
            let path = self.path.join(table.name).join(&name);
            let put = put(draft, &path);
            bytes += put.map_err(|cause| FleetError::Write { path: path.clone(), cause })?;
            files.push(path);
        }
        self.files.insert(hash, files);
        Ok(bytes)
    }
}

/// Whether a directory is one of tables, or empty.
fn check(path: &Path) -> Result<(), FleetError> {
    let not_ours = || FleetError::NotOurs(path.to_owned());
    let Ok(mut entries) = fs::read_dir(path) else { return Err(not_ours()) };
    if entries.next().is_none() {
        return Ok(());
    }
    let text = fs::read_to_string(path.join(MARKER)).map_err(|_| not_ours())?;
    let marker: serde_json::Value = serde_json::from_str(&text).map_err(|_| not_ours())?;
    if marker["format"] != "rz tables" {
        return Err(not_ours());
    }
    match marker["schema_version"].as_u64() {
        Some(found) if found <= u64::from(SCHEMA_VERSION) => Ok(()),
        found => {
            let found = found.unwrap_or(0);
            Err(FleetError::Later { path: path.to_owned(), found })
        }
    }
}

/// The hash in a name of ours.
fn hash_of(path: &Path) -> Option<&str> {
    let (_, hash) = path.file_name()?.to_str()?.strip_suffix(".parquet")?.rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(hash)
}

/// The name of a host, in letters that mean nothing to anyone.
fn file_name(host: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => letter,
        _ => '_',
    };
    let name: String = host.chars().take(MAX_NAME).map(letter).collect();
    // Names that begin with these are hidden from some readers.
    let name = name.trim_start_matches(['_', '-']);
    if name.is_empty() { "trace".into() } else { name.into() }
}

fn draft(folder: &Path) -> io::Result<Draft> {
    let mut builder = tempfile::Builder::new();
    // What the process's umask leaves of these.
    builder.prefix(".rz-").permissions(Permissions::from_mode(0o666));
    Ok(BufWriter::with_capacity(64 << 10, builder.tempfile_in(folder)?))
}

fn put(draft: Draft, path: &Path) -> io::Result<u64> {
    let file = draft.into_inner().map_err(|error| error.into_error())?;
    let bytes = file.as_file().metadata()?.len();
    file.persist(path).map_err(|error| error.error)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name("db-1.example"), "db-1_example");
        assert_eq!(file_name("../../x"), "x");
        assert_eq!(file_name("_"), "trace");
        let hash = hash_of(Path::new("t/a-b-0123456789abcdef.parquet"));
        assert_eq!(hash, Some("0123456789abcdef"));
        assert_eq!(hash_of(Path::new("t/schema.parquet")), None);
    }

    #[test]
    fn only_directories_of_tables_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str| dir.path().join(name);
        Directory::open(&of("new")).unwrap();
        Directory::open(&of("new")).unwrap();
        fs::create_dir(of("empty")).unwrap();
        Directory::open(&of("empty")).unwrap();
        fs::create_dir(of("other")).unwrap();
        fs::write(of("other").join("file"), "").unwrap();
        let refused = |name: &str| Directory::open(&of(name)).unwrap_err().to_string();
        assert!(refused("other").ends_with("not empty: name a new one with -o"));
        assert_eq!(fs::read_dir(of("other")).unwrap().count(), 1);
        fs::write(of("file"), "").unwrap();
        assert!(refused("file").contains("not a directory of rz's tables"));
        fs::write(of("new").join(MARKER), r#"{"format":"rz tables","schema_version":99}"#).unwrap();
        assert!(refused("new").contains("have version 99"));
    }
}
