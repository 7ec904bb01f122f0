//! Inputs that know functions by name only.

use super::{imported, loaded, refused, text};
use crate::export::ExportOptions;
use rz_profile::model::EventKind;

/// All samples as folded stacks, and the events in order, each with its sum.
#[track_caller]
pub(super) fn check(input: &str, events: &[(&str, EventKind, u64)], stacks: &str) {
    check_bytes(input.as_bytes(), events, stacks);
}

#[track_caller]
pub(super) fn check_bytes(input: &[u8], events: &[(&str, EventKind, u64)], stacks: &str) {
    let profile = loaded(input);
    let found: Vec<(&str, EventKind, u64)> = (0..profile.events.len())
        .map(|id| (&profile.events[id].name[..], profile.events[id].kind, profile.total_weight(id)))
        .collect();
    assert_eq!(found, events, "{}", String::from_utf8_lossy(input));
    let event = (0..events.len()).find(|id| events[*id].2 > 0);
    let options = ExportOptions { event, ..ExportOptions::default() };
    assert_eq!(text(&profile, &options), stacks, "{}", String::from_utf8_lossy(input));
}

#[test]
fn speedscope() {
    let file = |profiles: &str| {
        format!(
            r#"{{"exporter":"x","$schema":"https://www.speedscope.app/file-format-schema.json",
            "shared":{{"frames":[{{"name":"a","file":"a.c","line":3}},{{"name":"b"}}]}},
            "profiles":[{profiles}]}}"#
        )
    };
    // A thread for each profile; of events, the time that was spent between them.
    let sampled = r#"{"type":"sampled","name":"t","unit":"milliseconds","startValue":0,
        "endValue":3,"samples":[[0],[0,1],[]],"weights":[1,2,0.5]}"#;
    let evented = r#"{"type":"evented","name":"u","unit":"seconds","startValue":1,"endValue":4,
        "events":[{"type":"O","frame":0,"at":1},{"type":"O","frame":1,"at":2},
        {"type":"C","frame":1,"at":2.5},{"type":"C","frame":0,"at":4}]}"#;
    let both = file(&format!("{sampled},{evented}"));
    let stacks = "t 500\nt;a 1000\nt;a;b 2000\nu;a 2500000\nu;a;b 500000\n";
    check(&both, &[("time", EventKind::Other, 3_003_500_000)], stacks);
    let a = loaded(both.as_bytes()).functions.iter().find(|f| f.name == "a").cloned().unwrap();
    assert_eq!(a.file, "a.c");
    // What has no unit and fractions keeps its shares.
    let counts = r#"{"type":"sampled","name":"t","unit":"none","startValue":0,"endValue":1,
        "samples":[[0],[1]],"weights":[0.25,1]}"#;
    check(&file(counts), &[("samples", EventKind::Cpu, 125)], "t;a 25\nt;b 100\n");
    for (damaged, why) in [
        (sampled.replace("[0,1]", "[0,7]"), "there is no frame 7"),
        (sampled.replace("[1,2,0.5]", "[1]"), "not a weight for each sample"),
        (evented.replace(r#""frame":1,"at":2.5"#, r#""frame":0,"at":2.5"#), "frame 0 is left"),
        (evented.replace("2.5", "1.5"), "an event is before the one that precedes it"),
    ] {
        let said = refused(file(&damaged).as_bytes());
        assert!(said.contains("damaged speedscope JSON: ") && said.contains(why), "{said}");
    }
    let whole = both.len();
    assert!(refused(&both.as_bytes()[..whole - 10]).contains("damaged speedscope JSON: EOF"));
}

#[test]
fn cpu_profiles_of_v8() {
    let frame = |name, url, line| {
        format!(
            r#"{{"functionName":"{name}","scriptId":"1","url":"{url}","lineNumber":{line},"columnNumber":4}}"#
        )
    };
    let node = |id, of: String, children: &str| {
        format!(r#"{{"id":{id},"callFrame":{of},"hitCount":1,"children":[{children}]}}"#)
    };
    let nodes = [
        node(1, frame("(root)", "", -1), "2,4,5"),
        node(2, frame("main", "file:///a.js", 0), "3"),
        node(3, frame("", "file:///a.js", 8), ""),
        node(4, frame("(idle)", "", -1), ""),
        node(5, frame("(garbage collector)", "", -1), ""),
    ];
    let input = format!(
        r#"{{"nodes":[{}],"startTime":100,"endTime":160,"samples":[2,3,5,4],"timeDeltas":[10,10,10,10]}}"#,
        nodes.join(",")
    );
    // Each sample is of the time up to the next one; garbage is collected on top of what ran,
    // and to be idle is no work.
    let events = [("time", EventKind::Other, 30_000), ("idle", EventKind::Other, 20_000)];
    let stacks = "JavaScript;main 10\nJavaScript;main;(anonymous) 10\n\
                  JavaScript;main;(anonymous);(garbage collector) 10\n";
    check(&input, &events, stacks);
    // Older ones have a tree, and seconds.
    let old = r#"{"head":{"functionName":"(root)","id":1,"url":"","lineNumber":-1,"hitCount":0,
        "children":[{"functionName":"a","id":2,"url":"","lineNumber":1,"hitCount":2,"children":[]}]},
        "startTime":1,"endTime":1.00003,"samples":[2,2],"timestamps":[1000010,1000020]}"#;
    let events = [("time", EventKind::Other, 20_000), ("idle", EventKind::Other, 0)];
    check(old, &events, "JavaScript;a 20\n");
    let (odd, _) = imported(input.replace("[2,3,5,4]", "[2,9]").as_bytes()).unwrap();
    assert!(odd.notes[0].starts_with("1 samples are of functions that"), "{odd:?}");
    let said = refused(br#"{"nodes":[],"hitCount":0,"callFrame":0,"samples":[2]}"#);
    assert_eq!(said, "damaged CPU profile of V8: it has no nodes");
}

#[test]
fn deep_trees() {
    let nested = |depth: usize| {
        let open = r#"{"callFrame":{"functionName":"f"},"selfSize":1,"children":["#;
        let input = r#"{"head":"#.to_owned() + &open.repeat(depth) + &"]}".repeat(depth) + "}";
        imported(input.as_bytes())
    };
    assert_eq!(nested(900).unwrap().0.samples, 900);
    let error = nested(5_000).unwrap_err().to_string();
    assert_eq!(error, "damaged heap profile of V8: 10001 lists and objects are in each other");
}

#[test]
fn trace_events() {
    let event = |ph: &str, name: &str, ts: u64, more: &str| {
        format!(r#"{{"pid":1,"tid":2,"ph":"{ph}","name":"{name}","ts":{ts}{more}}}"#)
    };
    let list = |events: &[String]| format!("[{}]", events.join(",\n"));
    let mut events = vec![
        event("M", "process_name", 0, r#","args":{"name":"app"}"#),
        event("B", "a", 10, ""),
        event("X", "b", 12, r#","dur":5"#),
        event("X", "c", 13, r#","dur":1"#),
        event("E", "a", 20, ""),
    ];
    let expected = "app;a 5\napp;a;b 4\napp;a;b;c 1\n";
    let total = [("duration", EventKind::Other, 10_000)];
    check(&list(&events), &total, expected);
    check(&format!(r#"{{"traceEvents":{}}}"#, list(&events)), &total, expected);
    events.reverse();
    check(&list(&events), &total, expected);
    // Cut off, as by a crash.
    events.reverse();
    let cut = list(&events);
    check(&cut[..cut.len() - 1], &total, expected);
    // An end of nothing, and one that is missing: they do no harm.
    let odd = [
        event("E", "z", 1, ""),
        event("B", "a", 2, ""),
        event("B", "b", 4, ""),
        event("E", "a", 6, ""),
        event("B", "c", 7, ""),
        event("B", "d", 9, ""),
    ];
    check(
        &list(&odd),
        &[("duration", EventKind::Other, 6_000)],
        "[unknown];a 2\n[unknown];a;b 2\n[unknown];c 2\n",
    );
    let (imported, _) = imported(list(&odd).as_bytes()).unwrap();
    assert!(imported.notes.iter().any(|note| note.starts_with("1 ends of events")), "{imported:?}");
    assert!(
        refused(br#"[{"ph":"C","name":"x","ts":1}]"#).contains("without anything that took time")
    );
}

/// Calls that outlast what they were made in, which no tool should write, and some do: no time
/// that something took is missing, and none is counted twice.
#[test]
fn trace_events_that_cross() {
    let event = |ph: &str, name: &str, ts: u64| {
        format!(r#"{{"pid":1,"tid":2,"ph":"{ph}","name":"{name}","ts":{ts},"dur":10}}"#)
    };
    let check = |events: &[String], stacks: &str, note: &str| {
        let list = format!("[{}]", events.join(",\n"));
        let profile = loaded(list.as_bytes());
        assert_eq!(text(&profile, &ExportOptions::default()), stacks);
        let (imported, _) = imported(list.as_bytes()).unwrap();
        assert!(imported.notes.iter().any(|said| said.contains(note)), "{imported:?}");
    };
    let crossed = "outlast the call that they are in: they go on without it";
    let calls = [event("X", "a", 0), event("X", "b", 5)];
    check(&calls, "[unknown];a 5\n[unknown];a;b 5\n[unknown];b 5\n", crossed);
    // Three of them: the one that lasts longest is around the others.
    let calls = [event("X", "a", 0), event("X", "b", 2), event("X", "c", 4)];
    let stacks = "[unknown];a 2\n[unknown];a;b 2\n[unknown];a;b;c 6\n[unknown];c 2\n\
                  [unknown];c;b 2\n";
    check(&calls, stacks, crossed);
    let pairs = [event("B", "a", 0), event("B", "b", 1), event("E", "a", 9), event("E", "b", 10)];
    check(&pairs, "[unknown];a 1\n[unknown];a;b 8\n[unknown];b 1\n", crossed);
    let reversed = [&pairs[2..], &pairs[..2]].concat();
    check(&reversed, "[unknown];a 1\n[unknown];a;b 8\n[unknown];b 1\n", crossed);
    // The end that comes is of another one.
    let again = [&pairs[..3], &[event("B", "b", 12), event("E", "b", 14)]].concat();
    check(&again, "[unknown];a 1\n[unknown];a;b 8\n[unknown];b 2\n", "1 events have no end");
    // An end of another name is none; a beginning without an end lasts as long as is known.
    let other = [event("B", "a", 0), event("E", "b", 10)];
    check(&other, "[unknown];a 10\n", "1 ends of events that have not begun");
    // Samples of trace events are counted: what each stands for, nothing tells.
    let sampled = r#"{"traceEvents":[],"samples":[{"ts":"10","weight":"1","sf":1},{"ts":"9000",
        "weight":"1","sf":1}],"stackFrames":{"1":{"name":"a"}}}"#;
    assert_eq!(loaded(sampled.as_bytes()).total_weight(0), 2);
}

#[test]
fn stackprof() {
    let input = r#"{"version":1.2,"mode":"cpu","interval":1000,"samples":3,"frames":{
        "7":{"name":"main","file":"a.rb","line":1,"samples":1},"8":{"name":"work","samples":2}},
        "raw":[1,7,1,2,7,8,2]}"#;
    check(input, &[("cpu", EventKind::Cpu, 3_000_000)], "ruby;main 1\nruby;main;work 2\n");
    let objects = input.replace(r#""cpu""#, r#""object""#);
    check(
        &objects,
        &[("objects", EventKind::Other, 3000)],
        "ruby;main 1000\nruby;main;work 2000\n",
    );
    assert!(refused(input.replace("2,7,8,2", "9,7,8,2").as_bytes()).contains("a stack has no end"));
}

#[test]
fn firefox() {
    // As the profiler saves it, with columns, and as Firefox writes it, with rows.
    let columns = r#"{"meta":{"interval":2,"startTime":5,"categories":[{"name":"Idle"},{"name":"Other"}]},
        "threads":[{"name":"T","processName":"app","pid":"10","tid":11,
        "samples":{"stack":[1,0,2,null],"time":[1,3,5,7],"length":4},
        "stackTable":{"frame":[0,1,2],"prefix":[null,0,null],"category":[1,1,0],"length":3},
        "frameTable":{"func":[0,1,2],"line":[7,null,null],"length":3},
        "funcTable":{"name":[0,1,2],"fileName":[3,null,null],"lineNumber":[5,null,null]},
        "stringArray":["a","b","wait","a.js"]}]}"#;
    let events = [("time", EventKind::Other, 4_000_000), ("idle", EventKind::Other, 2_000_000)];
    let input = columns.replace(r#""meta":{"#, r#""meta":{"preprocessedProfileVersion":40,"#);
    check(&input, &events, "app;a 2000\napp;a;b 2000\n");
    let rows = r#"{"meta":{"processType":0,"interval":2},"libs":[],"threads":[{"name":"app","pid":10,"tid":10,
        "samples":{"schema":{"stack":0,"time":1},"data":[[1,1.5],[null,3],[2]]},
        "stackTable":{"schema":{"prefix":0,"frame":1},"data":[[null,0],[0,1],[1,2]]},
        "frameTable":{"schema":{"location":0,"line":1},"data":[[0],[1],[2,4]]},
        "stringTable":["(root)","a (a.js:3)","0x10"]}]}"#;
    let events = [("time", EventKind::Other, 4_000_000)];
    check(rows, &events, "app;a 2000\napp;a;0x10 2000\n");
    let said = refused(input.replace("[1,0,2,null]", "[9]").as_bytes());
    assert_eq!(said, "damaged profile of the Firefox Profiler: a sample without its stack");
}

#[test]
fn callgrind() {
    let input = "# callgrind format\nversion: 1\ncmd: ./app 3\nevents: Ir Dr\n\nfl=(1) a.c\nfn=(1) main\n\
                 16 20 1\ncfn=(2) left\ncalls=1 50\n16 300 3\ncfn=(3) right\ncalls=1 60\n+1 100 1\n\n\
                 fn=(2)\n51 0 0\ncfn=(4) leaf\ncalls=3 70\n51 300 3\n\nfn=(3)\n61 0 0\ncfn=(4)\n\
                 calls=1 70\n61 100 1\n\nfn=(4)\n70 400 4\n";
    // A leaf costs what it costs, and callers have their shares.
    let events = [("Ir", EventKind::Other, 420), ("Dr", EventKind::Other, 5)];
    let stacks = "app;main 20\napp;main;left;leaf 300\napp;main;right;leaf 100\n";
    check(input, &events, stacks);
    // Several dumps in a file add up.
    check(
        &[input, input].concat(),
        &[("Ir", EventKind::Other, 840), ("Dr", EventKind::Other, 10)],
        "app;main 40\napp;main;left;leaf 600\napp;main;right;leaf 200\n",
    );
    // Of recursion, which cannot be told apart, nothing is missing.
    let recursive =
        "events: Ir\nfn=a\n1 10\ncfn=b\ncalls=1 1\n1 90\nfn=b\n2 30\ncfn=a\ncalls=1 1\n2 60\n";
    let profile = loaded(recursive.as_bytes());
    assert_eq!(profile.total_weight(0), 40);
    assert!(refused(b"events: Ir\nfn=a\n").contains("damaged callgrind.out"));
}

/// Of version 3; the stack of what is freed at once, and of what stays.
pub(super) const HEAPTRACK: &str = "v 10400 3\nX ./app a\nI 1000 5e\ns a /lib/app.c\ns 4 main\ns 5 inner\ns 5 outer\n\
    i 4010 1 2 1 7\ni 4020 1 3 1 8 4 1 9\nt 1 0\nt 2 1\nt 1 1\na 64 2\na 10 3\n\
    + 0\n- 0\n+ 1\n+ 1\nc 5\n+ 0\n- 1\nR 5\n- 0\nc 10\n";

#[test]
fn heaptrack() {
    let events = [
        ("peak_space", EventKind::Other, 0x84),
        ("leaked_space", EventKind::Other, 0x10),
        ("alloc_space", EventKind::Other, 0xe8),
        ("alloc_objects", EventKind::Other, 4),
        ("temporary_objects", EventKind::Other, 1),
    ];
    check(HEAPTRACK, &events, "app;main;main 32\napp;main;outer;inner 100\n");
    let older = HEAPTRACK.replace("400 3\n", "400 1\n").replace("s a ", "s ");
    let older = older.replace("s 4 ", "s ").replace("s 5 ", "s ");
    check(&older, &events, "app;main;main 32\napp;main;outer;inner 100\n");
    for (damaged, why) in [
        (HEAPTRACK.replace("400 3", "400 4"), "line 1: only versions 1 to 3"),
        (HEAPTRACK.replace("t 2 1", "t 2 9"), "line 11: a stack with a caller that is not known"),
        (HEAPTRACK.replace("t 2 1", "t 3 1"), "line 11: a stack of an address that"),
        (HEAPTRACK.replace("a 64 2", "a 64 4"), "line 13: an allocation of a stack that"),
        (HEAPTRACK.replace("- 1", "- 2"), "line 21: an allocation that is not known"),
        (HEAPTRACK.replace("+ 1", "+ ü"), "line 17: it has no hexadecimal number"),
        (HEAPTRACK.replace("X ./", "x /"), "line 2: it is not interpreted yet"),
        (HEAPTRACK.trim_end().to_owned(), "line 24: it ends early"),
    ] {
        let said = refused(damaged.as_bytes());
        assert!(said.contains("damaged recording of heaptrack: ") && said.contains(why), "{said}");
    }
}

#[test]
fn costs_by_their_differences() {
    let input = "events: Ir\nfn=main\n16 20\ncfn=a\ncalls=1 50\n* +380\nfn=a\n+35 *\n";
    check(input, &[("Ir", EventKind::Other, 420)], "callgrind;main 20\ncallgrind;main;a 400\n");
}

#[test]
fn profiles_in_trace_events_of_older_chromiums() {
    let profile = |tid: u32, name: &str| {
        format!(
            r#"{{"pid":1,"tid":{tid},"ph":"I","name":"CpuProfile","args":{{"data":{{"cpuProfile":
            {{"nodes":[{{"id":1,"callFrame":{{"functionName":"{name}"}}}}],"startTime":5,"endTime":9,
            "samples":[1],"timeDeltas":[1]}}}}}}}}"#
        )
    };
    let input = format!("[{},{}]", profile(2, "a"), profile(3, "b"));
    let events = [("time", EventKind::Other, 6000), ("idle", EventKind::Other, 0)];
    check(&input, &events, "[unknown];a 3\n[unknown];b 3\n");
}

