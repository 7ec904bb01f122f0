//! CPU samples as a table of columns.

use crate::column::{Encoding, Table, to_u32, write_column, write_row_count};
use crate::error::FormatError;
use crate::stacks::StackId;
use crate::varint::write_varint;

/// One CPU sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, in nanoseconds on the trace's clock.
    pub time_ns: u64,
    /// Id of the event that was counted.
    pub event: u32,
    /// Id of the thread that ran.
    pub thread: u32,
    /// CPU it ran on.
    pub cpu: u32,
    /// Where it ran; `None` if nothing is known.
    pub stack: Option<StackId>,
    /// What the sample stands for, in the event's unit.
    pub weight: u64,
}

/// Column ids of the sample table.
mod column {
    pub const TIME: u8 = 0;
    pub const EVENT: u8 = 1;
    pub const THREAD: u8 = 2;
    pub const CPU: u8 = 3;
    pub const STACK: u8 = 4;
    pub const WEIGHT: u8 = 5;
}

/// The payload of a samples block. Sorts the samples by thread, then time:
/// one thread's samples are nearly evenly spaced, which is what the encoding
/// of the time column is good at.
pub(crate) fn encode_samples(samples: &mut [Sample]) -> Vec<u8> {
    samples.sort_by_key(|s| (s.event, s.thread, s.time_ns));
    let mut out = Vec::new();
    write_row_count(&mut out, samples.len());
    write_varint(&mut out, 6);
    let mut column = |id, encoding, value: fn(&Sample) -> u64| {
        write_column(&mut out, id, encoding, samples.iter().map(value));
    };
    column(column::TIME, Encoding::DeltaOfDelta, |s| s.time_ns);
    column(column::EVENT, Encoding::RunLength, |s| s.event.into());
    column(column::THREAD, Encoding::RunLength, |s| s.thread.into());
    column(column::CPU, Encoding::RunLength, |s| s.cpu.into());
    // 0 is a sample without a stack.
    column(column::STACK, Encoding::Plain, |s| s.stack.map_or(0, |id| u64::from(id) + 1));
    column(column::WEIGHT, Encoding::RunLength, |s| s.weight);
    out
}

/// Reads the payload of a samples block.
pub(crate) fn decode_samples(mut payload: &[u8]) -> Result<Vec<Sample>, FormatError> {
    let table = Table::read(&mut payload)?;
    let times = table.column(column::TIME, 0)?;
    let events = table.column(column::EVENT, 0)?;
    let threads = table.column(column::THREAD, 0)?;
    let cpus = table.column(column::CPU, 0)?;
    let stacks = table.column(column::STACK, 0)?;
    let weights = table.column(column::WEIGHT, 1)?;
    table.each_row(|row| {
        Ok(Sample {
            time_ns: times[row],
            event: to_u32(events[row], "event id")?,
            thread: to_u32(threads[row], "thread id")?,
            cpu: to_u32(cpus[row], "cpu")?,
            stack: match stacks[row] {
                0 => None,
                id => Some(to_u32(id - 1, "stack id")?),
            },
            weight: weights[row],
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let sample =
            (any::<u64>(), 0u32..3, any::<u32>(), any::<u32>(), 0u32..u32::MAX, any::<u64>());
        let sample = sample.prop_map(|(time_ns, event, thread, cpu, stack, weight)| Sample {
            time_ns,
            event,
            thread,
            cpu,
            stack: stack.checked_sub(1),
            weight,
        });
        proptest::collection::vec(sample, 0..50)
    }

    proptest! {
        #[test]
        fn round_trips(mut samples in samples()) {
            let bytes = encode_samples(&mut samples);
            prop_assert_eq!(decode_samples(&bytes).unwrap(), samples);
        }

        #[test]
        fn damage_never_panics(mut samples in samples(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_samples(&mut samples);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_samples(&bytes);
        }
    }
}
