//! Reads code objects out of the memory of a process.
//!
//! What is there may be anything: the object may be gone, and the process may mean
//! harm. Lengths are bounded before anything is read.

use rz_format::{CodeKind, CodeObject, LineTable, Positions, Runtime};
use rz_unwind::python_lines::{locations, ranges, starts};

use crate::code_objects::Memory;

use super::binary::Build;
use super::offsets::{
    BYTES_AT, Bytecode, Objects, SIZE_AT, TEXT_LENGTH_AT, TEXT_STATE_AT, TYPE_AT,
};

/// Longest name in bytes; of longer ones, the beginning is kept.
const MAX_NAME: usize = 4 << 10;
/// Longest table of lines in bytes; of longer ones, the beginning is kept.
const MAX_TABLE: usize = 256 << 10;
/// Most of a code object that is read: up to its bytecode.
const MAX_HEAD: usize = 512;
/// Most of what is in front of a text's characters.
const MAX_TEXT_HEAD: usize = 128;
/// Longest text and table that may be one: the names of a program are shorter.
const MAX_LENGTH: u64 = 1 << 24;
/// Longest bytecode in bytes.
const MAX_BYTECODE: u64 = 1 << 31;

/// What tells whether there is still the same code object at an address, and leads
/// to the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    first_line: u32,
    bytecode: Instructions,
    name: u64,
    qualified_name: Option<u64>,
    file: u64,
    line_table: u64,
}

/// Where the instructions of a code object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    /// From an address on, so many bytes.
    At(u64, u64),
    /// Elsewhere; each has a number, and takes so many bytes.
    Numbered(u64),
}

impl Head {
    /// Reads it; `None` if there is no code object at `address`. `code_type` is the
    /// address of their type; 0 if unknown.
    pub(super) fn read(
        memory: &impl Memory,
        build: &Build,
        code_type: u64,
        address: u64,
    ) -> Option<Self> {
        let Objects { first_line, file, name, qualified_name, line_table, bytecode, .. } =
            build.offsets.objects;
        let words = [SIZE_AT, first_line, file, name, line_table].into_iter();
        let length = words.chain(qualified_name).max()? + 8;
        let mut bytes = [0; MAX_HEAD];
        let bytes = bytes.get_mut(..length)?;
        if memory.read(address, bytes) < length {
            return None;
        }
        if code_type != 0 && word(bytes, TYPE_AT)? != code_type {
            return None;
        }
        let bytecode = match bytecode {
            Bytecode::Inside(at) => {
                // The size is in units of two bytes.
                let length = word(bytes, SIZE_AT)?.checked_mul(2)?;
                if length > MAX_BYTECODE {
                    return None;
                }
                Instructions::At(address.checked_add(at as u64)?, length)
            }
            Bytecode::Units => Instructions::Numbered(2),
            Bytecode::Bytes => Instructions::Numbered(1),
        };
        Some(Head {
            first_line: word(bytes, first_line)? as u32,
            bytecode,
            name: word(bytes, name)?,
            qualified_name: qualified_name.and_then(|at| word(bytes, at)),
            file: word(bytes, file)?,
            line_table: word(bytes, line_table)?,
        })
    }

    /// The position, in bytes, of a frame's instruction; `None` if that lies elsewhere.
    pub(super) fn position(&self, instruction: u64) -> Option<u64> {
        match self.bytecode {
            Instructions::At(start, length) => {
                // A frame that has not begun yet is just before its first instruction.
                let behind = instruction.wrapping_add(2).wrapping_sub(start);
                (behind <= length).then(|| behind.saturating_sub(2))
            }
            // An int, and the same of one that has not begun is -1.
            Instructions::Numbered(bytes) => match instruction as u32 as i32 {
                -1 => Some(0),
                number => u64::try_from(number).ok().map(|number| number * bytes),
            },
        }
    }