/// As Python 3 writes it, with references to what it has written before.
pub(super) fn stats_of_python() -> Vec<u8> {
    let text = |text: &str| [&[0xfa, text.len() as u8][..], text.as_bytes()].concat();
    let int = |number: i32| [&b"i"[..], &number.to_le_bytes()].concat();
    let float = |number: f64| [&b"g"[..], &number.to_le_bytes()].concat();
    // References 0 to 4: the table, the tuple, its texts.
    let main = [&[0xa9, 3][..], &text("a.py"), &int(1), &text("main")].concat();
    let leaf = [&b")\x03"[..], &text("~"), &int(0), &text("len")].concat();
    let main_again = b"r\x01\0\0\0";
    let numbers = |own, with| [int(1), int(1), float(own), float(with)].concat();
    [
        &b"\xfb"[..],
        &main,
        b")\x05",
        &numbers(0.25, 1.0),
        b"{0",
        &leaf,
        b")\x05",
        &numbers(0.75, 0.75),
        b"{",
        main_again,
        b")\x04",
        &numbers(0.75, 0.75),
        b"00",
    ]
    .concat()
}

#[test]
fn pstats() {
    let whole = stats_of_python();
    let profile = loaded(&whole);
    assert_eq!(
        text(&profile, &ExportOptions::default()),
        "python;main 250000\npython;main;len 750000\n"
    );
    assert_eq!(profile.total_weight(0), 1_000_000_000);
    for length in 7..whole.len() {
        assert_eq!(refused(&whole[..length]), "damaged stats of cProfile: its end is missing");
    }
    let huge = [&b"{)\x03s"[..], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(refused(&huge), "damaged stats of cProfile: a text of 4294967295 bytes");
    let nested = [&b"{)\x03"[..], &b")\x01".repeat(5000)].concat();
    assert_eq!(refused(&nested), "damaged stats of cProfile: values are too deep in each other");
}

#[test]
fn safari() {
    let input = r#"{"version":1,"recording":{"startTime":1,"endTime":3,"instrumentTypes":["x"],
        "sampleStackTraces":[{"timestamp":1.5,"stackFrames":[{"name":"","url":"a.js","line":3,"column":1},
        {"name":"main"}]},{"timestamp":2,"stackFrames":[{"name":"main"}]}],"sampleDurations":[0.25,0.5]}}"#;
    let events = [("time", EventKind::Other, 750_000_000)];
    let stacks = "JavaScript;main 500000\nJavaScript;main;(anonymous) 250000\n";
    check(input, &events, stacks);
    let said = refused(input.replace("[0.25,0.5]", "[1]").as_bytes());
    assert_eq!(said, "damaged timeline recording of Safari: not a duration for each sample");
}

