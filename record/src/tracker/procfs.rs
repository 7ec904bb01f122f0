//! What `/proc/PID` says about a process.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use rz_format::CpuTime;
use rz_unwind::Extent;

use crate::host::now_ns;

/// An executable mapping, as in `/proc/PID/maps`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MapEntry {
    /// First address.
    pub(crate) start: u64,
    /// Address behind the last one.
    pub(crate) end: u64,
    /// Offset in the file of the first address.
    pub(crate) file_offset: u64,
    /// Device that the file is on.
    pub(crate) device: u64,
    /// Inode of the file; 0 if there is none.
    pub(crate) inode: u64,
    /// Path, or a name in brackets, or empty.
    pub(crate) path: String,
}

impl MapEntry {
    /// Whether this shows a file that code was linked into, and not memory
    /// that only looks like a file to the kernel: generated code is put there,
    /// so that it can be mapped twice, and code that is moved to large pages.
    pub(crate) fn is_file(&self) -> bool {
        const MEMORY: [&str; 4] = ["/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV"];
        self.inode != 0
            && self.path.starts_with('/')
            && !MEMORY.iter().any(|prefix| self.path.starts_with(prefix))
    }

    /// Whether this shows a file that was made in memory, which may be a program that
    /// was put there, or code that a runtime generates.
    pub(crate) fn is_file_in_memory(&self) -> bool {
        self.inode != 0 && self.path.starts_with("/memfd:")
    }
}

impl Extent for MapEntry {
    fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    fn part(&self, Range { start, end }: Range<u64>) -> Self {
        let file_offset = self.file_offset.wrapping_add(start.wrapping_sub(self.start));
        MapEntry { start, end, file_offset, ..self.clone() }
    }
}

/// One number for a device's two.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    u64::from(major) << 32 | u64::from(minor)
}

/// The executable mappings of a process.
pub(crate) fn executable_maps(pid: u32) -> io::Result<Vec<MapEntry>> {
    let maps = fs::read(format!("/proc/{pid}/maps"))?;
    Ok(String::from_utf8_lossy(&maps).lines().filter_map(parse_map).collect())
}

fn parse_map(line: &str) -> Option<MapEntry> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?;
    let path = fields.next().unwrap_or_default().trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    permissions.contains('x').then_some(MapEntry {
        start: hex(start)?,
        end: hex(end)?,
        file_offset: hex(offset)?,
        device: device(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        inode: inode.parse().ok()?,
        path: path.to_owned(),
    })
}

/// The threads of a process.
pub(crate) fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// All processes.
pub(crate) fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The children of all threads of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let of_thread = |tid| {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children"));
        list.unwrap_or_default()
    };
    let lists: Vec<String> = threads(pid).unwrap_or_default().into_iter().map(of_thread).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|p| p.parse().ok()).collect()
}

/// What identifies a process and its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The parent's process id.
    pub(crate) parent_pid: u32,
    /// Clock ticks after boot at which it started: with the pid, its identity.
    pub(crate) start_ticks: u64,
    /// Clock ticks that its threads have run, in user and kernel mode.
    pub(crate) cpu_ticks: u64,
    /// Whether it has ended and waits to be collected.
    pub(crate) is_zombie: bool,
}

/// The process that a thread is of.
pub(crate) fn process_of(tid: u32) -> Option<u32> {
    let text = fs::read(format!("/proc/{tid}/status")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// How long a process has run, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessTime {
    /// With the pid, the process's identity.
    pub(crate) start_ticks: u64,
    /// Of threads that are there, in nanoseconds.
    threads_ns: u64,
    /// Of all threads that were ever there, in whole ticks; 0 if only some are asked for.
    all_ticks: u64,
}

impl ProcessTime {
    /// How long it has run since; `None` if it is another process now.
    pub(crate) fn since(&self, before: &ProcessTime) -> Option<Duration> {
        const NS_PER_TICK: u64 = 10_000_000;
        let ns = self.threads_ns.saturating_sub(before.threads_ns);
        let ticks = self.all_ticks.saturating_sub(before.all_ticks);
        let least = u64::from(self != before);
        let ran = Duration::from_nanos(ns.max(ticks.saturating_mul(NS_PER_TICK)).max(least));
        (self.start_ticks == before.start_ticks).then_some(ran)
    }
}

/// How long a process has run, or only these of its threads if there are any.
pub(crate) fn cpu_time(pid: u32, tids: &[u32]) -> io::Result<ProcessTime> {
    let Stat { start_ticks, cpu_ticks, .. } = stat(pid)?;
    let mut all = threads(pid)?;
    all.retain(|tid| tids.is_empty() || tids.contains(tid));
    // A thread may end meanwhile; its time is in that of the process.
    let of_threads = all.iter().filter_map(|tid| thread_time(pid, *tid));
    let threads_ns = of_threads.fold(0_u64, |sum, time| sum.saturating_add(time.ran_ns));
    let all_ticks = if tids.is_empty() { cpu_ticks } else { 0 };
    Ok(ProcessTime { start_ticks, threads_ns, all_ticks })
}

/// How long a thread has run, as the scheduler counts it; `None` if it is gone, or the
/// kernel does not say.
pub(crate) fn thread_time(pid: u32, tid: u32) -> Option<CpuTime> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    let time_ns = now_ns();
    let mut numbers = text.split_ascii_whitespace().map_while(|number| number.parse().ok());
    let [ran_ns, ready_ns, runs] = [numbers.next()?, numbers.next()?, numbers.next()?];
    Some(CpuTime { time_ns, thread: None, ran_ns, ready_ns, runs })
}

