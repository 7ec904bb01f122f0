//! Finds functions, inlined calls and lines in DWARF debug information.
//!
//! ```text
//! targets ─► units ─► candidates ─► for each unit that has some, in parallel:
//!                                     lines    its line program, once
//!                                     scopes   its entries, once
//!                                     origin   names of what covers targets
//! ```
//!
//! Addresses are not looked up one by one: each unit is read once, and what it
//! says of other addresses is forgotten on the way. Memory follows what is
//! asked for, and nothing recurses, whatever a file makes of its nesting.

mod lines;
mod origin;
mod scopes;
mod sections;
mod split;
mod tables;
mod targets;
mod units;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use gimli::{EndianSlice, RunTimeEndian};
use object::Object;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::budget::{Budget, Exceeded};
use super::names::SharedNames;
use lines::{Files, LineAt, find_lines};
use origin::Origins;
use scopes::Scopes;
pub(super) use sections::{PackageSections, Sections, has_content};
use split::Skeleton;
pub(super) use split::Split;
pub(super) use targets::Targets;
use units::{Candidate, Unit, Units};

/// Units that are asked about one address, at most.
const MAX_UNITS: usize = 8;

pub(super) type Reader<'d> = EndianSlice<'d, RunTimeEndian>;

/// A function at an address and the place in its source, as DWARF has them.
#[derive(Debug)]
pub(super) struct Frame<'c> {
    /// Linkage name if there is one, else the plain name.
    pub(super) name: Option<&'c [u8]>,
    pub(super) file: Option<Arc<str>>,
    pub(super) line: u32,
}

/// Why something could not be read.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// It is damaged.
    Damage(gimli::Error),
    /// A limit was reached.
    Limit(Exceeded),
    /// For the reason given.
    Cause(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Damage(error) => error.fmt(f),
            Failure::Limit(limit) => limit.fmt(f),
            Failure::Cause(cause) => cause.fmt(f),
        }
    }
}

impl From<gimli::Error> for Failure {
    fn from(error: gimli::Error) -> Self {
        Failure::Damage(error)
    }
}

impl From<Exceeded> for Failure {
    fn from(limit: Exceeded) -> Self {
        Failure::Limit(limit)
    }
}

/// Whether a file has debug information of its own.
pub(super) fn has_debug_info(file: &object::File) -> bool {
    file.section_by_name(".debug_info").is_some_and(|section| has_content(&section))
}

/// A module's debug information, and what it may cost.
pub(super) struct DebugInfo<'a, 'd> {
    units: Units<'d>,
    split: &'a Split<'d>,
    budget: &'a Budget,
    names: &'a SharedNames,
}

/// What became of the targets.
pub(super) struct Resolved<T> {
    /// By index of the target; `None` if debug information does not cover it.
    pub(super) found: Vec<Option<T>>,
    /// What could not be read.
    pub(super) failures: Vec<Failure>,
}

impl<'a, 'd> DebugInfo<'a, 'd> {
    /// Finds the units in `sections`; `shared` is what `dwz` moved elsewhere, and
    /// `split` what the compiler did.
    pub(super) fn new(
        sections: &'d Sections,
        shared: Option<&'d Sections>,
        split: &'a Split<'d>,
        budget: &'a Budget,
        names: &'a SharedNames,
    ) -> Result<Self, Failure> {
        let mut dwarf = sections.dwarf();
        if let Some(shared) = shared {
            dwarf.set_sup(shared.dwarf());
        }
        let units = Units::new(dwarf, shared.map(Sections::dwarf))?;
        Ok(DebugInfo { units, split, budget, names })
    }

    /// Finds the frames at each target, innermost first, and makes of them what
    /// `make` does of them and the target.
    pub(super) fn resolve<T: Send>(
        &self,
        targets: &Targets,
        make: impl Fn(usize, &[Frame]) -> T + Sync,
    ) -> Resolved<T> {
        let (candidates, failure) = self.units.candidates(targets, self.budget);
        let mut failures = Vec::from_iter(failure);
        let mut found: Vec<Option<T>> = Vec::new();
        found.resize_with(targets.len(), || None);
        // Most targets have one unit. Where ranges overlap, the next one is
        // asked about what the first does not cover.
        for round in 0..MAX_UNITS {
            let jobs = jobs(&candidates, round, |target| found[target].is_none());
            if jobs.is_empty() {
                break;
            }
            let done: Vec<_> = jobs
                .par_iter()
                .with_max_len(1)
                .map(|job| self.resolve_unit(job, targets, &make))
                .collect();
            for (results, failure) in done {
                failures.extend(failure);
                for (target, result) in results {
                    found[target] = Some(result);
                }
            }
        }
        Resolved { found, failures }
    }

