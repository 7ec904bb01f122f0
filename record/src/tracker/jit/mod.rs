//! Names of generated code, out of what the processes publish about it.
//!
//! Runtimes that compile while they run write lists of their code for
//! profilers: `perf-PID.map` in `/tmp` ([`perf_map`]), and `jit-PID.dump`, which
//! they map so that profilers hear of it ([`jitdump`]). Both are gone with the
//! container, or with the next start, so what was seen of them goes into the
//! trace.
//!
//! ```text
//! first frame in generated code ─► root directory and map are held open
//! mapping of a dump             ─► the dump is held open
//! end of process or recording   ─► looked for once more, read, closed
//! ```
//!
//! What is in these files is up to the process, and is only believed about its
//! own generated code.

mod jitdump;
mod jitdump_lines;
mod open;
mod perf_map;

use std::collections::{BTreeSet, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use rustc_hash::FxHashMap;
use rz_format::{Frame, Generated, GeneratedLine, Note, Record};
use rz_unwind::Mapping;

use self::open::{Refusal, Root};
use super::Tracker;
use super::modules::open_mapped;
use super::process::Process;
use super::procfs::{self, Identity, MapEntry};
use crate::host::{clocks, now_ns};

/// Longest file that is read: some millions of functions.
const MAX_MAP: u64 = 256 << 20;
const MAX_DUMP: u64 = 1 << 30;
/// Files that are read while the recording goes on; longer ones wait for its
/// end.
const READ_AT_ONCE: u64 = 8 << 20;
/// Time for what is read at one time, and in the end.
const TIME_AT_ONCE: Duration = Duration::from_millis(200);
const TIME_IN_THE_END: Duration = Duration::from_secs(3);
/// For how long after a process's end something may still be learnt of it.
const SETTLE_NS: u64 = 1_000_000_000;
/// How often it is looked whether there is a map by now.
const LOOK_INTERVAL_NS: u64 = 1_000_000_000;
/// Processes whose files are held open, at most, and those of them that have
/// ended.
const MAX_PUBLISHERS: usize = 1024;
const MAX_ENDED: usize = 64;
/// Dumps of one process.
const MAX_DUMPS: usize = 4;
/// Frames in generated code that are remembered: a hundred megabytes.
const MAX_SEEN: usize = 1 << 21;
/// Pieces of code and bytes of names that one recording takes in.
const MAX_CODES: usize = 1 << 20;
const MAX_BYTES: usize = 64 << 20;
/// Longest name, in bytes.
const MAX_NAME: usize = 4096;
/// Clocks of file systems are that coarse.
const COARSE_NS: u64 = 2_000_000_000;
/// What clocks are set by while a process ends.
const CLOCK_STEP_NS: u64 = 10_000_000;

/// Code that a process says it has generated.
#[derive(Debug)]
struct Published {
    /// First address.
    start: u64,
    /// Length in bytes.
    length: u64,
    /// From when on it is there, on the trace's clock; 0 if unknown.
    from_ns: u64,
    /// What it is called.
    name: String,
    /// Lines in its source.
    lines: Vec<GeneratedLine>,
}

/// A name as it goes into a trace.
fn published_name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME)]).into_owned()
}

/// How much may still be read, and until when.
#[derive(Debug)]
struct Budget {
    until: Instant,
    codes: usize,
    bytes: usize,
    /// Whether something was left out because it was too much.
    is_exceeded: bool,
}

impl Default for Budget {
    fn default() -> Self {
        let (until, codes, bytes) = (Instant::now(), MAX_CODES, MAX_BYTES);
        Budget { until, codes, bytes, is_exceeded: false }
    }
}

impl Budget {
    /// Fails when time is over.
    fn check(&self) -> io::Result<()> {
        match Instant::now() < self.until {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long")),
        }
    }

    /// Whether there is room for a name of so many bytes.
    fn admit(&mut self, bytes: usize) -> bool {
        let bytes = bytes.min(MAX_NAME) + size_of::<Published>();
        if self.codes == 0 || self.bytes < bytes {
            self.is_exceeded = true;
            return false;
        }
        (self.codes, self.bytes) = (self.codes - 1, self.bytes - bytes);
        true
    }

    #[cfg(test)]
    fn for_tests() -> Self {
        Budget { until: Instant::now() + Duration::from_secs(60), ..Budget::default() }
    }
}

/// A process that generates code, and the files in which it may say what.
#[derive(Debug)]
struct Publisher {
    /// Its number in the trace.
    process: u32,
    pid: u32,
    name: String,
    who: Identity,
    /// When it started, in nanoseconds since the Unix epoch; 0 if unknown.
    started_unix_ns: u64,
    root: Option<Root>,
    map: Option<File>,
    dumps: Vec<File>,
    /// Why something was not looked at, and why its map was not.
    refused: Option<String>,
    refused_map: Option<String>,
}

