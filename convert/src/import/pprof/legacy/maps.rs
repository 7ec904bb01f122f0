//! What was mapped where: lines as of `/proc/PID/maps`, and shorter ones.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::super::super::ImportError;
use super::lines::Lines;

/// Mappings that are read, at most: more than a process has.
const MAX_MAPPINGS: usize = 1 << 17;
/// Words that stand for others in mappings, at most.
const MAX_WORDS: usize = 64;
/// Longest line that is looked at, in bytes.
const MAX_LINE: usize = 16 << 10;

/// Lines that mappings follow.
const HEADINGS: [&str; 2] = ["--- Memory map: ---", "MAPPED_LIBRARIES:"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    /// The first address behind it.
    pub(super) limit: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    pub(super) file: String,
    pub(super) build_id: String,
}

/// Whether mappings follow a line.
pub(super) fn is_heading(line: &str) -> bool {
    HEADINGS.iter().any(|heading| line.contains(heading))
}

/// The mappings behind the next heading, `latest` being the latest line.
pub(super) fn read_behind(latest: &str, lines: &mut Lines) -> Result<Vec<Mapping>, ImportError> {
    if !is_heading(latest) {
        lines.find(|line| is_heading(line));
    }
    read(lines)
}

/// The mappings in all lines that are left.
pub(super) fn read(lines: &mut Lines) -> Result<Vec<Mapping>, ImportError> {
    static LOGGED: LazyLock<Regex> = LazyLock::new(|| regex(r"^[^\[\]]+:[0-9]+]\s"));
    let mut mappings = Vec::new();
    let mut words: Vec<(String, &str)> = Vec::new();
    for line in lines.by_ref().filter(|line| line.len() < MAX_LINE) {
        // Logs have the place first that a line was logged at.
        let text = LOGGED.find(line).map_or(line, |place| &line[place.end()..]);
        let mut replaced = text.to_owned();
        for (word, meaning) in &words {
            let times = replaced.matches(&word[..]).count();
            if times > 0 && replaced.len() + times * meaning.len() < MAX_LINE {
                replaced = replaced.replace(&word[..], meaning);
            }
        }
        match parse(&replaced) {
            Some(mapping) => mappings.extend(mapping),
            // `build=/a/path` is what `$build` means from there on.
            None => {
                if let Some((word, meaning)) =
                    text.split_once('=').filter(|_| words.len() < MAX_WORDS)
                {
                    words.push((format!("${}", word.trim()), meaning.trim()));
                }
            }
        }
        if mappings.len() > MAX_MAPPINGS {
            return Err(ImportError::TooMany("mappings"));
        }
    }
    Ok(mappings)
}

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("it is a regular expression")
}

/// A line as a mapping, which is none if nothing could run there; `None` if it is no such line.
fn parse(line: &str) -> Option<Option<Mapping>> {
    const RANGE: &str =
        r"^\s*(?:0x)?([[:xdigit:]]+)[\s-]?\s*(?:0x)?([[:xdigit:]]+):?(?:\s+([-rwxp]+))?";
    static LONG: LazyLock<Regex> = LazyLock::new(|| {
        regex(&format!(
            r"{RANGE}(?:\s+([[:xdigit:]]+))?\s+[[:xdigit:]]+:[[:xdigit:]]+\s+\d+(?:\s+(\S+))?"
        ))
    });
    static SHORT: LazyLock<Regex> = LazyLock::new(|| {
        regex(&format!(r"{RANGE}(?:\s+(\S+))?(?:\s+\(@([[:xdigit:]]+)\))?(?:\s+([[:xdigit:]]+))?"))
    });
    let text = |found: &Captures, at| found.get(at).map_or("", |part| part.as_str()).to_owned();
    let (found, offset, file, build_id) = match LONG.captures(line) {
        Some(found) => {
            let (offset, file) = (text(&found, 4), text(&found, 5));
            (found, offset, file, String::new())
        }
        None => {
            let found = SHORT.captures(line)?;
            let (file, offset, build_id) = (text(&found, 4), text(&found, 5), text(&found, 6));
            (found, offset, file, build_id)
        }
    };
    let permissions = text(&found, 3);
    if !permissions.is_empty() && !permissions.contains('x') {
        return Some(None);
    }
    let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let (start, limit) = (number(&found[1])?, number(&found[2])?);
    let offset = if offset.is_empty() { 0 } else { number(&offset)? };
    Some(Some(Mapping { start, limit, offset, file, build_id }))
}

