//! Allocations of programs that are started for the recording.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use rz_format::Record;
use rz_profile::heap::{Heap, Site, Suppressions};
use rz_profile::model::Profile;
use rz_tests::{Trace, program_path, run, temp_dir, text, tool};

/// Records a test program and its arguments, with options for `rec`.
#[track_caller]
fn record(options: &[&str], program: &str, arguments: &[&str]) -> Trace {
    let program = program_path(program);
    Trace::record(&[options, &["-q", "--", text(&program)], arguments].concat())
}

#[track_caller]
fn heap(profile: &Profile) -> &Heap {
    profile.heap.as_ref().expect("allocations were recorded")
}

/// Names of the functions on a site's stack, leaf first.
fn names<'a>(profile: &'a Profile, site: &Site) -> Vec<&'a str> {
    profile
        .locations_of(site.stack)
        .flat_map(|location| &location.lines)
        .map(|line| profile.functions[line.function].name.as_str())
        .collect()
}

/// Objects and bytes by the function that allocated.
fn by_function(
    profile: &Profile,
    of: impl Fn(&Site) -> (f64, f64),
) -> BTreeMap<String, (f64, f64)> {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for site in &heap(profile).sites {
        let name = names(profile, site).first().copied().unwrap_or_default().to_owned();
        let sum = sums.entry(name).or_default();
        let (objects, bytes) = of(site);
        (sum.0, sum.1) = (sum.0 + objects, sum.1 + bytes);
    }
    sums.retain(|_, sum| *sum != (0.0, 0.0));
    sums
}

fn allocated(site: &Site) -> (f64, f64) {
    (site.sums.allocated.objects.value, site.sums.allocated.bytes.value)
}

fn at_end(site: &Site) -> (f64, f64) {
    (site.sums.at_end.objects.value, site.sums.at_end.bytes.value)
}

fn table(rows: &[(&str, f64, f64)]) -> BTreeMap<String, (f64, f64)> {
    rows.iter().map(|(name, objects, bytes)| ((*name).to_owned(), (*objects, *bytes))).collect()
}

/// What valgrind's dhat counts, in bytes and objects: in all, at the peak, and
/// at the end.
#[track_caller]
fn dhat(program: &[&str]) -> [(u64, u64); 3] {
    let mut command = Command::new(tool("valgrind"));
    let output = run(command.args(["--tool=dhat", "--dhat-out-file=/dev/null"]).args(program));
    ["Total:", "At t-gmax:", "At t-end:"].map(|what| {
        let line = output.stderr.lines().find_map(|line| Some(line.split_once(what)?.1));
        let line = line.unwrap_or_else(|| panic!("{output}")).replace(',', "");
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    })
}

/// What heaptrack counts: allocations, those leaked, and those temporary.
#[track_caller]
fn heaptrack(program: &[&str]) -> [u64; 3] {
    let dir = temp_dir();
    let mut command = Command::new(tool("heaptrack"));
    let output = run(command.arg("-o").arg(dir.path().join("heap")).args(program));
    let number = |what: &str| {
        let line = [&output.stdout, &output.stderr]
            .into_iter()
            .flat_map(|said| said.lines())
            .find(|line| line.trim_start().starts_with(what))
            .unwrap_or_else(|| panic!("{output}"));
        line.split_whitespace().last().unwrap_or_default().parse().unwrap()
    };
    ["allocations:", "leaked allocations:", "temporary allocations:"].map(number)
}

