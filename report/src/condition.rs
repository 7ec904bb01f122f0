//! What `--fail-if` is given, as `self:NAME>5%`, and what may become of it.

use std::str::FromStr;
use std::time::Duration;

use crate::doctor::Severity;

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All of the event, by how much it grew of what it was.
    Total,
    /// What a function cost itself: by how much it grew of what it was, or, in one
    /// trace, which share of all samples that is.
    SelfOf(String),
    /// What a function and all it called cost, likewise.
    TotalOf(String),
    /// What any function cost itself, of what all of the event is, or was; of a comparison
    /// also what places that explain it cost.
    AnyFunction,
    /// How long threads waited for a reason, in one trace.
    Waits(String),
    /// Memory that was never freed, in one trace.
    Leak,
    /// What the doctor finds in one trace.
    Doctor,
}

/// What must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// A share, or growth.
    Percent(f64),
    /// A time.
    Time(Duration),
    /// An amount of memory, in bytes.
    Bytes(u64),
    /// Findings that are at least so bad.
    Severity(Severity),
}

/// When a report fails: `total>5%`, `self:NAME>10%`, `total:NAME>10%`, `function>2%`,
/// `waits:REASON>1s`, `leak>10MB`, `doctor>=warning`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What it looks at.
    pub subject: Subject,
    /// What that must not exceed.
    pub limit: Limit,
    /// The condition as it was written.
    pub text: String,
}

impl Condition {
    /// Fails, with the reason, if it says nothing of a comparison.
    ///
    /// # Errors
    /// If it is about one trace.
    pub fn for_comparisons(&self) -> Result<(), &'static str> {
        match self.subject {
            Subject::Waits(_) => Err("waits of two traces are compared by --event off-cpu and \
                                      total:REASON>5%"),
            Subject::Leak => Err("leaks of two traces are compared by --heap --metric live and \
                                  total>5%"),
            Subject::Doctor => Err("the doctor looks at one trace: report TRACE --doctor"),
            Subject::Total | Subject::SelfOf(_) | Subject::TotalOf(_) | Subject::AnyFunction => {
                Ok(())
            }
        }
    }

    /// Fails, with the reason, if it says nothing of one trace.
    ///
    /// # Errors
    /// If it is about a change.
    pub fn for_one_trace(&self) -> Result<(), &'static str> {
        match self.subject {
            Subject::Total => Err("total>5% is for --diff: of one trace, self:NAME>5%, \
                                   total:NAME>5%, function>5%, waits:REASON>1s, leak>10MB or \
                                   doctor>=warning"),
            Subject::SelfOf(_)
            | Subject::TotalOf(_)
            | Subject::AnyFunction
            | Subject::Waits(_)
            | Subject::Leak
            | Subject::Doctor => Ok(()),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "total>5%, self:NAME>5%, total:NAME>5%, function>5%, waits:REASON>1s, \
                      leak>10MB or doctor>=warning is needed";
        // Names may contain `>`.
        let (subject, limit) = text.rsplit_once('>').ok_or(wanted)?;
        let subject = match (subject.trim(), subject.split_once(':')) {
            ("total", _) => Subject::Total,
            ("function", _) => Subject::AnyFunction,
            ("leak", _) => Subject::Leak,
            ("doctor", _) => Subject::Doctor,
            (_, Some((kind, name))) if !name.trim().is_empty() => match kind.trim() {
                "self" => Subject::SelfOf(name.trim().to_owned()),
                "total" => Subject::TotalOf(name.trim().to_owned()),
                "waits" => Subject::Waits(name.trim().to_owned()),
                _ => return Err(wanted.to_owned()),
            },
            _ => return Err(wanted.to_owned()),
        };
        let limit = match subject {
            Subject::Waits(_) => Limit::Time(parse_time(limit.trim())?),
            Subject::Leak => Limit::Bytes(parse_bytes(limit.trim())?),
            Subject::Doctor => Limit::Severity(parse_severity(limit.trim())?),
            _ => Limit::Percent(parse_percent(limit.trim())?),
        };
        Ok(Condition { subject, limit, text: text.trim().to_owned() })
    }
}

fn parse_percent(text: &str) -> Result<f64, &'static str> {
    let number = text.strip_suffix('%').ok_or("the limit is in %")?;
    match number.trim().parse() {
        Ok(percent) if (0.0..=1e9).contains(&percent) => Ok(percent),
        _ => Err("the limit is a number of 0 or more"),
    }
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "the limit is a time, as 1s or 500ms")
}

