//! Profiles of Java servers: numbers of places in stacks, and behind these what they are.

use super::super::super::ImportError;
use super::draft::{Draft, Place, Sample, kind};
use super::heap::unsampled;
use super::lines::Lines;

/// How many bytes are allocated between samples of the heap, on average.
const HEAP_PERIOD: i64 = 512 << 10;

pub(super) fn read(text: &str) -> Result<Option<Draft>, ImportError> {
    let mut lines = Lines::of(text);
    let is_heap = match lines.next() {
        Some("--- heapz 1 ---") => true,
        // As C++ servers begin, too.
        Some("--- contentionz 1 ---") if text.lines().nth(1).is_some_and(is_format) => false,
        _ => return Ok(None),
    };
    let mut draft = Draft::default();
    while let Some(line) = lines.next() {
        if let Some((stack, places)) = line.split_once('@').filter(|_| !line.starts_with("0x")) {
            draft.take_java_sample(is_heap, (stack, places), &lines)?;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| draft.samples.is_empty()) else {
            draft.take_java_place(line);
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "format" if value == "java" => {}
            "format" => return Err(lines.damaged(&format!("the format is {value:?}"))),
            "resolution" if is_heap => {
                draft.kinds = vec![kind("inuse_objects", "count"), kind("inuse_space", value)];
            }
            "resolution" => {
                draft.kinds = vec![kind("contentions", "count"), kind("delay", value)];
            }
            "sampling period" if !is_heap => {
                draft.period_kind = kind("contentions", "count");
                draft.period = lines.number(value)?;
            }
            "ms since reset" if !is_heap => {
                draft.duration_ns = lines.number(value)?.saturating_mul(1_000_000);
            }
            key => return Err(lines.damaged(&format!("{key:?} is not known"))),
        }
    }
    draft.is_named_only = true;
    Ok(Some(draft))
}

fn is_format(line: &str) -> bool {
    line.trim_start().starts_with("format")
}

/// Reads what the places of a profile are, from all lines that are left.
pub(super) fn read_places(lines: &mut Lines, draft: &mut Draft) {
    lines.for_each(|line| draft.take_java_place(line));
    draft.is_named_only = true;
}

impl Draft {
    /// Takes a size or time, a count, and places.
    fn take_java_sample(
        &mut self,
        is_heap: bool,
        (numbers, places): (&str, &str),
        lines: &Lines,
    ) -> Result<(), ImportError> {
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        let [amount, count] = numbers[..] else { return Err(lines.damaged("it is no stack")) };
        let (mut amount, mut count) = (lines.number(amount)?, lines.number(count)?);
        if is_heap {
            if count == 0 {
                return Err(lines.damaged("no object"));
            }
            (count, amount) = unsampled(count, amount, HEAP_PERIOD);
        } else if self.period != 0 {
            count = count.saturating_mul(self.period);
            amount = amount.saturating_mul(self.period);
        }
        let stack = lines.addresses(places)?;
        self.samples.push(Sample { values: vec![count, amount], stack });
        Ok(())
    }

    /// Takes a place: its number, then `function (file:line)`, `function (library)`, or what
    /// the virtual machine does.
    fn take_java_place(&mut self, line: &str) {
        let Some((number, what)) =
            line.strip_prefix("0x").and_then(|line| line.split_once(char::is_whitespace))
        else {
            return;
        };
        let Ok(number) = u64::from_str_radix(number, 16) else { return };
        let what = what.trim();
        let mut place = Place { function: what.to_owned(), ..Place::default() };
        let in_brackets = what.strip_suffix(')').and_then(|what| what.rsplit_once(" ("));
        if let Some((function, at)) = in_brackets {
            function.trim_end().clone_into(&mut place.function);
            match at.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?))) {
                Some((file, line)) => {
                    file.clone_into(&mut place.file);
                    place.line = i64::max(line, 0);
                }
                None => at.rsplit('/').next().unwrap_or(at).clone_into(&mut place.file),
            }
        } else if what.contains("generated stub/JIT") {
            "STUB".clone_into(&mut place.function);
        }
        self.places.insert(number, place);
    }
}
