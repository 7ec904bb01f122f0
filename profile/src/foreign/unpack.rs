//! Takes what other tools wrote out of what it is packed in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use tempfile::tempfile;

use super::zip;

/// How much of a file tells what kind it is.
pub const HEAD: u64 = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
const UTF_8: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF_16_LITTLE: &[u8] = &[0xff, 0xfe];
const UTF_16_BIG: &[u8] = &[0xfe, 0xff];

/// Packings within each other, at most.
const MAX_LAYERS: usize = 3;

/// Bytes that may come of any file, however small.
const FREE: u64 = 64 << 20;

/// Bytes that may come of each byte beyond that. No profile is that repetitive.
const MAX_RATIO: u64 = 200;

/// Why a file could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The file could not be read, or is damaged, or there is no room for what is in it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is in it is too large for its size.
    #[error("it is packed more than {MAX_RATIO} to one, as no profile is: not unpacked")]
    Bomb,
    /// An archive has more files than one, or none.
    #[error("a zip archive of {0}: unpack it, and give the one")]
    Several(String),
    /// An archive cannot be unpacked.
    #[error("a zip archive, {0}")]
    Archive(&'static str),
}

/// What a file is packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
    Lz4,
    Zip,
    /// UTF-8 behind a mark that says so.
    Utf8,
    Utf16 {
        is_big: bool,
    },
}

impl Packing {
    fn of(head: &[u8]) -> Option<Packing> {
        let packings = [
            (GZIP, Packing::Gzip),
            (ZSTD, Packing::Zstd),
            (LZ4, Packing::Lz4),
            (zip::LOCAL, Packing::Zip),
            (UTF_8, Packing::Utf8),
            (UTF_16_LITTLE, Packing::Utf16 { is_big: false }),
            (UTF_16_BIG, Packing::Utf16 { is_big: true }),
        ];
        let marked = packings.into_iter().find(|(mark, _)| head.starts_with(mark));
        match (marked, head) {
            (Some((_, packing)), _) => Some(packing),
            // Some editors leave the mark out: every other byte of plain text is zero.
            (None, [0, 0x20..=0x7f, 0, 0x20..=0x7f, ..]) => Some(Packing::Utf16 { is_big: true }),
            (None, [0x20..=0x7f, 0, 0x20..=0x7f, 0, ..]) => Some(Packing::Utf16 { is_big: false }),
            (None, _) => None,
        }
    }

    /// A reader of what is packed in a stream; `None` if more than a stream is needed.
    fn open<'r>(self, packed: impl BufRead + 'r) -> io::Result<Option<Box<dyn Read + 'r>>> {
        Ok(Some(match self {
            Packing::Zip => return Ok(None),
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Packing::Lz4 => Box::new(Lz4(FrameDecoder::new(packed))),
            Packing::Utf8 => Box::new(behind(packed, UTF_8.len())?),
            Packing::Utf16 { is_big } => {
                Box::new(Utf16 { packed, is_big, text: Vec::new(), at: 0 })
            }
        }))
    }
}

/// All frames of LZ4, of which a decoder ends with each.
struct Lz4<R: Read>(FrameDecoder<R>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(read);
            }
        }
    }
}

/// What comes behind so many bytes.
fn behind<R: BufRead>(mut packed: R, bytes: usize) -> io::Result<R> {
    let length = packed.fill_buf()?.len().min(bytes);
    packed.consume(length);
    Ok(packed)
}

