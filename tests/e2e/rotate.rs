//! One file after another: each is whole, and together they have what one would have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use rz_format::{EndReason, Record, TotalClass, WaitState, rebuild_index};
use rz_profile::load::{LoadOptions, load};
use rz_tests::{
    Contents, Folded, RamDisk, Target, binary, conv, names_in, program_path, rec, report, run,
    send, temp_dir, text, tool, wait_until, workspace_root,
};
use tempfile::TempDir;

/// A `rec --rotate` that has begun. Dropping it kills it.
struct Rotating {
    child: Child,
    said: TempDir,
    folder: PathBuf,
}

impl Rotating {
    /// Starts `rec --rotate` with `args`, which writes into `folder`.
    #[track_caller]
    fn start(folder: &Path, args: &[&str]) -> Self {
        // One that was killed may have left one.
        let before = parts(folder);
        let said = temp_dir();
        let mut command = Command::new(binary("rec"));
        command.args(["-F", "997", "-o"]).arg(folder).args(args);
        let stderr = File::create(said.path().join("stderr")).unwrap();
        let out = (Stdio::null(), Stdio::null());
        let child = command.stdin(out.0).stdout(out.1).stderr(stderr).spawn().unwrap();
        let mut this = Rotating { child, said, folder: folder.to_owned() };
        let has_file = || parts(folder).iter().any(|part| !before.contains(part));
        wait_until("rec to begin", || has_file() || this.has_ended());
        this
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks for the next file, and waits until it is there. Returns whether it is.
    fn next_file(&mut self) -> bool {
        let before = parts(&self.folder);
        send(self.child.id(), Signal::SIGUSR1);
        wait_until("the next file", || {
            let now = parts(&self.folder);
            self.has_ended() || !now.is_empty() && now != before
        });
        !self.has_ended()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.said.path().join("stderr")).unwrap()
    }

    /// Waits until it ends, and returns its files.
    #[track_caller]
    fn finish(&mut self) -> Vec<PathBuf> {
        wait_until("rec to end", || self.has_ended());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.stderr());
        assert_eq!(parts(&self.folder), Vec::<PathBuf>::new());
        files(&self.folder, ".rz")
    }

    /// Ends it by a signal.
    #[track_caller]
    fn stop(&mut self) -> Vec<PathBuf> {
        send(self.child.id(), Signal::SIGTERM);
        self.finish()
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files that are whole, in order of time, or that are being written.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let names = names_in(folder).into_iter().filter(|name| name.ends_with(end));
    let mut paths: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
    paths.sort();
    paths
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    if folder.exists() { files(folder, ".rz.part") } else { Vec::new() }
}

/// When it begins and ends, and why.
#[track_caller]
fn window(contents: &Contents) -> (u64, u64, EndReason) {
    let mut begins = contents.records.iter().filter_map(|record| match record {
        Record::Recording(recording) => Some(recording.start_ns),
        _ => None,
    });
    let mut ends = contents.records.iter().filter_map(|record| match record {
        Record::End(end) => Some((end.time_ns, EndReason::from(end.reason))),
        _ => None,
    });
    let (start_ns, (end_ns, reason)) = (begins.next().unwrap(), ends.next().expect("an end"));
    assert_eq!((begins.next(), ends.next()), (None, None));
    (start_ns, end_ns, reason)
}

/// What is in all files, each of which is whole and begins where the one before ends.
#[track_caller]
fn read_all(files: &[PathBuf]) -> Vec<Contents> {
    let all: Vec<Contents> = files.iter().map(|path| Contents::read(path)).collect();
    for (path, contents) in files.iter().zip(&all) {
        let missing = conv(&[text(path), "--verify"]);
        assert!(missing.status.success(), "{missing}");
        assert_eq!(contents.damage, [], "{}", path.display());
    }
    let windows: Vec<_> = all.iter().map(window).collect();
    for pair in windows.windows(2) {
        let [(_, end_ns, reason), (start_ns, ..)] = pair else { unreachable!() };
        assert_eq!((end_ns, *reason), (start_ns, EndReason::Duration));
    }
    all
}

