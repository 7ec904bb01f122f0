//! The report about system calls: how many, how long, and which failed.

use std::cmp::Reverse;
use std::io::{self, Write};

use rz_profile::model::{CallDetail, EventId, Profile, Total, TotalClass};
use rz_profile::reason::{call_name, error_name, uring_name};
use serde::Serialize;

use crate::model::calls::{SortCalls, all, by_number, by_thread};
use crate::model::rows::Rows;
use crate::model::sums::Sum;
use crate::model::threads::ShownThread;
use crate::model::trees::{Direction, call_tree};
use crate::render::format::{count, counted, duration, shorten};
use crate::render::histogram::Axis;
use crate::render::style::{Paint, Style};
use crate::render::sums_table::{
    self, duration_columns, duration_titles, sums_note, write_replacement, write_sums,
    write_thread_sums,
};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::stacks::{Stacks, stacks, write_stacks};
use crate::views::summary::{with_samples, write_no_samples};

/// What the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyscallOptions {
    /// How many rows tables have.
    pub limit: usize,
    /// What calls are sorted by.
    pub by: SortCalls,
    /// How many threads to list.
    pub threads: usize,
}

/// What system calls were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SyscallsPage {
    /// All calls that returned; exact, unless `quality.inexact_sums` has
    /// `syscalls`. `null` if a filter by stack leaves sums and single calls out:
    /// then only `stacks` has something.
    pub total: Option<Sum>,
    /// The same by call.
    pub calls: Rows<CallSum>,
    /// What of it was recorded one by one.
    pub detail: Detail,
    /// Requests submitted to an io_uring, all of them.
    pub io_uring_total: u64,
    /// The same by operation.
    pub io_uring: Rows<Requests>,
    /// All calls that failed, as far as they were recorded one by one.
    pub failed_total: u64,
    /// The same by call and error.
    pub failed: Rows<Failed>,
    /// Calls that had begun before the recording or were not over at its end;
    /// in none of the sums above.
    pub in_flight: Rows<InFlight>,
    /// Where calls were made, sampled in proportion to time.
    pub stacks: Stacks,
    /// What threads called, the longest time first.
    pub threads: Rows<ThreadCalls>,
}

/// Calls of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallSum {
    /// The call's name.
    pub syscall: String,
    /// Its number; `null` if it is not known.
    pub number: Option<u32>,
    /// What they add up to.
    #[serde(flatten)]
    pub sum: Sum,
}

impl CallSum {
    /// What is shown of calls of this number.
    pub(crate) fn of((number, sum): (u32, Total)) -> Self {
        CallSum {
            syscall: call_name(number).into_owned(),
            number: Some(number).filter(|number| *number != u32::MAX),
            sum: Sum::of_calls(sum),
        }
    }
}

/// What was recorded one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Detail {
    /// The only calls that were recorded; empty if that is all.
    pub only: Vec<String>,
    /// Whether none was recorded one by one, as was asked for.
    pub totals_only: bool,
    /// Only calls that took at least so long were recorded one by one.
    pub slower_than_ns: u64,
    /// How many of the calls in the sums were recorded one by one.
    pub recorded: u64,
    /// How many calls these stand for.
    pub stand_for: u64,
}

/// Requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Requests {
    /// What was asked for.
    pub operation: String,
    /// How many were submitted.
    pub count: u64,
}

/// Calls that failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failed {
    /// The call.
    pub syscall: String,
    /// The error's name, such as `ENOENT`.
    pub error: String,
    /// The error's number.
    pub errno: u32,
    /// How many.
    pub count: u64,
}

/// Calls that were going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InFlight {
    /// The call.
    pub syscall: String,
    /// How many there were at the start.
    pub at_start: u64,
    /// How many there were at the end.
    pub at_end: u64,
}

/// What a thread called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadCalls {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// What its calls add up to.
    #[serde(flatten)]
    pub sum: Sum,
}

