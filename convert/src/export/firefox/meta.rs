//! What a profile for the Firefox Profiler says of itself: when and where it was recorded,
//! what categories and markers mean.

use serde::Serialize;

use super::{about, has_lengths, ms};
use crate::export::layer::Layer;
use rz_profile::model::{EventId, FrameKind, Profile};
use rz_text::clean::clean;

/// Types of markers: an interval off the CPU, and a system call.
pub(super) const WAIT: &str = "Wait";
pub(super) const CALL: &str = "SystemCall";
/// Their category.
pub(super) const REASON: usize = Layer::Reason as usize;

/// How far apart samples are said to be if that is not known.
const USUAL_INTERVAL_NS: u64 = 1_000_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    interval: f64,
    start_time: f64,
    profiling_start_time: f64,
    profiling_end_time: f64,
    process_type: u8,
    product: String,
    stackwalk: u8,
    debug: bool,
    version: u32,
    preprocessed_profile_version: u32,
    imported_from: &'static str,
    symbolicated: bool,
    oscpu: String,
    #[serde(rename = "logicalCPUs")]
    logical_cpus: u32,
    sample_units: SampleUnits,
    uses_only_one_stack_type: bool,
    source_code_is_not_on_searchfox: bool,
    categories: Vec<Category>,
    marker_schema: [MarkerSchema; 2],
    extra: [Extra; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleUnits {
    time: &'static str,
    event_delay: &'static str,
    #[serde(rename = "threadCPUDelta")]
    thread_cpu_delta: &'static str,
}

#[derive(Serialize)]
struct Category {
    name: &'static str,
    color: &'static str,
    subcategories: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MarkerSchema {
    name: &'static str,
    tooltip_label: &'static str,
    table_label: &'static str,
    chart_label: &'static str,
    display: [&'static str; 3],
    fields: [Field; 1],
    description: &'static str,
}

#[derive(Serialize)]
struct Field {
    key: &'static str,
    label: &'static str,
    format: &'static str,
}

#[derive(Serialize)]
struct Extra {
    label: &'static str,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    label: String,
    format: &'static str,
    value: String,
}

impl Meta {
    pub(super) fn of(profile: &Profile, event: Option<EventId>, end_ns: u64) -> Self {
        let info = &profile.info;
        let event = event.map(|event| &profile.events[event]);
        let hz = event.filter(|event| has_lengths(event)).map_or(0, |event| event.frequency_hz);
        let interval_ns = 1_000_000_000_u64.checked_div(hz.into()).unwrap_or(USUAL_INTERVAL_NS);
        let of_runtime =
            profile.locations.iter().any(|location| matches!(location.kind, FrameKind::Runtime(_)));
        let process = profile.processes.first().map_or("trace", |process| &process.name);
        let product = match (&info.host[..], profile.processes.len()) {
            ("", _) => process.to_owned(),
            (host, 0 | 1) => format!("{process} on {host}"),
            (host, more) => format!("{process} and {} more on {host}", more - 1),
        };
        let entries = about(profile).into_iter().map(|line| {
            let (label, value) = line.split_once(": ").unwrap_or(("note", &line));
            Entry { label: label.to_owned(), format: "string", value: clean(value).into() }
        });
        Meta {
            interval: ms(interval_ns),
            start_time: ms(info.start_unix_ns),
            profiling_start_time: 0.0,
            profiling_end_time: ms(end_ns),
            process_type: 0,
            product: clean(&product).into(),
            stackwalk: 1,
            debug: false,
            version: 31,
            preprocessed_profile_version: 60,
            imported_from: concat!("rz ", env!("CARGO_PKG_VERSION")),
            symbolicated: true,
            oscpu: clean(&info.os).into(),
            logical_cpus: info.cpus,
            sample_units: SampleUnits { time: "ms", event_delay: "ms", thread_cpu_delta: "ns" },
            uses_only_one_stack_type: !of_runtime,
            source_code_is_not_on_searchfox: true,
            categories: Layer::ALL.into_iter().map(category).collect(),
            marker_schema: [
                schema(WAIT, "The thread did not run.", "Stands for so much waiting"),
                schema(CALL, "A system call.", "Stands for so much time in calls"),
            ],
            extra: [Extra { label: "Recording", entries: entries.collect() }],
        }
    }
}

fn category(layer: Layer) -> Category {
    let color = match layer {
        Layer::Other => "grey",
        Layer::Native => "blue",
        Layer::Kernel => "orange",
        Layer::Jit => "magenta",
        Layer::Python => "yellow",
        Layer::JavaScript => "green",
        Layer::Java => "purple",
        Layer::Runtime => "lightblue",
        Layer::Reason => "brown",
    };
    Category { name: layer.name(), color, subcategories: ["Other"] }
}

fn schema(name: &'static str, description: &'static str, stands_for: &'static str) -> MarkerSchema {
    MarkerSchema {
        name,
        tooltip_label: "{marker.name}",
        table_label: "{marker.name}",
        chart_label: "{marker.name}",
        display: ["marker-chart", "marker-table", "timeline-overview"],
        fields: [Field { key: "standsFor", label: stands_for, format: "nanoseconds" }],
        description,
    }
}
