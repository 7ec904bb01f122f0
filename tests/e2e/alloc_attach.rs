//! Allocations of processes that run already, by probes in their allocators.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use rz_format::{
    Allocation, AllocationKind, AllocationSource, EndReason, Frame, HeapCounts, LossClass,
    LossReason, ModuleKind, Record,
};
use rz_tests::{
    Contents, Folded, Recorder, Redis, Target, Trace, binary, conv, program, rec, run, send,
    temp_dir, text, tool,
};

const FULL: [&str; 5] = ["--alloc=full", "--alloc-limit", "1000", "-d", "60"];

/// Records `target` from before it is told to allocate until it has done so.
#[track_caller]
fn when_told(target: &Target, options: &[&str]) -> Contents {
    let recorder = Recorder::start(&[&["-p", &target.pid_text()], options].concat());
    send(target.pid(), Signal::SIGUSR1);
    target.wait_for("done");
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    let contents = trace.contents();
    assert_eq!(contents.damage, []);
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new(), "{}", trace.output);
    contents
}

fn by_kind(rows: &[Allocation]) -> BTreeMap<AllocationKind, usize> {
    let mut counts = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(row.kind).or_default() += 1);
    counts
}

/// Paths of the allocators, without folders.
fn allocators(contents: &Contents) -> BTreeSet<String> {
    let names = contents.records.iter().filter_map(|record| match record {
        Record::Allocator(allocator) => allocator.path.rsplit('/').next().map(str::to_owned),
        _ => None,
    });
    names.collect()
}

/// `functions 40`, recorded in full, is what the program does. As many as the kernel's buffer
/// has room for with their stacks, however long the recorder waits for a processor.
#[track_caller]
fn assert_functions(contents: &Contents, file: &str, caller: &str) {
    const ROUNDS: usize = 40;
    let total = contents.heap_total();
    let found = (total.allocations, total.bytes, total.frees, total.failed);
    assert_eq!(found, (360, 127_600, 361, 40));
    // Of 32 and more bytes, 64, 128, 256 and 512.
    assert_eq!(total.sizes.0[5..10], [40, 40, 40, 200, 40]);
    let expected = [
        (AllocationKind::Free, 7 * ROUNDS + 1),
        (AllocationKind::ReallocFree, 2 * ROUNDS),
        (AllocationKind::Malloc, ROUNDS),
        (AllocationKind::Calloc, ROUNDS),
        (AllocationKind::Realloc, 3 * ROUNDS),
        (AllocationKind::Aligned, 4 * ROUNDS),
    ];
    assert_eq!(by_kind(&contents.allocations), BTreeMap::from(expected));
    assert_eq!(allocators(contents), BTreeSet::from([file.to_owned()]));

    // What is freed was allocated, but for one from before.
    let mut live = BTreeMap::new();
    let mut older = 0;
    for row in &contents.allocations {
        if row.kind.is_free() {
            older += u32::from(live.remove(&row.address).is_none());
        } else {
            assert_eq!(live.insert(row.address, row.size), None);
            assert_eq!((row.allocations, row.interval), (0, 0));
        }
    }
    assert_eq!((older, live), (1, BTreeMap::new()));

    // The innermost frame is the caller's, the outermost where it all began.
    for row in contents.allocations.iter().filter(|row| !row.kind.is_free()) {
        let frames = contents.frames_of(row.stack.expect("an allocation has a stack"));
        assert!(frames.len() >= 4, "{frames:?}");
        let truncated = frames.iter().any(|frame| matches!(frame, Frame::Truncated { .. }));
        assert!(!truncated, "{frames:?}");
        let module = module_of(contents, &frames[0]);
        // glibc's own reallocarray calls realloc of whoever has it.
        assert!(module == caller || file != "libc.so.6", "{module}");
    }
}

