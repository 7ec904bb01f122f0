//! Lists where objects were allocated, each place with its whole stack.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_profile::heap::{AllocationKind, Estimate, Heap, Leaks, Site, Sum, Suppressions};
use rz_profile::model::{EventId, FrameKind, Line, Profile, StackId};

use super::amounts::{bytes, bytes_and_margin, count, counted, mean_size, percent_of};
use super::tables::entry_name;
use super::{has_any, write_notes, write_nothing};
use crate::model::clean::clean;
use crate::render::format::{percent, shorten};
use crate::render::style::{Paint, Style};
use crate::render::table::{GAP, MIN_NAME_WIDTH, Row, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;

/// Functions shown of one stack, at most.
const MAX_FRAMES: usize = 64;

/// Columns before the functions of a stack.
const INDENT: &str = "      ";

/// Which objects a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// All that were allocated.
    All,
    /// Those that were never freed.
    Leaks,
    /// Those that were there when most bytes were.
    Peak,
    /// Those that were freed at once.
    Temporary,
}

/// What places are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortSites {
    /// Bytes.
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

/// Objects that were allocated in one place.
struct Place {
    stack: Option<StackId>,
    entries: Vec<AllocationKind>,
    sum: Sum,
}

/// Writes a list of places; `suppressions` are for leaks.
pub fn write_sites(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    list: SiteList,
    suppressions: &Suppressions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(heap) = profile.heap.as_ref().filter(|heap| has_any(heap)) else {
        return write_nothing(out, profile);
    };
    let leaks = (list.kind == SiteKind::Leaks).then(|| heap.leaks(profile, suppressions));
    let mut places = match &leaks {
        Some(leaks) => {
            let sites = leaks.sites.iter().map(|&index| &heap.sites[index]);
            places(profile, sites, list.kind)
        }
        None => places(profile, heap.sites.iter(), list.kind),
    };
    let key = |place: &Place| match list.by {
        SortSites::Bytes => [place.sum.bytes.value, place.sum.objects.value],
        SortSites::Count => [place.sum.objects.value, place.sum.bytes.value],
    };
    places.sort_by(|a, b| {
        let ([a, a_next], [b, b_next]) = (key(a), key(b));
        b.total_cmp(&a).then(b_next.total_cmp(&a_next))
    });
    let mut all = Sum::default();
    places.iter().for_each(|place| all.add(&place.sum));
    places.iter_mut().for_each(|place| place.sum = heap.shown(&place.sum));
    let all = heap.shown(&all);
    let shown = places.len().min(list.limit);
    write_headline(out, style, heap, list, &all, &some_of(shown, places.len()))?;
    for (index, place) in places[..shown].iter().enumerate() {
        write_place(out, style, profile, index + 1, place, (&all, list))?;
    }
    if let Some(leaks) = &leaks {
        write_suppressed(out, style, heap, leaks, suppressions)?;
    }
    write_notes(out, style, profile, heap, list.kind == SiteKind::Peak)
}

fn write_headline(
    out: &mut dyn Write,
    style: Style,
    heap: &Heap,
    list: SiteList,
    all: &Sum,
    some: &str,
) -> io::Result<()> {
    let title = match list.kind {
        SiteKind::All => "SITES",
        SiteKind::Leaks => "LEAKS",
        SiteKind::Peak => "PEAK",
        SiteKind::Temporary => "TEMPORARY",
    };
    let by = match list.by {
        SortSites::Bytes => "bytes",
        SortSites::Count => "count",
    };
    let (bytes, objects) = (bytes_and_margin(all.bytes), counted(all.objects, "object"));
    let note = match all.is_zero() {
        true => "none".to_owned(),
        false => format!("{bytes} in {objects}; by {by}{some}"),
    };
    write_title(out, style, title, &note)?;
    let about = match list.kind {
        SiteKind::Leaks if heap.selected.by_time => {
            "Objects of the window of time that were there when their process or it ended."
        }
        SiteKind::Leaks => "Objects that were there when their process or the recording ended.",
        SiteKind::Peak => "Objects that were there when most bytes were.",
        SiteKind::Temporary if heap.temporary_within > 1 => {
            "Objects that their thread freed within a few allocations."
        }
        SiteKind::Temporary => "Objects that their thread freed before its next allocation.",
        SiteKind::All => return Ok(()),
    };
    writeln!(out, "{}", style.paint(Paint::Dim, about))
}

fn write_place(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    number: usize,
    place: &Place,
    (all, list): (&Sum, SiteList),
) -> io::Result<()> {
    let sum = &place.sum;
    let share = |part: fn(&Sum) -> Estimate| percent_of(part(sum), part(all));
    let share = match list.by {
        SortSites::Bytes => share(|sum| sum.bytes),
        SortSites::Count => share(|sum| sum.objects),
    };
    let paint = Paint::for_percent(share);
    let amount =
        style.paint(paint, &format!("{}  {}", percent(share), bytes_and_margin(sum.bytes)));
    let entries: Vec<&str> = place.entries.iter().map(|&entry| entry_name(entry)).collect();
    writeln!(
        out,
        "\n{number:>4}  {amount} in {} of {}, {}",
        counted(sum.objects, "object"),
        mean_size(sum),
        entries.join(", ")
    )?;
    write_stack(out, style, profile, place.stack)
}

