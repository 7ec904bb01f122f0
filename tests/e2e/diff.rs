//! What changed between two recordings is told from what chance does, and
//! drawn as pictures that browsers show.

use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{Target, Trace, conv, program, rec, report, run, screenshot, temp_dir, text, tool};
use serde_json::Value;
use tempfile::TempDir;

/// The same load at another rate, for another time, has not changed.
#[test]
fn the_same_load_at_another_rate() {
    let dir = temp_dir();
    let target = favoured("split", &[]);
    let before = recorded(&dir, "before.rz", &[&target], &["-F", "99", "-d", "2"]);
    let after = recorded(&dir, "after.rz", &[&target], &["-F", "499", "-d", "3"]);
    // What is favoured leaves no CPU to others.
    drop(target);
    let diff = report(&["--diff", text(&before), text(&after)]).success();
    let rows = rows(&diff.stdout);
    // Of 20 comparisons, one has a change by chance; all rows would have if rates
    // or times were mixed up.
    let changed = rows.iter().filter(|row| row.self_.is_change()).count();
    assert!(changed <= 1, "{diff}");
    let changed = |name: &str| row(&rows, name).total.is_change();
    let changed = ["hot", "warm", "cold"].into_iter().filter(|name| changed(name)).count();
    assert!(changed <= 1, "{diff}");
    assert!(diff.stdout.contains("99 Hz") && diff.stdout.contains("499 Hz"), "{diff}");
    let hot = row(&rows, "hot");
    assert!(hot.total.verdict != "new" && hot.total.verdict != "gone", "{diff}");
    assert!(diff.stdout.contains("differences may be between these two runs only"), "{diff}");
}

/// Twice the load is more of everything; the other way round, less.
#[test]
fn twice_the_load_is_more_and_half_of_it_less() {
    let dir = temp_dir();
    let targets = [favoured("split", &[]), favoured("split", &[])];
    let options = ["-F", "499", "-d", "1"];
    let one = recorded(&dir, "one.rz", &[&targets[0]], &options);
    let two = recorded(&dir, "two.rz", &[&targets[0], &targets[1]], &options);
    drop(targets);
    for (before, after, sign) in [(&one, &two, 1.0), (&two, &one, -1.0)] {
        let diff = report(&["--diff", text(before), text(after), "--by", "total"]).success();
        let rows = rows(&diff.stdout);
        for name in ["main", "run", "hot"] {
            let total = &row(&rows, name).total;
            assert!(total.is_change() && total.delta * sign > 5.0, "{name}: {diff}");
        }
    }
}

/// The one thing that takes longer is named first, by the function that somebody would
/// look at, in a program that has no time left, so that everything else gets less.
#[test]
fn what_changed_is_named_first() {
    let dir = temp_dir();
    let recorded = |what: &str| {
        let target = favoured("changed", &[what]);
        recorded(&dir, &format!("{what}.rz"), &[&target], &["-F", "997", "-d", "2"])
    };
    let before = recorded("nothing");
    for (what, expected) in [
        ("inlined", "beta, called by left"),
        ("shared", "delta, called by left"),
        ("slower", "step"),
        ("path", "store, called by right"),
        ("thread", "poll_, called by poller"),
    ] {
        let after = recorded(what);
        let diff = report(&["--diff", text(&before), text(&after)]).success();
        let first = diff.stdout.split("\nWHAT CHANGED").nth(1).and_then(|text| text.lines().nth(1));
        assert!(
            first.is_some_and(|first| first.contains(&format!("  {expected}"))),
            "{what}: {diff}"
        );
        let json = report(&["--diff", text(&before), text(&after), "--json"]).success().stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        let place = &json["what_changed"][0];
        assert!(place["text"].as_str().unwrap().starts_with(expected), "{what}: {place}");
        assert!(place["change"]["delta"].as_f64().unwrap() > 1.0, "{what}: {place}");
        let markdown = report(&["--diff", text(&before), text(&after), "--markdown"]).success();
        let first = markdown.stdout.lines().find(|line| line.starts_with("- **+")).unwrap();
        assert!(first.replace('\\', "").contains(expected), "{what}: {first}");
    }
    // It grew in a leaf which all others call, and which is not more in all.
    let after = dir.path().join("inlined.rz");
    let fails = report(&["--diff", text(&before), text(&after), "--fail-if", "function>2%"]);
    let fails = fails.code(3);
    // Where the second run had more of the CPU, that leaf itself is more, too.
    let grew = ["beta, called by left", "work"].map(|name| format!("of the whole: {name}"));
    assert!(grew.iter().any(|grew| fails.stderr.contains(grew)), "{fails}");
}

#[test]
fn what_is_gone_and_what_is_new() {
    let dir = temp_dir();
    let options = ["-F", "499", "-d", "1"];
    let before = recorded(&dir, "before.rz", &[&Target::start("split", &[])], &options);
    let after = recorded(&dir, "after.rz", &[&Target::start("cppdemo", &[])], &options);
    let diff = report(&["--diff", text(&before), text(&after), "--limit", "1000"]).success();
    let rows = rows(&diff.stdout);
    for name in ["hot", "warm", "run"] {
        let total = &row(&rows, name).total;
        assert!(total.verdict == "gone" && total.delta < 0.0, "{name}: {diff}");
    }
    for name in ["shapes::Circle::area() const", "shapes::run(unsigned long)"] {
        let total = &row(&rows, name).total;
        assert!(total.verdict == "new" && total.delta > 0.0, "{name}: {diff}");
    }
}

