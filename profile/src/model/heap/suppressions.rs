//! Leaks that are known and not to be shown, in the syntax of LeakSanitizer's
//! suppression files.
//!
//! A line is `leak:PATTERN`; empty lines and those that begin with `#` are
//! comments. A leak is suppressed if the pattern is found in the function's
//! name, the source file or the module of any of its frames. In a pattern, `*`
//! stands for any text, `^` at its beginning for the beginning and `$` at its
//! end for the end.

use std::str::FromStr;

use super::{Heap, Sum};
use crate::model::{FunctionId, Profile};

/// What a suppression file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    list: Vec<Suppression>,
}

/// One line of a suppression file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The pattern as it is written.
    pub pattern: String,
    /// Texts that must follow each other.
    parts: Vec<String>,
    from_start: bool,
    to_end: bool,
}

/// A line of a suppression file cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected leak:PATTERN, found {text:?}")]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl FromStr for Suppressions {
    type Err = ParseError;

    /// Parses the text of a file.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut list = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pattern = line.strip_prefix("leak:").filter(|pattern| !pattern.is_empty());
            let unknown = || ParseError { line: index + 1, text: line.to_owned() };
            list.push(Suppression::new(pattern.ok_or_else(unknown)?));
        }
        Ok(Suppressions { list })
    }
}

impl Suppression {
    fn new(pattern: &str) -> Self {
        let rest = pattern.strip_prefix('^').unwrap_or(pattern);
        let text = rest.strip_suffix('$').unwrap_or(rest);
        Suppression {
            pattern: pattern.to_owned(),
            parts: text.split('*').map(str::to_owned).collect(),
            from_start: rest.len() < pattern.len(),
            to_end: text.len() < rest.len(),
        }
    }

    /// Whether the pattern is found in a text.
    pub fn matches(&self, text: &str) -> bool {
        // `split` gives at least one part.
        let Some((last, firsts)) = self.parts.split_last() else { return false };
        let mut rest = text;
        let mut anchored = self.from_start;
        for part in firsts {
            let Some(after) = find(rest, part, anchored) else { return false };
            (rest, anchored) = (after, false);
        }
        match (self.to_end, anchored) {
            (false, _) => find(rest, last, anchored).is_some(),
            (true, false) => rest.ends_with(last.as_str()),
            (true, true) => rest == last,
        }
    }
}

/// What follows the first occurrence of `part`, which is at the beginning if
/// it is anchored.
fn find<'t>(text: &'t str, part: &str, anchored: bool) -> Option<&'t str> {
    if anchored {
        text.strip_prefix(part)
    } else {
        text.find(part).map(|at| &text[at + part.len()..])
    }
}

/// What is never freed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leaks {
    /// Indices into [`Heap::sites`] of those with leaks that are not
    /// suppressed, the largest first.
    pub sites: Vec<usize>,
    /// The sum of those.
    pub total: Sum,
    /// The sum of what is suppressed.
    pub suppressed: Sum,
    /// What each suppression suppressed, in the order of the file; only those
    /// that did. What several match counts with the first one that matches
    /// the innermost frame.
    pub used: Vec<(Suppression, Sum)>,
}

/// See [`Heap::leaks`].
pub(super) fn leaks(heap: &Heap, profile: &Profile, suppressions: &Suppressions) -> Leaks {
    let of_stack = suppressions.of_stacks(profile);
    let mut used = vec![Sum::default(); suppressions.list.len()];
    let mut leaks = Leaks::default();
    let leaking = heap.sites.iter().enumerate().filter(|(_, site)| !site.sums.at_end.is_zero());
    for (index, site) in leaking {
        match site.stack.and_then(|stack| of_stack[stack]) {
            Some(suppression) => {
                leaks.suppressed.add(&site.sums.at_end);
                used[suppression].add(&site.sums.at_end);
            }
            None => {
                leaks.total.add(&site.sums.at_end);
                leaks.sites.push(index);
            }
        }
    }
    let bytes = |&index: &usize| heap.sites[index].sums.at_end.bytes.value;
    leaks.sites.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)));
    let used = suppressions.list.iter().cloned().zip(used);
    leaks.used = used.filter(|(_, sum)| !sum.is_zero()).collect();
    leaks
}

impl Suppressions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The suppression of each of the profile's stacks, if there is one.
    fn of_stacks(&self, profile: &Profile) -> Vec<Option<usize>> {
        let of_function: Vec<Option<usize>> =
            (0..profile.functions.len()).map(|id| self.of_function(profile, id)).collect();
        let mut of_stack: Vec<Option<usize>> = Vec::with_capacity(profile.stacks.len());
        for node in &profile.stacks {
            let lines = &profile.locations[node.location].lines;
            let own = lines.iter().find_map(|line| of_function[line.function]);
            // A caller has a smaller id.
            of_stack.push(own.or_else(|| of_stack[node.parent?]));
        }
        of_stack
    }

    fn of_function(&self, profile: &Profile, id: FunctionId) -> Option<usize> {
        let function = &profile.functions[id];
        let module = function.module.map(|module| &profile.modules[module]);
        let module = module.map_or("", |m| if m.path.is_empty() { &m.name } else { &m.path });
        let texts = [function.name.as_str(), function.file.as_str(), module];
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        self.list.iter().position(|suppression| texts.clone().any(|text| suppression.matches(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("foo", "a foo b", true),
            ("foo", "fo", false),
            ("^foo", "foobar", true),
            ("^foo", "a foo", false),
            ("foo$", "a foo", true),
            ("foo$", "foo foos", false),
            ("foo$", "foos foo", true),
            ("^foo$", "foo", true),
            ("^foo$", "foo foo", false),
            ("a*c", "xabcx", true),
            ("a*c", "ca", false),
            ("^a*c$", "abcbc", true),
            ("^a*c$", "abcb", false),
            ("^a*b*c$", "ac", false),
            ("^a*a$", "a", false),
            ("*", "anything", true),
            ("^*libfoo.so*", "/usr/lib/libfoo.so.1", true),
            ("ä*ü", "xäöüx", true),
        ] {
            assert_eq!(Suppression::new(pattern).matches(text), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn files() {
        let text = "# known\n\nleak:foo\r\n  leak:^b*r$  \n";
        let patterns: Vec<String> =
            text.parse::<Suppressions>().unwrap().list.into_iter().map(|s| s.pattern).collect();
        assert_eq!(patterns, ["foo", "^b*r$"]);
        for (text, error) in [
            ("leak:a\nfoo", "line 2: expected leak:PATTERN, found \"foo\""),
            ("leak:", "line 1: expected leak:PATTERN, found \"leak:\""),
            ("race:x", "line 1: expected leak:PATTERN, found \"race:x\""),
        ] {
            assert_eq!(text.parse::<Suppressions>().unwrap_err().to_string(), error);
        }
    }
}
