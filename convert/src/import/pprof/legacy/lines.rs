//! Lines of a text, and the addresses in them.

use std::iter::Enumerate;

use super::super::super::ImportError;
use super::super::fields::damaged;

/// The lines of a text that are left.
pub(super) struct Lines<'t> {
    rest: Enumerate<std::str::Lines<'t>>,
    /// The number of the latest, from 1 on.
    number: usize,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Lines { rest: text.lines().enumerate(), number: 0 }
    }

    /// The next that is neither empty nor a comment.
    pub(super) fn next_said(&mut self) -> Option<&'t str> {
        self.find(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// An error about the latest line.
    pub(super) fn damaged(&self, what: &str) -> ImportError {
        damaged(format!("line {}: {what}", self.number))
    }

    /// A number in the latest line.
    pub(super) fn number(&self, text: &str) -> Result<i64, ImportError> {
        text.parse().map_err(|_| self.damaged("a number of more than 64 bits, or none"))
    }

    /// All addresses in a part of the latest line.
    pub(super) fn addresses(&self, text: &str) -> Result<Vec<u64>, ImportError> {
        let address = |part: &str| {
            let digits = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
            (digits > 0).then(|| u64::from_str_radix(&part[..digits], 16))
        };
        let found: Result<_, _> = text.split("0x").skip(1).filter_map(address).collect();
        found.map_err(|_| self.damaged("an address of more than 64 bits"))
    }
}

/// Lines without the space around them.
impl<'t> Iterator for Lines<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let (index, line) = self.rest.next()?;
        self.number = index + 1;
        Some(line.trim())
    }
}

/// Return addresses as those of the calls; if the first is no return address, it stays.
pub(super) fn calls(mut addresses: Vec<u64>, is_first_exact: bool) -> Vec<u64> {
    let returns = addresses.iter_mut().skip(usize::from(is_first_exact));
    returns.for_each(|address| *address = address.wrapping_sub(1));
    addresses
}
