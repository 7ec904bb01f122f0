//! Recordings whose output takes nothing when they should end, and recorders that come
//! too late for it: targets are left alone in time.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rz_format::Record;
use rz_tests::{Contents, FrozenDisk, Target, binary, report, send, temp_dir, text, wait_until};

/// `rec` with these arguments, all that happens in a process that calls the kernel all
/// the time.
fn start(target: &Target, args: &[&str]) -> Child {
    let mut rec = Command::new(binary("rec"));
    rec.args(["-F", "499", "--syscalls", "--off-cpu", "-p", &target.pid_text()]).args(args);
    let piped = rec.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().expect("rec runs")
}

/// Whether a thread of `rec` waits in this function of the kernel.
fn waits_in(rec: &Child, function: &str) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", rec.id())).into_iter().flatten();
    let places =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("wchan")).ok());
    places.into_iter().any(|place| place.contains(function))
}

/// How many programs `rec` has attached to the kernel.
fn attached(rec: &Child) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", rec.id())).into_iter().flatten();
    let targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    targets.filter(|target| text(target) == "anon_inode:bpf_link").count()
}

/// Waits until `rec` has attached itself and then let go, while it is still held up in
/// this function of the kernel, and long before it gives up the output.
#[track_caller]
fn lets_go_while_it_waits_in(rec: &mut Child, function: &str) {
    let began = Instant::now();
    wait_until("rec to have let go of its targets", || attached(rec) == 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(waits_in(rec, function) && rec.try_wait().unwrap().is_none());
}

#[track_caller]
fn starts_and_fills_its_pipe(rec: &Child) {
    wait_until("rec to have begun", || attached(rec) > 0);
    wait_until("rec to have filled the pipe", || waits_in(rec, "pipe_write"));
}

/// What is in a trace, which is whole.
#[track_caller]
fn whole(path: &Path) -> Contents {
    let contents = Contents::read(path);
    assert_eq!(contents.damage, []);
    contents
}

/// How long the recording lasted, by itself, after all in it was found to be from then.
#[track_caller]
fn seconds(contents: &Contents) -> f64 {
    let find = |pick: &dyn Fn(&Record) -> Option<u64>| contents.records.iter().find_map(pick);
    let start_ns = find(&|record| match record {
        Record::Recording(recording) => Some(recording.start_ns),
        _ => None,
    });
    let end_ns = find(&|record| match record {
        Record::End(end) => Some(end.time_ns),
        _ => None,
    });
    let (start_ns, end_ns) = (start_ns.expect("a start"), end_ns.expect("an end"));
    let last = contents.samples.iter().map(|sample| sample.time_ns).max().expect("samples");
    assert!(last <= end_ns, "a sample {} ns after the end", last - end_ns);
    let calls = contents.calls.iter().map(|call| call.start_ns);
    assert!(calls.max().expect("calls") <= end_ns);
    (end_ns - start_ns) as f64 / 1e9
}

#[test]
fn a_pipe_that_is_read_later() {
    let target = Target::start("flood", &["60"]);
    let mut rec = start(&target, &["-q", "-d", "2", "-o", "-"]);
    starts_and_fills_its_pipe(&rec);
    lets_go_while_it_waits_in(&mut rec, "pipe_write");
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    io::copy(rec.stdout.as_mut().unwrap(), &mut File::create(&path).unwrap()).unwrap();
    assert!(rec.wait().unwrap().success());
    let lasted = seconds(&whole(&path));
    assert!((2.0..2.5).contains(&lasted), "{lasted} s");
}

#[test]
fn a_pipe_that_is_never_read() {
    let target = Target::start("flood", &["60"]);
    let mut rec = start(&target, &["-d", "1", "--drain-timeout", "1s", "-o", "-"]);
    starts_and_fills_its_pipe(&rec);
    wait_until("rec to have given up", || rec.try_wait().unwrap().is_some());
    let output = rec.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.lines()
            .last()
            .is_some_and(|line| line.starts_with("rec: cannot write the rest of /dev/stdout")
                && line.contains("not taken within 1 s (--drain-timeout)")),
        "{said}"
    );
    // What had been written is a trace that ends early.
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    fs::write(&path, &output.stdout).unwrap();
    report(&[text(&path)]).success();
}

#[test]
fn an_interrupt_while_nobody_reads() {
    let target = Target::start("flood", &["60"]);
    let mut rec = start(&target, &["-q", "-d", "100", "--drain-timeout", "50s", "-o", "-"]);
    starts_and_fills_its_pipe(&rec);
    send(rec.id(), Signal::SIGINT);
    lets_go_while_it_waits_in(&mut rec, "pipe_write");
    // The second one is for who does not want to wait for the rest.
    send(rec.id(), Signal::SIGTERM);
    wait_until("rec to have ended", || rec.try_wait().unwrap().is_some());
    assert_eq!(rec.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn a_disk_that_hangs() {
    let target = Target::start("flood", &["60"]);
    let disk = FrozenDisk::new();
    let path = disk.path().join("t.rz");
    let mut rec = start(&target, &["-q", "-d", "2", "--drain-timeout", "50s", "-o", text(&path)]);
    wait_until("rec to have begun", || path.exists());
    disk.freeze();
    wait_until("rec to hang", || waits_in(&rec, "percpu_rwsem_wait"));
    lets_go_while_it_waits_in(&mut rec, "percpu_rwsem_wait");
    disk.thaw();
    wait_until("rec to have ended", || rec.try_wait().unwrap().is_some());
    assert!(rec.wait().unwrap().success());
    let lasted = seconds(&whole(&path));
    assert!((2.0..2.5).contains(&lasted), "{lasted} s");
}

#[test]
fn a_recorder_that_is_stopped_meanwhile() {
    let target = Target::start("flood", &["60"]);
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let mut rec = start(&target, &["-q", "-d", "1", "-o", text(&path)]);
    wait_until("rec to have begun", || path.exists());
    send(rec.id(), Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(2500));
    send(rec.id(), Signal::SIGCONT);
    assert!(rec.wait().unwrap().success());
    let contents = whole(&path);
    let lasted = seconds(&contents);
    assert!((1.0..1.5).contains(&lasted), "{lasted} s");
    // What the kernel has added up cannot be taken apart any more.
    let says_so = |record: &Record| match record {
        Record::Note(note) => note.text.contains("exact sums and losses are for longer"),
        _ => false,
    };
    assert!(contents.records.iter().any(says_so));
}
