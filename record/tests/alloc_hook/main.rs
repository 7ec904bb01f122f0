//! Runs programs with the allocation hook, and looks at what it wrote.

mod memory;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::mem::offset_of;
use std::process::{Command, Stdio};

use rz_alloc_ring::{
    Control, Counts, ENTRIES_OFFSET, Entry, Event, Events, RING_OFFSET, SIZE_CLASSES, SLOTS_OFFSET,
    SlotHeader, VARIABLE, entry, mode,
};

use memory::{Allocation, Memory, address, build, program, run};

#[test]
fn everything_is_counted() {
    for mode in [mode::SAMPLED, mode::FULL] {
        let memory = Memory::new(mode, 1 << 20);
        run(&memory, &["counts"]);
        let thread = memory.only_thread();
        assert_eq!(thread.tid, thread.pid);
        let sizes = [1001, 1001, 2002, 3003, 4004, 5005, 6016, 7007, 8008, 9009];
        let mut classes = [0; SIZE_CLASSES];
        for size in sizes {
            classes[rz_alloc_ring::size_class(size)] += 1;
        }
        for (offset, expected) in [
            (offset_of!(Counts, allocations), sizes.len() as u64),
            (offset_of!(Counts, bytes), sizes.iter().sum()),
            (offset_of!(Counts, frees), 10),
            (offset_of!(Counts, failed), 2),
            (offset_of!(Counts, mmaps), 1),
            (offset_of!(Counts, mapped), 12288),
            (offset_of!(Counts, munmaps), 1),
            (offset_of!(Counts, unmapped), 8192),
            (offset_of!(Counts, break_up), 4096),
            (offset_of!(Counts, break_down), 4096),
            (offset_of!(Counts, dropped), 0),
            (offset_of!(Counts, nested), 0),
        ] {
            assert_eq!(thread.count(offset), expected, "{mode}: at {offset}");
        }
        assert_eq!(thread.counts[offset_of!(Counts, sizes) / 8..], classes);
    }
}

#[test]
fn every_event_is_reported() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    let printed = run(&memory, &["counts"]);
    let thread = memory.only_thread();
    let found = thread.allocations();
    let sizes: Vec<u64> = found.iter().map(|allocation| allocation.size).collect();
    assert_eq!(sizes, [1001, 1001, 2002, 3003, 4004, 5005, 6016, 7007, 8008, 9009]);
    let addresses: Vec<u64> = printed.lines().take(10).map(address).collect();
    let expected: Vec<u64> = found.iter().map(|allocation| allocation.address).collect();
    assert_eq!(addresses, expected);
    let entries: Vec<u64> = thread
        .events()
        .filter_map(|event| match event {
            Event::Allocation { entry, .. } => Some(entry),
            _ => None,
        })
        .collect();
    let [m, c, r, a] = [entry::MALLOC, entry::CALLOC, entry::REALLOC, entry::ALIGNED];
    assert_eq!(entries, [m, c, r, r, r, a, a, a, a, a]);
    let reallocs =
        thread.events().filter(|event| matches!(event, Event::Free { realloc: true, .. }));
    assert_eq!(reallocs.count(), 2);
}

/// What a program printed: a name and an address on each line.
fn functions(printed: &str) -> HashMap<String, u64> {
    let pair = |line: &str| {
        let (name, text) = line.split_once(' ')?;
        Some((name.to_owned(), address(text)))
    };
    printed.lines().filter_map(pair).collect()
}

