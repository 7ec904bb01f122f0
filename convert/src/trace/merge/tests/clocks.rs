//! Times of all sources on one clock.

use super::fixture::*;

/// Shifts of the sources, in order.
fn shifts(bytes: &[u8]) -> Vec<i64> {
    loaded(bytes).sources.iter().map(|source| source.clock_shift_ns).collect()
}

#[test]
fn one_boot_has_one_clock() {
    // That the time of day was set in between does not matter.
    let set = variant(2, |record| match record {
        rz_format::Record::Clock(clock) => clock.realtime_ns += 3_600_000_000_000,
        rz_format::Record::Recording(recording) => recording.start_ns += 10,
        _ => {}
    });
    assert_eq!(shifts(&merged(&[("a.rz", &same_boot(1)), ("b.rz", &set)])), [0, 0]);
}

#[test]
fn others_are_aligned_by_the_time_of_day() {
    let (a, b) = (same_boot(1), other_host(2, 5_000_000));
    let bytes = merged(&[("a.rz", &a), ("b.rz", &b)]);
    assert_eq!(shifts(&bytes), [0, 5_000_000]);
    let (all, one) = (loaded(&bytes), loaded(&a));
    let [first, second] = all.sources.as_slice() else { panic!("{:?}", all.sources) };
    assert_eq!(second.start_unix_ns, 2_900 + 5_000_000);
    assert_eq!(first.start_unix_ns, 2_900 + 1);
    // The same moment of both is the same time.
    assert_eq!(second.start_ns - first.start_ns, second.start_unix_ns - first.start_unix_ns);
    let mut expected: Vec<u64> = one.timeline.unwrap().iter().map(|s| s.time_ns).collect();
    expected.extend(expected.clone().iter().map(|time_ns| time_ns + 5_000_000));
    expected.sort_unstable();
    let found: Vec<u64> = all.timeline.unwrap().iter().map(|s| s.time_ns).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_first_to_start_has_the_clock() {
    let (a, b) = (same_boot(1), other_host(2, 5_000_000));
    let both = merged(&[("a.rz", &a), ("b.rz", &b)]);
    // Starts earlier, and has the clock of the second.
    let early = variant(3, |record| match record {
        rz_format::Record::Host(host) => host.boot_id = "boot2".into(),
        rz_format::Record::Recording(recording) => recording.start_ns = 10,
        rz_format::Record::Clock(clock) => {
            clock.monotonic_ns = 5_001_000;
            clock.realtime_ns = 2_000;
        }
        _ => {}
    });
    let all = merged(&[("both.rz", &both), ("early.rz", &early)]);
    assert_eq!(shifts(&all), [0, 5_000_000, 0]);
}