/// The CPU that a thread is on or was on last, and when it last ran by the scheduler's clock of
/// that CPU; `None` if it is gone, or the kernel does not say.
pub(crate) fn last_ran(pid: u32, tid: u32) -> Option<(usize, u64)> {
    last_ran_in(&format!("/proc/{pid}/task/{tid}"))
}

/// The same of the thread that asks.
pub(crate) fn last_ran_self() -> Option<(usize, u64)> {
    last_ran_in("/proc/thread-self")
}

fn last_ran_in(folder: &str) -> Option<(usize, u64)> {
    let ran_ns = parse_last_ran(&fs::read_to_string(format!("{folder}/sched")).ok()?)?;
    let stat = fs::read(format!("{folder}/stat")).ok()?;
    Some((parse_cpu(&String::from_utf8_lossy(&stat))?, ran_ns))
}

/// In milliseconds with six places behind the point.
fn parse_last_ran(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("se.exec_start"))?;
    let (ms, ns) = line.split_once(':')?.1.trim().split_once('.')?;
    let (ms, ns): (u64, u64) = (ms.parse().ok()?, ns.parse().ok()?);
    ms.checked_mul(1_000_000)?.checked_add(ns)
}

/// Field 39 of `stat`.
fn parse_cpu(text: &str) -> Option<usize> {
    text[text.rfind(')')? + 1..].split_whitespace().nth(36)?.parse().ok()
}

/// Reads `/proc/PID/stat`.
pub(crate) fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text)).ok_or(io::ErrorKind::InvalidData.into())
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name is in parentheses and may hold anything, parentheses too.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    let parent_pid = fields.next()?.parse().ok()?;
    let (user, system): (u64, u64) = (fields.nth(9)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Stat {
        parent_pid,
        start_ticks: fields.nth(6)?.parse().ok()?,
        cpu_ticks: user.saturating_add(system),
        is_zombie: matches!(state, "Z" | "X"),
    })
}

/// Whether a process has a thread that has not ended. A process whose first
/// thread has ended looks like a zombie, but others may go on.
pub(crate) fn is_running(pid: u32) -> bool {
    stat(pid).is_ok_and(|stat| !stat.is_zombie || threads(pid).is_ok_and(|all| all.len() > 1))
}

/// Who a process or thread is to itself, and to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its number in its own pid namespace.
    pub(crate) number: u32,
    /// The users that it acts for: real, effective, saved, of files.
    pub(crate) uids: Vec<u32>,
}

/// Reads `/proc/PID/task/TID/status`.
pub(crate) fn identity(pid: u32, tid: u32) -> io::Result<Identity> {
    let text = fs::read(format!("/proc/{pid}/task/{tid}/status"))?;
    Ok(parse_identity(&String::from_utf8_lossy(&text), tid))
}

fn parse_identity(text: &str, pid: u32) -> Identity {
    let numbers = |key| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().filter_map(|number| number.parse().ok())
    };
    // Of nested namespaces, the outermost comes first.
    let number = numbers("NSpid:").next_back().unwrap_or(pid);
    Identity { number, uids: numbers("Uid:").collect() }
}

/// The name of a thread.
pub(crate) fn thread_name(pid: u32, tid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

/// The executable's path as the process sees it.
pub(crate) fn executable(pid: u32) -> String {
    let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    path.to_string_lossy().into_owned()
}

/// What a process has of the file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belongings {
    /// Its current directory as it sees it; `None` if it may not be read.
    pub(crate) directory: Option<String>,
    /// Its open files.
    pub(crate) files: Vec<OpenFile>,
}

/// An open file of a process.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    /// The file descriptor.
    pub(crate) fd: u32,
    /// What it leads to: a path, or such as `socket:[12]`.
    pub(crate) target: String,
    /// Whether executing a program closes it, if that may be known.
    pub(crate) close_on_exec: Option<bool>,
}

