//! The JSON file format of speedscope.
//!
//! One profile per thread after one for all threads. Samples are in order of
//! time if the profile has a timeline and the file stays small enough for
//! speedscope, else equal stacks are added up. An interval off the CPU or a
//! system call stands where it began and is as wide as the time it stands for.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::timed::timeline;
use super::tree::{Label, NodeId, Tree, sum_by_key};
use rz_profile::model::{Event, EventId, EventKind, Profile, Unit};
use rz_profile::select::main_event;
use rz_text::clean::clean;

/// Above this many bytes of samples a timeline is given up: from 128 MiB on
/// speedscope parses with a slower reader, and runs out of memory above about
/// 375 MB.
const LARGEST_TIMELINE: u64 = 100 << 20;

/// Writes the profile; see the module's documentation.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (frames, frame_of) = frames(profile);
    let tree =
        Tree::build(profile, |location, line| frame_of[location.lines[line].function] as Label);
    let event = event.or_else(|| main_event(profile));
    let profiles: Vec<Sampled> =
        event.map_or_else(Vec::new, |event| event_profiles(profile, &tree, event));
    let process = profile.processes.first().map_or("trace", |process| &process.name);
    let mut name = match profile.info.host.as_str() {
        "" => process.to_owned(),
        host => format!("{process} on {host}"),
    };
    if profile.info.filter.is_active() {
        name += &format!(" ({})", profile.info.filter.text);
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("rz ", env!("CARGO_PKG_VERSION")),
        name: &name,
        active_profile_index: 0,
        shared: Shared { frames: &frames },
        profiles: &profiles,
    };
    serde_json::to_writer(&mut *out, &file)?;
    out.write_all(b"\n")
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    exporter: &'a str,
    #[serde(serialize_with = "cleaned")]
    name: &'a str,
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: &'a [Sampled<'a>],
}

#[derive(serde::Serialize)]
struct Shared<'a> {
    frames: &'a [Frame<'a>],
}

/// Lines of samples are left out on purpose: a frame is a function here, and its
/// samples come from many lines. That of its definition tells functions apart.
#[derive(serde::Serialize, PartialEq, Eq, Hash, Clone, Copy)]
struct Frame<'a> {
    #[serde(serialize_with = "cleaned")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty", serialize_with = "cleaned")]
    file: &'a str,
    #[serde(skip_serializing_if = "is_unknown")]
    line: u32,
}

/// Writes a name as it may be shown.
fn cleaned<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clean(name))
}

fn is_unknown(line: &u32) -> bool {
    *line == 0
}

/// The distinct frames, by name, file and first line, and the frame of each function. A
/// function without a source file is told apart by its module.
fn frames(profile: &Profile) -> (Vec<Frame<'_>>, Vec<usize>) {
    let mut frames = Vec::new();
    let mut known = FxHashMap::default();
    let mut frame_of = Vec::with_capacity(profile.functions.len());
    for function in &profile.functions {
        let file = match function.module {
            Some(module) if function.file.is_empty() => {
                let module = &profile.modules[module];
                if module.path.is_empty() { &module.name } else { &module.path }
            }
            _ => &function.file,
        };
        let frame = Frame { name: &function.name, file, line: function.first_line };
        frame_of.push(*known.entry(frame).or_insert_with(|| {
            frames.push(frame);
            frames.len() - 1
        }));
    }
    (frames, frame_of)
}

/// A stack (`None`: the sample has none) and the weight spent in it.
type Entry = (Option<NodeId>, u64);

/// The samples of every thread, by thread id, and of all threads together.
struct Series {
    all: Vec<Entry>,
    of_thread: Vec<Vec<Entry>>,
}

/// The profiles of one event: all threads first, then each thread that was
/// sampled.
fn event_profiles<'a>(profile: &Profile, tree: &'a Tree, event: EventId) -> Vec<Sampled<'a>> {
    let Event { kind, name: event_name, unit, .. } = &profile.events[event];
    let series = timeline_series(profile, tree, event)
        .filter(|series| text_size(tree, series) <= LARGEST_TIMELINE)
        .unwrap_or_else(|| summed_series(profile, tree, event));
    let threads = series.of_thread.into_iter().enumerate().map(|(id, entries)| {
        let (thread, process) = profile.thread(id);
        let name = format!("{} ({}/{})", thread.name, process.pid, thread.tid);
        let name = match profile.is_merged() {
            true => format!("{}: {name}", profile.source_name(process.source)),
            false => name,
        };
        (name, entries)
    });
    std::iter::once(("all threads".to_owned(), series.all))
        .chain(threads.filter(|(_, entries)| !entries.is_empty()))
        .map(|(name, entries)| Sampled {
            name: match kind {
                EventKind::Cpu => name,
                _ => format!("{name}, {event_name}"),
            },
            unit: match unit {
                Unit::Nanoseconds => "nanoseconds",
                Unit::Bytes => "bytes",
                Unit::Cycles | Unit::Count => "none",
            },
            tree,
            entries,
        })
        .collect()
}

