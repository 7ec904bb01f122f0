//! What is known of one process.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use rz_profile::inventory::{
    Inventory, Limit, Mapping, Module, NO_LIMIT, OpenFile, ProcessFacts, ProcessInventory, Thread,
};
use rz_profile::model::Info;
use serde::Serialize;

use super::{cleaned, known};
use crate::model::calltree::Amount;
use crate::model::rows::Rows;
use crate::render::format::hex;

/// Threads whose names differ in a number only are counted from so many on.
const MIN_ALIKE: u64 = 3;

/// What is known of a process. One that replaces its program is another one
/// from then on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProcessInfo {
    /// Its number, which `--process` takes.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// Index of its recording in `trace.recordings`.
    pub recording: usize,
    /// Its samples of the event; `null` without an event.
    pub total: Option<Amount>,
    /// The first word of its command line; `null` if unknown.
    pub argv0: Option<String>,
    /// Its arguments with the first word; `null` unless they were recorded.
    pub arguments: Option<Vec<String>>,
    /// What it was called with, as text: its arguments, quoted where they have
    /// to be, or else the first word.
    #[serde(skip)]
    pub command_line: String,
    /// Whether it is a copy of its parent that has not executed a program, so
    /// that it has whatever that one has.
    pub is_copy: bool,
    /// Path of its executable; `null` if unknown.
    pub executable: Option<String>,
    /// The executable's build-id in hexadecimal digits; `null` if it has none or
    /// it is unknown.
    pub build_id: Option<String>,
    /// The process that started it; `null` if unknown.
    pub parent: Option<ParentInfo>,
    /// When it appeared, in nanoseconds since the start of the recording, as
    /// `filter.window_ns` and `--from` count, or of the first one in a merged
    /// trace; `null` if it was there before.
    pub start_ns: Option<i64>,
    /// When it appeared, in nanoseconds since the Unix epoch; `null` also if the
    /// recording's date is not known.
    pub start_unix_ns: Option<u64>,
    /// When it ended or replaced its program, counted as `start_ns` is; `null`
    /// if it went on beyond the recording's end.
    pub end_ns: Option<i64>,
    /// When it ended, in nanoseconds since the Unix epoch; `null` also if the
    /// recording's date is not known.
    pub end_unix_ns: Option<u64>,
    /// Its effective user id; `null` if unknown.
    pub uid: Option<u32>,
    /// Its effective group id; `null` if unknown.
    pub gid: Option<u32>,
    /// Path of its control group; `null` if unknown.
    pub cgroup: Option<String>,
    /// Its directory when it was found; `null` if unknown.
    pub directory: Option<String>,
    /// Its threads.
    pub threads: Rows<ThreadInfo>,
    /// The threads' names, in order.
    pub thread_names: Rows<ThreadName>,
    /// Files that it has mapped as code, by address.
    pub mapped_files: Rows<MappedFile>,
    /// What it had open when it was found, by number.
    pub open_files: Rows<OpenFileInfo>,
    /// How much of a resource it may use; empty if unknown.
    pub limits: Vec<LimitInfo>,
    /// Its environment's variables, by name.
    pub environment: Rows<VariableInfo>,
    /// Whether the variables' values were recorded.
    pub environment_has_values: bool,
}

/// The process that started one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ParentInfo {
    /// Its number.
    pub pid: u32,
    /// Its name; `null` if it was not recorded.
    pub process: Option<String>,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadInfo {
    /// Its number, which `--thread` takes.
    pub tid: u32,
    /// The name that it had last.
    pub thread: String,
}

/// Threads that have one name, or names that differ in a number only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadName {
    /// Their name, without its number if that differs.
    pub name: String,
    /// Whether numbers come after it.
    pub is_numbered: bool,
    /// How many they are.
    pub count: u64,
}

/// A file that a process has mapped as code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MappedFile {
    /// The lowest address that code of it is at.
    pub start: u64,
    /// Its path on the recording host, or a name in brackets.
    pub path: String,
    /// Its build-id in hexadecimal digits; `null` if it has none or it is
    /// unknown.
    pub build_id: Option<String>,
}

/// A file that was open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OpenFileInfo {
    /// The file descriptor.
    pub fd: u32,
    /// A path, or what else the kernel calls it, such as `socket:[1234]`.
    pub target: String,
    /// Whether executing a program closes it; `null` if unknown.
    pub close_on_exec: Option<bool>,
}

