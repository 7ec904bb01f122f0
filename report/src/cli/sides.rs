//! What the sides of a comparison are: traces, and parts of these.

use std::path::PathBuf;
use std::str::FromStr;

use clap::CommandFactory;
use clap::error::ErrorKind;
use rz_profile::filter::{Filter, Glob, Moment};
use rz_report::diff::normalize::Work;

use super::args::Args;

/// What is compared with what.
#[derive(Debug)]
pub struct Sides {
    /// The traces of each side; none is empty.
    pub traces: [Vec<PathBuf>; 2],
    /// What is looked at of them.
    pub filters: [Filter; 2],
    /// The same as far as it is of one side only, as it was typed.
    pub parts: [String; 2],
}

impl Sides {
    /// Whether the sides are parts of one trace.
    pub fn are_of_one_trace(&self) -> bool {
        let has_parts = self.parts.iter().any(|part| !part.is_empty());
        has_parts && self.traces[0].len() == 1 && self.traces[0] == self.traces[1]
    }

    /// Whether each side has threads of its own.
    pub fn have_own_threads(&self) -> bool {
        let [before, after] = &self.filters;
        (&before.threads, &before.processes) != (&after.threads, &after.processes)
    }

    /// The sides that were asked for; `both` is looked at of both of them.
    pub(super) fn new(
        diff: Vec<PathBuf>,
        against: Vec<PathBuf>,
        parts: [Vec<Part>; 2],
        both: &Filter,
    ) -> Result<Self, clap::Error> {
        let of_one = parts.iter().all(|parts| !parts.is_empty());
        let traces = match (diff.len(), against.is_empty()) {
            (_, false) => [diff, against],
            (2, true) => [vec![diff[0].clone()], vec![diff[1].clone()]],
            (1, true) if of_one => [diff.clone(), diff],
            _ => {
                let message = "--diff needs two traces, or any number and --against others, or \
                               one with --before and --after";
                return Err(Args::command().error(ErrorKind::WrongNumberOfValues, message));
            }
        };
        let filter = |side: usize| {
            let filter = Part::select(&parts[side], both);
            filter.map_err(|why| {
                let message = format!("{} {why}", ["--before", "--after"][side]);
                Args::command().error(ErrorKind::ArgumentConflict, message)
            })
        };
        let filters = [filter(0)?, filter(1)?];
        let typed = |parts: &Vec<Part>| {
            parts.iter().map(|part| part.typed.as_str()).collect::<Vec<_>>().join(", ")
        };
        Ok(Sides { traces, filters, parts: parts.each_ref().map(typed) })
    }

    /// Work by side: given once for each, or once for each trace.
    pub(super) fn work(&self, units: Vec<f64>, name: String) -> Result<Work, clap::Error> {
        let [before, after] = self.traces.each_ref().map(Vec::len);
        let units = match units.len() {
            0 => Default::default(),
            2 => [vec![units[0]], vec![units[1]]],
            n if n == before + after => [units[..before].to_vec(), units[before..].to_vec()],
            _ => {
                let message = "--work is given once for each side, or once for each trace";
                return Err(Args::command().error(ErrorKind::WrongNumberOfValues, message));
            }
        };
        Ok(Work { name, units })
    }
}

/// A part of a trace: a range of time, or threads, or processes.
#[derive(Debug, Clone)]
pub(super) struct Part {
    typed: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Time(Option<Moment>, Option<Moment>),
    Thread(Glob),
    Process(Glob),
}

impl FromStr for Part {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a range of time is needed, such as 10s..20s, ..50% or -5s.., or \
                     thread=NAME, or process=NAME";
        let glob = |pattern: &str| pattern.parse::<Glob>().map_err(|_| wrong);
        let moment = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<Moment>().map(Some).map_err(|_| wrong),
        };
        let what = match (text.split_once('='), text.split_once("..")) {
            (Some(("thread", pattern)), _) => What::Thread(glob(pattern)?),
            (Some(("process", pattern)), _) => What::Process(glob(pattern)?),
            (_, Some((from, until))) => What::Time(moment(from)?, moment(until)?),
            _ => return Err(wrong),
        };
        Ok(Part { typed: text.to_owned(), what })
    }
}

impl Part {
    /// What all of these parts select beside what is selected of `both` sides; or why
    /// they cannot.
    fn select(parts: &[Part], both: &Filter) -> Result<Filter, &'static str> {
        let mut filter = both.clone();
        let mut has_range = false;
        for part in parts {
            match &part.what {
                What::Time(..) if both.by_time() => {
                    return Err("has a range of time: leave out --from and --until");
                }
                What::Time(..) if has_range => return Err("takes one range of time"),
                &What::Time(from, until) => {
                    has_range = true;
                    (filter.from, filter.to) = (from, until);
                }
                What::Thread(_) if !both.threads.is_empty() => {
                    return Err("has threads: leave out --thread");
                }
                What::Thread(glob) => filter.threads.push(glob.clone()),
                What::Process(_) if !both.processes.is_empty() => {
                    return Err("has processes: leave out --process");
                }
                What::Process(glob) => filter.processes.push(glob.clone()),
            }
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Config, Input, config};
    use clap::Parser;

