//! Redacts texts: what system calls passed, and names of code.

use std::hash::RandomState;

use rustc_hash::FxHashMap;
use rz_format::{Name, TextDefs, TextId, TextInterner};

use super::addresses::is_address;
use super::code::{Origin, name_of_code};
use super::{Redactor, Sensitive};

/// Names that are kept, at most, as when a trace is loaded.
const MAX_NAMES: usize = 1 << 22;

/// What a text of a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Code { is_generated: bool },
    SourceFile { is_of_system: bool },
}

impl Redactor {
    /// Changes texts that system calls refer to, and takes those out that only names or
    /// functions do.
    pub(super) fn redact_texts(&mut self, defs: &mut TextDefs) {
        let survey = &self.survey;
        let ids = defs.first..=TextId::MAX;
        if ids.clone().zip(&defs.texts).any(|(id, _)| survey.of_names.contains(&id)) {
            self.texts.add(defs.clone());
        }
        for (id, text) in ids.zip(&mut defs.texts) {
            let is_of_call = self.survey.of_calls.contains(&id);
            let is_given = self.survey.of_functions.contains(&id) && !is_of_call;
            if is_given && self.keeps(Sensitive::Data) {
                continue;
            }
            if is_given || self.survey.of_names.contains(&id) && !is_of_call {
                text.clear();
            } else {
                *text = self.call_text(text);
            }
        }
    }

    /// A path or a socket address.
    fn call_text(&mut self, text: &[u8]) -> Vec<u8> {
        if is_address(text) {
            return match self.keeps(Sensitive::Sockets) {
                true => text.to_vec(),
                false => self.addresses.address(text, &mut self.paths),
            };
        }
        match std::str::from_utf8(text) {
            Ok(path) => self.paths.path(path).into_bytes(),
            Err(_) if self.paths.stay() => text.to_vec(),
            Err(_) => self.paths.path(&String::from_utf8_lossy(text)).into_bytes(),
        }
    }

    /// Keeps names for the end, where they get texts of their own.
    pub(super) fn keep_names(&mut self, names: &mut Vec<Name>) {
        let names = std::mem::take(names);
        if self.names.len() + names.len() <= MAX_NAMES {
            self.names.extend(names);
            // As at the end of a block.
            if let Some(last) = self.names.last_mut() {
                last.inlined = false;
            }
        }
    }

    /// All names, and the texts that they refer to, which have numbers from
    /// `next_text` on.
    pub(super) fn take_names(&mut self, next_text: TextId) -> (TextDefs, Vec<Name>) {
        let mut names = std::mem::take(&mut self.names);
        let mut new: TextInterner<RandomState> = TextInterner::default();
        let mut known: FxHashMap<(TextId, Role), Option<TextId>> = FxHashMap::default();
        let mut change = |this: &mut Self, id: &mut Option<TextId>, role| {
            let Some(old) = *id else { return };
            *id = *known.entry((old, role)).or_insert_with(|| {
                let text = this.name_text(old, role)?;
                Some(next_text.saturating_add(new.text(text.as_bytes())))
            });
        };
        for name in &mut names {
            let code = Role::Code { is_generated: name.from_ns > 0 };
            change(self, &mut name.name, code);
            change(self, &mut name.system_name, code);
            let is_of_system = self.survey.system_modules.contains(&name.module);
            change(self, &mut name.file, Role::SourceFile { is_of_system });
        }
        (TextDefs { first: next_text, ..new.take_new() }, names)
    }

    /// What takes a text's place; `None` if it is lost.
    fn name_text(&mut self, id: TextId, role: Role) -> Option<String> {
        let text = String::from_utf8_lossy(self.texts.get(id)?).into_owned();
        Some(match role {
            Role::Code { is_generated: true } => {
                name_of_code(&mut self.paths, &text, Origin::Generated)
            }
            Role::Code { is_generated: false } => {
                name_of_code(&mut self.paths, &text, Origin::Compiled)
            }
            Role::SourceFile { is_of_system } => self.paths.source(&text, is_of_system),
        })
    }
}
