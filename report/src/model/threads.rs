//! Sums samples up per thread.

use rz_profile::model::{EventId, Profile, ThreadId};

use serde::Serialize;

use crate::model::calltree::Amount;
use crate::model::clean::clean;

/// One thread of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadSamples {
    /// The thread.
    pub thread: ThreadId,
    /// Its samples.
    pub amount: Amount,
}

/// Which thread it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownThread {
    /// Its number, which `--thread` takes; `null` if it is not known, and of all
    /// those that are not told apart.
    pub tid: Option<u32>,
    /// Its name.
    pub thread: String,
    /// The number of its process, which `--process` takes.
    pub pid: Option<u32>,
    /// The name of its process.
    pub process: String,
    /// Index of its recording in `trace.recordings`.
    pub recording: Option<usize>,
}

impl ShownThread {
    /// A thread as it is shown; `None` stands for those that are not told apart.
    pub fn of(profile: &Profile, thread: Option<ThreadId>) -> Self {
        let Some(thread) = thread else {
            let thread = "threads not told apart".to_owned();
            return ShownThread {
                tid: None,
                thread,
                pid: None,
                process: String::new(),
                recording: None,
            };
        };
        let (thread, process) = profile.thread(thread);
        ShownThread {
            // Other tools' files need not tell numbers.
            tid: Some(thread.tid).filter(|&tid| tid > 0),
            thread: clean(&thread.name).into_owned(),
            pid: Some(process.pid).filter(|&pid| pid > 0),
            process: clean(&process.name).into_owned(),
            recording: Some(process.source),
        }
    }

    /// Number, name and, with several processes, process.
    pub fn texts(self, several: bool) -> (String, String, String) {
        let suffix = match self.pid {
            _ if !several => String::new(),
            Some(pid) => format!("{} ({pid})", self.process),
            None => self.process,
        };
        (self.tid.map_or_else(|| "-".to_owned(), |tid| tid.to_string()), self.thread, suffix)
    }
}

/// The threads that have samples of `event`, busiest first.
pub fn threads(profile: &Profile, event: EventId) -> Vec<ThreadSamples> {
    let mut amounts = vec![Amount::default(); profile.threads.len()];
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        amounts[sample.thread].add(Amount { samples: sample.count, weight: sample.weight });
    }
    let rows = amounts.into_iter().enumerate();
    let mut rows: Vec<ThreadSamples> = rows
        .filter(|(_, amount)| amount.samples > 0)
        .map(|(thread, amount)| ThreadSamples { thread, amount })
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
