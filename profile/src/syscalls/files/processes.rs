//! The file descriptors of many processes.

use rustc_hash::FxHashMap;

use super::table::MAX_BYTES;
use super::{FdTable, Span};
use crate::syscalls::Invocation;

/// Most processes that are followed at a time.
const MAX_PROCESSES: usize = 1 << 16;

/// Most descriptors that are looked at one after the other or copied, in all.
/// Programs with thousands of open files that start thousands of others stay
/// far below; what was made up to take hours stops within seconds.
const MAX_WORK: u64 = 1 << 28;

/// What the file descriptors of many processes are.
///
/// Bounded in memory and time: names that are too many are forgotten, and
/// their descriptors are written as numbers.
#[derive(Debug)]
pub struct FdTables {
    /// Which table a process has; processes may share one.
    table_of: FxHashMap<u32, u64>,
    tables: FxHashMap<u64, Shared>,
    next_table: u64,
    bytes: usize,
    /// How much of [`MAX_WORK`] is left.
    work_left: u64,
}

#[derive(Debug)]
struct Shared {
    table: FdTable,
    users: u32,
}

impl Default for FdTables {
    fn default() -> Self {
        FdTables {
            table_of: FxHashMap::default(),
            tables: FxHashMap::default(),
            next_table: 0,
            bytes: 0,
            work_left: MAX_WORK,
        }
    }
}

impl FdTables {
    /// A process and what is known of it; replaces what was known before.
    pub fn start(&mut self, pid: u32, table: FdTable) {
        self.exit(pid);
        if self.work_left == 0 {
            return;
        }
        if self.table_of.len() < MAX_PROCESSES && self.bytes + table.bytes() <= MAX_BYTES {
            self.bytes += table.bytes();
            self.tables.insert(self.next_table, Shared { table, users: 1 });
            self.table_of.insert(pid, self.next_table);
            self.next_table += 1;
        }
    }

    /// Process `child` was made by `parent`, and has a copy of its descriptors
    /// or shares them (`CLONE_FILES`).
    ///
    /// Call it before the first call of the child, where that is known: with
    /// `vfork` the parent's own call returns much later. For `fork`, `vfork`
    /// and `clone` it happens at the latest when that call is followed. Not
    /// for `clone3`, whose flags are not recorded.
    pub fn fork(&mut self, parent: u32, child: u32, shares: bool) {
        if parent == child {
            return;
        }
        let Some(&id) = self.table_of.get(&parent) else {
            return self.start(child, FdTable::default());
        };
        if !shares {
            let copy = self.tables[&id].table.clone();
            return self.start(child, copy);
        }
        self.exit(child);
        if self.table_of.len() < MAX_PROCESSES
            && let Some(shared) = self.tables.get_mut(&id)
        {
            shared.users += 1;
            self.table_of.insert(child, id);
        }
    }

    /// The process is gone.
    pub fn exit(&mut self, pid: u32) {
        let Some(id) = self.table_of.remove(&pid) else { return };
        let Some(shared) = self.tables.get_mut(&id) else { return };
        shared.users -= 1;
        if shared.users == 0 {
            self.bytes -= shared.table.bytes();
            self.tables.remove(&id);
        }
    }

    /// Forgets everything, as one must after calls were lost.
    pub fn forget(&mut self) {
        *self = FdTables { work_left: self.work_left, ..FdTables::default() };
    }

    /// What the descriptors of a process are.
    pub fn table(&self, pid: u32) -> Option<&FdTable> {
        Some(&self.tables.get(self.table_of.get(&pid)?)?.table)
    }

    /// Follows a call of any thread of process `pid`. Calls come in the order
    /// in which they were left.
    pub fn apply(&mut self, pid: u32, call: &Invocation, span: Span) {
        let name = rz_syscalls::name(call.number).unwrap_or_default();
        let succeeded = call.success();
        let flag = |arg: usize, flag: u32| call.args[arg] as u32 & flag != 0;
        match name {
            "exit_group" => return self.exit(pid),
            "fork" | "vfork" | "clone" => {
                let flags = if name == "clone" { call.args[0] as u32 as i32 } else { 0 };
                if let Some(child) = succeeded.and_then(|pid| u32::try_from(pid).ok())
                    && child != 0
                    && flags & libc::CLONE_THREAD == 0
                    && !self.table_of.contains_key(&child)
                {
                    self.fork(pid, child, flags & libc::CLONE_FILES != 0);
                }
                return;
            }
            "execve" | "execveat" if succeeded.is_some() => self.unshare(pid),
            "unshare" if succeeded.is_some() && flag(0, libc::CLONE_FILES as u32) => {
                self.unshare(pid);
            }
            "close_range" if succeeded.is_some() && flag(2, libc::CLOSE_RANGE_UNSHARE) => {
                self.unshare(pid);
            }
            _ => {}
        }
        if !self.table_of.contains_key(&pid) {
            self.start(pid, FdTable::default());
        }
        let id = self.table_of.get(&pid);
        let Some(shared) = id.and_then(|id| self.tables.get_mut(id)) else { return };
        self.bytes -= shared.table.bytes();
        let before = shared.table.work();
        shared.table.apply(call, span);
        self.work_left = self.work_left.saturating_sub(shared.table.work() - before);
        if self.bytes + shared.table.bytes() > MAX_BYTES {
            shared.table.forget();
        }
        self.bytes += shared.table.bytes();
        if self.work_left == 0 {
            self.forget();
        }
    }

    /// Gives a process that shares its table one of its own.
    fn unshare(&mut self, pid: u32) {
        let id = self.table_of.get(&pid);
        if let Some(shared) = id.and_then(|id| self.tables.get(id))
            && shared.users > 1
        {
            let copy = shared.table.clone();
            self.start(pid, copy);
        }
    }
}

#[cfg(test)]
mod tests;
