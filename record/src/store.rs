//! Writes what was found to the trace, and the recorder's own cost with it.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use rz_format::{
    Clock, End, FileHeader, FormatError, Loss, LossClass, LossReason, NO_CPU, Record, TraceWriter,
};

use crate::config::Limits;
use crate::cost;
use crate::host::{clocks, now_ns};
use crate::output::{Counted, OutputError, TraceFile, Unpublished};
use crate::queue::QueueGauge;
use crate::shared::Shared;
use crate::tracker::Findings;

/// Bytes that wait to be dealt with above which speed counts for more than the
/// size of the file.
const LONG_QUEUE: usize = 4 << 20;
/// How often the recorder's cost is noted.
const COST_INTERVAL_NS: u64 = 1_000_000_000;

/// Begins a trace with its header and `first`, before the file gets its name:
/// on a full disk, what has that name stays.
pub(crate) fn begin(
    file: &Unpublished,
    first: &[Record],
) -> Result<TraceWriter<Counted>, OutputError> {
    let created = clocks();
    let header = FileHeader::new(trace_id(&created), created.realtime_ns, created.monotonic_ns);
    let begin = || {
        let mut writer = TraceWriter::new(file.handle()?, &header)?;
        writer.write_records(now_ns(), first)?;
        Ok(writer)
    };
    begin().map_err(|error| match error {
        FormatError::Io(error) => file.failed(error),
        other => file.failed(io::Error::other(other)),
    })
}

/// Writes all findings until there are no more; ends the trace with why the
/// recording ended. Empty findings go to `written`. Returns the length of the
/// file.
pub(crate) fn store(
    mut writer: TraceWriter<Counted>,
    file: TraceFile,
    findings: &Receiver<Findings>,
    written: &Sender<Findings>,
    queue: &QueueGauge,
    shared: &Shared,
    limits: Limits,
) -> Result<u64, OutputError> {
    let failed = |whole_len, error| match error {
        FormatError::Io(error) => file.give_up(whole_len, error),
        other => file.give_up(whole_len, io::Error::other(other)),
    };
    let result = write_all(&mut writer, &file, findings, written, queue, shared, limits);
    let whole_len = writer.bytes_written();
    result.map_err(|error| failed(whole_len, error))?;
    let finished = shared.writing(|| writer.finish());
    let file = finished.map_err(|error| failed(whole_len, error))?;
    Ok(file.len())
}

fn write_all(
    writer: &mut TraceWriter<Counted>,
    file: &TraceFile,
    findings: &Receiver<Findings>,
    written: &Sender<Findings>,
    queue: &QueueGauge,
    shared: &Shared,
    limits: Limits,
) -> Result<(), FormatError> {
    let mut cost_at = now_ns();
    loop {
        let received = match findings.recv_timeout(Duration::from_nanos(COST_INTERVAL_NS)) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => Findings::default(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut found = received;
        if !shared.has_time_to_write() {
            shared.add_unwritten(leave_out_events(&mut found));
        }
        let now = now_ns();
        if now - cost_at >= COST_INTERVAL_NS {
            cost_at = now;
            found.records.push(Record::Cost(cost::now(queue.bytes(), writer.bytes_written())));
        }
        writer.set_fast(queue.bytes() > LONG_QUEUE)?;
        shared.writing(|| write(writer, now, &mut found))?;
        found.clear();
        // The resolver may be gone.
        let _ = written.send(found);
        shared.written.store(writer.bytes_written(), Ordering::Relaxed);
        if writer.bytes_written() >= limits.max_size {
            shared.end_early("the file has the size that it may have (--max-size)");
        } else if file.is_disk_nearly_full(limits.min_free) {
            shared.end_early("the disk has no more room than is to be left free (--min-free)");
        }
    }
    let (time_ns, reason) = shared.end();
    let last = [
        Record::Cost(cost::now(queue.bytes(), writer.bytes_written())),
        Record::Clock(clocks()),
        Record::End(End { time_ns, reason: reason.into() }),
    ];
    shared.writing(|| writer.write_records(now_ns(), &last))
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
    writer.write_totals(now_ns, &mut found.totals)?;
    writer.write_allocations(&found.allocations)?;
    writer.write_heap_counts(&mut found.heap_counts)?;
    writer.write_cpu_times(&mut found.cpu_times)
}

/// Leaves out all rows but sums, of which there are few, and says so. Returns how many
/// events that are.
fn leave_out_events(found: &mut Findings) -> u64 {
    let Findings { samples, waits, calls, allocations, .. } = found;
    let times: [(LossClass, Vec<(u64, u64)>); 4] = [
        (LossClass::Samples, samples.drain(..).map(|row| (row.time_ns, 1)).collect()),
        (LossClass::Waits, waits.drain(..).map(|row| (row.end_ns, 1)).collect()),
        (LossClass::Calls, calls.drain(..).map(|row| (row.start_ns, row.count)).collect()),
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

/// A number that no other trace has: the kernel's random one, or the time if
/// there is none.
fn trace_id(created: &Clock) -> [u8; 16] {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    let time = u128::from(created.realtime_ns) << 64 | u128::from(created.monotonic_ns);
    u128::from_str_radix(&digits, 16).unwrap_or(time).to_be_bytes()
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
