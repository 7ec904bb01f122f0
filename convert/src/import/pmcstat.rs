//! Call graphs of FreeBSD's `pmcstat -G`: callers below what they called.

use std::io::Write;

use rz_format::{Frame, Record, Sample, TruncatedReason};

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::indented::{self, Line, MAX_LINES};
use super::lines::for_lines;
use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "text of pmcstat";

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut event = None;
    // Said where it is another one than before.
    let mut module = String::new();
    for_lines(&input.file, |line| {
        let Some(line) = line else { return Ok(()) };
        match line.strip_prefix("@ ") {
            Some(head) => {
                let name = head.split_whitespace().next().unwrap_or("samples").to_owned();
                event.get_or_insert(name);
            }
            None => lines.extend(parse(line, &mut module)),
        }
        if lines.len() > MAX_LINES { Err(ImportError::TooMany("lines")) } else { Ok(()) }
    })?;
    if lines.is_empty() {
        let message = format!("damaged {NAME}: there is no line of a call graph");
        return Err(ImportError::Unusable(message));
    }
    let mut out = Output::of(input, "pmcstat", out)?;
    let event = event.unwrap_or_else(|| "samples".to_owned());
    out.record(Record::Event(Amounts::THINGS.event(0, &event)))?;
    let thread = Threads::default().id(Named::default(), None, &mut out)?;
    let mut functions = Functions::default();
    let total = lines.iter().filter(|line| line.depth == 0).map(|line| line.total).sum::<f64>();
    let spread = Spread::of(Amounts::THINGS.weight(total));
    spread.note().into_iter().for_each(|note| out.note(note));
    indented::for_each(&lines, |path, own, has_callers| {
        let count = Amounts::THINGS.weight(own);
        if count == 0 {
            return Ok(());
        }
        // Callers with small shares are not in the text.
        let unknown = Frame::Truncated(TruncatedReason::Unknown);
        let mut stack = has_callers.then(|| out.stack(None, unknown));
        for line in path.iter().rev() {
            let frame = functions.frame(lines[*line].function.clone(), &mut out);
            stack = Some(out.stack(stack, frame));
        }
        for weight in spread.rows(count, count) {
            out.sample(Sample { thread, stack, weight, ..Sample::default() })?;
        }
        Ok(())
    })?;
    out.finish(Some(0))
}

/// `  66.02%  [1723]     function @ /boot/kernel/zfs.ko`
fn parse(line: &str, module: &mut String) -> Option<Line> {
    let (share, rest) = line.split_once("%  [")?;
    let depth = share.len() - share.trim_start().len();
    share.trim_start().parse::<f64>().ok()?;
    let (count, rest) = rest.split_once(']')?;
    let total = count.parse::<u64>().ok()? as f64;
    let (name, of) = rest.trim().split_once(" @ ").unwrap_or((rest.trim(), ""));
    if !of.is_empty() {
        of.clone_into(module);
    }
    let function = Function { module: module.clone(), ..Function::named(name) };
    (!name.is_empty()).then_some(Line { depth, total, own: None, function })
}
