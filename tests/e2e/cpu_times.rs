//! How long threads ran, as the scheduler counts it.

use std::fs;

use rz_format::{CpuTimes, Record};
use rz_tests::{Contents, Target, Trace, program_path, report, text};
use serde_json::Value;

/// Least that may be missing of a thread that ends: a tick of the slowest clock.
const TICK_NS: u64 = 10_000_000;

fn read(trace: &Trace) -> (Contents, CpuTimes, u64) {
    let contents = Contents::read(&trace.path());
    let times = contents.records.iter().filter_map(|record| match record {
        Record::CpuTimes(times) => Some(*times),
        _ => None,
    });
    let times: Vec<CpuTimes> = times.collect();
    assert_eq!(times.len(), 1, "{times:?}");
    let ran_ns = contents.cpu_times.iter().map(|row| row.ran_ns).sum();
    (contents, times[0], ran_ns)
}

/// Threads and processes that end are counted, too: it is what the program itself sees of
/// its clock, but for a tick of each of them.
#[test]
fn of_a_program_are_what_it_counts_itself() {
    let program = program_path("burner");
    for tier in ["bpf", "perf"] {
        let trace = Trace::record(&["-q", "--tier", tier, "--", text(&program), "3", "600"]);
        let (contents, times, ran_ns) = read(&trace);
        assert!(times.complete, "{tier}");
        let itself: u64 = trace.output.stdout.trim().parse().unwrap();
        assert!(itself > 2_400_000_000, "{itself}");
        // The program began before it was executed.
        let most = itself + TICK_NS;
        let least = itself - 5 * TICK_NS;
        assert!((least..=most).contains(&ran_ns), "{tier}: {ran_ns} of {itself}");
        if tier == "bpf" {
            let mut threads: Vec<_> = contents.cpu_times.iter().map(|row| row.thread).collect();
            threads.sort_unstable();
            threads.dedup();
            assert_eq!(threads.len(), 5, "{threads:?}");
            assert!(contents.cpu_times.iter().all(|row| row.thread.is_some()));
        }
        let shown = report(&[text(&trace.path())]).success();
        assert!(shown.stdout.contains("\n  on CPU    "), "{shown}");
        let json: Value =
            serde_json::from_str(&report(&[text(&trace.path()), "--json"]).success().stdout)
                .unwrap();
        let on_cpu = &json["data"]["overview"]["on_cpu"];
        assert_eq!((&on_cpu["ran_ns"], &on_cpu["complete"]), (&ran_ns.into(), &true.into()));
    }
}

/// How long a process's threads have run.
fn ran_ns(pid: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |task: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    tasks.map(of_thread).sum()
}

#[test]
fn of_a_process_are_what_proc_says() {
    let target = Target::start("split", &[]);
    let pid = target.pid_text();
    for tier in ["bpf", "perf"] {
        let before = ran_ns(&pid);
        let trace = Trace::record(&["-q", "--tier", tier, "-d", "2.5", "-p", &pid]);
        let most = ran_ns(&pid) - before;
        let (contents, times, ran_ns) = read(&trace);
        assert!(times.complete, "{tier}");
        assert!(ran_ns <= most, "{tier}: {ran_ns} of {most}");
        let span_ns = times.to_ns - times.from_ns;
        assert!((2_500_000_000..4_000_000_000).contains(&span_ns), "{tier}: {span_ns}");
        // Once a second, and in the end.
        assert!((3..=6).contains(&contents.cpu_times.len()), "{:?}", contents.cpu_times);
        // It is not idle: samples say about the same.
        let sampled: u64 = contents.samples.iter().map(|sample| sample.weight).sum();
        let rates = [ran_ns as f64 / span_ns as f64, sampled as f64 / 2.5e9];
        assert!((rates[0] - rates[1]).abs() < 0.1 * rates[0], "{tier}: {rates:?}");
    }
}

/// With a part of the threads or of the time, nothing is said of all.
#[test]
fn of_a_selection_are_not_shown() {
    let program = program_path("burner");
    let trace = Trace::record(&["-q", "--", text(&program), "1", "100"]);
    for filter in [["--from", "50%"], ["--focus", "burn"], ["--thread", "burner"]] {
        let shown = report(&[&[text(&trace.path())][..], &filter].concat()).success();
        assert!(!shown.stdout.contains("\n  on CPU "), "{filter:?}: {shown}");
    }
}
