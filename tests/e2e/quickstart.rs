//! The first thing that a newcomer runs does what it promises.

use std::fs;
use std::path::Path;
use std::process::Command;

use rz_tests::{report, run, temp_dir, text, workspace_root};

#[test]
fn quickstart_runs_to_its_end() {
    let root = workspace_root();
    let files = ["trace.rz", "flame.svg", "speedscope.json", "profile.pb.gz", "stacks.folded"]
        .map(|name| root.join("quickstart-out").join(name));
    for old in files.iter().filter(|file| file.exists()) {
        fs::remove_file(old).unwrap();
    }
    // It would build binaries of its own, which takes minutes.
    let rec = rz_tests::binary("rec");
    let mut quickstart = Command::new(root.join("quickstart.sh"));
    quickstart.env("RZ_BIN_DIR", rec.parent().unwrap());
    let output = run(&mut quickstart).success();
    assert!(output.stdout.contains("TOP FUNCTIONS") && output.stdout.contains("== Done"));
    // The tests run as root on a kernel that can do all of it.
    for title in ["WHY THREADS WAITED", "SYSTEM CALLS"] {
        assert!(output.stdout.contains(title), "{title}: {output}");
    }
    assert!(!output.stdout.contains('\x1b'), "{output}");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(file.metadata().is_ok_and(|meta| meta.len() > 0), "{name}: {output}");
        assert!(output.stdout.contains(name), "{name}: {output}");
    }
    // A page of it can be mailed.
    let dir = temp_dir();
    let page = dir.path().join("page.html");
    report(&[text(&root.join("quickstart-out/trace.rz")), "--html", text(&page)]).success();
    let size = page.metadata().unwrap().len();
    assert!(size <= 400_000, "{size}");
    // A server of its own, which it ended.
    let line = output.stdout.lines().find(|line| line.starts_with("redis-server, process "));
    let pid = line.and_then(|line| line.split([' ', ',']).nth(3)).expect("a redis-server");
    assert!(!Path::new("/proc").join(pid).exists(), "{line:?}");
}
