//! A small trace with every kind of block and record.

use std::hash::RandomState;

use rz_format::*;

/// The trace's bytes.
pub fn small_trace() -> Vec<u8> {
    let header = FileHeader::new(*b"0123456789abcdef", 1_790_000_000_000_000_000, 1_000);
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    writer.write_records(1_000, &records()).unwrap();

    let mut interner = StackInterner::<RandomState>::default();
    let mut push = |frames: &[Frame]| {
        frames.iter().fold(None, |parent, frame| {
            let frame = interner.frame(*frame);
            Some(interner.stack(parent, frame))
        })
    };
    let code = |module, offset| Frame::Code { module, offset };
    let root = code(0, 0x1040);
    let stacks = [
        push(&[root, code(0, 0x1200), code(1, 0x4_5000)]),
        push(&[root, code(0, 0x1200), code(2, 0xffff_ffff_8100_1234)]),
        push(&[Frame::Truncated(TruncatedReason::StackTooDeep), code(0, 0x1300)]),
        None,
    ];
    writer.write_stacks(1_500, &interner.take_new()).unwrap();
    for second in 0..3u64 {
        let mut samples: Vec<Sample> = (0..100u64)
            .map(|i| Sample {
                time_ns: 2_000 + second * 1_000_000_000 + i * 10_000_000,
                event: 0,
                thread: (i % 2) as u32,
                cpu: (i / 50) as u32,
                stack: stacks[(i % 4) as usize],
                weight: 10_000_000,
            })
            .collect();
        writer.write_samples(&mut samples).unwrap();
    }
    writer.write_records(4_000_000_000, &last_records()).unwrap();
    writer.finish().unwrap()
}

fn records() -> Vec<Record> {
    let module = |id, kind: ModuleKind, path: &str| {
        Record::Module(Module {
            id,
            kind: kind.into(),
            path: path.into(),
            build_id: vec![0xab, 0xcd, id as u8],
            file_size: 4096,
            process_plus_one: 0,
            segments: match kind {
                ModuleKind::File => {
                    vec![Segment { file_offset: 0x1000, length: 0x800, svma: 0x40_1000 }]
                }
                _ => Vec::new(),
            },
        })
    };
    let thread = |id, tid, name: &str| {
        Record::Thread(Thread { id, process: 0, tid, start_ns: 0, name: name.into() })
    };
    vec![
        Record::Host(Host {
            hostname: "box".into(),
            sysname: "Linux".into(),
            release: "6.18.0".into(),
            version: "#1 SMP".into(),
            machine: "x86_64".into(),
            cpus: 2,
            page_size: 4096,
            boot_id: "c0ffee".into(),
        }),
        Record::Recording(Recording {
            recorder: "0.1.0".into(),
            command: vec!["rec".into(), "-p".into(), "4242".into()],
            tier: "perf".into(),
            targets: vec![4242],
            follow: false,
            kernel: true,
            uid: 0,
            stack_bytes: 32768,
            start_ns: 1_900,
        }),
        Record::Event(Event { id: 0, name: "cpu-clock".into(), unit: 0, frequency_hz: 100 }),
        Record::Clock(Clock { monotonic_ns: 1_000, realtime_ns: 2_000, boottime_ns: 3_000 }),
        Record::Process(Process {
            id: 0,
            pid: 4242,
            parent_pid: 1,
            start_ns: 0,
            exe: "/srv/app".into(),
            argv0: "app".into(),
            name: "app".into(),
        }),
        thread(0, 4242, "app"),
        thread(1, 4243, "worker"),
        module(0, ModuleKind::File, "/srv/app"),
        module(1, ModuleKind::File, "/lib/libc.so.6"),
        module(2, ModuleKind::Kernel, "[kernel]"),
        Record::Mapping(Mapping {
            process: 0,
            module: 0,
            start: 0x5555_5555_5000,
            length: 0x1000,
            file_offset: 0x1000,
            time_ns: 0,
        }),
    ]
}

fn last_records() -> Vec<Record> {
    vec![
        Record::ThreadName(ThreadName { thread: 1, time_ns: 2_500, name: "worker-1".into() }),
        Record::Loss(Loss {
            cpu: 1,
            class: CLASS_SAMPLES,
            reason: LossReason::RingFull.into(),
            from_ns: 2_000,
            to_ns: 3_000,
            count: 7,
        }),
        Record::Cost(Cost {
            time_ns: 3_000_000_000,
            user_ns: 1_000_000,
            system_ns: 2_000_000,
            peak_rss: 12 << 20,
            queued: 0,
            written: 900,
        }),
        Record::Symbol(Symbol {
            module: 2,
            start: 0xffff_ffff_8100_1000,
            length: 0x400,
            name: "do_syscall_64".into(),
            area: String::new(),
        }),
        Record::ThreadExit(Exit { id: 1, time_ns: 3_500_000_000 }),
        Record::ProcessExit(Exit { id: 0, time_ns: 3_900_000_000 }),
        Record::Note(Note { text: "a note".into() }),
        Record::End(End { time_ns: 3_900_000_000, reason: EndReason::TargetsExited.into() }),
    ]
}
