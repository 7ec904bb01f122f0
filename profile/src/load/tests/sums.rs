//! What is added up, and the facts beside it.

use rz_format::*;

use crate::fixture::trace::*;
use crate::load::{LoadOptions, load};
use crate::model;

#[test]
fn the_golden_vector() {
    let options = LoadOptions { timeline: true, ..LoadOptions::default() };
    let profile = load(&golden_vector(), &options).unwrap();
    assert_eq!(
        describe(&profile),
        "\
app: [app+0x401040];[app+0x401200];[libc.so.6+0x45000] 75 750000000
app: [truncated]_t;[app+0x401300] 75 750000000
worker-1:  75 750000000
worker-1: [app+0x401040];[app+0x401200];do_syscall_64_k 75 750000000
"
    );
    let info = &profile.info;
    assert_eq!(
        info.notes,
        [
            "a note",
            "/srv/app: not found on this machine",
            "/lib/libc.so.6: not found on this machine"
        ]
    );
    assert_eq!((&*info.host, &*info.os, info.cpus), ("box", "Linux 6.18.0 x86_64", 2));
    assert_eq!((&*info.recorder, &info.tiers[..]), ("0.1.0", &[Tier::Perf][..]));
    assert_eq!(info.command, ["rec", "-p", "4242"]);
    assert_eq!((info.start_ns, info.start_unix_ns), (1_900, 2_900));
    assert_eq!(info.duration_ns, 3_900_000_000 - 1_900);
    assert_eq!((info.samples, info.truncated, info.lost_samples.count), (300, 75, 7));
    assert_eq!(in_words(&info.lost_samples), [("kernel buffer full".to_owned(), 7)]);
    assert_eq!((info.recorder_cpu_ns, info.recorder_peak_rss), (3_000_000, 12 << 20));
    assert_eq!(info.file_size, golden_vector().metadata().unwrap().len());
    assert_eq!(profile.events[0].name, "cpu-clock");
    let process = &profile.processes[0];
    assert_eq!((process.pid, &*process.name, &*process.exe), (4242, "app", "/srv/app"));
    let names: Vec<&str> = profile.modules.iter().map(|m| &*m.name).collect();
    assert_eq!(names, ["app", "libc.so.6", "[kernel]"]);
    let timeline = profile.timeline.unwrap();
    assert_eq!(timeline.len(), 300);
    assert!(timeline.is_sorted_by_key(|sample| sample.time_ns));
}

#[test]
fn a_recording_without_samples() {
    let profile = load_bytes(&Trace::new().finish());
    assert_eq!(profile.info.notes, [""; 0]);
    assert_eq!((profile.info.samples, profile.info.duration_ns), (0, 2_000_000_000));
    assert_eq!((profile.samples.len(), profile.stacks.len(), profile.timeline), (0, 0, None));
    assert_eq!((profile.events.len(), profile.threads.len()), (1, 1));
    // Nothing but a file header.
    let profile = load_bytes(&Trace::bare().writer.finish().unwrap());
    assert_eq!(profile.info.notes, ["the recording has no end: the recorder may have been killed"]);
    assert_eq!(profile.info.start_unix_ns, 1_700_000_000_000_000_000);
}

#[test]
fn samples_of_several_blocks_are_added_up() {
    let mut trace = Trace::new();
    let (a, b) = (trace.stack(&[code(3, 1)]), trace.stack(&[code(3, 1), code(1, 2)]));
    trace.define_stacks();
    trace.samples(&[a, b, a, None]);
    trace.samples(&[a, None]);
    let profile = load_bytes(&trace.finish());
    assert_eq!(
        describe(&profile),
        "main:  2 20\nmain: [anon]_j 3 30\nmain: [anon]_j;[kernel+0x2]_k 1 10\n"
    );
    assert_eq!(profile.info.samples, 6);
}

#[test]
fn a_thread_has_its_latest_name() {
    let mut trace = Trace::new();
    let name = |time_ns, name: &str| {
        Record::ThreadName(ThreadName { thread: 0, time_ns, name: name.into() })
    };
    trace.records(&[name(20, "new"), name(10, "old")]);
    assert_eq!(load_bytes(&trace.finish()).threads[0].name, "new");
}

#[test]
fn a_process_gets_its_executable_later() {
    let mut trace = Trace::new();
    for (id, exe) in [(0, "/bin/app"), (0, "/bin/other"), (1, "")] {
        let exe = exe.to_owned();
        trace.records(&[Record::Process(Process { id, pid: 7 + id, exe, ..Process::default() })]);
    }
    let profile = load_bytes(&trace.finish());
    let shown = |process: &model::Process| (process.pid, process.exe.clone());
    let shown: Vec<_> = profile.processes.iter().map(shown).collect();
    assert_eq!(shown, [(7, "/bin/app".to_owned()), (8, String::new())]);
    assert_eq!(profile.processes[0].name, "app");
}

#[test]
fn losses_by_reason() {
    let loss = |class, reason: LossReason, to_ns, count| {
        Record::Loss(Loss { cpu: 0, class, reason: reason.into(), from_ns: 0, to_ns, count })
    };
    let mut trace = Trace::new();
    trace.records(&[
        loss(0, LossReason::Throttled, 700_000_000, 0),
        loss(0, LossReason::QueueFull, 5, 3),
        loss(0, LossReason::Throttled, 500_000_000, 0),
        loss(0, LossReason::QueueFull, 5, u64::MAX),
        // Of another class of events.
        loss(9, LossReason::RingFull, 5, 100),
    ]);
    let info = load_bytes(&trace.finish()).info;
    let expected = [
        ("recorder behind".to_owned(), u64::MAX),
        ("throttled by the kernel for 1.2 s".to_owned(), 0),
    ];
    assert_eq!(
        (in_words(&info.lost_samples).as_slice(), info.lost_samples.count),
        (&expected[..], u64::MAX)
    );
}

#[test]
fn without_an_end_the_last_sample_counts() {
    let mut trace = Trace::new();
    trace.samples(&[None; 5]);
    let profile = load_bytes(&trace.writer.finish().unwrap());
    assert_eq!(profile.info.duration_ns, 4_000);
    assert_eq!(profile.info.notes.len(), 1);
}

#[test]
fn units() {
    let mut trace = Trace::new();
    trace.records(&[Record::Event(Event {
        id: 4,
        name: "cycles".into(),
        unit: 1,
        frequency_hz: 9,
    })]);
    let profile = load_bytes(&trace.finish());
    let units: Vec<_> = profile.events.iter().map(|event| event.unit).collect();
    assert_eq!(units, [model::Unit::Nanoseconds, model::Unit::Cycles]);
}
