//! The processed profile of the Firefox Profiler, gzipped: samples of one event with their
//! times, waits and system calls as markers, and what is known of memory.
//!
//! It is version 60 of the format, the first in which threads share their tables; the
//! Firefox Profiler upgrades older versions. The crate `fxprof-processed-profile` (0.8) was
//! looked at: its frames have neither files and lines nor inlined calls, and its weights
//! are integers of 32 bits.

use std::io::{self, BufWriter, Write};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::about::about;
use super::numbers::{process_name, unique_texts};
use super::timed::{Interval, has_lengths, in_time, intervals, length_ns};
use rz_profile::model::{
    Event, EventId, EventKind, Nanos, ProcessId, Profile, ThreadId, TimedSample, Unit,
};
use rz_profile::select::main_event;
use rz_text::clean::clean;

mod meta;
mod tables;

use meta::Meta;
use tables::{Shared, Tables};

/// Writes the profile; see the module's documentation.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut tables = Tables::of(profile);
    let event = event.or_else(|| main_event(profile));
    let threads = threads(profile, event, &mut tables);
    let counters = counters(profile, &threads);
    let ends = threads.iter().map(|(_, thread)| thread.end_ns);
    let end_ns = ends.chain([recording_end_ns(profile)]).max();
    let file = File {
        meta: Meta::of(profile, event, end_ns.unwrap_or(0)),
        libs: tables.libs(),
        shared: tables.finish(),
        threads: threads.into_iter().map(|(_, thread)| thread).collect(),
        counters,
    };
    let out = GzBuilder::new().mtime(0).write(out, Compression::fast());
    let mut out = BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer(&mut out, &file)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    Ok(())
}

#[derive(Serialize)]
struct File {
    meta: Meta,
    libs: Vec<tables::Lib>,
    shared: Shared,
    threads: Vec<Thread>,
    counters: Vec<Counter>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread {
    process_type: &'static str,
    process_startup_time: f64,
    process_shutdown_time: Option<f64>,
    register_time: f64,
    unregister_time: Option<f64>,
    paused_ranges: [(); 0],
    show_markers_in_timeline: bool,
    name: String,
    is_main_thread: bool,
    process_name: String,
    pid: String,
    tid: String,
    samples: Samples,
    markers: Markers,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_allocations: Option<Allocations>,
    /// When the last of it was over.
    #[serde(skip)]
    end_ns: Nanos,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    length: usize,
    weight_type: &'static str,
    stack: Vec<Option<u32>>,
    time_deltas: Vec<f64>,
    weight: Vec<f64>,
    #[serde(rename = "threadCPUDelta", skip_serializing_if = "Option::is_none")]
    thread_cpu_delta: Option<Vec<u64>>,
    #[serde(skip)]
    last_ns: Nanos,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Markers {
    length: usize,
    data: Vec<Payload>,
    name: Vec<usize>,
    start_time: Vec<f64>,
    end_time: Vec<f64>,
    phase: Vec<u8>,
    category: Vec<usize>,
}

/// What a marker tells besides its name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    r#type: &'static str,
    /// For how much of such time it stands.
    stands_for: Nanos,
    cause: Cause,
}

#[derive(Serialize)]
struct Cause {
    time: f64,
    stack: Option<u32>,
}

/// How much was allocated where. When is not known: all of it is at the start.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Allocations {
    length: usize,
    time: Vec<f64>,
    weight: Vec<u64>,
    weight_type: &'static str,
    stack: Vec<Option<u32>>,
}

/// Bytes that were there, the most in each slice of time.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counter {
    name: &'static str,
    category: &'static str,
    description: &'static str,
    pid: String,
    main_thread_index: usize,
    samples: CounterSamples,
}

#[derive(Serialize)]
struct CounterSamples {
    length: usize,
    time: Vec<f64>,
    /// Changes since the one before.
    count: Vec<f64>,
}

/// An interval is complete in one marker.
const INTERVAL: u8 = 1;

fn ms(ns: Nanos) -> f64 {
    ns as f64 / 1e6
}

/// When something was, from the start on.
fn since_start(profile: &Profile, time_ns: Nanos) -> Nanos {
    time_ns.saturating_sub(profile.info.start_ns)
}