/// What is left of a process that has ended.
#[derive(Debug)]
struct Ended {
    publisher: Publisher,
    ranges: Vec<FileRange>,
    end_ns: u64,
}

/// Where generated code in a file is mapped.
#[derive(Debug)]
struct FileRange {
    addresses: Range<u64>,
    file_offset: u64,
    module: u32,
}

/// All processes that generate code.
#[derive(Debug, Default)]
pub(super) struct Publishers {
    /// Offsets of frames in generated code, by module.
    seen: FxHashMap<u32, BTreeSet<u64>>,
    seen_count: usize,
    /// By number of the process in the trace.
    live: FxHashMap<u32, Publisher>,
    ended: VecDeque<Ended>,
    looked_ns: u64,
    budget: Budget,
}

impl Publisher {
    fn new(pid: u32, process: &Process) -> Self {
        let mut refused = None;
        let mut refuse = |what: &str, error: Refusal| {
            refused = Some(format!("{what} {error}"));
        };
        let who = procfs::identity(pid, pid).unwrap_or_default();
        let root = Root::of(pid).map_err(|error| refuse("its root directory", error)).ok();
        let mut this = Publisher {
            process: process.id,
            pid,
            name: process.name().to_owned(),
            who,
            started_unix_ns: started_unix_ns(pid),
            root,
            map: None,
            dumps: Vec::new(),
            refused,
            refused_map: None,
        };
        this.look_for_map();
        this
    }

    /// Where it would publish its code.
    fn map_path(&self) -> String {
        format!("tmp/perf-{}.map", self.who.number)
    }

    /// Opens the map that there is now, if it may be read.
    fn open_map(&mut self) -> Option<File> {
        let root = self.root.as_ref()?;
        let opened = root.open(&self.map_path(), &self.who).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let meta = file.metadata()?;
            limit_size(&meta, MAX_MAP)?;
            match written_unix_ns(&meta) + COARSE_NS < self.started_unix_ns {
                true => Err(Refusal::Stale),
                false => Ok(Some(file)),
            }
        });
        match opened {
            Ok(found) => {
                self.refused_map = None;
                found
            }
            Err(error) => {
                self.refuse_map(&error);
                None
            }
        }
    }

    fn look_for_map(&mut self) {
        if self.map.is_none() {
            self.map = self.open_map();
        }
    }

    fn open_dump(&mut self, entry: &MapEntry) {
        if self.dumps.len() >= MAX_DUMPS {
            return;
        }
        let opened = open_mapped(entry, self.pid).map_err(Refusal::from).and_then(|file| {
            let meta = file.metadata()?;
            open::check(&meta, &self.who)?;
            Ok(file)
        });
        match opened {
            Ok(file) if self.dumps.iter().any(|known| is_same(known, &file)) => {}
            Ok(file) => self.dumps.push(file),
            Err(error) => self.refuse(&entry.path, &error),
        }
    }

    fn refuse(&mut self, what: &str, cause: &dyn std::fmt::Display) {
        self.refused.get_or_insert_with(|| format!("{what} {cause}"));
    }

    fn refuse_map(&mut self, cause: &Refusal) {
        self.refused_map = Some(format!("/{} {cause}", self.map_path()));
    }

    /// The code that held `wanted` addresses, which are left with those of
    /// which nothing is known. `end_ns` is when the process ended.
    fn read(
        &mut self,
        wanted: &mut BTreeSet<u64>,
        end_ns: Option<u64>,
        budget: &mut Budget,
    ) -> Vec<Published> {
        let mut found = Vec::new();
        let name = format!("jit-{}.dump", self.who.number);
        for file in std::mem::take(&mut self.dumps) {
            let mut read = || {
                limit_size(&file.metadata()?, MAX_DUMP)?;
                jitdump::read(&file, &self.who, self.pid, wanted, budget)
            };
            match read() {
                Ok((codes, is_cut)) => {
                    found.extend(codes);
                    if is_cut && end_ns.is_none() {
                        self.refuse(&name, &"has not been written to its end by the process");
                    }
                }
                Err(error) => self.refuse(&name, &error),
            }
        }
        for code in &found {
            let range = code.start..code.start.saturating_add(code.length);
            while let Some(&address) = wanted.range(range.clone()).next() {
                wanted.remove(&address);
            }
        }

        // What there is now comes after what there was.
        let held = self.map.take();
        let new = self.open_map().filter(|new| !held.as_ref().is_some_and(|h| is_same(h, new)));
        let mut of_maps = Vec::new();
        for file in [new, held].into_iter().flatten() {
            let mut read = || {
                let meta = file.metadata()?;
                limit_size(&meta, MAX_MAP)?;
                if end_ns.is_some_and(|end| written_unix_ns(&meta) > unix_ns(end) + CLOCK_STEP_NS) {
                    return Err(Refusal::Overwritten);
                }
                Ok(perf_map::read(&file, wanted, budget)?)
            };
            match read() {
                Ok(codes) => of_maps.splice(..0, codes).for_each(drop),
                Err(error) => self.refuse_map(&error),
            }
        }
        found.extend(of_maps);
        found
    }

    /// Bytes that there are to read.
    fn size(&self) -> u64 {
        let files = self.dumps.iter().chain(&self.map);
        files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }
}

