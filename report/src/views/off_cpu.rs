//! The report about waiting: why threads did not run, where, and which.

use std::io::{self, Write};

use rz_profile::model::{Event, EventId, EventKind, Profile, Total, TotalClass, Unit};
use serde::Serialize;

use crate::model::rows::Rows;
use crate::model::sums::Sum;
use crate::model::threads::ShownThread;
use crate::model::top::{self, SortBy};
use crate::model::trees::{Direction, call_tree};
use crate::model::waits::{ThreadTime, WaitsFor, by_reason, by_thread, open_by_reason};
use crate::render::format::{count, counted, duration};
use crate::render::style::{Paint, Style};
use crate::render::sums_table::{
    duration_columns, duration_titles, sums_note, write_replacement, write_sums, write_thread_sums,
};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::stacks::{Stacks, stacks, write_stacks};
use crate::views::summary::{
    ShownFunction, SummaryOptions, shown_functions, with_samples, write_no_samples, write_top,
};

/// Why, where and which threads waited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OffCpuPage {
    /// All waits that were over; exact, unless `quality.inexact_sums` has
    /// `waits`. `null` if a filter by stack leaves sums out: then there are no
    /// reasons and no threads either.
    pub waits: Option<Sum>,
    /// The same by reason, the longest first.
    pub reasons: Rows<ReasonSum>,
    /// Waits that were not over at the end, by reason; in none of the sums
    /// above.
    pub still_waiting: Rows<ReasonSum>,
    /// Where threads waited, sampled in proportion to time.
    pub stacks: Stacks,
    /// Functions that waited, without those of the kernel.
    pub functions: Rows<ShownFunction>,
    /// Where the time of threads went.
    pub threads: Rows<ThreadTimes>,
}

/// Waits for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReasonSum {
    /// The system call that the thread was in, or such as `preempted`.
    pub reason: String,
    /// What they add up to.
    #[serde(flatten)]
    pub sum: Sum,
}

impl ReasonSum {
    /// What is shown of such waits.
    pub(crate) fn of(WaitsFor { reason, sum }: WaitsFor) -> Self {
        ReasonSum { reason: reason.to_string(), sum: Sum::of_waits(sum) }
    }
}

/// Where the time of a thread went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadTimes {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// How long it waited, what was not over at the end included.
    pub off_cpu_ns: u64,
    /// The part of it in which it was ready to run.
    pub ready_ns: u64,
    /// How long it ran, by samples; `null` if time on the CPU was not sampled.
    pub on_cpu_ns: Option<u64>,
    /// How often it waited.
    pub waits: u64,
}

/// What is known of waits: sums are exact, stacks and functions are sampled.
pub fn off_cpu(profile: &Profile, event: Option<EventId>, options: SummaryOptions) -> OffCpuPage {
    let reasons = by_reason(profile);
    let mut waits = Total::default();
    reasons.iter().for_each(|reason| waits.add(&reason.sum));
    let mut page = OffCpuPage {
        waits: (!profile.info.filter.drops_stacks).then(|| Sum::of_waits(waits)),
        reasons: Rows::first(options.limit, reasons, ReasonSum::of),
        still_waiting: Rows::first(options.limit, open_by_reason(profile), ReasonSum::of),
        threads: thread_times(profile, options.threads),
        ..OffCpuPage::default()
    };
    if let Some(event) = with_samples(profile, event) {
        let (tree, symbols) = call_tree(profile, event, Direction::TopDown, 0.0);
        page.stacks = stacks(&tree, &symbols, options.limit);
        let functions = top::functions_without_kernel(&tree);
        page.functions = shown_functions(functions, &symbols, options);
    }
    page
}

fn thread_times(profile: &Profile, limit: usize) -> Rows<ThreadTimes> {
    // What is known of threads has no stacks to filter by.
    if profile.info.filter.drops_stacks {
        return Rows::default();
    }
    // Other units than time do not tell for how long.
    let in_time = |event: &Event| event.kind == EventKind::Cpu && event.unit == Unit::Nanoseconds;
    let has_cpu = profile.events.iter().any(in_time);
    Rows::first(limit, by_thread(profile), |row: ThreadTime| ThreadTimes {
        thread: ShownThread::of(profile, row.thread),
        off_cpu_ns: row.waits.total_ns,
        ready_ns: row.waits.queued_ns,
        on_cpu_ns: row.thread.filter(|_| has_cpu).map(|_| row.on_cpu_ns),
        waits: row.waits.count,
    })
}

/// Writes why threads waited, from exact sums, then where, from the samples
/// of `event`, and which threads.
pub fn write_off_cpu(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &OffCpuPage,
    by: SortBy,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    write_reasons(out, style, profile, page)?;
    write_open(out, style, page)?;
    match with_samples(profile, event) {
        None => {
            writeln!(out)?;
            write_no_samples(out, profile, event)?;
        }
        Some(event) => {
            write_stacks(out, style, &page.stacks)?;
            let all = (page.stacks.total, profile.events[event].unit);
            write_top(out, style, &page.functions, all, by)?;
        }
    }
    write_threads(out, style, profile, page)
}

