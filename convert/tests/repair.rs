//! What of damaged traces is found, and what repairing leaves of them.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use rz_convert::trace::repair::repair;
use rz_convert::trace::verify::{State, verify};
use rz_format::{
    Block, FileHeader, FormatError, HEADER_LEN, Note, Reader, Record, TraceWriter, rebuild_index,
};
use rz_profile::load::{LoadOptions, load};

fn vector() -> Vec<u8> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    fs::read(vectors.join("v1.7/small.rz")).unwrap()
}

fn conv(directory: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conv"));
    command.current_dir(directory).args(arguments.split_whitespace());
    command.output().expect("conv runs")
}

/// What is whole of a trace, and whether something is missing.
fn read(bytes: &[u8]) -> Result<(Vec<Block>, bool), FormatError> {
    let mut reader = Reader::new(Cursor::new(bytes))?;
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block()? {
        blocks.push(block);
    }
    Ok((blocks, !reader.damage().is_empty()))
}

/// A repaired trace has what was whole, in the same order, notes of the rest if there is
/// a rest, and is whole itself.
fn check(path: &Path, bytes: &[u8]) -> State {
    fs::write(path, bytes).unwrap();
    let (expected, is_damaged) = read(bytes).unwrap();
    let verified = verify(path).unwrap();
    assert_eq!(verified.state != State::Whole, is_damaged, "{verified:?}");
    assert_eq!(verified.missing.is_empty(), !is_damaged);
    assert_eq!(
        verified.parts.iter().map(|(_, part)| part.blocks).sum::<u64>(),
        expected.len() as u64
    );

    let mut repaired = Vec::new();
    let said = repair(path, &mut repaired).unwrap();
    let (mut found, is_still_damaged) = read(&repaired).unwrap();
    assert!(!is_still_damaged);
    if is_damaged {
        let note = |text: &String| Record::Note(Note { text: text.clone() });
        let notes: Vec<Record> = said.damage.iter().map(note).collect();
        assert_eq!(found.pop(), Some(Block::Records(notes)));
    }
    assert_eq!(found, expected);
    assert_eq!(said.damage.is_empty(), !is_damaged);
    fs::write(path, &repaired).unwrap();
    let again = verify(path).unwrap();
    assert_eq!((again.state, again.missing), (State::Whole, vec![]));
    verified.state
}

#[test]
fn what_is_left_of_a_cut_trace_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = (directory.path().join("t.rz"), vector());
    let last = rebuild_index(&mut Cursor::new(&whole)).unwrap().pop().unwrap();
    let index = last.offset as usize + 40 + last.stored_len as usize;
    for length in HEADER_LEN..whole.len() {
        // All that was recorded is there when the index begins.
        let within_index = (index + 40..whole.len() - 16).contains(&length);
        let expected = if within_index { State::Damaged } else { State::Unfinished };
        assert_eq!(check(&path, &whole[..length]), expected, "{length}");
    }
    assert_eq!(check(&path, &whole), State::Whole);
}

#[test]
fn what_is_left_of_a_trace_with_a_flipped_bit_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = (directory.path().join("t.rz"), vector());
    for at in HEADER_LEN..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        check(&path, &bytes);
    }
}

/// Whole blocks that were taken out, put twice, and bytes that are none between them.
#[test]
fn blocks_that_are_missing_or_too_many_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = (directory.path().join("t.rz"), vector());
    let index = rebuild_index(&mut Cursor::new(&whole)).unwrap();
    for pair in index.windows(2) {
        let (start, end) = (pair[0].offset as usize, pair[1].offset as usize);
        let [before, block, behind] = [&whole[..start], &whole[start..end], &whole[end..]];
        assert_eq!(check(&path, &[before, behind].concat()), State::Damaged);
        assert_eq!(
            check(&path, &[before, block, b"\xf5RZB is none", behind].concat()),
            State::Damaged
        );
        fs::write(&path, [before, behind].concat()).unwrap();
        let missing = verify(&path).unwrap().missing;
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!(missing[0].blocks, Some(1));
    }
}

#[test]
fn what_is_missing_is_told_by_kind_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = (directory.path().join("t.rz"), vector());
    let index = rebuild_index(&mut Cursor::new(&whole)).unwrap();
    let created_ns = Reader::new(Cursor::new(&whole)).unwrap().header().created_ns;
    let seconds = |ns: u64| ns.saturating_sub(created_ns) as f64 / 1e9;
    for entry in &index {
        let mut bytes = whole.clone();
        bytes[entry.offset as usize + 41] ^= 1;
        // By the index, and without one by the block's own header.
        for bytes in [&bytes[..], &bytes[..bytes.len() - 16]] {
            fs::write(&path, bytes).unwrap();
            let missing = &verify(&path).unwrap().missing[0];
            let (from, to) = (seconds(entry.first_ns), seconds(entry.last_ns));
            let expected = format!(
                "{} damaged bytes at offset {} were skipped (a block of {}, from {from:.3} to {to:.3} s)",
                40 + entry.stored_len,
                entry.offset,
                entry.kind,
            );
            assert_eq!(missing.to_string(), expected);
        }
    }
}

