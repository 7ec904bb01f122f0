//! What a process did besides running, in a line for each: waits, system calls, memory.

use std::io::{self, Write};

use rz_profile::model::{Profile, Total, TotalClass};
use rz_profile::reason::{Place, WaitReason, call_name};
use serde::Serialize;

use crate::model::calls::{SortCalls, all, by_number};
use crate::model::estimated::ShownSum;
use crate::model::rows::Rows;
use crate::model::sums::Sum;
use crate::model::waits::{WaitsFor, by_reason};
use crate::render::format::{count, duration};
use crate::render::style::{Paint, Style};
use crate::views::heap::{amounts, totals_of};
use crate::views::off_cpu::ReasonSum;
use crate::views::syscalls::CallSum;

/// Reasons and calls that are named, at most.
const NAMED: usize = 4;

/// Calls in which a thread waits until there is something to do, for a time that it
/// chose, or for a child: it is idle by design. `futex` and `read` may be that or not.
const IDLE_CALLS: [&str; 17] = [
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "accept",
    "accept4",
    "nanosleep",
    "clock_nanosleep",
    "pause",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "wait4",
    "waitid",
    "io_getevents",
];

/// What a process did besides running.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Overview {
    /// How long threads ran, as the scheduler counted it; `null` if it was not read, or
    /// something is filtered.
    pub on_cpu: Option<CpuSum>,
    /// Waits that were over, but for those that are `idle`; `null` if none were recorded,
    /// or a filter leaves sums out.
    pub waiting: Option<WaitingSum>,
    /// Waits until there is something to do (`epoll_wait`, `accept` and the like), for a
    /// time that was chosen, or for a child; likewise.
    pub idle: Option<WaitingSum>,
    /// System calls that returned; likewise.
    pub syscalls: Option<CallsSum>,
    /// Allocations; `null` if none were recorded.
    pub memory: Option<MemorySum>,
}

/// Time on the CPU, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CpuSum {
    /// In how much time.
    pub in_ns: u64,
    /// How long threads ran in it.
    pub ran_ns: u64,
    /// How long they were ready to run and no CPU was free.
    pub ready_ns: u64,
    /// How often they were given a CPU.
    pub runs: u64,
    /// Whether it is all; if not, some began or ended unseen, or too many to tell.
    pub complete: bool,
}

/// Waits, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WaitingSum {
    /// All of them.
    #[serde(flatten)]
    pub sum: Sum,
    /// The same by reason, the longest first.
    pub reasons: Rows<ReasonSum>,
}

/// System calls, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CallsSum {
    /// All of them.
    #[serde(flatten)]
    pub sum: Sum,
    /// The same by call, the longest time first.
    pub calls: Rows<CallSum>,
}

/// Allocations, added up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemorySum {
    /// All that were allocated.
    pub allocated: ShownSum,
    /// What was live when most bytes were.
    pub at_peak: ShownSum,
    /// What was live at the end of its process, or else of the recording.
    pub live_at_end: ShownSum,
}

/// What is known of that, by exact sums.
pub(crate) fn overview(profile: &Profile) -> Overview {
    let memory = totals_of(profile).map(|totals| MemorySum {
        allocated: totals.allocated,
        at_peak: totals.at_peak.live,
        live_at_end: totals.live_at_end,
    });
    let on_cpu = profile.cpu_times.as_ref().filter(|_| !profile.info.filter.is_active());
    let on_cpu = on_cpu.map(|times| CpuSum {
        in_ns: times.span_ns,
        ran_ns: times.total.ran_ns,
        ready_ns: times.total.ready_ns,
        runs: times.total.runs,
        complete: times.complete,
    });
    // Sums know no stacks.
    if profile.info.filter.drops_stacks {
        return Overview { memory, ..Overview::default() };
    }
    let (idle, waiting): (Vec<WaitsFor>, Vec<WaitsFor>) =
        by_reason(profile).into_iter().partition(|waits| is_idle(waits.reason));
    let calls = by_number(profile, TotalClass::Calls, SortCalls::Time);
    Overview {
        on_cpu,
        waiting: waiting_sum(waiting),
        idle: waiting_sum(idle),
        syscalls: (!calls.is_empty()).then(|| CallsSum {
            sum: Sum::of_calls(all(calls.iter().map(|(_, sum)| sum))),
            calls: Rows::first(NAMED, calls, CallSum::of),
        }),
        memory,
    }
}

fn is_idle(reason: WaitReason) -> bool {
    match reason {
        WaitReason::In(Place::Syscall(number)) => IDLE_CALLS.contains(&&*call_name(number)),
        // A thread of the kernel's.
        WaitReason::Sleeping => true,
        _ => false,
    }
}

fn waiting_sum(reasons: Vec<WaitsFor>) -> Option<WaitingSum> {
    if reasons.is_empty() {
        return None;
    }
    let mut sum = Total::default();
    reasons.iter().for_each(|waits| sum.add(&waits.sum));
    Some(WaitingSum {
        sum: Sum::of_waits(sum),
        reasons: Rows::first(NAMED, reasons, ReasonSum::of),
    })
}