/// How many events of a kind there are in all files.
fn sum(all: &[Contents], of: impl Fn(&Contents) -> u64) -> u64 {
    all.iter().map(of).sum()
}

/// Sums, rows, objects, threads and processes, while all of them come and go.
#[test]
fn files_add_up_to_the_plan() {
    const ROUNDS: u64 = 1000;
    let dir = temp_dir();
    let (folder, program) = (dir.path().join("a/b"), program_path("steady"));
    let args = ["--rotate", "1h", "--off-cpu", "--syscalls", "--alloc=full", "--max-size", "1G"];
    let command = ["--", text(&program), &ROUNDS.to_string()];
    let mut rec = Rotating::start(&folder, &[&args[..], &command].concat());
    while rec.next_file() {}
    let files = rec.finish();
    let all = read_all(&files);
    assert!(all.len() >= 3, "{}", rec.stderr());
    assert_eq!(window(all.last().unwrap()).2, EndReason::TargetsExited);
    let losses: Vec<_> = all.iter().flat_map(Contents::losses).collect();
    assert_eq!(losses, Vec::<&rz_format::Loss>::new(), "{}", rec.stderr());

    let number = rz_syscalls::by_name("getppid").unwrap().number;
    let asked = ROUNDS * (20 + 5 + 3);
    let counted =
        |all: &Contents| all.counted_calls().get(&number).map_or(0, |counted| counted.count);
    assert_eq!(sum(&all, counted), asked);
    let rows = |all: &Contents| {
        all.calls.iter().filter(|call| call.number == number).map(|call| call.count).sum()
    };
    assert_eq!(sum(&all, rows), asked);
    // Waits have sums and rows as well; a row may stand for many, and some are in no sum.
    let slept = |all: &Contents| {
        let totals = all.totals.iter().filter(|total| total.class == TotalClass::Waits);
        let sleep = rz_syscalls::by_name("clock_nanosleep").unwrap().number;
        let totals = totals.filter(|total| total.number == Some(sleep));
        totals.filter(|total| total.state == WaitState::Sleeping).map(|total| total.count).sum()
    };
    assert_eq!(sum(&all, slept), ROUNDS);

    // Objects, each of which is freed 50 rounds later.
    let objects = |all: &Contents| all.allocations.iter().filter(|row| row.size == 1234).count();
    assert_eq!(sum(&all, |all| objects(all) as u64), 3 * ROUNDS);
    let whole = Contents::heap_total;
    let (allocations, frees) =
        (sum(&all, |all| whole(all).allocations), sum(&all, |all| whole(all).frees));
    let allocated =
        |all: &Contents| all.allocations.iter().filter(|row| row.stack.is_some()).count();
    assert_eq!(sum(&all, |all| allocated(all) as u64), allocations);
    assert_eq!(sum(&all, |all| all.allocations.len() as u64), allocations + frees);

    // Everybody ends once, and is known in all files where there is something of them.
    let tids: BTreeSet<u32> = all.iter().flat_map(|all| all.threads()).map(|it| it.tid).collect();
    assert_eq!(tids.len() as u64, 1 + 2 * ROUNDS);
    for contents in &all {
        let of_threads: BTreeSet<u32> = contents.threads().map(|thread| thread.process).collect();
        let known: BTreeSet<u32> = contents.processes().keys().copied().collect();
        assert!(of_threads.is_subset(&known), "{of_threads:?} {known:?}");
        assert!(contents.threads().all(|thread| thread.name == "steady"));
    }

    // Each opens alone, with its names.
    for (path, contents) in files.iter().zip(&all) {
        // The last one may be of a moment.
        if contents.samples.len() < 50 {
            continue;
        }
        let folded = conv(&[text(path), "--to", "folded", "-o", "-"]).success();
        let folded = Folded::parse(&folded.stdout);
        let share = folded.share_in_order(&["main", "one_round"]);
        assert!(share > 0.3, "{share}: {}", folded.head(5));
        assert_eq!(folded.count("[lost]"), 0, "{}", folded.head(5));
        let calls = report(&[text(path), "--syscalls"]).success();
        assert!(calls.stdout.contains("getppid"), "{calls}");
    }
    assert_merged(&files, &all);
}

