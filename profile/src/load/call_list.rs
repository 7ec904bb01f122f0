//! Loads single system calls, to be listed in order of time.
//!
//! Memory is bounded: of very many calls only the first ones are kept, or the
//! last ones and those before that changed what file descriptors are. The same
//! goes for calls that a filter leaves out.

use std::path::Path;
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};
pub use rz_format::Call;
use rz_format::{
    BlockHeader, BlockKind, CallDetail, CallNumbers, FormatError, IndexEntry, LossClass, OpenFile,
    Process, Record, TextDefs, TextId, read_index,
};

pub use super::call_counts::errno as call_errno;
use super::facts::Facts;
use super::pass::{CallRows, Defined, Pass, Sink};
use super::prelude::Prelude;
use super::selection::Selection;
use super::texts::Texts;
use super::{LoadError, info};
use crate::filter::Filter;

/// Calls that are kept, at most, unless it is said otherwise.
pub const MAX_CALLS_KEPT: usize = 1 << 21;

/// The same of any file, and for two bytes more of it one: a byte may stand for many.
const FEWEST_CALLS: u64 = 1 << 18;

/// Memory for what is known of open files, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// Which calls to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// Only the last so many are of interest.
    pub tail: Option<usize>,
    /// Only calls that failed are of interest.
    pub errors: bool,
    /// Calls to keep, at most.
    pub limit: usize,
}

impl Default for CallOptions {
    fn default() -> Self {
        CallOptions { tail: None, errors: false, limit: MAX_CALLS_KEPT }
    }
}

/// The system calls of a trace.
#[derive(Debug, Default)]
pub struct CallList {
    /// The calls in order of their beginnings: those of interest, and others
    /// that changed what file descriptors are.
    pub calls: Vec<Call>,
    /// What else happened to file descriptors, in order of time.
    pub changes: Vec<FileChange>,
    /// Files that were open at the start, by process number.
    pub open_files: Vec<(u32, OpenFile)>,
    /// Working directories at the start, by process number.
    pub directories: Vec<(u32, String)>,
    /// Whether all that is done to file descriptors is here, but for losses.
    /// If not, what they are cannot be told.
    pub files_are_complete: bool,
    /// Whether calls were recorded at all, one by one or only their totals.
    pub recorded: bool,
    /// Calls that were recorded and are not kept, as there are too many.
    pub left_out: u64,
    /// Things a reader should know, one sentence each.
    pub notes: Vec<String>,
    selection: Selection,
    threads: FxHashMap<u32, CallThread>,
    texts: Texts,
    data: Texts,
    start_ns: u64,
    start_unix_ns: u64,
}

/// The thread that made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallThread {
    /// Number of its process on the host.
    pub pid: u32,
    /// Its own number.
    pub tid: u32,
}

/// Something that changed what file descriptors are, apart from calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileChange {
    /// When, on the trace's clock.
    pub time_ns: u64,
    /// What happened.
    pub what: FileEvent,
}

/// What changed what file descriptors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEvent {
    /// A process made another one.
    Forked {
        /// The process.
        parent: u32,
        /// The new one.
        child: u32,
        /// Whether both have the same descriptors from then on.
        shares: bool,
    },
    /// A process is gone.
    Exited {
        /// The process.
        pid: u32,
    },
    /// Calls are missing, so that nothing is known any more.
    Lost,
}

impl CallList {
    /// The thread that made a call; `None` if its definition is missing.
    pub fn thread(&self, call: &Call) -> Option<CallThread> {
        self.threads.get(&call.thread).copied()
    }

    /// Whether a call is one that the filter selects.
    pub fn is_selected(&self, call: &Call) -> bool {
        self.selection.has_call(call)
    }

    /// A text that a call refers to; `None` if its definition is missing.
    pub fn text(&self, id: TextId) -> Option<&[u8]> {
        self.texts.get(id)
    }

    /// What was copied of the memory that a call was given.
    pub fn data(&self, call: &Call) -> &[u8] {
        call.data.and_then(|id| self.data.get(id)).unwrap_or_default()
    }

    /// A time of the trace's clock in nanoseconds since the Unix epoch.
    pub fn unix_ns(&self, time_ns: u64) -> u64 {
        let later = time_ns.saturating_sub(self.start_ns);
        let earlier = self.start_ns.saturating_sub(time_ns);
        self.start_unix_ns.saturating_add(later).saturating_sub(earlier)
    }

