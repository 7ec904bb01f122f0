//! A table of strings, as several formats have one.

use rustc_hash::FxHashMap;

use rz_text::clean::clean;

/// Each string once; the first is empty.
pub(super) struct Strings {
    pub(super) table: Vec<String>,
    ids: FxHashMap<String, i64>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { table: vec![String::new()], ids: FxHashMap::from_iter([(String::new(), 0)]) }
    }
}

impl Strings {
    /// The place of a text in the table.
    pub(super) fn id(&mut self, text: &str) -> i64 {
        // What reads it prints names as they are.
        let text = &*clean(text);
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }
}
