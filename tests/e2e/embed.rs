//! Traces with the names of their code in them, opened where nothing else is.

use std::fs;
use std::path::Path;
use std::process::Command;

use rz_tests::{
    Contents, Output, Target, Trace, binary, conv, program_path, report, run, temp_dir, text, tool,
};
use tempfile::TempDir;

/// What to look at, of the trace `trace.rz` in the current folder.
pub const VIEWS: &[&str] = &[
    "report",
    "report --tree",
    "report --inverted",
    "report --svg -",
    "report --off-cpu",
    "report --off-cpu --tree",
    "report --syscalls",
    "report --syscalls --list",
    "report --heap",
    "conv --to folded -o -",
    "conv --to folded --event wall -o -",
    "conv --to speedscope -o -",
    "conv --to pprof -o -",
];

/// A folder with `report` and `conv`, the libraries that they need, and nothing
/// else: no binaries, no debug files.
fn empty_root() -> TempDir {
    let root = temp_dir();
    for name in ["report", "conv"] {
        let file = binary(name);
        fs::copy(&file, root.path().join(name)).unwrap();
        let libraries = run(Command::new("ldd").arg(&file)).success();
        let paths = libraries.stdout.split_whitespace().filter(|word| word.starts_with('/'));
        for path in paths {
            let copy = root.path().join(&path[1..]);
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(path, copy).unwrap();
        }
    }
    fs::create_dir(root.path().join("tmp")).unwrap();
    root
}

/// A view of the trace in the folder `of`, which may be another root.
pub fn view(view: &str, of: &Path, is_root: bool) -> Output {
    let mut words = view.split(' ');
    let name = words.next().unwrap();
    let mut command = match is_root {
        true => Command::new("chroot"),
        false => Command::new(binary(name)),
    };
    if is_root {
        command.arg(of).arg(format!("/{name}"));
    }
    run(command.current_dir(of).arg("trace.rz").args(words))
}

