//! Lists where objects were allocated, each place with its whole stack.

mod page;

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile};
use serde::Serialize;

use super::amounts::{bytes, bytes_and_margin, count, counted, mean_size, percent_of};
use super::notes::write_notes;
use super::write_nothing;
use crate::model::estimated::{Estimated, ShownSum};
use crate::render::format::percent;
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::whole_stack::write_stack;
pub use page::{ShownSite, SitesPage, Suppressed, SuppressedBy, sites};

/// Which objects a list is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SiteKind {
    /// All that were allocated.
    #[default]
    All,
    /// Those that were never freed.
    Leaks,
    /// Those that were there when most bytes were.
    Peak,
    /// Those that were freed at once.
    Temporary,
}

/// What places are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SortSites {
    /// Bytes.
    #[default]
    Bytes,
    /// Objects.
    Count,
}

/// What a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteList {
    /// Which objects.
    pub kind: SiteKind,
    /// What places are sorted by.
    pub by: SortSites,
    /// How many places to list.
    pub limit: usize,
}

/// Writes a list of places.
pub fn write_sites(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &SitesPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(all) = &page.total else { return write_nothing(out, profile) };
    write_headline(out, style, page, all)?;
    for (index, site) in page.sites.rows.iter().enumerate() {
        write_site(out, style, index + 1, site, (all, page.by))?;
    }
    if let Some(suppressed) = &page.suppressed {
        write_suppressed(out, style, suppressed)?;
    }
    write_notes(out, style, profile, &page.notes)
}

fn write_headline(
    out: &mut dyn Write,
    style: Style,
    page: &SitesPage,
    all: &ShownSum,
) -> io::Result<()> {
    let title = match page.kind {
        SiteKind::All => "SITES",
        SiteKind::Leaks => "LEAKS",
        SiteKind::Peak => "PEAK",
        SiteKind::Temporary => "TEMPORARY",
    };
    let by = match page.by {
        SortSites::Bytes => "bytes",
        SortSites::Count => "count",
    };
    let some = some_of(page.sites.rows.len(), page.sites.all());
    let note = match page.sites.is_empty() {
        true => "none".to_owned(),
        false => format!("{}; by {by}{some}", bytes_in_objects(all)),
    };
    write_title(out, style, title, &note)?;
    let about = match page.kind {
        SiteKind::Leaks if page.in_window => {
            "Objects of the window of time that were there when their process or it ended."
        }
        SiteKind::Leaks => "Objects that were there when their process or the recording ended.",
        SiteKind::Peak => "Objects that were there when most bytes were.",
        SiteKind::Temporary if page.temporary_within > Some(1) => {
            "Objects that their thread freed within a few allocations."
        }
        SiteKind::Temporary => "Objects that their thread freed before its next allocation.",
        SiteKind::All => return Ok(()),
    };
    writeln!(out, "{}", style.paint(Paint::Dim, about))
}

/// `12.3 MiB in 1,234 objects`.
fn bytes_in_objects(sum: &ShownSum) -> String {
    format!("{} in {}", bytes_and_margin(sum.bytes), counted(sum.objects, "object"))
}

fn write_site(
    out: &mut dyn Write,
    style: Style,
    number: usize,
    site: &ShownSite,
    (all, by): (&ShownSum, SortSites),
) -> io::Result<()> {
    let sum = &site.sum;
    let share = |part: fn(&ShownSum) -> Estimated| percent_of(part(sum), part(all));
    let share = match by {
        SortSites::Bytes => share(|sum| sum.bytes),
        SortSites::Count => share(|sum| sum.objects),
    };
    let paint = Paint::for_percent(share);
    let amount =
        style.paint(paint, &format!("{}  {}", percent(share), bytes_and_margin(sum.bytes)));
    writeln!(
        out,
        "\n{number:>4}  {amount} in {} of {}, {}",
        counted(sum.objects, "object"),
        mean_size(sum),
        site.entries.join(", ")
    )?;
    write_stack(out, style, &site.stack)
}

