use rz_profile::fixture;
use rz_profile::heap::Suppressions;
use rz_profile::model::{EventKind, Source, TimedSample};

use super::*;

fn page(profile: &mut Profile, limit: u64) -> String {
    let mut out = Vec::new();
    let suppressions = &Suppressions::default();
    let options =
        PageOptions { event: None, limit, calls: None, doctor: None, suppressions, sources: None };
    write_page(&mut out, "a.rz", profile, options).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_page_is_the_same_each_time_and_has_its_policy_first() {
    let mut profile = fixture::with_heap();
    let one = page(&mut profile, u64::MAX);
    assert_eq!(one, page(&mut profile, u64::MAX));
    let policy = one.find("http-equiv=\"Content-Security-Policy\"").unwrap();
    assert!(policy < one.find("<style").unwrap() && policy < one.find("<script").unwrap());
    assert!(!one.contains("{{"));
}

/// A profile with times: 20,000 samples of one stack.
fn timed() -> Profile {
    let mut profile = fixture::with_heap();
    let is_cpu = |event: EventId| profile.events[event].kind == EventKind::Cpu;
    let sample = *profile.samples.iter().find(|sample| is_cpu(sample.event)).unwrap();
    let at = |number: u64| {
        // Not at regular times, which take no room.
        let mixed = (number * number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        TimedSample {
            time_ns: number * 1_000_000 + (mixed >> 54) * 900,
            count: 1,
            event: sample.event,
            thread: sample.thread,
            stack: sample.stack.into(),
            weight: 1 + (mixed >> 52),
            ..TimedSample::default()
        }
    };
    profile.timeline = Some((0..20_000).map(at).collect());
    profile
}

#[test]
fn only_what_has_times_is_made_coarser() {
    let mut profile = timed();
    let mut size = |limit| page(&mut profile, limit).len();
    let whole = size(u64::MAX);
    assert!(size(30_000) + 10_000 < whole, "{whole}");
    // Names and stacks alone are more than that.
    assert!(size(1).abs_diff(whole) < 1_000, "{whole}");
}

#[test]
fn recordings_at_different_times_are_on_one_axis() {
    let mut profile = timed();
    let source = |start_ns| Source { start_ns, duration_ns: 30, ..Source::default() };
    profile.timeline = None;
    profile.sources = vec![source(1_000), source(5_000)];
    (profile.info.start_ns, profile.info.duration_ns) = (1_000, 60);
    assert_eq!(span_ns(&profile, &[]), 4_030);
    // A row may end later.
    let mut profile = timed();
    (profile.info.start_ns, profile.info.duration_ns) = (0, 60);
    let stacks = Stacks::of(&mut profile);
    let series = Series::all(&mut profile, &stacks);
    profile.sources.clear();
    assert_eq!(span_ns(&profile, &series), profile.timeline.unwrap().last().unwrap().time_ns);
}
