//! Reads JSON of spans.
//!
//! Objects and lists of the same types hold what both forms have, so that a document, an
//! event, and a line of either are read alike. What is not as it should be is left out,
//! down to single fields: spans come from many libraries.

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::{Span, Spans, SpansError};

/// Spans that are kept, at most.
const MAX_SPANS: usize = 4_000_000;

/// A document of OTLP, an object with trace events, or one of these.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Item {
    #[serde(alias = "resource_spans")]
    resource_spans: Option<Vec<ResourceSpans>>,
    trace_events: Option<Vec<Item>>,
    ph: Value,
    name: Value,
    ts: Value,
    dur: Value,
    pid: Value,
    tid: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceSpans {
    resource: Option<Resource>,
    // What OTLP called it before 2022.
    #[serde(alias = "scope_spans", alias = "instrumentationLibrarySpans")]
    scope_spans: Option<Vec<ScopeSpans>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Option<Vec<Attribute>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ScopeSpans {
    spans: Option<Vec<OtlpSpan>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OtlpSpan {
    #[serde(alias = "trace_id")]
    trace_id: Value,
    #[serde(alias = "span_id")]
    span_id: Value,
    #[serde(alias = "parent_span_id")]
    parent_span_id: Value,
    name: Value,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Value,
    #[serde(alias = "end_time_unix_nano")]
    end_time_unix_nano: Value,
    attributes: Option<Vec<Attribute>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attribute {
    key: Value,
    value: Option<AttributeValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttributeValue {
    #[serde(alias = "int_value")]
    int_value: Value,
    #[serde(alias = "string_value")]
    string_value: Value,
}

/// Spans of a file that is not yet all read.
#[derive(Debug, Default)]
struct Reading {
    read: Spans,
    names: FxHashMap<String, usize>,
    /// Events that begin (`B`) and end (`E`).
    edges: Vec<Edge>,
    is_full: bool,
}

/// The beginning or the end of a span.
#[derive(Debug)]
struct Edge {
    thread: (Option<u32>, Option<u32>),
    at_ns: u64,
    /// `None` at an end.
    name: Option<usize>,
}

/// Reads all spans of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Spans, SpansError> {
    let mut reading = Reading::default();
    let result = match bytes.trim_ascii_start().first() {
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            json.deserialize_seq(List(&mut reading)).and_then(|()| json.end())
        }
        _ => serde_json::Deserializer::from_slice(bytes)
            .into_iter()
            .try_for_each(|item| item.map(|item| reading.add(item))),
    };
    // A program that crashed has written no end, and one that runs half a line.
    reading.read.is_cut = match result {
        Ok(()) => false,
        Err(error) if error.is_eof() && !reading.is_empty() => true,
        Err(error) => return Err(SpansError::NotSpans(error)),
    };
    reading.finish()
}

/// A list of items, which are taken as they are read.
struct List<'r>(&'r mut Reading);

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(item) = list.next_element()? {
            self.0.add(item);
        }
        Ok(())
    }
}

impl Reading {
    fn is_empty(&self) -> bool {
        self.read.spans.is_empty() && self.edges.is_empty()
    }

    fn add(&mut self, item: Item) {
        self.add_event(&item);
        item.trace_events.iter().flatten().for_each(|event| self.add_event(event));
        for of_resource in item.resource_spans.into_iter().flatten() {
            let attributes = of_resource.resource.and_then(|resource| resource.attributes);
            let pid = number_of("process.pid", attributes.as_deref());
            let scopes = of_resource.scope_spans.into_iter().flatten();
            scopes.flat_map(|scope| scope.spans.unwrap_or_default()).for_each(|span| {
                self.add_otlp(&span, pid);
            });
        }
    }

    fn add_otlp(&mut self, span: &OtlpSpan, pid: Option<u32>) {
        let times = [&span.start_time_unix_nano, &span.end_time_unix_nano].map(integer);
        // A span that was written before its end has 0 there.
        let [Some(from_ns), Some(to_ns)] = times.map(|time| time.filter(|&time| time > 0)) else {
            self.read.unfinished += 1;
            return;
        };
        let id = |value: &Value| {
            let text = value.as_str().filter(|text| text.len() == 16);
            text.and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
        };
        let attributes = span.attributes.as_deref();
        let span = Span {
            name: self.name(&span.name),
            trace_id: span.trace_id.as_str().and_then(|text| text.parse().ok()),
            id: id(&span.span_id),
            parent: id(&span.parent_span_id),
            from_ns,
            to_ns: to_ns.max(from_ns),
            of_day: true,
            pid: number_of("process.pid", attributes).or(pid),
            tid: number_of("thread.id", attributes),
        };
        self.push(span);
    }

