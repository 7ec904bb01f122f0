//! Reads a trace block by block, going on behind whatever is damaged.

use std::io::{Read, Seek, SeekFrom};

use crate::block::{BLOCK_HEADER_LEN, BlockHeader, SYNC, block_checksum, stored_checksum};
use crate::block_kind::BlockKind;
use crate::content::{Block, Damage};
use crate::error::FormatError;
use crate::expansion::Expansion;
use crate::header::{FileHeader, HEADER_LEN};
use crate::index::{IndexEntry, TRAILER_LEN, TRAILER_MAGIC, decode_index, find_index};
use crate::stored_block::{StoredBlock, decompress};

/// How much is searched at a time for the next block behind damage.
const SEARCH_CHUNK: usize = 1 << 20;
/// False block starts looked at in one file before the search is given up, so
/// that a file made of them cannot keep a reader busy for ever.
const MAX_FALSE_STARTS: u32 = 100;

/// A sequential reader of a trace.
pub struct Reader<R> {
    file: R,
    header: FileHeader,
    /// Where the next block should start.
    offset: u64,
    length: u64,
    next_sequence: u32,
    closed: bool,
    /// Whether more may be written behind the end.
    grows: bool,
    false_starts: u32,
    last_ns: u64,
    damage: Vec<Damage>,
    unknown: Vec<BlockKind>,
    unwanted: Vec<BlockKind>,
    /// What the blocks up to here stand for.
    expansion: Expansion,
    /// Whether that was too much, and nothing more is read.
    too_much: bool,
    /// What the writer left, once it was needed; empty if it left none.
    index: Option<Vec<IndexEntry>>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the file header. Fails if the file is no trace or needs a newer
    /// reader.
    pub fn new(mut file: R) -> Result<Self, FormatError> {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut start = Vec::with_capacity(HEADER_LEN);
        (&mut file).take(HEADER_LEN as u64).read_to_end(&mut start)?;
        let header = FileHeader::from_bytes(&start)?;
        Ok(Reader {
            file,
            header,
            offset: HEADER_LEN as u64,
            length,
            next_sequence: 0,
            closed: false,
            grows: false,
            false_starts: 0,
            last_ns: 0,
            damage: Vec::new(),
            unknown: Vec::new(),
            unwanted: Vec::new(),
            expansion: Expansion::default(),
            too_much: false,
            index: None,
        })
    }

    /// The file header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// What could not be used of the file up to here.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Kinds of blocks up to here that this crate does not know, and which may
    /// be passed over: once each, as they came.
    pub fn unknown(&self) -> &[BlockKind] {
        &self.unknown
    }

    /// Kinds of blocks up to here that were not wanted, once each.
    pub fn unwanted(&self) -> &[BlockKind] {
        &self.unwanted
    }

    /// The file, to be closed and opened again between two blocks.
    pub fn file_mut(&mut self) -> &mut R {
        &mut self.file
    }

    /// Earliest time of what comes next, which is not read yet; `None` at the
    /// end of the file and in front of damage.
    pub fn next_time(&mut self) -> Result<Option<u64>, FormatError> {
        if self.too_much {
            return Ok(None);
        }
        let header = header_at(&mut self.file, self.offset, self.length)?;
        Ok(header.filter(|(h, _)| h.kind != BlockKind::INDEX).map(|(header, _)| header.first_ns))
    }

    /// The latest time that the headers of the blocks up to here give, in
    /// nanoseconds on the trace's clock; 0 if there was none.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Says whether the file is still being written. If so, its end is where its
    /// last whole block ends, nothing is wrong with what is behind that, and a
    /// reader that came to the end can go on later. Once it is known that nothing
    /// more comes, the end is to be read as that of any other file.
    pub fn set_growing(&mut self, grows: bool) {
        self.grows = grows;
    }

    /// Whether nothing more comes: the end was reached, and if the file was still
    /// being written, it has been closed.
    pub fn is_at_end(&self) -> bool {
        self.closed
    }

    /// The next block, or `None` at the end of the file. Damage is skipped
    /// and kept in [`Reader::damage`]; only failing to read the file and a
    /// block that must be understood, but is unknown, are errors. Other unknown
    /// blocks are passed over and kept in [`Reader::unknown`].
    pub fn next_block(&mut self) -> Result<Option<Block>, FormatError> {
        self.next_block_if(|_| true)
    }

