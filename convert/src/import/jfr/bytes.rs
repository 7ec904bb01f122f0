//! Numbers and texts, one behind another.

use super::super::ImportError;
use super::damaged;

/// The bytes that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<'c>(pub(super) &'c [u8]);

/// A text, or the number of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text<'c> {
    Here(&'c [u8]),
    /// Units of 16 bits, each as a number.
    Units(Bytes<'c>, u64),
    /// In the pool of strings.
    Pooled(u64),
}

impl<'c> Bytes<'c> {
    pub(super) fn take(&mut self, length: u64) -> Result<&'c [u8], ImportError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(early)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ImportError> {
        Ok(self.take(1)?[0])
    }

    /// A number in 7 bits a byte, lowest first, but 8 in the ninth.
    pub(super) fn number(&mut self) -> Result<u64, ImportError> {
        let mut value = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Ok(value | u64::from(self.byte()?) << 56)
    }

    /// How many follow, each of which takes a byte or more.
    pub(super) fn count(&mut self) -> Result<u64, ImportError> {
        let count = self.number()?;
        if count > self.0.len() as u64 { Err(early()) } else { Ok(count) }
    }

    pub(super) fn text(&mut self) -> Result<Text<'c>, ImportError> {
        Ok(match self.byte()? {
            0 | 1 => Text::Here(&[]),
            2 => Text::Pooled(self.number()?),
            // UTF-8, or Latin-1, which names are hardly ever beyond ASCII in.
            3 | 5 => {
                let length = self.number()?;
                Text::Here(self.take(length)?)
            }
            4 => {
                let count = self.count()?;
                let units = *self;
                for _ in 0..count {
                    self.number()?;
                }
                Text::Units(units, count)
            }
            other => return Err(damaged(format!("a text of kind {other}"))),
        })
    }
}

impl Text<'_> {
    /// The text, if it is here.
    pub(super) fn here(self) -> Option<String> {
        match self {
            Text::Here(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Text::Units(mut bytes, count) => {
                let units = (0..count).map_while(|_| bytes.number().ok()).map(|unit| unit as u16);
                let decoded = char::decode_utf16(units);
                Some(decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
            Text::Pooled(_) => None,
        }
    }
}

pub(super) fn early() -> ImportError {
    damaged("it ends early, or a length is wrong")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths() {
        let number = |bytes: &[u8]| Bytes(bytes).number().ok();
        assert_eq!(number(&[0x7f]), Some(127));
        assert_eq!(number(&[0x80, 1]), Some(128));
        assert_eq!(number(&[0xff; 9]), Some(u64::MAX));
        assert_eq!(number(&[0xff; 8]), None);
    }

    #[test]
    fn texts_of_all_kinds() {
        let text = |bytes: &[u8]| Bytes(bytes).text().ok().and_then(Text::here);
        assert_eq!(text(&[0]).as_deref(), Some(""));
        assert_eq!(text(&[3, 2, b'a', b'b']).as_deref(), Some("ab"));
        assert_eq!(text(&[4, 1, 0xfc, 1]).as_deref(), Some("ü"));
        assert_eq!(text(&[2, 7]), None);
        assert_eq!(text(&[3, 9, b'a']), None);
        assert_eq!(text(&[6]), None);
    }
}
