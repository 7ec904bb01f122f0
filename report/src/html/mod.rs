//! The page: one HTML file that shows a profile in a browser, without any network.
//!
//! What the browser needs is in `report/viewer/`, written by hand, and the same for
//! every page. Data comes behind it in sections, each a gzip stream in base64: the
//! head, names, the call tree of all events in one, the rows of each event in order of
//! time, and the views whose sums need no samples, as `--json` writes them. The page
//! sums rows up itself, so that whatever is selected on it needs nothing from here.
//!
//! A page may be served instead (`served`): then it has no more than its head, and asks for
//! the other sections, and for rows of windows of time that are finer than those of all of it.
//!
//! Texts of a trace are data only: the page shows them as text, and its policy lets
//! nothing run but the script that is written here, and nothing be fetched.

mod calls;
mod columns;
mod diff;
mod ends;
mod head;
mod lines;
mod names;
mod sections;
mod series;
mod served;
mod sources;
mod stacks;
mod viewer;
mod views;

use std::io::{self, Write};

use rz_profile::calls::CallList;
use rz_profile::heap::{Metric, Suppressions, show};
use rz_profile::model::{EventId, Nanos, Profile};

use crate::doctor::DoctorPage;
use crate::error::ReportError;
use crate::views::annotate::SourcePlaces;
use calls::Calls;
pub use diff::write_diff_page;
use ends::Ends;
use head::Head;
use sections::{Packed, Sections};
use series::Series;
pub use served::ServedPage;
use sources::Sources;
use stacks::Stacks;
use viewer::{DataIn, HEAD, write_viewer};

/// Times on the page count microseconds: no screen shows less.
const TICK_NS: u64 = 1_000;

/// How to make a page.
#[derive(Debug, Clone, Copy)]
pub struct PageOptions<'c> {
    /// The event that is shown first.
    pub event: Option<EventId>,
    /// Above so many bytes, rows are added up in slices of time.
    pub limit: u64,
    /// System calls that are shown one by one.
    pub calls: Option<&'c CallList>,
    /// What rules found, if they looked.
    pub doctor: Option<&'c DoctorPage>,
    /// Leaks that are not shown.
    pub suppressions: &'c Suppressions,
    /// Where to look for texts of sources that the page is to have.
    pub sources: Option<&'c SourcePlaces>,
}

/// How many system calls a page shows one by one: the last ones.
pub const LAST_CALLS: usize = 10_000;

/// Of far more samples than so many, a page that is served takes a part: more would neither
/// be read nor shown at once.
pub const MOST_SERVED_SAMPLES: u64 = 500_000;

/// Writes a page that shows all events of `profile`; `name` is what to call the trace.
/// Which metric its allocations show is another one afterwards.
///
/// # Errors
/// If it cannot be written.
pub fn write_page(
    out: &mut dyn Write,
    name: &str,
    profile: &mut Profile,
    options: PageOptions<'_>,
) -> Result<(), ReportError> {
    let Data { fixed, stacks, mut series, ends, span_ns, notes } =
        Data::of(name, profile, options)?;
    let start_ns = profile.info.start_ns;
    let fixed = fixed.packed()?;
    let mut slice_ns = 0;
    loop {
        let timed = timed_sections(&series, &ends, start_ns).packed()?;
        let bytes = fixed.size() + timed.size();
        // Less of the times does not help if what has none is too much.
        let may_fit = bytes > options.limit && fixed.size() <= options.limit;
        let next = longer_slice(slice_ns, span_ns).filter(|_| may_fit);
        if let Some(next) = next {
            slice_ns = next;
            series.iter_mut().for_each(|one| one.coarsen(slice_ns, start_ns));
            continue;
        }
        let made = Made::File(PageSize { bytes, slice_ns });
        let of = (&series[..], span_ns);
        let head = Head::new(name, profile, &stacks, of, (options, made), notes);
        let mut all = packed_head(&head)?;
        all.extend(fixed);
        all.extend(timed);
        return Ok(write_viewer(out, &all, DataIn::Page)?);
    }
}