    /// The same, passing over blocks that are not `wanted`, which are not even
    /// read where the file's index agrees with what their headers say.
    pub fn next_block_if(
        &mut self,
        wanted: impl Fn(&BlockHeader) -> bool,
    ) -> Result<Option<Block>, FormatError> {
        while let Some(stored) = self.next_stored_if(&wanted)? {
            match stored.decode() {
                Ok(block) if self.admit(&stored, block.rows()) => return Ok(Some(block)),
                Ok(_) => break,
                Err(damage) => self.add_damage(damage),
            }
        }
        Ok(None)
    }

    /// The same as it is stored, to be decoded at another time or elsewhere. Once it
    /// is known how many rows it has, [`Reader::admit`] says whether it may be used.
    pub fn next_stored_if(
        &mut self,
        wanted: impl Fn(&BlockHeader) -> bool,
    ) -> Result<Option<StoredBlock>, FormatError> {
        while !self.too_much {
            while self.pass_over(&wanted)? {}
            let Some((header, payload)) = self.next_valid()? else { return Ok(None) };
            let offset = self.offset - (BLOCK_HEADER_LEN + payload.len()) as u64;
            if header.kind.is_critical() && !header.kind.is_known() {
                return Err(FormatError::UnknownCriticalBlock { kind: header.kind, offset });
            }
            if header.kind == BlockKind::INDEX {
                continue;
            }
            self.last_ns = self.last_ns.max(header.last_ns);
            if !header.kind.is_known() {
                add_kind(&mut self.unknown, header.kind);
            } else if wanted(&header) {
                let stored = StoredBlock::new(header, offset, payload);
                let more = self.expansion.with_bytes(header.kind, stored.raw_len());
                return Ok(self.expand(more, &stored).then_some(stored));
            } else {
                add_kind(&mut self.unwanted, header.kind);
            }
        }
        Ok(None)
    }

    /// Counts the rows of a block, to be called in the order of the file. If it says
    /// no, neither this one nor what comes after it may be used: the file stands for
    /// more than one of its size may. The reader is at its end then.
    pub fn admit(&mut self, stored: &StoredBlock, rows: usize) -> bool {
        !self.too_much && self.expand(self.expansion.with_rows(stored.kind(), rows), stored)
    }

    fn expand(&mut self, more: Expansion, stored: &StoredBlock) -> bool {
        self.expansion = more;
        if !more.fits(stored.end()) {
            (self.too_much, self.closed) = (true, true);
            self.add_damage(Damage::TooMuch { offset: stored.offset(), kind: stored.kind() });
        }
        !self.too_much
    }

    /// Adds what a [`StoredBlock`] turned out to be, in its place.
    pub fn add_damage(&mut self, damage: Damage) {
        let place = self.damage.partition_point(|known| known.offset() <= damage.offset());
        self.damage.insert(place, damage);
    }

    /// Goes on behind the next block, without reading it, if it is not wanted
    /// and is without doubt what its header says.
    fn pass_over(&mut self, wanted: impl Fn(&BlockHeader) -> bool) -> Result<bool, FormatError> {
        let Some((header, _)) = header_at(&mut self.file, self.offset, self.length)? else {
            return Ok(false);
        };
        let is_as_expected = header.kind.is_known()
            && header.kind != BlockKind::INDEX
            && header.sequence == self.next_sequence;
        if !is_as_expected || wanted(&header) || !self.is_in_index(&header)? {
            return Ok(false);
        }
        add_kind(&mut self.unwanted, header.kind);
        self.last_ns = self.last_ns.max(header.last_ns);
        self.next_sequence = header.sequence.wrapping_add(1);
        self.offset += BLOCK_HEADER_LEN as u64 + u64::from(header.stored_len);
        Ok(true)
    }

    /// Whether the index that the writer left has such a block where the next
    /// one is.
    fn is_in_index(&mut self, header: &BlockHeader) -> Result<bool, FormatError> {
        let entry = IndexEntry::new(self.offset, header);
        let entries = self.written_index()?;
        let known = entries.binary_search_by_key(&entry.offset, |entry| entry.offset);
        Ok(known.is_ok_and(|at| entries[at] == entry))
    }

