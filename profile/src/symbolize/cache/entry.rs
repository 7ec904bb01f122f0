//! The names of one module's addresses, as a file.
//!
//! ```text
//! "rz names" | version u32 | crc32c of the rest u32 | body, by bincode
//! ```
//!
//! The body says which files the names were taken from: if one of them is not
//! what it was then, nor is what was taken from it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::{Decode, Encode};
use rustc_hash::FxHashMap;

use super::Cache;
use crate::symbolize::FunctionLine;

const MAGIC: &[u8; 8] = b"rz names";

/// To be raised whenever the same files give other names, or the body changes.
const VERSION: u32 = 2;

const HEADER: usize = 16;

/// Bytes of an entry; a larger one is neither written nor read.
const MAX_SIZE: usize = 64 << 20;

/// What is known of a module's addresses.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Start of the function, and calls, by address (SVMA).
    pub(crate) rows: FxHashMap<u64, (u64, Vec<FunctionLine>)>,
    /// Files of split debug information that these are from.
    split: Vec<FileState>,
}

/// A file as it was when names were taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct FileState {
    path: Vec<u8>,
    /// Size in bytes, time of the last change, and number of the file; `None`
    /// if there was none.
    state: Option<(u64, i64, i64, u64)>,
}

impl FileState {
    pub(super) fn of(path: &Path) -> Self {
        let state = fs::metadata(path).ok();
        let state = state.map(|m| (m.len(), m.mtime(), m.mtime_nsec(), m.ino()));
        FileState { path: path.as_os_str().as_bytes().to_vec(), state }
    }

    fn is_unchanged(&self) -> bool {
        let path = Path::new(std::ffi::OsStr::from_bytes(&self.path));
        FileState::of(path) == *self
    }
}

#[derive(Debug, Default, Encode, Decode)]
struct Body {
    files: Vec<FileState>,
    split: Vec<FileState>,
    strings: Vec<String>,
    /// Address, how far it is into its function, and number of its calls.
    addresses: Vec<(u64, u64, u32)>,
    /// Indices of name and system name, that of the file and one, the line.
    calls: Vec<(u32, u32, u32, u32)>,
}

/// Where the names of a module are kept.
#[derive(Debug)]
pub(crate) struct Entry<'c> {
    cache: &'c Cache,
    name: String,
    files: Vec<FileState>,
}

impl<'c> Entry<'c> {
    pub(super) fn new(cache: &'c Cache, name: String, files: Vec<FileState>) -> Self {
        Entry { cache, name, files }
    }

    /// What is known; nothing if it is of no use any more.
    pub(crate) fn load(&self) -> Known {
        let content = self.cache.store.read(&self.name, MAX_SIZE as u64);
        let body = content.as_deref().and_then(decode);
        let is_valid = |body: &Body| {
            body.files == self.files && body.split.iter().all(FileState::is_unchanged)
        };
        body.filter(is_valid).and_then(unpack).unwrap_or_default()
    }

    /// Keeps what is known; `asked` are files that were looked for meanwhile.
    pub(crate) fn store(&self, known: &mut Known, asked: &[PathBuf]) {
        known.split.extend(asked.iter().map(|path| FileState::of(path)));
        known.split.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        known.split.dedup_by(|a, b| a.path == b.path);
        let Some(content) = encode(&pack(known, &self.files)) else { return };
        if let Err(error) = self.cache.store.write(&self.name, &content) {
            let dir = self.cache.store.dir().display();
            self.cache.note(format!("names cannot be kept in {dir}: {error}"));
        }
    }
}

fn config() -> impl bincode::config::Config {
    // Texts become no larger than they are; the rest eightfold at most.
    bincode::config::standard().with_limit::<{ 16 * MAX_SIZE }>()
}

fn encode(body: &Body) -> Option<Vec<u8>> {
    let body = bincode::encode_to_vec(body, config()).ok()?;
    let crc = crc32c::crc32c(&body);
    let content = [MAGIC, &VERSION.to_le_bytes()[..], &crc.to_le_bytes(), &body].concat();
    (content.len() <= MAX_SIZE).then_some(content)
}