    /// Resolves some targets with one unit; those that it covers, and what
    /// could not be read.
    fn resolve_unit<T>(
        &self,
        job: &Job,
        targets: &Targets,
        make: &impl Fn(usize, &[Frame]) -> T,
    ) -> (Vec<(usize, T)>, Option<Failure>) {
        let ready = self.budget.meter().look().map_err(Failure::from);
        let unit = match ready.and_then(|()| self.units.unit(job.unit)) {
            Ok(unit) => unit,
            Err(failure) => return (Vec::new(), Some(failure)),
        };
        let wanted = targets.select(&job.targets);
        // Lines are always in the program itself.
        let (lines, failure) = match find_lines(&unit, &wanted, &mut self.budget.meter()) {
            Ok(lines) => (lines, None),
            Err(failure) => (vec![None; wanted.len()], Some(failure)),
        };
        let unit = unit.unit_ref(&self.units.dwarf);
        let question = Question { job, wanted, lines, files: Files::new(unit).into() };
        let found = match Skeleton::of(unit) {
            Ok(None) => self.resolve_scopes(&question, &self.units, unit.unit, None, make),
            Ok(Some(skeleton)) => {
                self.split.with_full(&skeleton, self.budget, |units, full| {
                    // Numbers of files are those of the unit that has the
                    // entries, if it has files.
                    let files = full.line_program.is_some();
                    let files = files.then(|| Files::new(full.unit_ref(&units.dwarf)));
                    self.resolve_scopes(&question, units, full, files, make)
                })
            }
            Err(failure) => Err(failure),
        };
        match found {
            Ok(found) => (found, failure),
            // Lines are better than nothing.
            Err(cause) => (self.resolve_lines(&question, make), Some(failure.unwrap_or(cause))),
        }
    }

    /// Frames of the targets that entries or lines of a unit cover.
    fn resolve_scopes<'s, T>(
        &self,
        question: &Question,
        units: &Units<'s>,
        unit: &Unit<'s>,
        mut own_files: Option<Files<'_, 's>>,
        make: &impl Fn(usize, &[Frame]) -> T,
    ) -> Result<Vec<(usize, T)>, Failure> {
        let mut meter = self.budget.meter();
        let scopes = Scopes::find(unit.unit_ref(&units.dwarf), &question.wanted, &mut meter)?;
        let mut origins = Origins::new(units, unit);
        let mut results = Vec::with_capacity(question.lines.len());
        let mut frames = Vec::new();
        let mut files = question.files.borrow_mut();
        for (index, &target) in question.job.targets.iter().enumerate() {
            frames.clear();
            let line = question.lines[index];
            let mut at = line.map(|at| (files.path(at.file, self.names), at.line));
            for scope in scopes.of_target(index) {
                // A name may take long: another unit may have it.
                meter.look()?;
                let (file, line) = at.take().unwrap_or_default();
                frames.push(Frame { name: origins.name(&scope.name), file, line });
                let file = scope.call_file.and_then(|file| match &mut own_files {
                    Some(files) => files.path(file, self.names),
                    None => files.path(file, self.names),
                });
                at = Some((file, scope.call_line));
            }
            if let (true, Some((file, line))) = (frames.is_empty(), at) {
                frames.push(Frame { name: None, file, line });
            }
            if !frames.is_empty() {
                results.push((target, make(target, &frames)));
            }
        }
        Ok(results)
    }

    /// Frames without names, of the targets that have lines.
    fn resolve_lines<T>(
        &self,
        question: &Question,
        make: &impl Fn(usize, &[Frame]) -> T,
    ) -> Vec<(usize, T)> {
        let mut files = question.files.borrow_mut();
        let mut frame = |at: LineAt| {
            let file = files.path(at.file, self.names);
            Frame { name: None, file, line: at.line }
        };
        let lines = question.lines.iter().copied().map(|line| line.map(&mut frame));
        let found = question.job.targets.iter().zip(lines);
        found.filter_map(|(&target, frame)| Some((target, make(target, &[frame?])))).collect()
    }
}

/// Targets that a unit is asked about.
struct Job {
    unit: usize,
    /// Ascending.
    targets: Vec<usize>,
}

/// A [`Job`], and what is known without the unit's entries.
struct Question<'u, 'd, 'j> {
    job: &'j Job,
    /// The job's targets.
    wanted: Targets,
    lines: Vec<Option<LineAt>>,
    files: RefCell<Files<'u, 'd>>,
}

/// Sorts targets by the unit that is asked about them in a round: in the first
/// one their best candidate, in the second the second best.
fn jobs(candidates: &[Candidate], round: usize, is_wanted: impl Fn(usize) -> bool) -> Vec<Job> {
    let mut targets: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for same in candidates.chunk_by(|a, b| a.target == b.target) {
        if let Some(candidate) = same.get(round).filter(|candidate| is_wanted(candidate.target)) {
            targets.entry(candidate.unit).or_default().push(candidate.target);
        }
    }
    let mut jobs: Vec<_> =
        targets.into_iter().map(|(unit, targets)| Job { unit, targets }).collect();
    jobs.sort_unstable_by_key(|job| job.unit);
    jobs
}
