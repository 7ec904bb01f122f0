//! Older forms of profiles that pprof reads.

use super::{imported, loaded, refused, text};
use crate::export::ExportOptions;

/// The events, each with its sum, and the stacks of the first.
#[track_caller]
fn check(input: &[u8], events: &[(&str, u64)], stacks: &str) {
    let profile = loaded(input);
    let found: Vec<(&str, u64)> = (0..profile.events.len())
        .map(|id| (&profile.events[id].name[..], profile.total_weight(id)))
        .collect();
    assert_eq!(found, events);
    let options = ExportOptions { event: Some(0), ..ExportOptions::default() };
    assert_eq!(text(&profile, &options), stacks);
}

/// A CPU profile of gperftools with a stack of 4 samples, and one of 2 without a caller.
pub(super) fn words(is_wide: bool, is_big: bool, is_java: bool) -> Vec<u8> {
    let header = [0, 3, u64::from(is_java), 10_000, 0];
    let stacks = [4, 2, 0x40_1010, 0x40_2020, 2, 1, 0x40_1010, 0, 1, 0];
    let bytes = |word: u64| match (is_wide, is_big) {
        (true, true) => word.to_be_bytes().to_vec(),
        (true, false) => word.to_le_bytes().to_vec(),
        (false, true) => (word as u32).to_be_bytes().to_vec(),
        (false, false) => (word as u32).to_le_bytes().to_vec(),
    };
    header.into_iter().chain(stacks).flat_map(bytes).collect()
}

#[test]
fn cpu_profiles_of_gperftools() {
    let maps = "build=/no/such\n00400000-00500000 r-xp 00000000 08:01 12345 $build/app\n\
                00500000-00600000 rw-p 00000000 08:01 12345 /no/such/data\n";
    for (is_wide, is_big) in [(false, false), (false, true), (true, false), (true, true)] {
        let input = [&words(is_wide, is_big, false), maps.as_bytes()].concat();
        // The caller is where the call is.
        let stacks = "app;[app+0x1010] 2\napp;[app+0x201f];[app+0x1010] 4\n";
        check(&input, &[("cpu", 60_000_000)], stacks);
        let profile = loaded(&input);
        assert_eq!(profile.events[0].frequency_hz, 100);
        assert!(profile.modules.iter().any(|module| module.path == "/no/such/app"));
        let whole = words(is_wide, is_big, false);
        let word = if is_wide { 8 } else { 4 };
        for cut in whole.len() - 9 * word..whole.len() {
            if let Err(error) = imported(&whole[..cut]) {
                let said = error.to_string();
                assert_eq!(said, "damaged profile: it ends in the middle of a stack");
            }
        }
    }
}

/// What nearly all leaves are called by took the samples, and called nothing.
#[test]
fn handlers_are_no_callers() {
    let stack = |leaf: u32| [1, 3, leaf, 0x99, 0x51].map(u32::to_le_bytes).concat();
    let header = [0, 3, 0, 1000, 0].map(u32::to_le_bytes).concat();
    let stacks: Vec<u8> = (0x10..0x20).flat_map(stack).collect();
    let end = [0, 1, 0].map(u32::to_le_bytes).concat();
    let profile = loaded(&[header, stacks, end].concat());
    // Of what is left, the same is true once more.
    assert!(profile.locations.iter().all(|location| ![0x98, 0x50].contains(&location.address)));
    assert_eq!(profile.info.samples, 16);
}

#[test]
fn places_of_java() {
    let places =
        "  0x0401010 com.example.leaf (Leaf.java:12)\n 0x402020 com.example.main (lib/libjvm.so)\n";
    let input = [&words(true, false, true), places.as_bytes()].concat();
    let stacks = "[unknown];com.example.leaf 2\n[unknown];com.example.main;com.example.leaf 4\n";
    check(&input, &[("cpu", 60_000_000)], stacks);
    let contention = "--- contentionz 1 ---\nformat = java\nresolution = microseconds\n\
                      sampling period = 100\nms since reset = 60\n 14 2 @ 0x1 0x2\n\n 0x1 a (A.java:3)\n 0x2 GC\n";
    check(
        contention.as_bytes(),
        &[("delay", 1_400_000), ("contentions", 200)],
        "[unknown];GC;a 1400\n",
    );
    let heap = "--- heapz 1 ---\nformat = java\nresolution = bytes\n 1048576 2 @ 0x1\n 0x1 a@b (A.java:3)\n";
    // Of 524,288 bytes each: 1 - 1/e of them are seen.
    check(
        heap.as_bytes(),
        &[("inuse_space", 1_658_822), ("inuse_objects", 3)],
        "[unknown];a@b 1658822\n",
    );
    assert!(
        refused(heap.replace("1048576 2", "1048576 0").as_bytes()).contains("line 4: no object")
    );
}

