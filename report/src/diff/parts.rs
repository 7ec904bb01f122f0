//! What is different about two parts of one trace: nothing has another name, and the
//! same samples may be in both.

use std::collections::BTreeSet;

use rz_profile::model::{Nanos, ThreadId};

use super::Run;
use crate::diff::matching::Matched;
use crate::model::symbols::Symbols;

/// Functions of both sides by their names, which are those of the same code.
pub(super) fn matched(sides: [&[Run<'_>]; 2], symbols: &mut Symbols) -> Matched {
    let functions =
        sides.map(|runs| runs.iter().map(|run| symbols.intern_functions(run.profile)).collect());
    Matched { functions, notes: overlap(sides).into_iter().collect(), ..Matched::default() }
}

/// That there are samples that both sides have, if so.
fn overlap(sides: [&[Run<'_>]; 2]) -> Option<String> {
    let [Some(before), Some(after)] = sides.map(<[_]>::first) else { return None };
    let window = |run: &Run<'_>| run.profile.info.filter.window.unwrap_or((0, Nanos::MAX));
    let (one, other) = (window(before), window(after));
    let in_time = one.0.max(other.0) < one.1.min(other.1);
    let threads = |run: &Run<'_>| -> BTreeSet<ThreadId> {
        let samples = run.profile.samples.iter();
        let of_event = samples.filter(|sample| Some(sample.event) == run.event);
        of_event.map(|sample| sample.thread).collect()
    };
    let overlap = in_time && !threads(before).is_disjoint(&threads(after));
    overlap.then(|| {
        "before and after overlap: what is in both counts on both sides, so that less of a \
         change is seen and proven"
            .to_owned()
    })
}
