//! Decides whether one trace fails, for `--fail-if 'self:NAME>5%'`.
//!
//! Of samples, the share of a function is known as well as their number tells: where
//! its whole 95 % interval is beyond the limit, or below it, that is said; otherwise
//! there are too few of them. Waits are added up exactly, and leaks are estimated
//! from samples, unless every allocation was recorded.

use rz_profile::heap::Suppressions;
use rz_profile::model::{EventId, Profile, TotalClass};

use crate::condition::{Checked, Condition, Limit, Outcome, Subject};
use crate::diff::matching::named;
use crate::doctor::{DoctorPage, Severity};
use crate::error::ReportError;
use crate::model::calltree::Amount;
use crate::model::share::share_interval;
use crate::model::symbols::{SymbolId, Symbols};
use crate::model::top::{FunctionSamples, functions};
use crate::model::trees::joined_tree;
use crate::model::waits::{WaitsFor, by_reason, open_by_reason};
use crate::render::format::{bytes, counted, duration, percent};
use crate::views::heap::amounts::bytes_and_margin;
use crate::views::heap::sites::{SiteKind, SiteList, SortSites, sites};

/// What conditions are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Subjects<'p> {
    /// The profile.
    pub profile: &'p Profile,
    /// The event whose functions are meant.
    pub event: Option<EventId>,
    /// Leaks that do not count.
    pub suppressions: &'p Suppressions,
    /// What the doctor found, if it was asked.
    pub doctor: Option<&'p DoctorPage>,
}

/// Checks conditions against one trace.
///
/// # Errors
/// If one is about what was not recorded, or is not there.
pub fn check(
    conditions: &[Condition],
    subjects: Subjects<'_>,
) -> Result<Vec<Checked>, ReportError> {
    let of_functions = |condition: &Condition| {
        matches!(condition.subject, Subject::SelfOf(_) | Subject::TotalOf(_) | Subject::AnyFunction)
    };
    let functions = conditions.iter().any(of_functions).then(|| Functions::of(subjects));
    let one = |condition: &Condition| {
        let (outcome, text) = match (&condition.subject, condition.limit, &functions) {
            (Subject::SelfOf(name), Limit::Percent(limit), Some(functions)) => {
                functions.named(condition, name, limit, |row| row.self_)?
            }
            (Subject::TotalOf(name), Limit::Percent(limit), Some(functions)) => {
                functions.named(condition, name, limit, |row| row.total)?
            }
            (Subject::AnyFunction, Limit::Percent(limit), Some(functions)) => functions.any(limit),
            (Subject::Waits(reason), Limit::Time(limit), _) => {
                let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
                waits(subjects.profile, condition, reason, limit_ns)?
            }
            (Subject::Leak, Limit::Bytes(limit), _) => leak(subjects, condition, limit)?,
            (Subject::Doctor, Limit::Severity(severity), _) => {
                let none = || cannot_check(condition, "the doctor was not asked".to_owned());
                doctor(subjects.doctor.ok_or_else(none)?, severity)
            }
            _ => {
                let what = "one trace with itself";
                let why = "total>5% is for --diff";
                return Err(ReportError::Unsupported { what, why });
            }
        };
        let word = match outcome {
            Outcome::Improvement | Outcome::Fine => "fine",
            Outcome::TooNoisy => "too few samples to tell",
            Outcome::Regression => "beyond the limit",
        };
        let text = format!("{}: {word}: {text}", condition.text);
        Ok(Checked { condition: condition.text.clone(), outcome, text })
    };
    conditions.iter().map(one).collect()
}

/// What functions cost.
#[derive(Default)]
struct Functions {
    rows: Vec<FunctionSamples>,
    symbols: Symbols,
    total: Amount,
}

impl Functions {
    fn of(Subjects { profile, event, .. }: Subjects<'_>) -> Self {
        let Some(event) = event else { return Functions::default() };
        let (tree, symbols) = joined_tree(profile, event);
        Functions { rows: functions(&tree), symbols, total: tree.total() }
    }

    /// The function of a name, the larger one if there are several.
    fn named(
        &self,
        condition: &Condition,
        name: &str,
        limit: f64,
        of: fn(&FunctionSamples) -> Amount,
    ) -> Result<(Outcome, String), ReportError> {
        let all: Vec<SymbolId> = self.rows.iter().map(|row| row.symbol).collect();
        let ids = named(name, &all, &self.symbols);
        let found = self.rows.iter().filter(|row| ids.contains(&row.symbol)).map(of);
        let Some(amount) = found.max_by_key(|amount| amount.weight) else {
            return Err(cannot_check(condition, format!("no function {name} in the samples")));
        };
        let (outcome, share) = self.share(amount, limit);
        Ok((outcome, share))
    }

