//! The page: one HTML file that shows a profile in a browser, without any network.
//!
//! What the browser needs is in `report/viewer/`, written by hand, and the same for
//! every page. Data comes behind it in sections, each a gzip stream in base64: the
//! head, names, the call tree of all events in one, the rows of each event in order of
//! time, and the views whose sums need no samples, as `--json` writes them. The page
//! sums rows up itself, so that whatever is selected on it needs nothing from here.
//!
//! Texts of a trace are data only: the page shows them as text, and its policy lets
//! nothing run but the script that is written here, and nothing be fetched.

mod columns;
mod diff;
mod ends;
mod head;
mod names;
mod sections;
mod series;
mod stacks;
mod viewer;
mod views;

use std::io::Write;

use rz_profile::calls::CallList;
use rz_profile::model::{EventId, Profile};

use crate::error::ReportError;
use crate::views::list::{CallsPage, ListOptions};
pub use diff::write_diff_page;
use ends::Ends;
use head::Head;
use sections::Sections;
use series::Series;
use stacks::Stacks;
use viewer::{HEAD, write_viewer};

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
}

/// How many system calls a page shows one by one: the last ones.
pub const LAST_CALLS: usize = 10_000;

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
    let views = views::views(name, profile);
    let stacks = Stacks::of(profile);
    let mut fixed = Sections::default();
    fixed.add_json("names", &stacks.names)?;
    fixed.add("stacks", &stacks.columns())?;
    fixed.add_json("views", &views)?;
    if let Some(calls) = options.calls {
        fixed.add_json("calls", &CallsPage::new(calls, ListOptions::default()))?;
    }

    let mut series = Series::all(profile, &stacks);
    let ends = Ends::of(series.iter().flat_map(Series::nodes), stacks.len());
    fixed.add("ends", &[ends.column()])?;
    let mut slice_ns = 0;
    loop {
        let mut sections = Sections::default();
        for one in series.iter().filter(|one| one.has_rows()) {
            sections.add(&one.section(), &one.columns(profile.info.start_ns, &ends))?;
        }
        let fits = fixed.size() + sections.size() <= options.limit;
        let next = longer_slice(slice_ns, profile.info.duration_ns);
        if let (false, Some(next)) = (fits, next) {
            slice_ns = next;
            series.iter_mut().for_each(|one| one.coarsen(slice_ns));
            continue;
        }
        let head = Head::new(name, profile, &stacks, &series, (options, slice_ns));
        let mut all = Sections::default();
        all.add_json(HEAD, &head)?;
        all.extend(fixed);
        all.extend(sections);
        return Ok(write_viewer(out, &all)?);
    }
}

/// The next longer slice of time to add rows up in; `None` if that would leave
/// nothing to select by time.
fn longer_slice(slice_ns: u64, duration_ns: u64) -> Option<u64> {
    let next = (slice_ns * 2).max(duration_ns / 65_536).max(TICK_NS);
    (next <= duration_ns / 16).then_some(next)
}

#[cfg(test)]
mod tests;
