//! The first of many: of notes about what was read, and of words in a list.

use std::fmt::Display;

/// Notes of one kind that are shown.
const MAX_NOTES: usize = 10;

/// Words of one list that are shown.
const MAX_WORDS: usize = 3;

/// The first of many words, and how many there are beyond.
pub fn listed(all: &[&str]) -> String {
    match all.len().checked_sub(MAX_WORDS + 1) {
        None => all.join(", "),
        Some(more) => format!("{} and {} more", all[..MAX_WORDS].join(", "), more + 1),
    }
}

/// The first of many notes, and how many there are beyond.
pub fn limited<T: Display>(all: &[T], what: &str) -> Vec<String> {
    let mut notes: Vec<String> = all.iter().take(MAX_NOTES).map(T::to_string).collect();
    if all.len() > MAX_NOTES {
        notes.push(format!("and {} {what}", all.len() - MAX_NOTES));
    }
    notes
}