fn parse_severity(text: &str) -> Result<Severity, &'static str> {
    match text.strip_prefix('=').map(str::trim) {
        Some("warning") => Ok(Severity::Warning),
        Some("hint") => Ok(Severity::Hint),
        _ => Err("doctor>=warning or doctor>=hint is needed"),
    }
}

fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    const WANTED: &str = "the limit is an amount of memory, as 10MB, 512KiB or 100B";
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let of_unit = |&(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?, bytes));
    let (number, unit) = UNITS
        .iter()
        .find_map(of_unit)
        .or_else(|| Some((text.strip_suffix('B')?, 1)))
        .ok_or(WANTED)?;
    let number: u64 = number.trim().parse().map_err(|_| WANTED)?;
    number.checked_mul(unit).ok_or(WANTED)
}

/// What became of a condition; the worst is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It shrank.
    Improvement,
    /// It did not grow by more than the limit, or is below it.
    Fine,
    /// It may be beyond the limit, or not.
    TooNoisy,
    /// It grew by more than the limit, or is beyond it.
    Regression,
}

impl Outcome {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Improvement => "improvement",
            Outcome::Fine => "fine",
            Outcome::TooNoisy => "too noisy to tell",
            Outcome::Regression => "regression",
        }
    }

    /// The exit code that says so.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Improvement | Outcome::Fine => 0,
            Outcome::Regression => 3,
            Outcome::TooNoisy => 4,
        }
    }
}

/// A condition and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The condition, as it was written.
    pub condition: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The same with numbers, as a line for people.
    pub text: String,
}

/// The worst outcome; fine without any.
pub fn worst(checked: &[Checked]) -> Outcome {
    checked.iter().map(|checked| checked.outcome).max().unwrap_or(Outcome::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let check = |text: &str, subject: Subject, limit: Limit| {
            let condition: Condition = text.parse().unwrap();
            assert_eq!((condition.subject, condition.limit), (subject, limit), "{text}");
        };
        let percent = Limit::Percent;
        check("total>5%", Subject::Total, percent(5.0));
        check(" total > 0.5 % ", Subject::Total, percent(0.5));
        check("function>2%", Subject::AnyFunction, percent(2.0));
        check("self:main>10%", Subject::SelfOf("main".into()), percent(10.0));
        check("total:<A as B>::f>0%", Subject::TotalOf("<A as B>::f".into()), percent(0.0));
        let shift = "std::operator>>(int)";
        check(&format!("self:{shift}>1%"), Subject::SelfOf(shift.into()), percent(1.0));
        let futex = || Subject::Waits("futex".into());
        check("waits:futex>1s", futex(), Limit::Time(Duration::from_secs(1)));
        check("waits: futex > 1m 30s", futex(), Limit::Time(Duration::from_secs(90)));
        check("leak>10MB", Subject::Leak, Limit::Bytes(10_000_000));
        check("leak > 2 MiB", Subject::Leak, Limit::Bytes(2 << 20));
        check("leak>0B", Subject::Leak, Limit::Bytes(0));
        check("doctor>=warning", Subject::Doctor, Limit::Severity(Severity::Warning));
        check("doctor >= hint", Subject::Doctor, Limit::Severity(Severity::Hint));
        let error = |text: &str, part: &str| {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        error("total", "is needed");
        error("total<5%", "is needed");
        error("wall>5%", "is needed");
        error("self:>5%", "is needed");
        error("mean:f>5%", "is needed");
        error("waits>5s", "is needed");
        error("total>5", "the limit is in %");
        error("total>x%", "a number");
        error("total>-5%", "a number");
        error("total>NaN%", "a number");
        error("waits:futex>5%", "a time");
        error("waits:futex>5", "a time");
        error("leak>5%", "an amount of memory");
        error("leak>99999999999GB", "an amount of memory");
        error("leak>1", "an amount of memory");
        error("doctor>warning", "doctor>=warning");
        error("doctor>=bad", "doctor>=warning");
    }

    #[test]
    fn conditions_are_for_one_trace_or_two() {
        let fits = |text: &str| {
            let condition: Condition = text.parse().unwrap();
            (condition.for_one_trace().is_ok(), condition.for_comparisons().is_ok())
        };
        assert_eq!(fits("total>5%"), (false, true));
        assert_eq!(fits("self:f>5%"), (true, true));
        assert_eq!(fits("function>5%"), (true, true));
        assert_eq!(fits("waits:futex>5s"), (true, false));
        assert_eq!(fits("leak>5MB"), (true, false));
        assert_eq!(fits("doctor>=hint"), (true, false));
    }
}
