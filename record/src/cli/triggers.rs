//! What `--on=TRIGGER` means.

use std::path::PathBuf;

use rz_record::Trigger;
use rz_text::alike::Alike;

use super::values::parse_time;

/// What there is, for who has asked for something else.
const KNOWN: &str = "cpu>90%, syscall:NAME>TIME, signal, log:FILE:TEXT, exit and crash";

/// A trigger as people write it.
pub(super) fn parse(text: &str) -> Result<Trigger, String> {
    match text.split_once([':', '>']) {
        None if text == "signal" => Ok(Trigger::Signal),
        None if text == "exit" => Ok(Trigger::Exit),
        None if text == "crash" => Ok(Trigger::Crash),
        Some(("cpu", percent)) => cpu(percent),
        Some(("syscall", call)) => call_of(call),
        Some(("log", log)) => log_of(log),
        _ => Err(format!("there is no such trigger; those that there are: {KNOWN}")),
    }
}

fn cpu(percent: &str) -> Result<Trigger, String> {
    let number = percent.strip_suffix('%').unwrap_or(percent).trim().parse();
    match number {
        Ok(percent @ 1..=1_000_000) => Ok(Trigger::Cpu { percent }),
        _ => Err("not a share of a CPU as in cpu>90%, where 100% is one CPU".to_owned()),
    }
}

fn call_of(text: &str) -> Result<Trigger, String> {
    let (name, time) =
        text.split_once('>').ok_or("not a call and a time as in syscall:fsync>1s")?;
    let longer_than = parse_time(time)?;
    match rz_syscalls::number(name) {
        Some(number) => Ok(Trigger::Call { number, longer_than }),
        None => Err(format!("there is no system call {name:?}{}", offer(name))),
    }
}

fn log_of(text: &str) -> Result<Trigger, String> {
    match text.split_once(':') {
        Some((path, text)) if !path.is_empty() && !text.is_empty() && !text.contains('\n') => {
            Ok(Trigger::Log { path: PathBuf::from(path), text: text.to_owned() })
        }
        _ => Err("not a file and a text as in log:/var/log/app.log:ERROR".to_owned()),
    }
}

/// The names of calls that are most like `name`, as the end of a sentence.
fn offer(name: &str) -> String {
    let mut alike = Alike::to(name);
    rz_syscalls::all().iter().for_each(|call| alike.add(call.name));
    alike.list().map_or_else(String::new, |names| format!("; similar names are {names}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn triggers_as_people_write_them() {
        let check = |text: &str, expected: Trigger| assert_eq!(parse(text), Ok(expected), "{text}");
        check("cpu>90%", Trigger::Cpu { percent: 90 });
        check("cpu>250", Trigger::Cpu { percent: 250 });
        let call = Trigger::Call { number: 74, longer_than: Duration::from_millis(1500) };
        check("syscall:fsync>1.5s", call);
        check("signal", Trigger::Signal);
        check("exit", Trigger::Exit);
        check("crash", Trigger::Crash);
        let log = |path: &str, text: &str| Trigger::Log { path: path.into(), text: text.into() };
        check("log:/var/log/app.log:ERROR", log("/var/log/app.log", "ERROR"));
        check("log:app.log:level: error > 3", log("app.log", "level: error > 3"));
        // And are told as they were written.
        for text in ["cpu>90%", "syscall:fsync>1.5s", "signal", "log:a.log:b: c", "exit", "crash"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let check = |text: &str, part: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("memory>1G", "cpu>90%, syscall:NAME>TIME, signal");
        check("", "no such trigger");
        check("signal:1", "no such trigger");
        check("cpu", "no such trigger");
        check("cpu>x", "where 100% is one CPU");
        check("cpu>0%", "where 100% is one CPU");
        check("syscall:fsnc>1s", "similar names are fsync");
        check("syscall:fsync", "syscall:fsync>1s");
        check("syscall:fsync>soon", "number");
        check("log:/var/log/app.log", "log:/var/log/app.log:ERROR");
        check("log:/var/log/app.log:", "log:/var/log/app.log:ERROR");
    }
}
