//! A small trace with every kind of block and record.

use std::hash::RandomState;

use rz_format::*;

/// The trace's bytes.
pub fn small_trace() -> Vec<u8> {
    let header = FileHeader::merged(*b"0123456789abcdef", 1_790_000_000_000_000_000, 1_000);
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
    write_waits_and_calls(&mut writer, stacks[0]);
    write_allocations(&mut writer, stacks[0]);
    write_sources(&mut writer);
    write_names(&mut writer);
    write_other_waits(&mut writer, stacks[0]);
    write_code_objects(&mut writer, &mut interner);
    write_new_reasons(&mut writer, &mut interner);
    write_cpu_times(&mut writer);
    write_call_data(&mut writer);
    write_last_ran(&mut writer);
    write_function_calls(&mut writer, stacks[0]);
    writer.finish().unwrap()
}

/// What version 1.1 has added.
fn write_waits_and_calls(writer: &mut TraceWriter<Vec<u8>>, stack: Option<StackId>) {
    let captured = Captured {
        system_wide: false,
        waits: true,
        stack_threshold_ns: 1_000_000,
        calls: CallDetail::Calls.into(),
        call_numbers: vec![0, 257],
        slower_than_ns: 500,
    };
    let open_file = OpenFile {
        process: 0,
        fd: 1,
        time_ns: 1_950,
        target: "/dev/null".into(),
        close_on_exec: 2,
    };
    let records = [
        Record::Captured(captured),
        Record::OpenFile(open_file),
        Record::WorkingDirectory(WorkingDirectory { process: 0, path: "/srv".into() }),
    ];
    writer.write_records(4_100_000_000, &records).unwrap();

    let wait = Wait {
        end_ns: 9_000_000,
        thread: 1,
        cpu: 1,
        duration_ns: 7_000_000,
        queued_ns: 5_000,
        state: WaitState::Sleeping,
        syscall: Some(202),
        stack,
        weight: 7_000_000,
        seen: Seen { late: true, unfinished: false },
    };
    let short = Wait { state: WaitState::Preempted, duration_ns: 40_000, syscall: None, ..wait };
    let short = Wait { end_ns: 9_500_000, weight: 1_000_000, seen: Seen::default(), ..short };
    writer.write_waits(&mut [wait, short]).unwrap();

    let mut texts = TextInterner::<RandomState>::default();
    let path = texts.text(b"/etc/passwd");
    writer.write_texts(4_200_000_000, &texts.take_new()).unwrap();
    let call = Call {
        start_ns: 5_000,
        thread: 0,
        number: 257,
        duration_ns: 2_000,
        result: 3,
        args: [-100i64 as u64, 0x7ffc_0000_1000, 0, 0, 0, 0],
        texts: [Some(path), None],
        data: None,
        stack,
        stack_weight: 1_000_000,
        count: 1,
        seen: Seen::default(),
    };
    let failed = Call { start_ns: 8_000, result: -2, stack: None, stack_weight: 0, ..call };
    let read = Call { number: 0, args: [3, 0x7ffc_0000_2000, 64, 0, 0, 0], ..failed };
    let read = Call { result: 64, texts: [None; 2], count: 8, ..read };
    let seen = Seen { late: false, unfinished: true };
    let unfinished = Call { thread: 1, start_ns: 9_900, seen, ..read };
    writer.write_calls(&mut [call, failed, read, unfinished]).unwrap();

    let mut histogram = Histogram::default();
    histogram.0[10] = 2;
    let total = Total {
        class: TotalClass::Calls,
        thread: Some(0),
        number: Some(257),
        count: 2,
        errors: 1,
        total_ns: 4_000,
        min_ns: 2_000,
        max_ns: 2_000,
        histogram,
        ..Total::default()
    };
    let waits = Total { class: TotalClass::Waits, queued_ns: 5, ..total.clone() };
    let submitted = Total {
        class: TotalClass::IoUring,
        thread: None,
        number: Some(22),
        count: 9,
        ..Total::default()
    };
    writer.write_totals(4_300_000_000, &mut [total, waits, submitted]).unwrap();
}

