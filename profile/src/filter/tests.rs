//! Filters of functions and modules, on small profiles.

use super::*;
use crate::fixture;
use crate::model::heap::{AllocationKind, Estimate, Heap, Site, Sum, Sums, ThreadHeap};
use crate::model::*;
use crate::reason::{Place, Reason, WaitReason};

/// A profile of stacks like `main;run>inlined;read@libc`, root first: each
/// function in the module behind its `@`, else in `app`, and inlined calls
/// behind `>`. What is in brackets is no code. A stack of `-` is none.
fn profile(samples: &[(&str, u64)]) -> Profile {
    let mut profile = Profile {
        events: vec![Event::default()],
        processes: vec![Process::default()],
        threads: vec![Thread::default()],
        ..Profile::default()
    };
    for &(text, count) in samples {
        let mut stack = None;
        for frame in text.split(';').filter(|_| text != "-") {
            stack = Some(push_frame(&mut profile, stack, frame));
        }
        profile.samples.push(Sample { event: 0, thread: 0, stack, count, weight: count * 10 });
    }
    profile.samples.sort_by_key(|sample| sample.stack);
    profile
}

fn index_of<T: PartialEq>(values: &mut Vec<T>, value: T) -> usize {
    values.iter().position(|known| *known == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    })
}

fn push_frame(profile: &mut Profile, parent: Option<StackId>, frame: &str) -> StackId {
    let (names, module) = frame.split_once('@').unwrap_or((frame, "app"));
    let kind = match names {
        "[truncated]" => FrameKind::Truncated,
        "[off-CPU: futex]" => {
            FrameKind::Reason(Reason::OffCpu(WaitReason::In(Place::Syscall(202))))
        }
        _ => FrameKind::User,
    };
    let path = format!("/lib/{module}");
    let module = (kind == FrameKind::User).then(|| {
        let module = Module { name: module.to_owned(), path, ..Module::default() };
        index_of(&mut profile.modules, module)
    });
    let lines = names.rsplit('>').map(|name| {
        let function = Function { name: name.to_owned(), module, ..Function::default() };
        Line { function: index_of(&mut profile.functions, function), ..Line::default() }
    });
    let location = Location { kind, module, lines: lines.collect(), ..Location::default() };
    let location = index_of(&mut profile.locations, location);
    index_of(&mut profile.stacks, StackNode { parent, location })
}

/// What [`profile`] takes, sorted.
fn describe(profile: &Profile) -> Vec<(String, u64)> {
    let text = |stack: Option<StackId>| {
        let mut frames: Vec<String> = profile
            .locations_of(stack)
            .map(|location| {
                let lines = location.lines.iter().rev();
                let names = lines.map(|line| profile.functions[line.function].name.as_str());
                let names = names.collect::<Vec<_>>().join(">");
                match location.module.map(|module| &*profile.modules[module].name) {
                    None | Some("app") => names,
                    Some(module) => format!("{names}@{module}"),
                }
            })
            .collect();
        frames.reverse();
        if frames.is_empty() { "-".to_owned() } else { frames.join(";") }
    };
    let mut lines: Vec<_> = profile.samples.iter().map(|s| (text(s.stack), s.count)).collect();
    lines.sort();
    lines
}

/// Checks what a filter, in words like `focus=a`, makes of samples.
#[track_caller]
fn check(words: &str, samples: &[(&str, u64)], expected: &[(&str, u64)]) {
    let mut profile = profile(samples);
    let filter = filter(words);
    apply(&mut profile, &filter);
    let mut expected: Vec<_> = expected.iter().map(|&(text, n)| (text.to_owned(), n)).collect();
    expected.sort();
    assert_eq!(describe(&profile), expected, "{words}");
    let callers_first = |(id, node): (usize, &StackNode)| node.parent.is_none_or(|p| p < id);
    assert!(profile.stacks.iter().enumerate().all(callers_first));
}

fn filter(words: &str) -> Filter {
    let mut filter = Filter::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("focus", value)) => filter.focus.push(value.parse().unwrap()),
            Some(("ignore", value)) => filter.ignore.push(value.parse().unwrap()),
            Some(("module", value)) => filter.only_modules.push(value.parse().unwrap()),
            _ if word == "collapse" => filter.collapse_recursion = true,
            _ => panic!("{word}"),
        }
    }
    filter
}

#[test]
fn stacks_with_a_function_are_left_or_left_out() {
    let all =
        [("main;run", 1), ("main;run>parse", 2), ("main;parse_all;x", 4), ("main", 8), ("-", 16)];
    check("", &all, &all);
    check("focus=^parse", &all, &all[1..3]);
    check("focus=^parse$", &all, &all[1..2]);
    check("focus=run focus=x", &all, &all[..3]);
    check("focus=nothing", &all, &[]);
    check("ignore=^parse", &all, &[all[0], all[3], all[4]]);
    check("ignore=run ignore=x", &all, &all[3..]);
    check("focus=run ignore=parse", &all, &all[..1]);
    check(
        "focus=off-CPU",
        &[("main;[off-CPU: futex]", 1), ("main", 2)],
        &[("main;[off-CPU: futex]", 1)],
    );
}