    /// A time of the trace's clock since the start of the recording; 0 before
    /// that.
    pub fn since_start(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.start_ns)
    }
}

/// Reads the system calls of the trace at `path`. Of the filter, only time and
/// threads matter; calls that reach into the window are whole.
///
/// # Errors
/// As [`load`](super::load): only if the file cannot be read, is no trace, or
/// has nothing in the window of time.
pub fn load_calls(
    path: &Path,
    options: &CallOptions,
    filter: &Filter,
) -> Result<CallList, LoadError> {
    let selection = Selection::of(path, &Prelude::of(path)?, filter)?;
    let everything = Selection::default();
    let options = CallOptions { limit: most_kept(path, options), ..*options };
    let whole = Kept::new(options, selection);
    let mut read = read_calls(path, &everything, whole.clone(), true)?;
    if whole.plain_tail().is_some() && !read.pass.reader.damage().is_empty() {
        // The index counts on calls that are damaged.
        read = read_calls(path, &everything, whole, false)?;
    }
    let ReadCalls { pass, files, kept } = read;
    let Pass { reader, defined: Defined { facts, names, .. }, .. } = pass;
    let texts = names.texts;
    let (start_ns, start_unix_ns) = info::start(&facts, reader.header());
    let mut list = CallList { start_ns, start_unix_ns, texts, ..CallList::default() };
    list.notes = info::file_notes(&facts, reader.damage(), reader.unknown());
    list.notes.extend(facts.sources.notes());
    list.notes.extend(info::lost_calls_note(&facts));
    list.threads = threads(&facts);
    let captured = facts.sources.captured();
    let detail = captured.as_ref().map_or(CallDetail::None, |captured| captured.calls.into());
    list.recorded = detail != CallDetail::None || kept.seen > 0;
    let all_files = captured.is_none_or(|captured| {
        captured.slower_than_ns == 0 && has_file_calls(&captured.call_numbers)
    });
    if !all_files {
        list.notes.push(
            "file descriptors have no names: not all calls that close files were recorded"
                .to_owned(),
        );
    }
    let is_alone = facts.sources.iter().count() == 1;
    if !is_alone {
        list.notes.push(
            "file descriptors have no names: processes of several recordings may have the same \
             number"
                .to_owned(),
        );
    }
    if detail == CallDetail::Totals {
        list.notes.push("only totals of system calls were recorded: see --syscalls".to_owned());
    }
    let recorded = kept.seen;
    let dropped;
    list.selection = kept.selection.clone();
    (list.calls, list.data, dropped) = kept.finish();
    if *filter != Filter::default() {
        let window = filter.by_time().then(|| list.selection.span(start_ns)).flatten();
        list.notes.push(format!("filter: {}", filter.describe(window, list.selection.spans())));
        if list.recorded && !list.calls.iter().any(|call| list.is_selected(call)) {
            list.notes.push("the filter leaves no system calls".to_owned());
        }
    }
    if dropped {
        let limit = options.limit;
        list.left_out = recorded.saturating_sub(limit as u64);
        list.notes.push(match options.tail {
            None => format!("of {recorded} system calls only the first {limit} are kept in memory"),
            Some(_) => format!(
                "of {recorded} system calls only the last {limit} are kept in memory: file \
                 descriptors have no names"
            ),
        });
    }
    // What those that are missing at the front opened and closed is unknown.
    list.files_are_complete = is_alone && all_files && (!dropped || options.tail.is_none());
    files.finish(&facts, &mut list);
    Ok(list)
}

/// How many calls are kept of the trace at `path`.
pub(super) fn most_kept(path: &Path, options: &CallOptions) -> usize {
    let file_size = path.metadata().map_or(0, |file| file.len());
    let most = usize::try_from(FEWEST_CALLS + file_size / 2).unwrap_or(usize::MAX);
    options.limit.min(most)
}

/// A trace that was gone through for its calls.
struct ReadCalls<'p> {
    pass: Pass<'p>,
    files: Files,
    kept: Kept,
}

