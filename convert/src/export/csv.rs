//! Comma-separated values (RFC 4180), with a header: a row for each event, thread and stack.
//!
//! Stacks are written as folded stacks are: outermost frame first, separated by semicolons,
//! with marks for what is inlined, generated or in the kernel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::folded::FrameNames;
use super::tree::{NodeId, Tree};
use rz_profile::model::{EventId, Profile, ThreadId};
use rz_text::clean::clean;

const HEADER: &str = "event,unit,recording,process,pid,thread,tid,samples,weight,stack";

/// Writes the profile, all events unless one is asked for.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let names = FrameNames::of(profile);
    let tree = Tree::build(profile, |location, line| names.label(location, line));
    let mut rows: BTreeMap<(EventId, ThreadId, Option<NodeId>), (u64, u64)> = BTreeMap::new();
    for sample in &profile.samples {
        if event.is_none_or(|event| event == sample.event) {
            let node = sample.stack.map(|stack| tree.node_of(stack));
            let sums = rows.entry((sample.event, sample.thread, node)).or_default();
            sums.0 += sample.count;
            sums.1 += sample.weight;
        }
    }
    write!(out, "{HEADER}\r\n")?;
    let mut path = Vec::new();
    for ((event, thread, node), (samples, weight)) in rows {
        let event = &profile.events[event];
        let (thread, process) = profile.thread(thread);
        let mut stack = String::new();
        path.extend(tree.path(node));
        for label in path.drain(..).rev() {
            if !stack.is_empty() {
                stack.push(';');
            }
            stack += names.text(label);
        }
        let (name, recording) = (clean(&event.name), profile.source_name(process.source));
        write!(out, "{},{},{},", field(&name), event.unit.name(), field(&clean(&recording)))?;
        write!(out, "{},{},", field(&clean(&process.name)), process.pid)?;
        write!(out, "{},{},", field(&clean(&thread.name)), thread.tid)?;
        write!(out, "{samples},{weight},{}\r\n", field(&stack))?;
    }
    Ok(())
}

/// A field, in quotes if it has a character that means something else.
fn field(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;

    #[test]
    fn a_row_for_each_event_thread_and_stack() {
        let mut profile = fixture::with_waits();
        profile.threads[0].name = "a \"b\", c".into();
        let written = |event| {
            let mut out = Vec::new();
            write(&profile, event, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(None).replace("\r\n", "\n"),
            "\
event,unit,recording,process,pid,thread,tid,samples,weight,stack
cpu-clock,nanoseconds,,app,10,\"a \"\"b\"\", c\",10,3,3000,main;<T as Run>::run;helper_[i];read_[k]
cpu-clock,nanoseconds,,app,10,\"a \"\"b\"\", c\",10,2,2000,main;helper
cpu-clock,nanoseconds,,app,10,worker;1,11,1,1000,
cpu-clock,nanoseconds,,app,10,worker;1,11,4,4000,[truncated];helper
cpu-clock,nanoseconds,,app,10,worker;1,11,5,5000,main;helper
off-cpu,nanoseconds,,app,10,\"a \"\"b\"\", c\",10,2,2500400,main;helper;[off-CPU: futex]
off-cpu,nanoseconds,,app,10,worker;1,11,1,400,
"
        );
        assert_eq!(written(Some(1)).lines().count(), 3);
    }
}
