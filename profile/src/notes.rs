//! Notes about what was read: the first of many.

use std::fmt::Display;

/// Notes of one kind that are shown.
const MAX_NOTES: usize = 10;

/// The first of many notes, and how many there are beyond.
pub fn limited<T: Display>(all: &[T], what: &str) -> Vec<String> {
    let mut notes: Vec<String> = all.iter().take(MAX_NOTES).map(T::to_string).collect();
    if all.len() > MAX_NOTES {
        notes.push(format!("and {} {what}", all.len() - MAX_NOTES));
    }
    notes
}