#[test]
fn every_allocation_by_plan() {
    let trace = record(&["--alloc=full"], "heap", &["2"]);
    let profile = trace.profile();
    let heap = heap(&profile);
    assert_eq!(profile.info.lost_allocations.count, 0);
    let expected = [
        ("leak", 100.0, 100_000.0),
        ("temporary", 10_000.0, 640_000.0),
        ("build", 4_000.0, 16_384_000.0),
        ("grow", 20.0, 110_000.0),
        // A request for 0 bytes is an allocation.
        ("variety", 10.0, 2.0 * (500 + 640 + 128 + 100) as f64),
        ("deep", 2_000.0, 264_000.0),
    ];
    assert_eq!(by_function(&profile, allocated), table(&expected));
    assert_eq!(by_function(&profile, at_end), table(&[("leak", 100.0, 100_000.0)]));

    let counts = heap.counts.unwrap();
    let objects: f64 = expected.iter().map(|row| row.1).sum();
    let bytes: f64 = expected.iter().map(|row| row.2).sum();
    assert_eq!((counts.allocations as f64, counts.bytes as f64), (objects, bytes));
    assert_eq!((counts.frees, counts.failed), (counts.allocations - 100, 2));
    assert_eq!(heap.sizes.0.iter().sum::<u64>(), counts.allocations);
    assert_eq!((heap.unknown_frees, heap.missing_frees), (0, 0));

    // All blocks, and what has been leaked by then.
    let peak = heap.peak.live;
    assert_eq!(peak.bytes.value, 2_000.0 * 4_096.0 + 100_000.0);
    assert_eq!(peak.objects.value, 2_100.0);
    let temporary = by_function(&profile, |site| {
        (site.sums.temporary.objects.value, site.sums.temporary.bytes.value)
    });
    let expected = [
        ("temporary", 10_000.0, 640_000.0),
        ("grow", 20.0, 110_000.0),
        // Those that are allocated last.
        ("deep", 1_000.0, 240_000.0),
        ("build", 2.0, 8_192.0),
        ("variety", 2.0, 0.0),
    ];
    assert_eq!(temporary, table(&expected));

    // Every stack is whole.
    for site in &heap.sites {
        let names = names(&profile, site);
        assert_eq!(names.last(), Some(&"_start"), "{names:?}");
        assert!(names.contains(&"run") && names.contains(&"main"), "{names:?}");
        if names[0] == "deep" {
            assert_eq!(names.iter().filter(|name| **name == "deep").count(), 15);
        }
    }

    let suppressions: Suppressions = "leak:^leak$".parse().unwrap();
    let leaks = heap.leaks(&profile, &suppressions);
    assert_eq!(leaks.suppressed.objects.value, 100.0);
}

#[test]
fn dhat_and_heaptrack_count_the_same() {
    for (program, arguments) in [("heap", vec!["3"]), ("heapcpp", vec!["5"])] {
        let path = program_path(program);
        let command = [&[text(&path)], &arguments[..]].concat();
        let trace = record(&["--alloc=full"], program, &arguments);
        let profile = trace.profile();
        let heap = heap(&profile);
        let sums = [heap.total.allocated, heap.peak.live, heap.total.at_end];
        let ours = sums.map(|sum| (sum.bytes.rounded(), sum.objects.rounded()));
        let mut theirs = dhat(&command);
        if program == "heap" {
            // An empty object is one byte for dhat; there is one in each round.
            theirs[0].0 -= 3;
            assert_eq!(ours, theirs);
        } else {
            // Its peak depends on which threads run at the same time. With
            // valgrind, libraries free what they else keep to the end,
            // such as 72,704 bytes for exceptions when memory is short.
            for (i, slack) in [(0, 64), (2, 75_000)] {
                let is_near = ours[i].0.abs_diff(theirs[i].0) <= slack
                    && (theirs[i].1..=theirs[i].1 + 3).contains(&ours[i].1);
                assert!(is_near, "{program}: {ours:?} {theirs:?}");
            }
        }

        let counts = heap.counts.unwrap();
        let [allocations, leaked, temporary] = heaptrack(&command);
        let leaks = heap.total.at_end.objects.rounded();
        let found = heap.total.temporary.objects.rounded();
        assert!(counts.allocations.abs_diff(allocations) <= 2, "{counts:?} {allocations}");
        assert!(leaks.abs_diff(leaked) <= 2, "{program}: {leaks} {leaked}");
        // For heaptrack, an object is not temporary if another one is given
        // back before it: in each round, the last of `deep` and two others.
        let others = if program == "heap" { 3 * 502 } else { found / 2 };
        assert!((temporary..=temporary + others).contains(&found), "{found} {temporary}");
        assert!(program != "heap" || found == temporary + others, "{found} {temporary}");
    }
}

