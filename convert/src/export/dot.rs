//! A call graph for Graphviz, with the looks, thresholds and colours of gprof2dot: a box for
//! each function, with its share of the total, and in brackets that of its own code.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::seen::Seen;
use rz_profile::model::{EventId, FunctionId, Profile, Unit};
use rz_profile::select::main_event;
use rz_text::clean::clean;

/// Functions with less than this share of the total are left out, and so are calls.
const FUNCTION_THRESHOLD: f64 = 0.005;
const CALL_THRESHOLD: f64 = 0.001;

/// `dot` reads no strings above 16 KiB.
const MAX_NAME: usize = 4096;

/// Hue, saturation and lightness of what has nothing of the total, and all of it.
const COLD: [f64; 3] = [2.0 / 3.0, 0.8, 0.25];
const HOT: [f64; 3] = [0.0, 1.0, 0.5];

/// What functions and calls have of the total.
struct Graph {
    total: u64,
    of_itself: Vec<u64>,
    functions: Seen,
    calls: Seen,
    call_ids: FxHashMap<(FunctionId, FunctionId), usize>,
}

/// Writes the profile; see the module's documentation.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let event = event.or_else(|| main_event(profile));
    let graph = Graph::of(profile, event);
    let share = |amount: u64| amount as f64 / graph.total.max(1) as f64;
    let title = event.map_or_else(String::new, |event| title(profile, event, graph.total));
    writeln!(out, "digraph {{")?;
    writeln!(
        out,
        "  graph [fontname=\"Arial\", ranksep=0.25, nodesep=0.125, labelloc=t, label={}];",
        quoted(&title)
    )?;
    writeln!(
        out,
        "  node [fontname=\"Arial\", shape=box, style=filled, fontcolor=white, width=0, height=0];"
    )?;
    writeln!(out, "  edge [fontname=\"Arial\"];")?;
    let shown = |function: FunctionId| {
        let total = graph.functions.sums()[function];
        total > 0 && share(total) >= FUNCTION_THRESHOLD
    };
    for function in (0..profile.functions.len()).filter(|&function| shown(function)) {
        let total = share(graph.functions.sums()[function]);
        let of_itself = share(graph.of_itself[function]);
        let home = profile.home_of(function);
        let lines = [
            shortened(home),
            shortened(&profile.functions[function].name),
            format!("{:.2}%", 100.0 * total),
            format!("({:.2}%)", 100.0 * of_itself),
        ];
        let lines = lines.iter().filter(|line| !line.is_empty());
        let label = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
        let tooltip = quoted(&shortened(&profile.functions[function].file));
        let (label, color) = (quoted(&label), color(total));
        writeln!(
            out,
            "  f{function} [label={label}, color=\"{color}\", fontsize=10, tooltip={tooltip}];"
        )?;
    }
    let mut calls: Vec<_> = graph.call_ids.iter().collect();
    calls.sort_unstable();
    for (&(caller, callee), &id) in calls {
        let part = share(graph.calls.sums()[id]);
        if part < CALL_THRESHOLD || !shown(caller) || !shown(callee) {
            continue;
        }
        let (color, width) = (color(part), (4.0 * part).max(0.5));
        writeln!(
            out,
            "  f{caller} -> f{callee} [label=\"{:.2}%\", color=\"{color}\", fontcolor=\"{color}\", \
             fontsize=10, penwidth={width:.2}, arrowsize={:.2}];",
            100.0 * part,
            0.5 * width.sqrt()
        )?;
    }
    writeln!(out, "}}")
}

