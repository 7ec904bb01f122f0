//! The set of recorded processes, and what is recorded of their system calls.

use std::collections::BTreeSet;
use std::io;

use rz_syscalls::{Captured, Count, Data, Pointee, When};

use super::attach::Options;
use super::error::{BpfError, refused};
use super::layout::{CallInfo, DataInfo, MAX_CALLS};
use super::maps::Table;
use super::programs::Loaded;
use crate::tracker::procfs;

/// Value of `UNTIL_EXEC` and `LIVE` in the set of processes.
const UNTIL_EXEC: u32 = 1;
const LIVE: u32 = 2;
/// Values of `enum capture`.
const CAPTURE_TEXT: u8 = 1;
const CAPTURE_ADDRESS_IN: u8 = 2;
const CAPTURE_ADDRESS_OUT: u8 = 3;
/// Of an unknown call, all arguments may mean something.
const UNKNOWN_CALL: CallInfo = [1, 6, 0, 0, 0, 0, 0, 0];

/// Puts the targets into the set of processes, and returns them with the
/// children that they have by then.
pub(super) fn track(loaded: &Loaded, options: &Options) -> Result<Vec<u32>, BpfError> {
    if options.all {
        let own = std::process::id();
        return Ok(procfs::processes().into_iter().filter(|pid| *pid != own).collect());
    }
    let gone = |pid: &&u32| !procfs::is_running(**pid);
    if let Some(pid) = options.pids.iter().find(gone) {
        return Err(BpfError::NoSuchProcess(*pid));
    }
    let tracked: Table<4, 4> = Table::of(loaded, "tracked")?;
    let how = if options.start_on_exec { UNTIL_EXEC } else { LIVE };
    let mut found = BTreeSet::new();
    let mut pids = options.pids.clone();
    while let Some(pid) = pids.pop() {
        if !found.insert(pid) {
            continue;
        }
        tracked
            .set(pid.to_ne_bytes(), &how.to_ne_bytes())
            .map_err(|error| refused("the set of processes", &error))?;
        if !procfs::is_running(pid) {
            // It may have ended before it was in the set, and its number must
            // not be taken for it later.
            let _ = tracked.remove(pid.to_ne_bytes());
            found.remove(&pid);
            continue;
        }
        // From here on its new children are tracked by the program.
        if options.follow && !options.start_on_exec {
            pids.extend(procfs::children(pid));
        }
    }
    Ok(found.into_iter().collect())
}

/// Says what to do about each system call.
pub(super) fn set_up_calls(loaded: &Loaded, options: &Options) -> Result<(), BpfError> {
    let Some(calls) = &options.calls else { return Ok(()) };
    let infos: Table<4, 8> = Table::of(loaded, "call_infos")?;
    let set = |number: u32, info| infos.set(number.to_ne_bytes(), &info);
    let set_all = || {
        for number in 0..MAX_CALLS {
            if calls.numbers.is_empty() || calls.numbers.contains(&number) {
                set(number, call_info(number))?;
            }
        }
        // The numbers of the 32-bit interface are others.
        match calls.numbers.is_empty() {
            true => set(MAX_CALLS, UNKNOWN_CALL),
            false => Ok(()),
        }
    };
    set_all().map_err(|error: io::Error| refused("the list of system calls", &error))
}

/// Says where the data of each system call is.
pub(super) fn set_up_data(loaded: &Loaded) -> Result<(), BpfError> {
    let infos: Table<4, { size_of::<DataInfo>() }> = Table::of(loaded, "data_infos")?;
    let with_data = rz_syscalls::all().iter().filter(|call| !call.data().is_empty());
    for call in with_data.filter(|call| call.number < MAX_CALLS) {
        let set = infos.set(call.number.to_ne_bytes(), &data_info(call.data()));
        set.map_err(|error| refused("the list of data of system calls", &error))?;
    }
    Ok(())
}

/// Elements of an array that are copied, at most: as many as strace prints.
const MAX_ELEMENTS: u16 = 32;
/// How many there are, if no argument says so.
const ONE: u8 = 6;
const AS_RESULT: u8 = 7;

fn data_info(data: &[Data]) -> DataInfo {
    let mut info = DataInfo::default();
    for (slot, data) in info.chunks_exact_mut(8).zip(data) {
        let (kind, size) = match data.what {
            Pointee::Iovec => (2, 0),
            Pointee::Message => (3, 0),
            what => (1, what.size() as u16),
        };
        let most = if data.what == Pointee::Bytes { 0 } else { MAX_ELEMENTS };
        let count = match data.count {
            Count::One => ONE,
            Count::Argument(index) => index as u8,
            Count::Result => AS_RESULT,
        };
        let when = match data.when {
            When::Always => 0,
            When::Succeeded => 1,
            When::Failed => 2,
        };
        slot[..4].copy_from_slice(&[kind, data.arg as u8, count, when]);
        slot[4..6].copy_from_slice(&size.to_le_bytes());
        slot[6..].copy_from_slice(&most.to_le_bytes());
    }
    info
}

/// What the programs have to know of a system call that is recorded.
fn call_info(number: u32) -> CallInfo {
    let Some(call) = rz_syscalls::by_number(number) else { return UNKNOWN_CALL };
    let mut info = [1, call.args.len() as u8, 0, 0, 0, 0, 0, 0];
    for (at, capture) in call.captures().take(2).enumerate() {
        let (what, len_arg) = match capture.what {
            Captured::Text => (CAPTURE_TEXT, 0),
            Captured::SockaddrIn { len_arg } => (CAPTURE_ADDRESS_IN, len_arg),
            Captured::SockaddrOut { len_ptr_arg } => (CAPTURE_ADDRESS_OUT, len_ptr_arg),
        };
        (info[2 + at], info[4 + at], info[6 + at]) = (what, capture.arg as u8, len_arg as u8);
    }
    info
}
