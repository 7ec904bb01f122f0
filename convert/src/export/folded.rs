//! Folded stacks: `root;caller;callee COUNT`, one line per distinct stack.
//!
//! Counts are numbers of samples for events of the CPU, of what they count
//! where that is neither time nor cycles, microseconds where time is measured
//! otherwise, as bcc's `offcputime -f` prints them, and bytes or objects for
//! those of memory; what rounds to none is left out. Lines
//! are sorted frame by frame from the root, so that two outputs can be compared
//! line by line. Memory follows the number of distinct stacks, not the length
//! of their text.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::ExportOptions;
use super::tree::{Label, Tree, sum_by_key};
use rz_profile::foreign::last_number;
use rz_profile::model::{
    CodeTier, Event, EventKind, FrameKind, FunctionId, Location, Profile, Sample, Tier, Unit,
};
use rz_profile::select::main_event;
use rz_text::clean::is_unsafe;

/// Writes the profile; see the module's documentation.
///
/// The root is the process's name, or `comm-pid/tid` with
/// [`ExportOptions::threads`]; in a merged trace below the recording's label.
pub(super) fn write(
    profile: &Profile,
    options: &ExportOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let names = FrameNames::of(profile);
    let tree = Tree::build(profile, |location, line| names.label(location, line));
    // Others' stacks that begin with a function do so again.
    let has_no_processes = profile.info.tiers == [Tier::Folded];
    let roots: Vec<String> = (0..profile.threads.len())
        .map(|id| {
            let (thread, process) = profile.thread(id);
            let root = if options.threads {
                format!("{}-{}/{}", clean(&thread.name), process.pid, thread.tid)
            } else if process.name.is_empty() && has_no_processes {
                String::new()
            } else {
                clean(&process.name)
            };
            match profile.is_merged() {
                true => format!("{};{root}", clean(&profile.source_name(process.source))),
                false => root,
            }
        })
        .collect();
    let Some(event) = options.event.or_else(|| main_event(profile)) else { return Ok(()) };
    let Event { kind, unit, .. } = &profile.events[event];
    let counted = *kind == EventKind::Cpu && *unit != Unit::Count;
    let in_time = !counted && *unit == Unit::Nanoseconds;
    let entry = |sample: &Sample| {
        let node = sample.stack.map(|stack| tree.node_of(stack));
        let amount = if counted { sample.count } else { sample.weight };
        ((roots[sample.thread].as_str(), node), amount)
    };
    let samples = profile.samples.iter().filter(|sample| sample.event == event);
    let mut entries: Vec<_> = samples.map(entry).collect();
    sum_by_key(&mut entries);
    if in_time {
        entries.iter_mut().for_each(|(_, ns)| *ns = ns.saturating_add(500) / 1000);
    }
    entries.retain(|&(_, amount)| amount > 0);

    let mut path = Vec::new();
    for ((root, node), count) in entries {
        out.write_all(root.as_bytes())?;
        path.extend(tree.path(node));
        for (index, label) in path.drain(..).rev().enumerate() {
            if index > 0 || !root.is_empty() {
                out.write_all(b";")?;
            }
            out.write_all(names.text(label).as_bytes())?;
        }
        writeln!(out, " {count}")?;
    }
    Ok(())
}

/// What marks a frame's kind at the end of its name, as flame graph tools
/// know it from `stackcollapse-perf.pl --all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    None,
    Kernel,
    Inlined,
    Jit,
}

impl Mark {
    fn of(location: &Location, line: usize) -> Mark {
        match location.kind {
            FrameKind::Kernel => Mark::Kernel,
            _ if line + 1 < location.lines.len() || location.how.inlined => Mark::Inlined,
            FrameKind::Jit => Mark::Jit,
            FrameKind::Runtime(_) => match location.how.tier {
                CodeTier::Baseline | CodeTier::Optimized => Mark::Jit,
                CodeTier::Interpreted | CodeTier::Unknown => Mark::None,
            },
            FrameKind::User | FrameKind::Truncated | FrameKind::Lost | FrameKind::Reason(_) => {
                Mark::None
            }
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Mark::None => "",
            Mark::Kernel => "_[k]",
            Mark::Inlined => "_[i]",
            Mark::Jit => "_[j]",
        }
    }
}

/// The distinct texts of frames, in alphabetical order: a label is an index.
pub(super) struct FrameNames {
    texts: Vec<String>,
    labels: FxHashMap<(FunctionId, Mark), Label>,
}

