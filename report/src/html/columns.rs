//! Numbers as the page reads them: columns of variable-length integers, one behind
//! the other.

/// One column: 7 bits a byte, the lowest first, and the highest bit where more
/// follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column(Vec<u8>);

impl Column {
    pub(super) fn push(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A byte as it is.
    pub(super) fn push_byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A difference, which is small whichever sign it has.
    pub(super) fn push_signed(&mut self, number: i64) {
        self.push(((number << 1) ^ (number >> 63)) as u64);
    }
}

/// The bytes of a section: each column behind its length in four bytes, the lowest
/// first.
pub(super) fn joined(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Column(column) in columns {
        bytes.extend((column.len() as u32).to_le_bytes());
        bytes.extend(column);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let mut column = Column::default();
        [0, 127, 128, 300].into_iter().for_each(|number| column.push(number));
        [0, -1, 1, i64::MIN].into_iter().for_each(|number| column.push_signed(number));
        #[rustfmt::skip]
        let expected = [
            0, 127, 0x80, 1, 0xac, 2, // 0, 127, 128, 300
            0, 1, 2, // 0, -1, 1
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert_eq!(column.0, expected);
        let mut other = Column::default();
        other.push(5);
        assert_eq!(joined(&[Column::default(), other]), [0, 0, 0, 0, 1, 0, 0, 0, 5]);
    }
}
