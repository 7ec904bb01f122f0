//! Decides whether a comparison fails, for `--fail-if 'total>5%'`.
//!
//! What is asked is whether something grew by more than a limit. Where the
//! whole interval of a change is beyond the limit, it did; where the whole
//! interval is below, it did not; and else the data is too noisy to tell,
//! which is neither good nor bad news.

pub use crate::condition::{Checked, Condition, Outcome, worst};
use crate::condition::{Limit, Subject};
use crate::diff::change::Change;
use crate::diff::explain::text::words;
use crate::diff::matching::named;
use crate::diff::normalize::Per;
use crate::diff::{Diff, FunctionChange};
use crate::error::ReportError;
use crate::model::symbols::SymbolId;

/// Checks conditions against a comparison.
///
/// # Errors
/// If a function is not there, or its total cannot change because shares of
/// it are compared.
pub fn check(conditions: &[Condition], diff: &Diff<'_>) -> Result<Vec<Checked>, ReportError> {
    conditions.iter().map(|condition| check_one(condition, diff)).collect()
}

fn check_one(condition: &Condition, diff: &Diff<'_>) -> Result<Checked, ReportError> {
    let unsupported = |what| {
        let why = "only changes in percent can be; a condition of one trace is for that one";
        Err(ReportError::Unsupported { what, why })
    };
    let Limit::Percent(limit) = condition.limit else { return unsupported("waits and leaks") };
    let (outcome, text) = match &condition.subject {
        Subject::Waits(_) | Subject::Leak | Subject::Doctor => {
            return unsupported("waits, leaks and findings");
        }
        Subject::Total => {
            if diff.scale.per == Per::Share {
                let what = "total with --per share";
                let why = "it is 100 % on both sides";
                return Err(ReportError::Unsupported { what, why });
            }
            // There may be exact sums and no samples.
            let sums = diff.sums.as_ref().filter(|_| diff.total.is_nothing());
            of_its_own(sums.map_or(&diff.total, |sums| &sums.total), limit)
        }
        Subject::SelfOf(name) => {
            of_its_own(change_of(condition, name, diff, |row| &row.self_)?, limit)
        }
        Subject::TotalOf(name) => {
            of_its_own(change_of(condition, name, diff, |row| &row.total)?, limit)
        }
        Subject::AnyFunction => of_any(diff, limit),
    };
    let condition = condition.text.clone();
    let text = format!("{condition}: {}: {text}", outcome.name());
    Ok(Checked { condition, outcome, text })
}

/// The change of the function of a name, the larger one if there are several,
/// or of the system call or reason to wait.
fn change_of<'d>(
    condition: &Condition,
    name: &str,
    diff: &'d Diff<'_>,
    of: fn(&'d FunctionChange) -> &'d Change,
) -> Result<&'d Change, ReportError> {
    let all: Vec<SymbolId> = diff.rows.iter().map(|row| row.symbol).collect();
    let ids = named(name, &all, &diff.symbols);
    let size = |row: &FunctionChange| row.total.values[0].max(row.total.values[1]);
    let found = diff.rows.iter().filter(|row| ids.contains(&row.symbol));
    let largest = found.max_by(|a, b| size(a).total_cmp(&size(b)));
    let sum = || diff.sums.as_ref()?.rows.iter().find(|row| row.name == name);
    largest.map(of).or_else(|| Some(&sum()?.change)).ok_or_else(|| ReportError::NothingToCheck {
        condition: condition.text.clone(),
        name: name.to_owned(),
    })
}

/// By how much something grew, in percent of what it was.
fn of_its_own(change: &Change, limit: f64) -> (Outcome, String) {
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    let ratio_interval = change.test.and_then(|test| test.ratio_interval);
    let is_new = change.test.is_some_and(|test| test.interval[0] > 0.0);
    match (change.ratio(), ratio_interval) {
        (Some(ratio), Some(interval)) => {
            let interval = interval.map(percent);
            (outcome(interval, limit), grown(percent(ratio), interval))
        }
        (Some(ratio), None) => {
            let text = format!("{}, of too few samples", signed(percent(ratio)));
            (if ratio <= 1.0 { Outcome::Fine } else { Outcome::TooNoisy }, text)
        }
        (None, _) if change.is_nothing() => (Outcome::Fine, "it is on neither side".to_owned()),
        // Any limit is exceeded by what was nothing.
        (None, _) if is_new => (Outcome::Regression, "it is new".to_owned()),
        (None, _) => (Outcome::TooNoisy, "it is new, of too few samples".to_owned()),
    }
}