fn write_reasons(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &OffCpuPage,
) -> io::Result<()> {
    let (reasons, Sum(all)) = (&page.reasons, &page.waits.clone().unwrap_or_default());
    let exact = match all.count {
        0 => "no wait ended while it was recorded".to_owned(),
        n => format!(
            "exact: {}, {}, {} of it ready to run{}",
            counted(n, "wait"),
            duration(all.total_ns),
            duration(all.queued_ns),
            some_of(reasons.rows.len(), reasons.all())
        ),
    };
    let note = sums_note(profile, TotalClass::Waits, exact);
    write_title(out, style, "WHY THREADS WAITED", &note)?;
    write_replacement(out, style, profile, TotalClass::Waits, all, "wait")?;
    if reasons.is_empty() {
        return Ok(());
    }
    write_sums(out, style, |detail| {
        let row = |ReasonSum { reason, sum: Sum(sum) }: &ReasonSum| {
            let mut numbers = vec![(count(sum.count), Paint::Plain)];
            numbers.extend(duration_columns(detail, sum, all.total_ns));
            numbers.push((duration(sum.queued_ns), Paint::Plain));
            TableRow { numbers, text: reason.clone(), suffix: String::new() }
        };
        let titles = [&["waits"], duration_titles(detail), &["ready", "reason"]].concat();
        (titles, reasons.rows.iter().map(row).collect())
    })
}

/// What was not over at the end, which exact sums leave out.
fn write_open(out: &mut dyn Write, style: Style, page: &OffCpuPage) -> io::Result<()> {
    let reasons = &page.still_waiting;
    if reasons.is_empty() {
        return Ok(());
    }
    let note = format!("in none of the sums above{}", some_of(reasons.rows.len(), reasons.all()));
    write_title(out, style, "STILL WAITING AT THE END", &note)?;
    let row = |ReasonSum { reason, sum: Sum(sum) }: &ReasonSum| {
        let durations = [sum.total_ns, sum.max_ns].map(duration);
        let numbers = [count(sum.count)].into_iter().chain(durations);
        let numbers = numbers.map(|text| (text, Paint::Plain)).collect();
        TableRow { numbers, text: reason.clone(), suffix: String::new() }
    };
    let rows: Vec<TableRow> = reasons.rows.iter().map(row).collect();
    write_table(out, style, &["waits", "time", "max", "reason"], &rows)
}

fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &OffCpuPage,
) -> io::Result<()> {
    if page.threads.is_empty() {
        return Ok(());
    }
    let inexact = profile.inexact.contains(&TotalClass::Waits);
    let sums = if inexact { "added up" } else { "exact" };
    let note = format!("off CPU and ready to run: {sums}, on CPU: sampled");
    let titles = ["off CPU", "on CPU", "ready", "waits"];
    let several = profile.processes.len() > 1;
    write_thread_sums(out, style, several, &note, &titles, &page.threads, |row| {
        let on_cpu = row.on_cpu_ns.map_or_else(|| "-".to_owned(), duration);
        let numbers =
            vec![duration(row.off_cpu_ns), on_cpu, duration(row.ready_ns), count(row.waits)];
        (&row.thread, numbers)
    })
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{Event, Histogram, OFF_CPU, WaitState};

    use super::*;
    use crate::fixture::{Builder, text};

    const OPTIONS: SummaryOptions =
        SummaryOptions { limit: 25, by: SortBy::TotalWeight, threads: 10 };

    fn total(thread: u32, state: WaitState, number: Option<u32>, each_ns: u64) -> Total {
        let mut histogram = Histogram::default();
        histogram.0[each_ns.ilog2() as usize] = 10;
        Total {
            thread: Some(thread),
            state,
            number,
            count: 10,
            total_ns: 10 * each_ns,
            min_ns: each_ns,
            max_ns: each_ns,
            queued_ns: 1_000_000,
            histogram,
            ..Total::default()
        }
    }

    fn profile() -> Profile {
        let mut builder = Builder::new();
        let lock = builder.stack(&["main", "lock", "do_futex_[k]", "[off-CPU: futex]"]);
        let preempted = builder.stack(&["main", "work", "[off-CPU: preempted]"]);
        let work = builder.stack(&["main", "work"]);
        builder.sample(0, work, 100);
        builder.thread(0, "pool-1", 4243);
        let kind = EventKind::OffCpu;
        let mut profile = builder.profile;
        profile.events.push(Event { kind, name: OFF_CPU.into(), ..Event::default() });
        for (stack, count, weight) in [(lock, 4, 3_900_000_000), (preempted, 1, 20_000_000)] {
            profile.samples.push(rz_profile::model::Sample {
                event: 1,
                thread: 0,
                stack: Some(stack),
                count,
                weight,
            });
        }
        profile.totals = vec![
            total(0, WaitState::Sleeping, Some(202), 400_000_000),
            total(0, WaitState::Preempted, Some(202), 1_000_000),
        ];
        let open = Total { count: 1, queued_ns: 0, ..total(1, WaitState::Sleeping, None, 1) };
        let open_ns = 9_000_000_000;
        profile.open_waits = vec![Total { total_ns: open_ns, max_ns: open_ns, ..open }];
        profile
    }

    fn page(profile: &Profile, style: Style, limit: usize) -> String {
        let options = SummaryOptions { limit, ..OPTIONS };
        let page = off_cpu(profile, Some(1), options);
        let by = options.by;
        let report = text(|out| write_off_cpu(out, style, "t.rz", profile, Some(1), &page, by));
        report.split_once("\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn the_whole_page() {
        let expected = "
WHY THREADS WAITED  exact: 20 waits, 4.01 s, 2.00 ms of it ready to run
waits     time  share     mean       p50       p99      max    ready  reason
   10   4.00 s  99.8%   400 ms   ~400 ms   ~400 ms   400 ms  1.00 ms  futex
   10  10.0 ms   0.2%  1.00 ms  ~1.00 ms  ~1.00 ms  1.00 ms  1.00 ms  preempted

STILL WAITING AT THE END  in none of the sums above
waits    time     max  reason
    1  9.00 s  9.00 s  page fault

TOP STACKS  sampled in proportion to time; without kernel functions
share     time  samples  stack, leaf first
99.5%   3.90 s        4  futex ← lock ← main
 0.5%  20.0 ms        1  preempted ← work ← main

TOP FUNCTIONS  by total, 2 of 5
 self    time   total    time  function
 0.0%    0 ns  100.0%  3.92 s  main  app
99.5%  3.90 s   99.5%  3.90 s  [off-CPU: futex]

THREADS  off CPU and ready to run: exact, on CPU: sampled
off CPU  on CPU    ready  waits   tid  thread
 9.00 s    0 ns     0 ns      1  4243  pool-1
 4.01 s  1.00 s  2.00 ms     20  4242  app
";
        assert_eq!(page(&profile(), Style::default(), 2), expected[1..]);
    }

    #[test]
    fn sums_of_a_filter_are_not_exact() {
        let mut profile = profile();
        profile.inexact = vec![TotalClass::Waits];
        profile.info.filter.text = "1s to 2s".into();
        profile.info.filter.window = Some((1_000_000_000, 2_000_000_000));
        let shown = page(&profile, Style::default(), 25);
        let start = "WHY THREADS WAITED  added up: exact sums are of all the time\n";
        assert!(shown.contains(start) && shown.contains("\nTHREADS"), "{shown}");
        // Nothing is known of waits but their stacks.
        profile.info.filter.drops_stacks = true;
        (profile.totals, profile.open_waits) = (vec![], vec![]);
        let shown = page(&profile, Style::default(), 25);
        let start = "WHY THREADS WAITED  left out: sums have no stacks to filter by\n\nTOP STACKS";
        assert!(shown.contains(start) && !shown.contains("\nTHREADS"), "{shown}");
    }

    #[test]
    fn a_terminal_is_never_too_narrow() {
        let mut profile = profile();
        let blocked = total(0, WaitState::Io, None, 300_000_000);
        profile.totals.push(Total { count: 1_000_000, total_ns: 90_000_000_000_000, ..blocked });
        let page = |width| page(&profile, Style { color: false, width: Some(width) }, 25);
        for (width, columns) in [
            (80, "share     mean      max    ready  reason\n"),
            (120, "share     mean       p50       p99      max    ready  reason\n"),
        ] {
            let page = page(width);
            let widest = page.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{page}");
            assert!(page.contains(columns), "{page}");
        }
        let _ = [0, 1, 10].map(page);
    }

    #[test]
    fn functions_of_the_kernel_are_not_top_functions() {
        let page = page(&profile(), Style::default(), 25);
        let (_, functions) = page.split_once("TOP FUNCTIONS").unwrap();
        assert!(functions.contains("  lock  app\n"), "{page}");
        assert!(!functions.contains("do_futex"), "{page}");
    }

    #[test]
    fn a_limited_list_says_so() {
        let mut profile = profile();
        profile.open_waits.push(total(0, WaitState::Stopped, None, 5));
        let page = page(&profile, Style::default(), 1);
        let expected = [
            "WHY THREADS WAITED  exact: 20 waits, 4.01 s, 2.00 ms of it ready to run, 1 of 2\n",
            "STILL WAITING AT THE END  in none of the sums above, 1 of 2\n",
        ];
        expected.iter().for_each(|line| assert!(page.contains(line), "{page}"));
    }

    #[test]
    fn sums_that_a_killed_recorder_did_not_write_are_not_called_exact() {
        let mut profile = profile();
        profile.inexact = vec![TotalClass::Waits];
        profile.info.cut_short = true;
        let page = page(&profile, Style::default(), 25);
        let expected = "
WHY THREADS WAITED  the exact sums are missing: the recording was not ended
Added up is what was recorded one by one: 20 waits, 4.01 s.
waits ";
        assert!(page.starts_with(&expected[1..]), "{page}");
        assert!(page.contains("\nTHREADS  off CPU and ready to run: added up, on CPU"), "{page}");
    }
}
