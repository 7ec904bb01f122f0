//! Rows that are selected by spans.

use std::fs;

use super::filters::{SLICE, recording, weight};
use crate::filter::Filter;
use crate::fixture::trace::*;
use crate::load::{LoadError, LoadOptions};
use crate::model::{EventKind, Profile};
use crate::span_list::{SpanList, load_spans};
use crate::spans::{SpanFile, SpanFilter};

/// When the recording began, since the Unix epoch.
const START_UNIX: u64 = 1_700_000_000_000_001_000;

/// Spans of OTLP in lines of `name from to pid tid`, with times in tenths of the recording,
/// and ids by line, of which each may be under another: `id<parent`.
fn otlp(lines: &str) -> String {
    let span = |(index, line): (usize, &str)| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, from, to, pid, tid] = words[..5] else { panic!("{line}") };
        let at = |tenths: &str| {
            let tenths: i64 = tenths.parse().unwrap();
            START_UNIX.checked_add_signed(tenths * SLICE as i64).unwrap()
        };
        let attribute = |key: &str, value: &str| match value {
            "-" => "[]".to_owned(),
            value => format!(r#"[{{"key":"{key}","value":{{"intValue":"{value}"}}}}]"#),
        };
        let parent = words.get(5).map_or(0, |parent| parent.parse::<usize>().unwrap());
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":{}}},"scopeSpans":[{{"spans":[{{
            "traceId":"{:032x}","spanId":"{:016x}","parentSpanId":"{parent:016x}","name":"{name}",
            "startTimeUnixNano":"{}","endTimeUnixNano":{},"attributes":{}}}]}}]}}]}}"#,
            attribute("process.pid", pid),
            7,
            index + 1,
            at(from),
            at(to),
            attribute("thread.id", tid)
        )
    };
    lines.trim().lines().enumerate().map(span).collect()
}

fn filtered_by(json: &str, names: &[&str], filter: Filter) -> Result<Profile, LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spans.json");
    fs::write(&path, json).unwrap();
    let names = names.iter().map(|name| name.parse().unwrap()).collect();
    let spans = SpanFilter { file: SpanFile::new(path), names, trace_ids: Vec::new() };
    let filter = Filter { spans: Some(spans), ..filter };
    let options = LoadOptions { filter, timeline: true, ..LoadOptions::default() };
    load_with(&recording(), &options)
}

#[track_caller]
fn filtered(lines: &str, name: &str) -> Profile {
    filtered_by(&otlp(lines), &[name], Filter::default()).unwrap()
}

#[test]
fn a_span_is_a_window_of_its_thread() {
    let profile = filtered("a 3 7 7 7\nb 0 9 8 8", "a");
    assert_eq!(
        describe(&profile),
        "\
main:  4 40
off-cpu main: [off-CPU: futex] 2 400000000
syscalls main: [syscall: read] 1 800000000
"
    );
    let info = &profile.info;
    assert_eq!((info.start_ns - START, info.duration_ns), (3 * SLICE, 4 * SLICE));
    assert_eq!(info.looked_at_ns(), 4 * SLICE);
    assert_eq!(info.filter.text, "span a (1 span in 800ms, by thread)");
    assert_eq!(info.filter.threads, Some(1));
}

/// A wait that goes on through two spans has its parts in both.
#[test]
fn spans_of_a_thread_cut_what_lasts() {
    let profile = filtered("a 2 3 7 7\na 6 8 7 7\na 6 7 7 7", "a");
    assert_eq!(weight(&profile, EventKind::Cpu), 30);
    // From 1 to 4, and from 6 on.
    assert_eq!(weight(&profile, EventKind::OffCpu), 3 * SLICE);
    // From 3 to 7.
    assert_eq!(weight(&profile, EventKind::Syscalls), SLICE);
    let text = "span a (3 spans in 600ms, by thread, overlaps count once)";
    assert_eq!(profile.info.filter.text, text);
    assert_eq!(profile.info.looked_at_ns(), 3 * SLICE);
    assert_eq!(profile.info.duration_ns, 6 * SLICE);
}

#[test]
fn who_is_not_known_is_looked_for_further_up() {
    let cpu = |lines: &str| {
        let profile = filtered(lines, "a");
        (weight(&profile, EventKind::Cpu), profile.info.filter.text)
    };
    // Thread 1 of a runtime is any of the process's two.
    let (process, text) = cpu("a 2 4 7 1");
    assert_eq!(process, 40);
    assert_eq!(text, "span a (1 span in 400ms, by process, with all its threads)");
    let (all, text) = cpu("a 2 4 - -");
    assert_eq!(all, 60);
    assert!(text.contains("of no known thread or process, with all that was recorded"), "{text}");
    // A thread of its own process only.
    assert_eq!(cpu("a 2 4 8 70\na 2 4 7 70").0, 40);
    let (some, text) = cpu("a 2 4 7 7\na 2 4 99 7\na 30 40 7 7");
    assert_eq!(some, 20);
    let rest = "1 more outside of the recording, 1 more of what was not recorded)";
    assert!(text.ends_with(rest), "{text}");
}

