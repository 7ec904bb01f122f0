//! What a plain user, and what root, can record at each setting of the kernel.

use std::path::Path;

use rz_profile::load::{LoadOptions, load};
use rz_tests::{Folded, PlainUser, Sysctl, Target, conv, rec, report, run, temp_dir, text};

/// At Debian's and upstream's default setting a user records own processes,
/// without the kernel's part of their stacks.
#[test]
fn a_plain_user_records_own_processes() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let target = Target::spawn(&mut user.program("split"));
    let pid = target.pid().to_string();
    let args = ["-d", "2", "-F", "499", "-p", &pid, "-o", "t.rz"];
    let output = run(user.binary("rec").args(args)).success();
    let note = "kernel stacks are left out: recording them needs root";
    assert_eq!(output.stderr.matches(note).count(), 1, "{output}");
    assert_eq!(output.stderr.lines().count(), 2, "{output}");

    let trace = user.home().join("t.rz");
    let profile = load(&trace, &LoadOptions::default()).unwrap();
    assert!(profile.info.notes.iter().any(|said| said.contains(note)), "{:?}", profile.info.notes);
    let shown = report(&[text(&trace)]).success();
    assert_eq!(shown.stderr.matches(note).count(), 1, "{shown}");
    check_split(&trace, 150);

    // Who does not want the kernel's part does not miss it.
    let args = ["-d", "0.2", "--no-kernel", "-p", &pid, "-o", "u.rz"];
    let output = run(user.binary("rec").args(args)).success();
    assert!(!output.stderr.contains("note"), "{output}");
}

#[test]
fn a_plain_user_records_a_program() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let split = user.program("split").get_args().last().unwrap().to_owned();
    let args = ["-F", "499", "-o", "t.rz", "--"];
    run(user.binary("rec").args(args).arg(split).arg("1.5")).success();
    check_split(&user.home().join("t.rz"), 100);
}

/// The kernel takes perf events from a program that gets other rights, which looks as
/// if it did not run.
#[test]
fn a_setuid_program_takes_its_events_away() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let program = user.program("split").get_args().last().unwrap().to_owned();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o4755))
        .unwrap();
    let args = ["-F", "499", "-o", "t.rz", "--"];
    let output = run(user.binary("rec").args(args).arg(&program).arg("0.5")).success();
    let note = "runs with the rights of another user or group (setuid";
    assert!(output.stderr.contains(note), "{output}");
    assert!(output.stderr.contains("nothing was sampled: the target ran for "), "{output}");
    assert!(!output.stderr.contains("did not run"), "{output}");
    let shown = report(&[text(&user.home().join("t.rz"))]).success();
    assert!(shown.stderr.contains("nothing was sampled: the target ran for "), "{shown}");
}

#[test]
fn root_is_not_bound_by_the_setting() {
    let dir = temp_dir();
    let target = Target::start("split", &[]);
    let pid = target.pid().to_string();
    for (value, name) in [("2", "two.rz"), ("-1", "minus.rz")] {
        let _sysctl = Sysctl::set("kernel.perf_event_paranoid", value);
        let path = dir.path().join(name);
        let args = ["-d", "1", "-F", "499", "-p", &pid, "-o", text(&path)];
        let output = rec(&args).success();
        assert!(!output.stderr.contains("note"), "{value}: {output}");
        check_split(&path, 50);
    }
}

/// At least so many samples of `split`, and 99 % of them up to its entry.
#[track_caller]
fn check_split(trace: &Path, samples: u64) {
    let folded = conv(&[text(trace), "--to", "folded", "-o", "-"]).success();
    let folded = Folded::parse(&folded.stdout);
    assert!(folded.total() >= samples, "{} samples", folded.total());
    let complete = folded.share("split;_start;");
    assert!(complete >= 0.99, "{complete} complete in\n{}", folded.head(20));
    folded.assert_share(";main;run;hot", 0.7, 0.2);
}
