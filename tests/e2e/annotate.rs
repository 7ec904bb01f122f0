//! Lines and instructions of functions of real programs.

use std::fs;
use std::path::Path;

use rz_tests::{Output, Trace, conv, program_path, report, temp_dir, text, workspace_root};

#[track_caller]
fn shown(trace: &Trace, args: &[&str]) -> Output {
    report(&[&[text(&trace.path())], args].concat()).success()
}

/// Self and total of a line that ends in a text, in percent.
#[track_caller]
fn shares(output: &Output, end: &str) -> (f64, f64) {
    let line = output.stdout.lines().find(|line| line.ends_with(end));
    let line = line.unwrap_or_else(|| panic!("no {end:?} in {output}"));
    let percent = |from: usize| {
        let text = line.get(from..from + 6).unwrap_or_default().trim();
        text.trim_end_matches('%').trim_start_matches('<').parse().unwrap_or(0.0)
    };
    (percent(0), percent(8))
}

fn split(seconds: &str) -> Trace {
    let program = program_path("split");
    Trace::record(&["-q", "--", text(&program), seconds])
}

/// What each line has is what the function has in other views.
#[test]
fn lines_have_their_share() {
    let trace = split("1");
    let output = shown(&trace, &["--source", "hot"]);
    let file = workspace_root().join("tests/programs/split.c");
    assert!(output.stdout.contains(&format!("  {}\n", file.display())), "{output}");
    let (self_, total) = shares(&output, "  FRAME void hot(void) { work(1); }");
    assert!(self_ < 1.0 && (total - 70.0).abs() < 20.0, "{output}");
    // What is inlined has lines of its own, in another file.
    assert!(
        output.stdout.contains("  work, ") && output.stdout.contains("/program.h\n"),
        "{output}"
    );
    let (for_self, _) =
        shares(&output, "for (uint64_t i = (uint64_t)units * UNIT_STEPS; i != 0; i--) {");
    let (step_self, _) = shares(&output, "x = x * 6364136223846793005u + 1442695040888963407u;");
    assert!((for_self + step_self - total).abs() < 5.0, "{output}");
    // Callers have the line of the call.
    let output = shown(&trace, &["--source", "run"]);
    let (_, total_of_hot) = shares(&output, "            hot();");
    assert!((total_of_hot - total).abs() < 0.2, "{output}");
}

#[test]
fn sources_are_looked_for() {
    let dir = temp_dir();
    let source = dir.path().join("moved.c");
    let programs = workspace_root().join("tests/programs");
    fs::write(
        &source,
        "#include \"program.h\"\nint main(int argc, char **argv) {\n\
        (void)argc;\n    work((unsigned)(argv[1][0] - 48) * 20000);\n}\n",
    )
    .unwrap();
    let program = dir.path().join("moved");
    let built = std::process::Command::new("gcc")
        .args([
            "-O1",
            "-g",
            "-D_GNU_SOURCE",
            "-I",
            text(&programs),
            "-o",
            text(&program),
            text(&source),
        ])
        .status();
    assert!(built.unwrap().success());
    let trace = Trace::record(&["-q", "--", text(&program), "3"]);
    let call = "    work((unsigned)(argv[1][0] - 48) * 20000);";
    let (_, total) = shares(&shown(&trace, &["--source", "main"]), call);
    assert!(total > 50.0);

    // Somewhere else: below the folder by the end of its path.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&source, elsewhere.join("moved.c")).unwrap();
    let output = shown(&trace, &["--source", "main"]);
    assert!(output.stdout.contains("the source is not here: see --source-dir"), "{output}");
    let number = output.stdout.lines().any(|line| line.ends_with("      4"));
    assert!(number, "{output}");
    let output = shown(&trace, &["--source", "main", "--source-dir", text(&elsewhere)]);
    let there = format!("from {}", elsewhere.join("moved.c").display());
    assert!(shares(&output, call).1 > 50.0 && output.stdout.contains(&there), "{output}");
    // Written anew, it is another one.
    fs::write(elsewhere.join("moved.c"), "int x;\n").unwrap();
    let output = shown(&trace, &["--source", "main", "--source-dir", text(&elsewhere)]);
    assert!(output.stdout.contains("the source is newer than the binary"), "{output}");
    assert!(output.stdout.contains("fewer lines"), "{output}");
}