fn module_of(contents: &Contents, frame: &Frame) -> String {
    let Frame::Code { module, .. } = *frame else { panic!("{frame:?}") };
    let path = contents.records.iter().find_map(|record| match record {
        Record::Module(known) if known.id == module && known.kind == u8::from(ModuleKind::File) => {
            Some(known.path.clone())
        }
        _ => None,
    });
    let path = path.unwrap_or_else(|| panic!("no module {module}"));
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn every_function_of_the_c_library() {
    let target = Target::start("allocs", &["functions", "40"]);
    let contents = when_told(&target, &FULL);
    assert_functions(&contents, "libc.so.6", "allocs");
    let allocations = contents.records.iter().find_map(|record| match record {
        Record::Allocations(allocations) => Some(allocations.clone()),
        _ => None,
    });
    let source = AllocationSource::Probes.into();
    assert_eq!(allocations, Some(rz_format::Allocations { source, interval: 0 }));
}

#[test]
fn an_allocator_in_a_static_program() {
    let target = Target::start("allocs-static", &["functions", "40"]);
    assert_functions(&when_told(&target, &FULL), "allocs-static", "allocs-static");
}

#[test]
fn an_allocator_before_the_c_library() {
    let line = program("allocs");
    let mut command = Command::new(&line[0]);
    command.args(["functions", "40"]).env("LD_PRELOAD", "libjemalloc.so.2");
    let target = Target::spawn(&mut command);
    assert_functions(&when_told(&target, &FULL), "libjemalloc.so.2", "allocs");
}

/// A sample says how much each function allocated, within what chance allows.
#[test]
fn a_sample_of_sizes() {
    const ROUNDS: u64 = 20_000;
    const INTERVAL: u64 = 16 << 10;
    let target = Target::start("allocs", &["sizes", &ROUNDS.to_string()]);
    let options = ["--alloc=16K", "--alloc-limit", "1000", "-d", "60"];
    let contents = when_told(&target, &options);
    let total = contents.heap_total();
    assert_eq!(total.allocations, 3 * ROUNDS);
    assert_eq!((total.bytes, total.frees), (101_064 * ROUNDS, 3 * ROUNDS));
    for size in [64, 1000, 100_000] {
        let rows = contents.allocations.iter().filter(|row| row.size == size);
        let found = rows.inspect(|row| assert_eq!(row.interval, INTERVAL)).count() as f64;
        let chance = 1.0 - (-(size as f64) / INTERVAL as f64).exp();
        let expected = ROUNDS as f64 * chance;
        let deviation = (expected * (1.0 - chance)).sqrt();
        // A chance of one in a million.
        assert!((found - expected).abs() < 4.9 * deviation + 1.0, "{size}: {found} of {expected}");
    }
    // All that were sampled are freed, and nothing else.
    let frees = contents.allocations.iter().filter(|row| row.kind.is_free()).count();
    assert_eq!(2 * frees, contents.allocations.len());
    let last = contents.allocations.iter().map(|row| row.allocations).max();
    assert!(last.is_some_and(|last| last > 2 * ROUNDS && last <= 3 * ROUNDS), "{last:?}");
}

#[test]
fn a_program_in_rust() {
    let target = Target::start("rustdemo", &[]);
    let contents =
        Trace::of(target.pid(), "2", &["--alloc=64", "--alloc-limit", "1000"]).contents();
    assert_eq!(allocators(&contents), BTreeSet::from(["libc.so.6".to_owned()]));
}

#[test]
fn redis_with_jemalloc() {
    let dir = temp_dir();
    let server = Redis::start(dir.path());
    let options = ["--alloc=4K", "--alloc-limit", "1000", "-d", "30"];
    let pid = server.pid().to_string();
    let recorder = Recorder::start(&[&["-p", pid.as_str()], &options[..]].concat());
    let mut load = server.benchmark();
    load.args(["-n", "2000", "-c", "4", "-t", "set,lpush", "-d", "1000", "-q"]);
    run(&mut load).success();
    recorder.signal(Signal::SIGINT);
    let contents = recorder.finish().contents();
    assert_eq!(allocators(&contents), BTreeSet::from(["libjemalloc.so.2".to_owned()]));
    let total = contents.heap_total();
    // 2,000 lists' elements and as many values, of 1,000 bytes each.
    assert!(total.allocations > 4000 && total.bytes > 4_000_000, "{total:?}");
    let truncated = contents.allocations.iter().filter_map(|row| row.stack).filter(|stack| {
        contents.frames_of(*stack).iter().any(|frame| matches!(frame, Frame::Truncated { .. }))
    });
    assert_eq!(truncated.count(), 0);
    assert!(contents.allocations.len() > 100, "{}", contents.allocations.len());
}

/// Nanoseconds per object, by what `allocs hot` says next.
fn pair_ns(target: &Target) -> f64 {
    let line = target.wait_for("pair");
    line.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{line}"))
}

#[track_caller]
fn assert_given_up(trace: &Trace) {
    let contents = trace.contents();
    assert!(trace.output.stderr.contains("page faults"), "{}", trace.output);
    let mut notes = contents.records.iter().filter_map(|record| match record {
        Record::Note(note) => Some(note.text.as_str()),
        _ => None,
    });
    assert!(notes.any(|note| note.contains("--alloc-limit")), "{}", trace.output);
    let losses: Vec<(LossClass, LossReason)> =
        contents.losses().iter().map(|loss| (loss.class.into(), loss.reason.into())).collect();
    assert_eq!(losses, [(LossClass::Allocations, LossReason::TooDear)]);
    let event = contents.records.iter().find_map(|record| match record {
        Record::Event(event) if event.id == 1 => Some((event.name.clone(), event.unit)),
        _ => None,
    });
    assert_eq!(event, Some(("page-faults".to_owned(), 2)));
    // It touches a mebibyte of new memory twenty times a second.
    let bytes: u64 =
        contents.samples.iter().filter(|row| row.event == 1).map(|row| row.weight).sum();
    assert!(bytes > 10 << 20, "{bytes}");
    let folded = trace.folded(&["--event", "page-faults"]);
    assert!(folded.share(";hot") > 0.9, "{}", folded.head(5));
}

#[test]
fn too_many_to_begin_with() {
    let target = Target::start("allocs", &["hot", "0"]);
    let before = pair_ns(&target);
    let trace = Trace::of(target.pid(), "2", &["--alloc"]);
    assert_given_up(&trace);
    assert_eq!(trace.contents().allocations, []);
    // What it said while it was slow.
    for _ in 0..60 {
        pair_ns(&target);
    }
    let after = (0..10).map(|_| pair_ns(&target)).fold(f64::MAX, f64::min);
    assert!(after < 3.0 * before + 10.0, "{before} {after}");
}

/// Probes change return addresses and stack pointers under way. Samples show
/// none of that, by whichever means of the kernel the ends of functions are seen.
#[test]
fn samples_do_not_show_the_probes() {
    let target = Target::start("allocs", &["hot", "0"]);
    for ways in ["", "pairs", "old,pairs"] {
        let dir = temp_dir();
        let path = dir.path().join("t.rz");
        let mut rec = Command::new(binary("rec"));
        rec.args(["-F", "997", "-d", "2", "--alloc", "--alloc-limit", "1000", "-p"]);
        rec.arg(target.pid_text()).arg("-o").arg(&path).env("RZ_WAYS", ways);
        run(&mut rec).success();
        let folded = conv(&[text(&path), "--to", "folded", "-o", "-"]).success();
        let folded = Folded::parse(&folded.stdout);
        let (all, head) = (folded.total(), folded.head(9));
        assert!(all > 1000, "{ways}: {head}");
        // One in some 14 where ends of functions are not hidden.
        assert!(folded.count("[truncated]") * 500 < all, "{ways}: {head}");
        let rooted =
            folded.count("allocs;_start;__libc_start_main;__libc_start_call_main;main;hot");
        assert!(rooted * 100 > all * 99, "{ways}: {rooted} of {all}: {head}");
        for called in [";small;malloc", ";give_back;free"] {
            assert!(folded.share(called) > 0.2, "{ways}: {head}");
        }
    }
}

#[test]
fn too_many_later() {
    let target = Target::start("allocs", &["hot", "1500"]);
    let trace = Trace::of(target.pid(), "4", &["--alloc"]);
    assert_given_up(&trace);
    // Slow for at most half a second: the slices of 50 ms that say so.
    let slow = (0..40).map(|_| pair_ns(&target)).filter(|ns| *ns > 400.0).count();
    assert!((1..=10).contains(&slow), "{slow}");
}

/// What a thread keeps for itself, glibc frees for a second time when it
/// ends. All that they do at once has room in the ring.
#[test]
fn threads_that_end() {
    let target = Target::start("allocs", &["threads", "10"]);
    let contents = when_told(&target, &FULL);
    let mut ended = 0;
    for thread in contents.threads().filter(|thread| thread.start_ns > 0) {
        let mut sum = HeapCounts::default();
        let of_thread = |row: &&HeapCounts| row.thread == Some(thread.id);
        contents.heap_counts.iter().filter(of_thread).for_each(|row| sum.add(row));
        assert_eq!((sum.allocations, sum.frees, sum.failed), (90, 90, 10));
        let rows = contents.allocations.iter().filter(|row| row.thread == thread.id);
        assert_eq!(rows.count(), 18 * 10);
        ended += 1;
    }
    assert_eq!(ended, 4);
}

#[test]
fn a_child_that_is_followed() {
    let target = Target::start("allocs", &["child", "40"]);
    let contents = when_told(&target, &[&FULL[..], &["--follow"]].concat());
    let total = contents.heap_total();
    assert_eq!((total.allocations, total.bytes, total.failed), (360, 127_600, 40));
    let child = contents.threads().find(|thread| thread.process == 1).expect("a child").id;
    assert!(contents.allocations.iter().all(|row| row.thread == child));
    // Nobody has asked for it here.
    let target = Target::start("allocs", &["child", "40"]);
    let contents = when_told(&target, &FULL);
    assert_eq!(contents.heap_total().allocations, 0);
}

#[test]
fn two_processes_and_one_that_ends() {
    let first = Target::start("allocs", &["steady", "10"]);
    let second = Target::start("allocs-static", &["steady", "10"]);
    let recorder = Recorder::start(&[
        "-p",
        &first.pid_text(),
        "-p",
        &second.pid_text(),
        "--alloc=full",
        "-d",
        "30",
    ]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(first);
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(second);
    let trace = recorder.finish();
    assert_eq!(trace.end_reason(), EndReason::TargetsExited);
    let contents = trace.contents();
    let by_thread = |thread| contents.allocations.iter().filter(|row| row.thread == thread).count();
    let threads: Vec<usize> = contents.threads().map(|thread| by_thread(thread.id)).collect();
    assert!(threads[0] > 50 && threads[1] > threads[0] + 50, "{threads:?}");
    let total = contents.heap_total();
    let rows = by_kind(&contents.allocations);
    assert_eq!(total.allocations, rows[&AllocationKind::Malloc] as u64);
    assert_eq!(total.frees, rows[&AllocationKind::Free] as u64);
}

/// The code of `malloc`'s file is the same afterwards, and not meanwhile.
#[test]
fn code_is_left_as_it_was() {
    let target = Target::start("allocs-static", &["steady", "10"]);
    let text = || code(target.pid(), "allocs-static");
    let before = text();
    let recorder = Recorder::start(&["-p", &target.pid_text(), "--alloc=full", "-d", "30"]);
    let meanwhile = text();
    recorder.signal(Signal::SIGINT);
    recorder.finish().end_reason();
    assert!(before != meanwhile);
    assert!(before == text());
}

/// The executable memory that shows a file.
fn code(pid: u32, file: &str) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.contains(" r-xp ") && line.ends_with(file)).unwrap();
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
    let mut bytes = vec![0; (end - start) as usize];
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    memory.read_exact_at(&mut bytes, start).unwrap();
    bytes
}

#[test]
fn no_allocator_that_can_be_told() {
    let dir = temp_dir();
    let stripped = dir.path().join("stripped");
    let mut strip = Command::new(tool("strip"));
    strip.args(["-s", "-o", text(&stripped)]).arg(rz_tests::program_path("allocs-static"));
    run(&mut strip).success();
    let target = Target::start_file(Path::new(&stripped), &["steady", "10"]);
    let trace = Trace::of(target.pid(), "1", &["--alloc"]);
    for part in ["no allocator", "_rjem_malloc", "page faults"] {
        assert!(trace.output.stderr.contains(part), "{}", trace.output);
    }
    assert!(
        trace.contents().records.iter().any(|record| {
            matches!(record, Record::Event(event) if event.name == "page-faults")
        })
    );
}

#[test]
fn what_cannot_be_done_is_refused() {
    let target = Target::start("allocs", &["steady", "10"]);
    let pid = target.pid_text();
    rec(&["-p", &pid, "--alloc", "--tier", "perf"]).refused(1, &["--alloc", "bpf tier"]);
    rec(&["-a", "--alloc"]).refused(1, &["--alloc", "--all", "-p"]);
}