/// When the last recording ended.
fn recording_end_ns(profile: &Profile) -> Nanos {
    let ends =
        profile.sources.iter().map(|source| source.start_ns.saturating_add(source.duration_ns));
    ends.max().map_or(0, |end_ns| since_start(profile, end_ns))
}

/// The threads of which something is known; all threads if there is none.
fn threads(
    profile: &Profile,
    event: Option<EventId>,
    tables: &mut Tables,
) -> Vec<(ThreadId, Thread)> {
    let pids = unique_texts(profile.processes.iter().map(|process| process.pid));
    let tids = unique_texts(profile.threads.iter().map(|thread| thread.tid));
    let mut threads: Vec<Thread> = tids
        .into_iter()
        .enumerate()
        .map(|(id, tid)| thread(profile, id, pids[profile.threads[id].process].clone(), tid))
        .collect();
    if let Some(event) = event {
        for sample in in_time(profile, event) {
            let stack = sample.stack.get().map(|stack| tables.node_of(stack));
            let time_ns = since_start(profile, sample.time_ns);
            let thread = &mut threads[sample.thread];
            thread.samples.add(&profile.events[event], &sample, time_ns, stack);
            let length_ns = length_ns(&profile.events[event], &sample).unwrap_or(0);
            thread.end_ns = thread.end_ns.max(time_ns.saturating_add(length_ns));
        }
    }
    for interval in intervals(profile) {
        let stack = interval.sample.stack.get().map(|stack| tables.node_of(stack));
        let name = tables.text(interval.name(profile));
        let thread = &mut threads[interval.sample.thread];
        thread.markers.add(profile, &interval, name, stack);
        thread.end_ns = thread.end_ns.max(since_start(profile, interval.end_ns()));
    }
    for site in profile.heap.iter().flat_map(|heap| &heap.sites) {
        let allocations = threads[site.thread].native_allocations.get_or_insert_default();
        allocations.weight_type = "bytes";
        allocations.length += 1;
        allocations.time.push(0.0);
        allocations.weight.push(site.sums.allocated.bytes.rounded());
        allocations.stack.push(site.stack.map(|stack| tables.node_of(stack)));
    }
    let is_known = |thread: &Thread| {
        let Thread { samples, markers, native_allocations, .. } = thread;
        samples.length > 0 || markers.length > 0 || native_allocations.is_some()
    };
    let any = threads.iter().any(is_known);
    let mut threads: Vec<(ThreadId, Thread)> =
        threads.into_iter().enumerate().filter(|(_, thread)| !any || is_known(thread)).collect();
    // A process's main thread is its first.
    threads.sort_by_key(|(id, thread)| (profile.threads[*id].process, !thread.is_main_thread));
    threads
}

fn thread(profile: &Profile, id: ThreadId, pid: String, tid: String) -> Thread {
    let (thread, process) = profile.thread(id);
    Thread {
        process_type: "default",
        process_startup_time: 0.0,
        process_shutdown_time: None,
        register_time: 0.0,
        unregister_time: None,
        paused_ranges: [],
        show_markers_in_timeline: true,
        name: clean(&thread.name).into(),
        is_main_thread: thread.tid == process.pid,
        process_name: process_name(profile, thread.process),
        pid,
        tid,
        samples: Samples { weight_type: "samples", ..Samples::default() },
        markers: Markers::default(),
        native_allocations: None,
        end_ns: 0,
    }
}

impl Samples {
    fn add(&mut self, event: &Event, sample: &TimedSample, time_ns: Nanos, stack: Option<u32>) {
        let (weight_type, weight) = match event.unit {
            Unit::Nanoseconds => ("tracing-ms", ms(sample.weight)),
            Unit::Bytes => ("bytes", sample.weight as f64),
            Unit::Cycles => ("samples", sample.count as f64),
            Unit::Count => ("samples", sample.weight as f64),
        };
        self.weight_type = weight_type;
        self.length += 1;
        self.stack.push(stack);
        self.weight.push(weight);
        // Rows that are late by a little are at the time of the one before.
        self.time_deltas.push(ms(time_ns.saturating_sub(self.last_ns)));
        self.last_ns = self.last_ns.max(time_ns);
        if event.kind == EventKind::Cpu && event.unit == Unit::Nanoseconds {
            self.thread_cpu_delta.get_or_insert_default().push(sample.weight);
        }
    }
}