/// Goes through a trace. With its index, blocks are passed over that have none of
/// the last calls.
fn read_calls<'p>(
    path: &Path,
    everything: &'p Selection,
    mut kept: Kept,
    by_index: bool,
) -> Result<ReadCalls<'p>, LoadError> {
    let format = |cause: FormatError| LoadError::of(path, cause);
    let mut pass = Pass::open(path, everything, None)?;
    let mut files = Files::default();
    let wanted = |block: &BlockHeader| {
        [BlockKind::RECORDS, BlockKind::TEXTS, BlockKind::CALL_DATA, BlockKind::CALLS]
            .contains(&block.kind)
    };
    let Some(tail) = kept.plain_tail() else {
        pass.run(wanted, CallRows::Whole, &mut [&mut files, &mut kept]).map_err(format)?;
        return Ok(ReadCalls { pass, files, kept });
    };
    let index = if by_index { read_index(pass.reader.file_mut()) } else { Ok(Vec::new()) };
    let from_ns = tail_from_ns(&index.map_err(format)?, tail);
    let last = |numbers: &CallNumbers<'_>| rows_of_interest(numbers, tail, from_ns);
    let rows = CallRows::Chosen(&last);
    pass.run(wanted, rows, &mut [&mut files, &mut kept]).map_err(format)?;
    Ok(ReadCalls { pass, files, kept })
}

/// Whether all calls that close files are among these; empty: all calls are.
fn has_file_calls(numbers: &[u32]) -> bool {
    const CLOSING: [&str; 6] = ["close", "close_range", "dup2", "dup3", "execve", "execveat"];
    let recorded = |name: &&str| rz_syscalls::number(name).is_some_and(|nr| numbers.contains(&nr));
    numbers.is_empty() || CLOSING.iter().all(recorded)
}

pub(super) fn threads(facts: &Facts) -> FxHashMap<u32, CallThread> {
    let thread = |thread: &rz_format::Thread| {
        let process = facts.processes.index_of(thread.process);
        let pid = process.map_or(0, |index| facts.processes.values()[index].pid);
        (thread.id, CallThread { pid, tid: thread.tid })
    };
    facts.threads.values().iter().map(thread).collect()
}

/// What is known of file descriptors besides calls.
#[derive(Debug, Default)]
struct Files {
    /// With ids of processes in place of numbers.
    open_files: Vec<OpenFile>,
    directories: Vec<(u32, String)>,
    /// Ends of processes, or of the programs that they ran, by id.
    ends: FxHashMap<u32, u64>,
    losses: Vec<u64>,
    bytes: usize,
}

impl Sink for Files {
    fn record(&mut self, record: &Record, _facts: &Facts) {
        let text = match record {
            Record::OpenFile(file) => file.target.len(),
            Record::WorkingDirectory(directory) => directory.path.len(),
            Record::ProcessExit(_) => 0,
            Record::Loss(loss) if LossClass::from(loss.class) == LossClass::Calls => 0,
            _ => return,
        };
        self.bytes += size_of::<OpenFile>() + text;
        if self.bytes > MAX_BYTES {
            return;
        }
        match record {
            Record::OpenFile(file) => self.open_files.push(file.clone()),
            Record::WorkingDirectory(directory) => {
                self.directories.push((directory.process, directory.path.clone()));
            }
            Record::ProcessExit(exit) => drop(self.ends.insert(exit.id, exit.time_ns)),
            Record::Loss(loss) => self.losses.push(loss.from_ns),
            _ => {}
        }
    }
}

impl Files {
    fn finish(self, facts: &Facts, list: &mut CallList) {
        let processes = facts.processes.values();
        let pid_of = |id: u32| Some(processes[facts.processes.index_of(id)?].pid);
        let files = self.open_files.into_iter();
        list.open_files = files.filter_map(|file| Some((pid_of(file.process)?, file))).collect();
        let directories = self.directories.into_iter();
        list.directories = directories.filter_map(|(id, path)| Some((pid_of(id)?, path))).collect();
        // A process that replaces its program ends and begins at once.
        let ends = processes.iter().filter_map(|process| {
            let time_ns = *self.ends.get(&process.id)?;
            Some((process.pid, time_ns))
        });
        let ends: FxHashSet<(u32, u64)> = ends.collect();
        let starts: FxHashSet<(u32, u64)> =
            processes.iter().map(|process| (process.pid, process.start_ns)).collect();
        let mut exited: Vec<FileChange> = ends
            .difference(&starts)
            .map(|&(pid, time_ns)| FileChange { time_ns, what: FileEvent::Exited { pid } })
            .collect();
        exited.sort_unstable_by_key(|change| change.time_ns);
        let makers = Makers::of(list);
        let forked = processes.iter().filter(|process| {
            process.start_ns > 0 && !ends.contains(&(process.pid, process.start_ns))
        });
        let forked = forked
            .map(|process| FileChange { time_ns: process.start_ns, what: makers.forked(process) });
        let losses = self.losses.into_iter();
        let losses = losses.map(|time_ns| FileChange { time_ns, what: FileEvent::Lost });
        // A number that is free at a time can be taken at the same time.
        list.changes = exited.into_iter().chain(forked).chain(losses).collect();
        list.changes.sort_by_key(|change| change.time_ns);
    }
}

