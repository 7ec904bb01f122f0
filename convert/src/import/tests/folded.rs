//! Folded stacks.

use super::{by_thread, imported, loaded, refused, text};
use crate::export::ExportOptions;
use rz_profile::model::{FrameKind, Tier, Unit};

/// The input comes out as it was, but for `expected`, if that is given.
fn check(input: &str, expected: Option<&str>) {
    let profile = loaded(input.as_bytes());
    assert_eq!(text(&profile, &ExportOptions::default()), expected.unwrap_or(input), "{input}");
    assert_eq!(profile.info.tiers, [Tier::Folded]);
    assert!(!profile.info.cut_short);
}

#[test]
fn stacks_come_out_as_they_went_in() {
    for lines in [
        "app 1\napp;main 3\napp;main;work 4\nother;main 2\n",
        "app;main;run;helper_[i];deeper_[i];read_[k];vfs_read_[k] 3\n",
        "app;[truncated];helper 4\n",
        "app;main;jit:a;b_[j] 4\n",
        "app;main;operator new;[libz.so.1+0x1234];[anon]_[j] 4\n",
        "app;main;[off-CPU: futex] 2500\n",
    ] {
        check(lines, None);
    }
}

#[test]
fn what_cannot_be_kept_is_put_straight() {
    check("app;b 3\napp;a 1\napp;b 2\n", Some("app;a 1\napp;b 5\n"));
    check("# a comment\n\napp;a 1\r\nno number\napp;a\t2.4\n", Some("app;a 34\n"));
    check("app;;a 1\n", Some("app;[unknown];a 1\n"));
    check("app;lost_[i];a 1\n", Some("app;lost;a 1\n"));
    check("app;a 0\n", Some(""));
}

#[test]
fn roots_name_threads() {
    let lines = "app-10/10;main 1\nworker-10/11;run 2\n";
    let profile = loaded(lines.as_bytes());
    assert_eq!(by_thread(&profile), lines);
    let [app] = &profile.processes[..] else { panic!("{:?}", profile.processes) };
    assert_eq!((app.pid, &app.name[..]), (10, "app"));
    // Whatever comes first, a process has the name of its first thread.
    let profile = loaded(b"worker-10/11;run 2\napp-10/10;main 1\n");
    assert_eq!(profile.processes[0].name, "app");
}

#[test]
fn numbers_are_samples() {
    let profile = loaded(b"app;main 3\napp;read_[k] 4\n");
    let [event] = &profile.events[..] else { panic!("{:?}", profile.events) };
    assert_eq!((&event.name[..], event.unit), ("samples", Unit::Count));
    assert_eq!((profile.info.samples, profile.total_weight(0)), (7, 7));
    assert!(profile.locations.iter().any(|location| location.kind == FrameKind::Kernel));
    // Of more than there can be rows, each stands for several.
    let count = 1u64 << 40;
    let profile = loaded(format!("app;main {count}\n").as_bytes());
    assert_eq!(profile.total_weight(0), count);
    assert!(profile.info.samples <= 1 << 22, "{}", profile.info.samples);
}

#[test]
fn equal_inputs_give_equal_traces() {
    let input = b"app;main 3\napp;read_[k] 4\n";
    let trace = || imported(input).unwrap().1;
    // But for the time at which the file was written.
    assert_eq!(trace()[64..], trace()[64..]);
}

#[test]
fn what_is_refused() {
    for (input, expected) in [
        ("a;b 1 2\na;c 3 4\n", "difffolded.pl"),
        ("", "not an rz trace, nor of a format"),
        ("hello\n", "not an rz trace, nor of a format"),
        ("a;b 1\0\n", "not an rz trace, nor of a format"),
    ] {
        let text = refused(input.as_bytes());
        assert!(text.contains(expected), "{text}");
    }
    // One line with two numbers is one with a frame that ends in a number.
    check("app;a 1 2\napp;b 3\n", Some("app;a_1 2\napp;b 3\n"));
}

#[test]
fn long_lines_and_deep_stacks() {
    let long = format!("app;{} 1\napp;main 2\n", "x".repeat(2 << 20));
    let (imported, _) = imported(long.as_bytes()).unwrap();
    assert_eq!(imported.samples, 2);
    assert!(imported.notes.iter().any(|note| note.starts_with("1 lines")), "{imported:?}");
    let deep = format!("app{} 1\n", ";f".repeat(100_000));
    let profile = loaded(deep.as_bytes());
    assert_eq!(profile.info.truncated, 1);
    assert!(profile.stacks.len() < 5000);
}