/// How much of a resource a process may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LimitInfo {
    /// What it is called in `/proc/PID/limits`.
    pub name: String,
    /// How much it may use; `null` if that is not limited.
    pub soft: Option<u64>,
    /// To what it may raise that; `null` if that is not limited.
    pub hard: Option<u64>,
    /// What is counted, such as `bytes`; `null` if the kernel does not say.
    pub unit: Option<String>,
}

/// A variable of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// Its value; `null` unless it was recorded.
    pub value: Option<String>,
}

/// What all processes of a page are described by.
pub(super) struct Context<'i> {
    inventory: &'i Inventory,
    info: &'i Info,
    /// Rows of each list, at most.
    rows: usize,
    /// By recording and number, in the order of the inventory.
    by_pid: FxHashMap<(usize, u32), Vec<&'i ProcessInventory>>,
}

impl<'i> Context<'i> {
    pub(super) fn new(inventory: &'i Inventory, info: &'i Info, rows: usize) -> Self {
        let mut by_pid: FxHashMap<_, Vec<_>> = FxHashMap::default();
        for known in &inventory.processes {
            by_pid.entry((known.source, known.process.pid)).or_default().push(known);
        }
        Context { inventory, info, rows, by_pid }
    }

    /// A process's parent, with its name if it was recorded. A number may have
    /// been that of several: it is the last of them that was there before the
    /// child.
    fn parent(&self, child: &ProcessInventory) -> Option<ParentInfo> {
        let pid = Some(child.process.parent_pid).filter(|&pid| pid > 0)?;
        let of_pid = self.by_pid.get(&(child.source, pid)).into_iter().flatten();
        let before = of_pid.filter(|known| known.process.start_ns <= child.process.start_ns);
        let parent = before.max_by_key(|known| known.process.start_ns);
        Some(ParentInfo { pid, process: parent.map(|parent| cleaned(&parent.process.name)) })
    }
}

/// What is known of a process of the inventory, of whose samples `total` is the
/// sum.
pub(super) fn process_info(
    context: &Context,
    known_process: &ProcessInventory,
    total: Option<Amount>,
) -> ProcessInfo {
    let Context { inventory, info, rows, .. } = *context;
    let ProcessInventory { process, facts, mappings, .. } = known_process;
    let executable = module_of(inventory, &process.exe, mappings);
    let facts = facts.as_ref();
    let start_ns = Some(process.start_ns).filter(|&ns| ns > 0);
    let end_ns = known_process.end_ns;
    let arguments = facts.map(|facts| &facts.args).filter(|args| !args.is_empty());
    let threads: Vec<&Thread> = known_process.threads.iter().collect();
    let open_files: Vec<&OpenFile> = known_process.open_files.iter().collect();
    let (environment, environment_has_values) = environment(facts, rows);
    ProcessInfo {
        pid: process.pid,
        process: cleaned(&process.name),
        recording: known_process.source,
        total,
        argv0: known(&process.argv0),
        arguments: arguments.map(|args| args.iter().map(|word| cleaned(word)).collect()),
        command_line: command_line(known_process),
        is_copy: known_process.is_copy,
        executable: known(&process.exe),
        build_id: executable.and_then(build_id),
        parent: context.parent(known_process),
        start_ns: start_ns.map(|ns| since_start_ns(ns, info)),
        start_unix_ns: start_ns.and_then(|ns| unix_ns(ns, info)),
        end_ns: end_ns.map(|ns| since_start_ns(ns, info)),
        end_unix_ns: end_ns.and_then(|ns| unix_ns(ns, info)),
        uid: facts.map(|facts| facts.uid),
        gid: facts.map(|facts| facts.gid),
        cgroup: facts.and_then(|facts| known(&facts.cgroup)),
        directory: known_process.directory.as_deref().and_then(known),
        threads: Rows::first(rows, threads, thread_info),
        thread_names: Rows::first(rows, thread_names(&known_process.threads), |name| name),
        mapped_files: Rows::first(rows, mapped_modules(inventory, mappings), mapped_file),
        open_files: Rows::first(rows, open_files, open_file),
        limits: facts.map_or_else(Vec::new, |facts| facts.limits.iter().map(limit).collect()),
        environment,
        environment_has_values,
    }
}

