//! A page whose data is asked for as it is needed.

use rustc_hash::FxHashMap;
use rz_profile::filter::Window;
use rz_profile::load::rows::Rows;
use rz_profile::model::{EventKind, Nanos, Profile};

use super::columns::joined;
use super::ends::Ends;
use super::head::Head;
use super::series::Series;
use super::stacks::{Counted, Stacks};
use super::viewer::{DataIn, write_viewer};
use super::{Data, Made, PageOptions, TICK_NS, packed_head, timed_sections};
use crate::error::ReportError;

/// A page, its sections, and where finer rows of a part of the time come from.
pub struct ServedPage {
    /// The page itself.
    pub html: Vec<u8>,
    sections: FxHashMap<String, Vec<u8>>,
    /// What the sections with times are of.
    timed: FxHashMap<String, (Counted, EventKind)>,
    stacks: Stacks,
    ends: Ends,
    start_ns: Nanos,
    rows: Rows,
}

impl ServedPage {
    /// Makes the page of a profile and its rows; `name` is what to call the trace.
    ///
    /// # Errors
    /// If numbers cannot be written as JSON.
    pub fn new(
        name: &str,
        profile: &mut Profile,
        rows: Rows,
        options: PageOptions<'_>,
    ) -> Result<Self, ReportError> {
        let Data { fixed, stacks, series, ends, span_ns, notes } =
            Data::of(name, profile, options)?;
        let start_ns = profile.info.start_ns;
        let with_times = timed_sections(&series, &ends, start_ns);
        let sections: FxHashMap<String, Vec<u8>> =
            fixed.into_iter().chain(with_times.into_iter()).collect();
        let names: Vec<String> = sections.keys().cloned().collect();
        let of = (&series[..], span_ns);
        let head = Head::new(name, profile, &stacks, of, (options, Made::Served(&names)), notes);
        let mut html = Vec::new();
        write_viewer(&mut html, &packed_head(&head)?, DataIn::Server)?;
        let kind = |one: &Series| profile.events[one.counted.0].kind;
        let timed = series.iter().filter(|one| one.timed);
        let timed = timed.map(|one| (one.section(), (one.counted, kind(one)))).collect();
        Ok(ServedPage { html, sections, timed, stacks, ends, start_ns, rows })
    }

    /// A section; `None` if there is none of that name.
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(Vec::as_slice)
    }

    /// A section of rows with times, from a tick of the page's until before another one.
    ///
    /// # Errors
    /// If the trace cannot be read any more.
    pub fn rows_of(
        &mut self,
        section: &str,
        (from, until): (u64, u64),
    ) -> Option<Result<Vec<u8>, ReportError>> {
        let &(counted, kind) = self.timed.get(section)?;
        let at = |tick: u64| self.start_ns.saturating_add(tick.saturating_mul(TICK_NS));
        let window = Window { from_ns: at(from), to_ns: at(until) };
        let times = match self.rows.of(kind, window) {
            Ok(times) => times,
            Err(error) => return Some(Err(error.into())),
        };
        let series = Series::of_window(&times, &self.stacks, counted);
        Some(Ok(joined(&series.columns(self.start_ns, &self.ends))))
    }
}
