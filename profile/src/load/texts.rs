//! Texts that calls and names refer to.

use rz_format::{TextDefs, TextId};

use super::Dictionary;

/// Memory for texts, in bytes: made-up blocks compress so well that a small
/// file could fill any. What comes later is left out, as if it were lost.
const MAX_BYTES: usize = 256 << 20;

/// The texts of a trace.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    dictionary: Dictionary<Box<[u8]>>,
    bytes: usize,
}

impl Texts {
    /// Adds the content of a block.
    pub fn add(&mut self, definitions: TextDefs) {
        let text_size = |text: &Vec<u8>| text.len() + size_of::<Box<[u8]>>();
        let bytes: usize = definitions.texts.iter().map(text_size).sum();
        if self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            let texts = definitions.texts.into_iter().map(Vec::into_boxed_slice);
            self.dictionary.add(definitions.first, texts.collect());
        }
    }

    /// All texts, with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (TextId, &[u8])> {
        self.dictionary.iter().map(|(id, text)| (id, &**text))
    }

    /// The text with an id, if it is there.
    pub fn get(&self, id: TextId) -> Option<&[u8]> {
        Some(&self.dictionary.values()[self.dictionary.index_of(id)?])
    }
}
