//! What a view is as JSON: where it comes from, how good the data is, and the
//! view itself. docs/JSON.md says what the fields are.

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_profile::model::{EventId, FrameKind, LossSum, Profile, Sample, Source, TotalClass};
use serde::Serialize;

use crate::condition::Checked;
use crate::doctor::DoctorPage;
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::truncated::{Truncated, truncated};
use crate::render::format::hex;
use crate::views::annotate::AnnotatedPage;
use crate::views::dump::DumpPage;
use crate::views::functions::{FunctionCallsPage, FunctionsPage};
use crate::views::heap::HeapPage;
use crate::views::heap::sites::SitesPage;
use crate::views::info::InfoPage;
use crate::views::list::CallsPage;
use crate::views::off_cpu::OffCpuPage;
use crate::views::spans::SpansPage;
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
    /// `rz-report`.
    schema: &'static str,
    /// It grows when a field goes or changes its meaning.
    schema_version: u32,
    /// The program that wrote this.
    generator: &'static str,
    /// Where it is from.
    trace: Trace,
    /// What was selected, if not all of the trace was.
    filter: Option<Filter>,
    /// The event that is shown, if there is one, with all its samples.
    event: Option<Shown>,
    /// All events of the trace.
    events: Vec<Event>,
    /// What is missing.
    quality: Quality,
    /// What a reader should know, one sentence each.
    notes: Vec<String>,
    /// What became of conditions that the trace was checked against.
    conditions: Vec<Condition>,
    #[serde(flatten)]
    page: Page<'l>,
}

/// A condition, as it was asked for, and what became of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Condition {
    /// As it was asked for.
    condition: String,
    /// `fine`, or `regression` if it is beyond the limit.
    outcome: &'static str,
    /// A sentence with the numbers.
    text: String,
}

/// The view: its name is `view`, and what it shows is `data`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "view", content = "data", rename_all = "kebab-case")]
pub enum Page<'l> {
    /// Top functions, hot path and threads.
    Summary(SummaryPage),
    /// What is wrong.
    Doctor(DoctorPage),
    /// What every thread was doing at the end.
    Dump(DumpPage),
    /// The call tree.
    Tree(TreePage),
    /// Why, where and which threads waited.
    OffCpu(OffCpuPage),
    /// What system calls were made.
    Syscalls(SyscallsPage),
    /// System calls, one by one.
    Calls(CallsPage<'l>),
    /// Which functions were called, of those whose calls were recorded.
    Functions(FunctionsPage),
    /// Calls of functions, one by one.
    FunctionCalls(FunctionCallsPage<'l>),
    /// All allocations.
    Heap(Box<HeapPage>),
    /// Places that allocated.
    Sites(SitesPage),
    /// One function, by line or instruction.
    Annotated(AnnotatedPage),
    /// What is known besides what happened.
    Info(InfoPage),
    /// Spans by name.
    Spans(SpansPage),
}

/// The recording.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Trace {
    /// The file's name.
    name: String,
    /// Size of the file in bytes.
    file_bytes: u64,
    /// When the recording began, or the window, since the Unix epoch.
    start_unix_ns: Option<u64>,
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
    /// CPU time that recording took.
    recorder_cpu_ns: Option<u64>,
    /// Memory that the recorder had resident, at most.
    recorder_peak_bytes: Option<u64>,
}

/// One recording.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Recording {
    /// What people call it.
    label: Option<String>,
    /// The name of the machine.
    host: Option<String>,
    /// Kernel name, release and machine, as `uname` gives them.
    os: Option<String>,
    /// CPUs of the machine.
    cpus: Option<u32>,
    /// Version of the recorder.
    recorder: Option<String>,
    /// How samples were taken, such as `bpf`.
    tier: Option<String>,
    /// The recorder's command line; empty if it is not known.
    command: Vec<String>,
    /// When it began, since the Unix epoch.
    start_unix_ns: Option<u64>,
    /// How long samples were taken.
    duration_ns: u64,
    /// Whether the recorder was killed before it could end the recording.
    cut_short: bool,
    /// Samples of the CPU.
    samples: u64,
    /// Samples of the CPU that were due and are missing.
    lost: u64,
    /// What was added to its times to bring its clock in line with the first's.
    clock_shift_ns: i64,
}

