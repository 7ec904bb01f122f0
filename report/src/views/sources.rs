//! Lists the recordings that a merged trace is made of.

use std::io::{self, Write};

use rz_profile::model::{Profile, Source};

use crate::model::clean::clean;
use crate::render::format::{count, duration, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::date;

/// Recordings that are listed, at most.
const MAX_ROWS: usize = 20;

/// Writes a table of the recordings, in order of their beginnings.
pub(crate) fn write_sources(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
) -> io::Result<()> {
    let sources = profile.sources.as_slice();
    let shown = &sources[..sources.len().min(MAX_ROWS)];
    let aligned = match sources.iter().all(|source| source.clock_shift_ns == 0) {
        true => "on one clock",
        false => "on the clock of the first, others aligned by the time of day",
    };
    let note = format!("{aligned}{}", some_of(shown.len(), sources.len()));
    write_title(out, style, "SOURCES", &note)?;
    let rows: Vec<TableRow> = shown.iter().map(row).collect();
    write_table(out, style, &["when (UTC)", "length", "samples", "lost", "source"], &rows)
}

fn row(source: &Source) -> TableRow {
    let plain = |text: String| (text, Paint::Plain);
    let length = duration(source.duration_ns);
    let due = source.samples.saturating_add(source.lost);
    let lost = match source.lost {
        0 => "none".to_owned(),
        lost => percent(percent_of(lost, due)),
    };
    let ended = if source.cut_short { ", cut short" } else { "" };
    TableRow {
        numbers: vec![
            plain(date(source.start_unix_ns).unwrap_or_else(|| "unknown".to_owned())),
            plain(length),
            plain(count(source.samples)),
            plain(lost),
        ],
        text: clean(&source.label).into_owned(),
        suffix: format!("{}{ended}", clean(&source.host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Builder, text};
    use crate::model::calltree::{CallTree, NodeId, ROOT};
    use crate::model::frames::ShownFrame;
    use crate::model::symbols::Symbols;
    use crate::model::trees::{Direction, call_tree};

    /// Two recordings with a sample each, of processes with this name.
    fn profile(names: [&str; 2]) -> Profile {
        let mut builder = Builder::new();
        builder.profile.processes[0].name = names[0].into();
        let stack = builder.stack(&["main"]);
        builder.sample(0, stack, 3);
        let process = builder.process(names[1], 4242);
        let thread = builder.thread(process, names[1], 4242);
        builder.sample(thread, stack, 2);
        let mut profile = builder.profile;
        profile.processes[1].source = 1;
        let source = |label: &str, host: &str, samples| Source {
            label: label.into(),
            host: host.into(),
            start_unix_ns: 1_795_233_012_000_000_000,
            duration_ns: 10_000_000_000,
            samples,
            ..Source::default()
        };
        profile.sources = vec![source("before", "db7", 960), source("after", "db8", 1_000)];
        profile.sources[1].lost = 10;
        profile.sources[1].cut_short = true;
        profile.sources[1].clock_shift_ns = -5;
        profile
    }

    #[test]
    fn lists_recordings() {
        let profile = profile(["app"; 2]);
        let table = text(|out| write_sources(out, Style::default(), &profile));
        let expected = "

SOURCES  on the clock of the first, others aligned by the time of day
         when (UTC)  length  samples  lost  source
2026-11-21 03:50:12  10.0 s      960  none  before  db7
2026-11-21 03:50:12  10.0 s    1,000  1.0%  after  db8, cut short
";
        assert_eq!(table, expected[1..]);
    }

    /// The tree's first levels.
    fn roots(profile: &Profile) -> Vec<String> {
        let (tree, symbols) = call_tree(profile, 0, Direction::TopDown, 0.0);
        let mut lines = Vec::new();
        push(&mut lines, (&tree, &symbols), ROOT, 0);
        lines
    }

    fn push(lines: &mut Vec<String>, tree: (&CallTree, &Symbols), node: NodeId, depth: usize) {
        for &child in &tree.0.nodes[node].children {
            let frame = ShownFrame::of(&tree.0.nodes[child], tree.1);
            let name = frame.text();
            lines.push(format!("{:depth$}{name}", ""));
            push(lines, tree, child, depth + 1);
        }
    }

    #[test]
    fn trees_tell_recordings_apart() {
        let mut one_name = profile(["app"; 2]);
        assert_eq!(
            roots(&one_name),
            ["before on db7 (recording)", " main", "after on db8 (recording)", " main"]
        );
        one_name.sources[1].host = "db7".into();
        assert_eq!(roots(&one_name)[0], "before (recording)");
        one_name.processes[1].source = 0;
        assert_eq!(roots(&one_name), ["main"]);
        let names = roots(&profile(["app", "db"]));
        assert_eq!(names[..3], ["before on db7 (recording)", " app (process)", "  main"]);
    }
}