/// What is known of system calls: sums are exact, what failed is of single
/// calls, and stacks are sampled.
pub fn syscalls(
    profile: &Profile,
    event: Option<EventId>,
    options: SyscallOptions,
) -> SyscallsPage {
    let limit = options.limit;
    let calls = by_number(profile, TotalClass::Calls, options.by);
    let requests = by_number(profile, TotalClass::IoUring, SortCalls::Count);
    let mut failed = profile.calls.failed.clone();
    failed.sort_by_key(|failed| Reverse(failed.count));
    let mut in_flight = profile.calls.in_flight.clone();
    in_flight.sort_by_key(|calls| Reverse(calls.at_start.saturating_add(calls.at_end)));
    let stacks = with_samples(profile, event).map(|event| {
        let (tree, symbols) = call_tree(profile, event, Direction::TopDown, 0.0);
        stacks(&tree, &symbols, limit)
    });
    SyscallsPage {
        total: (!profile.info.filter.drops_stacks)
            .then(|| Sum::of_calls(all(calls.iter().map(|(_, sum)| sum)))),
        calls: Rows::first(limit, calls, CallSum::of),
        detail: detail(profile),
        io_uring_total: all(requests.iter().map(|(_, sum)| sum)).count,
        io_uring: Rows::first(limit, requests, |(number, sum)| Requests {
            operation: uring_name(number).into_owned(),
            count: sum.count,
        }),
        failed_total: failed.iter().fold(0, |sum, failed| sum.saturating_add(failed.count)),
        failed: Rows::first(limit, failed, |failed| Failed {
            syscall: call_name(failed.number).into_owned(),
            error: error_name(failed.errno).into_owned(),
            errno: failed.errno,
            count: failed.count,
        }),
        in_flight: Rows::first(limit, in_flight, |calls| InFlight {
            syscall: call_name(calls.number).into_owned(),
            at_start: calls.at_start,
            at_end: calls.at_end,
        }),
        stacks: stacks.unwrap_or_default(),
        threads: Rows::first(
            options.threads,
            by_thread(profile, TotalClass::Calls),
            |(thread, sum)| ThreadCalls {
                thread: ShownThread::of(profile, thread),
                sum: Sum::of_calls(sum),
            },
        ),
    }
}

fn detail(profile: &Profile) -> Detail {
    let (captured, calls) = (&profile.info.captured, &profile.calls);
    let names = captured.call_numbers.iter().map(|&number| call_name(number).into_owned());
    Detail {
        only: names.collect(),
        totals_only: CallDetail::from(captured.calls) == CallDetail::Totals,
        slower_than_ns: captured.slower_than_ns,
        recorded: calls.rows,
        stand_for: calls.counted.max(calls.rows),
    }
}

/// Writes what system calls were made, from exact sums, then what single
/// calls tell: which failed and how, which were in flight, and where time went
/// by the samples of `event`.
pub fn write_syscalls(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &SyscallsPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    write_calls(out, style, profile, page)?;
    write_uring(out, style, page)?;
    write_failed(out, style, profile, page)?;
    write_in_flight(out, style, &page.in_flight)?;
    if with_samples(profile, event).is_some() {
        write_stacks(out, style, &page.stacks)?;
    } else if profile.info.filter.is_active() {
        writeln!(out)?;
        write_no_samples(out, profile, event)?;
    }
    write_threads(out, style, profile, &page.threads)
}

fn plain(numbers: impl IntoIterator<Item = String>) -> Vec<(String, Paint)> {
    numbers.into_iter().map(|text| (text, Paint::Plain)).collect()
}

fn row(numbers: Vec<(String, Paint)>, text: &str) -> TableRow {
    TableRow { numbers, text: text.to_owned(), suffix: String::new() }
}

