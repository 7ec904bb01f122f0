//! Patterns of names with `*` and `?`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A pattern that matches whole names: `*` stands for any characters, `?` for
/// one, and all else, brackets as in `[kernel]` included, for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of a name matches.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        // Where to go on if the last star has to stand for one more.
        let mut retry = None;
        loop {
            let from = rest.clone();
            match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    retry = Some((pattern.clone(), from.clone()));
                    rest = from;
                }
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
                _ => {
                    let Some((behind_star, taken)) = &mut retry else { return false };
                    if taken.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (behind_star.clone(), taken.clone());
                }
            }
        }
    }
}

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(pattern: &str) -> Result<Self, Infallible> {
        Ok(Glob(pattern.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let check = |pattern: &str, names: &[&str], others: &[&str]| {
            let Ok(glob) = pattern.parse::<Glob>();
            names.iter().for_each(|name| assert!(glob.matches(name), "{pattern} {name}"));
            others.iter().for_each(|name| assert!(!glob.matches(name), "{pattern} {name}"));
        };
        check("", &[""], &["a"]);
        check("a", &["a"], &["", "b", "aa"]);
        check("*", &["", "a", "ä b"], &[]);
        check("worker*", &["worker", "worker-1"], &["a worker", "work"]);
        check("*b*", &["b", "abc", "bb"], &["ac"]);
        check("a*b*c", &["abc", "axxbxbxc"], &["axxbx", "ac"]);
        check("*ab", &["aab", "abab"], &["aba"]);
        check("?x", &["äx"], &["x", "aax"]);
        check("[kernel]", &["[kernel]"], &["k"]);
    }

    #[test]
    fn many_stars_take_no_time() {
        let Ok(glob) = "*a".repeat(50).parse::<Glob>();
        assert!(!glob.matches(&("a".repeat(20_000) + "b")));
    }
}