/// Merged, the files have the tables of one.
#[track_caller]
fn assert_merged(files: &[PathBuf], all: &[Contents]) {
    let dir = temp_dir();
    let merged = dir.path().join("all.rz");
    let paths: Vec<&str> = files.iter().map(|path| text(path)).collect();
    conv(&[&paths[..], &["--to", "rz", "-o", text(&merged)]].concat()).success();
    let profile = load(&merged, &LoadOptions::default()).unwrap();
    let mut expected: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for total in all.iter().flat_map(|all| &all.totals) {
        if let (TotalClass::Calls, Some(number)) = (total.class, total.number) {
            let sum = expected.entry(number).or_default();
            (sum.0, sum.1) = (sum.0 + total.count, sum.1 + total.total_ns);
        }
    }
    let contents = Contents::read(&merged);
    let mut found: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for total in contents.totals.iter().filter(|total| total.class == TotalClass::Calls) {
        let sum = found.entry(total.number.unwrap()).or_default();
        (sum.0, sum.1) = (sum.0 + total.count, sum.1 + total.total_ns);
    }
    assert_eq!(found, expected);
    let durations = |all: &[Contents]| -> u64 {
        all.iter().map(window).map(|(start_ns, end_ns, _)| end_ns - start_ns).sum()
    };
    assert_eq!(profile.info.duration_ns, durations(all));
    let of_cpu = profile.samples.iter().filter(|sample| {
        let name = &profile.events[sample.event].name;
        name.starts_with("cpu") || name == "cycles"
    });
    let weight: u64 = of_cpu.map(|sample| sample.weight).sum();
    let samples = all.iter().flat_map(|all| &all.samples);
    assert_eq!(weight, samples.map(|sample| sample.weight).sum::<u64>());
}

/// Functions that were named in an earlier file are named in the next ones, too.
#[test]
fn runtimes_are_named_in_each_file() {
    let dir = temp_dir();
    let class = program_path("java/Split.class");
    let mut java = Command::new(tool("java21"));
    java.arg("-cp").arg(class.parent().unwrap()).args(["Split", "run"]);
    let mut python = Command::new(tool("python3.11"));
    python.arg(program_path("split.py")).arg("functions");
    let mut node = Command::new(tool("node"));
    node.arg(program_path("split.js")).arg("run");
    let targets = [Target::spawn(&mut java), Target::spawn(&mut python), Target::spawn(&mut node)];
    let pids = targets.each_ref().map(Target::pid_text).join(",");
    let mut rec = Rotating::start(dir.path(), &["--rotate", "1s", "-d", "4.2", "-p", &pids]);
    let files = rec.finish();
    read_all(&files);
    assert!(files.len() >= 4, "{}", rec.stderr());
    // The last may be short.
    for path in &files[..files.len() - 1] {
        let folded = conv(&[text(path), "--to", "folded", "-o", "-"]).success();
        let folded = Folded::parse(&folded.stdout);
        let functions: [&[&str]; 3] =
            [&["Split.main", "Split.hot"], &["<module>", "main", "hot"], &["(anonymous)", "hot"]];
        for names in functions {
            let share = folded.share_in_order(names);
            assert!(share > 0.03, "{} {names:?}: {share}\n{}", path.display(), folded.head(20));
        }
        let lost = folded.share("[lost]");
        assert!(lost < 0.01, "{}: {lost}\n{}", path.display(), folded.head(20));
        let info = report(&[text(path), "--info"]).success();
        for what in ["python3", "node", "java", "environment"] {
            assert!(info.stdout.contains(what), "no {what}: {info}");
        }
    }
}

