//! What a view is as JSON: where it comes from, how good the data is, and the
//! view itself. docs/JSON.md says what the fields are.

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_profile::model::{
    ALLOC, EventId, EventKind, FrameKind, Losses, Profile, Sample, Source, TotalClass,
};
use serde::Serialize;

use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::metric::shown_heap;
use crate::views::annotate::AnnotatedPage;
use crate::views::heap::HeapPage;
use crate::views::heap::sites::SitesPage;
use crate::views::info::InfoPage;
use crate::views::list::CallsPage;
use crate::views::off_cpu::OffCpuPage;
use crate::views::summary::SummaryPage;
use crate::views::syscalls::SyscallsPage;
use crate::views::tree::TreePage;

/// What is written.
const SCHEMA: &str = "rz-report";
/// Version of what is written. It grows when a field changes its meaning or
/// goes, not when one is added.
const SCHEMA_VERSION: u32 = 1;

/// What a report shows, with all that is needed to judge it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document<'l> {
    schema: &'static str,
    schema_version: u32,
    /// The program that wrote this.
    generator: &'static str,
    trace: Trace,
    /// What was selected, if not all of the trace was.
    filter: Option<Filter>,
    /// The event that is shown, if there is one, with all its samples.
    event: Option<Shown>,
    /// All events of the trace.
    events: Vec<Event>,
    quality: Quality,
    /// What a reader should know, one sentence each.
    notes: Vec<String>,
    #[serde(flatten)]
    page: Page<'l>,
}

/// The view: its name is `view`, and what it shows is `data`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "view", content = "data", rename_all = "kebab-case")]
pub enum Page<'l> {
    /// Top functions, hot path and threads.
    Summary(SummaryPage),
    /// The call tree.
    Tree(TreePage),
    /// Why, where and which threads waited.
    OffCpu(OffCpuPage),
    /// What system calls were made.
    Syscalls(SyscallsPage),
    /// System calls, one by one.
    Calls(CallsPage<'l>),
    /// All allocations.
    Heap(Box<HeapPage>),
    /// Places that allocated.
    Sites(SitesPage),
    /// One function, by line or instruction.
    Annotated(AnnotatedPage),
    /// What is known besides what happened.
    Info(InfoPage),
}

/// The recording.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Trace {
    /// The file's name.
    name: String,
    /// Size of the file in bytes.
    file_bytes: u64,
    /// Since the Unix epoch; 0 if unknown.
    start_unix_ns: u64,
    /// Of the window that is looked at; of several recordings, their sum.
    duration_ns: u64,
    /// The same without a window.
    recording_ns: u64,
    /// One, unless the trace was merged.
    recordings: Vec<Recording>,
    /// Files that shown code is from, and the kernel.
    modules: Vec<Module>,
    /// What was taken out of the trace.
    redacted: Vec<Counted>,
    /// What recording cost; 0 if unknown.
    recorder_cpu_ns: u64,
    recorder_peak_bytes: u64,
}

/// One recording.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Recording {
    /// What people call it.
    label: String,
    host: String,
    os: String,
    cpus: u32,
    recorder: String,
    /// How samples were taken, such as `bpf`.
    tier: String,
    /// The recorder's command line.
    command: Vec<String>,
    start_unix_ns: u64,
    duration_ns: u64,
    /// Whether the recorder was killed before it could end the recording.
    cut_short: bool,
    /// Samples of the CPU, and those that are missing.
    samples: u64,
    lost: u64,
    /// What was added to its times to bring its clock in line with the first's.
    clock_shift_ns: i64,
}

/// Something that code is from.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Module {
    module: String,
    path: String,
    /// In hexadecimal digits; empty if it has none.
    build_id: String,
}

/// What was selected.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Filter {
    /// In words.
    text: String,
    /// Since the start of the recording, if a window was given.
    window_ns: Option<[u64; 2]>,
}

