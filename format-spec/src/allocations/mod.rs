//! Allocations as a table of columns: what was allocated and freed, one
//! by one, in the order in which it happened.

mod addresses;

use crate::codes::coded;
use crate::column::{Column, Table, TableWriter, to_u32};
use crate::error::FormatError;
use crate::stacks::StackId;
use crate::waits::optional_u32;
use addresses::{distances, references, resolve};

/// What happened to an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllocationKind {
    /// It was freed.
    #[default]
    Free,
    /// It was freed by `realloc`, which allocated another, maybe at the
    /// same address.
    ReallocFree,
    /// It was allocated by `malloc`, or by `operator new` through it.
    Malloc,
    /// It was allocated by `calloc`.
    Calloc,
    /// It was allocated by `realloc` or `reallocarray`.
    Realloc,
    /// It was allocated by `posix_memalign` or another function that aligns.
    Aligned,
    /// It was allocated by a function that this crate does not know.
    Unknown,
}

coded! {
    AllocationKind: u8,
    0 => Free,
    1 => ReallocFree,
    2 => Malloc,
    3 => Calloc,
    4 => Realloc,
    5 => Aligned,
}

impl AllocationKind {
    /// Whether an object was freed, and not allocated.
    pub fn is_free(self) -> bool {
        matches!(self, Self::Free | Self::ReallocFree)
    }
}

/// An object was allocated or freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocation {
    /// When, in nanoseconds on the trace's clock. Written in whole
    /// microseconds, rounded down; rows are in order all the same.
    pub time_ns: u64,
    /// Id of the thread that did it.
    pub thread: u32,
    /// What happened.
    pub kind: AllocationKind,
    /// Address of the object.
    pub address: u64,
    /// Bytes that were asked for; 0 where it was freed.
    pub size: u64,
    /// Where it was allocated; `None` if nothing is known, or where it was
    /// freed.
    pub stack: Option<StackId>,
    /// Allocations that the thread had made by then, this one included. 0 if
    /// every one has a row.
    pub allocations: u64,
    /// Average number of bytes between samples; 0 if every allocation has a
    /// row. One of `size` bytes has a row with a probability of
    /// 1 − exp(−`size` / `interval`).
    pub interval: u64,
}

/// Nanoseconds in a unit of the time column: what tells more takes more room
/// than all the rest.
const TIME_UNIT_NS: u64 = 1_000;

/// Columns of the allocation table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*, UNKNOWN};

    pub const TIME: Column = Column::new(0, Delta);
    pub const THREAD: Column = Column::new(1, RunLength);
    pub const KIND: Column = Column::new(2, Plain).if_absent(UNKNOWN);
    pub const ADDRESS: Column = Column::new(3, Plain);
    pub const SIZE: Column = Column::new(4, Plain);
    pub const STACK: Column = Column::new(5, Plain);
    pub const ALLOCATIONS: Column = Column::new(6, Plain);
    pub const INTERVAL: Column = Column::new(7, RunLength);
    pub const REFERENCE: Column = Column::new(8, Plain);
    pub const ALL: Columns =
        &[&[TIME, THREAD, KIND, ADDRESS, SIZE, STACK, ALLOCATIONS, INTERVAL, REFERENCE]];
}

/// The payload of an allocations block. The order of rows stays. With
/// `addresses`, all of them are written, which takes more room and less time.
pub(crate) fn encode_allocations(rows: &[Allocation], addresses: bool) -> Vec<u8> {
    let references = if addresses { vec![0; rows.len()] } else { references(rows) };
    let mut table = TableWriter::new(column::ALL, rows.len());
    table.column(column::ADDRESS, distances(rows, &references));
    table.column(column::REFERENCE, references.iter().copied());
    let mut column =
        |column, value: fn(&Allocation) -> u64| table.column(column, rows.iter().map(value));
    column(column::TIME, |a| a.time_ns / TIME_UNIT_NS);
    column(column::THREAD, |a| a.thread.into());
    column(column::KIND, |a| u8::from(a.kind).into());
    column(column::SIZE, |a| a.size);
    column(column::STACK, |a| a.stack.map_or(0, |id| u64::from(id) + 1));
    column(column::ALLOCATIONS, |a| a.allocations);
    column(column::INTERVAL, |a| a.interval);
    table.finish()
}

/// Reads the payload of an allocations block.
pub(crate) fn decode_allocations(mut payload: &[u8]) -> Result<Vec<Allocation>, FormatError> {
    let table = Table::read(&mut payload)?;
    const COLUMNS: [Column; 8] = [
        column::TIME,
        column::THREAD,
        column::KIND,
        column::ADDRESS,
        column::SIZE,
        column::STACK,
        column::ALLOCATIONS,
        column::INTERVAL,
    ];
    let rows = table.each_row(
        COLUMNS,
        |[time, thread, kind, address, size, stack, allocations, interval]| {
            Ok(Allocation {
                time_ns: time.saturating_mul(TIME_UNIT_NS),
                thread: to_u32(thread, "thread id")?,
                kind: u8::try_from(kind).map_or(AllocationKind::Unknown, AllocationKind::from),
                address,
                size,
                stack: optional_u32(stack, "stack id")?,
                allocations,
                interval,
            })
        },
    );
    let references = table.column(column::REFERENCE)?;
    let mut rows = rows?;
    resolve(&mut rows, &references)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allocations() -> impl Strategy<Value = Vec<Allocation>> {
        let numbers = (any::<u32>(), any::<u32>(), 0u8..6, 0u32..u32::MAX);
        let allocation = (numbers, any::<[u64; 4]>()).prop_map(|(numbers, more)| {
            let (time_us, thread, kind, stack) = numbers;
            // So that the same ones come again.
            let [address, size, allocations, interval] = more;
            let (address, size) = (address % 8, if size % 2 == 0 { size } else { 40 });
            Allocation {
                time_ns: u64::from(time_us) * TIME_UNIT_NS,
                thread,
                kind: kind.into(),
                address,
                size,
                stack: stack.checked_sub(1),
                allocations,
                interval,
            }
        });
        proptest::collection::vec(allocation, 0..50)
    }

    proptest! {
        #[test]
        fn round_trips(rows in allocations(), addresses: bool) {
            let bytes = encode_allocations(&rows, addresses);
            prop_assert_eq!(decode_allocations(&bytes).unwrap(), rows);
        }

        #[test]
        fn damage_never_panics(rows in allocations(), at: usize, bit in 0u8..8) {
            let mut bytes = encode_allocations(&rows, false);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode_allocations(&bytes);
        }
    }
}
