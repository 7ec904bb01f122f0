//! The small profile that the exporters' unit tests write.

use crate::heap::{AllocationKind, Estimate, Heap, Metric, Site, Sum, Sums, show};
use crate::profile::*;

/// Two threads; an inlined call, a kernel frame, a truncated stack, two
/// addresses in one function, and a sample without a stack.
///
/// ```text
/// stack 0  main
/// stack 1  main ► <T as Run>::run ► helper (inlined)
/// stack 2  main ► <T as Run>::run ► helper (inlined) ► read (kernel)
/// stack 3  main ► helper            stack 4  the same, another address
/// stack 5  [truncated]
/// stack 6  [truncated] ► helper
/// ```
pub(crate) fn profile() -> Profile {
    let function = |name: &str, system_name: &str, file: &str, module| Function {
        name: name.into(),
        system_name: system_name.into(),
        file: file.into(),
        module,
    };
    let location = |kind, module, address, lines: &[(usize, u32)]| Location {
        kind,
        module,
        address,
        lines: lines.iter().map(|&(function, line)| Line { function, line, column: 0 }).collect(),
    };
    let node = |parent, location| StackNode { parent, location };
    let sample =
        |thread, stack, count| Sample { event: 0, thread, stack, count, weight: count * 1000 };
    let thread = |tid, name: &str| Thread { process: 0, tid, name: name.into() };
    let timeline = [
        [(0, Some(3)), (1, Some(3)), (0, Some(2)), (0, Some(2)), (0, Some(2))],
        [(0, Some(3)), (1, Some(4)), (1, Some(3)), (1, Some(3)), (1, Some(3))],
        [(1, None), (1, Some(6)), (1, Some(6)), (1, Some(6)), (1, Some(6))],
    ];
    let timeline = timeline.into_iter().flatten();
    let timed = |(time, (thread, stack))| TimedSample {
        time_ns: time as Nanos,
        event: 0,
        thread,
        stack,
        weight: 1000,
    };
    Profile {
        info: Info {
            host: "box".into(),
            command: vec!["rec".into(), "-p".into(), "10".into()],
            start_unix_ns: 1_700_000_000_000_000_000,
            duration_ns: 2_000_000_000,
            ..Info::default()
        },
        events: vec![Event {
            name: "cpu-clock".into(),
            unit: Unit::Nanoseconds,
            frequency_hz: 1000,
            ..Event::default()
        }],
        processes: vec![Process {
            pid: 10,
            name: "app".into(),
            exe: "/bin/app".into(),
            kernel: false,
            source: 0,
        }],
        threads: vec![thread(10, "app"), thread(11, "worker;1")],
        modules: vec![
            Module { kind: ModuleKind::Kernel, name: "[kernel]".into(), ..Module::default() },
            Module {
                kind: ModuleKind::File,
                name: "app".into(),
                path: "/bin/app".into(),
                build_id: vec![0xab, 0x01],
                file_size: 0,
            },
        ],
        functions: vec![
            function("main", "main", "app.rs", Some(1)),
            function("<T as Run>::run", "_ZN3runE", "app.rs", Some(1)),
            function("helper", "_ZN6helperE", "lib.rs", Some(1)),
            function("read", "read", "", Some(0)),
            function("[truncated]", "", "", None),
        ],
        locations: vec![
            location(FrameKind::User, Some(1), 0x1000, &[(0, 10)]),
            location(FrameKind::User, Some(1), 0x2000, &[(2, 5), (1, 20)]),
            location(FrameKind::Kernel, Some(0), 0xffff_ffff_8100_0000, &[(3, 0)]),
            location(FrameKind::User, Some(1), 0x3000, &[(2, 6)]),
            location(FrameKind::User, Some(1), 0x3004, &[(2, 7)]),
            location(FrameKind::Truncated, None, 0, &[(4, 0)]),
        ],
        stacks: vec![
            node(None, 0),
            node(Some(0), 1),
            node(Some(1), 2),
            node(Some(0), 3),
            node(Some(0), 4),
            node(None, 5),
            node(Some(5), 3),
        ],
        samples: vec![
            sample(0, Some(2), 3),
            sample(0, Some(3), 2),
            sample(1, None, 1),
            sample(1, Some(3), 4),
            sample(1, Some(4), 1),
            sample(1, Some(6), 4),
        ],
        timeline: Some(timeline.enumerate().map(timed).collect()),
        ..Profile::default()
    }
}

/// [`profile`] with intervals off the CPU: two waits for 2.5 ms in all below
/// stack 3, and one that is too short to be seen in microseconds.
pub(crate) fn with_waits() -> Profile {
    let mut profile = profile();
    profile.events.push(Event {
        kind: EventKind::OffCpu,
        name: OFF_CPU.into(),
        ..Event::default()
    });
    profile.functions.push(Function { name: "[off-CPU: futex]".into(), ..Function::default() });
    let line = Line { function: profile.functions.len() - 1, ..Line::default() };
    profile.locations.push(Location {
        kind: FrameKind::Wait,
        lines: vec![line],
        ..Location::default()
    });
    let location = profile.locations.len() - 1;
    profile.stacks.push(StackNode { parent: Some(3), location });
    let stack = Some(profile.stacks.len() - 1);
    let sample = |thread, stack, count, weight| Sample { event: 1, thread, stack, count, weight };
    profile.samples.push(sample(0, stack, 2, 2_500_400));
    profile.samples.push(sample(1, None, 1, 400));
    let timed =
        |time_ns, thread, stack, weight| TimedSample { time_ns, event: 1, thread, stack, weight };
    let timeline = [
        timed(0, 0, stack, 500_000),
        timed(3, 1, None, 400),
        timed(1_000_000, 0, stack, 2_000_400),
    ];
    profile.timeline.get_or_insert_default().extend(timeline);
    profile
}

/// [`profile`] with allocations: three in stack 2, one of which was never
/// freed, and one of forty that was sampled in stack 4.
pub(crate) fn with_heap() -> Profile {
    let mut profile = profile();
    let sum = |recorded, objects: f64, bytes: f64| {
        let estimate = |value| Estimate { value, variance: 0.0 };
        Sum { recorded, objects: estimate(objects), bytes: estimate(bytes) }
    };
    let site = |thread, stack, allocated, at_end| Site {
        thread,
        stack: Some(stack),
        entry: AllocationKind::Malloc,
        sums: Sums { allocated, at_end, ..Sums::default() },
    };
    profile.heap = Some(Heap {
        interval: 4096,
        sites: vec![
            site(0, 2, sum(3, 3.0, 300.0), sum(1, 1.0, 100.0)),
            site(1, 4, sum(1, 39.9, 3999.6), Sum::default()),
        ],
        ..Heap::default()
    });
    profile.events.push(Event {
        kind: EventKind::Alloc,
        name: ALLOC.into(),
        unit: Unit::Bytes,
        ..Event::default()
    });
    show(&mut profile, Metric::Bytes);
    profile
}