/// Text of 16-bit units as UTF-8.
struct Utf16<R> {
    packed: R,
    is_big: bool,
    /// What is read next, from `at` on.
    text: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Utf16<R> {
    fn more(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 32 << 10];
        let mut units = Vec::with_capacity(bytes.len() / 2 + 1);
        let mut length = fill(&mut self.packed, &mut bytes)?;
        let unit = |pair: [u8; 2]| {
            if self.is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        units.extend(bytes[..length].as_chunks().0.iter().copied().map(unit));
        // The second half of a pair may be behind these.
        if let Some(0xd800..0xdc00) = units.last() {
            let mut pair = [0; 2];
            length += fill(&mut self.packed, &mut pair)?;
            units.push(unit(pair));
        }
        let decoded = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        let text: String = decoded.filter(|c| *c != '\u{feff}').collect();
        self.text = text.into_bytes();
        self.at = 0;
        // Nothing but a mark is not the end.
        if self.text.is_empty() && length > 0 { self.more() } else { Ok(()) }
    }
}

/// Fills a buffer as far as there is something.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.more()?;
        }
        let read = (&self.text[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

/// What a file begins with once it is unpacked.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Whether it was packed in anything.
    pub(super) is_packed: bool,
}

/// What a file begins with; its position is at the beginning afterwards.
///
/// # Errors
/// If it cannot be read, or is an archive that cannot be unpacked.
pub(super) fn head(file: &mut File) -> Result<Head, UnpackError> {
    let mut bytes = Vec::new();
    file.rewind()?;
    Read::by_ref(file).take(HEAD).read_to_end(&mut bytes)?;
    // The file that the archive is in, were there one, and what is to be taken off it first.
    let (mut outer, mut around) = (file.try_clone()?, Vec::new());
    let mut is_packed = false;
    for _ in 0..MAX_LAYERS {
        let Some(packing) = Packing::of(&bytes) else { break };
        is_packed = true;
        let reader = match packing.open(&bytes[..])? {
            Some(reader) => reader,
            // What an archive has stands at its end.
            None => {
                for packing in around.drain(..) {
                    outer.rewind()?;
                    outer = unpack(outer, packing)?;
                }
                zip::open_only(outer.try_clone()?)?
            }
        };
        let mut inner = Vec::new();
        // The end is missing, which is no error here.
        let _ = reader.take(HEAD).read_to_end(&mut inner);
        bytes = inner;
        around.push(packing);
    }
    file.rewind()?;
    Ok(Head { bytes, is_packed })
}

/// A file without what it was packed in.
#[derive(Debug)]
pub struct Unpacked {
    /// The file, or a temporary one with what was in it, at its beginning.
    pub file: File,
    /// What it begins with.
    pub head: Vec<u8>,
}

impl Unpacked {
    /// Unpacks a file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or expands beyond what is reasonable.
    pub fn of(mut file: File) -> Result<Unpacked, UnpackError> {
        for _ in 0..MAX_LAYERS {
            let mut head = Vec::new();
            Read::by_ref(&mut file).take(HEAD).read_to_end(&mut head)?;
            file.rewind()?;
            let Some(packing) = Packing::of(&head) else { return Ok(Unpacked { file, head }) };
            file = unpack(file, packing)?;
        }
        let head = head(&mut file)?.bytes;
        Ok(Unpacked { file, head })
    }
}

/// A temporary file with what is in another.
fn unpack(packed: File, packing: Packing) -> Result<File, UnpackError> {
    let size = packed.metadata()?.len();
    let most = FREE.saturating_add(size.saturating_mul(MAX_RATIO));
    let stream = BufReader::with_capacity(256 << 10, packed.try_clone()?);
    let mut reader = match packing.open(stream)? {
        Some(reader) => reader,
        None => zip::open_only(packed)?,
    };
    let mut file = tempfile()?;
    let mut writer = BufWriter::with_capacity(256 << 10, &mut file);
    if io::copy(&mut Read::by_ref(&mut reader).take(most), &mut writer)? == most {
        return Err(UnpackError::Bomb);
    }
    writer.flush()?;
    drop(writer);
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let mut file = tempfile()?;
        file.write_all(bytes)?;
        file.rewind()?;
        let guess = head(&mut file)?.bytes;
        assert!(Unpacked::of(file.try_clone()?)?.head.starts_with(&guess));
        file.rewind()?;
        let mut read = Vec::new();
        Unpacked::of(file)?.file.read_to_end(&mut read)?;
        Ok(read)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_is_packed_in_different_ways() {
        let plain = "a;b 3\nwörker 🦀;c 4\n";
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            plain.encode_utf16().flat_map(to_bytes).collect()
        };
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for packed in [
            plain.as_bytes().to_vec(),
            gzip(plain.as_bytes()),
            gzip(&gzip(plain.as_bytes())),
            zstd::encode_all(plain.as_bytes(), 1).unwrap(),
            lz4(plain.as_bytes()),
            [lz4(&plain.as_bytes()[..7]), lz4(b""), lz4(&plain.as_bytes()[7..])].concat(),
            marked(UTF_8, plain.as_bytes()),
            marked(UTF_16_LITTLE, &utf16(u16::to_le_bytes)),
            marked(UTF_16_BIG, &utf16(u16::to_be_bytes)),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
            gzip(&marked(UTF_16_LITTLE, &utf16(u16::to_le_bytes))),
        ] {
            assert_eq!(String::from_utf8(unpacked(&packed).unwrap()).unwrap(), plain);
        }
    }

    #[test]
    fn long_texts_of_pairs() {
        let plain = "a".to_owned() + &"🦀".repeat(20_000);
        let bytes: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let packed = [UTF_16_LITTLE, &bytes].concat();
        assert_eq!(String::from_utf8(unpacked(&packed).unwrap()).unwrap(), plain);
    }

    #[test]
    fn what_expands_beyond_reason() {
        let bomb = gzip(&vec![b' '; (FREE + (64 << 20)) as usize]);
        assert!(matches!(unpacked(&bomb), Err(UnpackError::Bomb)));
        let damaged = &gzip(&[b'a'; 1000])[..12];
        assert!(matches!(Unpacked::of(file_of(damaged)), Err(UnpackError::Io(_))));
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }
}