/// What it was called with: all arguments if they are known, else the first
/// word.
fn command_line(known: &ProcessInventory) -> String {
    let args = known.facts.as_ref().map_or(&[][..], |facts| &facts.args);
    let quoted = |word: &String| match word.is_empty() || word.contains([' ', '\n', '"']) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    match args.is_empty() {
        true => cleaned(&known.process.argv0),
        false => cleaned(&args.iter().map(quoted).collect::<Vec<_>>().join(" ")),
    }
}

/// A time as nanoseconds after another one, as far as such a number goes.
fn signed(time_ns: u64, since_ns: u64) -> i64 {
    match time_ns.checked_sub(since_ns) {
        Some(after) => i64::try_from(after).unwrap_or(i64::MAX),
        None => i64::try_from(since_ns - time_ns).map_or(i64::MIN, |before| -before),
    }
}

/// How long after the start of the recording a moment was; what is known of the
/// trace begins with the window, if there is one.
fn since_start_ns(time_ns: u64, info: &Info) -> i64 {
    let before_window_ns = info.filter.window.map_or(0, |(from_ns, _)| from_ns);
    signed(time_ns, info.start_ns).saturating_add_unsigned(before_window_ns)
}

/// A moment since the Unix epoch, if that is known of the trace.
fn unix_ns(time_ns: u64, info: &Info) -> Option<u64> {
    let start_unix_ns = Some(info.start_unix_ns).filter(|&ns| ns > 0)?;
    start_unix_ns.checked_add_signed(signed(time_ns, info.start_ns))
}

/// The mapped module with this path.
fn module_of<'i>(inventory: &'i Inventory, path: &str, mappings: &[Mapping]) -> Option<&'i Module> {
    let mut modules = mappings.iter().map(|mapping| &inventory.modules[mapping.module as usize]);
    modules.find(|module| module.path == path)
}

fn build_id(module: &Module) -> Option<String> {
    (!module.build_id.is_empty()).then(|| hex(&module.build_id))
}

fn thread_info(thread: &Thread) -> ThreadInfo {
    ThreadInfo { tid: thread.tid, thread: cleaned(&thread.name) }
}

/// Names of threads, those that differ in a number only counted if they are
/// many.
fn thread_names(threads: &[Thread]) -> Vec<ThreadName> {
    let mut names: BTreeMap<(&str, bool), BTreeMap<&str, u64>> = BTreeMap::new();
    for thread in threads {
        let stem = thread.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered = stem.len() < thread.name.len() && !stem.is_empty();
        let key = if numbered { (stem, true) } else { (thread.name.as_str(), false) };
        *names.entry(key).or_default().entry(&thread.name).or_default() += 1;
    }
    let mut all = Vec::new();
    for ((stem, is_numbered), alike) in names {
        let count: u64 = alike.values().sum();
        if is_numbered && count >= MIN_ALIKE {
            all.push(ThreadName { name: cleaned(stem), is_numbered, count });
            continue;
        }
        let one = |(name, count): (&str, u64)| ThreadName {
            name: cleaned(name),
            is_numbered: false,
            count,
        };
        all.extend(alike.into_iter().map(one));
    }
    all
}

/// Modules that a process has mapped as code, each with its lowest address, in
/// order of these.
fn mapped_modules<'i>(inventory: &'i Inventory, mappings: &[Mapping]) -> Vec<(u64, &'i Module)> {
    let mut first: BTreeMap<u32, u64> = BTreeMap::new();
    for mapping in mappings {
        let start = first.entry(mapping.module).or_insert(mapping.start);
        *start = mapping.start.min(*start);
    }
    let first = first.into_iter();
    let mut modules: Vec<(u64, &Module)> =
        first.map(|(module, start)| (start, &inventory.modules[module as usize])).collect();
    modules.sort_by_key(|(start, _)| *start);
    modules
}

fn mapped_file((start, module): (u64, &Module)) -> MappedFile {
    MappedFile { start, path: cleaned(&module.path), build_id: build_id(module) }
}

fn open_file(file: &OpenFile) -> OpenFileInfo {
    let close_on_exec = match file.close_on_exec {
        1 => Some(true),
        2 => Some(false),
        _ => None,
    };
    OpenFileInfo { fd: file.fd, target: cleaned(&file.target), close_on_exec }
}

