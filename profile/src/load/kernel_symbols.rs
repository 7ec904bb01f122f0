//! Finds recorded symbols by address: the kernel's and the vDSO's.

use rz_format::Symbol;

/// How far a symbol of unknown length reaches at most; hardly any function of
/// a kernel is longer.
const MAX_UNSIZED: u64 = 64 << 10;

/// The recorded symbols of one module, ready for look-ups.
#[derive(Debug, Default)]
pub(super) struct RecordedSymbols<'t> {
    /// Ascending by start, one for each start.
    symbols: Vec<&'t Symbol>,
}

impl<'t> RecordedSymbols<'t> {
    /// Symbols in any order; of those with equal starts the longest is used.
    pub(super) fn new(symbols: &'t [Symbol]) -> Self {
        let mut symbols: Vec<&Symbol> = symbols.iter().collect();
        symbols.sort_by_key(|s| (s.start, std::cmp::Reverse(s.length)));
        symbols.dedup_by_key(|s| s.start);
        RecordedSymbols { symbols }
    }

    /// The symbol that a frame offset belongs to.
    pub(super) fn find(&self, offset: u64) -> Option<&'t Symbol> {
        let next = self.symbols.partition_point(|s| s.start <= offset);
        let symbol = self.symbols[next.checked_sub(1)?];
        let length = if symbol.length == 0 { MAX_UNSIZED } else { symbol.length };
        (offset - symbol.start < length).then_some(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_symbol_that_covers_it() {
        let symbol = |name: &str, start, length| Symbol {
            name: name.into(),
            start,
            length,
            ..Symbol::default()
        };
        let symbols = [
            symbol("c", u64::MAX - 1, 0),
            symbol("b", 200, 0),
            symbol("short", 100, 5),
            symbol("a", 100, 50),
        ];
        let table = RecordedSymbols::new(&symbols);
        let far = 200 + MAX_UNSIZED;
        for (offset, expected) in [
            (0, None),
            (99, None),
            (100, Some("a")),
            (149, Some("a")),
            (150, None),
            (200, Some("b")),
            (far - 1, Some("b")),
            (far, None),
            (u64::MAX, Some("c")),
        ] {
            assert_eq!(table.find(offset).map(|s| &*s.name), expected, "{offset}");
        }
        assert_eq!(RecordedSymbols::default().find(0), None);
    }
}