/// The directory of a process, and its open files up to `limit`.
pub(crate) fn belongings(pid: u32, limit: usize) -> Belongings {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok().map(text);
    let file = |entry: fs::DirEntry| {
        let fd = entry.file_name().to_str()?.parse().ok()?;
        let target = text(fs::read_link(entry.path()).ok()?);
        Some(OpenFile { fd, target, close_on_exec: close_on_exec(pid, fd) })
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let files = entries.filter_map(|entry| file(entry.ok()?)).take(limit).collect();
    Belongings { directory, files }
}

fn close_on_exec(pid: u32, fd: u32) -> Option<bool> {
    const O_CLOEXEC: u64 = 0o2_000_000;
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
    Some(u64::from_str_radix(flags, 8).ok()? & O_CLOEXEC != 0)
}

/// The first word of the command line. Servers that write their state over it,
/// such as PostgreSQL, may have user names behind that word.
pub(crate) fn argv0(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = line.split(|byte| matches!(byte, 0 | b' ')).next().unwrap_or_default();
    String::from_utf8_lossy(first).into_owned()
}

/// Where a mapped file may be opened, best first. The first name leads to the
/// mapped file itself, even if it was deleted or lies in another mount
/// namespace, but only privileged readers may follow it.
pub(crate) fn mapped_file_candidates(pid: u32, map: &MapEntry) -> [PathBuf; 4] {
    let path = map.path.strip_suffix(" (deleted)").unwrap_or(&map.path);
    [
        format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end).into(),
        format!("/proc/{pid}/root{path}").into(),
        path.into(),
        format!("/proc/{pid}/exe").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let line = "7f00-7fff r-xp 00001000 fe:01 1234    /a path/with spaces (deleted)";
        let expected = MapEntry {
            start: 0x7f00,
            end: 0x7fff,
            file_offset: 0x1000,
            device: 0xfe << 32 | 1,
            inode: 1234,
            path: "/a path/with spaces (deleted)".into(),
        };
        assert_eq!(parse_map(line), Some(expected));
        assert_eq!(parse_map("7f00-7fff rw-p 00001000 fe:01 1234 /a"), None);
        assert_eq!(parse_map("7f00-7fff r-xp 00000000 00:00 0 ").unwrap().path, "");
        assert_eq!(parse_map("garbage"), None);
    }

    #[test]
    fn stat_with_a_hostile_name() {
        let text = "12 (a) S ) (b) S 7 12 12 0 -1 4194304 1 0 0 0 1 2 0 0 20 0 1 0 4711 0 0";
        let expected = Stat { parent_pid: 7, start_ticks: 4711, cpu_ticks: 3, is_zombie: false };
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn identity_in_a_container() {
        let text = "Name:\tUid: 7\nUid:\t1\t2\t3\t4\nNSpid:\t4711\t12\t3\n";
        let expected = Identity { number: 3, uids: vec![1, 2, 3, 4] };
        assert_eq!(parse_identity(text, 4711), expected);
        assert_eq!(parse_identity("", 9), Identity { number: 9, uids: Vec::new() });
    }

    #[test]
    fn our_own_time_goes_on() {
        let pid = std::process::id();
        let before = cpu_time(pid, &[]).unwrap();
        assert_eq!(before.since(&before), Some(Duration::ZERO));
        let ran = || cpu_time(pid, &[]).unwrap().since(&before).unwrap();
        let mut sum = 0_u64;
        while ran() < Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        let another = ProcessTime { start_ticks: 1, ..before };
        assert_eq!(cpu_time(pid, &[]).unwrap().since(&another), None);
        let [ours, none] = [vec![pid], vec![u32::MAX]].map(|tids| cpu_time(pid, &tids).unwrap());
        assert_eq!((ours.all_ticks, none.threads_ns), (0, 0));
    }

    #[test]
    fn our_own_process() {
        let pid = std::process::id();
        assert!(executable_maps(pid).unwrap().iter().any(|map| map.path == "[vdso]"));
        assert!(threads(pid).unwrap().contains(&pid));
        assert!(stat(pid).unwrap().start_ticks > 0);
    }

    #[test]
    fn when_a_thread_ran_last() {
        let text = "cat (7, #threads: 1)\n-----\nse.exec_start      :   3171548.000215\nse.vruntime : 1.0\n";
        assert_eq!(parse_last_ran(text), Some(3_171_548_000_215));
        assert_eq!(parse_last_ran("se.exec_start : 3171548\n"), None);
        let before = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35";
        assert_eq!(parse_cpu(&format!("7 (a ) b) S {before} 3 0")), Some(3));
        let (cpu, _) = last_ran_self().unwrap();
        assert!(cpu < 1 << 16);
    }
}