fn decode(content: &[u8]) -> Option<Body> {
    let (header, body) = content.split_at_checked(HEADER)?;
    let expected = [MAGIC, &VERSION.to_le_bytes()[..], &crc32c::crc32c(body).to_le_bytes()];
    if header != expected.concat() {
        return None;
    }
    let (decoded, length) = bincode::decode_from_slice(body, config()).ok()?;
    (length == body.len()).then_some(decoded)
}

fn pack(known: &Known, files: &[FileState]) -> Body {
    let mut body = Body { files: files.to_vec(), split: known.split.clone(), ..Body::default() };
    let mut indices: FxHashMap<Arc<str>, u32> = FxHashMap::default();
    let mut index = |text: &Arc<str>, strings: &mut Vec<String>| {
        *indices.entry(text.clone()).or_insert_with(|| {
            strings.push(text.to_string());
            strings.len() as u32 - 1
        })
    };
    let mut rows: Vec<_> = known.rows.iter().collect();
    rows.sort_unstable_by_key(|(address, _)| **address);
    for (&address, (start, calls)) in rows {
        body.addresses.push((address, address.wrapping_sub(*start), calls.len() as u32));
        for call in calls {
            let file = call.file.as_ref().map_or(0, |file| index(file, &mut body.strings) + 1);
            let names = [&call.name, &call.system_name].map(|text| index(text, &mut body.strings));
            body.calls.push((names[0], names[1], file, call.line));
        }
    }
    body
}

/// `None` if the numbers in it do not fit together.
fn unpack(body: Body) -> Option<Known> {
    let strings: Vec<Arc<str>> = body.strings.into_iter().map(Arc::from).collect();
    let text = |index: u32| strings.get(index as usize).cloned();
    let mut calls = body.calls.into_iter();
    let mut rows = FxHashMap::default();
    rows.reserve(body.addresses.len());
    for (address, into, count) in body.addresses {
        if count as usize > calls.len() {
            return None;
        }
        let mut own = Vec::with_capacity(count as usize);
        for (name, system_name, file, line) in calls.by_ref().take(count as usize) {
            let file = file.checked_sub(1).map(text);
            let (name, system_name) = (text(name)?, text(system_name)?);
            own.push(FunctionLine { name, system_name, file: file.flatten(), line, column: 0 });
        }
        rows.insert(address, (address.wrapping_sub(into), own));
    }
    Some(Known { rows, split: body.split })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, file: Option<&str>) -> FunctionLine {
        FunctionLine {
            name: name.into(),
            system_name: "_Z1".into(),
            file: file.map(Arc::from),
            line: 7,
            column: 0,
        }
    }

    fn known() -> Known {
        let rows = [
            (5, (3, vec![call("a", Some("a.c")), call("b", None)])),
            (9, (9, vec![])),
            (2, (u64::MAX, vec![call("a", Some("a"))])),
        ];
        Known { rows: rows.into_iter().collect(), split: vec![FileState::of(Path::new("/none"))] }
    }

    #[test]
    fn what_is_written_is_read() {
        let content = encode(&pack(&known(), &[FileState::of(Path::new("/"))])).unwrap();
        let body = decode(&content).unwrap();
        assert!(body.files[0].is_unchanged() && body.files[0].state.is_some());
        let read = unpack(body).unwrap();
        assert_eq!((read.rows, read.split), (known().rows, known().split));
    }

    #[test]
    fn damaged_entries_are_ignored() {
        let content = encode(&pack(&known(), &[])).unwrap();
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 4;
            assert!(decode(&damaged).is_none(), "at {at}");
            assert!(decode(&content[..at]).is_none(), "cut at {at}");
        }
        assert!(decode(&[&content[..], b"x"].concat()).is_none());
    }

    #[test]
    fn numbers_that_do_not_fit_are_no_names() {
        for body in [
            Body { addresses: vec![(1, 0, 1)], ..Body::default() },
            Body { addresses: vec![(1, 0, u32::MAX)], ..Body::default() },
            Body { addresses: vec![(1, 0, 1)], calls: vec![(0, 0, 0, 0)], ..Body::default() },
        ] {
            assert!(unpack(body).is_none());
        }
    }
}
