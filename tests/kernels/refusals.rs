//! What `rec` says of a kernel, and what it leaves when it cannot record.

use rz_tests::Contents;
use serde_json::Value;

use crate::machine::Recorded;

/// What can be recorded, as `rec --check --json` names it.
const ABILITIES: [&str; 7] = ["own", "samples", "all", "off-cpu", "syscalls", "alloc", "confined"];

pub fn nothing_is_missing(recorded: &Recorded) {
    assert_eq!(recorded.code, Some(0), "exit code of rec");
    let json: Value = serde_json::from_str(&recorded.stdout).expect("JSON");
    let abilities = json["abilities"].as_array().expect("a list of abilities");
    let missing: Vec<_> = abilities.iter().filter(|ability| ability["works"] != true).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let names: Vec<_> = abilities.iter().filter_map(|ability| ability["id"].as_str()).collect();
    assert_eq!(names, ABILITIES);
}

pub fn was_killed(recorded: &Recorded) {
    assert_eq!(recorded.code, Some(128 + 9), "exit code of rec");
    // It had begun.
    Contents::read(&recorded.path());
}

pub fn has_no_process(recorded: &Recorded) {
    assert_refused(recorded, "no process with pid 999999");
}

pub fn has_no_folder(recorded: &Recorded) {
    assert_refused(recorded, "/no/such/folder/trace.rz");
}

#[track_caller]
fn assert_refused(recorded: &Recorded, why: &str) {
    assert_eq!(recorded.code, Some(1), "exit code of rec");
    assert!(recorded.stderr.contains(why), "it does not say {why:?}");
    assert!(!recorded.path().exists(), "a trace is left");
}
