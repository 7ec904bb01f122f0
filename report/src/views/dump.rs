//! What every thread was doing at the end: where it was, and what it waited for since when.

use std::cmp::Reverse;
use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_profile::model::{
    EventId, EventKind, FrameKind, Nanos, Profile, SmallStackId, StackId, ThreadId, TimedSample,
};
use rz_profile::reason::{Reason, WaitReason};
use serde::Serialize;

use crate::model::rows::Rows;
use crate::model::threads::ShownThread;
use crate::render::format::{counted, duration};
use crate::render::style::{Paint, Style};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::whole_stack::{StackFrame, functions_of_stack, same_stacks, write_stack};

/// A thread that does not wait at the end, and was not seen to run for so long before,
/// may be gone.
const RECENT_NS: Nanos = 1_000_000_000;

/// Threads named of those with the same stack, at most.
const MAX_NAMED: usize = 8;

/// What every thread was doing at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DumpPage {
    /// Whether waits were recorded: without them, only threads that ran are known.
    pub waits_recorded: bool,
    /// Whether there are so many samples or waits that they are not kept one by one, so
    /// that the last are not known.
    pub too_many: bool,
    /// Threads that did the same at the same place, the largest groups first.
    pub groups: Rows<ThreadGroup>,
    /// Threads that did not wait at the end, and were last seen on a CPU more than a
    /// second before: they may have ended.
    pub earlier_threads: u64,
}

/// Threads that did the same at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadGroup {
    /// Whether they waited or ran.
    pub state: ThreadState,
    /// What they waited for; `null` if they ran.
    pub reason: Option<String>,
    /// The threads, those that did so the longest first.
    pub threads: Vec<DumpedThread>,
    /// Where they were, leaf first; none if no stack is known.
    pub stack: Rows<StackFrame>,
}

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ThreadState {
    /// It does not run, or is ready to.
    Waiting,
    /// It was on a CPU when it was last sampled.
    Running,
}

/// A thread of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DumpedThread {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// How long it had waited; of one that ran, how long before the end it was sampled.
    pub ns: u64,
    /// Whether it had waited since before the recording, and so for longer than that.
    pub at_least: bool,
    /// Whether that is since it ran last, by the scheduler's clock, which is a little off.
    pub about: bool,
}

/// What every thread was doing at the end, by its samples one by one.
pub fn dump(profile: &Profile, limit: usize) -> DumpPage {
    let same = same_stacks(profile);
    let waits_recorded = profile.events.iter().any(|event| event.kind == EventKind::OffCpu);
    let too_many = is_incomplete(profile);
    let mut page = DumpPage { waits_recorded, too_many, ..DumpPage::default() };
    type Key = (ThreadState, Option<WaitReason>, Option<StackId>);
    let mut groups: FxHashMap<Key, Vec<DumpedThread>> = FxHashMap::default();
    for (thread, last) in last_of_threads(profile).into_iter().enumerate() {
        let (start_ns, end_ns) = bounds(profile, thread);
        let (state, sample, ns) = match last {
            Last { wait: Some(wait), .. } if end_of(&wait) >= end_ns => {
                (ThreadState::Waiting, wait, wait.duration_ns)
            }
            Last { sample: Some(sample), .. } => {
                (ThreadState::Running, sample, end_ns.saturating_sub(sample.time_ns))
            }
            // Its waits were over, and it was not sampled.
            Last { wait: Some(wait), sample: None } => (
                ThreadState::Running,
                TimedSample { stack: SmallStackId::default(), ..wait },
                end_ns.saturating_sub(end_of(&wait)),
            ),
            Last { wait: None, sample: None } => continue,
        };
        if state == ThreadState::Running && ns > RECENT_NS {
            page.earlier_threads += 1;
            continue;
        }
        let (reason, stack) = without_reason(profile, sample.stack.get());
        let is_older = state == ThreadState::Waiting && sample.time_ns <= start_ns;
        let last_ran = profile.last_ran.get(&thread).filter(|ran| is_older && **ran < start_ns);
        let ns = last_ran.map_or(ns, |ran_ns| end_ns.saturating_sub(*ran_ns));
        let (about, at_least) = (last_ran.is_some(), is_older && last_ran.is_none());
        let thread = ShownThread::of(profile, Some(thread));
        let key = (state, reason, stack.map(|stack| same[stack]));
        groups.entry(key).or_default().push(DumpedThread { thread, ns, at_least, about });
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.iter_mut().for_each(|(_, threads)| {
        threads.sort_by_key(|thread| (Reverse(thread.ns), thread.thread.tid));
    });
    groups.sort_by_key(|((state, ..), threads)| {
        (Reverse(threads.len()), *state == ThreadState::Waiting, threads[0].thread.tid)
    });
    page.groups = Rows::first(limit, groups, |((state, reason, stack), threads)| ThreadGroup {
        state,
        reason: reason.map(|reason| reason.to_string()),
        threads,
        stack: functions_of_stack(profile, stack),
    });
    page
}

/// What is known last of a thread: a wait, and a sample of the CPU.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    wait: Option<TimedSample>,
    sample: Option<TimedSample>,
}

