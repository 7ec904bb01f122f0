//! The file header: 64 bytes that say what the file is and who can read it.

use crate::error::FormatError;

/// First bytes of every trace. As in PNG, the high bit detects transfers that
/// strip it, and the line ends detect transfers that convert them.
pub const MAGIC: [u8; 8] = *b"\x89RZ1\r\n\x1a\n";
/// Major version that this crate reads and writes.
pub const MAJOR: u16 = 1;
/// Newest minor version that this crate knows.
pub const MINOR: u16 = 11;
/// Smallest minor version of a reader that understands merged traces: others
/// would mix up their hosts.
const MERGED_MIN_READER: u16 = 3;
/// Size of the file header in bytes.
pub const HEADER_LEN: usize = 64;

/// Offset of the header's own checksum.
const CHECKSUM_AT: usize = HEADER_LEN - 4;

/// The file header's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Minor version of the writer.
    pub minor: u16,
    /// Smallest minor version of a reader that understands the file.
    pub min_reader: u16,
    /// Random number that names this trace; merged traces keep their sources'.
    pub trace_id: [u8; 16],
    /// When the file was created, in nanoseconds since the Unix epoch.
    pub created_unix_ns: u64,
    /// The same moment on `CLOCK_MONOTONIC`, in nanoseconds.
    pub created_ns: u64,
}

impl FileHeader {
    /// A header of the current version.
    pub fn new(trace_id: [u8; 16], created_unix_ns: u64, created_ns: u64) -> Self {
        FileHeader { minor: MINOR, min_reader: 0, trace_id, created_unix_ns, created_ns }
    }

    /// A header of a trace that others are merged into.
    pub fn merged(trace_id: [u8; 16], created_unix_ns: u64, created_ns: u64) -> Self {
        let min_reader = MERGED_MIN_READER;
        FileHeader { min_reader, ..Self::new(trace_id, created_unix_ns, created_ns) }
    }

    /// Whether others are merged into the trace.
    pub fn is_merged(&self) -> bool {
        self.min_reader >= MERGED_MIN_READER
    }

    /// The header as bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&MAJOR.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.minor.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.min_reader.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.trace_id);
        bytes[32..40].copy_from_slice(&self.created_unix_ns.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_ns.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC {
            return Err(wrong_magic(bytes));
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(FormatError::TooShort { length: bytes.len() as u64 });
        };
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (major, minor, min_reader) = (u16_at(8), u16_at(10), u16_at(12));
        if major != MAJOR || min_reader > MINOR {
            return Err(FormatError::NewerFormat {
                major,
                minor,
                min_reader,
                ours_major: MAJOR,
                ours_minor: MINOR,
            });
        }
        let expected = u32_at(bytes, CHECKSUM_AT);
        let found = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        if expected != found {
            return Err(FormatError::BadHeaderChecksum { expected, found });
        }
        let mut trace_id = [0; 16];
        trace_id.copy_from_slice(&bytes[16..32]);
        Ok(FileHeader {
            minor,
            min_reader,
            trace_id,
            created_unix_ns: u64_at(bytes, 32),
            created_ns: u64_at(bytes, 40),
        })
    }
}

/// Tells a file that was never a trace from one that a transfer mangled.
fn wrong_magic(bytes: &[u8]) -> FormatError {
    let mangled: [&[u8]; 4] =
        [b"\x09RZ1\r\n", b"\x89RZ1\n\x1a", b"\x89RZ1\r\r\n", b"\xef\xbf\xbdRZ1"];
    if mangled.iter().any(|start| bytes.starts_with(start)) {
        FormatError::TextModeDamage
    } else if bytes.len() < HEADER_LEN {
        FormatError::TooShort { length: bytes.len() as u64 }
    } else {
        FormatError::BadMagic
    }
}

/// The little-endian `u32` at a constant offset inside a fixed-size header.
pub(crate) fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The little-endian `u64` at a constant offset inside a fixed-size header.
pub(crate) fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader::new([7; 16], 1_700_000_000_000_000_000, 42)
    }

    #[test]
    fn round_trips() {
        assert_eq!(FileHeader::from_bytes(&header().to_bytes()).unwrap(), header());
    }

    #[test]
    fn merged_traces_need_a_reader_of_sources() {
        let merged = FileHeader::merged([7; 16], 1, 2);
        assert_eq!(FileHeader::from_bytes(&merged.to_bytes()).unwrap(), merged);
        assert_eq!((merged.min_reader, header().min_reader), (3, 0));
        assert!(merged.is_merged() && !header().is_merged());
    }

    #[test]
    fn refuses_by_cause() {
        let check = |edit: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let mut bytes = header().to_bytes().to_vec();
            edit(&mut bytes);
            let error = FileHeader::from_bytes(&bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&|b| b[1] = b'X', "not an rz trace");
        check(&|b| b.truncate(40), "only 40 bytes");
        check(&|b| b.clear(), "only 0 bytes");
        check(&|b| b[0] = 0x09, "text-mode");
        check(
            &|b| {
                b.remove(4);
            },
            "text-mode",
        );
        check(&|b| b[8] = 2, "use a newer rz");
        check(&|b| b[12] = MINOR as u8 + 1, "use a newer rz");
        check(&|b| b[20] ^= 1, "header is damaged");
    }
}