    /// The code object that it is the head of.
    pub(super) fn code_object(
        &self,
        memory: &impl Memory,
        build: &Build,
        id: u32,
    ) -> Option<CodeObject> {
        let objects = &build.offsets.objects;
        let name = text(memory, objects, self.name)?;
        let qualified = self.qualified_name.and_then(|at| text(memory, objects, at));
        let table = bytes(memory, self.line_table).unwrap_or_default();
        let read_lines = match objects.bytecode {
            Bytecode::Inside(_) => locations,
            Bytecode::Units => ranges,
            Bytecode::Bytes => starts,
        };
        let kind = match name.as_str() {
            "<module>" => CodeKind::Module,
            name if name.starts_with('<') => CodeKind::Anonymous,
            _ => CodeKind::Function,
        };
        Some(CodeObject {
            id,
            // Code has no addresses here: what a child shares with its parent is
            // the same code.
            process_plus_one: 0,
            runtime: Runtime::CPython.into(),
            kind: kind.into(),
            qualified_name: qualified.filter(|qualified| *qualified != name).unwrap_or_default(),
            name,
            file: text(memory, objects, self.file).unwrap_or_default(),
            first_line: self.first_line,
            first_column: 0,
            positions: Positions::Bytecode.into(),
            lines: LineTable::new(read_lines(&table, self.first_line)),
        })
    }
}

/// The word at `at`.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The bytes of a bytes object, or as many of them as are kept.
fn bytes(memory: &impl Memory, address: u64) -> Option<Vec<u8>> {
    let mut head = [0; BYTES_AT];
    if memory.read(address, &mut head) < head.len() {
        return None;
    }
    let length = word(&head, SIZE_AT).filter(|length| *length <= MAX_LENGTH)?;
    let length = MAX_TABLE.min(length as usize);
    let mut content = vec![0; length];
    let read = memory.read(address.checked_add(BYTES_AT as u64)?, &mut content);
    content.truncate(read);
    Some(content)
}

