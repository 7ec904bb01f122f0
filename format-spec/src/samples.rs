//! CPU samples as a table of columns.

use crate::column::{Column, Table, TableWriter, to_u32};
use crate::error::FormatError;
use crate::stacks::StackId;

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

/// Columns of the sample table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const TIME: Column = Column::new(0, DeltaOfDelta);
    pub const EVENT: Column = Column::new(1, RunLength);
    pub const THREAD: Column = Column::new(2, RunLength);
    pub const CPU: Column = Column::new(3, RunLength);
    pub const STACK: Column = Column::new(4, Plain);
    pub const WEIGHT: Column = Column::new(5, RunLength).if_absent(1);
    pub const ALL: Columns = &[&[TIME, EVENT, THREAD, CPU, STACK, WEIGHT]];
}

/// The payload of a samples block. Sorts the samples by thread, then time:
/// one thread's samples are nearly evenly spaced, which is what the encoding
/// of the time column is good at.
pub(crate) fn encode_samples(samples: &mut [Sample]) -> Vec<u8> {
    samples.sort_by_key(|s| (s.event, s.thread, s.time_ns));
    let mut table = TableWriter::new(column::ALL, samples.len());
    let mut column =
        |column, value: fn(&Sample) -> u64| table.column(column, samples.iter().map(value));
    column(column::TIME, |s| s.time_ns);
    column(column::EVENT, |s| s.event.into());
    column(column::THREAD, |s| s.thread.into());
    column(column::CPU, |s| s.cpu.into());
    // 0 is a sample without a stack.
    column(column::STACK, |s| s.stack.map_or(0, |id| u64::from(id) + 1));
    column(column::WEIGHT, |s| s.weight);
    table.finish()
}

/// Reads the payload of a samples block.
pub(crate) fn decode_samples(mut payload: &[u8]) -> Result<Vec<Sample>, FormatError> {
    let table = Table::read(&mut payload)?;
    const COLUMNS: [Column; 6] =
        [column::TIME, column::EVENT, column::THREAD, column::CPU, column::STACK, column::WEIGHT];
    table.each_row(COLUMNS, |[time, event, thread, cpu, stack, weight]| {
        Ok(Sample {
            time_ns: time,
            event: to_u32(event, "event id")?,
            thread: to_u32(thread, "thread id")?,
            cpu: to_u32(cpu, "cpu")?,
            stack: match stack {
                0 => None,
                id => Some(to_u32(id - 1, "stack id")?),
            },
            weight,
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