/// What was suppressed, and by what.
fn write_suppressed(out: &mut dyn Write, style: Style, suppressed: &Suppressed) -> io::Result<()> {
    let note = match suppressed.by.is_empty() {
        true => "none".to_owned(),
        false => format!("not shown: {}", bytes_in_objects(&suppressed.total)),
    };
    write_title(out, style, "SUPPRESSED", &note)?;
    if suppressed.by.is_empty() {
        return Ok(());
    }
    let row = |SuppressedBy { pattern, sum }: &SuppressedBy| {
        let numbers = [bytes(sum.bytes), count(sum.objects)];
        let numbers = numbers.map(|text| (text, Paint::Plain)).to_vec();
        TableRow { numbers, text: pattern.clone(), suffix: String::new() }
    };
    let rows: Vec<TableRow> = suppressed.by.iter().map(row).collect();
    write_table(out, style, &["bytes", "objects", "by leak:"], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use rz_profile::heap::Suppressions;

    use super::*;
    use crate::fixture::text;
    use crate::views::heap::fixture::{Fate, HeapBuilder, json, program};

    fn list(profile: &Profile, kind: SiteKind, by: SortSites, suppressions: &str) -> String {
        let list = SiteList { kind, by, limit: 2 };
        let suppressions = suppressions.parse().unwrap();
        let style = Style::default();
        let report = text(|out| {
            let page = sites(profile, list, &suppressions);
            write_sites(out, style, "t.rz", profile, Some(0), &page)
        });
        report.split_once("\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn each_place_has_its_whole_stack() {
        let mut profile = program(0).profile();
        let function = profile.functions.iter_mut().find(|f| f.name == "run").unwrap();
        function.file = "/src/app/run.c".into();
        for location in &mut profile.locations {
            location.lines.iter_mut().for_each(|line| line.line = 12);
        }
        let expected = "
SITES  42.2 KiB in 64 objects; by bytes, 2 of 3

   1  69.5%  29.3 KiB in 10 objects of 2.9 KiB, malloc
      operator new  app
      parse  app
      run  run.c:12
      main  app
      _start  app

   2  19.0%  8.0 KiB in 4 objects of 2.0 KiB, malloc
      malloc  app
      cache  app
      run  run.c:12
      main  app
      _start  app
";
        assert_eq!(list(&profile, SiteKind::All, SortSites::Bytes, ""), expected[1..]);
    }

    #[test]
    fn each_list_is_of_its_objects_in_its_order() {
        let profile = program(0).profile();
        let check = |kind, by, expected: [&str; 2]| {
            let report = list(&profile, kind, by, "");
            let title = report.lines().next().unwrap();
            let first = report.lines().find(|line| line.starts_with("   1  ")).unwrap();
            assert_eq!([title, first], expected, "{report}");
        };
        check(
            SiteKind::All,
            SortSites::Count,
            [
                "SITES  42.2 KiB in 64 objects; by count, 2 of 3",
                "   1  78.1%  4.9 KiB in 50 objects of 100 B, malloc",
            ],
        );
        check(
            SiteKind::Peak,
            SortSites::Bytes,
            [
                "PEAK  12.9 KiB in 54 objects; by bytes",
                "   1  62.1%  8.0 KiB in 4 objects of 2.0 KiB, malloc",
            ],
        );
        check(
            SiteKind::Temporary,
            SortSites::Count,
            [
                "TEMPORARY  29.3 KiB in 10 objects; by count",
                "   1  100.0%  29.3 KiB in 10 objects of 2.9 KiB, malloc",
            ],
        );
    }

    #[test]
    fn a_page_has_integers_and_margins() {
        let list = SiteList { kind: SiteKind::Leaks, by: SortSites::Bytes, limit: 1 };
        let mut heap = program(1 << 10);
        heap.objects("_start;main;known;malloc", 10, 3, Fate::Live);
        heap.objects("_start;main;log;malloc_[i]", 10, 1, Fate::Live);
        let mut profile = heap.profile();
        let function = profile.functions.iter_mut().find(|f| f.name == "cache").unwrap();
        function.file = "/src/app/cache.c".into();
        let page = json(&sites(&profile, list, &"leak:known\nleak:unused".parse().unwrap()));
        let estimated = |value: u64, margin: u64| json!({"value": value, "margin": margin});
        let facts = [&page["kind"], &page["by"], &page["interval_bytes"], &page["in_window"]];
        assert_eq!(facts, [&json!("leaks"), &json!("bytes"), &json!(1024), &json!(false)]);
        let total = json!({"objects": estimated(108, 201), "bytes": estimated(10_503, 3_962)});
        assert_eq!(page["total"], total);
        let frame = |name: &str, file: Option<&str>| {
            let kind = "function";
            json!({"function": name, "module": "app", "kind": kind, "file": file, "line": null})
        };
        let stack = [
            frame("malloc", None),
            frame("cache", Some("/src/app/cache.c")),
            frame("run", None),
            frame("main", None),
            frame("_start", None),
        ];
        let cache = json!({
            "objects": estimated(5, 29),
            "bytes": estimated(9_474, 3_416),
            "entries": ["malloc"],
            "stack": {"rows": stack, "left_out": 0},
        });
        assert_eq!(page["sites"], json!({"rows": [cache], "left_out": 1}));
        let known = json!({
            "pattern": "known",
            "objects": estimated(309, 348),
            "bytes": estimated(3_087, 3_476),
        });
        assert_eq!(page["suppressed"]["by"], json!([known]));
        let all = SiteList { kind: SiteKind::All, by: SortSites::Count, limit: 3 };
        let page = json(&sites(&profile, all, &Suppressions::default()));
        assert_eq!(page["suppressed"], Value::Null);
        assert_eq!(page["sites"]["rows"][2]["stack"]["rows"][0]["kind"], "inlined");
    }

    #[test]
    fn a_page_of_every_allocation_is_exact() {
        let list = SiteList { kind: SiteKind::Temporary, by: SortSites::Count, limit: 9 };
        let page = json(&sites(&program(0).profile(), list, &Suppressions::default()));
        let exact = |value: u64| json!({"value": value, "margin": null});
        let total = json!({"objects": exact(10), "bytes": exact(30_000)});
        assert_eq!((&page["kind"], &page["total"]), (&json!("temporary"), &total));
        let site = &page["sites"]["rows"][0];
        assert_eq!((&site["objects"], &site["bytes"]), (&exact(10), &exact(30_000)));
        let none = HeapBuilder::new(0).uncounted();
        let page = json(&sites(&none, list, &Suppressions::default()));
        assert_eq!((&page["by"], &page["total"]), (&json!("count"), &Value::Null));
        let unknown = (&page["interval_bytes"], &page["temporary_within"]);
        assert_eq!(unknown, (&Value::Null, &Value::Null));
    }

    #[test]
    fn what_is_suppressed_is_said() {
        let mut heap = program(0);
        heap.objects("_start;main;known;malloc", 10, 3, Fate::Live);
        let profile = heap.profile();
        let expected = "
LEAKS  8.0 KiB in 4 objects; by bytes
Objects that were there when their process or the recording ended.

   1  100.0%  8.0 KiB in 4 objects of 2.0 KiB, malloc
      malloc  app
      cache  app
      run  app
      main  app
      _start  app

SUPPRESSED  not shown: 30 B in 3 objects
bytes  objects  by leak:
 30 B        3  ^known
";
        let leaks = |suppressions| list(&profile, SiteKind::Leaks, SortSites::Bytes, suppressions);
        assert_eq!(leaks("leak:^known\nleak:unused"), expected[1..]);
        assert!(leaks("").starts_with("LEAKS  8.0 KiB in 7 objects; by bytes\n"));
        assert!(!leaks("").contains("SUPPRESSED"));
        assert!(leaks("leak:nothing").ends_with("\nSUPPRESSED  none\n"));
        assert!(leaks("leak:*").starts_with("LEAKS  none\n"));
    }

    #[test]
    fn stacks_that_look_the_same_are_one_place() {
        let mut heap = HeapBuilder::new(0);
        let worker = heap.builder.thread(0, "worker", 2);
        let stack = heap.builder.stack(&["main", "work"]);
        // Another address of the same line.
        let mut location = heap.builder.profile.locations[1].clone();
        location.address = 1;
        heap.builder.profile.locations.push(location);
        let mut node = heap.builder.profile.stacks[stack];
        node.location = 2;
        heap.builder.profile.stacks.push(node);
        heap.objects_of(0, Some(stack), 10, 1, Fate::Peak);
        heap.objects_of(worker, Some(stack + 1), 10, 2, Fate::Peak);
        heap.objects_of(worker, None, 10, 1, Fate::Peak);
        let expected = "
SITES  40 B in 4 objects; by bytes

   1  75.0%  30 B in 3 objects of 10 B, malloc
      work  app
      main  app

   2  25.0%  10 B in 1 object of 10 B, malloc
      [no stack]
";
        let report = list(&heap.profile(), SiteKind::All, SortSites::Bytes, "");
        assert_eq!(report, expected[1..]);
    }

    #[test]
    fn deep_stacks_are_cut() {
        let mut heap = HeapBuilder::new(0);
        heap.objects("f;".repeat(70).trim_end_matches(';'), 10, 1, Fate::Peak);
        let report = list(&heap.profile(), SiteKind::All, SortSites::Bytes, "");
        assert!(report.ends_with("      f  app\n      … 6 more functions\n"), "{report}");
    }
}
