//! Takes out of a trace what tells whose machine it was and what was done
//! there, so that it can be given away.
//!
//! ```text
//! trace ─► survey: files of the system, texts of names
//!   └────► rewrite: records, texts, names, each as decided ─► trace
//! ```
//!
//! Equal texts get equal pseudonyms, in the whole file. Names of functions are
//! code and stay, and so do numbers: process ids, times, addresses. What was
//! taken out is stated in the trace.

mod addresses;
mod code;
mod keep;
mod paths;
mod pseudonyms;
mod records;
mod survey;
mod system;
#[cfg(test)]
mod tests;
mod texts;
mod words;

use std::io::Write;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Call, Name, Record, Redaction, TextDefs, TextId};

use crate::trace::merge::MergeError;
use crate::trace::rewrite::{self, Edit, Ending};
use addresses::Addresses;
pub use keep::{Sensitive, UnknownSensitive};
use paths::{Paths, Staying};
use rz_profile::load::Texts;
use survey::Survey;

/// How to redact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactOptions {
    /// What stays.
    pub keep: Vec<Sensitive>,
    /// Whether build-ids stay, by which debug files are found.
    pub build_ids: bool,
    /// Take damaged traces as far as they are whole.
    pub keep_going: bool,
}

impl Default for RedactOptions {
    /// Nothing stays but build-ids.
    fn default() -> Self {
        RedactOptions { keep: Vec::new(), build_ids: true, keep_going: false }
    }
}

/// What was taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redacted {
    /// What, what is in its place, and how many times.
    pub redactions: Vec<Redaction>,
    /// What is missing of the trace, one sentence each.
    pub damage: Vec<String>,
}

/// Copies the trace at `path` to `out`, which the caller buffers, without what
/// tells whose it is. On failure, what is there is no whole trace.
///
/// # Errors
/// If the trace cannot be read, is none, or is damaged, unless told to keep
/// going; and if `out` cannot be written.
pub fn redact(
    path: &Path,
    options: &RedactOptions,
    out: &mut dyn Write,
) -> Result<Redacted, MergeError> {
    let mut redactor = Redactor::new(options.clone());
    redactor.survey = Survey::of(path, &mut redactor.paths)?;
    let copied = rewrite::copy(path, out, options.keep_going, &mut redactor)?;
    Ok(Redacted { redactions: redactor.redactions(), damage: copied.damage })
}

/// Changes a trace while it is copied.
struct Redactor {
    options: RedactOptions,
    survey: Survey,
    paths: Paths,
    addresses: Addresses,
    /// By their place in [`Sensitive::ALL`].
    counts: [u64; Sensitive::ALL.len()],
    build_ids: u64,
    /// New paths by id.
    modules: FxHashMap<u32, Box<str>>,
    kernel_processes: FxHashSet<u32>,
    kernel_threads: FxHashSet<u32>,
    /// What names refer to, as it was.
    texts: Texts,
    names: Vec<Name>,
}

impl Redactor {
    fn new(options: RedactOptions) -> Self {
        let keeps = |what| options.keep.contains(&what);
        let staying = Staying { paths: keeps(Sensitive::Paths), users: keeps(Sensitive::Users) };
        Redactor {
            options,
            survey: Survey::default(),
            paths: Paths::new(staying),
            addresses: Addresses::default(),
            counts: Default::default(),
            build_ids: 0,
            modules: FxHashMap::default(),
            kernel_processes: FxHashSet::default(),
            kernel_threads: FxHashSet::default(),
            texts: Texts::default(),
            names: Vec::new(),
        }
    }

    fn keeps(&self, what: Sensitive) -> bool {
        self.options.keep.contains(&what)
    }

    fn count(&mut self, what: Sensitive, number: u64) {
        self.counts[what as usize] += number;
    }

    /// What was taken out so far.
    fn redactions(&self) -> Vec<Redaction> {
        let of_kind = |what: Sensitive| {
            let counted = self.counts[what as usize];
            let count = match what {
                Sensitive::Paths => self.paths.changed(),
                Sensitive::Users => self.paths.pseudonyms.count("user"),
                Sensitive::Sockets => self.addresses.changed(),
                _ => counted,
            };
            (what.description(), what.replacement(), count)
        };
        let expressions = self.paths.pseudonyms.count("regexp");
        let others = [
            ("regular expressions", "pseudonyms", expressions),
            ("build-ids", "left out", self.build_ids),
        ];
        let all = Sensitive::ALL.map(of_kind).into_iter().chain(others);
        let there = all.filter(|(.., count)| *count > 0);
        let redaction = |(what, how, count): (&str, &str, _)| Redaction {
            what: what.into(),
            how: how.into(),
            count,
        };
        there.map(redaction).collect()
    }
}

impl Edit for Redactor {
    fn records(&mut self, records: &mut Vec<Record>) {
        let all = std::mem::take(records);
        records.extend(all.into_iter().filter_map(|record| self.record(record)));
    }

    fn texts(&mut self, texts: &mut TextDefs) {
        self.redact_texts(texts);
    }

    fn calls(&mut self, rows: &mut [Call]) {
        if self.keeps(Sensitive::Data) {
            return;
        }
        let data = rows.iter_mut().filter_map(|call| call.data.take());
        let count = data.count() as u64;
        self.count(Sensitive::Data, count);
    }

    fn function_calls(&mut self, rows: &mut [Call]) {
        if self.keeps(Sensitive::Data) {
            return;
        }
        let texts = rows.iter_mut().flat_map(|call| &mut call.texts).filter_map(Option::take);
        let count = texts.count() as u64;
        self.count(Sensitive::Data, count);
    }

    fn keeps_call_data(&self) -> bool {
        self.keeps(Sensitive::Data)
    }

    fn names(&mut self, names: &mut Vec<Name>) {
        self.keep_names(names);
    }

    fn end(&mut self, next_text: TextId) -> Ending {
        let (texts, names) = self.take_names(next_text);
        let records = self.redactions().into_iter().map(Record::Redaction).collect();
        Ending { records, texts, names }
    }
}
