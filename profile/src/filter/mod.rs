//! Filters: which part of a recording is looked at.
//!
//! Time and threads are selected row by row while a trace is loaded, as if
//! only that had been recorded: [`Info::duration_ns`](crate::model::Info)
//! is then the length of the window, and what was lost is what was lost in it.
//! Functions and modules are selected in the finished profile, because names
//! are known only then.
//!
//! ```text
//! rows ─► from, to, threads, processes, spans ─► Profile ─► focus, ignore
//!                                             └► only modules, only runtimes ─► recursion
//! ```
//!
//! Exact sums have a thread, but neither a time nor a stack. Within a window
//! they are added up from what was recorded one by one; where stacks are
//! selected they are left out. Both are marked in
//! [`Profile::inexact`](crate::model::Profile::inexact).

mod heap;
mod pattern;
mod rewrite;
mod runtime;
mod stacks;
#[cfg(test)]
mod tests;
mod time;

pub use crate::glob::Glob;
pub use pattern::{Pattern, PatternError};
pub use runtime::{NamedRuntime, RuntimeError};
pub(crate) use stacks::{Stacks, apply};
pub use time::{Moment, MomentError, Window, WindowError};

use crate::model::{AppliedSpans, Nanos, show_time};
use crate::spans::SpanFilter;

/// Which part of a recording is looked at. The default is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The beginning of a window of time.
    pub from: Option<Moment>,
    /// The end of a window of time, which is not part of it.
    pub to: Option<Moment>,
    /// Only threads of which any matches the name or the number.
    pub threads: Vec<Glob>,
    /// Only processes of which any matches the name or the number.
    pub processes: Vec<Glob>,
    /// Only the time of spans, each in its thread.
    pub spans: Option<SpanFilter>,
    /// Only stacks with a function whose name any matches.
    pub focus: Vec<Pattern>,
    /// No stacks with a function whose name any matches.
    pub ignore: Vec<Pattern>,
    /// Only frames of modules of which any matches the name or the path. What
    /// others did is attributed to the nearest caller in one of these; stacks
    /// without such a frame are left out.
    pub only_modules: Vec<Glob>,
    /// Only frames of code that any of these runs. What others did is attributed
    /// as with modules.
    pub only_runtimes: Vec<NamedRuntime>,
    /// Only frames of code that any runtime runs, in the same way.
    pub without_native: bool,
    /// A function has one frame in a stack at most. From where it was first
    /// called to where it was last called, all frames are left out, so that
    /// `a;b;a;c` becomes `a;c`: whatever ran still ran, and callers are
    /// callers.
    pub collapse_recursion: bool,
}

impl Filter {
    /// Whether only a window of time is looked at, apart from spans.
    pub fn by_time(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether only some threads are looked at.
    pub fn by_thread(&self) -> bool {
        !self.threads.is_empty() || !self.processes.is_empty()
    }

    /// Whether stacks are left out or changed.
    pub fn by_stack(&self) -> bool {
        self.drops_stacks() || self.collapse_recursion
    }

    /// Whether stacks are left out.
    pub(crate) fn drops_stacks(&self) -> bool {
        !self.focus.is_empty() || !self.ignore.is_empty() || self.by_code()
    }

    /// Whether only frames of some code are looked at.
    fn by_code(&self) -> bool {
        !self.only_modules.is_empty() || !self.only_runtimes.is_empty() || self.without_native
    }

    /// Whether a thread with this name and number is looked at.
    pub(crate) fn has_thread(&self, name: &str, tid: u32) -> bool {
        is_any(&self.threads, name, tid)
    }

    /// Whether a process with this name and number is looked at.
    pub(crate) fn has_process(&self, name: &str, pid: u32) -> bool {
        is_any(&self.processes, name, pid)
    }

    /// What it selects, in words; `window` is that of time, since the start of
    /// the recording, and `spans` what became of these.
    pub(crate) fn describe(
        &self,
        window: Option<(Nanos, Nanos)>,
        spans: Option<&AppliedSpans>,
    ) -> String {
        let mut parts = Vec::new();
        if let (Some(filter), Some(spans)) = (&self.spans, spans) {
            parts.push(format!("{} ({spans})", filter.describe()));
        }
        parts.extend(window.map(|(from, to)| format!("{} to {}", show_time(from), show_time(to))));
        let mut list = |what: &str, names: Vec<&str>| {
            if !names.is_empty() {
                parts.push(format!("{what} {}", names.join(" or ")));
            }
        };
        list("thread", self.threads.iter().map(Glob::as_str).collect());
        list("process", self.processes.iter().map(Glob::as_str).collect());
        list("focus", self.focus.iter().map(Pattern::as_str).collect());
        list("ignore", self.ignore.iter().map(Pattern::as_str).collect());
        list("only module", self.only_modules.iter().map(Glob::as_str).collect());
        list("only runtime", self.only_runtimes.iter().map(NamedRuntime::as_str).collect());
        if self.without_native {
            parts.push("without native code".to_owned());
        }
        if self.collapse_recursion {
            parts.push("recursion collapsed".to_owned());
        }
        parts.join(", ")
    }
}

/// Whether any of these, if there are any, matches a name or a number.
fn is_any(globs: &[Glob], name: &str, number: u32) -> bool {
    let number = number.to_string();
    globs.is_empty() || globs.iter().any(|glob| glob.matches(name) || glob.matches(&number))
}
