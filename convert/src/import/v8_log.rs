//! What `node --prof-process --preprocess` makes of the log of `node --prof`.

use std::io::Write;

use rz_format::{Frame, Record, Sample};
use serde::Deserialize;

use super::amounts::Amounts;
use super::functions::{Function, Functions, MAX_FRAMES, too_many};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input, json};

const NAME: &str = "preprocessed log of V8";

#[derive(Deserialize)]
struct File {
    code: Vec<Code>,
    ticks: Vec<Tick>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// A sample.
#[derive(Deserialize)]
struct Tick {
    /// Microseconds since the start.
    #[serde(default)]
    tm: f64,
    /// Code and the offset in it, from the leaf on.
    s: Vec<i64>,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let file: File = json::read(&input.file, NAME)?;
    let mut out = Output::of(input, "v8-log", out)?;
    out.record(Record::Event(Amounts::THINGS.event(0, "samples")))?;
    let thread = Named { pid: 0, tid: 0, name: "JavaScript".to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    let mut functions = Functions::default();
    let mut frames: Vec<Option<Frame>> = vec![None; file.code.len()];
    let mut end_ns = 0;
    for tick in &file.ticks {
        let codes = tick.s.iter().step_by(2);
        let depth = codes.len();
        let kept: Vec<i64> = codes.take(MAX_FRAMES).copied().collect();
        let mut stack = (kept.len() < depth).then(|| out.stack(None, too_many()));
        for code in kept.into_iter().rev() {
            let known = usize::try_from(code).ok().and_then(|at| {
                let frame = frames.get_mut(at)?;
                Some(
                    *frame
                        .get_or_insert_with(|| functions.frame(file.code[at].function(), &mut out)),
                )
            });
            // Below 0 is what has no code.
            let frame = known.unwrap_or_else(|| functions.frame(Function::default(), &mut out));
            stack = Some(out.stack(stack, frame));
        }
        let time_ns = Amounts::MICROSECONDS.weight(tick.tm);
        end_ns = end_ns.max(time_ns);
        out.sample(Sample { thread, stack, weight: 1, time_ns, ..Sample::default() })?;
    }
    out.finish(Some(end_ns))
}

impl Code {
    fn function(&self) -> Function {
        match &self.kind[..] {
            "JS" => self.script_function(),
            "SHARED_LIB" => Function { module: self.name.clone(), ..Function::default() },
            // As nm writes them, with the kind of symbol.
            "CPP" => Function::named(self.name.trim_start_matches(['t', 'T']).trim_start()),
            _ => Function::named(&self.name[..]),
        }
    }

    /// A function as `name file:line:column`.
    fn script_function(&self) -> Function {
        let (name, place) = self.name.rsplit_once(' ').unwrap_or((&self.name, ""));
        let mut parts = place.rsplitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        let (column, line) = (number(), number());
        let name = match name {
            "" => "(anonymous)",
            name => name,
        };
        let (name, file) = (name.to_owned(), parts.next().unwrap_or("").to_owned());
        Function { name, file, line, column, module: String::new() }
    }
}
