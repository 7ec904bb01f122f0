//! What a filter has left of a profile.

use super::{Nanos, TotalClass};

/// How the filter of a profile was applied. The default is that there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was selected, in words; empty without a filter.
    pub text: String,
    /// The window of time, since the start of the recording, if it is not all
    /// of it.
    pub window: Option<(Nanos, Nanos)>,
    /// How many threads were selected; `None` if all were.
    pub threads: Option<usize>,
    /// Whether stacks were left out, so that what has no stack is unknown.
    pub drops_stacks: bool,
}

impl Applied {
    /// Whether there is a filter.
    pub fn is_active(&self) -> bool {
        !self.text.is_empty()
    }

    /// Why a class has no exact sums because of the filter, if it has none.
    pub fn why_inexact(&self, class: TotalClass) -> Option<&'static str> {
        match class {
            _ if self.drops_stacks => Some("left out: sums have no stacks to filter by"),
            TotalClass::IoUring => None,
            _ if self.window.is_some() => Some("added up: exact sums are of all the time"),
            _ => None,
        }
    }
}