    /// The index that the writer left; empty if it left none.
    fn written_index(&mut self) -> Result<&[IndexEntry], FormatError> {
        if self.index.is_none() {
            let entries = match read_written_index(&mut self.file) {
                Ok(entries) => entries.unwrap_or_default(),
                Err(FormatError::Io(error)) => return Err(error.into()),
                Err(_) => Vec::new(),
            };
            self.index = Some(entries);
        }
        Ok(self.index.as_deref().unwrap_or_default())
    }

    /// What should be where something is damaged: the blocks of the index that the
    /// writer left; without one, the block whose header seems to begin there, of which
    /// nothing is known to be right.
    pub fn expected(&mut self, damage: &Damage) -> Result<Vec<IndexEntry>, FormatError> {
        let (start, end) = match *damage {
            Damage::Skipped { offset, length } => (offset, offset.saturating_add(length)),
            Damage::BadBlock { offset, .. } => (offset, offset + 1),
            Damage::CutOff { offset, .. } | Damage::TooMuch { offset, .. } => (offset, u64::MAX),
            Damage::MissingBlocks { .. } | Damage::NotClosed => return Ok(Vec::new()),
        };
        let entries = self.written_index()?;
        let from = entries.partition_point(|entry| entry.offset < start);
        let to = entries.partition_point(|entry| entry.offset < end);
        if let Some(expected @ [_, ..]) = entries.get(from..to) {
            return Ok(expected.to_vec());
        }
        if self.length.saturating_sub(start) < BLOCK_HEADER_LEN as u64 {
            return Ok(Vec::new());
        }
        let header = header_at(&mut self.file, start, u64::MAX)?;
        let header = header.filter(|(header, _)| header.kind.is_known());
        Ok(header.map(|(header, _)| IndexEntry::new(start, &header)).into_iter().collect())
    }

    /// The next block whose checksum is right.
    fn next_valid(&mut self) -> Result<Option<(BlockHeader, Vec<u8>)>, FormatError> {
        if self.grows {
            self.length = self.file.seek(SeekFrom::End(0))?;
        }
        if self.offset >= self.length {
            if !self.closed && !self.grows {
                self.closed = true;
                self.damage.push(Damage::NotClosed);
            }
            return Ok(None);
        }
        if self.is_trailer()? {
            self.closed = true;
            self.offset = self.length;
            return Ok(None);
        }
        let start = self.offset;
        let found = match self.block_at(start)? {
            Some(block) => Some((start, block)),
            None if self.grows && self.is_unfinished(start)? => return Ok(None),
            None => self.search(start + 1)?,
        };
        let Some((at, (header, payload))) = found else {
            if self.grows {
                return Ok(None);
            }
            self.closed = true;
            self.offset = self.length;
            self.damage.push(Damage::CutOff { offset: start, length: self.length - start });
            return Ok(None);
        };
        if at != start {
            self.damage.push(Damage::Skipped { offset: start, length: at - start });
        }
        let missing = header.sequence.wrapping_sub(self.next_sequence);
        if missing != 0 {
            self.damage.push(Damage::MissingBlocks { offset: at, count: missing });
        }
        self.next_sequence = header.sequence.wrapping_add(1);
        self.offset = at + (BLOCK_HEADER_LEN + payload.len()) as u64;
        Ok(Some((header, payload)))
    }

