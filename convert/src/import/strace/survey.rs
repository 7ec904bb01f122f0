//! What a log of strace tells as a whole.

use std::fs::File;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::syscalls::parse::parse_quoted;

use super::line::{self, End, What};
use crate::import::ImportError;
use crate::import::clock::{Clock, Time, epoch_ns};
use crate::import::lines::for_lines;
use crate::import::threads::{MAX_THREADS, Named};

/// Calls whose end has not come, at most.
pub(super) const MAX_BEGUN: usize = 1 << 16;
/// Bytes that are kept of the arguments of such a call.
const MAX_ARGS: usize = 4096;
/// Longest path of a program, in bytes.
const MAX_PATH: usize = 4096;

/// What is to be known before anything is written.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The first time that is in the log.
    first: Option<Time>,
    /// Calls that have returned.
    calls: u64,
    /// Those of them that say how long they took.
    timed: u64,
    names: FxHashMap<u32, String>,
    /// The process of a thread that another one began.
    groups: FxHashMap<u32, u32>,
    seen: FxHashSet<u32>,
    /// Of calls in two lines that begin threads and programs: the first.
    begun: FxHashMap<u32, String>,
    /// The name of what lines without a thread are of.
    main_name: String,
    /// The thread that lines without one are of.
    main: Option<u32>,
}

impl Survey {
    pub(super) fn of(file: &File) -> Result<Self, ImportError> {
        let mut survey = Survey::default();
        for_lines(file, |text| {
            if let Some(line) = text.and_then(line::parse) {
                survey.first = survey.first.or(line.time);
                survey.take(line.tid, line.what);
            }
            Ok(())
        })?;
        if survey.calls == 0 {
            let message = "damaged log of strace: there is no call that returned".to_owned();
            return Err(ImportError::Unusable(message));
        }
        // Until there is a second thread, strace may not say whose lines are.
        let mut roots = survey.seen.iter().filter(|tid| !survey.groups.contains_key(tid));
        survey.main = roots.next().copied().filter(|_| roots.next().is_none());
        Ok(survey)
    }

    fn take(&mut self, tid: Option<u32>, what: What) {
        if self.seen.len() < MAX_THREADS {
            self.seen.extend(tid);
        }
        match what {
            What::Call { name, args, end } => self.take_end(tid, name, args, end),
            What::Begun { name, args } if begins_something(name) => {
                if self.begun.len() < MAX_BEGUN {
                    self.begun.insert(tid.unwrap_or(0), beginning(args).to_owned());
                }
            }
            What::Resumed { name, end, .. } => {
                let args = self.begun.remove(&tid.unwrap_or(0)).unwrap_or_default();
                self.take_end(tid, name, &args, end);
            }
            What::Begun { .. } | What::Frame(_) | What::Ended | What::Other => {}
        }
    }

    fn take_end(&mut self, tid: Option<u32>, name: &str, args: &str, end: End) {
        self.calls += 1;
        self.timed += u64::from(end.took_ns.is_some());
        let Some(result) = end.result.filter(|_| begins_something(name)) else { return };
        if self.names.len() >= MAX_THREADS {
            return;
        }
        let caller = tid.unwrap_or(0);
        if name == "execve" {
            let path = parse_quoted(args).filter(|_| result == 0).map(|(path, _)| path);
            let Some(path) = path else { return };
            let path = String::from_utf8_lossy(&path[..path.len().min(MAX_PATH)]);
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            match tid {
                Some(tid) => drop(self.names.insert(tid, name)),
                None => self.main_name = name,
            }
        } else if let Ok(child @ 1..) = u32::try_from(result)
            && self.groups.len() < MAX_THREADS
        {
            let is_thread = args.contains("CLONE_THREAD");
            let group = self.groups.get(&caller).copied().unwrap_or(caller);
            self.groups.insert(child, if is_thread { group } else { child });
            let name = tid.and_then(|tid| self.names.get(&tid)).unwrap_or(&self.main_name).clone();
            self.names.entry(child).or_insert(name);
        }
    }

    /// When the log begins, in nanoseconds since the Unix epoch, if it says that.
    pub(super) fn first_epoch_ns(&self) -> Option<u64> {
        epoch_ns(self.first)
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::since(self.first)
    }

    pub(super) fn thread(&self, tid: Option<u32>) -> Named {
        let Some(tid) = tid.or(self.main) else {
            return Named { pid: 0, tid: 0, name: self.main_name.clone() };
        };
        let name = self.names.get(&tid).unwrap_or(&self.main_name).clone();
        let group = self.groups.get(&tid).copied().unwrap_or(tid);
        let pid = if group == 0 { self.main.unwrap_or(0) } else { group };
        Named { pid, tid, name }
    }

    /// What a reader should know of the whole.
    pub(super) fn notes(&self) -> impl Iterator<Item = &'static str> {
        let no_times = self.first.is_none().then_some(
            "the log does not say when calls were made (strace -ttt): all are at its beginning",
        );
        let no_durations = (self.timed == 0)
            .then_some("the log does not say how long calls took (strace -T): 0 stands for that");
        no_times.into_iter().chain(no_durations)
    }
}

/// As much of a call's arguments as is kept.
pub(super) fn beginning(args: &str) -> &str {
    &args[..args.floor_char_boundary(MAX_ARGS)]
}

/// Whether a call begins a thread or a program.
fn begins_something(name: &str) -> bool {
    matches!(name, "execve" | "clone" | "clone3" | "fork" | "vfork")
}