/// What version 1.2 has added.
fn write_allocations(writer: &mut TraceWriter<Vec<u8>>, stack: Option<StackId>) {
    let source = AllocationSource::Hook.into();
    let records = [
        Record::Allocations(Allocations { source, interval: 524_288 }),
        Record::Allocator(Allocator { process: 0, path: "/lib/libc.so.6".into() }),
    ];
    writer.write_records(4_400_000_000, &records).unwrap();
    let malloc = Allocation {
        time_ns: 6_000,
        thread: 0,
        kind: AllocationKind::Malloc,
        address: 0x5555_0000_1010,
        size: 100_000,
        stack,
        allocations: 17,
        interval: 524_288,
    };
    let free = Allocation {
        time_ns: 8_000,
        thread: 1,
        kind: AllocationKind::Free,
        size: 0,
        stack: None,
        allocations: 3,
        ..malloc
    };
    writer.write_allocations(&[malloc, free]).unwrap();
    let mut sizes = Histogram::default();
    (sizes.0[4], sizes.0[16]) = (16, 1);
    let counts = HeapCounts {
        time_ns: 10_000_000,
        thread: Some(0),
        allocations: 17,
        bytes: 100_256,
        frees: 12,
        failed: 1,
        mmaps: 2,
        mapped: 8192,
        munmaps: 1,
        unmapped: 4096,
        break_up: 135_168,
        break_down: 4096,
        sizes,
    };
    let other = HeapCounts { thread: Some(1), allocations: 0, bytes: 0, frees: 1, ..counts };
    let other = HeapCounts { sizes: Histogram::default(), ..other };
    writer.write_heap_counts(&mut [counts, other]).unwrap();
}

/// What version 1.8 has added.
fn write_cpu_times(writer: &mut TraceWriter<Vec<u8>>) {
    let row = |time_ns: u64, thread, ran_ns| CpuTime {
        time_ns,
        thread,
        ran_ns,
        ready_ns: ran_ns / 100,
        runs: 7,
    };
    let mut rows = [
        row(1_000_002_000, Some(0), 499_000_000),
        row(2_000_002_000, Some(0), 501_000_000),
        row(1_000_002_000, Some(1), 250_000_000),
        row(2_500_000_000, None, 3_000_000),
    ];
    writer.write_cpu_times(&mut rows).unwrap();
    let times = CpuTimes { from_ns: 2_000, to_ns: 3_000_002_000, complete: true };
    writer.write_records(4_000_000_000, &[Record::CpuTimes(times)]).unwrap();
}

/// What version 1.9 has added.
fn write_call_data(writer: &mut TraceWriter<Vec<u8>>) {
    writer.write_records(4_800_000_000, &[Record::CallData(CallData { bytes: 32 })]).unwrap();
    let mut data = TextInterner::<RandomState>::default();
    let both = data.text(b"\x01\x00\x06\x00\x7fELF\0\n\x01\x01\x01\x00z");
    let none = data.text(b"");
    writer.write_call_data(4_800_000_000, &data.take_new()).unwrap();
    let call = Call { thread: 1, count: 1, start_ns: 20_000, ..Call::default() };
    let call = |data, result| Call { data, result, args: [3, 0x7000, 64, 0, 0, 0], ..call };
    let mut calls = [call(Some(both), 6), call(Some(none), -9), call(None, 0)];
    writer.write_calls(&mut calls).unwrap();
}

/// What version 1.10 has added.
fn write_last_ran(writer: &mut TraceWriter<Vec<u8>>) {
    let ran = LastRan { thread: 1, time_ns: 1_700 };
    writer.write_records(4_900_000_000, &[Record::LastRan(ran)]).unwrap();
}

/// What version 1.11 has added.
fn write_function_calls(writer: &mut TraceWriter<Vec<u8>>, stack: Option<StackId>) {
    let function = Function {
        number: 0,
        path: "/usr/lib/libssl.so.3".into(),
        address: 0x3_2a40,
        name: "SSL_write".into(),
        arguments: [ValueKind::Pointer, ValueKind::Text, ValueKind::Int].map(u8::from).to_vec(),
        result: ValueKind::Int.into(),
    };
    writer.write_records(4_950_000_000, &[Record::Function(function)]).unwrap();
    let call = |n: u64| Call {
        start_ns: 4_950_000_000 + n * 1_000,
        thread: 0,
        duration_ns: 500 + n,
        result: 100 - n as i64,
        args: [0x7f00_0000_1000, 0x7f00_0000_2000, 100, 0, 0, 0],
        texts: [Some(0), None],
        stack: stack.filter(|_| n == 1),
        stack_weight: (n == 1).into(),
        count: 1 + n,
        ..Call::default()
    };
    writer.write_function_calls(&mut [0, 1, 2].map(call)).unwrap();
    let mut total = Total {
        class: TotalClass::Functions,
        thread: Some(0),
        number: Some(0),
        count: 6,
        total_ns: 3_006,
        min_ns: 500,
        max_ns: 502,
        ..Total::default()
    };
    total.histogram.0[8] = 6;
    writer.write_totals(4_960_000_000, &mut [total]).unwrap();
}