/// Of so many recordings, that many must have the truth in their 95 %
/// interval: fewer happen by chance less than once in 3,000 times.
const RUNS: usize = 20;
const INSIDE: usize = 15;

#[test]
fn samples_estimate_without_bias() {
    let rounds = 4.0;
    let truth = [
        ("allocated", rounds * (320_000.0 + 8_192_000.0 + 55_000.0 + 1_368.0 + 132_000.0) + 1e5),
        ("peak", 8_292_000.0),
        ("at end", 100_000.0),
    ];
    let mut inside = [0; 3];
    let mut sums = [0.0; 3];
    for _ in 0..RUNS {
        let trace = record(&["--alloc=64K"], "heap", &["4"]);
        let profile = trace.profile();
        let heap = heap(&profile);
        assert_eq!(profile.info.lost_allocations.count, 0, "{}", trace.output);
        // Counts are exact all the same.
        let counts = heap.counts.unwrap();
        assert_eq!(counts.bytes as f64, truth[0].1);
        assert_eq!(counts.allocations, 100 + 4 * 8_015);
        let estimates = [heap.total.allocated.bytes, heap.peak.live.bytes, heap.total.at_end.bytes];
        for (i, estimate) in estimates.into_iter().enumerate() {
            let (low, high) = estimate.interval();
            inside[i] += usize::from((low..=high).contains(&truth[i].1));
            sums[i] += estimate.value / RUNS as f64;
        }
        for site in heap.sites.iter().filter(|site| site.stack.is_some()) {
            assert_eq!(names(&profile, site).last(), Some(&"_start"));
        }
    }
    println!("inside {inside:?}, means {sums:?}, truth {truth:?}");
    assert!(inside[0] >= INSIDE && inside[1] >= INSIDE, "{inside:?}");
    // The mean of all runs is as much nearer to the truth.
    let off = (sums[0] / truth[0].1 - 1.0).abs();
    assert!(off < 0.06, "{off}");
}

#[test]
fn threads_signals_forks_and_libraries() {
    for options in ["--alloc=full", "--alloc=4K"] {
        for (threads, count) in [("8", "5000"), ("1000", "50")] {
            let trace = record(&[options, "--follow"], "heapstorm", &[threads, count]);
            let profile = trace.profile();
            let heap = heap(&profile);
            let allocations: u64 = threads.parse::<u64>().unwrap() * count.parse::<u64>().unwrap();
            assert_eq!(trace.output.stdout.trim(), allocations.to_string());
            let lost = profile.info.lost_allocations.count;
            assert_eq!(lost, 0, "{}", trace.output);
            if options == "--alloc=full" {
                let churned = by_function(&profile, allocated)["churn"];
                assert_eq!(churned, (allocations as f64, allocations as f64 * 100.0));
                // Another thread gives most of them back.
                let left = by_function(&profile, at_end);
                assert!(!left.contains_key("churn"), "{left:?}");
                let functions = by_function(&profile, allocated);
                let forked = functions["fork_and_allocate"];
                // A child may be gone before anybody could look at its memory.
                let cut = functions.get("[truncated]").copied().unwrap_or_default();
                let all = (forked.0 + cut.0, forked.1 + cut.1);
                let each = "20 children, each 100 times";
                assert_eq!(all, (2_000.0, 2_000_000.0), "{each}: {functions:?}");
                assert!(cut.0 <= 400.0, "{functions:?}");
            }
            let counted = heap.counts.unwrap();
            assert!(counted.allocations >= allocations + 2_000, "{counted:?}");
        }
    }
}

#[test]
fn children_are_recorded_or_left_alone() {
    // The shell itself keeps the variables: it may become another program.
    let script = "sqlite3 :memory: 'select 1'; env | grep -e LD_PRELOAD -e RZ_ALLOC; :";
    let check = |follow: &str| {
        let trace = Trace::record(&["--alloc=full", follow, "-q", "--", "sh", "-c", script]);
        let profile = trace.profile();
        let allocating = heap(&profile)
            .processes
            .iter()
            .filter(|process| process.sums.allocated.recorded > 0)
            .map(|process| profile.processes[process.process].name.clone())
            .collect::<Vec<_>>();
        (trace.output.stdout == "1\n", allocating)
    };
    let (_, with) = check("--follow");
    assert!(with.iter().any(|name| name == "sqlite3"), "{with:?}");
    let (is_clean, without) = check("--no-follow");
    assert!(is_clean, "children start without a trace of us");
    assert_eq!(without.len(), 1, "{without:?}");
}