    /// Whether all that is left is the trailer of a clean close.
    fn is_trailer(&mut self) -> Result<bool, FormatError> {
        if self.length - self.offset != TRAILER_LEN as u64 {
            return Ok(false);
        }
        let mut bytes = [0; TRAILER_LEN];
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes[8..] == TRAILER_MAGIC)
    }

    /// The block at `offset`, if a whole and undamaged one is there.
    fn block_at(&mut self, offset: u64) -> Result<Option<(BlockHeader, Vec<u8>)>, FormatError> {
        let Some((header, bytes)) = header_at(&mut self.file, offset, self.length)? else {
            return Ok(None);
        };
        let mut payload = vec![0; header.stored_len as usize];
        self.file.read_exact(&mut payload)?;
        if block_checksum(&bytes, &payload) != stored_checksum(&bytes) {
            return Ok(None);
        }
        Ok(Some((header, payload)))
    }

    /// Whether the block at `offset` reaches beyond the end of the file.
    fn is_unfinished(&mut self, offset: u64) -> Result<bool, FormatError> {
        if self.length - offset < BLOCK_HEADER_LEN as u64 {
            return Ok(true);
        }
        Ok(header_at(&mut self.file, offset, u64::MAX)?.is_some_and(|(header, _)| {
            self.length - offset < BLOCK_HEADER_LEN as u64 + u64::from(header.stored_len)
        }))
    }

    /// The first valid block that starts at `from` or later.
    #[expect(clippy::type_complexity, reason = "an offset with what block_at returns")]
    fn search(
        &mut self,
        mut from: u64,
    ) -> Result<Option<(u64, (BlockHeader, Vec<u8>))>, FormatError> {
        let mut chunk = Vec::with_capacity(SEARCH_CHUNK);
        while from + BLOCK_HEADER_LEN as u64 <= self.length {
            chunk.clear();
            self.file.seek(SeekFrom::Start(from))?;
            (&mut self.file).take(SEARCH_CHUNK as u64).read_to_end(&mut chunk)?;
            for at in chunk.windows(SYNC.len()).enumerate().filter(|(_, w)| *w == SYNC) {
                let offset = from + at.0 as u64;
                if let Some(block) = self.block_at(offset)? {
                    return Ok(Some((offset, block)));
                }
                self.false_starts += 1;
                if self.false_starts > MAX_FALSE_STARTS {
                    return Ok(None);
                }
            }
            // A marker may lie across two chunks.
            from += (chunk.len().max(SYNC.len()) - (SYNC.len() - 1)) as u64;
        }
        Ok(None)
    }
}

fn add_kind(kinds: &mut Vec<BlockKind>, kind: BlockKind) {
    if !kinds.contains(&kind) {
        kinds.push(kind);
    }
}

/// The block header at `offset`, with its bytes, if one is there and its
/// payload fits into the file.
fn header_at(
    file: &mut (impl Read + Seek),
    offset: u64,
    length: u64,
) -> Result<Option<(BlockHeader, [u8; BLOCK_HEADER_LEN])>, FormatError> {
    let left = length.saturating_sub(offset);
    if left < BLOCK_HEADER_LEN as u64 {
        return Ok(None);
    }
    let mut bytes = [0; BLOCK_HEADER_LEN];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    let header = BlockHeader::from_bytes(&bytes).ok();
    let fits = |h: &BlockHeader| u64::from(h.stored_len) <= left - BLOCK_HEADER_LEN as u64;
    Ok(header.filter(fits).map(|header| (header, bytes)))
}

/// Where the blocks of a trace are: from its index, or, if it was not closed
/// or the index is damaged, by going through the block headers.
pub fn read_index(file: &mut (impl Read + Seek)) -> Result<Vec<IndexEntry>, FormatError> {
    match read_written_index(file) {
        Ok(Some(entries)) => Ok(entries),
        Err(FormatError::Io(error)) => Err(error.into()),
        Ok(None) | Err(_) => rebuild_index(file),
    }
}

/// The index that the writer left, if it did.
fn read_written_index(
    file: &mut (impl Read + Seek),
) -> Result<Option<Vec<IndexEntry>>, FormatError> {
    let Some(offset) = find_index(file)? else { return Ok(None) };
    let length = file.seek(SeekFrom::End(0))?;
    let Some((header, bytes)) = header_at(file, offset, length)? else { return Ok(None) };
    let mut stored = vec![0; header.stored_len as usize];
    file.read_exact(&mut stored)?;
    let good = header.kind == BlockKind::INDEX
        && block_checksum(&bytes, &stored) == stored_checksum(&bytes);
    if !good {
        return Ok(None);
    }
    decode_index(decompress(&header, &stored, &mut Vec::new())?).map(Some)
}

/// Makes an index from the block headers, up to the first damaged one.
pub fn rebuild_index(file: &mut (impl Read + Seek)) -> Result<Vec<IndexEntry>, FormatError> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut offset = HEADER_LEN as u64;
    let mut entries = Vec::new();
    while let Some((header, _)) = header_at(file, offset, length)? {
        if header.kind != BlockKind::INDEX {
            entries.push(IndexEntry::new(offset, &header));
        }
        offset += BLOCK_HEADER_LEN as u64 + u64::from(header.stored_len);
    }
    Ok(entries)
}
