//! Functions that were entered and left at some times, or called for some time: what is in
//! between is a sample of what was entered then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;
use rz_format::{Frame, Sample, StackId};

use super::functions::{Function, Functions};
use super::output::Output;
use super::{ImportError, Imported};

/// Functions within each other, at most.
const MAX_DEPTH: usize = 4096;
/// Times that a call goes on after the one that it was made in, at most.
const MAX_CROSSING: u64 = 1 << 22;
/// Functions that go on when the one that they were entered in is left, at most.
const MAX_CROSSED: usize = 64;

/// What happens to a thread's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Enter,
    /// A whole call.
    Call,
    Leave,
}

impl Kind {
    /// How many more ends than beginnings it is.
    fn ends(self) -> i64 {
        match self {
            Kind::Enter => -1,
            Kind::Call => 0,
            Kind::Leave => 1,
        }
    }
}

/// That it happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) at_ns: i64,
    /// How long a whole call took.
    pub(super) took_ns: u64,
    /// Of the function.
    pub(super) name: u32,
    pub(super) kind: Kind,
}

/// Names of functions, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: FxHashMap<Box<str>, u32>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let next = self.numbers.len() as u32;
        self.numbers.insert(name.into(), next);
        next
    }

    fn in_order(self) -> Vec<Box<str>> {
        let mut names = vec![Box::default(); self.numbers.len()];
        for (name, number) in self.numbers {
            names[number as usize] = name;
        }
        names
    }
}

/// Writes samples of the time between changes.
pub(super) struct Timelines<'o> {
    pub(super) out: Output<'o>,
    /// The event that time is measured by.
    event: u32,
    functions: Functions,
    names: Vec<Box<str>>,
    /// Of functions that have been met.
    frames: Vec<Option<Frame>>,
    /// Ends of what has not begun.
    unmatched: u64,
    /// Beginnings without an end.
    never_left: u64,
    /// Calls that outlast their callers.
    crossed: u64,
    pub(super) end_ns: u64,
}

/// When a change comes, and, at the same time, before which others: a longer call is around a
/// shorter one.
type Order = (i64, u64);

fn order(change: &Change) -> Order {
    match change.kind {
        Kind::Call => (change.at_ns, u64::MAX - change.took_ns),
        Kind::Enter | Kind::Leave => (change.at_ns, 0),
    }
}

/// A thread whose changes are gone through.
#[derive(Default)]
struct Thread {
    id: u32,
    start_ns: i64,
    now_ns: i64,
    open: Vec<Open>,
    /// Which of them are whole calls, each of which ends no later than those around it.
    calls: Vec<usize>,
    /// Ends that came before their beginnings, at the same time.
    early: Vec<u32>,
    /// By function, how many more ends than beginnings are still to come.
    ends: FxHashMap<u32, i64>,
    /// What is left of calls that outlast the call that they were made in.
    going_on: BinaryHeap<Reverse<(Order, u32)>>,
}

impl Thread {
    /// Where the innermost whole call is, and when it ends.
    fn innermost_call(&self) -> Option<(usize, i64)> {
        let at = *self.calls.last()?;
        Some((at, self.open[at].until_ns?))
    }

    fn rest_of_call(&mut self) -> Option<Change> {
        let Reverse(((at_ns, left), name)) = self.going_on.pop()?;
        Some(Change { at_ns, took_ns: u64::MAX - left, name, kind: Kind::Call })
    }
}

/// A function that was entered.
struct Open {
    name: u32,
    stack: StackId,
    /// When it is left, if that is known.
    until_ns: Option<i64>,
}

impl<'o> Timelines<'o> {
    pub(super) fn new(out: Output<'o>, event: u32, names: Names) -> Self {
        let names = names.in_order();
        Timelines {
            out,
            event,
            functions: Functions::default(),
            frames: vec![None; names.len()],
            names,
            unmatched: 0,
            never_left: 0,
            crossed: 0,
            end_ns: 0,
        }
    }

    /// A frame of a function that is known by its name.
    pub(super) fn frame(&mut self, name: &str) -> Frame {
        self.functions.frame(Function::named(name), &mut self.out)
    }

    /// Adds the time of a thread's functions. Changes need not be in order; those at the same
    /// time are, but for calls, of which the longer one is around the shorter one.
    pub(super) fn add(
        &mut self,
        thread: u32,
        mut changes: Vec<Change>,
        start_ns: i64,
    ) -> Result<(), ImportError> {
        changes.sort_by_key(order);
        let last_ns = changes.last().map_or(0, |change| change.at_ns);
        let mut thread = Thread { id: thread, start_ns, now_ns: start_ns, ..Thread::default() };
        for change in changes.iter().filter(|change| change.kind != Kind::Call) {
            *thread.ends.entry(change.name).or_default() += change.kind.ends();
        }
        let mut changes = changes.into_iter().peekable();
        loop {
            let goes_on = thread.going_on.peek().map(|Reverse((order, _))| *order);
            let is_next = match (goes_on, changes.peek()) {
                (Some(goes_on), Some(change)) => goes_on < order(change),
                (goes_on, _) => goes_on.is_some(),
            };
            let change = if is_next { thread.rest_of_call() } else { changes.next() };
            let Some(change) = change else { break };
            self.apply(change, &mut thread)?;
        }
        self.unmatched += thread.early.len() as u64;
        let ends = thread.open.iter().filter_map(|one| one.until_ns).max();
        let end_ns = ends.map_or(last_ns, |end_ns| end_ns.max(last_ns));
        self.leave_until(end_ns, &mut thread)?;
        self.pass(end_ns, &mut thread)?;
        self.never_left += thread.open.len() as u64;
        Ok(())
    }