#[test]
fn redis_with_jemalloc() {
    let dir = temp_dir();
    let socket = dir.path().join("socket");
    let socket = text(&socket);
    // The server ends when the load is over.
    let script = format!(
        "redis-server --port 0 --unixsocket {socket} --save '' >/dev/null & \
         export LD_PRELOAD=; until redis-cli -s {socket} ping >/dev/null 2>&1; do sleep 0.05; done; \
         redis-benchmark -s {socket} -q -t set -n 20000 -r 100000 -d 1000 >/dev/null; \
         redis-cli -s {socket} shutdown nosave; wait"
    );
    let trace = Trace::record(&["--alloc=full", "-q", "--", "sh", "-c", &script]);
    let profile = trace.profile();
    let heap = heap(&profile);
    let server = heap
        .processes
        .iter()
        .find(|process| profile.processes[process.process].name.starts_with("redis-server"))
        .expect("the server was recorded");
    assert!(server.allocators[0].contains("libjemalloc"), "{server:?}");
    // Keys are drawn from 100,000, so most of them are new: their values of
    // 1000 bytes stay to the end.
    let lost = profile.info.lost_allocations.count;
    let at_end = server.sums.at_end.bytes.value;
    assert!(at_end > 16e6 && at_end < 30e6, "{at_end}, {lost} lost");
    let whole = heap.sites.iter().filter(|site| !names(&profile, site).contains(&"[truncated]"));
    assert!(whole.count() * 100 > heap.sites.len() * 98);
}

#[test]
fn a_rust_program() {
    let trace = record(&["--alloc=full"], "rustdemo", &["0.3"]);
    let profile = trace.profile();
    let heap = heap(&profile);
    assert!(heap.total.allocated.objects.value > 10.0);
    for site in &heap.sites {
        let names = names(&profile, site);
        let root = names.last().copied().unwrap_or_default();
        assert!(["_start", "__clone3", "clone3"].contains(&root), "{names:?}");
    }
}

#[test]
fn programs_that_cannot_be_recorded() {
    let refused = |program: &str, parts: &[&str]| {
        let dir = temp_dir();
        let output = dir.path().join("t.rz");
        let said = rz_tests::rec(&["--alloc", "-o", text(&output), "--", program]);
        said.refused(1, parts);
        assert!(!output.exists());
    };
    refused(text(&program_path("split-static")), &["statically linked", "-p PID --alloc"]);
    let dir = temp_dir();
    let privileged = dir.path().join("ls");
    fs::copy("/bin/ls", &privileged).unwrap();
    std::os::unix::fs::chown(&privileged, Some(1), Some(1)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o6755);
    fs::set_permissions(&privileged, mode).unwrap();
    refused(text(&privileged), &["rights of another user", "setuid"]);
}

#[test]
fn a_killed_recorder_leaves_the_program_alone() {
    let dir = temp_dir();
    let (trace, done) = (dir.path().join("t.rz"), dir.path().join("done"));
    let program = program_path("heap");
    let script = format!("{} 500 && touch {}", text(&program), text(&done));
    let mut rec = Command::new(rz_tests::binary("rec"))
        .args(["-q", "--alloc=full", "-o", text(&trace), "--", "sh", "-c", &script])
        .spawn()
        .unwrap();
    rz_tests::wait_until("the recording to begin", || {
        fs::metadata(&trace).is_ok_and(|metadata| metadata.len() > 10_000)
    });
    rec.kill().unwrap();
    rec.wait().unwrap();
    assert!(!done.exists(), "it should still be at work");
    rz_tests::wait_until("the program to end well", || done.exists());
}

