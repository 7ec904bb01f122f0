//! Work that takes much of the CPU's time, told by the names of functions.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use rz_profile::model::{EventKind, Sample};

use super::observed::{ByFunction, Frame, Observed, exactly};
use super::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::share::share_interval;
use crate::render::format::{counted, duration, percent};

/// Below this share of the CPU's time there is little to be won: without all of it, a
/// program would be faster by a ninth.
const HINT: f64 = 0.10;

/// From this share on it is what the program does most of the time.
const WARNING: f64 = 0.30;

/// A program that runs for less than this share of the recording is idle, and what it does
/// then is nobody's trouble.
const IDLE_PERCENT: f64 = 5.0;

/// Functions that are named of those that do it.
const MOST_NAMES: usize = 4;

/// A kind of work.
struct Work {
    /// The rule that finds it.
    rule: &'static str,
    /// As `12 % of the CPU's time is …`.
    what: &'static str,
    /// Whether only the innermost function tells.
    innermost: bool,
    /// How names of its functions begin, without leading underscores.
    starts: &'static [&'static str],
    /// Parts of names, for those that begin with what they are instances of.
    parts: &'static [&'static str],
    /// How names of source files of Python, or of modules, end.
    files: &'static [&'static str],
    /// How names of threads begin that do nothing else.
    threads: &'static [&'static str],
    /// Why that is not all there is to know.
    but: &'static str,
}