/// A text, or the beginning of it that is kept.
fn text(memory: &impl Memory, objects: &Objects, address: u64) -> Option<String> {
    let mut head = [0; MAX_TEXT_HEAD];
    let head = head.get_mut(..objects.compact)?;
    // The shorter one of those for ASCII only may be the last in its memory.
    if memory.read(address, head) < objects.ascii {
        return None;
    }
    let state = word(head, TEXT_STATE_AT)?;
    let (width, is_compact, is_ascii) = (state >> 2 & 7, state >> 5 & 1, state >> 6 & 1);
    if is_compact == 0 || !matches!(width, 1 | 2 | 4) {
        return None;
    }
    let length = word(head, TEXT_LENGTH_AT).filter(|length| *length <= MAX_LENGTH)? as usize;
    let width = width as usize;
    let kept = length.min(MAX_NAME / width);
    let mut content = vec![0; kept * width];
    let at = if is_ascii == 1 { objects.ascii } else { objects.compact };
    if memory.read(address.checked_add(at as u64)?, &mut content) < content.len() {
        return None;
    }
    let character = |bytes: &[u8]| {
        let mut code = [0; 4];
        code[..width].copy_from_slice(bytes);
        char::from_u32(u32::from_le_bytes(code)).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let mut text: String = content.chunks_exact(width).map(character).collect();
    if text.len() > MAX_NAME {
        text.truncate(text.floor_char_boundary(MAX_NAME));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::binary::Version;
    use crate::python::offsets::of_version;

    const CODE_TYPE: u64 = 0xc0de;

    fn build() -> Build {
        let version = Version { major: 3, minor: 12 };
        let offsets = of_version(version).unwrap();
        Build { version, runtime_svma: 0, code_type_svma: 0, evaluating: Vec::new(), offsets }
    }

    /// Memory from address 0x1000 on, made of words.
    struct Words(Vec<u64>);

    impl Words {
        fn put(&mut self, address: u64, word: u64) {
            self.0[(address as usize - 0x1000) / 8] = word;
        }

        fn put_bytes(&mut self, address: u64, bytes: &[u8]) {
            for (at, part) in bytes.chunks(8).enumerate() {
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                self.put(address + at as u64 * 8, u64::from_le_bytes(word));
            }
        }

        /// A text of characters that take `width` bytes each.
        fn put_text(&mut self, address: u64, width: u64, is_ascii: bool, characters: &[u8]) {
            self.put(address + 16, characters.len() as u64 / width);
            self.put(address + 32, width << 2 | 1 << 5 | u64::from(is_ascii) << 6);
            self.put_bytes(address + if is_ascii { 40 } else { 56 }, characters);
        }
    }

    impl Memory for Words {
        fn read(&self, address: u64, to: &mut [u8]) -> usize {
            let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            let start = address.checked_sub(0x1000).and_then(|at| usize::try_from(at).ok());
            let rest = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
            let length = rest.len().min(to.len());
            to[..length].copy_from_slice(&rest[..length]);
            length
        }
    }

    /// A code object at 0x1000, of ten instructions.
    fn words() -> Words {
        let mut words = Words(vec![0; 0x100]);
        for (at, word) in [(8, CODE_TYPE), (16, 10), (64, 7 << 32), (112, 0x1200)] {
            words.put(0x1000 + at, word);
        }
        for (at, word) in [(120, 0x1300), (128, 0x1400), (136, 0x1500)] {
            words.put(0x1000 + at, word);
        }
        words.put_text(0x1200, 2, false, &[0x2f, 0, 0x3b, 0x04]);
        words.put_text(0x1300, 1, true, b"parse");
        words.put_text(0x1400, 1, true, b"Loader.parse");
        words.put(0x1510, 4);
        words.put_bytes(0x1520, &[0xe8, 2, 0xe8, 2]);
        words
    }

    fn read(words: &Words) -> Option<CodeObject> {
        let head = Head::read(words, &build(), CODE_TYPE, 0x1000)?;
        assert_eq!(head.bytecode, Instructions::At(0x10c0, 20));
        let instructions = [0x10be, 0x10c0, 0x10d0, 0x10d4, 0x10bc];
        let positions = [Some(0), Some(0), Some(16), None, None];
        assert_eq!(instructions.map(|at| head.position(at)), positions);
        head.code_object(words, &build(), 5)
    }

    #[test]
    fn a_code_object() {
        let code = read(&words()).unwrap();
        assert_eq!((code.id, code.name.as_str(), code.first_line), (5, "parse", 7));
        assert_eq!(
            (code.qualified_name.as_str(), code.file.as_str()),
            ("Loader.parse", "/\u{43b}")
        );
        assert_eq!([0, 2].map(|position| code.place(position).0), [8, 9]);
    }

    #[test]
    fn what_is_no_code_object() {
        let mut other = words();
        other.put(0x1008, 0xbad);
        assert_eq!(read(&other), None);
        // A name that is not there, and one that is no text.
        for (at, word) in [(0x1078, u64::MAX - 20), (0x1078, 0), (0x1320, 0)] {
            let mut wrong = words();
            wrong.put(at, word);
            assert_eq!(read(&wrong), None, "{at:#x}");
        }
        let mut endless = words();
        endless.put(0x1010, 1 << 60);
        assert_eq!(Head::read(&endless, &build(), CODE_TYPE, 0x1000), None);
        let short = Words(words().0[..17].to_vec());
        assert_eq!(Head::read(&short, &build(), CODE_TYPE, 0x1000), None);
    }

    #[test]
    fn no_length_is_believed() {
        let mut huge = words();
        // More than there is to read of a name, of a table, and of a file's name.
        huge.put(0x1410, 1 << 60);
        huge.put(0x1510, 1 << 60);
        huge.put(0x1210, u64::MAX);
        let code = read(&huge).unwrap();
        assert_eq!((code.name.as_str(), code.file.as_str()), ("parse", ""));
        // A qualified name that cannot be read is none; a long one is cut.
        assert_eq!(code.qualified_name, "");
        let mut long = Words(vec![0x6161_6161_6161_6161; 0x1000]);
        long.0[..0x100].copy_from_slice(&words().0);
        long.put(0x1410, 5000);
        assert_eq!(read(&long).unwrap().qualified_name.len(), MAX_NAME);
    }
    #[test]
    fn fuzz_python_memory() {
        let seed = words().0.iter().flat_map(|word| word.to_le_bytes()).collect();
        rz_fuzz::fuzz("Python's memory", &[seed], |bytes| {
            let words = bytes.chunks_exact(8);
            let words =
                Words(words.map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect());
            let head = Head::read(&words, &build(), CODE_TYPE, 0x1000);
            if let Some(code) = head.and_then(|head| head.code_object(&words, &build(), 5)) {
                code.place(2);
            }
        });
    }
}