/// A file ends at a size, and only so much is kept of all; what is not of `rec` stays.
#[test]
fn the_oldest_files_go_first() {
    let target = Target::start("steady", &["1000000"]);
    let dir = temp_dir();
    fs::write(dir.path().join("notes.rz"), "mine").unwrap();
    let args = ["--rotate", "100K", "--keep", "300K", "-p", &target.pid_text(), "--syscalls"];
    let mut rec = Rotating::start(dir.path(), &args);
    let part = parts(dir.path()).remove(0);
    let first = part.with_extension("");
    // It has the one name before it loses the other.
    wait_until("the first file to be removed", || {
        rec.next_file() && !part.exists() && !first.exists()
    });
    let notes = dir.path().join("notes.rz");
    let (mut files, others) = (rec.stop(), [notes]);
    files.retain(|path| !others.contains(path));
    assert_eq!(fs::read_to_string(&others[0]).unwrap(), "mine");
    let all = read_all(&files);
    assert_eq!(window(all.last().unwrap()).2, EndReason::Interrupted);
    let bytes: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= 300 << 10, "{bytes} in {files:?}");
    assert!(files.len() >= 2, "{files:?}");
    assert!(rec.stderr().contains(" files, "), "{}", rec.stderr());
}

/// On a full disk, the oldest files make room. What others have put there stays.
#[test]
fn a_full_disk_takes_the_oldest() {
    let disk = RamDisk::new(1024);
    let target = Target::start("flood", &["60"]);
    let others = disk.path().join("others");
    fs::write(&others, vec![1; 200 << 10]).unwrap();
    let folder = disk.path().join("rz");
    let args = ["--rotate", "150K", "-p", &target.pid_text(), "--syscalls"];
    let mut rec = Rotating::start(&folder, &args);
    wait_until("the disk to be full", || rec.stderr().contains("the disk is full: "));
    assert!(rec.next_file(), "{}", rec.stderr());
    let files = rec.stop();
    let all = read_all(&files);
    let is_note = |record: &&Record| matches!(record, Record::Note(note) if note.text.contains("oldest files of this recording were removed"));
    assert!(all.iter().flat_map(|all| &all.records).any(|record| is_note(&record)));
    assert_eq!(fs::metadata(&others).unwrap().len(), 200 << 10);

    // With nothing left to remove, it ends, as without --rotate.
    files.iter().for_each(|path| fs::remove_file(path).unwrap());
    let mut rec = Rotating::start(&folder, &args);
    disk.fill("filler");
    wait_until("rec to end", || rec.has_ended());
    assert!(rec.stderr().contains("the disk"), "{}", rec.stderr());
    let left = names_in(&folder);
    assert_eq!(left.len(), 1, "{left:?}");
    rebuild_index(&mut File::open(folder.join(&left[0])).unwrap()).unwrap();
}

/// How many filters of system calls each thread has, by its name.
fn seccomp_filters(pid: u32) -> BTreeMap<String, u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let filters = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_owned()
        };
        (field("Name:"), field("Seccomp_filters:").parse().unwrap())
    });
    filters.collect()
}

/// Whoever is killed leaves whole files, and one that is readable; the next one counts it.
#[test]
fn a_killed_recorder_leaves_all_files() {
    let target = Target::start("waiter", &["0"]);
    let dir = temp_dir();
    let args = ["--rotate", "1h", "--off-cpu", "--syscalls=summary", "-p", &target.pid_text()];
    let mut rec = Rotating::start(dir.path(), &args);
    assert!(rec.next_file() && rec.next_file());
    let part = parts(dir.path()).pop().unwrap();
    let blocks = || rebuild_index(&mut File::open(&part).unwrap()).map_or(0, |it| it.len());
    wait_until("some blocks", || blocks() > 5);
    // Only the thread that creates files still may.
    let filters = seccomp_filters(rec.child.id());
    assert!(filters.len() >= 4, "{filters:?}");
    for (thread, count) in &filters {
        assert_eq!(*count, if thread == "store" { 1 } else { 2 }, "{filters:?}");
    }
    rec.child.kill().unwrap();
    wait_until("rec to be gone", || rec.has_ended());
    let files = files(dir.path(), ".rz");
    assert_eq!(read_all(&files).len(), 2);
    assert_eq!(parts(dir.path()), std::slice::from_ref(&part));
    let shown = report(&[text(&part), "--off-cpu"]).success();
    assert!(shown.stdout.contains("waiter"), "{shown}");

    // There is a lock on what is being written, and none on this one.
    let mut rec = Rotating::start(dir.path(), &[&args[..], &["--keep", "1s"]].concat());
    assert!(part.exists());
    wait_until("what is old to be removed", || {
        rec.next_file();
        !part.exists() && files.iter().all(|path| !path.exists())
    });
    rec.stop();
}