    fn apply(&mut self, change: Change, thread: &mut Thread) -> Result<(), ImportError> {
        let Change { at_ns, took_ns, name, kind } = change;
        self.leave_until(at_ns, thread)?;
        if at_ns > thread.now_ns {
            self.unmatched += thread.early.len() as u64;
            thread.early.clear();
        }
        self.pass(at_ns, thread)?;
        if kind != Kind::Call {
            *thread.ends.entry(name).or_default() -= kind.ends();
        }
        match kind {
            Kind::Leave => self.leave(name, thread),
            Kind::Enter => match thread.early.iter().position(|early| *early == name) {
                Some(at) => drop(thread.early.swap_remove(at)),
                None => self.enter(name, None, thread),
            },
            Kind::Call => {
                let mut until_ns = at_ns.saturating_add_unsigned(took_ns);
                let around_ns = thread.innermost_call().map(|(_, until_ns)| until_ns);
                if let Some(around_ns) = around_ns.filter(|around_ns| *around_ns < until_ns) {
                    let took_ns = around_ns.abs_diff(until_ns);
                    let rest = Change { at_ns: around_ns, took_ns, ..change };
                    if self.crossed < MAX_CROSSING {
                        thread.going_on.push(Reverse((order(&rest), name)));
                    }
                    until_ns = around_ns;
                    self.crossed += 1;
                }
                self.enter(name, Some(until_ns), thread);
            }
        }
        Ok(())
    }

    fn enter(&mut self, name: u32, until_ns: Option<i64>, thread: &mut Thread) {
        let open = &mut thread.open;
        let caller = open.last().map(|one| one.stack);
        // Deeper ones are their caller's.
        let stack = if open.len() < MAX_DEPTH {
            let frame = self.frame_of(name);
            self.out.stack(caller, frame)
        } else {
            open[MAX_DEPTH - 1].stack
        };
        if until_ns.is_some() {
            thread.calls.push(open.len());
        }
        open.push(Open { name, stack, until_ns });
    }

    fn frame_of(&mut self, name: u32) -> Frame {
        let at = name as usize;
        if let Some(frame) = self.frames[at] {
            return frame;
        }
        let function = Function::named(&*self.names[at]);
        let frame = self.functions.frame(function, &mut self.out);
        self.frames[at] = Some(frame);
        frame
    }

    /// Leaves a function; any, if the end has no name.
    fn leave(&mut self, name: u32, thread: &mut Thread) {
        let is_nameless = self.names[name as usize].is_empty();
        let is_it = |one: &Open| one.until_ns.is_none() && (is_nameless || one.name == name);
        match thread.open.iter().rposition(is_it) {
            Some(at) => self.close(at, thread),
            None => thread.early.push(name),
        }
    }

    /// Leaves calls that are over at some time.
    fn leave_until(&mut self, at_ns: i64, thread: &mut Thread) -> Result<(), ImportError> {
        while let Some((at, until_ns)) = thread.innermost_call().filter(|(_, ns)| *ns <= at_ns) {
            self.pass(until_ns, thread)?;
            self.close(at, thread);
        }
        Ok(())
    }

    /// Leaves what was entered at some depth. What was entered in it goes on without it if its
    /// own end is still to come, and is over if there is none.
    fn close(&mut self, at: usize, thread: &mut Thread) {
        let inner: Vec<Open> = thread.open.drain(at..).skip(1).collect();
        while thread.calls.pop_if(|call| *call >= at).is_some() {}
        let mut going_on = Vec::new();
        // Ends are of the innermost function of their name.
        for one in inner.into_iter().rev() {
            let ends = thread.ends.get(&one.name).copied().unwrap_or(0);
            let taken = going_on.iter().filter(|other: &&Open| other.name == one.name).count();
            let has_end = one.until_ns.is_some() || ends > taken as i64;
            if has_end && going_on.len() < MAX_CROSSED {
                going_on.push(one);
            } else {
                self.never_left += u64::from(one.until_ns.is_none());
            }
        }
        self.crossed += going_on.len() as u64;
        for one in going_on.into_iter().rev() {
            self.enter(one.name, one.until_ns, thread);
        }
    }

    /// Adds the time since the last change to what is open.
    fn pass(&mut self, at_ns: i64, thread: &mut Thread) -> Result<(), ImportError> {
        let weight = u64::try_from(at_ns.saturating_sub(thread.now_ns)).unwrap_or(0);
        thread.now_ns = at_ns.max(thread.now_ns);
        let top = thread.open.last().filter(|_| weight > 0);
        let Some(Open { stack, .. }) = top else { return Ok(()) };
        let time_ns = at_ns.saturating_sub(thread.start_ns).cast_unsigned();
        self.end_ns = self.end_ns.max(time_ns);
        let (event, stack, thread) = (self.event, Some(*stack), thread.id);
        self.out.sample(Sample { event, thread, stack, weight, time_ns, ..Sample::default() })
    }

    /// Says what was odd, and ends the trace.
    pub(super) fn finish(mut self) -> Result<Imported, ImportError> {
        for (count, what) in [
            (self.unmatched, "ends of events that have not begun were left out"),
            (self.never_left, "events have no end: they end with what they are in"),
            (self.crossed, "calls outlast the call that they are in: they go on without it"),
        ] {
            if count > 0 {
                self.out.note(format!("{count} {what}"));
            }
        }
        self.out.finish(Some(self.end_ns))
    }
}