/// Joins what belongs together, and puts the program first, as pprof does.
pub(super) fn massage(mappings: Vec<Mapping>) -> Vec<Mapping> {
    static LIBRARY: LazyLock<Regex> = LazyLock::new(|| regex(r"[.]so$|[.]so[._][0-9]+"));
    let mut joined: Vec<Mapping> = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        match joined.last_mut() {
            Some(last) if is_continued(last, &mapping) => {
                last.limit = mapping.limit;
                let Mapping { file, build_id, .. } = mapping;
                for (text, other) in [(&mut last.file, file), (&mut last.build_id, build_id)] {
                    if !other.is_empty() {
                        *text = other;
                    }
                }
            }
            _ => joined.push(mapping),
        }
    }
    let is_program = |mapping: &Mapping| {
        let file = mapping.file.replace("(deleted)", "");
        let file = file.trim();
        !file.is_empty() && !file.starts_with('[') && !LIBRARY.is_match(file)
    };
    if let Some(program) = joined.iter().position(is_program) {
        joined.swap(0, program);
    }
    if let [first, second, ..] = &joined[..]
        && first.file.starts_with("/anon_hugepage")
        && first.limit == second.start
    {
        joined.remove(0);
    }
    // Where a program without an address of its own choosing starts.
    const PROGRAM_START: u64 = 0x40_0000;
    if let Some(first) = joined.first_mut()
        && first.start.wrapping_sub(first.offset) == PROGRAM_START
    {
        (first.start, first.offset) = (PROGRAM_START, 0);
    }
    joined
}

fn is_continued(one: &Mapping, next: &Mapping) -> bool {
    let agrees = |one: &str, next: &str| one.is_empty() || next.is_empty() || one == next;
    let offset = one.offset.wrapping_add(one.limit.wrapping_sub(one.start));
    agrees(&one.file, &next.file)
        && agrees(&one.build_id, &next.build_id)
        && one.limit == next.start
        && (one.offset == 0 || next.offset == 0 || offset == next.offset)
}

/// Mappings by address.
pub(super) struct Placed {
    mappings: Vec<Mapping>,
    /// By start.
    order: Vec<usize>,
    /// A last one, of everything, for what is in none.
    has_rest: bool,
}

impl Placed {
    pub(super) fn of(mappings: Vec<Mapping>) -> Self {
        let mut order: Vec<usize> = (0..mappings.len()).collect();
        order.sort_by_key(|index| mappings[*index].start);
        Placed { mappings, order, has_rest: false }
    }

    /// The number of the mapping that an address is in, from 1 on.
    pub(super) fn mapping_id(&mut self, address: u64) -> u64 {
        let behind = self.order.partition_point(|index| self.mappings[*index].start <= address);
        let found = behind.checked_sub(1).map(|at| self.order[at]);
        if let Some(index) = found.filter(|index| address < self.mappings[*index].limit) {
            return index as u64 + 1;
        }
        // Some profiles lack the first part of what is mapped in several.
        if let Some(index) = self.order.get(behind) {
            let next = &mut self.mappings[*index];
            if next.offset != 0 && next.start.saturating_sub(next.offset) <= address {
                next.start = next.start.saturating_sub(next.offset);
                next.offset = 0;
                return *index as u64 + 1;
            }
        }
        self.has_rest = true;
        self.mappings.len() as u64 + 1
    }

    pub(super) fn into_mappings(mut self) -> Vec<Mapping> {
        if self.has_rest {
            self.mappings.push(Mapping { limit: u64::MAX, ..Mapping::default() });
        }
        self.mappings
    }
}
