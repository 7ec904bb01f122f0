//! Values of a document as text, by the units that their names end in.

use rz_profile::model;

use super::ordered::Value;
use crate::model::estimated::Estimated;
use crate::render::escape::{code, escaped};
use crate::render::format::{bytes, count, duration, shorten, weight};
use crate::views::header::date;
use crate::views::heap::amounts::{bytes_and_margin, count_and_margin};

/// Longest text of a cell, in characters.
const MAX_TEXT: usize = 100;
/// Functions of a stack in a cell, at most.
const MAX_FRAMES: usize = 8;

/// Numbers that are names and not amounts.
const NAMES: [&str; 11] = [
    "pid",
    "tid",
    "number",
    "errno",
    "line",
    "column",
    "uid",
    "gid",
    "fd",
    "inode",
    "format_minor",
];

/// What a weight of the document is counted in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit(model::Unit);

impl Unit {
    /// That of the event that a document shows.
    pub(super) fn of(document: &Value) -> Self {
        let name = document.get("event").and_then(|event| event.get("unit")).and_then(Value::text);
        let units = [model::Unit::Nanoseconds, model::Unit::Cycles, model::Unit::Bytes];
        let unit = units.into_iter().find(|unit| name == Some(unit.name()));
        Unit(unit.unwrap_or(model::Unit::Count))
    }
}

/// The title of a field: its name without the unit, which its values have.
pub(super) fn title(name: &str) -> String {
    let name = name.strip_suffix("_unix_ns").or_else(|| name.strip_suffix("_ns")).unwrap_or(name);
    let name = name.strip_suffix("_bytes").unwrap_or(name);
    name.replace('_', " ")
}

/// Whether a value is shown in one place.
pub(super) fn is_scalar(value: &Value) -> bool {
    match value {
        Value::List(list) => {
            list.iter().all(|value| !matches!(value, Value::Fields(_) | Value::List(_)))
        }
        Value::Fields(_) => estimated(value).is_some(),
        _ => true,
    }
}

/// A value as text; of a stack, the functions.
pub(super) fn shown(name: &str, value: &Value, Unit(unit): Unit) -> String {
    let last = name.rsplit(' ').next().unwrap_or(name);
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Value::Whole(number) => whole(last, *number, unit),
        Value::Number(number) => number.to_string(),
        // Code, in which spaces count.
        Value::Text(text) if last == "text" => code(text),
        Value::Text(text) => escaped(&shorten(text, MAX_TEXT)),
        Value::Fields(_) if value.get("rows").is_none() => estimated(value).map_or_else(
            || first_text(value),
            |estimated| match last {
                "bytes" => bytes_and_margin(estimated),
                _ => count_and_margin(estimated),
            },
        ),
        Value::Fields(_) | Value::List(_) => {
            let list = value.get("rows").unwrap_or(value).list();
            let one = |value: &Value| match value {
                Value::Fields(_) => first_text(value),
                value => shown(name, value, Unit(unit)),
            };
            let mut parts: Vec<String> = list.iter().take(MAX_FRAMES).map(one).collect();
            // What has no name, as a class of a histogram, is for programs.
            parts.retain(|part| !part.is_empty());
            if list.len() > MAX_FRAMES && !parts.is_empty() {
                parts.push("…".to_owned());
            }
            // Functions come leaf first.
            parts.join(if is_stack(last) { " ← " } else { ", " })
        }
    }
}

/// Whether a field of this name has functions, each called by the next.
fn is_stack(name: &str) -> bool {
    matches!(name, "stack" | "functions")
}

/// Whether something has tables of its own, and so is no row of one.
pub(super) fn has_tables(value: &Value) -> bool {
    value.fields().iter().any(|(name, value)| {
        let rows = value.get("rows").unwrap_or(value).list();
        // A histogram is for programs.
        !is_stack(name) && name != "durations" && rows.iter().any(|row| row.fields().len() > 1)
    })
}

fn whole(name: &str, number: u64, unit: model::Unit) -> String {
    match name {
        "frequency_hz" => format!("{number} Hz"),
        name if NAMES.contains(&name) => number.to_string(),
        "address" | "start" | "end" => format!("{number:#x}"),
        name if name.ends_with("_unix_ns") => {
            date(number).map_or_else(String::new, |date| date + " UTC")
        }
        name if name.ends_with("_ns") => duration(number),
        name if name.ends_with("_bytes") => bytes(number),
        name if name == "weight" || name.ends_with("_weight") => weight(unit, number),
        _ => count(number),
    }
}

/// A number that may have been estimated, if the value is one.
fn estimated(value: &Value) -> Option<Estimated> {
    let [(first, number), (second, margin)] = value.fields() else { return None };
    if first != "value" || second != "margin" {
        return None;
    }
    Some(Estimated {
        value: number.whole()? as f64,
        margin: margin.whole().map(|margin| margin as f64),
    })
}

/// What something is called.
pub(super) fn first_text(value: &Value) -> String {
    let text = ["function", "name"].into_iter().find_map(|name| value.get(name)?.text());
    let text = text.or_else(|| value.fields().iter().find_map(|(_, value)| value.text()));
    text.map_or_else(String::new, |text| escaped(&shorten(text, MAX_TEXT)))
}
