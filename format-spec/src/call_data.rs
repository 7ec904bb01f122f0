//! What was copied of the memory that a system call was given, piece by piece.

/// A piece of memory that an argument leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataPiece<'d> {
    /// Index of the argument.
    pub arg: u8,
    /// 0 for what the argument points to; n + 1 for what element n of that points to.
    pub element: u8,
    /// The bytes, from the first one on.
    pub bytes: &'d [u8],
}

/// The pieces of one call, in the order in which they were copied. What is behind one that
/// makes no sense is left out.
pub fn data_pieces(mut data: &[u8]) -> impl Iterator<Item = DataPiece<'_>> {
    std::iter::from_fn(move || {
        let (&[arg, element, low, high], rest) = data.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(u16::from_le_bytes([low, high]).into())?;
        data = rest;
        Some(DataPiece { arg, element, bytes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_until_one_is_cut() {
        let data = b"\x01\x00\x02\x00ab\x02\x03\x00\x00\x01\x01\x05\x00abcd";
        let found: Vec<DataPiece> = data_pieces(data).collect();
        let first = DataPiece { arg: 1, element: 0, bytes: b"ab" };
        assert_eq!(found, [first, DataPiece { arg: 2, element: 3, bytes: b"" }]);
        for length in 0..data.len() {
            assert!(data_pieces(&data[..length]).count() <= 2);
        }
    }
}