/// What was counted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Event {
    /// What `--event` takes.
    name: String,
    /// What a weight is: `nanoseconds`, `cycles`, `bytes` or `count`.
    unit: &'static str,
    /// Of allocations that are shown by one: what `--metric` takes.
    metric: Option<&'static str>,
    /// Samples a second that were asked for; 0 if it is not sampled in time.
    frequency_hz: u32,
}

/// What is shown.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Shown {
    #[serde(flatten)]
    event: Event,
    total: Amount,
}

/// What is missing.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Quality {
    /// What should be in the trace and is not.
    lost: Vec<Lost>,
    /// Samples of the event whose stack does not reach its root, by reason.
    truncated: Vec<Counted>,
    /// Samples of the event whose innermost function has no name.
    unnamed_samples: u64,
    /// Classes whose exact sums are missing, or replaced by sums of what was
    /// recorded one by one: `waits`, `syscalls`, `io-uring`.
    inexact_sums: Vec<&'static str>,
}

/// What is missing of one class.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Lost {
    /// `samples`, `waits`, `syscalls`, `allocations`, `in no total` (waits and
    /// system calls that exact sums do not have) or `unknown`.
    what: &'static str,
    /// How many; 0 if that is not known.
    count: u64,
    reasons: Vec<Counted>,
}

/// A text and a number.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    what: String,
    count: u64,
}

impl Counted {
    fn all(counted: &[(String, u64)]) -> Vec<Self> {
        let one = |(what, count): &(String, u64)| Counted { what: text(what), count: *count };
        counted.iter().map(one).collect()
    }
}

fn text(text: &str) -> String {
    clean(text).into_owned()
}

impl<'l> Document<'l> {
    /// A page about `event` of `profile`; `name` is what to call the trace.
    pub fn new(name: &str, profile: &Profile, event: Option<EventId>, page: Page<'l>) -> Self {
        let info = &profile.info;
        let mut notes: Vec<String> = info.notes.iter().map(|note| text(note)).collect();
        if let Some((_, heap)) = shown_heap(profile, event) {
            notes.extend(heap.notes());
        }
        let filter = info.filter.is_active().then(|| Filter {
            text: text(&info.filter.text),
            window_ns: info.filter.window.map(|(from, to)| [from, to]),
        });
        Document {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: concat!("report ", env!("CARGO_PKG_VERSION")),
            trace: trace(name, profile, event),
            filter,
            event: event
                .map(|id| Shown { event: event_of(profile, id), total: total(profile, id) }),
            events: (0..profile.events.len()).map(|id| event_of(profile, id)).collect(),
            quality: quality(profile, event),
            notes,
            page,
        }
    }

    /// Writes it, a field a line; single calls, of which there may be very
    /// many, without any white space.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.page {
            Page::Calls(_) => serde_json::to_writer(&mut *out, self)?,
            _ => serde_json::to_writer_pretty(&mut *out, self)?,
        }
        writeln!(out)
    }
}

/// All samples of an event.
fn total(profile: &Profile, event: EventId) -> Amount {
    let mut total = Amount::default();
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        total.add(Amount { samples: sample.count, weight: sample.weight });
    }
    total
}

fn event_of(profile: &Profile, id: EventId) -> Event {
    let event = &profile.events[id];
    let metric = shown_heap(profile, Some(id)).map(|(metric, _)| metric.unwrap_or_default());
    let name = if event.kind == EventKind::Alloc { ALLOC } else { &event.name };
    Event {
        name: text(name),
        unit: event.unit.name(),
        metric: metric.map(|metric| metric.name()),
        frequency_hz: event.frequency_hz,
    }
}

fn trace(name: &str, profile: &Profile, event: Option<EventId>) -> Trace {
    let info = &profile.info;
    Trace {
        name: text(name),
        file_bytes: info.file_size,
        start_unix_ns: info.start_unix_ns,
        duration_ns: info.duration_ns,
        recording_ns: info.recording_ns,
        recordings: profile.sources.iter().map(recording).collect(),
        modules: modules(profile, event),
        redacted: Counted::all(&info.redacted),
        recorder_cpu_ns: info.recorder_cpu_ns,
        recorder_peak_bytes: info.recorder_peak_rss,
    }
}

