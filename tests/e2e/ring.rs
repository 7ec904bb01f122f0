//! The last seconds of a recording, in memory until something happens.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use rz_format::Record;
use rz_tests::{
    Contents, Target, binary, conv, names_in, program_path, rec, report, send, temp_dir, text,
    wait_until,
};
use tempfile::TempDir;

/// A `rec --ring` that has begun. Dropping it kills it.
struct Ring {
    child: Child,
    said: TempDir,
    folder: PathBuf,
}

impl Ring {
    /// Starts `rec --ring` with `args`, and waits until it records `target`.
    #[track_caller]
    fn start(target: &Target, ring: &str, args: &[&str]) -> Self {
        let said = temp_dir();
        let folder = said.path().join("seen");
        let mut command = Command::new(binary("rec"));
        command.args(["-v", "--ring", ring, "-F", "997", "-p", &target.pid_text(), "-o"]);
        command.arg(&folder).args(args);
        let stderr = File::create(said.path().join("stderr")).unwrap();
        let out = (Stdio::null(), Stdio::null());
        let child = command.stdin(out.0).stdout(out.1).stderr(stderr).spawn().unwrap();
        let mut this = Ring { child, said, folder };
        wait_until("rec to record", || {
            assert!(this.child.try_wait().unwrap().is_none(), "{}", this.stderr());
            has_begun(&this.child)
        });
        this
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.said.path().join("stderr")).unwrap()
    }

    /// What was written, oldest first.
    fn folders(&self) -> Vec<PathBuf> {
        let mut names = names_in(&self.folder);
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names.iter().map(|name| self.folder.join(name)).collect()
    }

    /// Waits until so much was written, and returns what came last.
    #[track_caller]
    fn written(&self, count: usize) -> PathBuf {
        wait_until("something to be written", || self.folders().len() >= count);
        let folders = self.folders();
        assert_eq!(folders.len(), count, "{}", self.stderr());
        folders[count - 1].clone()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    fn finish(&mut self) {
        wait_until("rec to end", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.stderr());
    }

    #[track_caller]
    fn stop(&mut self) {
        send(self.child.id(), Signal::SIGTERM);
        self.finish();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the thread that writes is there, as it is when events are.
fn has_begun(rec: &Child) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", rec.id()));
    tasks.is_ok_and(|mut tasks| {
        tasks.any(|task| {
            let name = task.and_then(|task| fs::read_to_string(task.path().join("comm")));
            name.is_ok_and(|name| name.trim() == "resolve")
        })
    })
}

/// The files in a folder, which are whole and follow each other without a gap.
#[track_caller]
fn read_all(folder: &Path) -> Vec<Contents> {
    let mut names = names_in(folder);
    names.sort();
    assert!(!names.is_empty(), "{}", folder.display());
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    for path in &files {
        let missing = conv(&[text(path), "--verify"]);
        assert!(missing.status.success(), "{missing}");
    }
    let all: Vec<Contents> = files.iter().map(|path| Contents::read(path)).collect();
    for pair in all.windows(2) {
        assert_eq!(window(&pair[0]).1, window(&pair[1]).0);
    }
    all
}

/// When a file begins and ends.
#[track_caller]
fn window(contents: &Contents) -> (u64, u64) {
    let begins = contents.records.iter().find_map(|record| match record {
        Record::Recording(recording) => Some(recording.start_ns),
        _ => None,
    });
    let ends = contents.records.iter().find_map(|record| match record {
        Record::End(end) => Some(end.time_ns),
        _ => None,
    });
    (begins.unwrap(), ends.unwrap())
}

/// What is said of triggers.
fn triggers(all: &[Contents]) -> Vec<String> {
    let records = all.iter().flat_map(|contents| &contents.records);
    let notes = records.filter_map(|record| match record {
        Record::Note(note) => note.text.strip_prefix("trigger "),
        _ => None,
    });
    notes.map(str::to_owned).collect()
}

/// The numbers of the calls that a target makes, in their order.
fn numbers(all: &[Contents]) -> Vec<u64> {
    let number = rz_syscalls::by_name("getpgid").unwrap().number;
    let calls = all.iter().flat_map(|contents| &contents.calls);
    calls.filter(|call| call.number == number).map(|call| call.args[0] - 1_000_000_000).collect()
}

/// That no number is missing or there twice.
#[track_caller]
fn assert_without_gaps(numbers: &[u64]) {
    let wrong = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(wrong, None, "of {} calls", numbers.len());
}

/// Lets some time pass, during which the target goes on.
fn pass(seconds: f64) {
    // What a ring has depends on time only.
    std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
}

/// A program that spins up: what it did before is there, and two times that follow each other
/// have each call once.
#[test]
fn what_came_before_is_written() {
    let target = Target::start("paced", &[]);
    let args = ["--on", "cpu>20%", "--on", "signal", "--syscalls=getpgid"];
    let ring = Ring::start(&target, "60s", &args);
    pass(2.0);
    assert_eq!(ring.folders(), Vec::<PathBuf>::new(), "{}", ring.stderr());
    send(target.pid(), Signal::SIGUSR1);
    let first = ring.written(1);
    assert!(text(&first).ends_with("Z-cpu"), "{}", first.display());
    send(target.pid(), Signal::SIGUSR1);
    let all = read_all(&first);
    let said = triggers(&all);
    assert!(said.len() == 1 && said[0].starts_with("cpu>20%: "), "{said:?}");
    assert!(said[0].contains(" % of a CPU within a second, at 20"), "{said:?}");
    let (begin_ns, end_ns) = (window(&all[0]).0, window(all.last().unwrap()).1);
    assert!(end_ns - begin_ns >= 2_000_000_000);
    let before = numbers(&all);
    assert_without_gaps(&before);

    // A signal comes at any time, and what is written was not written before.
    send(ring.child.id(), Signal::SIGUSR1);
    let second = ring.written(2);
    assert!(text(&second).ends_with("Z-signal"), "{}", second.display());
    let all = read_all(&second);
    assert_eq!(window(&all[0]).0, end_ns);
    let after = numbers(&all);
    assert_without_gaps(&[&before[..], &after[..]].concat());

    // The files of both make one trace.
    let merged = ring.said.path().join("all.rz");
    let paths: Vec<PathBuf> = [&first, &second]
        .iter()
        .flat_map(|folder| names_in(folder).into_iter().map(|name| folder.join(name)))
        .collect();
    let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    conv(&[&paths[..], &["--to", "rz", "-o", text(&merged)]].concat()).success();
    let shown = report(&[text(&merged), "--syscalls"]).success();
    assert!(shown.stdout.contains("getpgid"), "{shown}");
    assert!(shown.stderr.contains("trigger cpu>20%"), "{shown}");
}

#[test]
fn a_slow_call_a_line_of_a_log_and_the_end() {
    let target = Target::start("paced", &[]);
    let dir = temp_dir();
    let log = dir.path().join("app.log");
    fs::write(&log, "ERROR of yesterday\n").unwrap();
    let on_log = format!("log:{}:ERROR", log.display());
    let args = ["--on", "syscall:poll>200ms", "--on", &on_log, "--on", "exit", "--on", "crash"];
    let mut ring = Ring::start(&target, "30s", &args);
    send(target.pid(), Signal::SIGUSR2);
    let slow = read_all(&ring.written(1));
    let said = triggers(&slow);
    assert!(said.len() == 1 && said[0].starts_with("syscall:poll>200ms: it took "), "{said:?}");
    let number = rz_syscalls::by_name("poll").unwrap().number;
    let calls: Vec<_> = slow.iter().flat_map(|contents| &contents.calls).collect();
    assert!(calls.iter().all(|call| call.number == number));
    assert!(calls.iter().any(|call| call.duration_ns > 200_000_000));

    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    writeln!(file, "ERROR of today").unwrap();
    let folder = ring.written(2);
    assert!(text(&folder).ends_with("Z-log"), "{}", folder.display());
    let said = triggers(&read_all(&folder));
    assert!(said.len() == 1 && said[0].starts_with(&on_log), "{said:?}");

    send(target.pid(), Signal::SIGHUP);
    ring.finish();
    let folder = ring.written(3);
    assert!(text(&folder).ends_with("Z-exit"), "{}", folder.display());
    let said = triggers(&read_all(&folder));
    let ended = format!("exit: process {} has ended, at ", target.pid());
    assert!(said.len() == 1 && said[0].starts_with(&ended), "{said:?}");
    assert!(!ring.stderr().contains("nothing is written"), "{}", ring.stderr());
}

#[test]
fn a_crash_is_told_from_an_end() {
    for (signal, name) in [(Signal::SIGSEGV, "SIGSEGV"), (Signal::SIGHUP, "")] {
        let target = Target::start("paced", &[]);
        let mut ring = Ring::start(&target, "30s", &["--on", "crash"]);
        send(target.pid(), signal);
        ring.finish();
        if name.is_empty() {
            assert_eq!(ring.folders(), Vec::<PathBuf>::new());
            let said = "nothing has happened that --on names: nothing is written";
            assert!(ring.stderr().contains(said), "{}", ring.stderr());
        } else {
            let said = triggers(&read_all(&ring.written(1)));
            let ended = format!("crash: {name} has ended process {}, at ", target.pid());
            assert!(said.len() == 1 && said[0].starts_with(&ended), "{said:?}");
        }
    }
}

/// What is too old is gone; what comes true again within the time waits, and misses nothing.
#[test]
fn it_reaches_back_as_far_as_it_should() {
    let target = Target::start("paced", &[]);
    let args = ["--on", "syscall:poll>200ms", "--on", "signal", "--syscalls=getpgid"];
    let mut ring = Ring::start(&target, "3s", &args);
    pass(6.0);
    send(target.pid(), Signal::SIGUSR2);
    let first = read_all(&ring.written(1));
    let (begin_ns, end_ns) = (window(&first[0]).0, window(first.last().unwrap()).1);
    let long_ns = end_ns - begin_ns;
    // From the first file that ended no longer ago than that.
    assert!(long_ns >= 2_500_000_000, "{long_ns}");
    assert!(numbers(&first)[0] > 0);
    // A second time, at once.
    send(target.pid(), Signal::SIGUSR2);
    let second = read_all(&ring.written(2));
    let gap_ns = window(second.last().unwrap()).1 - end_ns;
    assert!(gap_ns >= 2_500_000_000, "{gap_ns}");
    assert_without_gaps(&[numbers(&first), numbers(&second)].concat());
    ring.stop();
    assert_eq!(ring.folders().len(), 2);
}

/// A flood does not take more memory than it may, and a note says how far back it reaches.
#[test]
fn memory_is_bounded() {
    let script = "echo ready; exec dd if=/dev/urandom of=/dev/null bs=4k";
    let target = Target::spawn(Command::new("sh").args(["-c", script]));
    let args = ["--on", "signal", "--max-rss", "128M", "--syscalls", "--syscall-data=4096"];
    let mut ring = Ring::start(&target, "1h", &args);
    let memory = || {
        let total = |path: PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        let fds = fs::read_dir(format!("/proc/{}/fd", ring.child.id())).unwrap();
        let fds = fds.filter_map(Result::ok).map(|fd| fd.path());
        let ours = fds.filter(|fd| {
            fs::read_link(fd).is_ok_and(|link| link.to_string_lossy().contains("memfd:trace"))
        });
        ours.map(total).sum::<u64>()
    };
    wait_until("memory to be short", || ring.stderr().contains("there is memory for the last "));
    // 16 MiB. What a burst leaves behind is in the present file until that has ended.
    wait_until("memory to be within its bound", || memory() < 17 << 20);
    send(ring.child.id(), Signal::SIGUSR1);
    let all = read_all(&ring.written(1));
    let notes = all.iter().flat_map(|contents| &contents.records);
    let is_short = |record: &Record| match record {
        Record::Note(note) => note.text.contains("raise --max-rss"),
        _ => false,
    };
    assert!(notes.filter(|record| is_short(record)).count() > 0);
    ring.stop();
}

#[test]
fn what_cannot_be_is_refused() {
    let target = Target::start("waiter", &["0"]);
    let pid = target.pid_text();
    let dir = temp_dir();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let ring = |on: &str, args: &[&str]| {
        rec(&[&["--ring", "60s", "--on", on, "-p", &pid][..], args].concat())
    };
    let wrong = |on: &str, parts: &[&str]| {
        let output = ring(on, &[]).code(2);
        parts.iter().for_each(|part| assert!(output.stderr.contains(part), "{output}"));
    };
    wrong("memory>1G", &["cpu>90%, syscall:NAME>TIME, signal, log:FILE:TEXT, exit and crash"]);
    wrong("syscall:fsnc>1s", &["there is no system call", "similar names are fsync"]);
    ring("signal", &["-o", "-"]).refused(1, &["name a directory with -o"]);
    ring("signal", &["-o", text(&file)]).refused(1, &[text(&file), "is not a directory"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let missing = format!("log:{}:ERROR", dir.path().join("none").display());
    ring(&missing, &["-o", text(dir.path())]).refused(1, &["cannot read", "none", "--on log:"]);
    ring("crash", &["--tier", "perf", "-o", text(dir.path())])
        .refused(1, &["--on crash needs the bpf tier"]);
    ring("syscall:fsync>1s", &["--syscalls=summary", "-o", text(dir.path())])
        .refused(1, &["leave out summary"]);
    ring("syscall:fsync>1s", &["--syscalls", "--slower-than", "2s", "-o", text(dir.path())])
        .refused(1, &["--slower-than"]);
    rec(&["--ring", "60s", "--on", "exit", "-a", "-o", text(dir.path())])
        .refused(1, &["name processes with -p"]);
    assert_eq!(names_in(dir.path()), ["file"]);
}

/// A program that is started, by events of perf, which need no rights.
#[test]
fn without_bpf() {
    let dir = temp_dir();
    let folder = dir.path().join("seen");
    let program = program_path("split");
    let args = ["--ring", "10s", "--on", "exit", "--tier", "perf", "-o", text(&folder), "--"];
    rec(&[&args[..], &[text(&program), "2"]].concat()).success();
    let names = names_in(&folder);
    assert!(names.len() == 1 && names[0].ends_with("Z-exit"), "{names:?}");
    let all = read_all(&folder.join(&names[0]));
    assert!(all.iter().any(|contents| !contents.samples.is_empty()));
}
