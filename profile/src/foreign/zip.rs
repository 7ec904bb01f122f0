//! Zip archives of one file, which is taken out of them.
//!
//! ```text
//! local header, bytes    for each file
//! directory              an entry for each file: where its local header is
//! end                    where the directory is
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::unpack::UnpackError;

const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";

const END_SIZE: usize = 22;
const ENTRY_SIZE: usize = 46;
const LOCAL_SIZE: u64 = 30;

/// Longest comment behind the end.
const MAX_COMMENT: u64 = u16::MAX as u64;
/// Largest directory that is looked at, in bytes.
const MAX_DIRECTORY: u32 = 16 << 20;
/// Names that are told of an archive with several files.
const MAX_NAMES: usize = 8;
/// Bytes of each name that are told.
const MAX_NAME: usize = 80;

/// What archives with folders of Instruments are.
const INSTRUMENTS: &str = "of a recording of Instruments: on a Mac, xctrace export makes XML of it \
                           that can be read, and so does Deep Copy as text";

/// A file in an archive.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    is_encrypted: bool,
    method: u16,
    checksum: u32,
    packed_size: u64,
    /// Where its local header is.
    at: u64,
}

/// The only file of an archive.
pub(super) fn open_only(mut archive: File) -> Result<Box<dyn Read>, UnpackError> {
    let entries = entries(&mut archive)?;
    if entries.iter().any(|entry| entry.name.contains(".trace/")) {
        return Err(damaged(INSTRUMENTS));
    }
    let [entry] = &entries[..] else { return Err(UnpackError::Several(listed(&entries))) };
    if entry.is_encrypted {
        return Err(damaged(
            "it is encrypted: unpack it with its password, and give what is in it",
        ));
    }
    let mut header = [0; LOCAL_SIZE as usize];
    archive.seek(SeekFrom::Start(entry.at))?;
    archive.read_exact(&mut header).map_err(early)?;
    if !header.starts_with(LOCAL) {
        return Err(damaged("damaged: its directory leads nowhere"));
    }
    let behind = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
    archive.seek_relative(behind.cast_signed())?;
    let packed = BufReader::with_capacity(256 << 10, archive.take(entry.packed_size));
    let inner: Box<dyn Read> = match entry.method {
        0 => Box::new(packed),
        8 => Box::new(DeflateDecoder::new(packed)),
        93 => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        _ => return Err(damaged("packed in an unusual way: unpack it, and give what is in it")),
    };
    Ok(Box::new(Checked { inner, sum: Crc::new(), expected: entry.checksum }))
}

/// Names of files, for people.
fn listed(entries: &[Entry]) -> String {
    let name = |entry: &Entry| {
        let end = entry.name.floor_char_boundary(MAX_NAME);
        entry.name[..end].replace(char::is_control, "?")
    };
    let names: Vec<String> = entries.iter().take(MAX_NAMES).map(name).collect();
    match entries.len() {
        0 => "no file".to_owned(),
        count if count > MAX_NAMES => format!("{count} files, {}, …", names.join(", ")),
        count => format!("{count} files, {}", names.join(", ")),
    }
}

/// The files of an archive, without folders and what macOS adds.
fn entries(archive: &mut File) -> Result<Vec<Entry>, UnpackError> {
    let size = archive.metadata()?.len();
    let mut tail = Vec::new();
    archive.seek(SeekFrom::Start(size.saturating_sub(MAX_COMMENT + END_SIZE as u64)))?;
    archive.read_to_end(&mut tail)?;
    let end = tail.windows(END_SIZE).rev().find(|bytes| bytes.starts_with(END));
    let end = end.ok_or_else(|| damaged("damaged, or not all of one: it has no directory"))?;
    let (directory_size, at) = (u32_at(end, 12), u32_at(end, 16));
    if directory_size > MAX_DIRECTORY {
        return Err(damaged("very large: unpack it, and give what is in it"));
    }
    archive.seek(SeekFrom::Start(at.into()))?;
    let mut directory = Vec::new();
    archive.take(directory_size.into()).read_to_end(&mut directory)?;
    let mut rest = &directory[..];
    let mut entries = Vec::new();
    while rest.starts_with(ENTRY) {
        let (fixed, behind) = rest.split_at_checked(ENTRY_SIZE).ok_or_else(cut)?;
        let length = |at| usize::from(u16_at(fixed, at));
        let (name, behind) = behind.split_at_checked(length(28)).ok_or_else(cut)?;
        let (extra, behind) = behind.split_at_checked(length(30)).ok_or_else(cut)?;
        let (_comment, behind) = behind.split_at_checked(length(32)).ok_or_else(cut)?;
        rest = behind;
        let name = String::from_utf8_lossy(name).into_owned();
        if name.ends_with('/') || name.starts_with("__MACOSX/") {
            continue;
        }
        let mut large = large_numbers(extra);
        // The whole size is the first of these, if it is too large for its field.
        let sizes = [u32_at(fixed, 24), u32_at(fixed, 20), u32_at(fixed, 42)];
        let [_, packed_size, at] = sizes.map(|small| match small {
            u32::MAX => large.next().unwrap_or(0),
            small => small.into(),
        });
        entries.push(Entry {
            name,
            is_encrypted: u16_at(fixed, 8) & 1 != 0,
            method: u16_at(fixed, 10),
            checksum: u32_at(fixed, 16),
            packed_size,
            at,
        });
    }
    Ok(entries)
}

/// Numbers of 64 bits, in an entry's extra fields, for those that are too large for others.
fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    const LARGE: u16 = 1;
    let mut found: &[u8] = &[];
    while let Some((header, behind)) = extra.split_at_checked(4) {
        let length = behind.len().min(u16_at(header, 2).into());
        let (field, behind) = behind.split_at(length);
        if u16_at(header, 0) == LARGE {
            found = field;
        }
        extra = behind;
    }
    found.as_chunks().0.iter().copied().map(u64::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at + 2)) << 16 | u32::from(u16_at(bytes, at))
}

fn damaged(what: &'static str) -> UnpackError {
    UnpackError::Archive(what)
}

fn cut() -> UnpackError {
    damaged("damaged: its directory ends early")
}

fn early(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut(),
        _ => error.into(),
    }
}

/// Bytes whose checksum is known.
struct Checked<R> {
    inner: R,
    sum: Crc,
    expected: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sum.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && self.sum.sum() != self.expected {
            let what = "the zip archive is damaged: the file in it has another checksum";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(read)
    }
}