/// Samples in order of time, where one stack's consecutive samples are added
/// up, as speedscope itself would draw them; `None` without a timeline, or if
/// the event's samples are not in it.
fn timeline_series(profile: &Profile, tree: &Tree, event: EventId) -> Option<Series> {
    let here = timeline(profile, event)?;
    let mut series = Series { all: vec![], of_thread: vec![vec![]; profile.threads.len()] };
    for sample in here {
        let entry = (sample.stack.get().map(|stack| tree.node_of(stack)), sample.weight);
        for entries in [&mut series.all, &mut series.of_thread[sample.thread]] {
            match entries.last_mut() {
                Some(last) if last.0 == entry.0 => last.1 += entry.1,
                _ => entries.push(entry),
            }
        }
    }
    Some(series)
}

/// Samples added up by stack, in the tree's order: equal callers side by side.
fn summed_series(profile: &Profile, tree: &Tree, event: EventId) -> Series {
    let mut series = Series { all: vec![], of_thread: vec![vec![]; profile.threads.len()] };
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        let entry = (sample.stack.map(|stack| tree.node_of(stack)), sample.weight);
        series.all.push(entry);
        series.of_thread[sample.thread].push(entry);
    }
    sum_by_key(&mut series.all);
    series.of_thread.iter_mut().for_each(sum_by_key);
    series
}

/// About how many bytes the stacks of a series take as JSON.
fn text_size(tree: &Tree, series: &Series) -> u64 {
    let digits = |label: Label| u64::from(label.checked_ilog10().unwrap_or(0)) + 1;
    let path_sizes = tree.path_sums(|label| digits(label) + ",".len() as u64);
    let size = |entry: &Entry| entry.0.map_or(0, |node| path_sizes[node as usize]);
    // Every thread's samples are written again among those of all threads.
    2 * series.all.iter().map(size).sum::<u64>()
}

/// A profile in speedscope's sense: what its drop-down list offers.
struct Sampled<'a> {
    name: String,
    unit: &'static str,
    tree: &'a Tree,
    entries: Vec<Entry>,
}

impl Serialize for Sampled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total: u64 = self.entries.iter().map(|entry| entry.1).sum();
        let mut profile = serializer.serialize_struct("Sampled", 7)?;
        profile.serialize_field("type", "sampled")?;
        profile.serialize_field("name", &clean(&self.name))?;
        profile.serialize_field("unit", self.unit)?;
        profile.serialize_field("startValue", &0)?;
        // Speedscope takes the larger of this length and the sum of weights
        // for 100 %.
        profile.serialize_field("endValue", &total)?;
        profile.serialize_field("samples", &Stacks(self))?;
        profile.serialize_field("weights", &Weights(self))?;
        profile.end()
    }
}

/// The stacks of a profile as lists of frames, root first, made one by one.
struct Stacks<'a>(&'a Sampled<'a>);

impl Serialize for Stacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.entries.iter().map(|&(node, _)| {
            let mut path: Vec<Label> = self.0.tree.path(node).collect();
            path.reverse();
            path
        }))
    }
}

/// The weights of a profile.
struct Weights<'a>(&'a Sampled<'a>);

impl Serialize for Weights<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.entries.iter().map(|entry| entry.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;
    use rz_profile::fixture::trace::load_bytes;
    use rz_profile::heap::{Metric, show};
    use rz_profile::model::Location;

    fn speedscope(profile: &Profile) -> String {
        let mut out = Vec::new();
        write(profile, None, &mut out).unwrap();
        // A line for each frame and each profile's name and samples.
        let json = String::from_utf8(out).unwrap();
        json.replace("},{", "},\n{").replace(",\"samples\"", ",\n \"samples\"")
    }

    #[test]
    fn samples_are_in_order_of_time() {
        let json = speedscope(&fixture::profile());
        assert_eq!(
            json,
            r#"{"$schema":"https://www.speedscope.app/file-format-schema.json","exporter":"rz 0.1.0","name":"app on box","activeProfileIndex":0,"shared":{"frames":[{"name":"main","file":"app.rs"},
{"name":"<T as Run>::run","file":"app.rs"},
{"name":"helper","file":"lib.rs"},
{"name":"read","file":"[kernel]"},
{"name":"[truncated]"}]},"profiles":[{"type":"sampled","name":"all threads","unit":"nanoseconds","startValue":0,"endValue":15000,
 "samples":[[0,2],[0,1,2,3],[0,2],[],[4,2]],"weights":[2000,3000,5000,1000,4000]},
{"type":"sampled","name":"app (10/10)","unit":"nanoseconds","startValue":0,"endValue":5000,
 "samples":[[0,2],[0,1,2,3],[0,2]],"weights":[1000,3000,1000]},
{"type":"sampled","name":"worker;1 (10/11)","unit":"nanoseconds","startValue":0,"endValue":10000,
 "samples":[[0,2],[],[4,2]],"weights":[5000,1000,4000]}]}
