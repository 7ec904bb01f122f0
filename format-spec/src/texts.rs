//! Texts that system calls refer to: paths and socket addresses, each once.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::block::MAX_ROWS;
use crate::column::{Table, TableWriter};
use crate::error::FormatError;
use crate::varint::{read_bounded, read_bytes, write_varint};

/// Number of a text in its file.
pub type TextId = u32;

/// Bytes of new texts that fill a block.
const BLOCK_BYTES: usize = 1 << 20;

/// Definitions of texts with consecutive ids. They are bytes as the kernel saw
/// them: a path need not be UTF-8, and a socket address is a `sockaddr`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextDefs {
    /// Id of the first one.
    pub first: TextId,
    /// The texts.
    pub texts: Vec<Vec<u8>>,
}

/// Columns of the text table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const LENGTH: Column = Column::new(0, Plain);
    pub const ALL: Columns = &[&[LENGTH]];
}

impl TextDefs {
    /// Whether nothing is defined here.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The payload of a texts block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, self.first.into());
        let mut table = TableWriter::new(column::ALL, self.texts.len());
        table.column(column::LENGTH, self.texts.iter().map(|text| text.len() as u64));
        out.extend_from_slice(&table.finish());
        self.texts.iter().for_each(|text| out.extend_from_slice(text));
        out
    }

    /// Reads the payload of a texts block.
    pub(crate) fn decode(mut payload: &[u8]) -> Result<Self, FormatError> {
        let input = &mut payload;
        let first = read_bounded(input, "first text id", u32::MAX.into())? as TextId;
        let table = Table::read(input)?;
        let end = u64::from(first) + table.rows() as u64;
        if end > u32::MAX.into() {
            return Err(FormatError::InvalidValue { what: "text id", value: end });
        }
        let lengths = table.column(column::LENGTH)?;
        let texts: Result<_, FormatError> = lengths
            .into_iter()
            .map(|length| Ok(read_bytes(input, length as usize, "text")?.to_vec()))
            .collect();
        Ok(TextDefs { first, texts: texts? })
    }
}

/// Gives equal texts equal ids, and collects what is new.
#[derive(Debug, Default)]
pub struct TextInterner<S> {
    known: HashMap<Vec<u8>, TextId, S>,
    known_bytes: usize,
    new: TextDefs,
    new_bytes: usize,
}

impl<S: BuildHasher> TextInterner<S> {
    /// The id of a text.
    pub fn text(&mut self, text: &[u8]) -> TextId {
        if let Some(id) = self.known.get(text) {
            return *id;
        }
        let id = self.new.first + self.new.texts.len() as TextId;
        self.known.insert(text.to_vec(), id);
        self.known_bytes += text.len();
        self.new.texts.push(text.to_vec());
        self.new_bytes += text.len();
        id
    }

    /// Whether the new definitions fill a block.
    pub fn is_block_full(&self) -> bool {
        self.new.texts.len() >= MAX_ROWS / 8 || self.new_bytes >= BLOCK_BYTES
    }

    /// Takes the definitions made since the last call.
    pub fn take_new(&mut self) -> TextDefs {
        self.new_bytes = 0;
        let first = self.new.first + self.new.texts.len() as TextId;
        std::mem::replace(&mut self.new, TextDefs { first, texts: Vec::new() })
    }

    /// Forgets all texts, to bound memory. Numbers go on, so what comes again
    /// gets a new one.
    pub fn forget(&mut self) {
        self.known.clear();
        self.known.shrink_to_fit();
        self.known_bytes = 0;
    }

    /// Bytes of the texts that are known.
    pub fn bytes(&self) -> usize {
        self.known_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::RandomState;

    #[test]
    fn equal_texts_get_equal_ids() {
        let mut interner = TextInterner::<RandomState>::default();
        assert_eq!([b"/a", b"/b", b"/a"].map(|text| interner.text(text)), [0, 1, 0]);
        assert_eq!(interner.bytes(), 4);
        let first = interner.take_new();
        assert_eq!(first.texts, [b"/a", b"/b"]);
        assert_eq!((interner.text(b"/b"), interner.text(b"/c")), (1, 2));
        assert_eq!(interner.take_new(), TextDefs { first: 2, texts: vec![b"/c".to_vec()] });
        interner.forget();
        assert_eq!(interner.text(b"/a"), 3);
    }

    #[test]
    fn ids_end() {
        let defs = TextDefs { first: u32::MAX, texts: vec![Vec::new()] };
        assert!(TextDefs::decode(&defs.encode()).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(first in 0u32..1000, texts: Vec<Vec<u8>>) {
            let defs = TextDefs { first, texts };
            prop_assert_eq!(TextDefs::decode(&defs.encode()).unwrap(), defs);
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>) {
            let _ = TextDefs::decode(&bytes);
        }
    }
}
