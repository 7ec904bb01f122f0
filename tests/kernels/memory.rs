//! Allocations.

use std::collections::BTreeMap;

use rz_format::{Allocation, AllocationKind, Frame, Loss, LossClass, LossReason, Record};
use rz_tests::Contents;

use crate::calls::number;
use crate::machine::Recorded;

/// How often `allocs` allocates in each way.
const ROUNDS: u64 = 20;

pub fn by_plan(recorded: &Recorded) {
    assert_functions(&recorded.whole_contents(), 1);
}

pub fn of_a_child(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    assert_functions(&contents, 0);
    let target = contents.threads().find(|thread| Some(thread.tid) == recorded.pid);
    let target = target.expect("the target is known").id;
    let own = contents.allocations.iter().filter(|row| row.thread == target).count();
    assert_eq!(own, 0, "the parent does not allocate");
}

pub fn with_everything_else(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    assert_functions(&contents, 1);
    let write = contents.counted_calls().get(&number("write")).copied();
    assert_eq!(write.map(|counted| counted.count), Some(1), "it says that it is done");
    assert!(!contents.waits.is_empty(), "it has waited");
}

pub fn too_many(recorded: &Recorded) {
    let contents = recorded.contents();
    let mut notes = contents.records.iter().filter_map(|record| match record {
        Record::Note(note) => Some(note.text.as_str()),
        _ => None,
    });
    assert!(notes.any(|note| note.contains("--alloc-limit")), "no note of the limit");
    assert!(recorded.stderr.contains("page faults"), "it is not said");
    let losses: Vec<(LossClass, LossReason)> =
        contents.losses().iter().map(|loss| (loss.class.into(), loss.reason.into())).collect();
    assert_eq!(losses, [(LossClass::Allocations, LossReason::TooDear)]);
    // It touches a mebibyte of new memory again and again.
    let folded = recorded.folded(&["--event", "page-faults"]);
    assert!(folded.share(";hot") > 0.9, "{}", folded.head(5));
}

pub fn of_a_program(recorded: &Recorded) {
    // Processes are described by the tier, allocations by the program itself. Emulated, the
    // tier's timers may come too late.
    let losses = recorded.contents().losses().into_iter().cloned().collect::<Vec<_>>();
    let of_allocations = |loss: &&Loss| LossClass::from(loss.class) == LossClass::Allocations;
    assert_eq!(losses.iter().find(of_allocations), None);
    let profile = recorded.profile();
    let heap = profile.heap.as_ref().expect("allocations were recorded");
    let mut found: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for site in &heap.sites {
        let mut names = profile.locations_of(site.stack).flat_map(|location| &location.lines);
        let innermost = names.next().expect("a stack has a frame").function;
        let sum = found.entry(&profile.functions[innermost].name).or_default();
        let allocated = &site.sums.allocated;
        *sum = (sum.0 + allocated.objects.value, sum.1 + allocated.bytes.value);
    }
    let expected = BTreeMap::from([
        ("leak", (100.0, 100_000.0)),
        ("temporary", (5_000.0, 320_000.0)),
        ("build", (2_000.0, 8_192_000.0)),
        ("grow", (10.0, 55_000.0)),
        // A request for 0 bytes is an allocation.
        ("variety", (5.0, 1_368.0)),
        ("deep", (1_000.0, 132_000.0)),
    ]);
    assert_eq!(found, expected, "objects and bytes by function");
}

/// What `allocs functions` does, and objects from before that it frees.
#[track_caller]
fn assert_functions(contents: &Contents, older: u64) {
    let total = contents.heap_total();
    let found = (total.allocations, total.bytes, total.frees, total.failed);
    let expected = (9 * ROUNDS, 3_190 * ROUNDS, 9 * ROUNDS + older, ROUNDS);
    assert_eq!(found, expected, "allocations, bytes, frees, failed");

    let mut by_kind: BTreeMap<AllocationKind, u64> = BTreeMap::new();
    contents.allocations.iter().for_each(|row| *by_kind.entry(row.kind).or_default() += 1);
    let expected = BTreeMap::from([
        (AllocationKind::Free, 7 * ROUNDS + older),
        (AllocationKind::ReallocFree, 2 * ROUNDS),
        (AllocationKind::Malloc, ROUNDS),
        (AllocationKind::Calloc, ROUNDS),
        (AllocationKind::Realloc, 3 * ROUNDS),
        (AllocationKind::Aligned, 4 * ROUNDS),
    ]);
    assert_eq!(by_kind, expected);
    assert_addresses(&contents.allocations, older);

    for row in contents.allocations.iter().filter(|row| !row.kind.is_free()) {
        let frames = contents.frames_of(row.stack.expect("an allocation has a stack"));
        let is_whole = !frames.iter().any(|frame| matches!(frame, Frame::Truncated { .. }));
        assert!(is_whole && frames.len() >= 4, "{frames:?}");
        // A kernel's trampoline, or what no file has.
        let is_known = matches!(frames[0], Frame::Code { .. });
        assert!(is_known, "{frames:?}");
    }
}

/// What is freed was allocated, but for what is older.
#[track_caller]
fn assert_addresses(rows: &[Allocation], older: u64) {
    let mut live = BTreeMap::new();
    let mut unknown = 0;
    for row in rows {
        if row.kind.is_free() {
            unknown += u64::from(live.remove(&row.address).is_none());
        } else {
            assert_eq!(live.insert(row.address, row.size), None, "{row:?}");
        }
    }
    assert_eq!((unknown, live), (older, BTreeMap::new()), "frees of unknown objects, live objects");
}