#[test]
fn stacks_name_the_callers() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    let functions = functions(&run(&memory, &["chain"]));
    let mut sorted: Vec<(u64, &str)> =
        functions.iter().map(|(name, start)| (*start, name.as_str())).collect();
    sorted.sort_unstable();
    let name = |return_address: &u64| {
        let after = sorted.partition_point(|(start, _)| *start < *return_address);
        sorted.get(after.wrapping_sub(1)).map_or("", |(_, name)| *name)
    };
    let found = memory.only_thread().allocations();
    assert_eq!(found.len(), 2);
    for (allocation, size, chain) in [
        (&found[0], 111_111, &["third", "second", "first"][..]),
        (&found[1], 222_222, &["third", "second"]),
    ] {
        assert_eq!(allocation.size, size);
        assert_eq!(allocation.truncated, 0);
        let names: Vec<&str> = allocation.frames.iter().take(chain.len()).map(name).collect();
        assert_eq!(names, chain);
        // main, two functions of libc, _start.
        assert_eq!(allocation.frames.len(), chain.len() + 4);
    }
}

/// All stacks of a program that does everything to its stack, against those
/// that the compiler's unwinder finds.
fn check_walk(flags: &[&str]) {
    let memory = Memory::new(mode::FULL, 64 << 20);
    let walks = memory.directory.path().join("walks");
    let program = program(memory.directory.path(), flags);
    memory.run(memory.command(program).arg("walk").arg(&walks));
    let thread = memory.only_thread();
    let by_size: HashMap<u64, Allocation> =
        thread.allocations().into_iter().map(|allocation| (allocation.size, allocation)).collect();
    let (mut interrupted, mut truncated) = (0, 0_usize);
    let walks = fs::read_to_string(walks).unwrap();
    assert!(walks.lines().count() > 5000);
    for line in walks.lines() {
        let mut words = line.split(' ');
        let size: u64 = words.next().unwrap().parse().unwrap();
        let expected: Vec<u64> = words.map(address).collect();
        let found = &by_size[&size];
        // The first function on a coroutine's stack was not called.
        assert!([0, 1 + 1].contains(&found.truncated), "{found:x?}");
        truncated += usize::from(found.truncated != 0);
        // Addresses that are not behind a call are one more here.
        let rest = &found.frames[1..];
        assert_eq!(rest.len(), expected.len(), "{rest:x?}\n{expected:x?}");
        for (one, other) in rest.iter().zip(&expected) {
            assert!(one.wrapping_sub(*other) <= 1, "{rest:x?}\n{expected:x?}");
            interrupted += one - other;
        }
    }
    assert!(interrupted > 0);
    assert!(truncated > 100 && truncated < by_size.len() - 1000);
}

#[test]
fn stacks_are_those_of_the_compilers_unwinder() {
    check_walk(&[]);
    check_walk(&["-fno-omit-frame-pointer"]);
}

#[test]
fn recursion_without_end() {
    let memory = Memory::new(mode::FULL, 64 << 20);
    run(&memory, &["sink"]);
    let found = memory.only_thread().allocations();
    let found: Vec<_> = found.iter().filter(|allocation| allocation.size == 777_777).collect();
    assert_eq!(found.len(), 5001);
    for (depth, allocation) in found.iter().enumerate() {
        let frames = &allocation.frames;
        match allocation.truncated {
            0 => assert_eq!(frames.len(), depth + 5),
            reason => {
                assert_eq!(reason, 3 + 1);
                assert!((512..=1024).contains(&frames.len()));
            }
        }
        // All but the innermost are from one place.
        assert!(frames.iter().skip(1).take(depth.min(500)).all(|frame| *frame == frames[1]));
    }
}

#[test]
fn a_sample_holds_the_stack() {
    let memory = Memory::new(mode::SAMPLED, 1 << 20);
    let functions = functions(&run(&memory, &["chain"]));
    let thread = memory.only_thread();
    let samples: Vec<_> = thread.events().collect();
    assert_eq!(samples.len(), 2);
    for (event, expected) in samples.iter().zip([111_111, 222_222]) {
        let Event::Sample { size, ip, sp, stack, allocations, .. } = event else {
            panic!("{event:?}")
        };
        assert_eq!(*size, expected);
        assert_eq!(*allocations, expected / 111_111);
        assert!(*ip > functions["third"] && *ip < functions["second"]);
        assert!(stack.iter().any(|word| *word > functions["second"] && *word < functions["first"]));
        assert!(stack.len() <= 2048);
        assert_eq!(sp % 8, 0);
    }
}

