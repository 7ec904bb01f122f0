//! Planted changes, each of which is named first.

use rz_profile::model::Profile;

use super::text::words;
use super::{Follows, PlaceChange};
use crate::diff::{Diff, DiffOptions, Run, compare};
use crate::fixture::Builder;

/// Compares recordings that have these stacks so often, and shows the places.
fn places<T>(
    before: &[(&str, u64)],
    after: &[(&str, u64)],
    show: impl Fn(&Diff<'_>, &PlaceChange) -> T,
) -> Vec<T> {
    let [before, after] = [before, after].map(Builder::of);
    of_profiles(&before, &after, show)
}

fn of_profiles<T>(
    before: &Profile,
    after: &Profile,
    show: impl Fn(&Diff<'_>, &PlaceChange) -> T,
) -> Vec<T> {
    let run = |profile, name| Run { profile, name, event: Some(0) };
    let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
    let diff = compare(sides, &DiffOptions::default()).unwrap();
    diff.explanation.places.iter().map(|place| show(&diff, place)).collect()
}

fn named(before: &[(&str, u64)], after: &[(&str, u64)]) -> Vec<String> {
    places(before, after, words)
}

#[test]
fn nothing() {
    let same = [("main;a;leaf", 100), ("main;b;leaf", 210), ("main", 7)];
    assert!(named(&same, &same).is_empty());
    let noise = [("main;a;leaf", 104), ("main;b;leaf", 203), ("main", 9)];
    assert!(named(&same, &noise).is_empty());
}

/// A function does more of what all functions do.
#[test]
fn more_work_in_a_leaf_that_all_share() {
    let before = [
        ("main;left;alpha;unit", 400),
        ("main;left;beta;unit", 200),
        ("main;right;gamma;unit", 100),
    ];
    let mut after = before;
    after[1].1 = 400;
    assert_eq!(named(&before, &after), ["beta, called by left; all of it in unit"]);
}

/// The same where there is no time left for it.
#[test]
fn what_follows_is_told_as_such() {
    let before = [
        ("main;left;alpha;unit", 400),
        ("main;left;beta;unit", 210),
        ("main;right;gamma;unit", 390),
    ];
    let after = [
        ("main;left;alpha;unit", 340),
        ("main;left;beta;unit", 330),
        ("main;right;gamma;unit", 330),
    ];
    let places = places(&before, &after, |diff, place| (words(diff, place), place.follows));
    assert_eq!(places[0].0, "beta, called by left; all of it in unit");
    assert_eq!(places[0].1, None);
    assert!(places.len() > 1, "{places:?}");
    assert!(places[1..].iter().all(|(_, follows)| *follows == Some(Follows::Certainly)));
}

#[test]
fn a_function_that_is_slower_wherever_it_is_called() {
    let callers: Vec<String> = (0..10).map(|n| format!("main;f{n};copy")).collect();
    let mut stacks: Vec<(&str, u64)> = callers.iter().map(|stack| (stack.as_str(), 30)).collect();
    stacks.push(("main;other", 500));
    let mut after = stacks.clone();
    after[..10].iter_mut().for_each(|(_, count)| *count = 60);
    let named = named(&stacks, &after);
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("copy"), "{named:?}");
    assert!(named[0].contains("called by 10 functions"), "{named:?}");
}

#[test]
fn one_call_path_of_a_hot_function() {
    let before = [("main;a;b;hot", 150), ("main;c;hot", 500), ("main;a;rest", 150)];
    let after = [("main;a;b;hot", 300), ("main;c;hot", 500), ("main;a;rest", 150)];
    assert_eq!(named(&before, &after), ["b, called by a; all of it in hot"]);
}

#[test]
fn a_function_itself() {
    let before = [("main;f;g", 300), ("main;f", 100), ("main;h", 400)];
    let after = [("main;f;g", 300), ("main;f", 250), ("main;h", 400)];
    let named = named(&before, &after);
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("f, called by main"), "{named:?}");
}

#[test]
fn recursion() {
    let before = [
        ("main;walk;visit", 50),
        ("main;walk;walk;visit", 50),
        ("main;walk;walk;walk;visit", 50),
        ("main;other", 500),
    ];
    let mut after = before;
    after[..3].iter_mut().for_each(|(_, count)| *count *= 2);
    let named = named(&before, &after);
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0], "visit, called by walk");
}

#[test]
fn everything_alike() {
    let before = [("main;a", 200), ("main;b", 200), ("main2;c", 200)];
    let after = [("main;a", 400), ("main;b", 400), ("main2;c", 400)];
    assert_eq!(named(&before, &after), ["everything, alike"]);
}

/// What is called from elsewhere now, and costs what it did, is no change of anything; if
/// it costs more, it may be another thing.
#[test]
fn work_that_moved() {
    let before = [("main;a;hash;mix", 200), ("main;a;own", 100), ("main;b;own", 100)];
    let after = [("main;b;hash;mix", 200), ("main;a;own", 100), ("main;b;own", 100)];
    assert!(named(&before, &after).is_empty());
    let more = [("main;b;hash;mix", 300), ("main;a;own", 100), ("main;b;own", 100)];
    let both = ["b, called by main; all of it in mix", "a, called by main; all of it in mix"];
    assert_eq!(named(&before, &more), both);
}

#[test]
fn a_new_function() {
    let before = [("main;f", 300), ("main;g", 300)];
    let after = [("main;f", 300), ("main;f;check", 90), ("main;g", 300)];
    assert_eq!(named(&before, &after), ["check, called by f"]);
}

/// Two changes that cancel out are two changes.
#[test]
fn more_here_and_less_there() {
    let before = [("main;f;a", 300), ("main;f;b", 300), ("main;g", 100)];
    let after = [("main;f;a", 200), ("main;f;b", 400), ("main;g", 100)];
    let mut named = named(&before, &after);
    named.sort();
    assert_eq!(named, ["a, called by f", "b, called by f"]);
}
