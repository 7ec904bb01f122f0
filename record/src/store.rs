//! Writes what was found to the trace, or to one after the other, and the recorder's own
//! cost with it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rz_format::{
    Cost, End, EndReason, FileHeader, FormatError, Loss, LossClass, LossReason, NO_CPU, Note,
    Record, TraceWriter,
};

use crate::config::Limits;
use crate::cost;
use crate::files::Files;
use crate::host::{clocks, now_ns};
use crate::output::{Counted, OutputError, TraceFile, Unpublished};
use crate::queue::QueueGauge;
use crate::resolve::Found;
use crate::shared::{Shared, Stored};
use crate::tracker::Findings;

/// Bytes that wait to be dealt with above which speed counts for more than the
/// size of the file.
const LONG_QUEUE: usize = 4 << 20;
/// How often the recorder's cost is noted.
const COST_INTERVAL_NS: u64 = 1_000_000_000;

/// A file that is written, and what the next one takes to begin with.
pub(crate) struct Target {
    writer: TraceWriter<Counted>,
    file: TraceFile,
    /// What each file begins with.
    first: Vec<Record>,
    /// If there are more to come.
    series: Option<Arc<dyn Files>>,
    /// Bytes at which the next one begins, or the recording ends if there is none.
    file_bytes: u64,
}

/// Begins a trace with its header and `first`, before the file gets its name:
/// on a full disk, what has that name stays.
pub(crate) fn begin(
    file: &Unpublished,
    header: &FileHeader,
    first: &[Record],
    series: Option<&Arc<dyn Files>>,
) -> Result<TraceWriter<Counted>, OutputError> {
    let begin = || {
        let out = file.handle()?.with_room_from(series.cloned().map(|series| series as _));
        let mut writer = TraceWriter::new(out, header)?;
        writer.write_records(now_ns(), first)?;
        Ok(writer)
    };
    begin().map_err(|error| match error {
        FormatError::Io(error) => file.failed(error),
        other => file.failed(io::Error::other(other)),
    })
}

/// Writes all findings until there are no more, file by file; ends the last one with why
/// the recording ended. Empty findings go to `written`.
pub(crate) fn store(
    mut target: Target,
    found: &Receiver<Found>,
    written: &Sender<Findings>,
    queue: &QueueGauge,
    shared: &Shared,
    limits: Limits,
) -> Result<Stored, OutputError> {
    let mut stored = Stored::default();
    loop {
        let mut file = target.open_file(stored.bytes);
        let result = file.write_all(found, written, queue, shared, limits);
        let (whole_len, file_bytes) = (file.writer.bytes_written(), file.file_bytes);
        let OpenFile { writer, file, first, series, .. } = file;
        let failed = |error| match error {
            FormatError::Io(error) => file.give_up(whole_len, error),
            other => file.give_up(whole_len, io::Error::other(other)),
        };
        let next_ns = result.map_err(failed)?;
        let out = shared.writing(|| writer.finish()).map_err(failed)?;
        stored = Stored { files: stored.files + 1, bytes: stored.bytes + out.len() };
        drop(out);
        let Some(series) = series else { return Ok(stored) };
        shared.writing(|| series.complete(file, next_ns.is_none(), shared));
        let Some(start_ns) = next_ns else { return Ok(series.stored(stored)) };
        target = shared.writing(|| Target::next(series, first, file_bytes, start_ns))?;
    }
}

impl Target {
    /// A file that has begun.
    pub(crate) fn new(
        writer: TraceWriter<Counted>,
        file: TraceFile,
        first: Vec<Record>,
        series: Option<Arc<dyn Files>>,
        file_bytes: u64,
    ) -> Self {
        Target { writer, file, first, series, file_bytes }
    }

    /// What to call the file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The next file of a series, for what happens from `start_ns` on.
    fn next(
        series: Arc<dyn Files>,
        mut first: Vec<Record>,
        file_bytes: u64,
        start_ns: u64,
    ) -> Result<Self, OutputError> {
        for record in &mut first {
            if let Record::Recording(recording) = record {
                recording.start_ns = start_ns;
            } else if let Record::Clock(clock) = record {
                *clock = clocks();
            }
        }
        let (file, header) = series.next(start_ns)?;
        let writer = begin(&file, &header, &first, Some(&series))?;
        let file = file.publish()?;
        Ok(Target { writer, file, first, series: Some(series), file_bytes })
    }