#[test]
fn threads_have_slots_of_their_own() {
    for (mode, count, stack) in
        [(mode::FULL, 30, "0"), (mode::SAMPLED, 1000, "16384"), (mode::FULL, 300, "16384")]
    {
        let memory = Memory::new(mode, 1 << 20);
        run(&memory, &["threads", &count.to_string(), stack]);
        let threads = memory.threads();
        assert_eq!(threads.len(), count + 1);
        for thread in &threads[1..] {
            assert_eq!(thread.count(offset_of!(Counts, allocations)), 1000);
            assert_eq!(thread.count(offset_of!(Counts, bytes)), 4_321_000);
            if mode == mode::FULL {
                assert_eq!(thread.allocations().len(), 1000);
            } else {
                let samples = thread.events().filter(|event| matches!(event, Event::Sample { .. }));
                let lost = thread.count(offset_of!(Counts, dropped)) as usize;
                let samples = samples.count() + lost;
                assert!((500..800).contains(&samples), "{samples}");
            }
        }
        assert_eq!(memory.words(offset_of!(Control, without_slot), 1), [0]);
    }
}

#[test]
fn more_threads_than_slots() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    memory.put(offset_of!(Control, slots), &2_u32.to_le_bytes());
    run(&memory, &["threads", "4"]);
    let threads = memory.threads();
    assert_eq!(threads.len(), 2);
    assert_eq!(threads[1].allocations().len(), 1000);
    // Three threads, each with a thousand objects that come and go.
    assert_eq!(memory.words(offset_of!(Control, without_slot), 1), [3 * 2000]);
}

