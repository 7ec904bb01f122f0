//! How long locks were waited for, as C++ servers and Go write it.

use std::sync::LazyLock;

use regex::Regex;

use super::super::super::ImportError;
use super::draft::{Draft, Sample, kind};
use super::lines::{Lines, calls};
use super::maps;

pub(super) fn read(text: &str) -> Result<Option<Draft>, ImportError> {
    static SAMPLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(\d+) *(\d+) @([ x0-9a-f]*)").expect("valid"));
    let mut lines = Lines::of(text);
    let starts = ["--- contentionz ", "--- mutex:", "--- contention:"];
    if !lines.next().is_some_and(|line| starts.iter().any(|start| line.starts_with(start))) {
        return Ok(None);
    }
    let mut draft = Draft {
        kinds: vec![kind("contentions", "count"), kind("delay", "nanoseconds")],
        period_kind: kind("contentions", "count"),
        period: 1,
        ..Draft::default()
    };
    let mut cycles_per_second = 0;
    let mut latest = None;
    while let Some(line) = lines.next_said() {
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with("---")) else {
            latest = Some(line);
            break;
        };
        let value = lines.number(value.trim());
        match key.trim() {
            "cycles/second" => cycles_per_second = value?,
            "sampling period" => draft.period = value?,
            "ms since reset" => draft.duration_ns = value?.saturating_mul(1_000_000),
            "discarded samples" => {}
            key => return Err(lines.damaged(&format!("{key:?} is not known"))),
        }
    }
    let mut next = latest;
    while let Some(line) = next.filter(|line| !line.starts_with("---")) {
        if !line.is_empty() && !draft.take_go_name(line) && !line.starts_with('#') {
            let found = SAMPLE.captures(line).ok_or_else(|| lines.damaged("it is no stack"))?;
            let (mut delay, mut count) = (lines.number(&found[1])?, lines.number(&found[2])?);
            if draft.period > 0 {
                if cycles_per_second > 0 {
                    let per_ns = cycles_per_second as f64 / 1e9;
                    delay = (delay as f64 * draft.period as f64 / per_ns) as i64;
                }
                count = count.saturating_mul(draft.period);
            }
            let stack = calls(lines.addresses(&found[3])?, false);
            draft.samples.push(Sample { values: vec![count, delay], stack });
        }
        next = lines.next();
    }
    draft.mappings = maps::read_behind(next.unwrap_or_default(), &mut lines)?;
    Ok(Some(draft))
}