"#
        );
    }

    #[test]
    fn an_event_is_chosen() {
        let written = |event| {
            let mut out = Vec::new();
            write(&fixture::with_waits(), event, &mut out).unwrap();
            let json = String::from_utf8(out).unwrap();
            json.split_once("\"profiles\":").unwrap().1.replace("},{", "},\n{")
        };
        assert_eq!(
            written(Some(1)),
            r#"[{"type":"sampled","name":"all threads, off-cpu","unit":"nanoseconds","startValue":0,"endValue":2500800,"samples":[[0,2,5],[],[0,2,5]],"weights":[500000,400,2000400]},
{"type":"sampled","name":"app (10/10), off-cpu","unit":"nanoseconds","startValue":0,"endValue":2500400,"samples":[[0,2,5]],"weights":[2500400]},
{"type":"sampled","name":"worker;1 (10/11), off-cpu","unit":"nanoseconds","startValue":0,"endValue":400,"samples":[[]],"weights":[400]}]}
"#
        );
        // That of the CPU, if it is not said.
        assert_eq!(written(None), written(Some(0)));
    }

    #[test]
    fn memory_has_its_unit() {
        let check = |metric, unit: &str, weights: &str| {
            let mut profile = fixture::with_heap();
            let event = show(&mut profile, metric);
            let mut out = Vec::new();
            write(&profile, event, &mut out).unwrap();
            let json = String::from_utf8(out).unwrap();
            let start =
                format!(r#"{{"type":"sampled","name":"all threads, alloc","unit":"{unit}""#);
            assert!(json.contains(&start), "no {start} in {json}");
            let weights = format!(r#""weights":{weights}}}"#);
            assert!(json.contains(&weights), "no {weights} in {json}");
        };
        check(Metric::Bytes, "bytes", "[300,4000]");
        check(Metric::LiveCount, "none", "[1]");
        check(Metric::Peak, "bytes", "[]");
    }

    #[test]
    fn the_name_says_what_a_filter_selected() {
        let mut profile = fixture::profile();
        profile.info.filter.text = "thread app".into();
        let json = speedscope(&profile);
        assert!(json.contains(r#""name":"app on box (thread app)""#), "{json}");
    }

    #[test]
    fn a_timeline_without_the_event_is_not_taken_for_it() {
        let mut profile = fixture::with_waits();
        profile.timeline.as_mut().unwrap().retain(|sample| sample.event == 0);
        let (_, frame_of) = frames(&profile);
        let label =
            |location: &Location, line: usize| frame_of[location.lines[line].function] as Label;
        let tree = Tree::build(&profile, label);
        assert!(timeline_series(&profile, &tree, 0).is_some());
        assert!(timeline_series(&profile, &tree, 1).is_none());
    }

    #[test]
    fn without_a_timeline_equal_stacks_are_added_up() {
        let json = speedscope(&Profile { timeline: None, ..fixture::profile() });
        let (_, profiles) = json.split_once("\"profiles\":").unwrap();
        assert_eq!(
            profiles,
            r#"[{"type":"sampled","name":"all threads","unit":"nanoseconds","startValue":0,"endValue":15000,
 "samples":[[],[0,1,2,3],[0,2],[4,2]],"weights":[1000,3000,7000,4000]},
{"type":"sampled","name":"app (10/10)","unit":"nanoseconds","startValue":0,"endValue":5000,
 "samples":[[0,1,2,3],[0,2]],"weights":[3000,2000]},
{"type":"sampled","name":"worker;1 (10/11)","unit":"nanoseconds","startValue":0,"endValue":10000,
 "samples":[[],[0,2],[4,2]],"weights":[1000,5000,4000]}]}
"#
        );
    }

    #[test]
    fn the_size_of_a_timeline_is_known_before_it_is_written() {
        let profile = fixture::profile();
        let (_, frame_of) = frames(&profile);
        let label =
            |location: &Location, line: usize| frame_of[location.lines[line].function] as Label;
        let tree = Tree::build(&profile, label);
        let series = timeline_series(&profile, &tree, 0).unwrap();
        let json = serde_json::to_string(&event_profiles(&profile, &tree, 0)).unwrap();
        let stacks: usize = json
            .split("\"samples\":[")
            .skip(1)
            .map(|rest| rest.split("]]").next().unwrap_or("").replace(['[', ']'], "").len())
            .sum();
        assert!(text_size(&tree, &series).abs_diff(stacks as u64) < 10);
    }
    #[test]
    fn code_of_runtimes_has_the_line_of_its_definition() {
        let profile = load_bytes(&fixture::with_runtimes("/srv/job.py").finish());
        let json = speedscope(&profile);
        let frames: Vec<&str> = json.lines().filter(|line| line.contains("/srv/")).collect();
        let expected = [
            r#"{"name":"<module>","file":"/srv/job.py","line":1},"#,
            r#"{"name":"Job.crunch","file":"/srv/job.py","line":11},"#,
            r#"{"name":"run","file":"/srv/web/add.js","line":1},"#,
            r#"{"name":"add","file":"/srv/web/add.js","line":5},"#,
            r#"{"name":"one","file":"/srv/web/add.js","line":8},"#,
        ];
        assert_eq!(frames, expected, "{json}");
    }
}