    fn config_of(line: &str) -> Result<Config, clap::Error> {
        let arguments = ["report", "--diff"].into_iter().chain(line.split(' '));
        Args::try_parse_from(arguments).and_then(config)
    }

    fn sides_of(line: &str) -> Sides {
        match config_of(line).unwrap().input {
            Input::Sides(sides) => *sides,
            Input::One(_) => panic!("{line}"),
        }
    }

    #[test]
    fn sides_and_work() {
        let check = |line: &str, runs: [usize; 2], work: [&[f64]; 2]| {
            let config = config_of(line).unwrap();
            let Input::Sides(sides) = &config.input else { panic!("{line}") };
            assert_eq!(sides.traces.each_ref().map(Vec::len), runs, "{line}");
            assert_eq!(config.diff.work.units.each_ref().map(|units| &units[..]), work, "{line}");
        };
        check("a.rz b.rz", [1, 1], [&[], &[]]);
        check("a.rz --against b.rz", [1, 1], [&[], &[]]);
        check("a.rz b.rz --against c.rz", [2, 1], [&[], &[]]);
        check("a.rz b.rz --work 10 --work 20", [1, 1], [&[10.0], &[20.0]]);
        check("a.rz --before ..1s --after 1s.. --work 1 --work 2", [1, 1], [&[1.0], &[2.0]]);
        let two = "a.rz b.rz --against c.rz d.rz";
        check(&format!("{two} --work 10 --work 20"), [2, 2], [&[10.0], &[20.0]]);
        let each = format!("{two} --work 1 --work 2 --work 3 --work 4.5");
        check(&each, [2, 2], [&[1.0, 2.0], &[3.0, 4.5]]);
    }

    #[test]
    fn each_side_has_a_part() {
        let moment = |text: &str| text.parse::<Moment>().ok();
        let check = |line: &str, of_one, own_threads, ranges: [[&str; 2]; 2]| {
            let sides = sides_of(line);
            assert_eq!(sides.are_of_one_trace(), of_one, "{line}");
            assert_eq!(sides.have_own_threads(), own_threads, "{line}");
            let found = sides.filters.each_ref().map(|filter| [filter.from, filter.to]);
            assert_eq!(found, ranges.map(|range| range.map(moment)), "{line}");
        };
        let ranges = [["1s", "2s"], ["50%", ""]];
        check("t.rz --before 1s..2s --after 50%..", true, false, ranges);
        check("t.rz t.rz --before 1s..2s --after 50%..", true, false, ranges);
        check("a.rz b.rz --before 1s..2s --after 50%..", false, false, ranges);
        check("a.rz b.rz --against c.rz --before 1s..2s --after 50%..", false, false, ranges);
        check("a.rz b.rz --before -5s..", false, false, [["-5s", ""], ["", ""]]);
        check("t.rz --before .. --after ..1s", true, false, [["", ""], ["", "1s"]]);
        let one = "t.rz --before thread=a* --after thread=b --from 1s";
        check(one, true, true, [["1s", ""]; 2]);
        check("t.rz --thread x --before ..1s --after 1s..", true, false, [["", "1s"], ["1s", ""]]);
        check("t.rz --before process=7 --after ..", true, true, [["", ""]; 2]);

        let sides = sides_of("t.rz --before thread=a=b --before ..1s --before thread=c --after ..");
        assert_eq!(sides.parts, ["thread=a=b, ..1s, thread=c", ".."]);
        let threads: Vec<&str> = sides.filters[0].threads.iter().map(Glob::as_str).collect();
        assert_eq!(threads, ["a=b", "c"]);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let check = |line: &str, message: &str| {
            let error = config_of(line).unwrap_err().to_string();
            assert!(error.contains(message), "{line}: {error}");
        };
        let range = "a range of time is needed";
        for wrong in ["10s", "1..2", "10s-20s", "thread", "tread=x", "a..b"] {
            check(&format!("t.rz --before {wrong} --after 1s.."), range);
        }
        check("t.rz --before 1s..", "one with --before and --after");
        check("t.rz --before .. --after 1s..2s --after 3s..", "--after takes one range of time");
        check("a.rz b.rz --before ..1s --until 5s", "--before has a range of time: leave out");
        check("a.rz b.rz --after thread=a --thread b", "--after has threads: leave out --thread");
        check("a.rz b.rz --after process=a --process b", "--after has processes: leave out");
    }
}