fn limit_size(meta: &Metadata, limit: u64) -> Result<(), Refusal> {
    match meta.len() {
        size if size > limit => Err(Refusal::TooLarge { size, limit }),
        _ => Ok(()),
    }
}

/// Whether two handles are of one file.
fn is_same(a: &File, b: &File) -> bool {
    let key = |file: &File| file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    key(a) == key(b)
}

fn written_unix_ns(meta: &Metadata) -> u64 {
    (meta.mtime().max(0) as u64).saturating_mul(1_000_000_000) + meta.mtime_nsec() as u64
}

/// A time on the trace's clock in nanoseconds since the Unix epoch.
fn unix_ns(time_ns: u64) -> u64 {
    let now = clocks();
    now.realtime_ns.saturating_sub(now.monotonic_ns.saturating_sub(time_ns))
}

/// When a process started, in nanoseconds since the Unix epoch; 0 if unknown.
fn started_unix_ns(pid: u32) -> u64 {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).max(1) as u64;
    let Ok(stat) = procfs::stat(pid) else { return 0 };
    let since_boot = stat.start_ticks.saturating_mul(1_000_000_000 / ticks_per_second);
    let now = clocks();
    now.realtime_ns.saturating_sub(now.boottime_ns.saturating_sub(since_boot))
}