#[test]
fn slots_are_used_again() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    let mut command = memory.command(program(memory.directory.path(), &[]));
    command.args(["turns", "20"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut seen = 0;
    for line in std::io::BufRead::lines(output) {
        assert_eq!(line.unwrap(), "joined");
        let threads = memory.threads();
        assert_eq!(threads.len(), 2);
        assert_eq!(threads[1].allocations().len(), 1000);
        assert_ne!(threads[1].tid, threads[0].tid);
        seen += 1;
        // The thread is gone, and all was read.
        let slot = SLOTS_OFFSET + RING_OFFSET + (1 << 20);
        memory.put(slot, &[0; size_of::<SlotHeader>()]);
        memory.put(ENTRIES_OFFSET + size_of::<Entry>(), &[0; 8]);
        input.write_all(b"\n").unwrap();
    }
    assert_eq!(seen, 20);
    assert!(child.wait().unwrap().success());
}

#[test]
fn children_are_processes_of_their_own() {
    for mode in [mode::SAMPLED, mode::FULL] {
        let memory = Memory::new(mode, 1 << 20);
        let printed = run(&memory, &["forks"]);
        assert_eq!(printed.lines().count(), 4);
        let threads = memory.threads();
        // The last one is what a child has become.
        assert_eq!(threads.len(), 4);
        let numbers: Vec<_> = threads
            .iter()
            .map(|thread| {
                assert_eq!(thread.tid, thread.pid);
                (
                    thread.count(offset_of!(Counts, allocations)),
                    thread.count(offset_of!(Counts, frees)),
                )
            })
            .collect();
        assert_eq!(numbers[..3], [(101, 100), (50, 150), (25, 25)]);
        assert_eq!(threads[2].pid, threads[3].pid);
        let mut sampled = Vec::new();
        for thread in &threads[..3] {
            let mut live = HashSet::new();
            for event in thread.events() {
                match event {
                    Event::Sample { address, .. } => assert!(live.insert(address)),
                    Event::Free { address, allocations: Some(_), .. } => {
                        assert!(live.remove(&address))
                    }
                    _ => {}
                }
            }
            sampled.push(live.len());
        }
        assert_eq!(sampled, [0, 0, 0]);
        assert_eq!(memory.number(offset_of!(Control, started)), 4);
    }
}

/// Runs a program of which only the first process is recorded. It learns of
/// its number from the shell that becomes the program.
fn run_alone(memory: &Memory, arguments: &str) -> String {
    let script = format!(
        "read line; LD_PRELOAD={} {VARIABLE}={} exec {arguments}",
        env!("RZ_ALLOC_HOOK"),
        memory.path.display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    memory.put(offset_of!(Control, follow), &0_u32.to_le_bytes());
    memory.put(offset_of!(Control, target_pid), &child.id().to_le_bytes());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    printed
}

#[test]
fn only_the_target_if_children_are_not_followed() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    let program = program(memory.directory.path(), &[]);
    run_alone(&memory, &format!("{} forks", program.display()));
    assert_eq!(memory.only_thread().allocations().len(), 101);
    // What it becomes is still the target; the children's children start as
    // if nothing was.
    let memory = Memory::new(mode::FULL, 1 << 20);
    let script = "env | grep -c -e LD_PRELOAD -e RZ_ALLOC=; sh -c \"env | grep -e LD_PRELOAD -e RZ_ALLOC=; true\"; exec sh -c :";
    let printed = run_alone(&memory, &format!("sh -c '{script}'"));
    assert_eq!(printed, "0\n");
    assert_eq!(memory.threads().len(), 2);
}

#[test]
fn handlers_that_jump() {
    for mode in [mode::SAMPLED, mode::FULL] {
        let memory = Memory::new(mode, 256 << 20);
        let library = build(memory.directory.path(), "arena", &["-shared", "-fPIC"], &[]);
        let program = program(memory.directory.path(), &[]);
        let mut command = memory.command(program);
        command.env("LD_PRELOAD", format!("{}:{}", env!("RZ_ALLOC_HOOK"), library.display()));
        memory.run(command.arg("jumps"));
        let thread = memory.only_thread();
        assert!(thread.count(offset_of!(Counts, allocations)) > 1000);
        if mode == mode::FULL {
            let [allocations, frees, nested, dropped] = [
                offset_of!(Counts, allocations),
                offset_of!(Counts, frees),
                offset_of!(Counts, nested),
                offset_of!(Counts, dropped),
            ]
            .map(|offset| thread.count(offset));
            // A handler may have jumped out of an event, one in three of 600.
            let reported = thread.events().count() as u64;
            let missing = allocations + frees - nested - dropped - reported;
            assert!(missing <= 200, "{missing}");
            assert!(nested > 0 && nested <= 2 * 600, "{nested}");
        }
    }
}

#[test]
fn an_allocator_of_the_programs_own() {
    let memory = Memory::new(mode::FULL, 1 << 20);
    let own = program(memory.directory.path(), &["-DOWN_ALLOCATOR"]);
    assert!(memory.command(own).arg("chain").stdout(Stdio::null()).status().unwrap().success());
    let failure = memory.number(offset_of!(Control, failure));
    assert_eq!(failure, rz_alloc_ring::NOT_FIRST);
    assert_eq!(memory.threads().len(), 0);
}

#[test]
fn a_full_ring_loses_events_and_says_so() {
    let memory = Memory::new(mode::FULL, 4096);
    run(&memory, &["threads", "1"]);
    for thread in memory.threads() {
        let dropped = thread.count(offset_of!(Counts, dropped));
        let written = thread.events().count() as u64;
        let expected =
            thread.count(offset_of!(Counts, allocations)) + thread.count(offset_of!(Counts, frees));
        assert_eq!(written + dropped, expected);
    }
    // Nobody reads it: the hook turns itself off.
    let memory = Memory::new(mode::FULL, 4096);
    memory.put(offset_of!(Control, recorder_pid), &0x7fff_fff0_u32.to_le_bytes());
    run(&memory, &["threads", "1"]);
    assert!(memory.threads().iter().all(|thread| thread.count(offset_of!(Counts, dropped)) <= 1));
}

#[test]
fn libraries_come_and_go() {
    let memory = Memory::new(mode::FULL, 16 << 20);
    let directory = memory.directory.path().to_owned();
    // Their functions are at the same place, in frames of different sizes.
    let one = build(&directory, "plugin", &["-shared", "-fPIC"], &["-DSPACE=8"]);
    let other = build(&directory, "plugin", &["-shared", "-fPIC"], &["-DSPACE=200"]);
    let program = program(&directory, &[]);
    memory.run(memory.command(program).arg("libraries").arg(one).arg(other));
    let found = memory.only_thread().allocations();
    let found: Vec<_> = found.iter().filter(|allocation| allocation.size == 54321).collect();
    assert_eq!(found.len(), 50);
    for allocation in found {
        assert_eq!(allocation.truncated, 0);
        // allocate, its caller, main, two functions of libc, _start.
        assert_eq!(allocation.frames.len(), 6);
    }
}

/// Runs a program, and does something again and again until after its end.
fn run_watched(command: &mut Command, mut look: impl FnMut()) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        look();
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    look();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    printed
}