#[test]
fn ghc_json() {
    let input = r#"{"program":"trees","rts_arguments":["-pj"],"tick_interval":1000,"cost_centres":[
        {"id":1,"label":"MAIN","module":"MAIN","src_loc":"<built-in>"},
        {"id":2,"label":"make","module":"Main","src_loc":"a.hs:(3,5)-(9,1)"}],
        "profile":{"id":1,"ticks":0,"alloc":16,"children":[{"id":2,"ticks":3,"alloc":0,"children":[]}]}}"#;
    let events = [("time", EventKind::Other, 3_000_000), ("alloc_space", EventKind::Other, 16)];
    check(input, &events, "trees;MAIN.MAIN;Main.make 3000\n");
    let functions = loaded(input.as_bytes()).functions;
    let make = functions.iter().find(|function| function.name == "Main.make").unwrap();
    assert_eq!(make.file, "a.hs");
    let said = refused(input.replace(r#"{"id":2,"ticks""#, r#"{"id":7,"ticks""#).as_bytes());
    assert_eq!(said, "damaged JSON profile of a Haskell program: no cost centre 7");
}

#[test]
fn preprocessed_logs_of_v8() {
    let input = r#"{"code":[{"name":"/bin/node","type":"SHARED_LIB"},{"name":"T start","type":"CPP"},
        {"name":"run /a.js:3:5","type":"JS","kind":"Opt","func":0},{"name":"Add","type":"CODE","kind":"Stub"}],
        "functions":[],"ticks":[{"tm":5,"vm":0,"s":[3,1,2,7,1,0]},{"tm":9,"vm":0,"s":[-1,0]}]}"#;
    let stacks = "JavaScript;[unknown] 1\nJavaScript;start;run;Add 1\n";
    check(input, &[("samples", EventKind::Cpu, 2)], stacks);
}