impl Markers {
    fn add(&mut self, profile: &Profile, interval: &Interval, name: usize, stack: Option<u32>) {
        let start_ns = since_start(profile, interval.sample.time_ns);
        let r#type = if interval.kind == EventKind::OffCpu { meta::WAIT } else { meta::CALL };
        self.length += 1;
        self.data.push(Payload {
            r#type,
            stands_for: interval.sample.weight,
            cause: Cause { time: ms(start_ns), stack },
        });
        self.name.push(name);
        self.start_time.push(ms(start_ns));
        self.end_time.push(ms(since_start(profile, interval.end_ns())));
        self.phase.push(INTERVAL);
        self.category.push(meta::REASON);
    }
}

/// Memory over time. It is known of all processes together, and stands with the first that
/// allocated.
fn counters(profile: &Profile, threads: &[(ThreadId, Thread)]) -> Vec<Counter> {
    let Some(heap) = &profile.heap else { return Vec::new() };
    let process: Option<ProcessId> = heap.processes.first().map(|process| process.process);
    let is_there = |(id, _): &(ThreadId, Thread)| Some(profile.threads[*id].process) == process;
    let Some(main_thread_index) = threads.iter().position(is_there) else { return Vec::new() };
    let live = &heap.live;
    let start_ns = since_start(profile, live.start_ns);
    let (mut time, mut count, mut last) = (vec![ms(start_ns)], vec![0.0], 0.0);
    for (index, slice) in live.slices.iter().enumerate() {
        time.push(ms(start_ns.saturating_add(live.slice_ns.saturating_mul(index as u64 + 1))));
        count.push(slice.most - last);
        last = slice.most;
    }
    let pid = threads[main_thread_index].1.pid.clone();
    vec![Counter {
        name: "malloc",
        category: "Memory",
        description: "Bytes that were allocated and not freed, of all processes together",
        pid,
        main_thread_index,
        samples: CounterSamples { length: time.len(), time, count },
    }]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use rz_profile::fixture;
    use rz_profile::fixture::trace::load_bytes;
    use rz_profile::heap::{Live, Metric, ProcessHeap, show};
    use serde_json::{Value, json};

    fn written(profile: &Profile, event: Option<EventId>) -> Value {
        let mut out = Vec::new();
        write(profile, event, &mut out).unwrap();
        let mut json = String::new();
        flate2::read::GzDecoder::new(&out[..]).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    /// The frames of a stack, outermost first: `name file:line` with as many `>` as it is
    /// deep among inlined calls.
    fn frames(file: &Value, stack: &Value) -> Vec<String> {
        let shared = &file["shared"];
        let at = |table: &str, column: &str, row: &Value| {
            row.as_u64().map_or(Value::Null, |row| shared[table][column][row as usize].clone())
        };
        let text = |index: Value| {
            index
                .as_u64()
                .map_or("", |index| shared["stringArray"][index as usize].as_str().unwrap())
        };
        let (mut frames, mut next) = (Vec::new(), stack.clone());
        while !next.is_null() {
            let frame = at("stackTable", "frame", &next);
            let function = at("frameTable", "func", &frame);
            let inlined = at("frameTable", "inlineDepth", &frame).as_u64().unwrap() as usize;
            let source = at("funcTable", "source", &function);
            let line = at("frameTable", "line", &frame).as_u64().unwrap_or(0);
            let category = at("frameTable", "category", &frame).as_u64().unwrap() as usize;
            let category = file["meta"]["categories"][category]["name"].as_str().unwrap();
            frames.push(format!(
                "{}{} {}:{line} {category}",
                ">".repeat(inlined),
                text(at("funcTable", "name", &function)),
                text(at("sources", "filename", &source)),
            ));
            next = at("stackTable", "prefix", &next);
        }
        frames.reverse();
        frames
    }

    #[test]
    fn samples_have_times_lines_and_inlined_calls() {
        let file = written(&fixture::profile(), None);
        let samples = &file["threads"][0]["samples"];
        assert_eq!(samples["weightType"], "tracing-ms");
        assert_eq!(samples["weight"], json!([0.001, 0.001, 0.001, 0.001, 0.001]));
        assert_eq!(samples["threadCPUDelta"], json!([1000, 1000, 1000, 1000, 1000]));
        assert_eq!(samples["timeDeltas"], json!([0.0, 2e-6, 1e-6, 1e-6, 1e-6]));
        assert_eq!(
            frames(&file, &samples["stack"][1]),
            [
                "main app.rs:10 Native",
                "<T as Run>::run app.rs:20 Native",
                ">helper lib.rs:5 Native",
                "read :0 Kernel",
            ]
        );
        let threads = file["threads"].as_array().unwrap();
        let names: Vec<_> = threads.iter().map(|thread| &thread["name"]).collect();
        assert_eq!(names, ["app", "worker;1"]);
        assert_eq!(file["threads"][1]["samples"]["stack"][5], Value::Null);
    }

    #[test]
    fn waits_are_markers() {
        let file = written(&fixture::with_waits(), None);
        let markers = &file["threads"][0]["markers"];
        let text =
            |index: &Value| file["shared"]["stringArray"][index.as_u64().unwrap() as usize].clone();
        assert_eq!(markers["length"], 2);
        assert_eq!(text(&markers["name"][1]), "futex");
        assert_eq!(markers["startTime"], json!([0.0, 1.0]));
        assert_eq!(markers["endTime"], json!([0.5, 3.0004]));
        let cause = &markers["data"][1]["cause"]["stack"];
        let expected = [
            "main app.rs:10 Native",
            "helper lib.rs:6 Native",
            "[off-CPU: futex] :0 Waits and calls",
        ];
        assert_eq!(frames(&file, cause), expected);
        // What has no reason is no marker.
        assert_eq!(file["threads"][1]["markers"]["length"], 0);
    }

    #[test]
    fn memory_is_a_counter_and_allocations() {
        let mut profile = fixture::with_heap();
        let heap = profile.heap.as_mut().unwrap();
        heap.processes = vec![ProcessHeap::default()];
        heap.live.slice_ns = 1_000_000;
        heap.live.slices = [300.0, 200.0].map(|most| Live { most, last: 100.0 }).into();
        let event = show(&mut profile, Metric::Bytes);
        let file = written(&profile, None);
        let counter = &file["counters"][0];
        assert_eq!(counter["samples"]["time"], json!([0.0, 1.0, 2.0]));
        assert_eq!(counter["samples"]["count"], json!([0.0, 300.0, -100.0]));
        assert_eq!(file["threads"][0]["nativeAllocations"]["weight"], json!([300]));
        assert_eq!(file["threads"][1]["nativeAllocations"]["weight"], json!([4000]));
        let bytes = written(&profile, event);
        assert_eq!(bytes["threads"][1]["samples"]["weightType"], "bytes");
        assert_eq!(bytes["threads"][1]["samples"]["weight"], json!([4000.0]));
    }

    #[test]
    fn code_of_runtimes_has_its_category_and_source() {
        let file = written(&load_bytes(&fixture::with_runtimes("/srv/job.py").finish()), None);
        let stacks = file["threads"][0]["samples"]["stack"].as_array().unwrap();
        let all: Vec<Vec<String>> = stacks.iter().map(|stack| frames(&file, stack)).collect();
        let has = |frame: &str| all.iter().flatten().any(|found| found.starts_with(frame));
        for frame in ["Job.crunch /srv/job.py:", "add /srv/web/add.js:"] {
            assert!(has(frame), "no {frame} in {all:#?}");
        }
        let of = |name: &str| all.iter().flatten().find(|frame| frame.starts_with(name)).unwrap();
        assert!(of("Job.crunch").ends_with(" Python") && of("add ").ends_with(" JavaScript"));
        assert_eq!(file["meta"]["usesOnlyOneStackType"], false);
    }

    #[test]
    fn nothing_is_a_profile_as_well() {
        let file = written(&Profile::default(), None);
        assert_eq!(file["threads"], json!([]));
        assert_eq!(file["shared"]["stackTable"]["length"], 0);
    }
}