    fn open_file(self, bytes_before: u64) -> OpenFile {
        let Target { writer, file, first, series, file_bytes } = self;
        let (user_ns, system_ns) = cost::cpu_ns();
        // Attaching is part of what the first one has cost.
        let used = if bytes_before == 0 { (0, 0) } else { (user_ns, system_ns) };
        OpenFile { writer, file, first, series, file_bytes, bytes_before, used, is_full: false }
    }
}

/// A file while it is written.
struct OpenFile {
    writer: TraceWriter<Counted>,
    file: TraceFile,
    first: Vec<Record>,
    series: Option<Arc<dyn Files>>,
    file_bytes: u64,
    /// Bytes in the files before.
    bytes_before: u64,
    /// CPU time that the recorder had used before, in user mode and in the kernel.
    used: (u64, u64),
    /// Whether it has as much as it may.
    is_full: bool,
}

impl OpenFile {
    /// Writes all that belongs into the file. Returns when the next one begins, or `None` if
    /// that was all.
    fn write_all(
        &mut self,
        found: &Receiver<Found>,
        written: &Sender<Findings>,
        queue: &QueueGauge,
        shared: &Shared,
        limits: Limits,
    ) -> Result<Option<u64>, FormatError> {
        let mut cost_at = now_ns();
        let mut notes = Vec::new();
        let (end_ns, reason, next_ns) = loop {
            let received = match found.recv_timeout(Duration::from_nanos(COST_INTERVAL_NS)) {
                Ok(Found::Findings(found)) => *found,
                Ok(Found::NextFile(time_ns)) => {
                    break (time_ns, EndReason::Duration, Some(time_ns));
                }
                Err(RecvTimeoutError::Timeout) => Findings::default(),
                Err(RecvTimeoutError::Disconnected) => {
                    let (time_ns, reason) = shared.end();
                    break (time_ns, reason, None);
                }
            };
            let mut found = received;
            found.records.append(&mut notes);
            let news = self.watch(&found, shared);
            found.records.extend(news);
            if !shared.has_time_to_write() {
                shared.add_unwritten(leave_out_events(&mut found));
            }
            let now = now_ns();
            if now - cost_at >= COST_INTERVAL_NS {
                cost_at = now;
                found.records.push(self.cost(queue));
            }
            self.writer.set_fast(queue.bytes() > LONG_QUEUE)?;
            shared.writing(|| write(&mut self.writer, now, &mut found))?;
            found.clear();
            // The resolver may be gone.
            let _ = written.send(found);
            let bytes = self.writer.bytes_written();
            shared.written.store(self.bytes_before + bytes, Ordering::Relaxed);
            notes.extend(self.keep_within_limits(shared, limits));
        };
        // What has been asked for by now is of this file.
        notes.extend(self.watch(&Findings::default(), shared));
        let last = [
            self.cost(queue),
            Record::Clock(clocks()),
            Record::End(End { time_ns: end_ns, reason: reason.into() }),
        ];
        notes.extend(last);
        shared.writing(|| self.writer.write_records(now_ns(), &notes))?;
        Ok(next_ns)
    }

    /// Has whoever keeps the files look at what was found for this one.
    fn watch(&self, found: &Findings, shared: &Shared) -> Vec<Record> {
        self.series.as_ref().map_or(Vec::new(), |series| series.watch(found, shared))
    }

    /// Makes room for what follows, or ends the file or the recording. Returns what is to be
    /// known of that.
    fn keep_within_limits(&mut self, shared: &Shared, limits: Limits) -> Option<Record> {
        let bytes = self.writer.bytes_written();
        let mut is_disk_full = self.file.is_disk_nearly_full(limits.min_free);
        let mut note = None;
        if let Some(series) = &self.series {
            series.keep_within(bytes);
            while is_disk_full && series.make_room() {
                is_disk_full = self.file.is_disk_nearly_full(limits.min_free);
            }
            let removed = series.take_removed();
            if removed > 0 {
                let text = format!(
                    "the disk is full: {removed} of the oldest files of this recording were removed"
                );
                shared.say(text.clone());
                note = Some(Record::Note(Note { text }));
            }
        }
        let is_full = bytes >= self.file_bytes;
        if is_disk_full {
            shared.end_early("the disk has no more room than is to be left free (--min-free)");
        } else if is_full && self.series.is_none() {
            shared.end_early("the file has the size that it may have (--max-size)");
        } else if is_full && !self.is_full {
            shared.ask_for_next_file();
        }
        self.is_full = is_full;
        note
    }