/// The calls that made processes, by what they returned.
struct Makers<'l> {
    list: &'l CallList,
    calls: FxHashMap<i64, Vec<&'l Call>>,
}

impl<'l> Makers<'l> {
    fn of(list: &'l CallList) -> Self {
        let makes = |number| {
            matches!(rz_syscalls::name(number), Some("fork" | "vfork" | "clone" | "clone3"))
        };
        let mut calls: FxHashMap<i64, Vec<&Call>> = FxHashMap::default();
        let finished = list.calls.iter().filter(|call| !call.seen.unfinished && call.result > 0);
        for call in finished.filter(|call| makes(call.number)) {
            calls.entry(call.result).or_default().push(call);
        }
        Makers { list, calls }
    }

    /// How a process came about. Who called is asked before what was recorded
    /// as its parent: with `CLONE_PARENT`, and after the caller is gone, that is
    /// another one, which has other files.
    fn forked(&self, process: &Process) -> FileEvent {
        let child = process.pid;
        let during = |call: &&&Call| {
            let end_ns = call.start_ns.saturating_add(call.duration_ns);
            (call.start_ns..=end_ns).contains(&process.start_ns)
        };
        let calls = self.calls.get(&i64::from(child));
        let call = calls.and_then(|calls| calls.iter().find(during));
        let maker = call.and_then(|call| Some((call, self.list.thread(call)?.pid)));
        let Some((call, parent)) = maker else {
            return FileEvent::Forked { parent: process.parent_pid, child, shares: false };
        };
        let flags = match rz_syscalls::name(call.number) {
            Some("clone") => call.args[0] as i32,
            // The flags of `clone3` are in memory.
            _ => 0,
        };
        FileEvent::Forked { parent, child, shares: flags & libc::CLONE_FILES != 0 }
    }
}

/// Calls that are kept before any are sorted out.
const FIRST_SHRINK: usize = 1 << 16;

