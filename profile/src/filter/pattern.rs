//! Regular expressions for names of functions.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

/// A regular expression that is looked for anywhere in a name.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What is wrong with a regular expression, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// The one that is found in names that are exactly this.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn of_name(name: &str) -> Result<Self, PatternError> {
        format!("^{}$", regex::escape(name)).parse()
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in a name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let one_line = |error: regex::Error| {
            // The last line says what is wrong, those before it where.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            PatternError(last.trim_start_matches("error: ").to_owned())
        };
        Regex::new(text).map(Pattern).map_err(one_line)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Pattern>().unwrap_err().to_string(), expected);
        };
        check("(", "unclosed group");
        check("a{1000000}{1000000}", "Compiled regex exceeds size limit of 10485760 bytes.");
    }

    #[test]
    fn found_anywhere_in_a_name() {
        let pattern: Pattern = "^a|b$".parse().unwrap();
        let found = ["ax", "xb", "xax", ""].map(|name| pattern.matches(name));
        assert_eq!(found, [true, true, false, false]);
    }
}