/// What version 1.3 has added.
fn write_sources(writer: &mut TraceWriter<Vec<u8>>) {
    let source = |id: u32, label: &str, shift: i64| {
        Record::Source(Source {
            id,
            label: label.into(),
            trace_id: vec![id as u8; 16],
            created_unix_ns: 1_790_000_000_000_000_000,
            created_ns: 1_000,
            shift: shift as u64,
        })
    };
    let host = |name: &str| {
        Record::Host(Host { hostname: name.into(), boot_id: name.into(), ..Host::default() })
    };
    let of = |id| Record::OfSource(OfSource { id });
    let process = Process { id: 1, pid: 4242, name: "other".into(), ..Process::default() };
    let records = [
        source(0, "a", 0),
        source(1, "b", -5_000),
        of(0),
        host("box"),
        of(1),
        host("other"),
        Record::Process(process),
    ];
    writer.write_records(4_500_000_000, &records).unwrap();
}

/// What version 1.5 has added.
fn write_other_waits(writer: &mut TraceWriter<Vec<u8>>, stack: Option<StackId>) {
    let throttled = Wait {
        end_ns: 4_700_090_000,
        thread: 0,
        cpu: 0,
        duration_ns: 80_000,
        queued_ns: 3_000,
        state: WaitState::Throttled,
        syscall: None,
        stack,
        weight: 80_000,
        seen: Seen::default(),
    };
    let memory =
        Wait { end_ns: 4_700_200_000, state: WaitState::Memory, queued_ns: 0, ..throttled };
    writer.write_waits(&mut [throttled, memory]).unwrap();
}

/// What version 1.6 has added.
fn write_code_objects(
    writer: &mut TraceWriter<Vec<u8>>,
    interner: &mut StackInterner<RandomState>,
) {
    let line = |start, line, column| CodeLine { start, line, column };
    let crunch = CodeObject {
        id: 0,
        process_plus_one: 1,
        runtime: Runtime::CPython.into(),
        kind: CodeKind::Function.into(),
        name: "crunch".into(),
        qualified_name: "Job.crunch".into(),
        file: "/srv/job.py".into(),
        first_line: 10,
        first_column: 5,
        positions: Positions::Bytecode.into(),
        lines: LineTable::new(vec![line(0, 10, 0), line(2, 12, 9), line(30, 11, 9)]),
    };
    let top = CodeObject {
        id: 1,
        kind: CodeKind::Module.into(),
        name: "<module>".into(),
        qualified_name: String::new(),
        first_line: 1,
        first_column: 0,
        lines: LineTable::new(vec![line(0, 1, 1), line(40, 20, 1)]),
        ..crunch.clone()
    };
    let add = CodeObject {
        id: 2,
        runtime: Runtime::V8.into(),
        kind: CodeKind::Anonymous.into(),
        name: "add".into(),
        qualified_name: String::new(),
        file: "node:internal/add".into(),
        first_line: 3,
        first_column: 14,
        positions: Positions::Characters.into(),
        lines: LineTable::new(vec![line(200, 3, 1), line(240, 4, 1)]),
        ..crunch.clone()
    };
    let native = CodeObject {
        id: 3,
        process_plus_one: 0,
        runtime: Runtime::Other.into(),
        kind: CodeKind::Builtin.into(),
        name: "native".into(),
        positions: Positions::Lines.into(),
        ..CodeObject::default()
    };
    let records = [crunch, top, add, native].map(Record::CodeObject);
    writer.write_records(4_800_000_000, &records).unwrap();

    let mut push = |frames: &[Frame]| {
        frames.iter().fold(None, |parent, frame| {
            let frame = interner.frame(*frame);
            Some(interner.stack(parent, frame))
        })
    };
    let how = |tier| Execution { tier, inlined: false, approximate: false };
    let interpreted = how(CodeTier::Interpreted);
    let optimized = how(CodeTier::Optimized);
    let runtime = |code, position, how| Frame::Runtime { code, position, how };
    let root = Frame::Code { module: 0, offset: 0x1040 };
    let python = [
        root,
        runtime(1, 42, interpreted),
        runtime(0, 8, interpreted),
        Frame::Code { module: 1, offset: 0x4_5000 },
    ];
    let approximate = Execution { approximate: true, ..how(CodeTier::Unknown) };
    let scripts = [
        root,
        runtime(3, 0, how(CodeTier::Baseline)),
        runtime(2, 244, optimized),
        runtime(2, 210, Execution { inlined: true, ..optimized }),
        runtime(0, 30, approximate),
    ];
    let stacks = [push(&python), push(&scripts)];
    writer.write_stacks(4_800_000_000, &interner.take_new()).unwrap();
    let mut samples = [0u64, 1].map(|at| Sample {
        time_ns: 4_800_000_000 + at * 10_000_000,
        event: 0,
        thread: 0,
        cpu: 0,
        stack: stacks[at as usize],
        weight: 10_000_000,
    });
    writer.write_samples(&mut samples).unwrap();
}