fn write_calls(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &SyscallsPage,
) -> io::Result<()> {
    let (calls, Sum(sum)) = (&page.calls, &page.total.clone().unwrap_or_default());
    let exact = match sum.count {
        0 => "none returned while it was recorded".to_owned(),
        n => format!(
            "exact: {}, {} failed, {}{}",
            counted(n, "call"),
            count(sum.errors),
            duration(sum.total_ns),
            some_of(calls.rows.len(), calls.all())
        ),
    };
    let note = sums_note(profile, TotalClass::Calls, exact);
    write_title(out, style, "SYSTEM CALLS", &note)?;
    write_replacement(out, style, profile, TotalClass::Calls, sum, "call")?;
    for line in about_detail(profile, &page.detail, sum) {
        let line = style.width.map_or(line.as_str().into(), |width| shorten(&line, width));
        writeln!(out, "{}", style.paint(Paint::Dim, &line))?;
    }
    if calls.is_empty() {
        return Ok(());
    }
    let axis = Axis::of(calls.rows.iter().map(|call| &call.sum.0.histogram));
    let span = axis.label();
    write_sums(out, style, |detail| {
        let with_histogram = detail == sums_table::Detail::Histogram;
        let row_of = |CallSum { syscall, sum: Sum(calls), .. }: &CallSum| {
            let mut numbers = plain([count(calls.count), errors(calls.errors)]);
            numbers.extend(duration_columns(detail, calls, sum.total_ns));
            if with_histogram {
                numbers.push((axis.draw(&calls.histogram), Paint::Plain));
            }
            row(numbers, syscall)
        };
        let last: &[&str] = if with_histogram { &[&span, "call"] } else { &["call"] };
        let titles = [&["calls", "errors"], duration_titles(detail), last].concat();
        (titles, calls.rows.iter().map(row_of).collect())
    })
}

/// A number of errors; none is an empty cell, as in `strace -c`.
fn errors(number: u64) -> String {
    if number == 0 { String::new() } else { count(number) }
}

/// What of the calls that `exact` counts was recorded one by one.
fn about_detail(profile: &Profile, detail: &Detail, exact: &Total) -> Vec<String> {
    let mut lines = Vec::new();
    if !detail.only.is_empty() {
        let names = detail.only[..detail.only.len().min(20)].join(", ");
        let more = if detail.only.len() > 20 { ", …" } else { "" };
        lines.push(format!("Recorded were only {names}{more}."));
    }
    if profile.info.filter.drops_stacks {
        return lines;
    }
    if detail.totals_only {
        lines.push("Single calls were not recorded.".to_owned());
    } else if detail.slower_than_ns > 0 {
        let limit = duration(detail.slower_than_ns);
        lines.push(format!("Single calls were recorded only from {limit} on."));
    } else if !profile.inexact.contains(&TotalClass::Calls) && detail.recorded < exact.count {
        let (rows, made) = (count(detail.recorded), count(exact.count));
        lines.push(match detail.stand_for > detail.recorded {
            true => format!(
                "Of {made} calls, {rows} were recorded one by one; they stand for {}.",
                count(detail.stand_for)
            ),
            false => format!("Of {made} calls, {rows} were recorded one by one."),
        });
    }
    lines
}

fn write_uring(out: &mut dyn Write, style: Style, page: &SyscallsPage) -> io::Result<()> {
    let requests = &page.io_uring;
    if requests.is_empty() {
        return Ok(());
    }
    let some = some_of(requests.rows.len(), requests.all());
    let note = format!("{} submitted{some}", count(page.io_uring_total));
    write_title(out, style, "IO_URING REQUESTS", &note)?;
    let row_of =
        |Requests { operation, count: number }: &Requests| row(plain([count(*number)]), operation);
    let table: Vec<TableRow> = requests.rows.iter().map(row_of).collect();
    write_table(out, style, &["requests", "operation"], &table)
}

fn write_failed(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &SyscallsPage,
) -> io::Result<()> {
    let failed = &page.failed;
    if failed.is_empty() {
        return Ok(());
    }
    let sum = page.failed_total;
    let exact = all(profile.totals.iter().filter(|total| total.class == TotalClass::Calls)).errors;
    let differ = match sum == exact {
        true => String::new(),
        // Single calls can be lost, left out, or stand for several.
        false => format!(" recorded one by one, {} in the sums above", count(exact)),
    };
    let note = format!("{}{differ}{}", count(sum), some_of(failed.rows.len(), failed.all()));
    write_title(out, style, "FAILED CALLS", &note)?;
    let row_of =
        |failed: &Failed| row(plain([count(failed.count), failed.error.clone()]), &failed.syscall);
    let table: Vec<TableRow> = failed.rows.iter().map(row_of).collect();
    write_table(out, style, &["calls", "error", "call"], &table)
}