/// A stack without one of its frames, and events without stacks, threads or texts.
#[test]
fn what_refers_to_missing_blocks_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (path, whole) = (directory.path().join("t.rz"), vector());
    fs::write(&path, &whole).unwrap();
    assert_eq!(verify(&path).unwrap().unresolved, Default::default());
    let without = |kind| {
        let mut bytes = whole.clone();
        for entry in rebuild_index(&mut Cursor::new(&whole)).unwrap() {
            if entry.kind == kind {
                bytes[entry.offset as usize + 41] ^= 1;
            }
        }
        fs::write(&path, bytes).unwrap();
        verify(&path).unwrap().unresolved
    };
    let lacking = without(rz_format::BlockKind::STACKS);
    assert!(lacking.stacks > 0 && lacking.threads == 0 && lacking.texts == 0, "{lacking:?}");
    let lacking = without(rz_format::BlockKind::TEXTS);
    assert!(lacking.stacks == 0 && lacking.threads == 0 && lacking.texts > 0, "{lacking:?}");
    let lacking = without(rz_format::BlockKind::RECORDS);
    assert!(lacking.stacks == 0 && lacking.threads > 0 && lacking.texts == 0, "{lacking:?}");
}

#[test]
fn the_exit_status_says_how_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    let whole = vector();
    let mut header = whole.clone();
    header[20] ^= 1;
    let mut newer = whole.clone();
    newer[8] = 2;
    let checksum = crc32c::crc32c(&newer[..60]);
    newer[60..64].copy_from_slice(&checksum.to_le_bytes());
    write("whole.rz", &whole);
    write("cut.rz", &whole[..whole.len() / 2]);
    write("header.rz", &header);
    write("newer.rz", &newer);
    write("none.rz", b"hello");
    for (arguments, code) in [
        ("whole.rz", 0),
        ("cut.rz", 3),
        ("header.rz", 3),
        ("none.rz", 4),
        ("newer.rz", 1),
        ("absent.rz", 1),
        ("whole.rz cut.rz", 3),
        ("cut.rz none.rz whole.rz", 4),
        ("none.rz absent.rz", 1),
    ] {
        for more in ["", " --json", " -q"] {
            let output = conv(directory.path(), &format!("--verify {arguments}{more}"));
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments}{more}: {said}");
            assert_eq!(
                output.stdout.is_empty(),
                more == " -q" || !arguments_has_a_trace(arguments, more)
            );
        }
    }
    let output = conv(directory.path(), "--verify whole.rz cut.rz none.rz --json");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<&str> =
        (0..3).map(|at| found["traces"][at]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["whole", "unfinished", "no_trace"]);
    assert_eq!(found["traces"][0]["missing"].as_array().unwrap().len(), 0);
    assert_eq!(found["traces"][1]["missing"][0]["to_ns"], serde_json::Value::Null);
    let text = String::from_utf8(conv(directory.path(), "--verify cut.rz").stdout).unwrap();
    assert!(text.starts_with("cut.rz: unfinished (format 1.7, "), "{text}");
    assert!(text.contains("\n  whole   records "), "{text}");
    assert!(text.contains("\n  missing the file is cut off: "), "{text}");
    assert!(text.ends_with("\n  repair  conv --repair cut.rz -o FILE\n"), "{text}");
}

#[test]
fn notes_cannot_drive_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let header = FileHeader::new([1; 16], 0, 0);
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    let note = Record::Note(Note { text: "a\u{1b}[2Jb".into() });
    writer.write_records(0, &[note]).unwrap();
    fs::write(directory.path().join("t.rz"), writer.finish().unwrap()).unwrap();
    let text = String::from_utf8(conv(directory.path(), "--verify t.rz").stdout).unwrap();
    assert!(text.contains("  note    a?[2Jb\n"), "{text}");
}

/// Text is about traces; what is none is an error. JSON is about all.
fn arguments_has_a_trace(arguments: &str, more: &str) -> bool {
    more == " --json" || arguments.contains("whole") || arguments.contains("cut")
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let whole = vector();
    fs::write(file("cut.rz"), &whole[..whole.len() - 30]).unwrap();
    fs::write(file("none.rz"), "hello").unwrap();
    let run = |arguments: &str, code, expected: &str| {
        let output = conv(directory.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(expected), "{arguments}: {said}");
    };
    run("--repair none.rz -o new.rz", 1, "none.rz: not an rz trace");
    run("--repair cut.rz -o no/new.rz", 1, "there is no directory no");
    assert!(!file("new.rz").exists());
    run("--repair cut.rz -o clean.rz", 0, "cut.rz: the file is cut off");
    run("--verify clean.rz", 0, "");
    let clean = fs::read(file("clean.rz")).unwrap();
    fs::write(file("clean.rz"), "precious").unwrap();
    run(
        "--repair cut.rz -o clean.rz",
        1,
        "clean.rz exists; name another file with -o, or use --force",
    );
    run("--repair cut.rz -o cut.rz --force", 1, "is the trace itself");
    run("--repair none.rz -o clean.rz --force", 1, "not an rz trace");
    assert_eq!(fs::read(file("clean.rz")).unwrap(), b"precious");
    run("--repair cut.rz -o clean.rz --force -q", 0, "");
    assert_eq!(fs::read(file("clean.rz")).unwrap(), clean);
    let output = conv(directory.path(), "--repair cut.rz -o -");
    assert_eq!(output.stdout, clean);
    run("--repair clean.rz -o again.rz", 0, "clean.rz: nothing is damaged");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    // Reports say what is missing.
    let notes = load(&file("clean.rz"), &LoadOptions::default()).unwrap().info.notes;
    assert!(notes.iter().any(|note| note.starts_with("the file is cut off")), "{notes:?}");
}
