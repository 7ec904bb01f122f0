//! Sums up system calls and what an io_uring was asked to do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rz_profile::model::{Profile, ThreadId, Total, TotalClass};

/// What calls are sorted by, largest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortCalls {
    /// The time they took.
    #[default]
    Time,
    /// How many there were.
    Count,
    /// How many failed.
    Errors,
}

/// The exact sums of a class by number, which is that of a system call or the
/// operation of an io_uring; sorted.
pub fn by_number(profile: &Profile, class: TotalClass, by: SortCalls) -> Vec<(u32, Total)> {
    let mut sums: BTreeMap<u32, Total> = BTreeMap::new();
    for total in profile.totals.iter().filter(|total| total.class == class) {
        sums.entry(total.number.unwrap_or(u32::MAX)).or_default().add(total);
    }
    let mut sums: Vec<(u32, Total)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| {
        let keys = match by {
            SortCalls::Time => (sum.total_ns, sum.count),
            SortCalls::Count => (sum.count, sum.total_ns),
            SortCalls::Errors => (sum.errors, sum.total_ns),
        };
        Reverse(keys)
    });
    sums
}

/// The exact sums of a class by thread (`None`: all that could not be
/// told apart), the longest first.
pub fn by_thread(profile: &Profile, class: TotalClass) -> Vec<(Option<ThreadId>, Total)> {
    let mut sums: BTreeMap<Option<ThreadId>, Total> = BTreeMap::new();
    for total in profile.totals.iter().filter(|total| total.class == class) {
        sums.entry(total.thread.map(|id| id as ThreadId)).or_default().add(total);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| Reverse(sum.total_ns));
    sums
}

/// All of several sums.
pub fn all<'t>(sums: impl Iterator<Item = &'t Total>) -> Total {
    let mut all = Total::default();
    sums.for_each(|sum| all.add(sum));
    all
}