/// Something that code is from.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Module {
    /// Its short name, as functions have it.
    module: String,
    /// Its path; `null` of what is no file.
    path: Option<String>,
    /// In hexadecimal digits.
    build_id: Option<String>,
}

/// What was selected.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Filter {
    /// In words.
    text: String,
    /// Since the start of the recording, if a window was given, or spans: from the first
    /// to the last of them.
    window_ns: Option<[u64; 2]>,
    /// For how long there was any of the spans that it selects; `null` if it does not
    /// select by spans.
    span_ns: Option<u64>,
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
    /// Samples a second that were asked for; `null` if it is not sampled in time.
    frequency_hz: Option<u32>,
}

/// What is shown.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Shown {
    #[serde(flatten)]
    event: Event,
    /// All its samples.
    total: Amount,
}

/// What is missing.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Quality {
    /// What should be in the trace and is not.
    lost: Vec<Lost>,
    /// Samples of the event whose stack does not reach its root, by reason.
    truncated: Vec<Cut>,
    /// Samples of the event whose innermost function has no name; `null` if
    /// none is shown, or names were not looked for.
    unnamed_samples: Option<u64>,
    /// Classes whose exact sums are missing, left out, or replaced by sums of
    /// what was recorded one by one.
    inexact_sums: Vec<Inexact>,
}

/// Why stacks do not reach their roots.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Cut {
    /// Why, in words.
    what: &'static str,
    /// How many samples have such a stack.
    count: u64,
    /// What makes such stacks whole in the next recording; `null` if nothing is known to.
    help: Option<&'static str>,
}

/// A class without exact sums.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Inexact {
    /// `waits`, `syscalls` or `io-uring`.
    what: &'static str,
    /// Why, and what stands in their place.
    why: &'static str,
}

/// What is missing of one class.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Lost {
    /// `samples`, `waits`, `syscalls`, `allocations`, `in no total` (waits and
    /// system calls that exact sums do not have) or `unknown`.
    what: &'static str,
    /// How many; `null` if that is not known.
    count: Option<u64>,
    /// The same by reason.
    reasons: Vec<Counted>,
}

/// A text and a number.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Counted {
    /// What was counted.
    what: String,
    /// How many; `null` if that is not known.
    count: Option<u64>,
}

impl Counted {
    fn all(counted: &[(String, u64)]) -> Vec<Self> {
        let one =
            |(what, count): &(String, u64)| Counted { what: text(what), count: known(*count) };
        counted.iter().map(one).collect()
    }

    fn lost(sum: &LossSum) -> Self {
        Counted { what: sum.to_string(), count: known(sum.count) }
    }
}

fn cuts(profile: &Profile, event: EventId) -> Vec<Cut> {
    let one = |Truncated { why, samples }| Cut {
        what: why.describe(),
        count: samples,
        help: why.help(&profile.info.tiers),
    };
    truncated(profile, event).into_iter().map(one).collect()
}

fn text(text: &str) -> String {
    clean(text).into_owned()
}

/// A text of the trace, where empty is unknown.
fn known_text(recorded: &str) -> Option<String> {
    (!recorded.is_empty()).then(|| text(recorded))
}

/// A number of the trace, where 0 is unknown.
fn known<N: Default + PartialEq>(number: N) -> Option<N> {
    (number != N::default()).then_some(number)
}