/// Writes the functions of a stack, innermost first.
fn write_stack(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    stack: Option<StackId>,
) -> io::Result<()> {
    if stack.is_none() {
        return writeln!(out, "{INDENT}[no stack]");
    }
    let frames = profile.locations_of(stack).flat_map(|location| {
        let last = location.lines.len().saturating_sub(1);
        let lines = location.lines.iter().enumerate();
        lines.map(move |(index, line)| (location.kind, index < last, line))
    });
    let mut more = 0;
    for (index, (kind, inlined, line)) in frames.enumerate() {
        if index >= MAX_FRAMES {
            more += 1;
            continue;
        }
        let function = &profile.functions[line.function];
        let mark = match kind {
            FrameKind::Jit => " [jit]",
            FrameKind::Kernel => " [kernel]",
            _ if inlined => " [inlined]",
            _ => "",
        };
        let text = format!("{}{mark}", clean(&function.name));
        let room = style.width.map(|w| w.saturating_sub(INDENT.len()).max(MIN_NAME_WIDTH));
        let place = source(profile, line);
        let place = if place.is_empty() { place } else { format!("{GAP}{place}") };
        // A name makes room for its source line as long as it is readable.
        let left = room.map_or(usize::MAX, |room| room.saturating_sub(place.chars().count()));
        let (left, place) = match (left < MIN_NAME_WIDTH, room) {
            (true, Some(room)) => (room, String::new()),
            _ => (left, place),
        };
        writeln!(out, "{INDENT}{}{}", shorten(&text, left), style.paint(Paint::Dim, &place))?;
    }
    if more > 0 {
        writeln!(out, "{INDENT}… {}", crate::render::format::counted(more, "more function"))?;
    }
    Ok(())
}

/// The source line of a function, or else its module.
fn source(profile: &Profile, line: &Line) -> String {
    let function = &profile.functions[line.function];
    let file = function.file.rsplit('/').next().unwrap_or_default();
    let module = function.module.map_or("", |id| &profile.modules[id].name);
    match (file, line.line) {
        ("", _) => clean(module).into_owned(),
        (file, 0) => clean(file).into_owned(),
        (file, number) => format!("{}:{number}", clean(file)),
    }
}

/// What was suppressed, and by what.
fn write_suppressed(
    out: &mut dyn Write,
    style: Style,
    heap: &Heap,
    leaks: &Leaks,
    suppressions: &Suppressions,
) -> io::Result<()> {
    if suppressions.is_empty() {
        return Ok(());
    }
    let sum = heap.shown(&leaks.suppressed);
    let note = match sum.is_zero() {
        true => "none".to_owned(),
        false => format!(
            "not shown: {} in {}",
            bytes_and_margin(sum.bytes),
            counted(sum.objects, "object")
        ),
    };
    write_title(out, style, "SUPPRESSED", &note)?;
    if leaks.used.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row> = leaks
        .used
        .iter()
        .map(|(suppression, sum)| {
            let sum = heap.shown(sum);
            let numbers = [bytes(sum.bytes), count(sum.objects)];
            let numbers = numbers.map(|text| (text, Paint::Plain)).to_vec();
            let text = clean(&suppression.pattern).into_owned();
            Row { numbers, text, suffix: String::new() }
        })
        .collect();
    write_table(out, style, &["bytes", "objects", "by leak:"], &rows)
}

/// Adds sites up that show the same stack: threads, ways to allocate and
/// addresses on one line are not told apart.
fn places<'s>(
    profile: &Profile,
    sites: impl Iterator<Item = &'s Site>,
    kind: SiteKind,
) -> Vec<Place> {
    let same = same_stacks(profile);
    let mut index_of: FxHashMap<Option<usize>, usize> = FxHashMap::default();
    let mut places: Vec<Place> = Vec::new();
    for site in sites {
        let sum = match kind {
            SiteKind::All => site.sums.allocated,
            SiteKind::Leaks => site.sums.at_end,
            SiteKind::Peak => site.sums.at_peak,
            SiteKind::Temporary => site.sums.temporary,
        };
        if sum.is_zero() {
            continue;
        }
        let index = *index_of.entry(site.stack.map(|stack| same[stack])).or_insert_with(|| {
            let (entries, sum) = (Vec::new(), Sum::default());
            places.push(Place { stack: site.stack, entries, sum });
            places.len() - 1
        });
        let place = &mut places[index];
        place.sum.add(&sum);
        if !place.entries.contains(&site.entry) {
            place.entries.push(site.entry);
        }
    }
    places.iter_mut().for_each(|place| place.entries.sort_unstable());
    places
}

/// For each stack the first one that looks the same.
fn same_stacks(profile: &Profile) -> Vec<StackId> {
    let mut known: FxHashMap<(Option<StackId>, FrameKind, &[Line]), StackId> = FxHashMap::default();
    let mut same: Vec<StackId> = Vec::with_capacity(profile.stacks.len());
    for (id, node) in profile.stacks.iter().enumerate() {
        let location = &profile.locations[node.location];
        // A caller has a smaller id.
        let parent = node.parent.map(|parent| same[parent]);
        same.push(*known.entry((parent, location.kind, &location.lines)).or_insert(id));
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::text;
    use crate::views::heap::fixture::{Fate, HeapBuilder, program};

    fn list(profile: &Profile, kind: SiteKind, by: SortSites, suppressions: &str) -> String {
        let list = SiteList { kind, by, limit: 2 };
        let suppressions = suppressions.parse().unwrap();
        let style = Style::default();
        let report =
            text(|out| write_sites(out, style, "t.rz", profile, Some(0), list, &suppressions));
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