fn write_in_flight(out: &mut dyn Write, style: Style, calls: &Rows<InFlight>) -> io::Result<()> {
    if calls.is_empty() {
        return Ok(());
    }
    let note = format!("in none of the sums above{}", some_of(calls.rows.len(), calls.all()));
    write_title(out, style, "IN FLIGHT", &note)?;
    let row_of =
        |calls: &InFlight| row(plain([count(calls.at_start), count(calls.at_end)]), &calls.syscall);
    let table: Vec<TableRow> = calls.rows.iter().map(row_of).collect();
    write_table(out, style, &["at the start", "at the end", "call"], &table)
}

fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    threads: &Rows<ThreadCalls>,
) -> io::Result<()> {
    if threads.all() < 2 {
        return Ok(());
    }
    let inexact = profile.inexact.contains(&TotalClass::Calls);
    let note = if inexact { "added up" } else { "exact sums" };
    let titles = ["calls", "errors", "time", "max"];
    let several = profile.processes.len() > 1;
    write_thread_sums(out, style, several, note, &titles, threads, |row| {
        let ThreadCalls { thread, sum: Sum(sum) } = row;
        let times = [sum.total_ns, sum.max_ns].map(duration);
        let numbers = [count(sum.count), errors(sum.errors)].into_iter().chain(times);
        (thread, numbers.collect())
    })
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{
        Calls, Event, EventKind, FailedCalls, Histogram, InFlightCalls, SYSCALLS, Sample,
    };

    use super::*;
    use crate::fixture::{Builder, text};

    fn total(thread: Option<u32>, number: u32, count: u64, errors: u64, each_ns: u64) -> Total {
        let mut histogram = Histogram::default();
        histogram.0[each_ns.ilog2() as usize] = count;
        Total {
            class: TotalClass::Calls,
            thread,
            number: Some(number),
            count,
            errors,
            total_ns: each_ns * count,
            min_ns: each_ns,
            max_ns: each_ns,
            histogram,
            ..Total::default()
        }
    }

    fn profile() -> Profile {
        let mut builder = Builder::new();
        let read = builder.stack(&["main", "fill", "ksys_read_[k]", "[syscall: read]"]);
        builder.thread(0, "pool-1", 4243);
        let mut profile = builder.profile;
        let kind = EventKind::Syscalls;
        profile.events.push(Event { kind, name: SYSCALLS.into(), ..Event::default() });
        let stack = Some(read);
        profile.samples.push(Sample { event: 1, thread: 0, stack, count: 5, weight: 1_000_000 });
        let uring = TotalClass::IoUring;
        profile.totals = vec![
            total(Some(0), 0, 10_000, 2, 300),
            total(Some(1), 0, 10, 0, 2_000_000),
            total(None, 257, 9, 7, 2_000),
            Total { class: uring, number: Some(22), count: 12, ..Total::default() },
        ];
        let failed = |number, errno, count| FailedCalls { number, errno, count };
        profile.calls = Calls {
            rows: 1_500,
            counted: 10_000,
            failed: vec![failed(0, 11, 2), failed(257, 2, 6)],
            in_flight: vec![InFlightCalls { number: 202, at_start: 1, at_end: 2 }],
        };
        profile
    }

    fn page(profile: &Profile, by: SortCalls) -> String {
        let options = SyscallOptions { limit: 25, by, threads: 10 };
        let report = text(|out| {
            let page = syscalls(profile, Some(1), options);
            write_syscalls(out, Style::default(), "t.rz", profile, Some(1), &page)
        });
        report.split_once("\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn the_whole_page() {
        let expected = "
SYSTEM CALLS  exact: 10,019 calls, 9 failed, 23.0 ms
Of 10,019 calls, 1,500 were recorded one by one; they stand for 10,000.
 calls  errors     time  share     mean       p50       p99      max  256 ns…4.19 ms  call
10,010       2  23.0 ms  99.9%  2.30 µs   ~406 ns   ~510 ns  2.00 ms         █     ▁  read
     9       7  18.0 µs   0.1%  2.00 µs  ~2.00 µs  ~2.00 µs  2.00 µs          █       openat

IO_URING REQUESTS  12 submitted
requests  operation
      12  READ

FAILED CALLS  8 recorded one by one, 9 in the sums above
calls   error  call
    6  ENOENT  openat
    2  EAGAIN  read

IN FLIGHT  in none of the sums above
at the start  at the end  call
           1           2  futex

TOP STACKS  sampled in proportion to time; without kernel functions
 share     time  samples  stack, leaf first
100.0%  1.00 ms        5  read ← fill ← main

THREADS  exact sums
 calls  errors     time      max   tid  thread
    10          20.0 ms  2.00 ms  4243  pool-1
10,000       2  3.00 ms   300 ns  4242  app
     9       7  18.0 µs  2.00 µs     -  threads not told apart
";
        assert_eq!(page(&profile(), SortCalls::Time), expected[1..]);
    }

    #[test]
    fn a_terminal_is_never_too_narrow() {
        let mut profile = profile();
        profile.totals.push(total(Some(0), 230, 10_000_000, 10_000, 3_000_000));
        profile.totals.push(total(Some(0), 290, 1, 0, 30));
        profile.info.captured.call_numbers = (0..20).collect();
        let page = |width| {
            let options = SyscallOptions { limit: 25, by: SortCalls::Time, threads: 10 };
            let style = Style { color: false, width: Some(width) };
            text(|out| {
                let page = syscalls(&profile, Some(1), options);
                write_syscalls(out, style, "t.rz", &profile, Some(1), &page)
            })
        };
        for (width, columns) in [
            (80, "share     mean      max  call\n"),
            (100, "share     mean       p50       p99      max  call\n"),
            (120, "max  16.0 ns…4.19 ms  call\n"),
        ] {
            let page = page(width);
            let widest = page.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{page}");
            assert!(page.contains(columns), "{page}");
        }
        let _ = [0, 1, 10].map(page);
    }

    #[test]
    fn sums_that_a_killed_recorder_did_not_write_are_not_called_exact() {
        let mut profile = profile();
        profile.inexact = vec![TotalClass::Calls];
        let title = "SYSTEM CALLS  the exact sums are missing";
        let added = "Added up is what was recorded one by one: 10,019 calls, 23.0 ms.";
        let start = |profile: &Profile| {
            let page = page(profile, SortCalls::Time);
            assert!(!page.contains("exact sums\n"), "{page}");
            page.lines().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(start(&profile), [title, added]);
        profile.info.cut_short = true;
        let title = format!("{title}: the recording was not ended");
        assert_eq!(start(&profile), [title.as_str(), added]);
        profile.totals.clear();
        assert_eq!(start(&profile), [&title, ""]);
    }

    #[test]
    fn calls_are_sorted() {
        let check = |by, expected: [&str; 2]| {
            let report = page(&profile(), by);
            let calls = report.lines().skip(3).take(2);
            let names: Vec<_> = calls.filter_map(|line| line.rsplit(' ').next()).collect();
            assert_eq!(names, expected);
        };
        check(SortCalls::Time, ["read", "openat"]);
        check(SortCalls::Count, ["read", "openat"]);
        check(SortCalls::Errors, ["openat", "read"]);
    }

    #[test]
    fn says_what_of_the_calls_is_there() {
        let check = |change: &dyn Fn(&mut Profile), expected: &str| {
            let mut profile = profile();
            change(&mut profile);
            let report = page(&profile, SortCalls::Time);
            assert_eq!(report.lines().nth(1), Some(expected));
        };
        let totals_only = |p: &mut Profile| p.info.captured.calls = CallDetail::Totals.into();
        check(&totals_only, "Single calls were not recorded.");
        check(
            &|p| p.info.captured.slower_than_ns = 1_000_000,
            "Single calls were recorded only from 1.00 ms on.",
        );
        check(&|p| p.calls.counted = 1_500, "Of 10,019 calls, 1,500 were recorded one by one.");
        check(&|p| p.info.captured.call_numbers = vec![0, 257], "Recorded were only read, openat.");
    }

    #[test]
    fn without_calls_it_is_one_line() {
        let mut profile = Builder::new().profile;
        profile.events.push(Event::default());
        assert_eq!(
            page(&profile, SortCalls::Time),
            "SYSTEM CALLS  none returned while it was recorded\n"
        );
    }
}