    fn any(&self, limit: f64) -> (Outcome, String) {
        let Some(row) = self.rows.iter().max_by_key(|row| row.self_.weight) else {
            return (Outcome::Fine, "there are no samples".to_owned());
        };
        let (outcome, share) = self.share(row.self_, limit);
        (outcome, format!("{share}: {}", self.symbols[row.symbol].name))
    }

    /// What an amount is of all, and whether that is beyond a limit in percent.
    fn share(&self, amount: Amount, limit: f64) -> (Outcome, String) {
        let share = amount.weight as f64 / (self.total.weight as f64).max(1.0);
        let interval = share_interval(share, self.total.samples as f64).map(|share| 100.0 * share);
        let [low, high] = interval.map(percent);
        let samples = counted(amount.samples, "sample");
        let text = format!("{} ({low} to {high}), {samples}", percent(100.0 * share));
        (outcome(interval, limit), text)
    }
}

fn outcome([low, high]: [f64; 2], limit: f64) -> Outcome {
    match (low, high) {
        (low, _) if low > limit => Outcome::Regression,
        (_, high) if high <= limit => Outcome::Fine,
        _ => Outcome::TooNoisy,
    }
}

/// How long threads waited for a reason, what was not over at the end included.
fn waits(
    profile: &Profile,
    condition: &Condition,
    reason: &str,
    limit_ns: u64,
) -> Result<(Outcome, String), ReportError> {
    if profile.info.filter.drops_stacks {
        let why = "sums of waits know no stacks: filter by time or thread";
        return Err(cannot_check(condition, why.to_owned()));
    }
    if !profile.info.captured.waits {
        let why = "no waits were recorded: record with rec --off-cpu";
        return Err(cannot_check(condition, why.to_owned()));
    }
    let mut ns = 0_u64;
    let mut others = Vec::new();
    for WaitsFor { reason: of, sum } in
        by_reason(profile).into_iter().chain(open_by_reason(profile))
    {
        let name = of.to_string();
        if name == reason {
            ns = ns.saturating_add(sum.total_ns);
        } else if !others.contains(&name) {
            others.push(name);
        }
    }
    let mut text = duration(ns);
    if ns == 0 && !others.is_empty() {
        text += &format!(", of waits for {}", others.join(", "));
    }
    // What is lost may be of this reason.
    let may_be_more =
        profile.inexact.contains(&TotalClass::Waits) || profile.info.lost_totals.is_any();
    if may_be_more {
        text += " at least, as sums are incomplete";
    }
    let outcome = match (ns > limit_ns, may_be_more) {
        (true, _) => Outcome::Regression,
        (false, true) => Outcome::TooNoisy,
        (false, false) => Outcome::Fine,
    };
    Ok((outcome, text))
}

/// What was never freed.
fn leak(
    Subjects { profile, suppressions, .. }: Subjects<'_>,
    condition: &Condition,
    limit: u64,
) -> Result<(Outcome, String), ReportError> {
    let list = SiteList { kind: SiteKind::Leaks, by: SortSites::Bytes, limit: 0 };
    let Some(total) = sites(profile, list, suppressions).total else {
        let why = "no allocations were recorded: record with rec --alloc";
        return Err(cannot_check(condition, why.to_owned()));
    };
    let (value, margin) = (total.bytes.value, total.bytes.margin.unwrap_or(0.0));
    let text =
        format!("{} never freed, and the limit is {}", bytes_and_margin(total.bytes), bytes(limit));
    Ok((outcome([value - margin, value + margin], limit as f64), text))
}

/// What the doctor found that is at least so bad.
fn doctor(page: &DoctorPage, severity: Severity) -> (Outcome, String) {
    let titles = page.at_least(severity).map(|finding| finding.title.as_str());
    let titles: Vec<&str> = titles.collect();
    let mut text = counted(titles.len() as u64, "finding");
    if !titles.is_empty() {
        text += &format!(": {}", titles.join("; "));
    }
    if !page.not_looked.is_empty() {
        let why: Vec<&str> = page.not_looked.iter().map(|missing| missing.why.as_str()).collect();
        text += &format!(" (not looked at: {})", why.join("; "));
    }
    let outcome = if titles.is_empty() { Outcome::Fine } else { Outcome::Regression };
    (outcome, text)
}