fn recording(source: &Source) -> Recording {
    Recording {
        label: text(&source.label),
        host: text(&source.host),
        os: text(&source.os),
        cpus: source.cpus,
        recorder: text(&source.recorder),
        tier: text(&source.tier),
        command: source.command.iter().map(|part| text(part)).collect(),
        start_unix_ns: source.start_unix_ns,
        duration_ns: source.duration_ns,
        cut_short: source.cut_short,
        samples: source.samples,
        lost: source.lost,
        clock_shift_ns: source.clock_shift_ns,
    }
}

/// Which stacks samples of the event go through.
fn stacks_of(profile: &Profile, event: Option<EventId>) -> Vec<bool> {
    let mut is_shown = vec![false; profile.stacks.len()];
    for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
        let mut next = sample.stack;
        while let Some(stack) = next.filter(|&stack| !is_shown[stack]) {
            is_shown[stack] = true;
            next = profile.stacks[stack].parent;
        }
    }
    is_shown
}

/// What the code that samples of the event go through is from.
fn modules(profile: &Profile, event: Option<EventId>) -> Vec<Module> {
    let shown = stacks_of(profile, event);
    let stacks = profile.stacks.iter().zip(shown).filter(|(_, is_shown)| *is_shown);
    let of_stack = stacks.filter_map(|(stack, _)| profile.locations[stack.location].module);
    let used: FxHashSet<usize> = of_stack.collect();
    let modules = profile.modules.iter().enumerate().filter(|(id, _)| used.contains(id));
    modules
        .map(|(_, module)| Module {
            module: text(&module.name),
            path: text(&module.path),
            build_id: module.build_id.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
        .collect()
}

fn quality(profile: &Profile, event: Option<EventId>) -> Quality {
    let info = &profile.info;
    let lost = [
        ("samples", &info.lost_samples),
        ("waits", &info.lost_waits),
        ("syscalls", &info.lost_calls),
        ("in no total", &info.lost_totals),
        ("allocations", &info.lost_allocations),
        ("unknown", &info.lost_others),
    ];
    let is_any = |losses: &Losses| losses.count > 0 || !losses.reasons.is_empty();
    let lost = lost.into_iter().filter(|(_, losses)| is_any(losses)).map(|(what, losses)| Lost {
        what,
        count: losses.count,
        reasons: Counted::all(&losses.reasons),
    });
    let class = |class: &TotalClass| match class {
        TotalClass::Waits => "waits",
        TotalClass::Calls => "syscalls",
        TotalClass::IoUring => "io-uring",
        TotalClass::Unknown => "unknown",
    };
    Quality {
        lost: lost.collect(),
        truncated: truncated(profile, event),
        unnamed_samples: unnamed(profile, event),
        inexact_sums: profile.inexact.iter().map(class).collect(),
    }
}

/// Samples whose stack does not reach its root, by reason, in the reasons' order.
fn truncated(profile: &Profile, event: Option<EventId>) -> Vec<Counted> {
    // Roots come before what they lead to.
    let mut roots = Vec::with_capacity(profile.stacks.len());
    for (id, stack) in profile.stacks.iter().enumerate() {
        roots.push(stack.parent.map_or(id, |parent| roots[parent]));
    }
    let mut sums: Vec<Counted> = Vec::new();
    for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
        let root =
            sample.stack.map(|stack| &profile.locations[profile.stacks[roots[stack]].location]);
        let Some(reason) = root.and_then(|root| root.truncated) else { continue };
        let what = reason.describe();
        match sums.iter_mut().find(|sum| sum.what == what) {
            Some(sum) => sum.count = sum.count.saturating_add(sample.count),
            None => sums.push(Counted { what: what.to_owned(), count: sample.count }),
        }
    }
    sums.sort_by(|a, b| a.what.cmp(&b.what));
    sums
}

/// Samples whose innermost function has no name.
fn unnamed(profile: &Profile, event: Option<EventId>) -> u64 {
    let samples = profile.samples.iter().filter(|sample| Some(sample.event) == event);
    let is_unnamed = |sample: &&Sample| {
        // What says why a thread waited is no function.
        let mut functions = profile.locations_of(sample.stack);
        let innermost = functions.find(|location| location.kind != FrameKind::Wait);
        let line = innermost.and_then(|location| location.lines.first());
        line.is_some_and(|line| !profile.functions[line.function].is_named())
    };
    let unnamed = samples.filter(is_unnamed);
    unnamed.fold(0, |sum: u64, sample| sum.saturating_add(sample.count))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde_json::Value;

    use super::*;
    use crate::fixture::Builder;
    use crate::model::top::SortBy;
    use crate::views::summary::{SummaryOptions, summary};

    /// Holds a schema in docs/ against the types that it is made of; `RZ_WRITE_SCHEMA=1
    /// cargo test` writes it after a change.
    pub(crate) fn check_schema<T: JsonSchema>(file: &str) {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<T>();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("RZ_WRITE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{file} is not what is written: RZ_WRITE_SCHEMA=1 cargo test");
    }

    #[test]
    fn the_schema_is_that_of_the_types() {
        check_schema::<Document>("report.schema.json");
    }

    fn written(profile: &Profile) -> Value {
        let options = SummaryOptions { limit: 1, by: SortBy::SelfWeight, threads: 10 };
        let page = Page::Summary(summary(profile, Some(0), options));
        let mut out = Vec::new();
        Document::new("t.rz", profile, Some(0), page).write(&mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn says_where_it_is_from_and_what_is_missing() {
        use rz_profile::model::TruncatedReason::NoUnwindInfo;
        let mut builder = Builder::new();
        let known = builder.stack(&["main", "work"]);
        let unnamed = builder.stack(&["[truncated]", "[app+0x1234]"]);
        builder.sample(0, known, 3);
        builder.sample(0, unnamed, 2);
        let mut profile = builder.profile;
        let mut roots = profile.locations.iter_mut().filter(|l| l.kind == FrameKind::Truncated);
        roots.next().unwrap().truncated = Some(NoUnwindInfo);
        profile.info.lost_samples =
            Losses { count: 4, reasons: vec![("ring buffer\u{1b}full".into(), 4)] };
        profile.info.filter.text = "5s to 10s".into();
        profile.info.filter.window = Some((5_000_000_000, 10_000_000_000));
        profile.modules[0].build_id = vec![0xab, 0x01];
        profile.inexact = vec![TotalClass::Waits];
        let json = written(&profile);
        let check = |path: &str, expected: Value| {
            assert_eq!(json.pointer(path), Some(&expected), "{path}: {json:#}");
        };
        check("/schema", "rz-report".into());
        check("/schema_version", 1.into());
        check("/view", "summary".into());
        check("/trace/name", "t.rz".into());
        check("/trace/duration_ns", 10_000_000_000_u64.into());
        check("/trace/modules/0/build_id", "ab01".into());
        check("/filter/window_ns", serde_json::json!([5_000_000_000_u64, 10_000_000_000_u64]));
        check("/event/name", "cpu-clock".into());
        check("/event/unit", "nanoseconds".into());
        check("/event/total", serde_json::json!({"samples": 5, "weight": 50_000_000}));
        // Texts of the trace cannot drive a terminal.
        let lost = serde_json::json!([{"what": "samples", "count": 4,
            "reasons": [{"what": "ring buffer?full", "count": 4}]}]);
        check("/quality/lost", lost);
        let truncated = serde_json::json!([{"what": NoUnwindInfo.describe(), "count": 2}]);
        check("/quality/truncated", truncated);
        check("/quality/unnamed_samples", 2.into());
        check("/quality/inexact_sums", serde_json::json!(["waits"]));
        check("/data/functions/left_out", 2.into());
        check("/data/functions/rows/0/function", "work".into());
        check("/data/functions/rows/0/self/samples", 3.into());
        check("/data/threads/rows/0/tid", 4242.into());
    }
}
