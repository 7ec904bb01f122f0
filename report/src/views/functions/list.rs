//! Lists calls of functions, each in a line, in the order in which they began.

#[cfg(test)]
use std::borrow::Cow;
use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_profile::calls::Call;
use rz_profile::load::function_calls::FunctionCallList;
use rz_profile::model::ValueKind;
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::named;
use super::values::write_value;
use crate::render::format::time_of_day;

/// Calls stand no further right than those that are so deep in others: `rec` keeps no more,
/// and a trace may say anything.
const MAX_INDENT: usize = 64;

/// What is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionListOptions {
    /// Only the last so many calls.
    pub tail: Option<usize>,
    /// Calls stand further right than those that they were made in.
    pub tree: bool,
}

/// Every call that is listed. They are gone through as they are written, as there may be very
/// many.
#[derive(Debug)]
pub struct FunctionCallsPage<'l>(pub &'l FunctionCallList);

/// What is written of a list of calls.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "FunctionCallsPage")]
#[allow(dead_code, reason = "says what `FunctionCallsPage` is written as")]
struct Written {
    /// In order of their beginnings.
    calls: Vec<ShownFunctionCall>,
    /// Calls that were recorded and are left out, as there are too many.
    left_out: u64,
}

#[cfg(test)]
impl schemars::JsonSchema for FunctionCallsPage<'_> {
    fn schema_name() -> Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

impl Serialize for FunctionCallsPage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Calls<'p>(&'p FunctionCallList);
        impl Serialize for Calls<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut calls = serializer.serialize_seq(None)?;
                for_each_call(self.0, |call| calls.serialize_element(call))?;
                calls.end()
            }
        }
        let mut page = serializer.serialize_struct("FunctionCallsPage", 2)?;
        page.serialize_field("calls", &Calls(self.0))?;
        page.serialize_field("left_out", &self.0.left_out)?;
        page.end()
    }
}

/// A call as it is shown.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownFunctionCall {
    /// The thread; `null` if it is not known.
    tid: Option<u32>,
    /// Its process.
    pid: Option<u32>,
    /// When it began, since the Unix epoch.
    start_unix_ns: u64,
    /// When it began, since the start of the recording, as `--from` counts.
    at_ns: u64,
    /// How long it took.
    duration_ns: u64,
    /// How many of the calls that are listed it was made in.
    depth: usize,
    /// The function's name.
    function: String,
    /// Its file's name.
    file: String,
    /// With its arguments and its result, as far as their kinds were said.
    text: String,
    /// What was in the register for results.
    result: i64,
}

/// Writes a line per call. Times of day are those of UTC.
pub fn write_function_list(
    out: &mut dyn Write,
    list: &FunctionCallList,
    options: FunctionListOptions,
) -> io::Result<()> {
    for_each_call(list, |call| {
        let tid = call.tid.map_or_else(|| "?".to_owned(), |tid| tid.to_string());
        let (time, ns) = (time_of_day(call.start_unix_ns), call.duration_ns);
        let indent = if options.tree { 2 * call.depth.min(MAX_INDENT) } else { 0 };
        writeln!(
            out,
            "[pid {tid}] {time} {:indent$}{} <{}.{:09}>",
            "",
            call.text,
            ns / 1_000_000_000,
            ns % 1_000_000_000
        )
    })
}

fn for_each_call<E>(
    list: &FunctionCallList,
    mut take: impl FnMut(&ShownFunctionCall) -> Result<(), E>,
) -> Result<(), E> {
    // Where the calls end that a thread is in.
    let mut under_way: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
    for call in &list.calls {
        let ends = under_way.entry(call.thread).or_default();
        while ends.pop_if(|end_ns| *end_ns <= call.start_ns).is_some() {}
        let depth = ends.len();
        ends.push(call.start_ns.saturating_add(call.duration_ns));
        take(&shown(list, call, depth))?;
    }
    Ok(())
}

fn shown(list: &FunctionCallList, call: &Call, depth: usize) -> ShownFunctionCall {
    let (thread, known) = (list.thread(call), list.functions.get(&call.number));
    let (function, file) = named(known);
    let mut texts = call.texts.iter().map(|text| text.and_then(|id| list.text(id)));
    let mut text_of = |kind| if kind == ValueKind::Text { texts.next().flatten() } else { None };
    let mut text = function.clone();
    text.push('(');
    match known.map(|known| &known.arguments[..]) {
        Some(kinds @ [_, ..]) => {
            for (index, (&kind, &value)) in kinds.iter().zip(&call.args).enumerate() {
                if index > 0 {
                    text += ", ";
                }
                write_value(&mut text, kind, value, text_of(kind));
            }
        }
        // Nobody has said what they are.
        _ => text += "...",
    }
    text.push(')');
    let kind = known.map(|known| known.result).unwrap_or_default();
    if kind != ValueKind::Nothing {
        text += " = ";
        write_value(&mut text, kind, call.result as u64, text_of(kind));
    }
    ShownFunctionCall {
        tid: thread.map(|thread| thread.tid),
        pid: thread.map(|thread| thread.pid).filter(|&pid| pid > 0),
        start_unix_ns: list.unix_ns(call.start_ns),
        at_ns: list.since_start(call.start_ns),
        duration_ns: call.duration_ns,
        depth,
        function,
        file,
        text,
        result: call.result,
    }
}
