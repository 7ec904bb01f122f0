//! What Instruments copies as text, with "Deep Copy": callees below their callers.

use std::io::Write;

use rz_format::{EventUnit, Record, Sample, StackId};

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::indented::{self, Line, MAX_LINES};
use super::lines::for_lines;
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "text of Instruments";

/// A text: lines with amounts of the same unit, in its smallest parts.
#[derive(Debug, Default)]
struct Text {
    titles: Vec<String>,
    unit: Option<EventUnit>,
    lines: Vec<Line>,
    left_out: u64,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut text = Text::default();
    for_lines(&input.file, |line| {
        match line {
            Some(line) if line.trim().is_empty() => {}
            Some(line) if text.titles.is_empty() => {
                text.titles = line.split('\t').map(|title| title.trim().to_owned()).collect();
            }
            Some(line) => text.take(line.trim_end()),
            None => text.left_out += 1,
        }
        if text.lines.len() > MAX_LINES { Err(ImportError::TooMany("lines")) } else { Ok(()) }
    })?;
    let Some(unit) = text.unit else {
        let message = format!("damaged {NAME}: there is no line with an amount");
        return Err(ImportError::Unusable(message));
    };
    let mut out = Output::of(input, "instruments", out)?;
    let name = match unit {
        EventUnit::Bytes => "alloc_space",
        EventUnit::Nanoseconds => "time",
        EventUnit::Cycles => "cycles",
        _ => "samples",
    };
    out.record(Record::Event(Amounts::units(unit).event(0, name)))?;
    out.note("Instruments rounds what it copies as text: sums are nearly right".to_owned());
    if text.left_out > 0 {
        out.note(format!("{} lines could not be read and were left out", text.left_out));
    }
    let thread = Threads::default().id(Named::default(), None, &mut out)?;
    let mut functions = Functions::default();
    let mut stacks: Vec<StackId> = Vec::new();
    indented::for_each(&text.lines, |path, own, _| {
        stacks.truncate(path.len() - 1);
        let function = text.lines[path[path.len() - 1]].function.clone();
        let frame = functions.frame(function, &mut out);
        let stack = out.stack(stacks.last().copied(), frame);
        stacks.push(stack);
        let weight = Amounts::THINGS.weight(own);
        if weight == 0 {
            return Ok(());
        }
        out.sample(Sample { thread, stack: Some(stack), weight, ..Sample::default() })
    })?;
    out.finish(Some(0))
}

impl Text {
    fn take(&mut self, line: &str) {
        match self.line(line) {
            Some(line) => self.lines.push(line),
            None => self.left_out += 1,
        }
    }

    /// `12.5 ms  3.1%`, what is the function's own or something else, and the function.
    fn line(&mut self, text: &str) -> Option<Line> {
        let mut cells = text.split('\t');
        let (total, amounts) = amount(cells.next()?)?;
        let total = total * amounts.factor();
        let title = self.titles.get(1).map_or("", String::as_str);
        let own = cells.next().filter(|_| title.starts_with("Self")).and_then(|own| {
            let (own, of) = amount(own)?;
            // The unit may be in the title: `Self (ms)`.
            let titled = title.split(['(', ')']).nth(1).map(Amounts::of_unit);
            let amounts = if of == Amounts::THINGS { titled.unwrap_or(of) } else { of };
            Some(own * amounts.factor())
        });
        let name = text.rsplit('\t').next()?;
        let function = Function::named(name.trim());
        let unit = *self.unit.get_or_insert(amounts.unit);
        let depth = name.chars().take_while(|c| c.is_whitespace()).count();
        let is_whole = unit == amounts.unit && !function.name.is_empty();
        is_whole.then_some(Line { depth, total, own, function })
    }
}

/// An amount and its unit, at the beginning of a text: `4.93 s`, `4273.0ms`, `96.08 Gc`, `3`.
fn amount(text: &str) -> Option<(f64, Amounts)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let unit: String = rest.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
    Some((number.parse().ok()?, Amounts::of_unit(&unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_all_versions() {
        let check = |text, expected| {
            let found = amount(text).map(|(n, of)| ((n * of.factor()).round(), of.unit));
            assert_eq!(found, expected, "{text}");
        };
        check("4273.0ms   99.9%", Some((4.273e9, EventUnit::Nanoseconds)));
        check(" 4.93 s  100.0%", Some((4.93e9, EventUnit::Nanoseconds)));
        check("96.08 Gc  100.0%", Some((96.08e9, EventUnit::Cycles)));
        check("1.50 KB     0.1%", Some((1536.0, EventUnit::Bytes)));
        check("693", Some((693.0, EventUnit::Things)));
        check("-", None);
        check("", None);
    }
}