#[test]
fn recursion_becomes_one_frame() {
    let check = |before: &str, after: &str| check("collapse", &[(before, 3)], &[(after, 3)]);
    check("main;a;b", "main;a;b");
    // Direct and indirect.
    check("main;a;a;a;b", "main;a;b");
    check("main;a;b;a;b;c", "main;a;b;c");
    check("main;a;b;a;c", "main;a;c");
    // What ran is what ran.
    check("main;a;b;a", "main;a");
    check("a;b;c;b;a", "a");
    // Inlined calls are calls, and stay inlined where their caller stays.
    check("main;a>b;b", "main;a;b");
    check("main;a>b>c", "main;a>b>c");
    check("main;b;a>b>c", "main;b>c");
    check("main;a>b;a>b", "main;a>b");
    check("main>a>main", "main");
    // Functions of one name in two modules are two.
    check("a;a@libc;a", "a");
    check("b;a@libc;a", "b;a@libc;a");
    check("[truncated];a;a;[off-CPU: futex]", "[truncated];a;[off-CPU: futex]");
    check("-", "-");
}

#[test]
fn what_is_the_same_without_recursion_is_one() {
    let samples = [("f;f", 1), ("f;f;f", 2), ("f", 4), ("f;f;g", 8), ("f;g", 16)];
    check("collapse", &samples, &[("f", 7), ("f;g", 24)]);
}

#[test]
fn other_modules_count_for_their_callers() {
    let samples = [
        ("start@libc;main;run;malloc@libc", 1),
        ("start@libc;main;run", 2),
        ("start@libc;main;qsort@libc;compare", 4),
        ("start@libc", 8),
        ("-", 16),
        ("[truncated];memcpy@libc;x@[kernel]", 32),
        ("[truncated];main;memcpy@libc", 64),
        ("main;write@libc;[off-CPU: futex]", 128),
        ("write@libc;[off-CPU: futex]", 256),
    ];
    let of_app = [
        ("main;run", 3),
        ("main;compare", 4),
        ("[truncated];main", 64),
        ("main;[off-CPU: futex]", 128),
    ];
    check("module=app", &samples, &of_app);
    check("module=/lib/a*", &samples, &of_app);
    check("module=[kernel]", &samples, &[("[truncated];x@[kernel]", 32)]);
    check("module=nothing", &samples, &[]);
    check("module=app module=libc focus=^x", &samples, &[("[truncated];memcpy@libc", 32)]);
    // Functions are looked for in the stacks that there are.
    check("module=app focus=malloc", &samples, &[("main;run", 1)]);
    check("module=app collapse", &[("a;x@libc;a;b", 1)], &[("a;b", 1)]);
}

#[test]
fn the_timeline_and_sums_without_stacks() {
    let total = Total { count: 1, ..Total::default() };
    let mut whole = Profile { totals: vec![total.clone()], ..fixture::profile() };
    whole.open_waits = vec![total];
    let mut focused = whole.clone();
    apply(&mut focused, &filter("focus=^read$"));
    assert_eq!(focused.timeline.as_ref().map(Vec::len), Some(3));
    assert_eq!(focused.samples.iter().map(|s| s.count).sum::<u64>(), 3);
    // What has no stack is not selected by it.
    assert!(focused.totals.is_empty() && focused.open_waits.is_empty());
    assert_eq!(focused.inexact, [TotalClass::Waits]);
    // Recursion changes no sums.
    let mut collapsed = whole.clone();
    apply(&mut collapsed, &filter("collapse"));
    assert_eq!((&collapsed.totals, &collapsed.inexact), (&whole.totals, &whole.inexact));
    assert_eq!(collapsed.timeline.map(|t| t.len()), whole.timeline.map(|t| t.len()));
}

#[test]
fn sites_of_the_heap() {
    let mut profile = profile(&[("main;a;alloc", 1), ("main;b;alloc", 1), ("main;b;b;alloc", 1)]);
    let site = |stack, bytes: f64| {
        let bytes = Estimate { value: bytes, variance: 0.0 };
        let sum = Sum { recorded: 1, bytes, ..Sum::default() };
        let sums = Sums { allocated: sum, at_peak: sum, ..Sums::default() };
        Site { thread: 0, stack, entry: AllocationKind::Malloc, sums }
    };
    let sites: Vec<Site> =
        profile.samples.iter().zip([1.0, 2.0, 4.0]).map(|(s, n)| site(s.stack, n)).collect();
    let threads = vec![ThreadHeap { thread: Some(0), ..ThreadHeap::default() }];
    let counts = Some(Default::default());
    profile.heap = Some(Heap { sites, threads, counts, ..Heap::default() });
    let check = |words: &str, sites: &[f64], counted: bool| {
        let mut profile = profile.clone();
        apply(&mut profile, &filter(words));
        let heap = profile.heap.unwrap();
        let bytes = |sum: &Sum| sum.bytes.value;
        assert_eq!(heap.sites.iter().map(|s| bytes(&s.sums.allocated)).collect::<Vec<_>>(), sites);
        assert_eq!((heap.counts.is_some(), heap.selected.by_stack), (counted, !counted));
        if !counted {
            let all: f64 = sites.iter().sum();
            assert_eq!([bytes(&heap.total.allocated), bytes(&heap.peak.live)], [all, all]);
            let of_threads: f64 = heap.threads.iter().map(|t| bytes(&t.sums.allocated)).sum();
            assert_eq!(of_threads, all);
        }
    };
    check("focus=^b$", &[2.0, 4.0], false);
    check("ignore=^b$", &[1.0], false);
    check("focus=nothing", &[], false);
    check("collapse", &[1.0, 6.0], true);
    check("module=app collapse", &[1.0, 6.0], false);
}

#[test]
fn filters_in_words() {
    let mut filter = filter("focus=^a focus=b ignore=c module=[kernel] collapse");
    filter.threads.push("worker*".parse().unwrap());
    assert_eq!(
        filter.describe(Some((10_000_000_000, 20_500_000_000)), None),
        "10s to 20.5s, thread worker*, focus ^a or b, ignore c, only module [kernel], recursion \
         collapsed"
    );
    assert_eq!(Filter::default().describe(None, None), "");
}
