//! Sums samples up per thread.

use rz_profile::model::{EventId, Profile, ThreadId};

use crate::model::calltree::Amount;

/// One thread of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The thread.
    pub thread: ThreadId,
    /// Its samples.
    pub amount: Amount,
}

/// The threads that have samples of `event`, busiest first.
pub fn threads(profile: &Profile, event: EventId) -> Vec<Row> {
    let mut amounts = vec![Amount::default(); profile.threads.len()];
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        amounts[sample.thread].add(Amount { samples: sample.count, weight: sample.weight });
    }
    let rows = amounts.into_iter().enumerate();
    let mut rows: Vec<Row> = rows
        .filter(|(_, amount)| amount.samples > 0)
        .map(|(thread, amount)| Row { thread, amount })
        .collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.amount.weight), row.thread));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn busiest_first_and_idle_ones_left_out() {
        let mut builder = Builder::new();
        let (a, b) = (builder.stack(&["a"]), builder.stack(&["b"]));
        let busy = builder.thread(0, "busy", 2);
        builder.thread(0, "idle", 3);
        builder.sample(0, a, 1);
        builder.sample(busy, a, 2);
        builder.sample(busy, b, 3);
        let rows = threads(&builder.profile, 0);
        let rows: Vec<_> = rows.iter().map(|row| (row.thread, row.amount.samples)).collect();
        assert_eq!(rows, [(busy, 5), (0, 1)]);
    }
}