impl<'l> Document<'l> {
    /// A page about `event` of `profile`; `name` is what to call the trace.
    pub fn new(name: &str, profile: &Profile, event: Option<EventId>, page: Page<'l>) -> Self {
        let info = &profile.info;
        let mut notes: Vec<String> = info.notes.iter().map(|note| text(note)).collect();
        if let Some(heap) = event.and_then(|event| profile.heap_of(event)) {
            notes.extend(heap.notes());
        }
        let filter = info.filter.is_active().then(|| Filter {
            text: text(&info.filter.text),
            window_ns: info.filter.window.map(|(from, to)| [from, to]),
            span_ns: info.filter.spans.as_ref().map(|spans| spans.time_ns),
        });
        Document {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            generator: concat!("report ", env!("CARGO_PKG_VERSION")),
            trace: trace(name, profile, event),
            filter,
            event: event.map(|id| Shown {
                event: event_of(profile, id),
                total: Amount::of_event(profile, id),
            }),
            events: (0..profile.events.len()).map(|id| event_of(profile, id)).collect(),
            quality: quality(profile, event),
            notes,
            conditions: Vec::new(),
            page,
        }
    }

    /// The same with what became of conditions.
    pub fn with_conditions(mut self, checked: &[Checked]) -> Self {
        let condition = |checked: &Checked| Condition {
            condition: checked.condition.clone(),
            outcome: checked.outcome.name(),
            text: text(&checked.text),
        };
        self.conditions = checked.iter().map(condition).collect();
        self
    }

    /// The same with what else a reader should know.
    pub fn with_notes(mut self, notes: &[String]) -> Self {
        let notes: Vec<String> = notes.iter().map(|note| text(note)).collect();
        let new = notes.into_iter().filter(|note| !self.notes.contains(note));
        let new: Vec<String> = new.collect();
        self.notes.extend(new);
        self
    }

