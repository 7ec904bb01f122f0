//! Traces from which is taken what tells whose they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use rz_format::{BlockKind, Call, Record};
use rz_tests::{
    Contents, Output, binary, conv, payloads, report, run, temp_dir, text, workspace_root,
};

use crate::embed::{VIEWS, view};

/// Records a program that says a word in every place that a recording looks
/// at, on a machine of its own: with another name and another `/home`.
const SCRIPT: &str = r#"
set -e
programs=$1 bin=$2 out=$3
hostname CaNaRyHost
mount -t tmpfs none /home
mkdir -p /home/CaNaRyUser/CaNaRyFolder
cd /home/CaNaRyUser/CaNaRyFolder
cp "$programs/canary.c" CaNaRySource.c
compile="gcc -std=gnu11 -D_GNU_SOURCE -g -O1 -Wl,--build-id -pthread -I$programs"
$compile -o CaNaRyProgram "$PWD/CaNaRySource.c"
$compile -DLIB -shared -fPIC -o libCaNaRyLib.so "$PWD/CaNaRySource.c"
cp /bin/sh CaNaRyChild
echo word >CaNaRyFile.txt
exec 9<CaNaRySource.c
export HOME=/home/CaNaRyUser USER=CaNaRyUser CaNaRyVariable=CaNaRyValue
"$bin/rec" -q -F 997 --args --env --off-cpu --syscalls --syscall-data --syscall-stacks all -o CaNaRyOutput.rz \
    -- ./CaNaRyProgram CaNaRyWord
"$bin/rec" -q -F 997 -o CaNaRyOther.rz -- ./CaNaRyProgram
grep -l CaNaRyUser /tmp/perf-*.map | xargs rm
"$bin/conv" -q CaNaRyOutput.rz --to rz --embed -o "$out/full.rz"
"$bin/conv" -q CaNaRyOutput.rz --to rz --redact -o "$out/alone.rz"
"$bin/conv" CaNaRyOutput.rz CaNaRyOther.rz --label CaNaRyLabel --label CaNaRyLabel2 \
    --to rz --embed -o "$out/merged.rz"
"$bin/conv" CaNaRyOutput.rz CaNaRyOther.rz --label CaNaRyLabel --label CaNaRyLabel2 \
    --to rz --embed --redact -o "$out/safe.rz"
"#;

/// Where the word is in the unredacted traces.
const PLACES: [&str; 28] = [
    "CaNaRyHost",
    "CaNaRyUser",
    "CaNaRyFolder",
    "CaNaRyProgram",
    "libCaNaRyLib.so",
    "CaNaRySource.c",
    "CaNaRyThread-1",
    "CaNaRyRenamed",
    "CaNaRyMemory",
    "CaNaRyFile.txt",
    "/tmp/CaNaRyFolder",
    "/etc/CaNaRy.conf",
    "CaNaRyOld",
    "CaNaRyNew",
    "/tmp/CaNaRySocket",
    "CaNaRyAbstract",
    "CaNaRySecret",
    "CaNaRyChild",
    "CaNaRyName",
    "CaNaRyOutput.rz",
    "CaNaRyLabel2",
    "CaNaRyVariable",
    "CaNaRyValue",
    "CaNaRyWord",
    "CaNaRyArgument",
    "CaNaRyScript.js",
    "CaNaRyOther",
    "203.0.113.77",
];

/// Whether a word is in some bytes, in whatever case.
fn contains(bytes: &[u8], word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a word is anywhere in a trace.
fn is_in(path: &Path, word: &str) -> bool {
    let address = [203, 0, 113, 77];
    contains(&fs::read(path).unwrap(), word)
        || payloads(path).iter().any(|(_, payload)| match word {
            "203.0.113.77" => payload.windows(4).any(|window| window == address),
            word => contains(payload, word),
        })
}

#[track_caller]
fn assert_silent(output: &Output) {
    let shown = output.to_string();
    for word in ["canary", "203.0.113"] {
        assert!(!contains(shown.as_bytes(), word), "{word}: {output}");
    }
}

#[test]
fn nothing_of_the_machine_survives() {
    let dir = temp_dir();
    let bin = binary("rec").parent().unwrap().to_owned();
    let programs = workspace_root().join("tests/programs");
    let said = run(Command::new("unshare")
        .args(["--mount", "--uts", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .args([&programs, &bin, dir.path()]))
    .success();
    let [full, merged, alone, safe] =
        ["full.rz", "merged.rz", "alone.rz", "safe.rz"].map(|name| dir.path().join(name));
    for place in PLACES {
        assert!(is_in(&full, place) || is_in(&merged, place), "{place} is nowhere");
    }
    // The label of the second one is that of the trace.
    for path in [&alone, &safe] {
        for word in ["canary", "203.0.113.77"] {
            assert!(!is_in(path, word), "{word} in {}", path.display());
        }
        assert_eq!(Contents::read(path).damage, []);
    }
    let last = said.stderr.lines().rev().take(2).collect::<Vec<_>>();
    assert!(last.iter().any(|line| line.starts_with("conv: redacted: facts of hosts (")), "{said}");

    // Nor in anything that is made of it.
    for path in [&alone, &safe] {
        let folder = temp_dir();
        fs::copy(path, folder.path().join("trace.rz")).unwrap();
        for name in VIEWS.iter().chain(&["report --info"]) {
            assert_silent(&view(name, folder.path(), false));
        }
        let pprof = folder.path().join("out.pb.gz");
        conv(&[text(&path.clone()), "-q", "-o", text(&pprof)]).success();
        assert_silent(&run(Command::new("gunzip").arg("-c").arg(&pprof)).success());
    }

    // What was measured is all there, and functions have their names.
    let shown = report(&[text(&safe), "--tree"]).success().stdout;
    for expected in ["host1", "spin", "in_library", "file", "\n  redacted  facts of hosts ("] {
        assert!(shown.contains(expected), "no {expected} in {shown}");
    }
    let (before, after) = (Contents::read(&full), Contents::read(&alone));
    assert_eq!((&before.samples, &before.waits), (&after.samples, &after.waits));
    assert_eq!((&before.frames, &before.stacks), (&after.frames, &after.stacks));
    let without_data = |call: &Call| Call { data: None, ..*call };
    let calls: Vec<Call> = before.calls.iter().map(without_data).collect();
    assert_eq!((&calls, &before.totals), (&after.calls, &after.totals));
    // One path is one path everywhere.
    let module = |contents: &Contents, name: &str| {
        let modules = contents.records.iter().filter_map(|record| match record {
            Record::Module(module) => Some(module.clone()),
            _ => None,
        });
        modules.into_iter().find(|module| module.path.ends_with(name)).unwrap()
    };
    let program = module(&before, "/CaNaRyProgram");
    let redacted = after.records.iter().find_map(|record| match record {
        Record::Module(module) if module.build_id == program.build_id => Some(&module.path),
        _ => None,
    });
    let redacted = redacted.unwrap();
    let (folder, _) = redacted.rsplit_once('/').unwrap();
    assert!(folder.starts_with("/home/user1/dir"), "{redacted}");
    assert!(after.processes().values().any(|process| process.exe == *redacted));
    let directory = after.records.iter().find_map(|record| match record {
        Record::WorkingDirectory(directory) => Some(&directory.path),
        _ => None,
    });
    assert_eq!(directory.map(String::as_str), Some(folder));
    assert!(module(&after, "/libc.so.6").path.starts_with("/usr/lib/"));
    assert!(payloads(&alone).iter().all(|(kind, _)| *kind != BlockKind::NAMES));
}
