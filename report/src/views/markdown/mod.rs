//! A view as Markdown, for a ticket: made of the same document that is written as JSON,
//! so that a new view, or a new field of one, is there by itself.
//!
//! A table of the document is a table here, and a value is shown by the unit that its
//! name ends in, as docs/JSON.md has it.

mod ordered;
mod values;

use std::io::{self, Write};

use ordered::Value;
use values::{Unit, first_text, has_tables, is_scalar, shown, title};

use crate::render::escape::escaped;
use crate::views::document::Document;

/// Rows of a table, at most: a ticket has no room for more.
const MAX_ROWS: usize = 200;

/// Writes a document as Markdown.
///
/// # Errors
/// If it cannot be written.
pub fn write_markdown(out: &mut dyn Write, document: &Document<'_>) -> io::Result<()> {
    let document = Value::of(document)?;
    let unit = Unit::of(&document);
    write_head(out, &document, unit)?;
    match document.get("data") {
        Some(data) => write_fields(out, data, unit, 3),
        None => Ok(()),
    }
}

/// Writes where it is from, what is missing of it, and what to know.
fn write_head(out: &mut dyn Write, document: &Value, unit: Unit) -> io::Result<()> {
    let text = |path: &[&str]| {
        path.iter().try_fold(document, |value, name| value.get(name)).and_then(Value::text)
    };
    let name = text(&["trace", "name"]).unwrap_or_default();
    let view = text(&["view"]).unwrap_or_default();
    writeln!(out, "## {}: {}\n", escaped(name), escaped(view))?;
    let trace = document.get("trace").unwrap_or(&Value::Null);
    let recordings = trace.get("recordings").map_or(&[][..], Value::list);
    for recording in recordings {
        let fields = ["host", "os", "cpus", "start_unix_ns", "duration_ns", "tier"];
        write_item(out, "recorded", recording, &fields, unit)?;
    }
    if recordings.is_empty() {
        write_item(out, "recorded", trace, &["start_unix_ns", "duration_ns"], unit)?;
    }
    if let Some(filter) = text(&["filter", "text"]) {
        writeln!(out, "- **filter**: {}", escaped(filter))?;
    }
    if let Some(event) = document.get("event") {
        write_item(out, "event", event, &["name", "frequency_hz", "metric"], unit)?;
        let total = event.get("total").unwrap_or(&Value::Null);
        write_item(out, "samples", total, &["samples", "weight"], unit)?;
    }
    write_quality(out, document, unit)?;
    for note in document.get("notes").map_or(&[][..], Value::list) {
        writeln!(out, "- {}", escaped(note.text().unwrap_or_default()))?;
    }
    writeln!(out)
}

/// Writes what is missing of the data.
fn write_quality(out: &mut dyn Write, document: &Value, unit: Unit) -> io::Result<()> {
    let quality = document.get("quality").unwrap_or(&Value::Null);
    for (name, value) in quality.fields() {
        let name = title(name);
        for missing in value.list() {
            let what = missing.get("what").and_then(Value::text).unwrap_or_default();
            write_item(out, &format!("{name} {what}"), missing, &["count", "why", "help"], unit)?;
        }
        if value.whole().is_some_and(|count| count > 0) {
            writeln!(out, "- **{name}**: {}", shown("count", value, unit))?;
        }
    }
    Ok(())
}

/// Writes some fields of a value as an item, if it has any of them.
fn write_item(
    out: &mut dyn Write,
    label: &str,
    value: &Value,
    fields: &[&str],
    unit: Unit,
) -> io::Result<()> {
    let one = |name: &&str| {
        let text = shown(name, value.get(name)?, unit);
        Some(if matches!(*name, "cpus" | "samples") { format!("{text} {name}") } else { text })
    };
    let parts: Vec<String> = fields.iter().filter_map(one).collect();
    match parts.is_empty() {
        true => Ok(()),
        false => writeln!(out, "- **{}**: {}", escaped(label), parts.join(", ")),
    }
}

/// Writes the fields of a value: single ones as a list, then tables and what has fields of
/// its own, each under its title.
fn write_fields(out: &mut dyn Write, value: &Value, unit: Unit, level: usize) -> io::Result<()> {
    let (single, rest): (Vec<_>, Vec<_>) = value
        .fields()
        .iter()
        .filter(|(name, value)| *value != Value::Null && is_shown(name, value))
        .partition(|(_, value)| is_scalar(value));
    for (name, value) in &single {
        writeln!(out, "- **{}**: {}", title(name), shown(name, value, unit))?;
    }
    if !single.is_empty() {
        writeln!(out)?;
    }
    for (name, value) in rest {
        let rows = value.get("rows").unwrap_or(value).list();
        let others = value
            .fields()
            .iter()
            .filter(|(name, value)| name != "rows" && name != "left_out" && *value != Value::Null);
        let others: Vec<_> = others.cloned().collect();
        if rows.is_empty() && others.is_empty() {
            continue;
        }
        write_title(out, level, &title(name))?;
        if !others.is_empty() {
            write_fields(out, &Value::Fields(others), unit, level + 1)?;
        }
        if rows.iter().any(has_tables) {
            for row in rows.iter().take(MAX_ROWS) {
                write_title(out, level + 1, &first_text(row))?;
                write_fields(out, row, unit, level + 2)?;
            }
        } else {
            write_table(out, rows, unit)?;
        }
        let left_out = value.get("left_out").and_then(Value::whole).unwrap_or(0);
        let more = left_out + rows.len().saturating_sub(MAX_ROWS) as u64;
        if more > 0 {
            writeln!(out, "{} more\n", shown("count", &Value::Whole(more), unit))?;
        }
    }
    Ok(())
}

