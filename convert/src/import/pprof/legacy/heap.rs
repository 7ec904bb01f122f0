//! Heap profiles of gperftools and of Go: what is live and, beside it in brackets, what was
//! allocated, for each stack.

use std::sync::LazyLock;

use regex::Regex;

use super::super::super::ImportError;
use super::draft::{Draft, Sample, kind};
use super::lines::{Lines, calls};
use super::maps;

/// Count and size, twice.
const NUMBERS: &str = r"(-?\d+): *(-?\d+) *\[ *(\d+): *(\d+) *\] *@";

pub(super) fn read(text: &str) -> Result<Option<Draft>, ImportError> {
    static HEADER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r"heap profile: *{NUMBERS} *([_a-z0-9]*)/?(\d*)")).expect("valid")
    });
    static SAMPLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!("{NUMBERS}([ x0-9a-f]*)")).expect("valid"));
    let mut lines = Lines::of(text);
    let Some(header) = lines.next().and_then(|line| HEADER.captures(line)) else { return Ok(None) };
    let rate = if header[6].is_empty() { 0 } else { lines.number(&header[6])? };
    // How far apart samples are on average; 1 if nothing was left out.
    let period = match &header[5] {
        "heapz_v2" | "heap_v2" => rate,
        // Go writes twice its rate.
        "heap" => rate / 2,
        "heapprofile" | "growth" | "growthz" | "fragmentation" | "fragmentationz" => 1,
        other => return Err(lines.damaged(&format!("{other:?} is no kind of heap profile"))),
    };
    let differs = |all: usize, live: usize| header[all] != header[live] && &header[all] != "0";
    let has_allocated = differs(3, 1) || differs(4, 2);
    let mut draft = Draft {
        kinds: vec![kind("objects", "count"), kind("space", "bytes")],
        period_kind: kind("space", "bytes"),
        period,
        ..Draft::default()
    };
    if has_allocated {
        let names = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
        draft.kinds = names
            .into_iter()
            .zip(["count", "bytes"].into_iter().cycle())
            .map(|(name, unit)| kind(name, unit))
            .collect();
    }
    let mut latest = "";
    while let Some(line) = lines.next() {
        latest = line;
        if maps::is_heading(line) {
            break;
        }
        if line.is_empty() || draft.take_go_name(line) || line.starts_with('#') {
            continue;
        }
        let found = SAMPLE.captures(line).ok_or_else(|| lines.damaged("it is no stack"))?;
        let mut values = Vec::with_capacity(4);
        let pairs = if has_allocated { &[(3, 4), (1, 2)][..] } else { &[(1, 2)] };
        for (count, size) in pairs {
            let (count, size) = (lines.number(&found[*count])?, lines.number(&found[*size])?);
            if count == 0 && size != 0 {
                return Err(lines.damaged(&format!("{size} bytes in no object")));
            }
            let (count, size) = unsampled(count, size, period);
            values.extend([count, size]);
        }
        let stack = calls(lines.addresses(&found[5])?, false);
        draft.samples.push(Sample { values, stack });
    }
    draft.mappings = maps::read_behind(latest, &mut lines)?;
    Ok(Some(draft))
}

/// What a sample stands for, if an allocation of S bytes is seen with a probability of
/// 1 - exp(-S / period).
pub(super) fn unsampled(count: i64, size: i64, period: i64) -> (i64, i64) {
    if count == 0 || size == 0 {
        return (0, 0);
    }
    if period <= 1 {
        return (count, size);
    }
    let mean = size as f64 / count as f64;
    let scale = 1.0 / (1.0 - (-mean / period as f64).exp());
    ((count as f64 * scale) as i64, (size as f64 * scale) as i64)
}