#[test]
fn instruments() {
    // Of a function's own the text may say more than sums, which are rounded.
    let input = "Running Time\tSelf (ms)\t\tSymbol Name\n30.0ms  100.0%\t0\t \tstart\n\
                 30.0ms  100.0%\t10.5\t \t main\n19.0ms   60.0%\t19\t \t  a\n1.0ms    3.0%\t1\t \t  b\n";
    let stacks =
        "[unknown];start;main 10500\n[unknown];start;main;a 19000\n[unknown];start;main;b 1000\n";
    check(input, &[("time", EventKind::Other, 30_500_000)], stacks);
    let bytes = "Bytes Used\tCount\t\tSymbol Name\n 3.00 KB     100.0%\t7\t \tstart\n 1.00 KB     33.0%\t5\t \t a\n";
    check(
        bytes,
        &[("alloc_space", EventKind::Other, 3072)],
        "[unknown];start 2048\n[unknown];start;a 1024\n",
    );
    assert!(
        refused(b"Weight\tSelf Weight\t\tSymbol Name\nx\ty\n").contains("no line with an amount")
    );
}

#[test]
fn pmcstat() {
    let input = "@ inst_retired.any [10 samples]\n\n70.00%  [7]        leaf @ /boot/kernel/zfs.ko\n \
                 57.14%  [4]         caller\n  100.0%  [4]          top\n30.00%  [3]        other @ /k\n";
    let stacks = "[unknown];[truncated];leaf 3\n[unknown];other 3\n[unknown];top;caller;leaf 4\n";
    check(input, &[("inst_retired.any", EventKind::Other, 10)], stacks);
}

