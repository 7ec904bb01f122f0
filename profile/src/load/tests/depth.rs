//! Stacks that are too deep are cut in the middle, and say so.

use rz_format::{Name, TextDefs};

use crate::fixture::trace::{Trace, code, load_bytes};
use crate::model::Profile;

const LEFT_OUT: &str = "[frames left out]";

/// Functions of a stack, the outermost first.
fn functions(profile: &Profile, sample: usize) -> Vec<&str> {
    let locations = profile.locations_of(profile.samples[sample].stack);
    let lines = locations.flat_map(|location| &location.lines);
    let mut names: Vec<&str> =
        lines.map(|line| profile.functions[line.function].name.as_str()).collect();
    names.reverse();
    names
}

/// A profile of one stack of so many functions.
fn deep(depth: u64) -> Profile {
    let mut trace = Trace::new();
    let frames: Vec<_> = (0..depth).map(|offset| code(0, offset)).collect();
    let stack = trace.stack(&frames);
    trace.define_stacks();
    trace.samples(&[stack]);
    load_bytes(&trace.finish())
}

fn says_so(profile: &Profile) -> bool {
    profile.info.notes.iter().any(|note| note.contains(LEFT_OUT))
}

#[test]
fn the_ends_of_a_deep_stack_are_kept() {
    let profile = deep(4096);
    assert_eq!(functions(&profile, 0).len(), 4096);
    assert!(!says_so(&profile));

    let profile = deep(10_000);
    let shown = functions(&profile, 0);
    assert!((3_000..=4096).contains(&shown.len()), "{}", shown.len());
    assert_eq!((shown[0], *shown.last().unwrap()), ("[app+0x0]", "[app+0x270f]"));
    assert_eq!(shown.iter().filter(|name| **name == LEFT_OUT).count(), 1);
    assert!(says_so(&profile));
    assert_eq!(profile.stacks.len(), shown.len());
}

#[test]
fn stacks_in_each_other_are_cut_to_what_fits() {
    const DEPTH: u64 = 5_000;
    let mut trace = Trace::new();
    let frames: Vec<_> = (0..DEPTH).map(|offset| code(0, offset)).collect();
    let stacks: Vec<_> = (1..=frames.len()).map(|depth| trace.stack(&frames[..depth])).collect();
    trace.define_stacks();
    trace.samples(&stacks);
    let profile = load_bytes(&trace.finish());
    let all: usize = (0..profile.samples.len()).map(|at| functions(&profile, at).len()).sum();
    assert!(all < 5 << 20, "{all}");
    assert!(says_so(&profile));
    assert_eq!(profile.samples.iter().map(|sample| sample.count).sum::<u64>(), DEPTH);
}

#[test]
fn the_ends_of_a_long_chain_of_inlined_functions_are_kept() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(0, 7), code(0, 16)]);
    trace.define_stacks();
    let texts = (0..2_000).map(|id| format!("f{id}").into_bytes()).collect();
    trace.writer.write_texts(0, &TextDefs { first: 0, texts }).unwrap();
    let name = |id| Name { offset: 16, name: Some(id), inlined: id < 1_999, ..Name::default() };
    trace.writer.write_names(0, &(0..2_000).map(name).collect::<Vec<_>>()).unwrap();
    trace.samples(&[stack]);
    let profile = load_bytes(&trace.finish());
    let shown = functions(&profile, 0);
    assert_eq!((shown.len(), shown[1], shown[512]), (513, "f1999", "f0"));
    assert_eq!(shown.iter().filter(|name| **name == LEFT_OUT).count(), 1);
    assert!(says_so(&profile));
}