#[test]
fn real_programs_behave_as_without() {
    let dir = temp_dir();
    let source = dir.path().join("a.cpp");
    fs::write(&source, "#include <map>\nint main() { return std::map<int, int>{}.size(); }\n")
        .unwrap();
    let object = dir.path().join("a.o");
    // Not one that finds out which to run, with processes that are soon gone.
    let python = tool("python3");
    let commands: [&[&str]; 4] = [
        &[text(&python), "-c", "print(sum(len(str(i)) for i in range(100000)))"],
        &[
            "sqlite3",
            ":memory:",
            "select sum(length(hex(randomblob(100)))) from generate_series(1, 2000)",
        ],
        &["g++", "-c", "-o", text(&object), text(&source)],
        &["sort", "--parallel=2", "/etc/services"],
    ];
    for command in commands {
        let plain = Command::new(command[0]).args(&command[1..]).output().unwrap();
        for options in ["--alloc=full", "--alloc=16K"] {
            let trace = Trace::record(&[&[options, "-q", "--"], command].concat());
            let expected = String::from_utf8_lossy(&plain.stdout);
            assert_eq!(trace.output.stdout, expected, "{command:?}");
            assert_eq!(trace.output.stderr, String::from_utf8_lossy(&plain.stderr));
            let profile = trace.profile();
            let heap = heap(&profile);
            let counts = heap.counts.unwrap();
            assert!(counts.allocations > 100, "{command:?}: {counts:?}");
            let recorded = heap.total.allocated.recorded;
            let lost = profile.info.lost_allocations.count;
            if options == "--alloc=full" {
                assert!(recorded + lost >= counts.allocations, "{recorded} + {lost} {counts:?}");
                assert!(lost < counts.allocations / 50, "{lost} of {counts:?}");
                let whole: f64 = heap
                    .sites
                    .iter()
                    .filter(|site| !names(&profile, site).contains(&"[truncated]"))
                    .map(|site| site.sums.allocated.objects.value)
                    .sum();
                let share = whole / heap.total.allocated.objects.value;
                assert!(share > 0.99, "{command:?}: {share}");
            } else {
                // Twice the interval, and what may have no sample at all.
                let estimate = heap.total.allocated.bytes;
                let margin = 2.0 * estimate.margin() + 3.0 * 16_384.0;
                let truth = counts.bytes as f64;
                assert!((estimate.value - truth).abs() < margin, "{estimate:?} {truth}");
            }
        }
    }
}

#[test]
fn a_program_with_an_allocator_of_its_own_is_told() {
    let own = program_path("ownmalloc");
    let check = |command: &[&str], expected: &str| {
        let trace = Trace::record(&[&["--alloc", "--"], command].concat());
        let note = |record: &Record| match record {
            Record::Note(note) => note.text.contains(expected).then(|| note.text.clone()),
            _ => None,
        };
        let notes: Vec<String> = trace.contents().records.iter().filter_map(note).collect();
        assert_eq!(notes.len(), 1, "{command:?}: {}", trace.output);
        assert!(notes[0].contains("attach with rec -p PID --alloc"), "{notes:?}");
        let told = format!("rec: note: {}\n", notes[0]);
        assert_eq!(trace.output.stderr.matches(&told).count(), 1, "{}", trace.output);
    };
    check(&[text(&own)], "the program has an allocator of its own");
    // The shell works.
    check(
        &["sh", "-c", &format!("{}; :", text(&own))],
        "a program that was executed has an allocator of its own",
    );
}

#[test]
fn ids_of_another_namespace_are_not_taken_for_others() {
    let heap = program_path("heap");
    let trace = Trace::record(&["--alloc=full", "--", "unshare", "--pid", "--fork", text(&heap)]);
    let contents = trace.contents();
    let is_note = |record: &&Record| match record {
        Record::Note(note) => note.text.contains("in a pid namespace of its own"),
        _ => false,
    };
    assert_eq!(contents.records.iter().filter(is_note).count(), 1, "{}", trace.output);
    // Just unshare, and it allocates little.
    let allocators =
        contents.records.iter().filter(|record| matches!(record, Record::Allocator(_)));
    assert_eq!(allocators.count(), 1, "{}", trace.output);
}
