//! Programs with `--alloc` that make it hard: they set rules for themselves, unmap what
//! they do not know, and load more than the hook.

use std::fs;
use std::process::Command;

use rz_tests::{Trace, program_path, rec, run, temp_dir, text};

/// How many were counted.
#[track_caller]
fn allocations(trace: &Trace) -> u64 {
    let heap = trace.profile().heap.expect("allocations were recorded");
    heap.counts.expect("allocations were counted").allocations
}

#[test]
fn that_a_program_sets_for_itself() {
    let program = program_path("rules");
    let clock = Some("PR_SET_TSC");
    // What ends the recording, and whether a rule keeps new threads out of it.
    for (rule, end, keeps_out) in [
        ("none", None, false),
        ("tsc", clock, false),
        ("tsc-by-number", clock, false),
        ("strict", clock, false),
        ("strict-by-number", clock, false),
        ("filter", None, false),
        ("filter-by-number", None, false),
        ("keys", None, false),
        ("unmap", None, false),
        ("replace", Some("put other memory in the place"), false),
        ("descriptors", None, false),
        ("memory", None, false),
        ("files", None, true),
        ("file-size", None, false),
        ("locked", None, false),
        ("stack", None, false),
        ("thread-stack", None, false),
        ("signal-stack", None, false),
        ("vfork", None, false),
        ("clone", None, false),
    ] {
        let plain = run(Command::new(&program).arg(rule)).success();
        if plain.stdout == "no keys\n" {
            let processor = fs::read_to_string("/proc/cpuinfo").unwrap();
            assert!(!processor.contains(" pku "), "the kernel gives no keys");
            eprintln!("NOT TESTED: this processor has no memory protection keys");
            continue;
        }
        assert_eq!(plain.stdout, "ok\n");
        for option in ["--alloc=full", "--alloc=16K"] {
            let trace = Trace::record(&[option, "--", text(&program), rule]);
            assert_eq!(trace.output.stdout, "ok\n", "{rule} {option}");
            let said = &trace.output.stderr;
            assert!(end.is_none_or(|end| said.contains(end)), "{rule} {option}: {said}");
            assert_eq!(said.contains("recorded until then"), end.is_some(), "{rule}: {said}");
            assert_eq!(said.contains("Too many open files"), keeps_out, "{rule}: {said}");
            // 1,000 before the rule, and 500 after it.
            let counted = allocations(&trace);
            let expected = if end.is_some() { 1_000 } else { 1_500 };
            assert!(counted >= expected, "{rule} {option}: {counted}");
            assert!(end.is_none() || counted < 1_100, "{rule} {option}: {counted}");
        }
    }
}

#[test]
fn of_auditing_libraries() {
    let (program, library) = (program_path("rules"), program_path("libaudit.so"));
    let audit = format!("LD_AUDIT={}", text(&library));
    for option in ["--alloc=full", "--alloc=16K"] {
        let trace = Trace::record(&[option, "--", "env", &audit, text(&program), "none"]);
        assert_eq!(trace.output.stdout, "ok\n", "{option}: {}", trace.output);
        assert!(allocations(&trace) >= 1_500, "{option}: {}", trace.output);
    }
}

#[test]
fn of_other_preloaded_libraries() {
    let program = program_path("rules");
    let script = |preload: &str| format!("LD_PRELOAD={preload} exec {} none", text(&program));
    let record = |preload: &str| {
        let trace = Trace::record(&["--alloc=full", "--", "sh", "-c", &script(preload)]);
        assert_eq!(trace.output.stdout, "ok\n", "{preload}: {}", trace.output);
        trace
    };
    // One without an allocator before the hook, and one with it behind.
    for preload in ["libm.so.6:$LD_PRELOAD", "$LD_PRELOAD:libjemalloc.so.2"] {
        let trace = record(preload);
        assert!(allocations(&trace) >= 1_500, "{preload}: {}", trace.output);
    }
    let trace = record("libjemalloc.so.2:$LD_PRELOAD");
    assert!(trace.output.stderr.contains("has an allocator of its own"), "{}", trace.output);
}

#[test]
fn of_programs_without_a_dynamic_linker() {
    let program = program_path("rules-static-pie");
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let output = rec(&["--alloc", "-o", text(&path), "--", text(&program)]);
    output.refused(1, &["is statically linked and loads no libraries"]);
    // Started by another one, it goes on by itself.
    let script = format!("{} none; :", text(&program));
    let trace = Trace::record(&["--alloc=full", "--", "sh", "-c", &script]);
    assert_eq!(trace.output.stdout, "ok\n", "{}", trace.output);
    assert!(allocations(&trace) > 0, "{}", trace.output);
}

#[test]
fn of_allocators_by_other_names() {
    for program in ["othermalloc", "othermalloc-inside"] {
        let path = program_path(program);
        let trace = Trace::record(&["--alloc=full", "--", text(&path)]);
        let said = trace.output.stderr.matches("names of its own (mi_malloc)").count();
        assert_eq!(said, 1, "{program}: {}", trace.output);
        assert!((1..100).contains(&allocations(&trace)), "{program}");
    }
    let trace = Trace::record(&["--alloc=full", "--", text(&program_path("rules")), "none"]);
    assert!(!trace.output.stderr.contains("names of its own"), "{}", trace.output);
}
