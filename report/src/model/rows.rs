//! The first rows of a table, and how many more there are.

use serde::Serialize;

/// The first rows of a table, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rows<T> {
    /// The first ones, in the order of the table.
    pub rows: Vec<T>,
    /// How many are left out.
    pub left_out: u64,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows { rows: Vec::new(), left_out: 0 }
    }
}

impl<T> Rows<T> {
    /// The first `limit` of all rows, made into what is shown of each.
    pub fn first<U>(limit: usize, all: Vec<U>, row: impl FnMut(U) -> T) -> Self {
        let left_out = all.len().saturating_sub(limit) as u64;
        Rows { rows: all.into_iter().take(limit).map(row).collect(), left_out }
    }

    /// How many there are, with those that are left out.
    pub fn all(&self) -> usize {
        self.rows.len() + self.left_out as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all() == 0
    }
}
