//! Why a report could not be made.

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Two traces count different things and have no common scale.
    #[error("cannot compare {before} with {after}: the traces count different things")]
    DifferentEvents {
        /// Event and unit of the first trace.
        before: String,
        /// Event and unit of the second trace.
        after: String,
    },
    /// A trace does not say for how long it recorded, so that nothing can be
    /// given per second.
    #[error(
        "cannot compare: the {side} trace has no recorded duration; compare shares with --per share"
    )]
    NoDuration {
        /// `before` or `after`.
        side: &'static str,
    },
    /// Work done is to be divided by, and is not known.
    #[error(
        "cannot compare per unit of work: say how much was done in each run of the {side} side, \
         with --work"
    )]
    NoWork {
        /// `before` or `after`.
        side: &'static str,
    },
    /// A side has no run.
    #[error("cannot compare: no trace on the {side} side")]
    NoRun {
        /// `before` or `after`.
        side: &'static str,
    },
    /// Only stacks of one run on each side can be compared in this way.
    #[error("cannot compare {what}: {why}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be had.
        why: &'static str,
    },
    /// One trace has only exact sums, and the other one has none.
    #[error("cannot compare: {name} has only sums, which the other trace has not")]
    OnlySums {
        /// The trace with sums.
        name: String,
    },
    /// A function that is said to be renamed is not there.
    #[error("--rename {rename}: no function {name}, or several, in {side}")]
    NoSuchFunction {
        /// What was said.
        rename: String,
        /// The function that was not found.
        name: String,
        /// `before` or `after`.
        side: &'static str,
    },
    /// A function that a condition is about is not there.
    #[error("--fail-if {condition}: no function {name} on either side")]
    NothingToCheck {
        /// The condition.
        condition: String,
        /// The function.
        name: String,
    },
    /// A condition is about what is not known of one trace.
    #[error("--fail-if {condition}: {why}")]
    CannotCheck {
        /// The condition.
        condition: String,
        /// Why it cannot be checked.
        why: String,
    },
    /// There is nothing that a picture could show.
    #[error("no samples to draw: {why}")]
    NothingToDraw {
        /// Why there are none.
        why: &'static str,
    },
    /// A trace that was read before cannot be read any more.
    #[error(transparent)]
    Load(#[from] rz_profile::load::LoadError),
    /// The report could not be written; the source says why.
    #[error("cannot write the report")]
    Io(#[from] std::io::Error),
}
