//! Changes rows of events: they are most of a trace.

use rustc_hash::FxBuildHasher;
use rz_format::{
    Allocation, Call, CpuTime, HeapCounts, Name, Sample, StackId, StackInterner, Total, TotalClass,
    Wait,
};

use super::super::ids::{ThreadIds, UNDEFINED, lookup};
use super::super::plan::shifted;
use super::{Local, MAX_SYMBOLS, Remap};

impl Remap {
    /// Changes the samples of a block.
    pub(in super::super) fn samples(&mut self, rows: &mut [Sample]) {
        let mut rows_of = RowsOf::new(&self.inputs[self.input], &mut self.stacks);
        for row in rows {
            (row.thread, row.time_ns) = rows_of.thread_at(row.thread, row.time_ns);
            row.stack = rows_of.stack(row.stack);
            row.event = rows_of.local.ids.event(row.event);
        }
    }

    /// Changes the waits of a block.
    pub(in super::super) fn waits(&mut self, rows: &mut [Wait]) {
        let mut rows_of = RowsOf::new(&self.inputs[self.input], &mut self.stacks);
        for row in rows {
            (row.thread, row.end_ns) = rows_of.thread_at(row.thread, row.end_ns);
            row.stack = rows_of.stack(row.stack);
        }
    }

    /// Changes the calls of a block.
    pub(in super::super) fn calls(&mut self, rows: &mut [Call]) {
        let mut rows_of = RowsOf::new(&self.inputs[self.input], &mut self.stacks);
        for row in rows {
            (row.thread, row.start_ns) = rows_of.thread_at(row.thread, row.start_ns);
            row.stack = rows_of.stack(row.stack);
            row.texts = row.texts.map(|text| text.map(|id| rows_of.local.ids.text(id)));
            row.data = row.data.map(|id| rows_of.local.ids.call_data(id));
        }
    }

    /// Changes the calls of functions of a block.
    pub(in super::super) fn function_calls(&mut self, rows: &mut [Call]) {
        self.calls(rows);
        let ids = &self.inputs[self.input].ids;
        rows.iter_mut().for_each(|row| row.number = ids.function(row.number));
    }

    /// Changes the totals of a block.
    pub(in super::super) fn totals(&self, rows: &mut [Total]) {
        let ids = &self.inputs[self.input].ids;
        for row in rows {
            row.thread = row.thread.map(|id| ids.thread(id));
            if row.class == TotalClass::Functions {
                row.number = row.number.map(|number| ids.function(number));
            }
        }
    }

    /// Changes the allocations of a block.
    pub(in super::super) fn allocations(&mut self, rows: &mut [Allocation]) {
        let mut rows_of = RowsOf::new(&self.inputs[self.input], &mut self.stacks);
        for row in rows {
            (row.thread, row.time_ns) = rows_of.thread_at(row.thread, row.time_ns);
            row.stack = rows_of.stack(row.stack);
        }
    }

    /// Changes the counts of a block.
    pub(in super::super) fn heap_counts(&self, rows: &mut [HeapCounts]) {
        let counted = rows.iter_mut().map(|row| (&mut row.thread, &mut row.time_ns));
        self.counted(counted);
    }

    /// Changes the CPU times of a block.
    pub(in super::super) fn cpu_times(&self, rows: &mut [CpuTime]) {
        let counted = rows.iter_mut().map(|row| (&mut row.thread, &mut row.time_ns));
        self.counted(counted);
    }

    /// Changes threads, which may not be known, and times.
    fn counted<'r>(&self, rows: impl Iterator<Item = (&'r mut Option<u32>, &'r mut u64)>) {
        let local = &self.inputs[self.input];
        for (thread, time_ns) in rows {
            let known = thread.and_then(|id| local.ids.threads.get(id));
            let delta_ns = known.map_or(local.delta_ns, |known| known.delta_ns);
            *time_ns = shifted(*time_ns, delta_ns);
            *thread = thread.map(|id| local.ids.thread(id));
        }
    }
}

impl Remap {
    /// Changes the names of a block, and leaves out those that are known.
    pub(in super::super) fn names(&mut self, rows: &mut Vec<Name>) {
        let Local { ids, delta_ns, .. } = &self.inputs[self.input];
        if self.names.len() >= MAX_SYMBOLS {
            self.names.clear();
        }
        // Those that are inlined into each other stay or go together.
        let mut keep = None;
        rows.retain_mut(|row| {
            row.module = ids.module(row.module);
            row.from_ns = shifted(row.from_ns, *delta_ns);
            for text in [&mut row.name, &mut row.system_name, &mut row.file] {
                *text = text.map(|id| ids.text(id));
            }
            let key = (row.module, row.offset, row.from_ns);
            let is_new = keep.take().unwrap_or_else(|| self.names.insert(key));
            keep = row.inlined.then_some(is_new);
            is_new
        });
    }
}

/// Looks up what the rows of one block refer to: neighbours are mostly of the
/// same thread.
struct RowsOf<'r> {
    local: &'r Local,
    stacks: &'r mut StackInterner<FxBuildHasher>,
    last: Option<(u32, ThreadIds)>,
}

impl<'r> RowsOf<'r> {
    fn new(local: &'r Local, stacks: &'r mut StackInterner<FxBuildHasher>) -> Self {
        RowsOf { local, stacks, last: None }
    }

    /// A thread and a time of it.
    fn thread_at(&mut self, id: u32, time_ns: u64) -> (u32, u64) {
        let known = match self.last {
            Some((last, known)) if last == id => known,
            _ => {
                let known = self.local.ids.threads.get(id);
                let lost = ThreadIds { thread: UNDEFINED, delta_ns: self.local.delta_ns };
                self.last.insert((id, known.unwrap_or(lost))).1
            }
        };
        (known.thread, shifted(time_ns, known.delta_ns))
    }

    /// A stack that is not defined is one of which nothing is known.
    fn stack(&mut self, id: Option<StackId>) -> Option<StackId> {
        let known = lookup(&self.local.ids.stacks, id?);
        Some(known.unwrap_or_else(|| self.stacks.stack(None, UNDEFINED)))
    }
}
