//! The code of a file, and what in it refers to code.

use std::fs::File;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSymbol, ReadRef, SymbolKind};

use crate::bounded::Bounded;

/// Largest code that is looked at as a whole; C libraries have half a megabyte.
const MAX_CODE: u64 = 8 << 20;
/// Most other data in which addresses of code are looked for.
const MAX_DATA: u64 = 16 << 20;
/// What linkers call the part of a function that is rarely run: it has the frame of the
/// rest, and is no function.
const COLD: &[u8] = b".cold";
/// What node calls code that V8 has generated, and where it has its length.
const EMBEDDED: [&[u8]; 2] =
    [b"v8_Default_embedded_blob_code_data_", b"v8_Default_embedded_blob_code_"];
const EMBEDDED_LENGTH: &[u8] = b"v8_Default_embedded_blob_code_size_";

type Header = elf::FileHeader64<LittleEndian>;

/// Bytes of a file and the addresses that it has for them.
struct Piece {
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn from(&self, svma: u64) -> Option<&[u8]> {
        let at = usize::try_from(svma.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..).filter(|rest| !rest.is_empty())
    }
}

/// The loaded parts of a file.
#[derive(Default)]
pub struct CodeBytes {
    code: Vec<Piece>,
    data: Vec<Piece>,
    /// Where functions begin for sure.
    pub(super) functions: Vec<u64>,
    /// Code that V8 has generated, if it was linked into the file.
    embedded: Option<Range<u64>>,
}

impl CodeBytes {
    /// Reads a file; what is too large to be looked at as a whole is left out.
    pub fn read(file: File) -> Option<Self> {
        Self::parse(&Bounded::new(file))
    }

    /// The same of a file that is in memory.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes)
    }

    fn parse<'d, R: ReadRef<'d>>(data: R) -> Option<Self> {
        let endian = LittleEndian;
        let header = Header::parse(data).ok()?;
        let headers = header.program_headers(endian, data).ok()?;
        let mut read = CodeBytes::default();
        let is_code =
            |header: &elf::ProgramHeader64<_>| header.p_flags(endian).0 & elf::PF_X.0 != 0;
        let loaded = headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD);
        let size = |of_code: bool| -> u64 {
            let sizes = loaded.clone().filter(|header| is_code(header) == of_code);
            sizes.map(|header| header.p_filesz(endian)).fold(0, u64::saturating_add)
        };
        let is_small = size(true) <= MAX_CODE && size(false) <= MAX_DATA;
        for header in loaded.clone().filter(|_| is_small) {
            let bytes = header.data(endian, data).ok()?.to_vec();
            let piece = Piece { start: header.p_vaddr(endian), bytes };
            if is_code(header) { read.code.push(piece) } else { read.data.push(piece) }
        }
        if let Ok(file) = ElfFile64::<LittleEndian, R>::parse(data) {
            read.take_symbols(&file);
        }
        read.functions.push(header.e_entry(endian));
        Some(read)
    }

    fn take_symbols<'d, R: ReadRef<'d>>(&mut self, file: &ElfFile64<'d, LittleEndian, R>) {
        let (mut embedded, mut length) = ([None; 2], None);
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let (Ok(name), address) = (symbol.name_bytes(), symbol.address()) else { continue };
            if let Some(which) = EMBEDDED.iter().position(|embedded| *embedded == name) {
                embedded[which] = Some(address);
            } else if name == EMBEDDED_LENGTH {
                length = Some(address);
            } else if symbol.kind() == SymbolKind::Text
                && symbol.is_definition()
                && !name.windows(COLD.len()).any(|part| part == COLD)
                && self.is_code(address)
            {
                self.functions.push(address);
            }
        }
        let word = |address: u64| {
            let segment = object::ObjectSegment::data_range;
            let found = file.segments().find_map(|s| segment(&s, address, 4).ok().flatten())?;
            found.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
        };
        if let ([Some(start), _] | [None, Some(start)], Some(length)) =
            (embedded, length.and_then(word))
        {
            self.embedded = Some(start..start.saturating_add(length));
        }
    }

    /// Forgets what is not code, which was only needed to find functions.
    pub fn without_data(self) -> Self {
        CodeBytes { data: Vec::new(), functions: Vec::new(), ..self }
    }

    /// Whether there is code at an address, in what was read.
    pub fn is_code(&self, svma: u64) -> bool {
        self.bytes_from(svma).is_some()
    }

    /// Whether V8 has generated the code there.
    pub fn is_embedded(&self, svma: u64) -> bool {
        self.embedded.as_ref().is_some_and(|range| range.contains(&svma))
    }

    /// The code from an address on.
    pub fn bytes_from(&self, svma: u64) -> Option<&[u8]> {
        self.code.iter().find_map(|piece| piece.from(svma))
    }

    /// The last bytes of code before an address.
    pub fn bytes_before(&self, svma: u64, count: usize) -> Option<&[u8]> {
        let piece = self.code.iter().find(|piece| piece.from(svma.wrapping_sub(1)).is_some())?;
        let end = (svma - piece.start) as usize;
        piece.bytes.get(end.checked_sub(count)?..end)
    }

    /// The instruction at an address.
    pub fn instruction(&self, svma: u64) -> Option<Instruction> {
        let bytes = self.bytes_from(svma)?;
        let mut decoder = Decoder::with_ip(64, bytes, svma, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// Bytes of a table of `count` numbers of `size` bytes.
    pub(super) fn table(&self, svma: u64, count: usize, size: usize) -> Option<&[u8]> {
        self.data.iter().chain(&self.code).find_map(|piece| piece.from(svma)?.get(..count * size))
    }

    /// Each word of the data that is an address of code.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let words = self.data.iter().flat_map(|piece| {
            // Addresses are aligned in memory, and so are they in a file.
            let first = piece.start.wrapping_neg() as usize % 8;
            piece.bytes.get(first..).unwrap_or_default().as_chunks().0
        });
        words.map(|word| u64::from_le_bytes(*word)).filter(|word| self.is_code(*word))
    }
}
