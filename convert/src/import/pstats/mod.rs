//! Stats of Python's cProfile and profile: what functions took by themselves, and what their
//! calls of others did.

mod marshal;

use std::io::Write;

use rz_format::Record;

use self::marshal::Value;
use super::amounts::Amounts;
use super::functions::Function;
use super::json::buffered;
use super::output::Output;
use super::shares::{CallGraph, MAX_ENTRIES};
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "stats of cProfile";

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let stats = marshal::read(buffered(&input.file)).map_err(|error| match error {
        marshal::Error::Read(error) => ImportError::Read(error),
        other => damaged(&other.to_string()),
    })?;
    let Value::Dict(stats) = &stats else { return Err(damaged("there is no table")) };
    let mut graph = CallGraph::with_events(1);
    let mut has_calls = false;
    // A table may be mentioned again and again.
    let mut calls = 0;
    for (function, numbers) in stats.iter() {
        let (function, Value::Tuple(numbers)) = (function_of(function)?, numbers) else {
            return Err(damaged("a function without its numbers"));
        };
        let called = graph.function(function)?;
        // Primitive calls, all calls, time of its own, time with what it called, callers.
        let [_, _, own, _, callers] = &numbers[..] else {
            return Err(damaged("a function without its five numbers"));
        };
        graph.add_own(called, &[nanos(own)?]);
        let Value::Dict(callers) = callers else {
            return Err(damaged("a function without its callers"));
        };
        calls += callers.len();
        if calls > MAX_ENTRIES {
            return Err(ImportError::TooMany("calls"));
        }
        for (caller, numbers) in callers.iter() {
            let caller = graph.function(function_of(caller)?)?;
            // Of the profiler that is written in Python there is a count of calls only.
            let Value::Tuple(numbers) = numbers else { continue };
            let [_, _, _, with_called] = &numbers[..] else {
                return Err(damaged("a call without its four numbers"));
            };
            has_calls = true;
            graph.add_call(caller, called, &[nanos(with_called)?])?;
        }
    }
    if graph.is_empty() {
        return Err(damaged("no function took any time"));
    }
    let mut out = Output::of(input, "pstats", out)?;
    out.record(Record::Event(Amounts::SECONDS.event(0, "time")))?;
    out.note(if has_calls {
        "cProfile has no stacks: these are put together as if a function took the same time \
         whoever calls it; what functions took by themselves is exact"
            .to_owned()
    } else {
        "these stats do not tell what calls took: functions have no callers".to_owned()
    });
    let thread = Named { name: "python".to_owned(), ..Named::default() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    graph.write(thread, &mut out)?;
    out.finish(Some(0))
}

fn damaged(why: &str) -> ImportError {
    ImportError::Unusable(format!("damaged {NAME}: {why}"))
}

/// `(file, line, name)`; what is no Python has `~` for a file.
fn function_of(value: &Value) -> Result<Function, ImportError> {
    let Value::Tuple(parts) = value else { return Err(damaged("a function without a name")) };
    let [Value::Text(file), Value::Int(line), Value::Text(name)] = &parts[..] else {
        return Err(damaged("a function without a name"));
    };
    let file = if &file[..] == "~" { "" } else { file };
    let line = u32::try_from(*line).unwrap_or(0);
    Ok(Function { file: file.to_owned(), line, ..Function::named(&name[..]) })
}

fn nanos(value: &Value) -> Result<u64, ImportError> {
    match value {
        Value::Float(seconds) => Ok(Amounts::SECONDS.weight(*seconds)),
        Value::Int(seconds) => Ok(Amounts::SECONDS.weight(*seconds as f64)),
        _ => Err(damaged("a time that is no number")),
    }
}