/// What a program said, but for the size of the file.
fn said(output: &Output) -> String {
    let lines = format!("{}{}\n{}", output.status, output.stdout, output.stderr);
    let lines = lines.lines().map(|line| match line.strip_prefix("  cost ") {
        Some(cost) => cost.rsplit_once(", ").map_or(cost, |(cost, _)| cost),
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Embeds names into a trace, and compares what is to be seen of it in an empty
/// root with what this machine shows of the original. `known` are names that
/// have to be there. Returns the other root, with the embedded `trace.rz`.
#[track_caller]
fn check(trace: &Path, options: &[&str], known: &[&str]) -> TempDir {
    let here = temp_dir();
    fs::copy(trace, here.path().join("trace.rz")).unwrap();
    let root = empty_root();
    let embedded = root.path().join("trace.rz");
    let words = [text(trace), "--to", "rz", "--embed", "-o", text(&embedded)];
    let output = conv(&[&words, options].concat()).success();
    assert!(output.stderr.contains("conv: embedded the names of "), "{output}");
    let mut all = String::new();
    for name in VIEWS {
        // Debug files that were given are in the embedded trace.
        let of_original = format!("{name} {}", options.join(" "));
        let expected = said(&view(of_original.trim_end(), here.path(), false));
        let found = said(&view(name, root.path(), true));
        assert!(found == expected, "{name}\n{expected}\n--- in an empty root\n{found}");
        all += &found;
    }
    for name in known {
        assert!(all.contains(name), "no {name} in\n{all}");
    }
    root
}

/// C++ with inlined functions, templates and lines; the kernel and the C
/// library besides.
#[test]
fn a_program_with_debug_information() {
    let target = Target::start("cppdemo", &[]);
    let trace = Trace::of(target.pid(), "1", &["-q", "--off-cpu", "--syscalls"]);
    let known = ["shapes::Circle::area() const", "cppdemo.cpp", "shapes::run"];
    let root = check(&trace.path(), &[], &known);
    let full = root.path().join("trace.rz");

    // Again: nothing more is there, and nothing that was recorded is gone.
    let again = full.with_file_name("again.rz");
    conv(&[text(&full), "--to", "rz", "--embed", "-o", text(&again)]).success();
    let sizes = [&full, &again].map(|path| fs::metadata(path).unwrap().len());
    assert!(sizes[1] <= sizes[0] + 64, "{sizes:?}");
    let [before, full, again] = [&trace.path(), &full, &again].map(|path| Contents::read(path));
    assert_eq!(full.names, again.names);
    assert!(before.names.is_empty() && !full.names.is_empty());
    assert_eq!((&before.samples, &before.calls), (&again.samples, &again.calls));
    assert_eq!((&before.frames, &before.stacks), (&again.frames, &again.stacks));
    assert!(again.records.starts_with(&before.records));
}

#[test]
fn allocations() {
    let heap = program_path("heapcpp");
    let trace = Trace::record(&["-q", "--alloc=full", "--", text(&heap), "1"]);
    check(&trace.path(), &[], &["heapcpp.cpp"]);
}

/// The vDSO and a program without symbols have no file to take names from.
#[test]
fn code_without_files() {
    let script = "import time\nprint('ready', flush=True)\nwhile True: time.monotonic_ns()";
    let target = Target::spawn(Command::new(tool("python3")).args(["-c", script]));
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    check(&trace.path(), &[], &["__vdso_"]);
}

/// A program that is gone has no names, unless somebody knows where it is; in
/// an embedded trace, these are still found.
#[test]
fn a_program_that_is_gone() {
    let dir = temp_dir();
    let copy = dir.path().join("program-copy");
    fs::copy(program_path("split"), &copy).unwrap();
    let target = Target::start_file(&copy, &[]);
    fs::remove_file(&copy).unwrap();
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let root = check(&trace.path(), &[], &["[program-copy+0x", "not found on this machine"]);
    let full = root.path().join("trace.rz");

    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(program_path("split"), elsewhere.join("program-copy")).unwrap();
    let with_names = ["--debug-dir", text(&elsewhere)];
    check(&trace.path(), &with_names, &["hot", "warm", "split.c"]);
    // Those that were embedded first are replaced.
    let better = full.with_file_name("better.rz");
    let words = [text(&full), "--to", "rz", "--embed", "-o", text(&better)];
    conv(&[&words[..], &with_names].concat()).success();
    fs::remove_dir_all(&elsewhere).unwrap();
    let folded = conv(&[text(&better), "--to", "folded", "-o", "-"]).success();
    assert!(folded.stdout.contains(";hot;work_[i] ") && folded.stderr.is_empty(), "{folded}");
    // And the program takes its place again where it was.
    fs::copy(program_path("split"), &copy).unwrap();
    let shown = report(&[text(&full)]).success();
    assert!(shown.stdout.contains("hot"), "{shown}");
}

/// Several traces are merged first.
#[test]
fn merged_traces() {
    let traces = ["cppdemo", "split"].map(|name| {
        let target = Target::start(name, &[]);
        Trace::of(target.pid(), "1", &["-q"])
    });
    let dir = temp_dir();
    let (merged, full) = (dir.path().join("merged.rz"), dir.path().join("full.rz"));
    let inputs = traces.each_ref().map(Trace::path);
    let labels = ["--label", "one", "--label", "two"];
    let words = [text(&inputs[0]), text(&inputs[1]), "--to", "rz"];
    conv(&[&words, &labels[..], &["-o", text(&merged)]].concat()).success();
    conv(&[&words, &labels[..], &["--embed", "-o", text(&full)]].concat()).success();
    assert_eq!(rz_tests::names_in(dir.path()), ["full.rz", "merged.rz"]);
    check(&merged, &[], &["one", "two", "shapes::run", "hot"]);
    let folded = |path: &Path| conv(&[text(path), "--to", "folded", "-o", "-"]).success().stdout;
    assert_eq!(folded(&merged), folded(&full));
}

#[test]
fn damaged_traces_are_refused() {
    let target = Target::start("split", &[]);
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let dir = temp_dir();
    let (cut, out) = (dir.path().join("cut.rz"), dir.path().join("out.rz"));
    let bytes = fs::read(trace.path()).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 30]).unwrap();
    for option in ["--embed", "--redact"] {
        let words = [text(&cut), option, "-o", text(&out)];
        conv(&words).refused(1, &["cut.rz: ", "--keep-going"]);
        assert!(!out.exists());
        let output = conv(&[&words[..], &["--keep-going"]].concat()).success();
        assert!(output.stderr.contains("cut.rz: the file "), "{output}");
        let shown = report(&[text(&out)]).success();
        assert!(shown.stderr.contains("the file is cut off"), "{shown}");
        fs::remove_file(&out).unwrap();
    }
}
