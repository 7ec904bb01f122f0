//! Recordings that were killed, cut or changed: what is whole of them is found, and a
//! whole trace is made of it.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use rz_tests::{
    RamDisk, Recorder, Target, Trace, conv, names_in, report, temp_dir, text, wait_until,
};

/// Verifies, repairs and verifies again; the folded stacks are those that the damaged
/// trace gives.
#[track_caller]
fn check(damaged: &Path, state: &str) -> String {
    let clean = damaged.with_extension("clean.rz");
    let before = conv(&["--verify", text(damaged)]).code(3);
    assert!(before.stdout.starts_with(&format!("{}: {state} ", text(damaged))), "{before}");
    let repaired = conv(&["--repair", text(damaged), "-o", text(&clean), "--force"]).success();
    let after = conv(&["--verify", text(&clean)]).success();
    assert!(after.stdout.contains(": whole "), "{after}");
    let folded = |path| conv(&[text(path), "--to", "folded", "-o", "-", "-q"]).success().stdout;
    assert_eq!(folded(&clean), folded(damaged), "{repaired}");
    // The report has what was left out on top.
    let said = repaired.stderr.lines().next().unwrap_or_default();
    let note = said.strip_prefix(&format!("conv: {}: ", text(damaged))).unwrap_or_default();
    let shown = report(&[text(&clean)]).success();
    let everything = format!("{}{}", shown.stdout, shown.stderr);
    assert!(!note.is_empty() && everything.contains(note), "{note}\n{shown}");
    after.stdout
}

#[test]
fn a_recording_that_was_killed_is_repaired() {
    let target = Target::start("split", &[]);
    let recorder =
        Recorder::start(&["-d", "100", "-p", &target.pid_text(), "--off-cpu", "--syscalls"]);
    let before = recorder.blocks();
    wait_until("samples", || recorder.blocks() > before + 6);
    recorder.signal(Signal::SIGKILL);
    let trace = recorder.finish();
    let found = check(&trace.path(), "unfinished");
    assert!(found.contains("samples "), "{found}");
    // Nothing refers to what is missing: definitions come before their use.
    assert!(!found.contains("lacking"), "{found}");
}

#[test]
fn recordings_that_are_cut_or_changed_are_repaired() {
    let target = Target::start("split", &[]);
    let trace = Trace::of(target.pid(), "2", &["--off-cpu", "--syscalls"]);
    let whole = fs::read(trace.path()).unwrap();
    conv(&["--verify", text(&trace.path())]).success();
    let dir = temp_dir();
    let path = dir.path().join("damaged.rz");
    let index = rz_format::rebuild_index(&mut fs::File::open(trace.path()).unwrap()).unwrap();
    let end = index.last().map(|last| last.offset as usize + 40 + last.stored_len as usize);
    let end = end.expect("there are blocks");
    for part in 1..8 {
        fs::write(&path, &whole[..64 + (end - 64) * part / 8]).unwrap();
        check(&path, "unfinished");
        let mut changed = whole.clone();
        changed[64 + (end - 64) * part / 8] ^= 0x20;
        fs::write(&path, changed).unwrap();
        check(&path, "damaged");
    }
    // A page that was never written, as after a loss of power.
    let mut lost = whole.clone();
    let middle = end / 2;
    lost[middle..(middle + 4096).min(end)].fill(0);
    fs::write(&path, lost).unwrap();
    check(&path, "damaged");
}

#[test]
fn a_full_disk_leaves_no_half_of_a_trace() {
    let disk = RamDisk::new(64);
    let target = Target::start("split", &[]);
    let trace = Trace::of(target.pid(), "1", &["--syscalls"]);
    let whole = fs::read(trace.path()).unwrap();
    // More of it than there is room for.
    let mut long = whole[..whole.len() - 16].to_vec();
    let index = rz_format::rebuild_index(&mut fs::File::open(trace.path()).unwrap()).unwrap();
    let blocks: Vec<u8> = whole[64..index.last().unwrap().offset as usize].to_vec();
    while long.len() < 1 << 20 {
        long.extend(&blocks);
    }
    let dir = temp_dir();
    let damaged = dir.path().join("damaged.rz");
    fs::write(&damaged, long).unwrap();
    let clean = disk.path().join("clean.rz");
    let failed = conv(&["--repair", text(&damaged), "-o", text(&clean)]).code(1);
    assert!(failed.stderr.contains("No space left on device"), "{failed}");
    assert!(names_in(disk.path()).is_empty(), "{:?}", names_in(disk.path()));
}
