//! Inputs that are damaged at random: a trace or an error, never a panic.

use rz_fuzz::fuzz;

use super::jfr::chunk;
use super::logs::{LTRACE, RBSPY};
use super::memray::{single, sums};
use super::named::{HEAPTRACK, stats_of_python};
use super::perf_file::story;
use super::pprof::raw;
use super::pprof_legacy::words;
use super::{imported, loaded_trace, written};
use rz_profile::fixture;

use crate::export::{ExportOptions, Format};

/// Makes a trace of an input, if it can be, and loads it.
fn check(input: &[u8]) {
    if let Ok((_, trace)) = imported(input) {
        loaded_trace(&trace);
    }
}

#[test]
fn fuzz_perf_data() {
    let files = [story(false).feature_build_id("/no/such/app").file(), story(true).file()];
    let pipe = story(false).piped_build_id("/no/such/app").pipe();
    fuzz("perf.data", &[&files[..], &[pipe]].concat(), check);
}

#[test]
fn fuzz_pprof() {
    let profile = written(&fixture::profile(), Format::Pprof, &ExportOptions::default());
    // Compressed, hardly any change would get into it.
    fuzz("pprof", &[raw(&profile), profile], check);
}

#[test]
fn fuzz_words_of_gperftools() {
    let maps = b"00400000-00500000 r-xp 00000000 08:01 1 /app\n";
    let place = b" 0x401010 a (A.java:3)\n";
    let files = [
        [&words(true, false, false)[..], maps].concat(),
        [&words(false, true, true)[..], place].concat(),
    ];
    fuzz("gperftools", &files, check);
}

#[test]
fn fuzz_flight_recordings() {
    fuzz("jfr", &[chunk(), chunk().repeat(2)], check);
}

#[test]
fn fuzz_recordings_of_memray() {
    fuzz("memray", &[single(13), sums()], check);
}

#[test]
fn fuzz_folded() {
    let lines =
        "app;main;run;helper_[i];read_[k] 3\nworker-1/2;[truncated];a 4\napp;main;b_[j] 77\n";
    fuzz("folded", &[lines.into()], check);
}