#[test]
fn events_go_round_the_ring() {
    let memory = Memory::new(mode::FULL, 8192);
    let program = program(memory.directory.path(), &[]);
    let walks = memory.directory.path().join("walks");
    let (mut reported, mut lost, mut depth) = (0, 0, 0);
    let mut piece = |words: &[u64]| {
        for event in Events::new(words) {
            match event.unwrap() {
                Event::Lost { count, first, ticks } => {
                    assert!(first <= ticks);
                    lost += count;
                    // What follows does not refer to what was lost.
                    depth = 0;
                    continue;
                }
                Event::Allocation { kept, new, same: false, .. } => {
                    assert!(kept <= depth);
                    depth = kept + new.len();
                }
                Event::Allocation { .. } => assert!(depth > 0),
                _ => {}
            }
            reported += 1;
        }
    };
    let mut command = memory.command(program);
    let slot = SLOTS_OFFSET + offset_of!(SlotHeader, counts);
    let count = |offset: usize| memory.words(slot + offset, 1)[0];
    // As a slow recorder does: only once there has been no room for more.
    let mut seen = 0;
    run_watched(command.arg("walk").arg(&walks), || {
        let dropped = count(offset_of!(Counts, dropped));
        if std::mem::replace(&mut seen, dropped) < dropped {
            memory.drain(0, &mut piece);
        }
    });
    memory.drain(0, &mut piece);
    let dropped = count(offset_of!(Counts, dropped));
    let all = count(offset_of!(Counts, allocations)) + count(offset_of!(Counts, frees));
    assert_eq!(reported + dropped, all);
    // Those at the end are in no event.
    assert!(lost > 0 && lost <= dropped, "{lost} {dropped} {reported}");
    assert!(reported > 1000);
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_pair() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let program = program(directory.path(), &[]);
    let untraced = Command::new(&program).arg("bench").output().unwrap();
    println!("untraced:\n{}", String::from_utf8_lossy(&untraced.stdout));
    for (name, mode) in [("sampled", mode::SAMPLED), ("full", mode::FULL)] {
        let memory = Memory::new_in(tempfile::tempdir_in("/dev/shm").unwrap(), mode, 8 << 20);
        memory.put(offset_of!(Control, mean_interval), &(512_u64 << 10).to_le_bytes());
        let head = SLOTS_OFFSET + offset_of!(SlotHeader, head);
        let tail = SLOTS_OFFSET + offset_of!(SlotHeader, tail);
        let printed = run_watched(memory.command(&program).arg("bench"), || {
            memory.put(tail, &memory.words(head, 1)[0].to_le_bytes());
        });
        let slot = SLOTS_OFFSET + offset_of!(SlotHeader, counts);
        let count = |offset: usize| memory.words(slot + offset, 1)[0];
        let lost = count(offset_of!(Counts, dropped));
        let all = count(offset_of!(Counts, allocations));
        println!("{name}, {lost} events of {all} pairs lost:\n{printed}");
    }
}