    /// What the recorder has used since the file began.
    fn cost(&self, queue: &QueueGauge) -> Record {
        let cost = cost::now(queue.bytes(), self.writer.bytes_written());
        let (user_ns, system_ns) = self.used;
        Record::Cost(Cost {
            user_ns: cost.user_ns.saturating_sub(user_ns),
            system_ns: cost.system_ns.saturating_sub(system_ns),
            ..cost
        })
    }
}

fn write(
    writer: &mut TraceWriter<Counted>,
    now_ns: u64,
    found: &mut Findings,
) -> Result<(), FormatError> {
    writer.write_records(now_ns, &found.records)?;
    writer.write_stacks(now_ns, &found.stacks)?;
    writer.write_texts(now_ns, &found.texts)?;
    writer.write_call_data(now_ns, &found.call_data)?;
    writer.write_samples(&mut found.samples)?;
    writer.write_waits(&mut found.waits)?;
    writer.write_calls(&mut found.calls)?;
    writer.write_function_calls(&mut found.function_calls)?;
    writer.write_totals(now_ns, &mut found.totals)?;
    writer.write_allocations(&found.allocations)?;
    writer.write_heap_counts(&mut found.heap_counts)?;
    writer.write_cpu_times(&mut found.cpu_times)
}

/// Leaves out all rows but sums, of which there are few, and says so. Returns how many
/// events that are.
fn leave_out_events(found: &mut Findings) -> u64 {
    let Findings { samples, waits, calls, function_calls, allocations, .. } = found;
    let of_call = |row: rz_format::Call| (row.start_ns, row.count);
    let times: [(LossClass, Vec<(u64, u64)>); 5] = [
        (LossClass::Samples, samples.drain(..).map(|row| (row.time_ns, 1)).collect()),
        (LossClass::Waits, waits.drain(..).map(|row| (row.end_ns, 1)).collect()),
        (LossClass::Calls, calls.drain(..).map(of_call).collect()),
        (LossClass::FunctionCalls, function_calls.drain(..).map(of_call).collect()),
        (LossClass::Allocations, allocations.drain(..).map(|row| (row.time_ns, 1)).collect()),
    ];
    let losses = times.into_iter().filter_map(|(class, rows)| {
        Some(Loss {
            cpu: NO_CPU,
            class: class.into(),
            reason: LossReason::QueueFull.into(),
            from_ns: rows.iter().map(|(time_ns, _)| *time_ns).min()?,
            to_ns: rows.iter().map(|(time_ns, _)| *time_ns).max()?,
            count: rows.iter().map(|(_, count)| *count).fold(0, u64::saturating_add),
        })
    });
    let losses: Vec<Loss> = losses.collect();
    let count = losses.iter().map(|loss| loss.count).fold(0, u64::saturating_add);
    found.records.extend(losses.into_iter().map(Record::Loss));
    count
}

#[cfg(test)]
mod tests {
    use rz_format::{Allocation, Call, Sample, Total, Wait};

    use super::*;

    #[test]
    fn what_there_is_no_time_for_is_lost_and_counted() {
        let call = |start_ns, count| Call { start_ns, count, ..Call::default() };
        let mut found = Findings {
            samples: vec![Sample { time_ns: 7, ..Sample::default() }],
            calls: vec![call(30, 4), call(10, 1), call(20, 1)],
            totals: vec![Total::default()],
            ..Findings::default()
        };
        assert_eq!(leave_out_events(&mut found), 7);
        let loss = |class: LossClass, from_ns, to_ns, count| {
            let (class, reason) = (class.into(), LossReason::QueueFull.into());
            Record::Loss(Loss { cpu: NO_CPU, class, reason, from_ns, to_ns, count })
        };
        let losses = [loss(LossClass::Samples, 7, 7, 1), loss(LossClass::Calls, 10, 30, 6)];
        assert_eq!(found.records, losses);
        assert!(found.samples.is_empty() && found.calls.is_empty());
        assert_eq!(found.totals.len(), 1);

        let mut found = Findings {
            waits: vec![Wait { end_ns: 5, ..Wait::default() }],
            allocations: vec![Allocation { time_ns: 6, ..Allocation::default() }],
            ..Findings::default()
        };
        assert_eq!(leave_out_events(&mut found), 2);
        let losses = [loss(LossClass::Waits, 5, 5, 1), loss(LossClass::Allocations, 6, 6, 1)];
        assert_eq!(found.records, losses);
    }
}