impl Graph {
    fn of(profile: &Profile, event: Option<EventId>) -> Self {
        let mut graph = Graph {
            total: 0,
            of_itself: vec![0; profile.functions.len()],
            functions: Seen::new(profile.functions.len()),
            calls: Seen::new(0),
            call_ids: FxHashMap::default(),
        };
        for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
            graph.total += sample.weight;
            graph.functions.next_stack();
            graph.calls.next_stack();
            let lines = profile.locations_of(sample.stack).flat_map(|location| &location.lines);
            let mut callee = None;
            for function in lines.map(|line| line.function) {
                graph.functions.add(function, sample.weight);
                match callee {
                    None => graph.of_itself[function] += sample.weight,
                    Some(callee) => {
                        let next = graph.call_ids.len();
                        let id = *graph.call_ids.entry((function, callee)).or_insert(next);
                        graph.calls.add(id, sample.weight);
                    }
                }
                callee = Some(function);
            }
        }
        graph
    }
}

/// What is shown, and of how much.
fn title(profile: &Profile, event: EventId, total: u64) -> String {
    let event = &profile.events[event];
    let total = match event.unit {
        Unit::Nanoseconds => format!("{:.2} s", total as f64 / 1e9),
        Unit::Bytes | Unit::Cycles | Unit::Count => format!("{total} {}", event.unit.name()),
    };
    let process = profile.processes.first().map_or("trace", |process| &process.name);
    let filter = match profile.info.filter.is_active() {
        true => format!(", {}", profile.info.filter.text),
        false => String::new(),
    };
    clean(&format!("{process}: {}, {total}{filter}", event.title())).into()
}

/// A name that a string of `dot` can hold.
fn shortened(name: &str) -> String {
    let name = clean(name);
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.into(),
    }
}

/// A string of `dot`, in which a backslash says what is next.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// From dark blue for nothing to red for all.
fn color(share: f64) -> String {
    let between = |index: usize| COLD[index] + share.clamp(0.0, 1.0) * (HOT[index] - COLD[index]);
    let [hue, saturation, lightness] = [0, 1, 2].map(between);
    // Lightness is one half at most, which leaves one case of the conversion to RGB.
    let most = lightness * (saturation + 1.0);
    let least = 2.0 * lightness - most;
    let channel = |hue: f64| {
        let sixths = 6.0 * hue.rem_euclid(1.0);
        let part = match sixths {
            ..1.0 => sixths,
            1.0..3.0 => 1.0,
            3.0..4.0 => 4.0 - sixths,
            _ => 0.0,
        };
        (255.0 * (least + (most - least) * part)).round() as u8
    };
    let [red, green, blue] = [hue + 1.0 / 3.0, hue, hue - 1.0 / 3.0].map(channel);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;

    #[test]
    fn boxes_and_arrows() {
        let mut out = Vec::new();
        let mut profile = fixture::profile();
        profile.functions[1].name = "\"<T\\as>\"\n".into();
        write(&profile, None, &mut out).unwrap();
        let dot = String::from_utf8(out).unwrap();
        let mut lines = dot.lines().filter(|line| line.starts_with("  f"));
        let label = |line: &str| {
            let (name, rest) = line.trim().split_once(" [label=").unwrap();
            format!("{name} {}", rest.split(", color").next().unwrap())
        };
        let labels: Vec<String> = lines.by_ref().map(label).collect();
        assert_eq!(
            labels,
            [
                r#"f0 "app\nmain\n66.67%\n(0.00%)""#,
                r#"f1 "app\n\"<T\\as>\"?\n20.00%\n(0.00%)""#,
                r#"f2 "app\nhelper\n93.33%\n(73.33%)""#,
                r#"f3 "[kernel]\nread\n20.00%\n(20.00%)""#,
                r#"f4 "[truncated]\n26.67%\n(0.00%)""#,
                r#"f0 -> f1 "20.00%""#,
                r#"f0 -> f2 "46.67%""#,
                r#"f1 -> f2 "20.00%""#,
                r#"f2 -> f3 "20.00%""#,
                r#"f4 -> f2 "26.67%""#,
            ]
        );
    }

    #[test]
    fn colours_go_from_blue_to_red() {
        assert_eq!(color(0.0), "#0d0d73");
        assert_eq!(color(1.0), "#ff0000");
        assert_eq!(color(0.5), "#0ab60a");
    }
}