/// Small inputs of the formats that know functions by name only.
const NAMED: [&str; 26] = [
    HEAPTRACK,
    LTRACE,
    RBSPY,
    "50:START:7\n54:PUSH:7:3:q (24):a..f\n60:PUSH:7:4:q:a..g\n64:POP:7:4:q:a..g\n66:POP:7:3:q:a..f\n",
    r#"{"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":[{"name":"a"}]},
    "profiles":[{"type":"sampled","name":"t","unit":"seconds","samples":[[0],[0,0]],"weights":[1,2.5]},
    {"type":"evented","name":"u","unit":"none","events":[{"type":"O","frame":0,"at":1},{"type":"C","frame":0,"at":9}]}]}"#,
    r#"{"nodes":[{"id":1,"callFrame":{"functionName":"(root)"},"children":[2]},
    {"id":2,"callFrame":{"functionName":"a","url":"a.js","lineNumber":3},"hitCount":4}],
    "startTime":1,"endTime":9,"samples":[2,1],"timeDeltas":[1,2]}"#,
    r#"{"head":{"callFrame":{"functionName":"(root)"},"selfSize":0,"children":[
    {"callFrame":{"functionName":"a"},"selfSize":10,"children":[]}]}}"#,
    r#"[{"pid":1,"tid":2,"ph":"B","name":"a","ts":1},{"pid":1,"tid":2,"ph":"X","name":"b","ts":2,"dur":3},
    {"pid":1,"tid":2,"ph":"E","name":"a","ts":9},{"ph":"M","name":"thread_name","args":{"name":"t"}}]"#,
    r#"{"traceEvents":[{"ph":"P","name":"Profile","id":"1","args":{"data":{"startTime":5}}},{"ph":"P","id":"1",
    "name":"ProfileChunk","args":{"data":{"cpuProfile":{"nodes":[{"id":1,"callFrame":{"functionName":"a"}},
    {"id":2,"parent":1,"callFrame":{"functionName":"b"}}],"samples":[2,1]},"timeDeltas":[1,2]}}}],
    "samples":[{"ts":"4","sf":7}],"stackFrames":{"7":{"name":"a","parent":8},"8":{"name":"b"}}}"#,
    r#"{"mode":"wall","interval":1000,"frames":{"7":{"name":"a","samples":1}},"raw":[1,7,3,2,7,7,1]}"#,
    r#"{"libs":[],"meta":{"interval":1},"threads":[{"name":"t","samples":{"stack":[0,1],"time":[1,2]},
    "stackTable":{"frame":[0,0],"prefix":[null,0]},"frameTable":{"func":[0]},"funcTable":{"name":[0]},"stringArray":["a"]}]}"#,
    r#"{"libs":[],"threads":[{"name":"t","samples":{"schema":{"stack":0,"time":1},"data":[[0,1]]},"stackTable":
    {"schema":{"prefix":0,"frame":1},"data":[[null,0]]},"frameTable":{"schema":{"location":0},"data":[[0]]},"stringTable":["a (b:3)"]}]}"#,
    "events: Ir Dr\nfl=(1) a.c\nfn=(1) main\n16 20 1\ncfn=(2) f\ncalls=1 50\n+1 300 3\nfn=(2)\n51 300 3\ncfn=(1)\ncalls=1 1\n* 5 5\n",
    r#"{"recording":{"startTime":1,"endTime":3,"instrumentTypes":[],"sampleStackTraces":
    [{"timestamp":1.5,"stackFrames":[{"name":"a","url":"a.js","line":3}]}],"sampleDurations":[0.25]}}"#,
    r#"{"program":"p","rts_arguments":[],"tick_interval":1000,"cost_centres":[{"id":1,"label":"a","module":"M",
    "src_loc":"a.hs:3:5"}],"profile":{"id":1,"ticks":2,"alloc":16,"children":[{"id":1,"ticks":3}]}}"#,
    r#"{"code":[{"name":"T a","type":"CPP"},{"name":"b /a.js:3:5","type":"JS"}],"ticks":[{"tm":5,"s":[1,1,0,7]}]}"#,
    "Running Time\tSelf (ms)\t\tSymbol Name\n30.0ms  100.0%\t0\t \tstart\n30.0ms  100.0%\t10.5\t \t main\n",
    "@ cycles [10 samples]\n\n70.00%  [7]        leaf @ /k\n 57.14%  [4]         caller\n30.00%  [3]        b\n",
    "7 12:00:00.5 openat(AT_FDCWD, \"/a\\n\", O_RDONLY|O_CREAT, 0644) = 3 <0.000012>\n > /lib/a.so(f+0x1) [0x12]\n\
     7 12:00:01.5 read(3,  <unfinished ...>\n8 12:00:02 clone(flags=CLONE_THREAD) = 9\n\
     7 12:00:03 <... read resumed>\"\", 9) = -1 EIO (x) <1.5>\n7 12:00:04 +++ exited with 0 +++\n",
    "app 10 [000] 1.5: cpu-clock:\n\t55 leaf+0x3 (/bin/app)\n\t66 main+0x7 (/bin/app)\n\n",
    "\n\n  app`leaf+0x3\n  app`main+0x7\n   12\n",
    "heap profile: 3: 300 [5: 500] @ heap/2\n2: 200 [4: 400] @ 0x11 0x21\n#\t0x10\tmain.leaf+0x3\t/a/main.go:7\nMAPPED_LIBRARIES:\n00-100: app\n",
    "--- mutex:\ncycles/second=2000000000\nsampling period=5\n1000 2 @ 0x11\n#\t0x10\tf+0x3\t/a.go:65\n",
    "--- contentionz 1 ---\nformat = java\nresolution = microseconds\nsampling period = 100\n 14 2 @ 0x1 0x2\n\n 0x1 a (A.java:3)\n 0x2 GC\n",
    "goroutine profile: total 6\n5 @ 0x11 0x21\n# labels: {}\n#\t0x10\tmain.wait+0x3\t/a.go:7\n\n1 @ 0x21\n",
    "--- threadz 1 ---\n\n--- Thread 7f79 (name: main/1) stack: ---\n  PC:  0x10: leaf(arg *)\n  0x21: main\n--- Memory map: ---\n  00-100: app\n",
];

#[test]
fn fuzz_named() {
    let mut inputs = NAMED.map(Vec::from).to_vec();
    inputs.push(stats_of_python());
    fuzz("named", &inputs, check);
}

/// Cut off anywhere, each is refused in a line, or says less.
#[test]
fn named_inputs_that_are_cut() {
    let memray = [single(13), sums()];
    let named = NAMED.iter().map(|input| input.as_bytes());
    for whole in named.chain(memray.iter().map(|input| &input[..])) {
        for length in 0..whole.len() {
            if let Err(error) = imported(&whole[..length]) {
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
            }
        }
    }
}