/// Writes it as lines of a header.
pub(crate) fn write_overview(
    out: &mut dyn Write,
    style: Style,
    overview: &Overview,
) -> io::Result<()> {
    let mut line = |key: &str, text: String| {
        writeln!(out, "  {}{text}", style.paint(Paint::Dim, &format!("{key:<10}")))
    };
    if let Some(cpu) = &overview.on_cpu {
        let least = if cpu.complete { "" } else { "at least " };
        let cores = cpu.ran_ns as f64 / cpu.in_ns.max(1) as f64;
        let (ran, ready) = (duration(cpu.ran_ns), duration(cpu.ready_ns));
        let text =
            format!("{least}{ran} = {cores:.2} cores, exact; threads waited {ready} for a CPU");
        line("on CPU", text)?;
    }
    let waits = |waits: &WaitingSum| {
        let parts = waits.reasons.rows.iter();
        let parts = parts.map(|row| format!("{} {}", row.reason, duration(row.sum.0.total_ns)));
        (duration(waits.sum.0.total_ns), named(parts, waits.reasons.left_out))
    };
    if let Some((all, reasons)) = overview.waiting.as_ref().map(waits) {
        line("waiting", format!("{all}: {reasons}"))?;
    }
    if let Some((all, reasons)) = overview.idle.as_ref().map(waits) {
        line("idle", format!("{all} by design: {reasons}"))?;
    }
    if let Some(CallsSum { sum: Sum(sum), calls }) = &overview.syscalls {
        let parts = calls.rows.iter();
        let parts = parts.map(|row| format!("{} {}", row.syscall, duration(row.sum.0.total_ns)));
        let (number, failed) = (count(sum.count), count(sum.errors));
        let names = named(parts, calls.left_out);
        line("calls", format!("{number} in {}, {failed} failed: {names}", duration(sum.total_ns)))?;
    }
    if let Some(MemorySum { allocated, at_peak, live_at_end }) = &overview.memory {
        let [all, peak, left] =
            [allocated, at_peak, live_at_end].map(|sum| amounts::bytes(sum.bytes));
        line("memory", format!("{all} allocated, {peak} at the peak, {left} never freed"))?;
    }
    Ok(())
}

fn named(parts: impl Iterator<Item = String>, left_out: u64) -> String {
    let mut parts: Vec<String> = parts.collect();
    if left_out > 0 {
        parts.push(format!("{} more", count(left_out)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{Heap, Sum as HeapSum};
    use rz_profile::model::{CpuTime, CpuTimes, WaitState};

    use super::*;
    use crate::fixture::{Builder, text};

    fn total(class: TotalClass, state: WaitState, number: u32, total_ns: u64) -> Total {
        let (thread, number) = (Some(0), Some(number));
        Total { class, thread, state, number, count: 2, total_ns, ..Total::default() }
    }

    #[test]
    fn a_line_for_each() {
        use WaitState::*;
        let mut profile = Builder::of(&[("main", 5)]);
        assert_eq!(overview(&profile), Overview::default());
        let waits = |state, number, ns| total(TotalClass::Waits, state, number, ns);
        profile.totals = vec![
            waits(Sleeping, 202, 3_000_000_000),
            waits(Sleeping, 232, 9_000_000_000),
            waits(Sleeping, 35, 1_000_000_000),
            waits(Preempted, 35, 20_000_000),
            Total { errors: 1, ..total(TotalClass::Calls, Unknown, 0, 5_000) },
            total(TotalClass::Calls, Unknown, 1, 7_000),
        ];
        let mut heap = Heap::default();
        heap.total.allocated = HeapSum::of_object(5 << 20, 0);
        heap.total.at_end = HeapSum::of_object(1 << 20, 0);
        profile.heap = Some(heap);
        let total = CpuTime { ran_ns: 15_200_000_000, ready_ns: 7_000_000, ..CpuTime::default() };
        let cpu_times = CpuTimes { total, span_ns: 10_000_000_000, ..CpuTimes::default() };
        profile.cpu_times = Some(CpuTimes { complete: true, ..cpu_times });
        let shown = text(|out| write_overview(out, Style::default(), &overview(&profile)));
        let expected = "
  on CPU    15.2 s = 1.52 cores, exact; threads waited 7.00 ms for a CPU
  waiting   3.02 s: futex 3.00 s, preempted 20.0 ms
  idle      10.0 s by design: epoll_wait 9.00 s, nanosleep 1.00 s
  calls     4 in 12.0 µs, 1 failed: write 7.00 µs, read 5.00 µs
  memory    5.0 MiB allocated, 0 B at the peak, 1.0 MiB never freed
";
        assert_eq!(shown, expected[1..]);
        // With a filter by stack, sums are of more than what is shown.
        profile.info.filter.drops_stacks = true;
        assert_eq!(overview(&profile).waiting, None);
    }
}
