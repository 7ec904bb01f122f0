//! Lists where objects were allocated, each place with its whole stack.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_convert::heap::{AllocationKind, Estimate, Heap, Leaks, Site, Sum, Suppressions};
use rz_convert::profile::{EventId, FrameKind, Line, Profile, StackId};

use super::amounts::{bytes, bytes_and_margin, count, counted, mean_size, percent_of};
use super::tables::entry_name;
use super::write_notes;
use crate::format::{clean, percent, shorten};
use crate::header::write_header;
use crate::style::{Paint, Style};
use crate::summary::{some_of, write_title};
use crate::table::{GAP, MIN_NAME_WIDTH, Row, write_table};

/// Functions shown of one stack, at most.
const MAX_FRAMES: usize = 64;

/// Columns before the functions of a stack.
const INDENT: &str = "      ";

/// Which objects a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// All that were allocated.
    All,
    /// Those that were never given back.
    Leaks,
    /// Those that were there when most bytes were.
    Peak,
    /// Those that were given back at once.
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
    let Some(heap) = &profile.heap else {
        return writeln!(out, "\nno allocations were recorded");
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
    let shown = places.len().min(list.limit);
    write_headline(out, style, heap, list, &all, &some_of(shown, places.len()))?;
    for (index, place) in places[..shown].iter().enumerate() {
        write_place(out, style, profile, index + 1, place, (&all, list))?;
    }
    if let Some(leaks) = &leaks {
        write_suppressed(out, style, leaks, suppressions)?;
    }
    write_notes(out, style, profile, heap)
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
    let (by, noun) = match list.by {
        SortSites::Bytes => ("bytes", "object"),
        SortSites::Count => ("count", "object"),
    };
    let amount = match all.is_zero() {
        true => "none".to_owned(),
        false => format!("{} in {}", bytes_and_margin(all.bytes), counted(all.objects, noun)),
    };
    write_title(out, style, title, &format!("{amount}; by {by}{some}"))?;
    let about = match list.kind {
        SiteKind::Leaks => "Objects that were there when their process or the recording ended.",
        SiteKind::Peak => "Objects that were there when most bytes were.",
        SiteKind::Temporary if heap.temporary_within > 1 => {
            "Objects that their thread gave back within a few allocations."
        }
        SiteKind::Temporary => "Objects that their thread gave back before its next allocation.",
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
        let text = match room {
            Some(room) => shorten(&text, room).into_owned(),
            None => text,
        };
        let place = source(profile, line);
        let left = room.map_or(usize::MAX, |room| room - text.chars().count());
        if place.is_empty() || place.chars().count() + GAP.len() > left {
            writeln!(out, "{INDENT}{text}")?;
        } else {
            writeln!(out, "{INDENT}{text}{GAP}{}", style.paint(Paint::Dim, &place))?;
        }
    }
    if more > 0 {
        writeln!(out, "{INDENT}… {}", crate::format::counted(more, "more function"))?;
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
    leaks: &Leaks,
    suppressions: &Suppressions,
) -> io::Result<()> {
    if suppressions.is_empty() {
        return Ok(());
    }
    let sum = &leaks.suppressed;
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