/// All kinds, those first that have others in them.
const WORK: [Work; 7] = [
    Work {
        rule: "garbage-collection",
        what: "collecting garbage",
        innermost: false,
        starts: &[
            "gc_collect",
            "PyGC_Collect",
            "v8::internal::Heap::CollectGarbage",
            "v8::internal::Heap::PerformGarbageCollection",
            "v8::internal::Heap::Scavenge",
            "v8::internal::Scavenge",
            "v8::internal::MarkCompact",
            "v8::internal::ConcurrentMarking",
            "v8::internal::MinorMarkSweep",
            "v8::internal::Sweeper",
            "runtime.gcBgMarkWorker",
            "runtime.gcDrain",
            "runtime.gcAssistAlloc",
            "runtime.gcStart",
            "runtime.bgsweep",
            "runtime.bgscavenge",
            "G1CollectedHeap::",
            "G1ParScanThreadState::",
            "G1ConcurrentMark",
            "ParallelScavengeHeap::",
            "PSParallelCompact",
            "PSPromotionManager::",
            "DefNewGeneration::",
            "GenMarkSweep::",
            "ShenandoahHeap::",
            "ZMark::",
            "ZRelocate",
        ],
        parts: &[],
        files: &[],
        threads: &["GC Thread#", "G1 ", "ZDriver", "ZWorker", "Shenandoah"],
        but: "whether there is too much garbage or too little room for it is not recorded; \
              rec --alloc shows who allocates with malloc",
    },
    Work {
        rule: "page-faults",
        what: "getting memory from the kernel, page by page",
        innermost: false,
        starts: &["asm_exc_page_fault", "exc_page_fault", "do_user_addr_fault", "handle_mm_fault"],
        parts: &[],
        files: &[],
        threads: &[],
        but: "a program that starts, or fills a cache, does so as well, and then no more",
    },
    Work {
        rule: "regular-expressions",
        what: "matching regular expressions",
        innermost: false,
        starts: &[
            "sre_",
            "SRE(",
            "re_search",
            "regexec",
            "pcre_",
            "pcre2_",
            "onig_",
            "regexp.",
            "java.util.regex.",
            "Builtins_RegExp",
            "RegExp",
            "v8::internal::RegExpImpl",
            "v8::internal::IrregexpInterpreter",
            "v8::internal::NativeRegExpMacroAssembler",
            "v8::internal::Runtime_RegExp",
            "boost::re_detail",
            "regex::",
            "regex_automata::",
            "fancy_regex::",
        ],
        parts: &["std::__detail::_Executor<", "std::__detail::__regex_algo_"],
        files: &["re/__init__.py", "lib/python3.8/re.py", "lib/python3.9/re.py", "/re.py"],
        threads: &[],
        but: "how long single matches take is not recorded: one that backtracks takes ever \
              longer with the length of the text, others do not",
    },
    Work {
        rule: "dates",
        what: "reading and writing dates",
        innermost: false,
        starts: &[
            "strptime",
            "strftime",
            "mktime",
            "tz_convert",
            "tzfile_",
            "tzset",
            "localtime",
            "gmtime",
            "time.Parse",
            "time.parse",
            "time.Time.Format",
            "time.Time.AppendFormat",
            "java.time.format.",
            "java.text.SimpleDateFormat",
            "java.text.DateFormat",
            "chrono::format",
            "v8::internal::DateParser",
            "v8::internal::DateCache",
            "v8::internal::JSDateTimeFormat",
        ],
        parts: &["std::time_get<", "std::time_put<", "icu_", "DateParser::"],
        files: &["_strptime.py", "dateutil/parser/_parser.py", "dateutil/parser/isoparser.py"],
        threads: &[],
        but: "whether the same dates are read again and again is not recorded",
    },
    Work {
        rule: "serialization",
        what: "turning objects into text or bytes, and back",
        innermost: false,
        starts: &[
            "serde_json::",
            "serde::",
            "encoding/json.",
            "encoding/xml.",
            "encoding/gob.",
            "com.fasterxml.jackson.",
            "com.google.gson.",
            "java.io.ObjectOutputStream",
            "java.io.ObjectInputStream",
            "nlohmann::",
            "rapidjson::",
            "google::protobuf::",
            "cJSON_",
            "yyjson_",
            "Builtins_JsonParse",
            "Builtins_JsonStringify",
            "JsonParse",
            "JsonStringify",
            "v8::internal::JsonStringifier",
            "v8::internal::JsonStringify",
            "v8::internal::JsonParser",
            "pickle_",
            "_pickle_",
        ],
        parts: &["JsonParser<", "JsonStringifier::"],
        files: &["json/encoder.py", "json/decoder.py", "json/__init__.py", "/pickle.py"],
        threads: &[],
        but: "whether the same objects are written again and again is not recorded",
    },
    Work {
        rule: "zeroing",
        what: "filling memory, mostly with zeros",
        innermost: true,
        starts: &["memset", "bzero", "runtime.memclr", "clear_page", "clear_huge_page"],
        parts: &[],
        files: &[],
        threads: &[],
        but: "how large the pieces are is not recorded",
    },
    Work {
        rule: "copying",
        what: "copying memory",
        innermost: true,
        starts: &["memcpy", "memmove", "mempcpy", "runtime.memmove"],
        parts: &[],
        files: &[],
        threads: &[],
        but: "how large the pieces are is not recorded",
    },
];

/// What does such work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doer<'p> {
    Function(&'p str),
    /// A thread that does nothing else.
    Thread(&'p str),
}

impl fmt::Display for Doer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doer::Function(name) => f.write_str(name),
            Doer::Thread(name) => write!(f, "thread {name}"),
        }
    }
}

impl Work {
    fn is_done_by(&self, observed: &Observed<'_>, frame: Frame<'_>) -> bool {
        let name = frame.name.trim_start_matches('_');
        let name = name.strip_prefix("GI_").map_or(name, |rest| rest.trim_start_matches('_'));
        let file = observed.profile.functions[frame.function].file.as_str();
        self.starts.iter().any(|start| name.starts_with(start))
            || self.parts.iter().any(|part| name.contains(part))
            || self.files.iter().any(|end| file.ends_with(end))
    }