fn last_of_threads(profile: &Profile) -> Vec<Last> {
    let mut last_of = vec![Last::default(); profile.threads.len()];
    for sample in profile.timeline.iter().flatten() {
        let last = &mut last_of[sample.thread];
        let known = match profile.events[sample.event].kind {
            EventKind::Cpu => &mut last.sample,
            EventKind::OffCpu => &mut last.wait,
            EventKind::Wall
            | EventKind::Syscalls
            | EventKind::Functions
            | EventKind::Alloc
            | EventKind::Growth
            | EventKind::Other => continue,
        };
        if known.is_none_or(|known| end_of(&known) <= end_of(sample)) {
            *known = Some(*sample);
        }
    }
    last_of
}

/// Whether some of what happened is not in the timeline.
fn is_incomplete(profile: &Profile) -> bool {
    let is_of_end =
        |event: EventId| matches!(profile.events[event].kind, EventKind::Cpu | EventKind::OffCpu);
    let all = profile.samples.iter().filter(|sample| is_of_end(sample.event));
    let kept = profile.timeline.iter().flatten().filter(|sample| is_of_end(sample.event));
    all.map(|sample| sample.count).sum::<u64>() > kept.map(|sample| sample.count).sum()
}

fn end_of(sample: &TimedSample) -> Nanos {
    sample.time_ns.saturating_add(sample.duration_ns)
}

/// When the recording of a thread, or the window of it that is looked at, began and ended.
fn bounds(profile: &Profile, thread: ThreadId) -> (Nanos, Nanos) {
    let until = |start: Nanos, duration| (start, start.saturating_add(duration));
    let (start_ns, end_ns) = until(profile.info.start_ns, profile.info.duration_ns);
    let (_, process) = profile.thread(thread);
    match profile.sources.get(process.source) {
        Some(source) if source.duration_ns > 0 => {
            let (from_ns, to_ns) = until(source.start_ns, source.duration_ns);
            (start_ns.max(from_ns), end_ns.min(to_ns))
        }
        // What other tools recorded may not say.
        Some(_) | None => (start_ns, end_ns),
    }
}

/// Why a thread waited, and where: the rest of the stack.
fn without_reason(
    profile: &Profile,
    stack: Option<StackId>,
) -> (Option<WaitReason>, Option<StackId>) {
    let leaf = stack.map(|stack| profile.stacks[stack]);
    match leaf.map(|leaf| (profile.locations[leaf.location].kind, leaf.parent)) {
        Some((FrameKind::Reason(Reason::OffCpu(reason)), parent)) => (Some(reason), parent),
        _ => (None, stack),
    }
}