#[test]
fn heaps() {
    // As Go writes it: twice the rate, and the names for people.
    let go = "heap profile: 3: 300 [5: 500] @ heap/2\n2: 200 [4: 400] @ 0x11 0x21\n\
              #\t0x10\tmain.leaf+0x3\t/a/main.go:7\n#\t0x20\tmain.main+0x10\t/a/main.go:12\n\n\
              1: 100 [1: 100] @ 0x21\n\n# runtime.MemStats\n# Alloc = 1\n";
    let events =
        [("inuse_space", 300), ("alloc_objects", 5), ("alloc_space", 500), ("inuse_objects", 3)];
    let stacks = "[unknown];main.main 100\n[unknown];main.main;main.leaf 200\n";
    check(go.as_bytes(), &events, stacks);
    let cpp = "heap profile:      2:   2097152 [     2:   2097152] @ heapz_v2/524288\n\
               \x20    2:  2097152 [     2:  2097152] @ 0x401011\nMAPPED_LIBRARIES:\n\
               00400000-00500000: /no/such/app\n";
    // Of 1 MiB each: 1 - 1/e² are seen.
    check(cpp.as_bytes(), &[("space", 2_425_393), ("objects", 2)], "app;[app+0x1010] 2425393\n");
    let growth = cpp.replace("heapz_v2/524288", "growthz");
    check(growth.as_bytes(), &[("space", 2_097_152), ("objects", 2)], "app;[app+0x1010] 2097152\n");
    for (damaged, why) in [
        (cpp.replace("2:  2097152 [ ", "0:  2097152 [ "), "line 2: 2097152 bytes in no object"),
        (cpp.replace("0x401011", "0x11112222333344445"), "line 2: an address of more than"),
        (cpp.replace("     2:  2097152", "what"), "line 2: it is no stack"),
        (cpp.replace("heapz_v2", "heapz_v9"), "line 1: \"heapz_v9\" is no kind"),
    ] {
        let said = refused(damaged.as_bytes());
        assert!(said.starts_with("damaged profile: ") && said.contains(why), "{said}");
    }
}

#[test]
fn waits_for_locks() {
    let go = "--- mutex:\ncycles/second=2000000000\nsampling period=5\n1000 2 @ 0x11\n\
              #\t0x10\tsync.(*Mutex).Unlock+0x3\t/sync/mutex.go:65\n";
    let events = [("delay", 2500), ("contentions", 10)];
    check(go.as_bytes(), &events, "[unknown];sync.(*Mutex).Unlock 3\n");
    let block = go.replace("mutex", "contention").replace("sampling period=5\n", "");
    check(
        block.as_bytes(),
        &[("delay", 500), ("contentions", 2)],
        "[unknown];sync.(*Mutex).Unlock 1\n",
    );
    assert!(
        refused(go.replace("sampling", "other").as_bytes())
            .contains("\"other period\" is not known")
    );
}

#[test]
fn stacks_that_are_counted() {
    let go = "goroutine profile: total 6\n5 @ 0x11 0x21\n# labels: {\"a\":\"b\"}\n#\t0x10\tmain.wait+0x3\t/a.go:7\n\n1 @ 0x21\n";
    let profile = loaded(go.as_bytes());
    assert_eq!((&profile.events[0].name[..], profile.total_weight(0)), ("goroutine", 6));
    assert!(refused(go.replace("5 @", "5 of").as_bytes()).contains("line 2: it is no stack"));
    let threads = "--- threadz 1 ---\n\n--- Thread 7f79 (name: main/14748) stack: ---\n  PC:  0x00000010: leaf(arg *)\n\
                   \x20 0x00000021: main\n--- Thread 7f7a (name: other/14749) stack: ---\n  [same as previous thread]\n\
                   --- Memory map: ---\n  00000000-00100000: app\n";
    check(threads.as_bytes(), &[("thread", 2)], "app;main;leaf(arg *) 2\n");
}