/// Whether a mapped file is one in which a process publishes its code.
fn is_dump(path: &str) -> bool {
    let name = path.strip_suffix(" (deleted)").unwrap_or(path).rsplit('/').next();
    let number = name.and_then(|name| name.strip_prefix("jit-")?.strip_suffix(".dump"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Publishers {
    /// Takes down frames that are new.
    fn see(&mut self, frames: &[Frame], is_generated: impl Fn(u32) -> bool) {
        for frame in frames {
            if let Frame::Code { module, offset } = *frame
                && is_generated(module)
            {
                if self.seen_count >= MAX_SEEN {
                    self.budget.is_exceeded = true;
                    return;
                }
                let is_new = self.seen.entry(module).or_default().insert(offset);
                self.seen_count += usize::from(is_new);
            }
        }
    }
}

impl Tracker {
    /// Holds open what a process says about its generated code, from now on.
    pub(super) fn watch_publisher(&mut self, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let live = &mut self.publishers.live;
        if live.len() < MAX_PUBLISHERS && !live.contains_key(&process.id) {
            let publisher = Publisher::new(pid, process);
            process.publishes |= publisher.map.is_some();
            live.insert(process.id, publisher);
        }
    }

    /// The same for all processes that were seen in generated code for the
    /// first time.
    pub(super) fn watch_new_publishers(&mut self) {
        for pid in self.stacks.modules.take_generating() {
            self.watch_publisher(pid);
        }
    }

    /// A process has mapped a file.
    pub(super) fn watch_dump(&mut self, pid: u32, process: u32, entry: &MapEntry) {
        if is_dump(&entry.path) {
            self.watch_publisher(pid);
            if let Some(process) = self.processes.get_mut(&pid) {
                process.publishes = true;
            }
            if let Some(publisher) = self.publishers.live.get_mut(&process) {
                publisher.open_dump(entry);
            }
        }
    }

    /// A process has ended.
    pub(super) fn end_publisher(&mut self, process: &Process, end_ns: u64) {
        let Some(mut publisher) = self.publishers.live.remove(&process.id) else { return };
        publisher.look_for_map();
        let ranges = self.file_ranges(process);
        self.publishers.ended.push_back(Ended { publisher, ranges, end_ns });
    }

    /// Takes down the frames of stacks that are about to be written, and reads
    /// what processes have left that have ended. `found` is what is written.
    pub(super) fn note_generated_code(&mut self) {
        let modules = &self.stacks.modules;
        self.publishers.see(&self.found.stacks.frames, |module| modules.is_generated(module));
        let now = now_ns();
        if now - self.publishers.looked_ns >= LOOK_INTERVAL_NS {
            self.publishers.looked_ns = now;
            self.publishers.live.values_mut().for_each(Publisher::look_for_map);
        }
        let until = Instant::now() + TIME_AT_ONCE;
        let mut waiting = VecDeque::new();
        while let Some(ended) = self.publishers.ended.pop_front() {
            let is_quick = ended.publisher.size() <= READ_AT_ONCE && Instant::now() < until;
            let is_settled = ended.end_ns + SETTLE_NS < now;
            let too_many = waiting.len() + self.publishers.ended.len() >= MAX_ENDED;
            if too_many || (is_quick && is_settled) {
                self.read_publisher(ended.publisher, &ended.ranges, Some(ended.end_ns), until);
            } else {
                waiting.push_back(ended);
            }
        }
        self.publishers.ended = waiting;
    }

    /// Reads what all processes say about their generated code. All frames must
    /// have been taken down.
    pub(super) fn finish_generated_code(&mut self) {
        let until = Instant::now() + TIME_IN_THE_END;
        for Ended { publisher, ranges, end_ns } in std::mem::take(&mut self.publishers.ended) {
            self.read_publisher(publisher, &ranges, Some(end_ns), until);
        }
        let live = std::mem::take(&mut self.publishers.live);
        let mut live: Vec<Publisher> = live.into_values().collect();
        live.sort_by_key(|publisher| publisher.process);
        for publisher in live {
            let process = self.processes.get(&publisher.pid);
            let ranges = process.map_or(Vec::new(), |process| self.file_ranges(process));
            self.read_publisher(publisher, &ranges, None, until);
        }
        if self.publishers.budget.is_exceeded {
            let text = "names of generated code were left out: there is too much of it".to_owned();
            self.found.records.push(Record::Note(Note { text }));
        }
    }

    /// Where a process has generated code that is in files.
    fn file_ranges(&self, process: &Process) -> Vec<FileRange> {
        let modules = &self.stacks.modules;
        let mappings = process.space.mappings().iter();
        let range = |mapping: &Mapping<MapEntry>| {
            let module = mapping.module.filter(|module| modules.is_generated(*module))?;
            let MapEntry { start, end, file_offset, .. } = mapping.entry;
            let is_file = modules.generated_memory(process.id) != Some(module);
            is_file.then_some(FileRange { addresses: start..end, file_offset, module })
        };
        mappings.filter_map(range).collect()
    }

    /// Reads what a process says about its code, and adds what concerns frames
    /// that were seen.
    fn read_publisher(
        &mut self,
        mut publisher: Publisher,
        ranges: &[FileRange],
        end_ns: Option<u64>,
        until: Instant,
    ) {
        let Publishers { seen, seen_count, budget, .. } = &mut self.publishers;
        let memory = self.stacks.modules.generated_memory(publisher.process);
        let mut wanted = memory.and_then(|module| seen.remove(&module)).unwrap_or_default();
        *seen_count -= wanted.len();
        for FileRange { addresses, file_offset, module } in ranges {
            let offsets = *file_offset..file_offset.saturating_add(addresses.end - addresses.start);
            let seen = seen.get(module).into_iter().flat_map(|seen| seen.range(offsets.clone()));
            wanted.extend(seen.map(|offset| offset - file_offset + addresses.start));
        }
        if wanted.is_empty() {
            return;
        }
        budget.until = until;
        let all = wanted.clone();
        for code in publisher.read(&mut wanted, end_ns, budget) {
            let Published { start, length, from_ns, name, lines } = code;
            let first = all.range(start..start.saturating_add(length)).next();
            let range = first.and_then(|first| ranges.iter().find(|r| r.addresses.contains(first)));
            let (module, start) = match (range, memory) {
                (Some(FileRange { addresses, file_offset, module }), _) => {
                    (*module, start.wrapping_sub(addresses.start).wrapping_add(*file_offset))
                }
                (None, Some(memory)) => (memory, start),
                (None, None) => continue,
            };
            let code = Generated { module, start, length, from_ns, name, lines };
            self.found.records.push(Record::Generated(code));
        }
        if !wanted.is_empty()
            && let Some(cause) = publisher.refused.or(publisher.refused_map)
        {
            let Publisher { pid, name, .. } = publisher;
            let text = format!("generated code of process {pid} ({name}) lacks names: {cause}");
            self.found.records.push(Record::Note(Note { text }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dumps() {
        assert!(is_dump("/tmp/jit-12.dump") && is_dump("/a b/jit-1.dump (deleted)"));
        let others =
            ["/tmp/jit-12.dump.so", "/tmp/jit-x.dump", "/jit-1.dump/libc.so", "", "[vdso]"];
        others.iter().for_each(|path| assert!(!is_dump(path), "{path}"));
    }

    #[test]
    fn times_of_ourselves() {
        let started = started_unix_ns(std::process::id());
        let now = clocks().realtime_ns;
        assert!(started <= now && now - started < 3_600_000_000_000, "{started} {now}");
        assert!(unix_ns(now_ns()).abs_diff(now) < 1_000_000_000);
    }
}