    fn add_event(&mut self, event: &Item) {
        let Some(phase) = event.ph.as_str() else { return };
        let thread = [&event.pid, &event.tid].map(|id| integer(id)?.try_into().ok());
        let thread = (thread[0], thread[1]);
        match (phase, nanos(&event.ts)) {
            ("X", Some(from_ns)) => {
                let name = self.name(&event.name);
                let length_ns = nanos(&event.dur).unwrap_or(0);
                self.push(of_event(thread, name, from_ns, from_ns.saturating_add(length_ns)));
            }
            ("B" | "E", Some(at_ns)) if self.edges.len() < 2 * MAX_SPANS => {
                let name = (phase == "B").then(|| self.name(&event.name));
                self.edges.push(Edge { thread, at_ns, name });
            }
            ("B", Some(_)) => self.is_full = true,
            // What is named, and what was true at a time, is no span.
            ("M" | "C", _) => {}
            _ => self.read.others += 1,
        }
    }

    fn push(&mut self, span: Span) {
        self.is_full |= self.read.spans.len() >= MAX_SPANS;
        if !self.is_full {
            self.read.spans.push(span);
        }
    }

    fn name(&mut self, name: &Value) -> usize {
        let name = name.as_str().unwrap_or_default();
        if let Some(&index) = self.names.get(name) {
            return index;
        }
        let index = self.names.len();
        self.names.insert(name.to_owned(), index);
        self.read.names.push(name.to_owned());
        index
    }

    fn finish(mut self) -> Result<Spans, SpansError> {
        self.join_edges();
        if self.is_full {
            return Err(SpansError::TooMany(MAX_SPANS));
        }
        let Spans { ref spans, unfinished, others, .. } = self.read;
        match spans.is_empty() {
            true => Err(SpansError::Empty { unfinished, others }),
            false => Ok(self.read),
        }
    }

    /// Makes spans of what began and ended in a thread.
    fn join_edges(&mut self) {
        let mut edges = std::mem::take(&mut self.edges);
        // Stable: what begins and ends at once is in the order of the file.
        edges.sort_by_key(|edge| (edge.thread, edge.at_ns));
        for edges in edges.chunk_by(|a, b| a.thread == b.thread) {
            let mut open = Vec::new();
            for edge in edges {
                match (edge.name, open.pop()) {
                    (Some(name), last) => {
                        open.extend(last);
                        open.push((name, edge.at_ns));
                    }
                    (None, Some((name, from_ns))) => {
                        self.push(of_event(edge.thread, name, from_ns, edge.at_ns));
                    }
                    // It began before the file did.
                    (None, None) => self.read.unfinished += 1,
                }
            }
            self.read.unfinished += open.len() as u64;
        }
    }
}

fn of_event((pid, tid): (Option<u32>, Option<u32>), name: usize, from_ns: u64, to_ns: u64) -> Span {
    Span { name, trace_id: None, id: 0, parent: 0, from_ns, to_ns, of_day: false, pid, tid }
}

/// A number, which JSON of 64 bits has as text.
fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        // Some have written it as a float.
        value => value.as_u64().or_else(|| value.as_f64().filter(|x| *x >= 0.0).map(|x| x as u64)),
    }
}

/// Microseconds, as nanoseconds.
fn nanos(value: &Value) -> Option<u64> {
    match value.as_u64() {
        Some(micros) => micros.checked_mul(1_000),
        None => value.as_f64().filter(|x| *x >= 0.0).map(|x| (x * 1_000.0).round() as u64),
    }
}

