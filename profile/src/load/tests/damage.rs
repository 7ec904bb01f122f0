//! Lost blocks, cut files and made-up ids: degraded results, nothing wrong.

use std::io::Cursor;
use std::path::Path;

use rz_format::*;

use crate::fixture::trace::*;
use crate::load::{LoadError, LoadOptions, load};

/// The trace without its block number `lost`.
fn without_block(trace: &[u8], lost: usize) -> Vec<u8> {
    let index = rebuild_index(&mut Cursor::new(trace)).unwrap();
    let start = index[lost].offset as usize;
    let end = start + BLOCK_HEADER_LEN + index[lost].stored_len as usize;
    [&trace[..start], &trace[end..]].concat()
}

/// Two blocks of stacks, each with samples behind it.
fn two_parts() -> Vec<u8> {
    let mut trace = Trace::new();
    let first = trace.stack(&[code(3, 1), code(1, 1)]);
    trace.define_stacks();
    trace.samples(&[first]);
    let second = trace.stack(&[code(3, 1), code(1, 1), code(1, 2)]);
    let other = trace.stack(&[code(1, 3), code(1, 1)]);
    trace.define_stacks();
    trace.samples(&[first, second, other]);
    trace.finish()
}

#[test]
fn what_a_lost_block_defined_is_lost() {
    let trace = two_parts();
    let whole = "\
main: [anon]_j;[kernel+0x1]_k 2 20
main: [anon]_j;[kernel+0x1]_k;[kernel+0x2]_k 1 10
main: [kernel+0x3]_k;[kernel+0x1]_k 1 10
";
    assert_eq!(describe(&load_bytes(&trace)), whole);
    let check = |lost: usize, expected: &str, lost_samples: u64| {
        let profile = load_bytes(&without_block(&trace, lost));
        assert_eq!(describe(&profile), expected, "block {lost}");
        let notes = profile.info.notes.join("\n");
        assert!(notes.starts_with("1 blocks are missing"), "{notes}");
        let note = format!("{lost_samples} samples have stacks that were defined in a missing");
        assert_eq!(notes.contains(&note), lost_samples > 0, "{notes}");
    };
    // Block 0: the records. Names are gone, the shape is not.
    check(
        0,
        "\
[lost]: [lost];[lost] 1 10
[lost]: [lost];[lost] 2 20
[lost]: [lost];[lost];[lost] 1 10
",
        0,
    );
    // Block 1: the first stacks, and frames that the second ones need.
    check(
        1,
        "\
main: [lost]_l 3 30
main: [lost]_l;[kernel+0x2]_k 1 10
",
        4,
    );
    // Block 3: the second stacks.
    check(
        3,
        "\
main: [anon]_j;[kernel+0x1]_k 2 20
main: [lost]_l 2 20
",
        2,
    );
}

#[test]
fn every_prefix_of_a_trace_loads() {
    let trace = two_parts();
    let whole = describe(&load_bytes(&trace));
    for length in HEADER_LEN..trace.len() {
        let profile = load_bytes(&trace[..length]);
        let [note] = profile.info.notes.as_slice() else {
            panic!("{length}: {:?}", profile.info.notes)
        };
        assert!(note.starts_with("the file "), "{length}: {note}");
    }
    assert_eq!(describe(&load_bytes(&trace[..trace.len() - 1])), whole);
}

#[test]
fn no_id_makes_anything_grow() {
    const HUGE: u32 = u32::MAX - 10;
    let mut trace = Trace::new();
    trace.records(&[
        Record::Thread(Thread { id: HUGE, process: HUGE, name: "far".into(), ..Thread::default() }),
        Record::Event(Event { id: HUGE, name: "far".into(), ..Event::default() }),
        module(HUGE, ModuleKind::Anonymous, "[far]"),
        Record::Symbol(Symbol { module: 77, ..Symbol::default() }),
        Record::ThreadName(ThreadName { thread: HUGE - 1, ..ThreadName::default() }),
        // Given twice: the first stays.
        module(1, ModuleKind::Kernel, "[other]"),
    ]);
    let definitions = StackDefs {
        first_frame: HUGE - 1,
        frames: vec![code(HUGE, 1), code(HUGE - 1, 2)],
        first_stack: HUGE - 2,
        stacks: vec![
            StackNode { parent: Some(5), frame: HUGE - 1 },
            StackNode { parent: Some(HUGE - 2), frame: HUGE },
            StackNode { parent: None, frame: 12 },
        ],
    };
    trace.writer.write_stacks(START, &definitions).unwrap();
    let sample = |thread, event, stack| Sample {
        thread,
        event,
        stack: Some(stack),
        weight: u64::MAX,
        ..Sample::default()
    };
    let mut samples = [
        sample(0, 0, HUGE - 1),
        sample(HUGE, HUGE, HUGE - 2),
        sample(HUGE - 1, HUGE - 1, HUGE),
        sample(u32::MAX, 3, 7),
    ];
    trace.writer.write_samples(&mut samples).unwrap();
    let profile = load_bytes(&trace.finish());
    let stacks: Vec<String> = describe(&profile)
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect();
    assert_eq!(
        stacks,
        ["[lost]: [lost]_l 2", "far far: [lost]_l;[far]_j 1", "main: [lost]_l;[far]_j;[lost] 1"]
    );
    let events: Vec<&str> = profile.events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["cpu-clock", "far", "[lost]"]);
    let processes: Vec<&str> = profile.processes.iter().map(|p| &*p.name).collect();
    assert_eq!(processes, ["app", "[lost]"]);
    assert_eq!(profile.modules[1].name, "[kernel]");
    let total: u128 = profile.samples.iter().map(|s| u128::from(s.weight)).sum();
    assert!(total <= u128::from(u64::MAX));
}

#[test]
fn flipped_bytes_never_panic() {
    let trace = two_parts();
    for at in 0..trace.len() {
        let mut flipped = trace.clone();
        flipped[at] ^= 0x55;
        if let Ok(profile) = try_load(&flipped) {
            assert!(profile.info.samples <= 4, "{at}");
        }
    }
}

#[test]
fn many_notes_are_cut_short() {
    let mut trace = Trace::new();
    for i in 0..30 {
        trace.samples(&[None]);
        trace.records(&[Record::Note(Note { text: format!("note {}", i / 2) })]);
    }
    let mut bytes = trace.finish();
    // Every other block is lost.
    for lost in (1..30).step_by(2).rev() {
        bytes = without_block(&bytes, lost);
    }
    let notes = load_bytes(&bytes).info.notes;
    assert_eq!(notes.iter().filter(|note| note.contains("blocks are missing")).count(), 10);
    assert!(notes.contains(&"and 5 more damaged places".to_owned()), "{notes:?}");
    assert_eq!(notes.iter().filter(|note| note.starts_with("note ")).count(), 15);
}

#[test]
fn what_cannot_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, content: Option<&[u8]>, expected: &str| {
        let path = dir.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = load(&path, &LoadOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
        assert!(std::error::Error::source(&error).is_none());
        error
    };
    let missing = check("missing", None, "No such file or directory (os error 2)");
    assert!(matches!(missing, LoadError::Io { .. }));
    let long = [b'x'; 100];
    let text = "not an rz trace: the file does not start with the rz magic number";
    assert!(matches!(check("text", Some(&long), text), LoadError::Format { .. }));
    check("short", Some(b"xyz"), "not an rz trace: only 3 bytes long");
    let error = load(Path::new("/dev/null"), &LoadOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "/dev/null: not a regular file");
}