    /// What does it, if it is what a sample is about.
    fn found_in<'p>(&self, observed: &Observed<'p>, sample: &Sample) -> Option<Doer<'p>> {
        let thread = observed.profile.threads[sample.thread].name.as_str();
        if self.threads.iter().any(|start| thread.starts_with(start)) {
            return Some(Doer::Thread(thread));
        }
        let most = if self.innermost { 1 } else { usize::MAX };
        let mut frames = observed.frames(sample.stack).take(most);
        let frame = frames.find(|frame| self.is_done_by(observed, *frame))?;
        Some(Doer::Function(frame.name))
    }

    /// The function that had it done.
    fn asked_by<'p>(&self, observed: &Observed<'p>, sample: &Sample) -> Option<Frame<'p>> {
        let frames = observed.user_frames(sample.stack);
        let own = observed.own(frames.filter(|frame| !self.is_done_by(observed, *frame)))?;
        observed.is_own(own).then_some(own)
    }
}

/// The finding of a rule, if this kind of work takes much of the CPU's time.
pub(super) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    WORK.iter().filter(|work| work.rule == rule).filter_map(|work| one(seen, work)).collect()
}

fn one(seen: &Seen<'_>, work: &Work) -> Option<Finding> {
    let observed = seen.observed;
    let (mut all_ns, mut all, mut ns, mut samples) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut callers = ByFunction::default();
    let mut doers: BTreeMap<Doer<'_>, u64> = BTreeMap::new();
    for sample in observed.samples(EventKind::Cpu) {
        all_ns = all_ns.saturating_add(sample.weight);
        all = all.saturating_add(sample.count);
        let Some(doer) = work.found_in(observed, sample) else { continue };
        ns = ns.saturating_add(sample.weight);
        samples = samples.saturating_add(sample.count);
        let of_doer = doers.entry(doer).or_default();
        *of_doer = of_doer.saturating_add(sample.count);
        if let Some(caller) = work.asked_by(observed, sample) {
            callers.add(caller, sample.weight);
        }
    }
    let [low, _] = share_interval(ns as f64 / (all_ns as f64).max(1.0), all as f64);
    if low < HINT || observed.percent_of_time(all_ns) < IDLE_PERCENT {
        return None;
    }
    let share = |part: u64, of: u64| percent(100.0 * part as f64 / (of as f64).max(1.0));
    let mut doers: Vec<(Doer<'_>, u64)> = doers.into_iter().collect();
    doers.sort_by_key(|(_, samples)| Reverse(*samples));
    doers.truncate(MOST_NAMES);
    let names: Vec<String> = doers.iter().map(|(doer, _)| doer.to_string()).collect();
    let mut title = format!("{} of the CPU's time goes into {}", share(ns, all_ns), work.what);
    let mut evidence = vec![
        format!(
            "{} of {} on the CPU, {}: at least {} with 95 % confidence",
            duration(ns),
            duration(all_ns),
            counted(samples, "sample"),
            percent(100.0 * low)
        ),
        format!("by {}", clean(&names.join(", "))),
    ];
    let mut next = Vec::new();
    if let Some((function, line, of_caller)) = callers.heaviest() {
        let place = observed.place(function, line);
        title += &format!(", asked for by {place}");
        evidence.push(format!("{} of that for {place}", share(of_caller, ns)));
        next.push(observed.command(&["--focus", &observed.focus(function), "--tree"]));
        next.push(observed.command(&["--source", &observed.profile.functions[function].name]));
    } else {
        next.extend(doers.first().map(|(doer, _)| match doer {
            Doer::Function(name) => observed.command(&["--focus", &exactly(name), "--tree"]),
            Doer::Thread(name) => observed.command(&["--thread", name, "--tree"]),
        }));
    }
    Some(Finding {
        title,
        rule: work.rule,
        severity: if low < WARNING { Severity::Hint } else { Severity::Warning },
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence,
        sure: Sure::Likely,
        but: Some(work.but.to_owned()),
        next,
    })
}