impl FrameNames {
    /// Renders each function once per kind of frame it occurs in.
    pub(super) fn of(profile: &Profile) -> FrameNames {
        let mut labels = FxHashMap::default();
        for location in &profile.locations {
            for (index, line) in location.lines.iter().enumerate() {
                labels.insert((line.function, Mark::of(location, index)), 0);
            }
        }
        let mut rendered: Vec<(String, _)> = labels
            .keys()
            .map(|&(function, mark)| {
                let name = clean(&profile.functions[function].name);
                (name + mark.suffix(), (function, mark))
            })
            .collect();
        rendered.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut texts: Vec<String> = Vec::new();
        for (text, key) in rendered {
            if texts.last() != Some(&text) {
                texts.push(text);
            }
            labels.insert(key, (texts.len() - 1) as Label);
        }
        FrameNames { texts, labels }
    }

    pub(super) fn label(&self, location: &Location, line: usize) -> Label {
        self.labels[&(location.lines[line].function, Mark::of(location, line))]
    }

    pub(super) fn text(&self, label: Label) -> &str {
        &self.texts[label as usize]
    }
}

/// Replaces what a terminal must not get, and what the format cannot carry: separators, line breaks, and a
/// number at the end, which readers would take for a second count.
fn clean(name: &str) -> String {
    let mut clean: String = name
        .trim()
        .chars()
        .map(|c| match c {
            ';' => ':',
            c if c.is_ascii_control() || c.is_whitespace() => ' ',
            c if is_unsafe(c) => '?',
            c => c,
        })
        .collect();
    if let Some((_, last)) = last_number(&clean) {
        let space = clean.len() - last.len() - 1;
        clean.replace_range(space..=space, "_");
    }
    if clean.is_empty() {
        clean.push_str("[unknown]");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;
    use rz_profile::fixture::trace::load_bytes;

    use crate::export::{Format, export};
    use rz_profile::heap::{Metric, show};

    fn folded(options: &ExportOptions) -> String {
        let mut out = Vec::new();
        export(&fixture::with_waits(), Format::Folded, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_lines_are_added_up_and_sorted() {
        assert_eq!(
            folded(&ExportOptions::default()),
            "\
app 1
app;[truncated];helper 4
app;main;<T as Run>::run;helper_[i];read_[k] 3
app;main;helper 7
"
        );
    }

    #[test]
    fn threads_are_kept_apart_on_request() {
        assert_eq!(
            folded(&ExportOptions { threads: true, ..ExportOptions::default() }),
            "\
app-10/10;main;<T as Run>::run;helper_[i];read_[k] 3
app-10/10;main;helper 2
worker:1-10/11 1
worker:1-10/11;[truncated];helper 4
worker:1-10/11;main;helper 5
"
        );
    }

    #[test]
    fn waits_are_in_microseconds() {
        let options = ExportOptions { event: Some(1), ..ExportOptions::default() };
        assert_eq!(folded(&options), "app;main;helper;[off-CPU: futex] 2500\n");
    }

    #[test]
    fn memory_is_in_bytes_or_objects() {
        let check = |metric, expected: &str| {
            let mut profile = fixture::with_heap();
            let event = show(&mut profile, metric);
            let options = ExportOptions { event, ..ExportOptions::default() };
            let mut out = Vec::new();
            export(&profile, Format::Folded, &options, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        let stack = "app;main;<T as Run>::run;helper_[i];read_[k]";
        check(Metric::Bytes, &format!("{stack} 300\napp;main;helper 4000\n"));
        check(Metric::Count, &format!("{stack} 3\napp;main;helper 40\n"));
        check(Metric::Live, &format!("{stack} 100\n"));
        check(Metric::Temporary, "");
    }

    #[test]
    fn names_are_made_safe() {
        for (name, expected) in [
            ("f(a; b)\nnext", "f(a: b) next"),
            ("worker 12", "worker_12"),
            ("worker 1.5", "worker_1.5"),
            ("operator new", "operator new"),
            ("a\u{202e}b\u{200b}", "a?b?"),
            ("a 1b", "a 1b"),
            ("  ", "[unknown]"),
            ("", "[unknown]"),
        ] {
            assert_eq!(clean(name), expected, "{name:?}");
        }
    }
    #[test]
    fn code_of_runtimes_is_marked_by_how_it_ran() {
        let profile = load_bytes(&fixture::with_runtimes("/srv/job.py").finish());
        let mut out = Vec::new();
        export(&profile, Format::Folded, &ExportOptions::default(), &mut out).unwrap();
        let expected = "\
app;[app+0x1000];<module>;Job.crunch 1
app;[app+0x1000];<module>;Job.crunch;[app+0x2000];[kernel+0xffffffff81000000]_[k] 3
app;[app+0x1000];[lost] 1
app;[app+0x1000];run_[j];add_[j];one_[i] 2
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