/// The perf tier needs no rights; what it counts is of all files.
#[test]
fn without_bpf() {
    let target = Target::start("threads", &["0"]);
    let dir = temp_dir();
    let args = ["--rotate", "1h", "--tier", "perf", "-p", &target.pid_text()];
    let mut rec = Rotating::start(dir.path(), &args);
    assert!(rec.next_file() && rec.next_file());
    let all = read_all(&rec.stop());
    assert_eq!(all.len(), 3);
    for (index, contents) in all.iter().enumerate() {
        let (start_ns, end_ns, _) = window(contents);
        // The first one begins a moment after its events, and the last one ends a moment
        // before.
        let (is_first, is_last) = (index == 0, index == all.len() - 1);
        let outside =
            |time_ns: u64| !is_first && time_ns < start_ns || !is_last && time_ns >= end_ns;
        let early = contents.samples.iter().filter(|sample| outside(sample.time_ns)).count();
        assert_eq!(early, 0);
        assert!(!contents.samples.is_empty());
        let times = contents.records.iter().filter(|it| matches!(it, Record::CpuTimes(_)));
        assert_eq!(times.count(), 1);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let target = Target::start("waiter", &["0"]);
    let pid = target.pid_text();
    let dir = temp_dir();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    rec(&["--rotate", "1h", "-p", &pid, "-o", "-"]).refused(1, &["name a directory with -o"]);
    rec(&["--rotate", "1h", "-p", &pid, "-o", text(&file)])
        .refused(1, &[text(&file), "is not a directory"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let output = rec(&["--rotate", "10x", "-p", &pid]).code(2);
    assert!(output.stderr.contains("a time such as 10m or a size such as 100M"), "{output}");
    // Nothing is left of a recording that did not begin.
    let folder = dir.path().join("folder");
    let output = rec(&["--rotate", "1h", "-p", "999999999", "-o", text(&folder)]);
    assert!(!output.status.success(), "{output}");
    assert_eq!(names_in(&folder), Vec::<String>::new());
}

/// The service that is there as an example: systemd takes it, and its command records.
#[test]
fn the_service_is_sound() {
    let unit = fs::read_to_string(workspace_root().join("contrib/rz-rec.service")).unwrap();
    let unit = unit.replace("/usr/local/bin/rec", text(&binary("rec")));
    let dir = temp_dir();
    let path = dir.path().join("rz-rec.service");
    fs::write(&path, &unit).unwrap();
    // It is part of systemd, which not every machine has.
    if Path::new("/usr/bin/systemd-analyze").exists() {
        let mut analyze = Command::new("/usr/bin/systemd-analyze");
        let output = run(analyze.arg("verify").arg(&path));
        assert!(output.status.success() && output.stderr.is_empty(), "{output}");
    }

    let joined = unit.replace("\\\n", " ");
    let command = joined.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let folder = dir.path().join("files");
    let command = command.replace("/var/lib/rz", text(&folder));
    let words: Vec<&str> = command.split_whitespace().collect();
    rec(&[&words[1..], &["-d", "1"]].concat()).success();
    let all = read_all(&files(&folder, ".rz"));
    assert!(all[0].totals.iter().any(|total| total.class == TotalClass::Calls));
    assert!(all[0].processes().len() > 1);
}