/// What version 1.7 has added.
fn write_new_reasons(writer: &mut TraceWriter<Vec<u8>>, interner: &mut StackInterner<RandomState>) {
    let reasons = [TruncatedReason::OtherStack, TruncatedReason::StackNotReadable];
    let stacks = reasons.map(|reason| {
        let cut = interner.frame(Frame::Truncated(reason));
        let cut = interner.stack(None, cut);
        let leaf = interner.frame(Frame::Code { module: 0, offset: 0x1040 });
        interner.stack(Some(cut), leaf)
    });
    writer.write_stacks(4_900_000_000, &interner.take_new()).unwrap();
    let mut waits = stacks.map(|stack| Wait {
        end_ns: 4_900_000_000,
        thread: 0,
        cpu: 0,
        duration_ns: 5_000_000,
        queued_ns: 9_000,
        state: WaitState::Gil,
        syscall: Some(202),
        stack: Some(stack),
        weight: 5_000_000,
        seen: Seen::default(),
    });
    writer.write_waits(&mut waits).unwrap();
}

/// What version 1.4 has added.
fn write_names(writer: &mut TraceWriter<Vec<u8>>) {
    let anonymous = Module {
        id: 3,
        kind: ModuleKind::Anonymous.into(),
        path: "[anon]".into(),
        process_plus_one: 1,
        ..Module::default()
    };
    let names_only =
        Module { id: 4, kind: ModuleKind::Names.into(), path: "app".into(), ..Module::default() };
    let line = GeneratedLine { offset: 16, file: "/srv/app.js".into(), line: 12, column: 7 };
    let generated = Generated {
        module: 3,
        start: 0x7f00_0000_1000,
        length: 0x200,
        from_ns: 3_000,
        name: "JS:*crunch /srv/app.js:10:17".into(),
        lines: vec![line],
    };
    let limit =
        Limit { name: "Max open files".into(), soft: 1024, hard: NO_LIMIT, unit: "files".into() };
    let facts = ProcessFacts {
        process: 0,
        uid: 1000,
        gid: 1000,
        cgroup: "/app.slice".into(),
        args: vec!["app".into(), "--port=80".into()],
        environment: vec!["HOME".into(), "TOKEN".into()],
        values: Vec::new(),
        limits: vec![limit],
    };
    let redaction = Redaction { what: "environment".into(), how: "left out".into(), count: 2 };
    let records = [
        Record::Module(anonymous),
        Record::Module(names_only),
        Record::Generated(generated),
        Record::ProcessFacts(facts),
        Record::Named(Named { module: 0, note: String::new() }),
        Record::Redaction(redaction),
    ];
    writer.write_records(4_600_000_000, &records).unwrap();

    let mut texts = TextInterner::<RandomState>::default();
    // The first text of the file is another block's.
    texts.text(b"/etc/passwd");
    texts.take_new();
    let [inner, outer, mangled, file] = [&b"inner"[..], b"outer(int)", b"_Z5outeri", b"/src/a.cc"]
        .map(|text| Some(texts.text(text)));
    writer.write_texts(4_700_000_000, &texts.take_new()).unwrap();
    let inlined = Name {
        module: 0,
        offset: 0x1200,
        address: 0x40_1200,
        name: inner,
        file,
        line: 7,
        column: 3,
        inlined: true,
        ..Name::default()
    };
    let caller =
        Name { name: outer, system_name: mangled, line: 31, column: 0, inlined: false, ..inlined };
    let start_only = Name { offset: 0x1300, address: 0x40_1300, into: 0x40, ..Name::default() };
    let generated = Name {
        module: 3,
        offset: 0x7f00_0000_1020,
        address: 0x7f00_0000_1020,
        from_ns: 3_000,
        ..caller
    };
    writer.write_names(4_700_000_000, &[inlined, caller, start_only, generated]).unwrap();
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
            class: LossClass::Samples.into(),
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