#[test]
fn texts_of_other_tools() {
    let perf =
        "app 10 [000] 1.5: cpu-clock:\n\t55 leaf+0x3 (/bin/app)\n\t66 main+0x7 (/bin/app)\n\n";
    check(perf, &[("cpu-clock", EventKind::Cpu, 1)], "app;main;leaf 1\n");
    // Each event is one of its own, core types of one processor are not.
    let several = "# cmdline : perf record\n\napp 10/11 1.5:  7 cpu_core/cycles/:\n\t55 leaf (/bin/app)\n\n\
                   app 10/11 1.6:  9 cpu_atom/cycles/:\n\tffffffff81000000 idle+0x1 ([kernel.kallsyms])\n\n\
                   b 12 1.7:  1 page-faults:  66 main (/bin/app)\n";
    let events = [("cycles", EventKind::Cpu, 16), ("page-faults", EventKind::Cpu, 1)];
    check(several, &events, "app;idle_[k] 1\napp;leaf 1\n");
    assert_eq!(loaded(several.as_bytes()).info.duration_ns, 200_000_000);
    // Without stacks, a place stands behind the event; dd and bad are hexadecimal, too.
    let flat = "  dd 10 1.5:  7 cycles:  55aa f+0x1 (/bin/dd)\n  bad 11 1.6:  9 cycles:  66aa g (/bin/bad)\n";
    check(flat, &[("cycles", EventKind::Cpu, 16)], "bad;g 1\ndd;f 1\n");
    let dtrace = "\n\n              app`leaf+0x3\n              app`main+0x7\n               12\n";
    check(dtrace, &[("samples", EventKind::Cpu, 12)], "app`main;app`leaf 12\n");
}