fn limit(limit: &Limit) -> LimitInfo {
    let limited = |value: u64| Some(value).filter(|&value| value != NO_LIMIT);
    LimitInfo {
        name: cleaned(&limit.name),
        soft: limited(limit.soft),
        hard: limited(limit.hard),
        unit: known(&limit.unit),
    }
}

/// Variables in order, and whether their values are known. Names alone are all
/// shown, as they are short.
fn environment(facts: Option<&ProcessFacts>, rows: usize) -> (Rows<VariableInfo>, bool) {
    let Some(ProcessFacts { environment, values, .. }) = facts else {
        return (Rows::default(), false);
    };
    let has_values = !values.is_empty();
    let values = values.iter().map(Some).chain(std::iter::repeat(None));
    let mut variables: Vec<(&String, Option<&String>)> = environment.iter().zip(values).collect();
    variables.sort_unstable();
    let limit = if has_values { rows } else { usize::MAX };
    let row = |(name, value): (&String, Option<&String>)| VariableInfo {
        name: cleaned(name),
        value: value.map(|value| cleaned(value)),
    };
    (Rows::first(limit, variables, row), has_values)
}

#[cfg(test)]
mod tests {
    use rz_profile::inventory::Process;

    use super::*;

    #[test]
    fn times_go_as_far_as_numbers_do() {
        let mut info = Info { start_ns: 100, start_unix_ns: 1_000, ..Info::default() };
        let found = |time_ns, info: &Info| (since_start_ns(time_ns, info), unix_ns(time_ns, info));
        assert_eq!(found(107, &info), (7, Some(1_007)));
        assert_eq!(found(93, &info), (-7, Some(993)));
        let most = (i64::MAX, Some(1_000 + i64::MAX.unsigned_abs()));
        assert_eq!(found(u64::MAX, &info), most);
        // The window began 40 ns after the recording did.
        info.filter.window = Some((40, 50));
        assert_eq!(found(107, &info), (47, Some(1_007)));
        assert_eq!(found(93, &info), (33, Some(993)));
        assert_eq!(found(u64::MAX, &info), most);
        info.start_ns = u64::MAX;
        info.filter.window = None;
        assert_eq!(found(0, &info), (i64::MIN, None));
        assert_eq!(unix_ns(7, &Info::default()), None);
    }

    #[test]
    fn a_parent_is_the_last_of_its_number_before_the_child() {
        let process = |source, (pid, parent_pid), start_ns, name: &str| ProcessInventory {
            process: Process { pid, parent_pid, start_ns, name: name.into(), ..Process::default() },
            source,
            ..ProcessInventory::default()
        };
        let processes = vec![
            process(0, (7, 1), 0, "sh"),
            process(1, (7, 1), 0, "elsewhere"),
            process(0, (7, 1), 30, "later"),
            process(0, (7, 1), 20, "make"),
            process(0, (9, 7), 0, "old"),
            process(0, (9, 7), 25, "cc"),
            process(0, (9, 7), 40, "ld"),
            process(1, (9, 8), 40, "orphan"),
            process(1, (9, 0), 40, "unknown"),
        ];
        let inventory = Inventory { processes, ..Inventory::default() };
        let info = Info::default();
        let context = Context::new(&inventory, &info, 0);
        let parent = |known| context.parent(known).map(|found| (found.pid, found.process));
        let found: Vec<_> = inventory.processes[4..].iter().map(parent).collect();
        let of = |pid, name: &str| Some((pid, Some(name.to_owned())));
        let expected = [of(7, "sh"), of(7, "make"), of(7, "later"), Some((8, None)), None];
        assert_eq!(found, expected);
    }

    #[test]
    fn threads_are_counted_by_name() {
        let thread = |name: &str| Thread { name: name.to_owned(), ..Thread::default() };
        let names = ["b", "w1", "w2", "w3", "x1", "x2", "b", "7"];
        let found = thread_names(&names.map(thread));
        let found: Vec<_> =
            found.iter().map(|at| (at.name.as_str(), at.is_numbered, at.count)).collect();
        let (x1, x2) = (("x1", false, 1), ("x2", false, 1));
        assert_eq!(found, [("7", false, 1), ("b", false, 2), ("w", true, 3), x1, x2]);
    }
}