/// A thread has its own spans, those of its process, and those of all.
#[test]
fn layers_add_up() {
    let profile = filtered("a 0 2 - -\na 1 3 7 -\na 5 6 7 7", "a");
    // 0 to 3 and 5 to 6; 0 to 3; 0 to 2.
    assert_eq!(weight(&profile, EventKind::Cpu), 40 + 30 + 20);
    assert_eq!(profile.info.looked_at_ns(), 4 * SLICE);
    assert_eq!(profile.info.filter.threads, None);
}

#[test]
fn what_is_under_a_span_belongs_to_it() {
    let profile = filtered("a 0 2 7 7\nb 1 4 7 70 1\nc 2 3 8 8 2\nd 0 9 7 7\ne 0 9 7 7 5", "a");
    assert_eq!(weight(&profile, EventKind::Cpu), 20 + 30 + 10);
    let text = "span a (3 spans in 800ms, by thread, 2 of them under those asked for)";
    assert_eq!(profile.info.filter.text, text);
}

#[test]
fn windows_and_threads_select_among_spans() {
    let filter = Filter {
        from: Some("40%".parse().unwrap()),
        threads: vec!["main".parse().unwrap()],
        ..Filter::default()
    };
    let json = otlp("a 2 6 7 7\na 2 6 7 70\na 0 1 7 7");
    let profile = filtered_by(&json, &["a"], filter).unwrap();
    assert_eq!(weight(&profile, EventKind::Cpu), 20);
    assert!(profile.info.filter.text.contains("1 more outside"), "{}", profile.info.filter.text);
}

#[test]
fn spans_of_something_else_are_an_error() {
    let check = |json: &str, name: &str, message: &str| {
        let error = filtered_by(json, &[name], Filter::default()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    check(&otlp("a -5 -3 7 7"), "a", "its spans end 600ms before the recording begins");
    check(&otlp("a 20 21 7 7"), "a", "its spans begin 2s after the recording ends");
    let some = otlp("a 20 21 7 7\nbeta 1 2 7 7\ngamma 1 2 99 7");
    check(&some, "a", "1 span asked for, none of the time of the recording");
    check(&some, "bet", "no span is called bet; there are beta, ");
    check(&some, "gamma", "process 99 is not in it");
    check(r#"[{"ph":"X","name":"a","ts":1,"dur":1}]"#, "a", "neither as time of day");
}

#[test]
fn trace_events_are_on_either_clock() {
    for start_ns in [START, START_UNIX] {
        let ts = (start_ns + 3 * SLICE) / 1_000;
        let dur = 4 * SLICE / 1_000;
        let json = format!(r#"[{{"ph":"X","name":"a","ts":{ts},"dur":{dur},"pid":7,"tid":7}}]"#);
        let profile = filtered_by(&json, &["a"], Filter::default()).unwrap();
        assert_eq!(weight(&profile, EventKind::Cpu), 40);
    }
}

#[test]
fn names_have_what_was_recorded_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let [trace, spans] = ["trace.rz", "spans.json"].map(|name| dir.path().join(name));
    fs::write(&trace, recording()).unwrap();
    // A span in one of the same name counts once, and so does one of the process.
    let lines = "outer 0 5 7 7\ninner 2 4 7 7\ninner 2 3 7 7\ninner 3 6 7 -\nlate 9 12 7 7";
    fs::write(&spans, otlp(lines)).unwrap();
    let file = SpanFile::new(spans);
    let list: SpanList = load_spans(&trace, &file, &Filter::default()).unwrap();
    let sums: Vec<_> = list
        .sums
        .iter()
        .map(|sum| {
            let tenths = [sum.total_ns, sum.median_ns, sum.longest_ns, sum.waited_ns];
            (&*sum.name, sum.count, tenths.map(|ns| ns / SLICE), sum.cpu_ns)
        })
        .collect();
    let expected = [
        ("inner", 3, [6, 2, 3, 2 + 3], 40 + 30),
        ("outer", 1, [5, 5, 5, 3], 50),
        ("late", 1, [3, 3, 3, 1], 10),
    ];
    assert_eq!(sums, expected);
    assert!(list.has_cpu && list.has_waits);
    let window = Filter { to: Some("1s".parse().unwrap()), ..Filter::default() };
    let list = load_spans(&trace, &file, &window).unwrap();
    assert_eq!(list.sums.iter().map(|sum| &*sum.name).collect::<Vec<_>>(), ["inner", "outer"]);
    assert_eq!((list.sums[1].cpu_ns, list.applied.outside), (50, 1));
}