#[test]
fn instructions_are_those_of_the_recorded_file() {
    let dir = temp_dir();
    let program = dir.path().join("split");
    fs::copy(program_path("split"), &program).unwrap();
    let trace = Trace::record(&["-q", "--", text(&program), "1"]);
    let output = shown(&trace, &["--asm", "hot"]);
    assert!(output.stdout.contains("\nCODE  hot  0x"), "{output}");
    assert!(output.stdout.contains("(work, inlined)  uint64_t x = 1;"), "{output}");
    let instructions: Vec<&str> =
        output.stdout.lines().skip_while(|line| !line.ends_with("  instruction")).skip(1).collect();
    let self_: f64 = instructions
        .iter()
        .filter_map(|line| line.get(..6)?.trim().trim_end_matches('%').parse::<f64>().ok())
        .sum();
    assert!((self_ - 70.0).abs() < 20.0, "{output}");
    let multiplies = instructions.iter().filter(|line| line.contains("  imul ")).count();
    assert_eq!(multiplies, 1, "{output}");
    // Calls by name; the address of one is inside it.
    let output = shown(&trace, &["--source", "run", "--asm"]);
    let (self_, total) = shares(&output, "  call    hot");
    assert!(self_ < 2.0 && (total - 70.0).abs() < 20.0, "{output}");

    // Another build is not taken for it, neither for its names.
    let (path, full) = (trace.path(), dir.path().join("full.rz"));
    conv(&[text(&path), "--to", "rz", "--embed", "-o", text(&full)]).success();
    fs::copy(program_path("split-fp"), &program).unwrap();
    let output = report(&[text(&path), "--asm", "warm"]).code(1);
    assert!(output.stderr.contains("another build: build-id"), "{output}");
    assert!(output.stderr.contains("no function in the samples"), "{output}");
    let output = report(&[text(&full), "--asm", "warm"]).success();
    assert!(output.stdout.contains("another build: build-id"), "{output}");
    assert!(!output.stdout.contains("  instruction\n"), "{output}");
    let folder = program_path("split");
    let folder = text(folder.parent().unwrap());
    let output = shown(&trace, &["--asm", "hot", "--debug-dir", folder]);
    assert!(output.stdout.contains("  instruction\n"), "{output}");
}

/// Stripped, the names and lines are those of the debug file.
#[test]
fn instructions_of_a_stripped_file() {
    let program = program_path("split-stripped");
    let trace = Trace::record(&["-q", "--", text(&program), "0.5"]);
    let output = shown(&trace, &["--asm", "hot"]);
    assert!(output.stdout.contains("\nCODE  hot  0x"), "{output}");
    assert!(output.stdout.contains("split.c:10  FRAME void hot"), "{output}");
}

/// Whatever weights are, they are at lines.
#[test]
fn other_events_have_lines() {
    let program = program_path("waiter");
    let trace = Trace::record(&["-q", "--off-cpu", "--", text(&program), "1"]);
    let output = shown(&trace, &["--event", "off-cpu", "--source", "sleep_ns"]);
    let (_, total) = shares(&output, "  nanosleep(&time, NULL);");
    assert!(total > 5.0, "{output}");

    let program = program_path("heap");
    let trace = Trace::record(&["-q", "--alloc=full", "--", text(&program), "20"]);
    let output = shown(&trace, &["--heap", "--metric", "count", "--source", "run"]);
    let (_, total) = shares(&output, "temporary();");
    assert!((total - 62.5).abs() < 1.0, "{output}");

    let program = program_path("callmaker");
    let trace = Trace::record(&["-q", "--syscalls", "--", text(&program), "slow"]);
    let output = shown(&trace, &["--syscalls", "--asm", "slow"]);
    assert!(output.stdout.contains("  call    "), "{output}");
}

#[test]
fn several_functions_may_be_meant() {
    let trace = split("0.5");
    let output = shown(&trace, &["--source", "o"]);
    assert!(
        output.stdout.contains("\nFUNCTIONS  ") && output.stdout.contains("  hot\n"),
        "{output}"
    );
    assert!(!output.stdout.contains("\nSOURCE"), "{output}");
    report(&[text(&trace.path()), "--asm", "nothing_like_it"])
        .refused(1, &["no function in the samples of cpu-clock matches nothing_like_it"]);
    assert!(Path::new(&trace.path()).exists());
}