fn packed_head(head: &Head<'_>) -> io::Result<Packed> {
    let mut sections = Sections::default();
    sections.add_json(HEAD, head)?;
    sections.packed()
}

/// What the sections of a page are made of, apart from its head.
struct Data {
    /// Sections without times.
    fixed: Sections,
    stacks: Stacks,
    series: Vec<Series>,
    ends: Ends,
    span_ns: Nanos,
    /// What a reader should know of it.
    notes: Vec<String>,
}

impl Data {
    fn of(name: &str, profile: &mut Profile, options: PageOptions<'_>) -> io::Result<Self> {
        // Sites are listed in bytes.
        show(profile, Metric::default());
        let (stacks, views) = Stacks::with(profile, |profile| views::views(name, profile, options));
        let mut fixed = Sections::default();
        fixed.add_json("names", &stacks.names)?;
        fixed.add("stacks", &stacks.columns());
        fixed.add_json("views", &views)?;
        let series = Series::all(profile, &stacks);
        let ends = Ends::of(series.iter().flat_map(Series::ends), stacks.lines.len());
        fixed.add("ends", &[ends.column(&stacks.lines)]);
        if let Some(calls) = options.calls {
            let mut calls = Calls::of(calls);
            calls.find_ends(profile, &series, &ends);
            fixed.add_json("calls", &calls)?;
        }
        let mut notes = Vec::new();
        if stacks.lines.any() {
            fixed.add("lines", &stacks.lines_of(ends.nodes()));
            let mut samples = vec![0; stacks.lines.len()];
            series.iter().for_each(|one| one.count(&mut samples));
            let weights = stacks.lines.by_file(samples);
            let sources = Sources::of(profile, &stacks.lines, &weights, options.sources);
            fixed.add_json("sources", &sources)?;
            notes = sources.notes();
        }
        for one in series.iter().filter(|one| one.has_rows() && !one.timed) {
            fixed.add(&one.section(), &one.columns(profile.info.start_ns, &ends));
        }
        let span_ns = span_ns(profile, &series);
        Ok(Data { fixed, stacks, series, ends, span_ns, notes })
    }
}

fn timed_sections(series: &[Series], ends: &Ends, start_ns: Nanos) -> Sections {
    let mut timed = Sections::default();
    for one in series.iter().filter(|one| one.has_rows() && one.timed) {
        timed.add(&one.section(), &one.columns(start_ns, ends));
    }
    timed
}

/// What a page is made to be.
#[derive(Debug, Clone, Copy)]
enum Made<'m> {
    /// A file with all of its data.
    File(PageSize),
    /// One that asks for these sections.
    Served(&'m [String]),
}

/// What became of the data of a page.
#[derive(Debug, Clone, Copy)]
struct PageSize {
    bytes: u64,
    /// The slices of time in which rows are added up; 0 if they are not.
    slice_ns: Nanos,
}

/// From the start to the end of the last recording, or of what happened last. How long
/// recordings took is added up in the profile, and no span of time.
fn span_ns(profile: &Profile, series: &[Series]) -> Nanos {
    let info = &profile.info;
    let of_sources = profile
        .sources
        .iter()
        .filter(|source| source.duration_ns > 0)
        .map(|source| source.start_ns.max(info.start_ns).saturating_add(source.duration_ns));
    let of_all = info.start_ns.saturating_add(info.duration_ns);
    let end_ns = of_sources.max().unwrap_or(of_all);
    let end_ns = series.iter().map(Series::end_ns).fold(end_ns, Nanos::max);
    end_ns.saturating_sub(info.start_ns)
}

/// The next longer slice of time to add rows up in; `None` if that would leave
/// nothing to select by time.
fn longer_slice(slice_ns: Nanos, span_ns: Nanos) -> Option<Nanos> {
    let next = (slice_ns * 2).max(span_ns / 65_536).max(TICK_NS);
    (next <= span_ns / 16).then_some(next)
}

#[cfg(test)]
mod tests;
