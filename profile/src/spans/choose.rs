//! Chooses spans by name and trace, and those under them.

use rustc_hash::FxHashMap;

use super::{Span, SpanFilter, Spans, SpansError, TraceId};
use crate::glob::Glob;

/// Whether a span is looked at, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It was asked for.
    Asked,
    /// It is part of one that was asked for, maybe in another thread.
    Under,
    /// It is not looked at.
    No,
}

impl SpanFilter {
    /// What is chosen of the file, by index; at least one.
    pub(crate) fn choose(&self, spans: &Spans) -> Result<Vec<Choice>, SpansError> {
        let is_named: Vec<bool> = spans
            .names
            .iter()
            .map(|name| self.names.is_empty() || self.names.iter().any(|glob| glob.matches(name)))
            .collect();
        if !is_named.contains(&true) {
            let asked = self.names.iter().map(|glob| glob.as_str().to_owned()).collect();
            return Err(SpansError::NoSuchName { asked, near: self.near(&spans.names) });
        }
        let is_asked = |span: &Span| {
            let of_trace = || span.trace_id.is_some_and(|id| self.trace_ids.contains(&id));
            is_named[span.name] && (self.trace_ids.is_empty() || of_trace())
        };
        let mut choices: Vec<Option<Choice>> =
            spans.spans.iter().map(|span| is_asked(span).then_some(Choice::Asked)).collect();
        if choices.iter().all(Option::is_none) {
            let asked = self.trace_ids.iter().map(TraceId::to_string).collect();
            return Err(SpansError::NoSuchTrace { asked, named: !self.names.is_empty() });
        }
        choose_under(&spans.spans, &mut choices);
        Ok(choices.into_iter().map(|choice| choice.unwrap_or(Choice::No)).collect())
    }

    /// What was asked for, in words.
    pub(crate) fn describe(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(Glob::as_str).collect();
        let ids: Vec<String> = self.trace_ids.iter().map(TraceId::to_string).collect();
        let [names, ids] = [names.join(" or "), ids.join(" or ")];
        match (names.is_empty(), ids.is_empty()) {
            (false, true) => format!("span {names}"),
            (true, _) => format!("spans of trace {ids}"),
            (false, false) => format!("span {names} of trace {ids}"),
        }
    }

    /// All names, first those that are most like what was asked for.
    fn near(&self, names: &[String]) -> Vec<String> {
        let asked: Vec<String> =
            self.names.iter().map(|glob| glob.as_str().to_lowercase()).collect();
        let likeness = |name: &str| {
            let name = name.to_lowercase();
            let of = |asked: &String| strsim::jaro_winkler(asked, &name);
            asked.iter().map(of).fold(0.0, f64::max)
        };
        let mut near: Vec<(f64, &String)> =
            names.iter().map(|name| (likeness(name), name)).collect();
        near.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
        near.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

/// Decides about spans that were not asked for by those that they are part of.
fn choose_under(spans: &[Span], choices: &mut [Option<Choice>]) {
    let key = |span: &Span, id: u64| (span.trace_id, id);
    let with_id = spans.iter().enumerate().filter(|(_, span)| span.id != 0);
    let of_id: FxHashMap<(Option<TraceId>, u64), usize> =
        with_id.map(|(index, span)| (key(span, span.id), index)).collect();
    let mut way = Vec::new();
    for index in 0..spans.len() {
        let mut next = Some(index);
        let mut found = Choice::No;
        while let Some(index) = next {
            match choices[index] {
                Some(Choice::No) => break,
                Some(Choice::Asked | Choice::Under) => {
                    found = Choice::Under;
                    break;
                }
                None => {}
            }
            // What is part of itself is part of nothing that was asked for.
            choices[index] = Some(Choice::No);
            way.push(index);
            let span = &spans[index];
            next = of_id.get(&key(span, span.parent)).copied();
        }
        way.drain(..).for_each(|index| choices[index] = Some(found));
    }
}
