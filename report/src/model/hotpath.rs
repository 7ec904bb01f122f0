//! Follows the path of calls that most samples share.

use crate::model::calltree::{CallTree, NodeId, ROOT};

/// The nodes from the outermost function down, each with at least half the
/// weight of the one before; empty if no outermost function has half of all.
pub fn hot_path(tree: &CallTree) -> Vec<NodeId> {
    let mut path = Vec::new();
    let mut node = ROOT;
    while let Some(&child) = tree.nodes[node].children.first() {
        // Twice a weight need not fit into 64 bits.
        let half = tree.nodes[node].total.weight.div_ceil(2);
        if tree.nodes[child].total.weight < half {
            break;
        }
        path.push(child);
        node = child;
    }
    path
}

/// Whether a function only begins a program or a thread: it is on every stack, and nobody
/// chose it.
pub fn is_startup(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "_start",
        "__libc_start_main",
        "__libc_start_call_main",
        "__libc_start_main_impl",
        "__libc_start_main_stage2",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
        "runtime.goexit",
        "std::sys::backtrace::__rust_begin_short_backtrace",
    ];
    NAMES.contains(&name) || name.starts_with("std::rt::lang_start")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;
    use crate::model::calltree::{Roots, TreeInput};
    use crate::model::symbols::Symbols;

    fn check(stacks: &[(&str, u64)], expected: &[&str]) {
        let profile = &Builder::of(stacks);
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let input = TreeInput { profile, event: 0, functions: &functions };
        let tree = CallTree::top_down(input, Roots::Functions, &mut symbols);
        let path = hot_path(&tree);
        let names = path.iter().map(|&id| symbols[tree.nodes[id].symbol].name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_start_is_told_from_what_was_chosen() {
        assert!(is_startup("__libc_start_main") && is_startup("std::rt::lang_start::{closure#0}"));
        assert!(!is_startup("main") && !is_startup("start") && !is_startup("clone_row"));
    }

    #[test]
    fn follows_while_a_child_has_half() {
        check(&[("main;a;x", 5), ("main;a;y", 4), ("main;b", 9)], &["main", "a", "x"]);
        check(&[("main;a;x", 4), ("main;a;y", 4), ("main;b", 9)], &["main", "b"]);
        check(&[("main;a", 4), ("main;b", 4), ("main;c", 4)], &["main"]);
        check(&[("a", 4), ("b", 4), ("c", 4)], &[]);
        check(&[], &[]);
    }
}
