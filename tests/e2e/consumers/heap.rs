//! Allocations, as heap profiles of the programs that show them.

use rz_convert::export::{ExportOptions, Format};
use rz_profile::heap::{AllocationKind, Estimate, Heap, Metric, Site, Sum, Sums, show};
use rz_profile::model::{ALLOC, Event, EventId, EventKind, Profile};

use super::fixture::{self, DOT, MAP, MUL};
use super::{exported_profile, pprof, speedscope_page, top_rows};

/// The fixture's profile with allocations at two places: 300 bytes in 3
/// objects inside [`DOT`], of which 100 are never freed, and 40 objects of
/// 100 bytes in [`MAP`], which are.
fn profile() -> (Profile, EventId) {
    let mut profile = fixture::profile();
    let stack_of = |index: usize| profile.samples[index].stack;
    let exact = |value| Estimate { value, variance: 0.0 };
    let sum = |objects: f64, bytes: f64| Sum {
        recorded: objects as u64,
        objects: exact(objects),
        bytes: exact(bytes),
    };
    let site = |thread, stack, allocated, at_end| Site {
        thread,
        stack,
        entry: AllocationKind::Malloc,
        sums: Sums { allocated, at_end, ..Sums::default() },
    };
    let sites = vec![
        site(0, stack_of(0), sum(3.0, 300.0), sum(1.0, 100.0)),
        site(1, stack_of(4), sum(40.0, 4000.0), Sum::default()),
    ];
    profile.heap = Some(Heap { interval: 524_288, sites, ..Heap::default() });
    profile.events.push(Event { kind: EventKind::Alloc, name: ALLOC.into(), ..Event::default() });
    let event = show(&mut profile, Metric::Bytes).unwrap();
    (profile, event)
}

#[test]
fn go_pprof_shows_a_heap_profile() {
    let (profile, event) = profile();
    let options = ExportOptions { event: Some(event), ..ExportOptions::default() };
    let trace = exported_profile(&profile, Format::Pprof, &options);
    let check = |args: &[&str], header: &str, expected: &[String]| {
        let top = pprof(&trace, args);
        assert!(top.contains(header), "no {header:?} in:\n{top}");
        assert_eq!(top_rows(&top), expected, "{args:?}:\n{top}");
    };
    let dot = |own: &str| {
        let rows = [format!("{own} {own} {DOT} (inline)"), format!("0 {own} {MUL}")];
        [&rows[..], &[format!("0 {own} main")]].concat()
    };
    // What is there, unless something else is asked for.
    let live = [dot("100"), vec![]].concat();
    check(&["-top"], "Type: inuse_space", &live);
    check(&["-top", "-sample_index=inuse_objects"], "Type: inuse_objects", &dot("1"));
    for (index, map, dot_) in [("alloc_space", "4000", "300"), ("alloc_objects", "40", "3")] {
        let top = pprof(&trace, &["-top", &format!("-sample_index={index}"), "-unit=B"]);
        let rows = top_rows(&top);
        assert_eq!(rows[0], format!("{map} {map} {MAP}"), "{top}");
        assert!(rows.contains(&format!("{dot_} {dot_} {DOT} (inline)")), "{top}");
    }
    let raw = pprof(&trace, &["-raw"]);
    for expected in [
        "PeriodType: space bytes",
        "Period: 524288\n",
        "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes[dflt]\n",
        " 3        300          1        100: ",
    ] {
        assert!(raw.contains(expected), "no {expected:?} in:\n{raw}");
    }
}

#[test]
fn speedscope_shows_bytes() {
    let (profile, event) = profile();
    let options = ExportOptions { event: Some(event), ..ExportOptions::default() };
    let page = speedscope_page(&exported_profile(&profile, Format::Speedscope, &options));
    for expected in ["all threads, alloc", "4.20 KB", "300 B (7.0%)"] {
        assert!(page.contains(expected), "no {expected:?} in {page}");
    }
}