/// The rows of a block that may be among the last `tail` calls of the trace, none
/// of which begins before `tail_from_ns`, or change files.
fn rows_of_interest(
    numbers: &CallNumbers<'_>,
    tail: usize,
    tail_from_ns: u64,
) -> Result<Vec<usize>, FormatError> {
    let mut rows = Vec::new();
    let mut next = 0;
    for (number, count) in numbers.runs()? {
        if u32::try_from(number).is_ok_and(may_change_files) {
            rows.extend(next..next + count);
        }
        next += count;
    }
    if tail == 0 || numbers.last_ns < tail_from_ns {
        return Ok(rows);
    }
    let starts = numbers.starts()?;
    // Calls before this one cannot be: so many of the block begin later.
    let earliest = match starts.len().checked_sub(tail) {
        None => 0,
        Some(before) => *starts.clone().select_nth_unstable(before).1,
    };
    let earliest = earliest.max(tail_from_ns);
    rows.extend((0..starts.len()).filter(|&row| starts[row] >= earliest));
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

/// Before when none of the last `tail` calls begins, as far as the index tells:
/// each block has a call that begins when it does.
fn tail_from_ns(index: &[IndexEntry], tail: usize) -> u64 {
    let blocks = index.iter().filter(|block| block.kind == BlockKind::CALLS);
    let mut firsts: Vec<u64> = blocks.map(|block| block.first_ns).collect();
    match firsts.len().checked_sub(tail) {
        Some(before) if tail > 0 => *firsts.select_nth_unstable(before).1,
        _ => 0,
    }
}

/// The calls that are kept.
#[derive(Debug, Clone)]
struct Kept {
    options: CallOptions,
    selection: Selection,
    calls: Vec<Call>,
    seen: u64,
    data: Texts,
    /// Whether calls of interest or about files are missing.
    dropped: bool,
    /// How many are kept until some are sorted out.
    shrink_at: usize,
}

impl Sink for Kept {
    fn calls(&mut self, rows: &[Call]) {
        rows.iter().for_each(|call| self.add(*call));
    }

    fn call_data(&mut self, definitions: &TextDefs) {
        self.data.add(definitions.clone());
    }

    fn calls_passed_over(&mut self, count: u64) {
        self.seen += count;
    }
}

impl Kept {
    fn new(options: CallOptions, selection: Selection) -> Self {
        let shrink_at = FIRST_SHRINK.min(options.limit.saturating_add(1));
        Kept {
            options,
            selection,
            calls: Vec::new(),
            seen: 0,
            data: Texts::default(),
            dropped: false,
            shrink_at,
        }
    }

    /// How many of the last calls are of interest, if of the others only those are
    /// that change files.
    fn plain_tail(&self) -> Option<usize> {
        let CallOptions { tail, errors, .. } = self.options;
        tail.filter(|_| !errors && self.selection.is_everything())
    }

    fn add(&mut self, call: Call) {
        self.seen += 1;
        let is_of_interest =
            (!self.options.errors || call_errno(&call).is_some()) && self.selection.has_call(&call);
        let matters_later =
            call.start_ns < self.selection.window.to_ns && may_change_files(call.number);
        if !is_of_interest && !matters_later {
            return;
        }
        self.calls.push(call);
        if self.calls.len() >= self.shrink_at {
            self.shrink();
            // So that sorting out is rare: twice what is left, or a quarter more
            // than what is kept at most.
            let most = self.options.limit.saturating_add(self.options.limit / 4 + 1);
            self.shrink_at = (2 * self.calls.len()).max(FIRST_SHRINK).min(most);
        }
    }

    /// Sorts out what is too much.
    fn shrink(&mut self) {
        let CallOptions { limit, tail, .. } = self.options;
        if let Some(tail) = self.plain_tail() {
            self.thin_out_before(tail);
        }
        let more = self.calls.len().saturating_sub(limit);
        if more == 0 {
            return;
        }
        self.dropped = true;
        if limit == 0 {
            self.calls.clear();
        } else if tail.is_some() {
            self.calls.select_nth_unstable_by_key(more, |call| call.start_ns);
            self.calls.drain(..more);
        } else {
            self.calls.select_nth_unstable_by_key(limit - 1, |call| call.start_ns);
            self.calls.truncate(limit);
        }
    }

    /// Sorts out calls that do not change files, except for the last ones.
    fn thin_out_before(&mut self, tail: usize) {
        let before = self.calls.len().saturating_sub(tail);
        if before == 0 {
            return;
        }
        if tail > 0 {
            self.calls.select_nth_unstable_by_key(before, |call| call.start_ns);
        }
        let mut index = 0;
        self.calls.retain(|call| {
            index += 1;
            index > before || may_change_files(call.number)
        });
    }

    /// The calls in order, their data, and whether any are missing.
    fn finish(mut self) -> (Vec<Call>, Texts, bool) {
        if self.calls.len() > self.options.limit {
            self.shrink();
        }
        self.calls.sort_by_key(|call| (call.start_ns, call.thread));
        (self.calls, self.data, self.dropped)
    }
}

/// Whether what a call returns may be a new file descriptor.
pub fn makes_fd(number: u32) -> bool {
    let syscall = rz_syscalls::by_number(number);
    syscall.is_some_and(|call| call.returns == rz_syscalls::Returns::Fd || call.name == "fcntl")
}

/// Whether a call may change what file descriptors are. Says so of all but
/// the most frequent ones that do not.
pub fn may_change_files(number: u32) -> bool {
    // It is asked of every call.
    static KNOWN: LazyLock<Vec<bool>> = LazyLock::new(|| (0..512).map(changes_files).collect());
    KNOWN.get(number as usize).copied().unwrap_or_else(|| changes_files(number))
}

fn changes_files(number: u32) -> bool {
    const FREQUENT: &[&str] = &[
        "read",
        "write",
        "readv",
        "writev",
        "pread64",
        "pwrite64",
        "recvfrom",
        "sendto",
        "sendmsg",
        "poll",
        "ppoll",
        "select",
        "pselect6",
        "epoll_wait",
        "epoll_pwait",
        "epoll_ctl",
        "futex",
        "nanosleep",
        "clock_nanosleep",
        "clock_gettime",
        "gettimeofday",
        "lseek",
        "stat",
        "fstat",
        "lstat",
        "newfstatat",
        "statx",
        "access",
        "mmap",
        "munmap",
        "mprotect",
        "madvise",
        "brk",
        "rt_sigaction",
        "rt_sigprocmask",
        "sched_yield",
        "getpid",
        "gettid",
        "fsync",
        "fdatasync",
    ];
    !rz_syscalls::name(number).is_some_and(|name| FREQUENT.contains(&name))
}