/// Writes what every thread was doing at the end.
pub fn write_dump(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &DumpPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let shown = page.groups.rows.iter().map(|group| group.threads.len() as u64).sum();
    let some = some_of(page.groups.rows.len(), page.groups.all());
    let note = match page.groups.is_empty() {
        true => "none that is known of".to_owned(),
        false => format!("{} at the end, by what they did{some}", counted(shown, "thread")),
    };
    write_title(out, style, "THREADS", &note)?;
    for group in &page.groups.rows {
        write_group(out, style, group, profile.processes.len() > 1)?;
    }
    writeln!(out)?;
    if page.too_many {
        writeln!(
            out,
            "There are too many samples or waits to keep each: choose the last, as by --from 99%."
        )?;
    }
    if !page.waits_recorded {
        writeln!(
            out,
            "Waits were not recorded: threads that waited are missing; rec --off-cpu has them."
        )?;
    }
    if page.earlier_threads > 0 {
        let threads = counted(page.earlier_threads, "thread");
        writeln!(out, "{threads} ran more than a second before the end, and may be gone.")?;
    }
    Ok(())
}

fn write_group(
    out: &mut dyn Write,
    style: Style,
    group: &ThreadGroup,
    several: bool,
) -> io::Result<()> {
    let number = group.threads.len();
    let who = match number {
        1 => String::new(),
        _ => format!("{} ", counted(number as u64, "thread")),
    };
    let does = match (group.state, group.reason.as_deref(), number) {
        (ThreadState::Running, ..) => "on a CPU".to_owned(),
        (ThreadState::Waiting, reason, 1) => format!("waits: {}", reason.unwrap_or("unknown")),
        (ThreadState::Waiting, reason, _) => format!("wait: {}", reason.unwrap_or("unknown")),
    };
    writeln!(out)?;
    if number > 1 {
        writeln!(out, "  {}", style.paint(Paint::Bold, &format!("{who}{does}")))?;
    }
    for thread in group.threads.iter().take(MAX_NAMED) {
        let (tid, name, process) = thread.thread.clone().texts(several);
        let process = if process.is_empty() { process } else { format!(" of {process}") };
        let ns = duration(thread.ns);
        let how_long = match group.state {
            ThreadState::Running => format!("{ns} before the end"),
            ThreadState::Waiting if thread.at_least => format!("for {ns} and longer"),
            ThreadState::Waiting if thread.about => format!("for about {ns}"),
            ThreadState::Waiting => format!("for {ns}"),
        };
        let line = match number {
            1 => format!("{name} ({tid}){process}, {does}, {how_long}"),
            _ => format!("{name} ({tid}){process}, {how_long}"),
        };
        let paint = if number == 1 { Paint::Bold } else { Paint::Plain };
        writeln!(out, "  {}", style.paint(paint, &line))?;
    }
    if number > MAX_NAMED {
        writeln!(out, "  and {} more", number - MAX_NAMED)?;
    }
    write_stack(out, style, &group.stack)
}

#[cfg(test)]
mod tests {
    use rz_profile::fixture;

    use super::*;
    use crate::fixture::text;

    /// What is written below the header.
    fn written(profile: &Profile, limit: usize) -> String {
        let page = dump(profile, limit);
        let whole = text(|out| write_dump(out, Style::default(), "t.rz", profile, Some(0), &page));
        whole.split_once("\n\n").unwrap().1.to_owned()
    }

    /// A profile of 3 ms.
    fn short(profile: Profile) -> Profile {
        let info = rz_profile::model::Info { duration_ns: 3_000_000, ..profile.info.clone() };
        Profile { info, ..profile }
    }

    #[test]
    fn one_thread_waits_and_one_ran() {
        let expected = "\
THREADS  2 threads at the end, by what they did

  worker;1 (11), on a CPU, 3.00 ms before the end
      helper  lib.rs:6
      [truncated]

  app (10), waits: futex, for 2.00 ms
      helper  lib.rs:6
      main  app.rs:10
";
        assert_eq!(written(&short(fixture::with_waits()), 10).trim_end(), expected.trim_end());
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut profile = short(fixture::profile());
        assert!(written(&profile, 10).contains("Waits were not recorded"));
        profile.info.duration_ns = 5_000_000_000;
        assert!(written(&profile, 10).contains("2 threads ran more than a second before"));
        profile.timeline = None;
        assert!(written(&profile, 10).contains("choose the last, as by --from 99%"));
    }
}