fn cannot_check(condition: &Condition, why: String) -> ReportError {
    ReportError::CannotCheck { condition: condition.text.clone(), why }
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{AllocationKind, Heap, Site, Sum, Sums};
    use rz_profile::model::{Total, WaitState};

    use super::*;
    use crate::fixture::Builder;

    fn checked(profile: &Profile, condition: &str) -> String {
        let suppressions = Suppressions::default();
        let event = (!profile.events.is_empty()).then_some(0);
        let suppressions = &suppressions;
        let subjects = Subjects { profile, event, suppressions, doctor: None };
        match check(&[condition.parse().unwrap()], subjects) {
            Ok(checked) => format!("{} {}", checked[0].outcome.exit_code(), checked[0].text),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn shares_of_functions() {
        let profile = Builder::of(&[("main;f", 500), ("main;g", 450), ("main;h", 50)]);
        let check = |condition: &str, expected: &str| {
            assert_eq!(checked(&profile, condition), expected);
        };
        check("self:f>40%", "3 self:f>40%: beyond the limit: 50.0% (46.9% to 53.1%), 500 samples");
        check("self:f>60%", "0 self:f>60%: fine: 50.0% (46.9% to 53.1%), 500 samples");
        check(
            "self:f>48%",
            "4 self:f>48%: too few samples to tell: 50.0% (46.9% to 53.1%), 500 samples",
        );
        check("self:main>5%", "0 self:main>5%: fine: 0.0% (0.0% to 0.4%), 0 samples");
        check(
            "total:main>95%",
            "3 total:main>95%: beyond the limit: 100.0% (99.6% to 100.0%), 1,000 samples",
        );
        check(
            "function>30%",
            "3 function>30%: beyond the limit: 50.0% (46.9% to 53.1%), 500 samples: f",
        );
        check("function>60%", "0 function>60%: fine: 50.0% (46.9% to 53.1%), 500 samples: f");
        check("self:x>5%", "--fail-if self:x>5%: no function x in the samples");
        let nothing = Builder::new().profile;
        assert_eq!(checked(&nothing, "function>5%"), "0 function>5%: fine: there are no samples");
        assert!(checked(&nothing, "total>5%").ends_with("total>5% is for --diff"));
    }

    #[test]
    fn sums_of_waits() {
        let mut profile = Builder::new().profile;
        let none = "--fail-if waits:futex>1s: no waits were recorded: record with rec --off-cpu";
        assert_eq!(checked(&profile, "waits:futex>1s"), none);
        profile.info.captured.waits = true;
        let wait = |number, total_ns| Total {
            class: TotalClass::Waits,
            state: WaitState::Sleeping,
            number: Some(number),
            count: 1,
            total_ns,
            thread: Some(0),
            ..Total::default()
        };
        profile.totals = vec![wait(202, 900_000_000), wait(35, 5)];
        profile.open_waits = vec![wait(202, 200_000_000)];
        let check = |profile: &Profile, condition: &str, expected: &str| {
            assert_eq!(checked(profile, condition), expected);
        };
        check(&profile, "waits:futex>1s", "3 waits:futex>1s: beyond the limit: 1.10 s");
        check(&profile, "waits:futex>2s", "0 waits:futex>2s: fine: 1.10 s");
        check(
            &profile,
            "waits:fsync>1s",
            "0 waits:fsync>1s: fine: 0 ns, of waits for futex, nanosleep",
        );
        profile.inexact = vec![TotalClass::Waits];
        check(
            &profile,
            "waits:futex>2s",
            "4 waits:futex>2s: too few samples to tell: 1.10 s at least, as sums are incomplete",
        );
        profile.info.filter.drops_stacks = true;
        assert!(checked(&profile, "waits:futex>2s").contains("know no stacks"));
    }

    #[test]
    fn leaks() {
        let mut profile = Builder::new().profile;
        let none = "--fail-if leak>1MB: no allocations were recorded: record with rec --alloc";
        assert_eq!(checked(&profile, "leak>1MB"), none);
        let mut heap = Heap::default();
        heap.total.allocated = Sum::of_object(5_000, 0);
        let sums = Sums { at_end: Sum::of_object(5_000, 0), ..Sums::default() };
        heap.sites = vec![Site { thread: 0, stack: None, entry: AllocationKind::Malloc, sums }];
        profile.heap = Some(heap);
        assert_eq!(
            checked(&profile, "leak>4kB"),
            "3 leak>4kB: beyond the limit: 4.9 KiB never freed, and the limit is 3.9 KiB"
        );
        assert!(checked(&profile, "leak>5kB").starts_with("0 leak>5kB: fine"));
    }
}
