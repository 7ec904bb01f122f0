//! What perf records.

use super::perf_file::{PerfFile, story};
use super::{by_thread, imported, loaded, refused};
use rz_profile::fixture::trace::in_words;
use rz_profile::model::{Tier, Unit};

/// The story of [`story`].
const STORY: &str = "\
app-10/10;[app+0x20];[app+0x10] 1
app-20/20;[app+0x60] 1
app-20/20;[lib.so+0x40] 1
worker-10/11;[unknown];[app+0x30];[kernel+0xffffffff81000010]_[k] 1
";

#[test]
fn files_and_pipes_of_both_byte_orders() {
    for is_big_endian in [false, true] {
        for input in [story(is_big_endian).file(), story(is_big_endian).pipe()] {
            let profile = loaded(&input);
            assert_eq!(by_thread(&profile), STORY, "big endian: {is_big_endian}");
            assert_eq!(
                (&profile.info.host[..], &profile.info.tiers[..]),
                ("build-7", &[Tier::PerfData][..])
            );
            assert_eq!(profile.info.os, "Linux 6.1.0 x86_64");
            assert_eq!((profile.info.start_ns, profile.info.duration_ns), (200, 520));
            let lost = in_words(&profile.info.lost_samples);
            assert_eq!(lost, [("kernel buffer full".to_owned(), 5)]);
            assert!(!profile.info.cut_short);
            let events: Vec<_> =
                profile.events.iter().map(|e| (&e.name[..], e.unit, e.frequency_hz)).collect();
            let clock = ("cpu-clock", Unit::Nanoseconds, 99);
            assert_eq!(events, [clock, ("page-faults", Unit::Count, 99)]);
            assert_eq!((profile.total_weight(0), profile.total_weight(1)), (4000, 1000));
            assert_eq!(profile.processes[0].exe, "/no/such/app");
        }
    }
}

#[test]
fn build_ids_are_found_behind_the_records() {
    let path = "/no/such/app";
    let files =
        [story(false).feature_build_id(path).file(), story(false).piped_build_id(path).pipe()];
    for input in files {
        let profile = loaded(&input);
        let app = profile.modules.iter().find(|module| module.name == "app").unwrap();
        assert_eq!(app.build_id, [0xab; 20]);
    }
}

#[test]
fn a_recording_that_was_cut_short() {
    let whole = story(false).file();
    let samples = |length: usize| {
        let (imported, _) = imported(&whole[..length]).unwrap();
        let notes = imported.notes.iter().filter(|note| note.contains("ends early")).count();
        (imported.samples, notes)
    };
    let cut = whole.len() * 2 / 3;
    assert_eq!(samples(whole.len()), (5, 0));
    assert_eq!(samples(cut), (3, 1));
    assert!(loaded(&whole[..cut]).info.cut_short);
    // What perf leaves behind when it is killed says that there is nothing.
    let mut unfinished = whole.clone();
    unfinished[48..56].fill(0);
    assert_eq!(by_thread(&loaded(&unfinished)), STORY);
}

#[test]
fn another_architecture_is_told() {
    let file =
        PerfFile::new(true).feature_text(6, "s390x").sample(0, (10, 10, 5), &[0x1010]).file();
    let (imported, _) = imported(&file).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("s390x")), "{imported:?}");
    assert_eq!(by_thread(&loaded(&file)), ":10-10/10;[unknown] 1\n");
}

#[test]
fn what_is_refused() {
    let whole = story(false).file();
    let altered = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    for (input, expected) in [
        (whole[..8].to_vec(), "header"),
        (whole[..60].to_vec(), "header"),
        // The header's size, the size of an attribute, where attributes are.
        (altered(8, 99), "header"),
        (altered(16, 0), "header"),
        (altered(31, 0xff), "header"),
        (altered(33, 0), "no event"),
        (whole[..150].to_vec(), "header"),
    ] {
        let text = refused(&input);
        assert!(text.contains("damaged perf.data") && text.contains(expected), "{text}");
    }
}

/// What a CPU's clock counts while nothing runs is no CPU time.
#[test]
fn idle_time_is_an_event_of_its_own() {
    let profile = loaded(&story(false).sample(0, (0, 0, 810), &[]).file());
    let idle = profile.events.iter().position(|event| event.name == "idle").unwrap();
    assert_eq!((profile.total_weight(0), profile.total_weight(idle)), (4000, 1000));
    assert!(profile.processes.iter().any(|process| process.name == "swapper"));
}