    /// The same for a profile in which names were not looked for.
    pub fn without_names(mut self) -> Self {
        self.quality.unnamed_samples = None;
        self
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

fn event_of(profile: &Profile, id: EventId) -> Event {
    let event = &profile.events[id];
    let metric = profile.heap_of(id).map(|_| event.metric.unwrap_or_default());
    Event {
        name: text(&event.name),
        unit: event.unit.name(),
        metric: metric.map(|metric| metric.name()),
        frequency_hz: known(event.frequency_hz),
    }
}

fn trace(name: &str, profile: &Profile, event: Option<EventId>) -> Trace {
    let info = &profile.info;
    Trace {
        name: text(name),
        file_bytes: info.file_size,
        start_unix_ns: known(info.start_unix_ns),
        duration_ns: info.duration_ns,
        recording_ns: info.recording_ns,
        recordings: profile.sources.iter().map(recording).collect(),
        modules: modules(profile, event),
        redacted: Counted::all(&info.redacted),
        recorder_cpu_ns: known(info.recorder_cpu_ns),
        recorder_peak_bytes: known(info.recorder_peak_rss),
    }
}

fn recording(source: &Source) -> Recording {
    Recording {
        label: known_text(&source.label),
        host: known_text(&source.host),
        os: known_text(&source.os),
        cpus: known(source.cpus),
        recorder: known_text(&source.recorder),
        tier: source.tier.as_ref().and_then(|tier| known_text(tier.name())),
        command: source.command.iter().map(|part| text(part)).collect(),
        start_unix_ns: known(source.start_unix_ns),
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
            path: known_text(&module.path),
            build_id: (!module.build_id.is_empty()).then(|| hex(&module.build_id)),
        })
        .collect()
}

fn quality(profile: &Profile, event: Option<EventId>) -> Quality {
    let info = &profile.info;
    let lost = [
        ("samples", &info.lost_samples),
        ("waits", &info.lost_waits),
        ("syscalls", &info.lost_calls),
        ("functions", &info.lost_function_calls),
        ("in no total", &info.lost_totals),
        ("allocations", &info.lost_allocations),
        ("unknown", &info.lost_others),
    ];
    let lost = lost.into_iter().filter(|(_, losses)| losses.is_any()).map(|(what, losses)| Lost {
        what,
        count: known(losses.count),
        reasons: losses.reasons.iter().map(Counted::lost).collect(),
    });
    let inexact = |class: &TotalClass| Inexact {
        what: match class {
            TotalClass::Waits => "waits",
            TotalClass::Calls => "syscalls",
            TotalClass::IoUring => "io-uring",
            TotalClass::Functions => "functions",
            TotalClass::Unknown => "unknown",
        },
        why: match (info.filter.why_inexact(*class), info.cut_short) {
            (Some(why), _) => why,
            (None, true) => "added up: the recording was not ended",
            (None, false) => "added up: the exact sums are missing",
        },
    };
    Quality {
        lost: lost.collect(),
        truncated: event.map_or_else(Vec::new, |event| cuts(profile, event)),
        unnamed_samples: event.map(|event| unnamed(profile, event)),
        inexact_sums: profile.inexact.iter().map(inexact).collect(),
    }
}

/// Samples whose innermost function has no name.
pub(crate) fn unnamed(profile: &Profile, event: EventId) -> u64 {
    let samples = profile.samples.iter().filter(|sample| sample.event == event);
    let is_unnamed = |sample: &&Sample| {
        // What says why a thread waited is no function.
        let mut functions = profile.locations_of(sample.stack);
        let innermost = functions.find(|location| !matches!(location.kind, FrameKind::Reason(_)));
        let line = innermost.and_then(|location| location.lines.first());
        line.is_some_and(|line| profile.functions[line.function].nameless)
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

    /// Properties of a schema, or below it, that nothing describes.
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let at = format!("{at}/{name}");
                    if at.ends_with(&format!("/properties/{name}"))
                        && value.get("description").is_none()
                        && value.get("const").is_none()
                    {
                        found.push(at.clone());
                    }
                    undescribed(value, &at, found);
                }
            }
            Value::Array(values) => {
                values.iter().for_each(|value| undescribed(value, at, found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_field_is_described() {
        let schema = SchemaSettings::draft2020_12().for_serialize();
        let schema = schema.into_generator().into_root_schema_for::<Document>();
        let mut found = Vec::new();
        undescribed(schema.as_value(), "", &mut found);
        // What one of several has is described where it is chosen.
        found.retain(|at| !at.contains("/oneOf/"));
        assert_eq!(found, [""; 0]);
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
        use rz_profile::model::{LossReason, Losses};
        let mut builder = Builder::new();
        let known = builder.stack(&["main", "work"]);
        let unnamed = builder.stack(&["[truncated]", "[app+0x1234]"]);
        builder.sample(0, known, 3);
        builder.sample(0, unnamed, 2);
        let mut profile = builder.profile;
        let mut roots = profile.locations.iter_mut().filter(|l| l.kind == FrameKind::Truncated);
        roots.next().unwrap().truncated = Some(NoUnwindInfo);
        let full = LossSum { reason: LossReason::RingFull, count: 4, duration_ns: 0 };
        profile.info.lost_samples = Losses { count: 4, reasons: vec![full] };
        profile.info.redacted = vec![("host\u{1b}names".into(), 4)];
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
        let redacted = serde_json::json!([{"what": "host?names", "count": 4}]);
        check("/trace/redacted", redacted);
        let lost = serde_json::json!([{"what": "samples", "count": 4,
            "reasons": [{"what": "kernel buffer full", "count": 4}]}]);
        check("/quality/lost", lost);
        let truncated =
            serde_json::json!([{"what": NoUnwindInfo.describe(), "count": 2, "help": null}]);
        check("/quality/truncated", truncated);
        check("/quality/unnamed_samples", 2.into());
        check("/quality/inexact_sums/0/what", "waits".into());
        check("/trace/recordings", serde_json::json!([]));
        check("/data/functions/left_out", 2.into());
        check("/data/functions/rows/0/function", "work".into());
        check("/data/functions/rows/0/self/samples", 3.into());
        check("/data/threads/rows/0/tid", 4242.into());
    }
}