#[test]
fn pictures_that_browsers_show() {
    let dir = temp_dir();
    let options = ["-F", "499", "-d", "1"];
    let before = recorded(&dir, "before.rz", &[&Target::start("split", &[])], &options);
    let after = recorded(&dir, "after.rz", &[&Target::start("cppdemo", &[])], &options);
    let (before, after) = (text(&before), text(&after));
    for (name, args) in [
        ("flame.svg", &[after] as &[&str]),
        ("icicle.svg", &[after, "--inverted"]),
        ("diff.svg", &["--diff", before, after]),
    ] {
        let svg = dir.path().join(name);
        let output = report(&[args, &["--svg", text(&svg)]].concat()).success();
        assert_eq!(output.stderr, format!("report: wrote {}\n", svg.display()));
        // A parser that is stricter than browsers.
        let parse = "import sys, xml.dom.minidom as x; \
                     print(len(x.parse(sys.argv[1]).getElementsByTagName('title')))";
        let titles = run(Command::new(tool("python3")).args(["-c", parse, text(&svg)])).success();
        assert!(titles.stdout.trim().parse::<u32>().unwrap() > 10, "{titles}");
        // An empty page has about 5 KB.
        let picture = screenshot(&svg);
        assert!(picture > 20_000, "{name}: {picture} bytes");
    }
    // Beside the trace, if no name is given.
    report(&[after, "--svg"]).success();
    assert!(dir.path().join("after.svg").is_file());
    report(&["--diff", before, after, "--svg"]).success();
    assert!(dir.path().join("after.diff.svg").is_file());
}

/// Recordings of different things are not compared, and nor is one that is
/// empty: that is said, and is no error.
#[test]
fn a_recording_against_an_empty_one() {
    let dir = temp_dir();
    let (idle, busy) = (dir.path().join("idle.rz"), dir.path().join("busy.rz"));
    rec(&["-q", "-o", text(&idle), "--", "sleep", "0.3"]).success();
    let command = program("split");
    rec(&["-q", "-F", "499", "-o", text(&busy), "--", &command[0], "0.5"]).success();
    let diff = report(&["--diff", text(&idle), text(&busy)]).success();
    assert_eq!(row(&rows(&diff.stdout), "hot").total.verdict, "new", "{diff}");
    conv(&[text(&idle), "--to", "folded", "-o", "-"]).success();
}

/// More rounds allocate more; what is leaked is the same.
#[test]
fn allocations_of_several_runs() {
    let program = program("heap");
    for (mode, found) in
        [("--alloc=full", &["build", "temporary"][..]), ("--alloc=16K", &["build"])]
    {
        let runs = |rounds| -> [Trace; 3] {
            std::array::from_fn(|_| Trace::record(&["-q", mode, "--", &program[0], rounds]))
        };
        let (before, after) = (runs("20"), runs("26"));
        let [before, after] = [&before, &after].map(|runs| runs.each_ref().map(Trace::path));
        let [before, after] =
            [&before, &after].map(|paths| paths.each_ref().map(|path| text(path)));
        let compare = |args: &[&str]| {
            report(&[&["--diff"], &before[..], &["--against"], &after, &["--heap"], args].concat())
        };
        let diff = compare(&["--per", "raw", "--fail-if", "total>5%"]).code(3);
        let rows = rows(&diff.stdout);
        let verdict = |name: &str| row(&rows, name).self_.verdict.as_str();
        assert!(found.iter().all(|name| verdict(name) == "more"), "{mode}: {diff}");
        assert_eq!(verdict("leak"), "no evidence", "{mode}: {diff}");
        let live = compare(&["--metric", "live", "--fail-if", "total>50%"]);
        assert!(!live.stdout.contains("  more  "), "{mode}: {live}");
        if mode == "--alloc=full" {
            let live = live.success();
            assert!(live.stdout.contains(", 0.00 (+0.0%)"), "{live}");
        }
    }
}

/// A target that gets what it can of a CPU even if something else is at work on
/// this machine: what is compared is CPU time per time of day. Needs root.
fn favoured(name: &str, args: &[&str]) -> Target {
    let mut nice = Command::new(tool("nice"));
    Target::spawn(nice.args(["-n", "-20"]).args(program(name)).args(args))
}

fn recorded(dir: &TempDir, name: &str, targets: &[&Target], options: &[&str]) -> PathBuf {
    let path: &Path = &dir.path().join(name);
    let mut args = options.to_vec();
    let pids: Vec<String> = targets.iter().map(|target| target.pid().to_string()).collect();
    for pid in &pids {
        args.extend(["-p", pid]);
    }
    args.extend(["-q", "-o", text(path)]);
    rec(&args).success();
    path.to_owned()
}

/// A function in a comparison.
#[derive(Debug)]
struct Row {
    self_: Change,
    total: Change,
    name: String,
}

/// A change as it is printed.
#[derive(Debug)]
struct Change {
    delta: f64,
    verdict: String,
}

impl Change {
    /// From before, after, delta, interval and verdict.
    fn parse(columns: &[&str]) -> Self {
        let delta = if columns[2] == "-" { 0.0 } else { columns[2].parse().unwrap() };
        Change { delta, verdict: columns[4].to_owned() }
    }

    fn is_change(&self) -> bool {
        !matches!(self.verdict.as_str(), "-" | "no evidence")
    }
}

/// The table of `report --diff`.
fn rows(shown: &str) -> Vec<Row> {
    let lines = shown.lines().skip_while(|line| !line.starts_with("FUNCTIONS")).skip(2);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            // Columns are two spaces or more apart.
            let columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
            let columns: Vec<&str> = columns.collect();
            Row {
                self_: Change::parse(&columns[..5]),
                total: Change::parse(&columns[5..10]),
                name: columns[10].to_owned(),
            }
        })
        .collect()
}

#[track_caller]
fn row<'r>(rows: &'r [Row], name: &str) -> &'r Row {
    rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name} in {rows:#?}"))
}
