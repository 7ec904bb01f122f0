//! Names that are like one that there is not: what was meant may be among them.

/// How alike names have to be, of 1, and how many are offered.
const LIKENESS: f64 = 0.8;
const MOST: usize = 3;
/// Longer ones take long to compare, and fill the line.
const LONGEST: usize = 64;

/// The names of those that it was shown that are most like one.
#[derive(Debug)]
pub struct Alike<'w> {
    wanted: &'w str,
    /// The most alike first.
    best: Vec<(f64, String)>,
}

impl<'w> Alike<'w> {
    /// Nothing was shown yet that could be like `wanted`.
    pub fn to(wanted: &'w str) -> Self {
        Alike { wanted, best: Vec::new() }
    }

    /// Shows it a name.
    pub fn add(&mut self, name: &str) {
        if name.len() > LONGEST || self.best.iter().any(|(_, known)| known == name) {
            return;
        }
        let likeness = strsim::jaro_winkler(name, self.wanted);
        let at = self.best.partition_point(|(other, _)| *other >= likeness);
        if likeness >= LIKENESS && at < MOST {
            self.best.insert(at, (likeness, name.to_owned()));
            self.best.truncate(MOST);
        }
    }

    /// The names in a list; nothing if there is none.
    pub fn list(&self) -> Option<String> {
        let names: Vec<&str> = self.best.iter().map(|(_, name)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_come_first() {
        let list = |wanted: &str, names: &[&str]| {
            let mut alike = Alike::to(wanted);
            names.iter().for_each(|name| alike.add(name));
            alike.list()
        };
        assert_eq!(
            list("fsnc", &["read", "fsync", "sync", "fsync"]).as_deref(),
            Some("fsync, sync")
        );
        assert_eq!(list("fsync", &["read", "x"]), None);
        let four = list("abcd", &["abcx", "abcde", "abcd1", "abcdef", "abcd"]).unwrap();
        assert_eq!(four.split(", ").count(), MOST);
        assert!(four.starts_with("abcd, "), "{four}");
        assert_eq!(list("a", &[&"a".repeat(LONGEST + 1)]), None);
    }
}