/// Whether a field is for people. Classes of a histogram are for programs, and that nothing
/// is left out need not be said.
fn is_shown(name: &str, value: &Value) -> bool {
    name != "durations" && !(name.ends_with("left_out") && value.whole() == Some(0))
}

/// Markdown has six levels.
fn write_title(out: &mut dyn Write, level: usize, text: &str) -> io::Result<()> {
    writeln!(out, "{} {text}\n", "#".repeat(level.min(6)))
}

/// Writes a table, with a column for each field that any row has something in.
fn write_table(out: &mut dyn Write, rows: &[Value], unit: Unit) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = &rows[..rows.len().min(MAX_ROWS)];
    let mut columns: Vec<String> = Vec::new();
    let mut cells: Vec<Vec<(String, String)>> = Vec::with_capacity(rows.len());
    let mut depths: Vec<usize> = Vec::with_capacity(rows.len());
    for row in rows {
        let depth = depth(row, &depths);
        depths.push(depth);
        let mut flat = Vec::new();
        flatten(row, "", unit, &mut flat);
        if let Some((_, text)) = flat.iter_mut().find(|(name, _)| *name == "name") {
            text.insert_str(0, &"· ".repeat(depth));
        }
        for (name, text) in &flat {
            if !text.is_empty() && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        cells.push(flat);
    }
    let titles: Vec<String> = columns.iter().map(|name| title(name)).collect();
    writeln!(out, "| {} |", titles.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(columns.len()))?;
    for row in cells {
        let cell = |column: &String| {
            let found = row.iter().find(|(name, _)| name == column);
            found.map_or("", |(_, text)| text.as_str())
        };
        let row: Vec<&str> = columns.iter().map(cell).collect();
        writeln!(out, "| {} |", row.join(" | "))?;
    }
    writeln!(out)
}

/// How deep a row of a tree is below those before it; 0 of what is no tree.
fn depth(row: &Value, before: &[usize]) -> usize {
    let parent = row.get("parent").and_then(Value::whole);
    let above = parent.and_then(|parent| before.get(usize::try_from(parent).ok()?));
    above.map_or(0, |depth| depth + 1)
}

/// The cells of a row: of fields that have fields, one for each, which has the names of
/// both.
fn flatten(value: &Value, above: &str, unit: Unit, cells: &mut Vec<(String, String)>) {
    for (name, value) in value.fields() {
        // It is shown by how deep a row is.
        if name == "parent" {
            continue;
        }
        let name = match above {
            "" => name.clone(),
            above => format!("{above} {name}"),
        };
        match value {
            Value::Fields(_) if !is_scalar(value) && value.get("rows").is_none() => {
                flatten(value, &name, unit, cells);
            }
            _ => cells.push((name.clone(), shown(&name, value, unit))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{LossReason, LossSum, Losses, Profile};

    use super::*;
    use crate::fixture::{Builder, text};
    use crate::model::top::SortBy;
    use crate::model::trees::Direction;
    use crate::views::document::Page;
    use crate::views::summary::{SummaryOptions, summary};
    use crate::views::tree::{TreeOptions, tree};

    fn written(profile: &Profile, page: Page<'static>) -> String {
        text(|out| write_markdown(out, &Document::new("t|1.rz", profile, Some(0), page)))
    }

    #[test]
    fn a_summary() {
        let mut profile = Builder::of(&[("main;a_b|c", 60), ("main", 40)]);
        let full = LossSum { reason: LossReason::RingFull, count: 4, duration_ns: 0 };
        profile.info.lost_samples = Losses { count: 4, reasons: vec![full] };
        profile.info.notes = vec!["<b>mind</b>".into()];
        let options = SummaryOptions { limit: 1, by: SortBy::SelfWeight, threads: 10 };
        let page = Page::Summary(summary(&profile, Some(0), options));
        let written = written(&profile, page);
        let has = |part: &str| assert!(written.contains(part), "{part}\n{written}");
        has("## t\\|1.rz: summary\n\n- **recorded**: 2026-11-21 03:50:12 UTC, 10.0 s\n");
        has("- **event**: cpu-clock, 100 Hz\n- **samples**: 100 samples, 1.00 s\n");
        has("- **lost samples**: 4\n- &lt;b>mind&lt;/b>\n");
        has("### functions\n\n| function | module | kind | self samples | self weight | total \
             samples | total weight |\n");
        has("| a\\_b\\|c | app | function | 60 | 600 ms | 60 | 600 ms |\n\n1 more\n");
        has("### hot path\n");
        has("| 4242 |");
    }

    #[test]
    fn a_tree() {
        let profile = Builder::of(&[("main;a;b", 60), ("main;c", 40)]);
        let options = TreeOptions { direction: Direction::TopDown, min_percent: 0.0 };
        let page = Page::Tree(tree(&profile, Some(0), options));
        let written = written(&profile, page);
        let has = |part: &str| assert!(written.contains(part), "{part}\n{written}");
        has("| main | app |");
        has("| · a | app |");
        has("| · · b | app |");
        has("| · c | app |");
    }
}