/// The number that an attribute has.
fn number_of(key: &str, attributes: Option<&[Attribute]>) -> Option<u32> {
    let found = attributes?.iter().find(|attribute| attribute.key == key)?;
    let value = found.value.as_ref()?;
    integer(&value.int_value).or_else(|| integer(&value.string_value))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each span in a line: its name, times, process and thread, in order of the file.
    fn spans_of(json: &str) -> Result<String, String> {
        let Spans { spans, names, .. } = read(json.as_bytes()).map_err(|e| e.to_string())?;
        let number = |number: Option<u32>| number.map_or("-".to_owned(), |n| n.to_string());
        let line = |span: &Span| {
            let Span { from_ns, to_ns, pid, tid, .. } = span;
            let name = &names[span.name];
            format!("{name} {from_ns} {to_ns} {} {}\n", number(*pid), number(*tid))
        };
        Ok(spans.iter().map(line).collect())
    }

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(spans_of(json).as_deref(), Ok(expected), "{json}");
    }

    const DOCUMENT: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}},
        {"key":"process.pid","value":{"intValue":"42"}}]},
        "scopeSpans":[{"scope":{"name":"x"},"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"",
         "name":"GET /a\u002fb","kind":2,"startTimeUnixNano":"1544712660000000000",
         "endTimeUnixNano":"1544712661000000000","status":{},
         "attributes":[{"key":"thread.id","value":{"intValue":43}}]},
        {"name":"old","startTimeUnixNano":5,"endTimeUnixNano":7}]}]}]}"#;

    #[test]
    fn documents_of_otlp() {
        let spans = "GET /a/b 1544712660000000000 1544712661000000000 42 43\nold 5 7 42 -\n";
        check(DOCUMENT, spans);
        let line = DOCUMENT.replace('\n', "");
        check(&format!("{line}\n{line}\n"), &spans.repeat(2));
        check(&format!("[{line},\n{line}]"), &spans.repeat(2));
        // The collector is still writing.
        check(&format!("{line}\n{}", &line[..100]), spans);
        assert!(read(format!("{line}\n{{").as_bytes()).unwrap().is_cut);
        let older = line.replace("scopeSpans", "instrumentationLibrarySpans");
        check(&older, spans);
    }

    #[test]
    fn trace_events() {
        let events = r#"
            {"ph":"M","name":"thread_name","pid":1,"tid":2,"args":{"name":"main"}},
            {"ph":"X","name":"all","pid":1,"tid":2,"ts":1000.5,"dur":10,"args":{"a":[1]}},
            {"ph":"B","name":"outer","pid":1,"tid":3,"ts":1},
            {"ph":"B","name":"inner","pid":1,"tid":3,"ts":2},
            {"ph":"B","name":"other","pid":1,"tid":4,"ts":2},
            {"ph":"E","pid":1,"tid":3,"ts":3},
            {"ph":"E","pid":1,"tid":3,"ts":9}"#;
        let spans = "all 1000500 1010500 1 2\ninner 2000 3000 1 3\nouter 1000 9000 1 3\n";
        check(&format!("[{events}]"), spans);
        check(&format!("[{events},"), spans);
        check(&format!(r#"{{"traceEvents":[{events}],"displayTimeUnit":"ns"}}"#), spans);
        assert_eq!(read(format!("[{events}]").as_bytes()).unwrap().unfinished, 1);
    }

    #[test]
    fn what_is_amiss_costs_what_it_hits() {
        let json = r#"[{"ph":"X","name":7,"ts":1,"dur":"x","pid":"gpu","tid":-1},
            {"ph":"X","name":"later","ts":-1}, {"ph":"b","ts":1}, {"ph":3}, {}]"#;
        check(json, " 1000 1000 - -\n");
        let json = r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":null},
            {"spans":[{"name":"open","startTimeUnixNano":"5","endTimeUnixNano":"0"},
            {"name":"back","startTimeUnixNano":"5","endTimeUnixNano":"3","attributes":null}]}]}]}"#;
        check(json, "back 5 5 - -\n");
    }

    #[test]
    fn what_has_no_spans_says_so() {
        let check = |json: &str, message: &str| {
            let error = spans_of(json).unwrap_err();
            assert!(error.contains(message) && !error.contains('\n'), "{json}: {error}");
        };
        check("", "no spans in it");
        check("{}", "no spans in it");
        check("[]", "no spans in it");
        check(r#"{"traceEvents":[{"ph":"B","ts":1}]}"#, "1 without an end");
        check("hello", "no JSON of spans (OTLP or trace events): expected value");
        check("[1]", "no JSON of spans");
        check("{\"resourceSpans\":[", "no JSON of spans");
        check("\u{0}rz", "no JSON of spans");
        check(&"[".repeat(100_000), "no JSON of spans");
    }
}