/// Whether any function grew by more than the limit, in percent of the whole.
fn of_any(diff: &Diff<'_>, limit: f64) -> (Outcome, String) {
    let whole = diff.total.values[0];
    let share = |value: f64| 100.0 * value / whole;
    let costs = diff.rows.iter().filter(|row| !diff.findings.explains(row.symbol));
    let mut rows: Vec<(&str, &Change, f64, [f64; 2])> = costs
        .filter_map(|row| {
            let own = &row.self_;
            let test = own.test.filter(|_| whole > 0.0)?;
            let name = diff.symbols[row.symbol].name.as_str();
            Some((name, own, share(own.delta()), test.interval.map(share)))
        })
        .collect();
    rows.sort_by(|a, b| b.2.total_cmp(&a.2));
    let is_beyond = |own: &Change, low: f64| own.verdict.is_more() && low > limit;
    let beyond = rows.iter().find(|(_, own, _, [low, _])| is_beyond(own, *low));
    if let Some((name, _, delta, interval)) = beyond {
        let text = format!("{} of the whole: {name}", grown(*delta, *interval));
        return (Outcome::Regression, text);
    }
    // What it calls may be what everything calls, and has not grown itself.
    let place = diff.explanation.causes().find_map(|place| {
        let interval = place.change.test.filter(|_| whole > 0.0)?.interval.map(share);
        is_beyond(&place.change, interval[0]).then_some((place, interval))
    });
    if let Some((place, interval)) = place {
        let grown = grown(share(place.change.delta()), interval);
        return (Outcome::Regression, format!("{grown} of the whole: {}", words(diff, place)));
    }
    let widest = rows.iter().max_by(|a, b| a.3[1].total_cmp(&b.3[1]));
    match widest {
        Some((name, _, delta, interval)) if interval[1] > limit => {
            let text = format!("{} of the whole: {name}", grown(*delta, *interval));
            (Outcome::TooNoisy, text)
        }
        Some((name, _, delta, _)) => {
            (Outcome::Fine, format!("at most {} of the whole: {name}", signed(*delta)))
        }
        None => (Outcome::Fine, "no function has enough samples of its own".to_owned()),
    }
}

fn outcome([low, high]: [f64; 2], limit: f64) -> Outcome {
    match (low, high) {
        (low, _) if low > limit => Outcome::Regression,
        (_, high) if high < 0.0 => Outcome::Improvement,
        (_, high) if high <= limit => Outcome::Fine,
        _ => Outcome::TooNoisy,
    }
}

fn grown(percent: f64, interval: [f64; 2]) -> String {
    format!("{} ({} to {})", signed(percent), signed(interval[0]), signed(interval[1]))
}

fn signed(percent: f64) -> String {
    if percent.abs() < 0.05 { "0.0%".to_owned() } else { format!("{percent:+.1}%") }
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::Builder;

    fn checked(before: &Profile, after: &Profile, condition: &str, per: Per) -> String {
        let run = |profile, name| Run { profile, name, event: Some(0) };
        let options = DiffOptions { per: Some(per), ..DiffOptions::default() };
        let diff = compare([&[run(before, "a.rz")], &[run(after, "b.rz")]], &options).unwrap();
        match check(&[condition.parse().unwrap()], &diff) {
            Ok(checked) => {
                let outcome = worst(&checked);
                assert_eq!(outcome, checked[0].outcome);
                // What exactly intervals are is tested elsewhere.
                let text = checked[0].text.replace("too noisy to tell", "noisy");
                format!("{} {}", outcome.exit_code(), text.split(" (").next().unwrap())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn outcomes_are_told_apart() {
        let before = Builder::of(&[("main;f", 4_000), ("main;g", 1_000), ("main;tiny", 2)]);
        let check = |stacks: &[(&str, u64)], condition: &str, expected: &str| {
            assert_eq!(checked(&before, &Builder::of(stacks), condition, Per::Wall), expected);
        };
        let same = [("main;f", 4_010), ("main;g", 990), ("main;tiny", 3)];
        check(&same, "total>10%", "0 total>10%: fine: 0.0%");
        check(&same, "total>1%", "4 total>1%: noisy: 0.0%");
        check(&same, "function>10%", "0 function>10%: fine: at most +0.2% of the whole: f");
        check(&same, "self:tiny>10%", "4 self:tiny>10%: noisy: +50.0%, of too few samples");
        check(&same, "self:main>10%", "0 self:main>10%: fine: it is on neither side");
        check(
            &same,
            "self:nothing>10%",
            "--fail-if self:nothing>10%: no function nothing on either side",
        );
        let more = [("main;f", 6_000), ("main;g", 1_000), ("main;tiny", 2)];
        check(&more, "total>5%", "3 total>5%: regression: +40.0%");
        check(&more, "total:f>5%", "3 total:f>5%: regression: +50.0%");
        check(&more, "total>40%", "4 total>40%: noisy: +40.0%");
        check(&more, "function>5%", "3 function>5%: regression: +40.0%");
        let less = [("main;f", 2_000), ("main;g", 1_000), ("main;tiny", 2)];
        check(&less, "total>5%", "0 total>5%: improvement: -40.0%");
        check(&less, "function>5%", "0 function>5%: fine: at most 0.0% of the whole: g");
        let new = [("main;f", 4_000), ("main;g", 1_000), ("main;h", 900)];
        check(&new, "self:h>500%", "3 self:h>500%: regression: it is new");
        check(&new, "function>5%", "3 function>5%: regression: +18.0%");
    }

    /// What differs by its name alone, or is inlined, fails no condition.
    #[test]
    fn names_and_inlining_are_no_regression() {
        let before =
            Builder::of(&[("main;parse_row", 2_000), ("main;f;step", 2_000), ("main;f", 90)]);
        let after = Builder::of(&[("main;parse_line", 2_010), ("main;f", 2_080)]);
        let text = checked(&before, &after, "function>5%", Per::Wall);
        assert_eq!(text, "0 function>5%: fine: no function has enough samples of its own");
    }

    #[test]
    fn a_share_of_all_cannot_grow() {
        let profile = Builder::of(&[("main", 100)]);
        let check = |condition, expected: &str| {
            assert_eq!(checked(&profile, &profile, condition, Per::Share), expected);
        };
        check("total>5%", "cannot compare total with --per share: it is 100 % on both sides");
        check("total:main>5%", "0 total:main>5%: fine: 0.0%");
    }
}
