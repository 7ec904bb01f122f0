//! Spans by name: how long they took, and what their threads did meanwhile.

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile};
use rz_profile::span_list::{SpanList, SpanSum};
use serde::Serialize;

use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::render::format::{count, duration};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;

/// Spans of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SpansPage {
    /// Spans whose thread is known.
    pub by_thread: u64,
    /// Spans whose process is known, but not the thread: what all of its threads did counts.
    pub by_process: u64,
    /// Spans of which neither is known: what all threads did counts.
    pub by_none: u64,
    /// Spans outside of the recording, or of the window of time; they are in no sum.
    pub outside: u64,
    /// Spans of processes or threads that are not in the recording; they are in no sum.
    pub not_recorded: u64,
    /// For how long there was any.
    pub time_ns: u64,
    /// Those that took the most time first.
    pub spans: Rows<SpanRow>,
    /// How they were laid on the recording, in words.
    #[serde(skip)]
    how: String,
}

/// Spans of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SpanRow {
    /// What they are called.
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// How long they took, all together; those that overlap count as often.
    pub total_ns: u64,
    /// How long one in the middle took.
    pub median_ns: u64,
    /// How long the longest one took.
    pub longest_ns: u64,
    /// CPU time of their threads meanwhile, by samples; what overlaps counts once. `null`
    /// if it was not sampled.
    pub cpu_ns: Option<u64>,
    /// For how long their threads did not run meanwhile, in the same way; `null` if waits
    /// were not recorded.
    pub waited_ns: Option<u64>,
}

/// The page of a list, with so many names.
pub fn spans(list: &SpanList, limit: usize) -> SpansPage {
    let row = |sum: &SpanSum| SpanRow {
        name: clean(&sum.name).into_owned(),
        count: sum.count,
        total_ns: sum.total_ns,
        median_ns: sum.median_ns,
        longest_ns: sum.longest_ns,
        cpu_ns: list.has_cpu.then_some(sum.cpu_ns),
        waited_ns: list.has_waits.then_some(sum.waited_ns),
    };
    let applied = &list.applied;
    SpansPage {
        by_thread: applied.by_thread,
        by_process: applied.by_process,
        by_none: applied.by_none,
        outside: applied.outside,
        not_recorded: applied.not_recorded,
        time_ns: applied.time_ns,
        spans: Rows::first(limit, list.sums.iter().collect(), row),
        how: applied.to_string(),
    }
}

/// Writes the page of the trace that is called `name`.
pub fn write_spans(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &SpansPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let of = some_of(page.spans.rows.len(), page.spans.all());
    write_title(out, style, "SPANS", &format!("{}{of}", page.how))?;
    let known = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), duration);
    let row = |row: &SpanRow| TableRow {
        numbers: [
            count(row.count),
            duration(row.total_ns),
            duration(row.median_ns),
            duration(row.longest_ns),
            known(row.cpu_ns),
            known(row.waited_ns),
        ]
        .map(|text| (text, Paint::Plain))
        .to_vec(),
        text: row.name.clone(),
        suffix: String::new(),
    };
    let rows: Vec<TableRow> = page.spans.rows.iter().map(row).collect();
    write_table(
        out,
        style,
        &["spans", "total", "median", "longest", "CPU", "waited", "name"],
        &rows,
    )?;
    let what = "--span NAME shows what was done in those of a name, with any view";
    writeln!(out, "\n{}", style.paint(Paint::Dim, what))
}

#[cfg(test)]
mod tests {
    use rz_profile::model::AppliedSpans;

    use super::*;
    use crate::fixture::{Builder, text};

    #[test]
    fn a_line_for_each_name() {
        let sum = |name: &str, count, total_ns| SpanSum {
            name: name.into(),
            count,
            total_ns,
            median_ns: total_ns / count,
            longest_ns: total_ns / count,
            cpu_ns: total_ns / 2,
            waited_ns: total_ns / 4,
        };
        let applied = AppliedSpans {
            by_thread: 20,
            by_process: 2,
            outside: 1,
            time_ns: 3_000_000_000,
            overlap: true,
            ..AppliedSpans::default()
        };
        let list = SpanList {
            sums: vec![
                sum("POST /checkout", 20, 2_000_000_000),
                sum("GET \u{1b}[2J", 1, 40_000_000),
                sum("last", 1, 1_000),
            ],
            applied,
            has_cpu: true,
            has_waits: false,
            notes: Vec::new(),
        };
        let page = spans(&list, 2);
        let profile = Builder::new().profile;
        let written = text(|out| write_spans(out, Style::default(), "t.rz", &profile, None, &page));
        let (_, table) = written.split_once("\n\n").unwrap();
        let expected = "\
SPANS  22 spans in 3s, 20 by thread, 2 by process, with all its threads, 1 more outside of the recording, overlaps count once, 2 of 3
spans    total   median  longest      CPU  waited  name
   20   2.00 s   100 ms   100 ms   1.00 s       -  POST /checkout
    1  40.0 ms  40.0 ms  40.0 ms  20.0 ms       -  GET ?[2J

--span NAME shows what was done in those of a name, with any view
";
        assert_eq!(table, expected);
    }
}
