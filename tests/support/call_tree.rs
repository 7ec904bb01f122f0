//! The call tree that a target program is known to have, to hold stacks
//! against.

use std::collections::{BTreeMap, BTreeSet};

use crate::folded::Folded;

/// Where libc starts programs and threads.
const ENTRIES: [&str; 7] = [
    "_start",
    // The dynamic loader's.
    "_dl_start_user",
    "clone3",
    "__clone3",
    "clone",
    "__clone",
    "__GI___clone3",
];

/// Who calls whom among a program's own functions.
///
/// ```text
/// main > run              run calls nobody's functions in between
/// run > hot warm          two callees
/// inner >> on_signal      others' functions may come in between
/// hot warm > work
/// ```
///
/// Functions that are nobody's callee begin a thread. Functions that are not
/// named are others': those of libc, say.
#[derive(Debug)]
pub struct CallTree {
    /// Callees of each caller, and whether others may come in between.
    callees: BTreeMap<String, BTreeMap<String, bool>>,
    own: BTreeSet<String>,
    roots: BTreeSet<String>,
}

/// How many samples [`CallTree::check`] has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Samples that reach the entry of the program or thread.
    pub complete: u64,
    /// Samples that end before.
    pub truncated: u64,
}

impl CallTree {
    /// Parses lines such as those above.
    pub fn parse(text: &str) -> Self {
        let mut tree =
            CallTree { callees: BTreeMap::new(), own: BTreeSet::new(), roots: BTreeSet::new() };
        let mut called = BTreeSet::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (callers, callees, others_between) = match line.split_once(" >> ") {
                Some((callers, callees)) => (callers, callees, true),
                None => match line.split_once(" > ") {
                    Some((callers, callees)) => (callers, callees, false),
                    None => panic!("not CALLERS > CALLEES: {line:?}"),
                },
            };
            for caller in callers.split_whitespace() {
                tree.own.insert(caller.to_owned());
                let known = tree.callees.entry(caller.to_owned()).or_default();
                for callee in callees.split_whitespace() {
                    *known.entry(callee.to_owned()).or_default() |= others_between;
                    tree.own.insert(callee.to_owned());
                    if callee != caller {
                        called.insert(callee.to_owned());
                    }
                }
            }
        }
        tree.roots = tree.own.difference(&called).cloned().collect();
        tree
    }

    /// Panics if a stack is not one that the program can have had; a stack that
    /// says itself that its root is missing may begin anywhere in the tree.
    ///
    /// `name` shortens names, for instance by their arguments.
    #[track_caller]
    pub fn check(&self, folded: &Folded, name: impl Fn(&str) -> String) -> Checked {
        let mut checked = Checked::default();
        for (stack, count) in &folded.stacks {
            let complain = |why: &str| -> ! { panic!("{why} in {count} samples:\n{stack}") };
            let frames: Vec<&str> = stack.split(';').skip(1).collect();
            let is_kernel = |frame: &&str| frame.ends_with("_[k]");
            let user = frames.iter().position(is_kernel).unwrap_or(frames.len());
            if !frames[user..].iter().all(is_kernel) {
                complain("the kernel calls the program");
            }
            let frames = &frames[..user];
            let is_whole = match frames.first() {
                None => false,
                Some(first) => ENTRIES.contains(first),
            };
            let is_marked = frames.first().is_none_or(|first| *first == "[truncated]");
            if !is_whole && !is_marked {
                complain("an unknown entry");
            }
            if frames.iter().skip(1).any(|frame| *frame == "[truncated]") {
                complain("a piece is missing");
            }
            *(if is_whole { &mut checked.complete } else { &mut checked.truncated }) += count;
            let named = frames.iter().map(|frame| name(frame.trim_end_matches("_[i]")));
            let mut own = named.enumerate().filter(|(_, name)| self.own.contains(name));
            let Some((mut at, mut caller)) = own.next() else { continue };
            if is_whole && !self.roots.contains(&caller) {
                complain(&format!("a thread begins with {caller}"));
            }
            for (next_at, callee) in own {
                match self.callees.get(&caller).and_then(|callees| callees.get(&callee)) {
                    None => complain(&format!("{caller} calls {callee}")),
                    Some(false) if next_at != at + 1 => {
                        complain(&format!("others between {caller} and {callee}"))
                    }
                    Some(_) => {}
                }
                (at, caller) = (next_at, callee);
            }
        }
        checked
    }
}

impl Checked {
    /// Panics unless there are enough samples, and 99 of 100 are complete.
    #[track_caller]
    pub fn assert_complete(self) {
        let Checked { complete, truncated } = self;
        assert!(complete >= 40, "only {complete} samples, and {truncated} truncated");
        assert!(truncated * 99 <= complete, "{truncated} truncated, {complete} complete");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stack: &str) -> Checked {
        let tree = CallTree::parse("main > run\nrun > run hot\nrun >> handler\n");
        tree.check(&Folded::parse(stack), str::to_owned)
    }

    #[test]
    fn possible_stacks() {
        let whole = Checked { complete: 2, truncated: 0 };
        let cut = Checked { complete: 0, truncated: 2 };
        assert_eq!(check("p;_start;libc;main;run;run;hot;x_[k] 2\n"), whole);
        assert_eq!(check("p;_start;libc;main;run;raise;handler 2\n"), whole);
        assert_eq!(check("p;_start;exit 2\n"), whole);
        assert_eq!(check("p;[truncated];hot 2\n"), cut);
        assert_eq!(check("p;[truncated];run;hot 2\n"), cut);
        assert_eq!(check("p;x_[k] 2\n"), cut);
    }

    #[test]
    #[should_panic(expected = "main calls hot")]
    fn a_caller_is_skipped() {
        check("p;_start;main;hot 1\n");
    }

    #[test]
    #[should_panic(expected = "others between main and run")]
    fn something_in_between() {
        check("p;_start;main;x;run 1\n");
    }

    #[test]
    #[should_panic(expected = "begins with run")]
    fn no_root() {
        check("p;_start;run;hot 1\n");
    }

    #[test]
    #[should_panic(expected = "an unknown entry")]
    fn ends_early_and_unmarked() {
        check("p;main;run;hot 1\n");
    }

    #[test]
    #[should_panic(expected = "a piece is missing")]
    fn truncated_in_the_middle() {
        check("p;_start;main;[truncated];hot 1\n");
    }
}
