//! JavaScript that a bundler has made, shown as it was written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{Folded, Output, Trace, conv, report, run, temp_dir, text, tool};

/// 70 % in one function and 30 % in another, with types.
const MATH: &str = "\
export interface Step {
  (rounds: number): number;
}

export function hotLoop(rounds: number): number {
  let total = 0;
  for (let i = 0; i < rounds * 7; i++) {
    total = (total + i * i) % 1000003;
  }
  return total;
}

export const coldLoop: Step = (rounds) => {
  let total = 0;
  for (let i = 0; i < rounds * 3; i++) {
    total = (total + i * i) % 1000003;
  }
  return total;
};
";

const MAIN: &str = "\
import { coldLoop, hotLoop } from \"./math\";

const steps = [hotLoop, coldLoop];
// On a busy machine it takes as long as it takes.
const spent = () => process.cpuUsage().user / 1000;
const end = spent() + 1500;
let total = 0;
while (spent() < end) for (const step of steps) total += step(100000);
console.log(total > 0);
";

/// Writes the sources, and bundles and minifies them into `dist/app.js`.
pub fn bundle(root: &Path, map: &str) -> PathBuf {
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join("src/math.ts"), MATH).unwrap();
    fs::write(root.join("src/main.ts"), MAIN).unwrap();
    let app = root.join("dist/app.js");
    let mut esbuild = Command::new(tool("node_modules/esbuild/bin/esbuild"));
    esbuild.args(["src/main.ts", "--bundle", "--minify", "--platform=node", map]);
    run(esbuild.args(["--outfile=dist/app.js", "--log-level=warning"]).current_dir(root)).success();
    assert!(!fs::read_to_string(&app).unwrap().contains("function hotLoop"));
    app
}

fn record(app: &Path, how: &str) -> Trace {
    record_with(app, &[how, "--interpreted-frames-native-stack"])
}

/// The same, with all that node is told.
pub fn record_with(app: &Path, options: &[&str]) -> Trace {
    let (env, node) = (tool("env"), tool("node"));
    // Logs and dumps are left where node runs.
    let there = app.parent().expect("it is in a folder");
    let node = [&["-C", text(there), text(&node)], options, &[text(app)]].concat();
    let trace = Trace::record(&[&["-q", "--", text(&env)], &node[..]].concat());
    for pid in trace.contents().sampled_pids() {
        // With jitdumps there is none.
        let _ = fs::remove_file(format!("/tmp/perf-{pid}.map"));
    }
    trace
}

#[track_caller]
fn shown(trace: &Trace, args: &[&str]) -> Output {
    report(&[&[text(&trace.path())], args].concat()).success()
}

/// Panics unless the functions have their shares under their own names.
#[track_caller]
fn check_shares(trace: &Trace, args: &[&str]) {
    let folded = trace.folded(args);
    let (hot, cold) = (folded.share(";hotLoop"), folded.share(";coldLoop"));
    assert!(hot > 0.4 && cold > 0.15 && hot > 1.5 * cold, "{}", folded.head(20));
}

#[test]
fn bundles_have_the_names_of_their_sources() {
    let dir = temp_dir();
    let root = dir.path();
    let app = bundle(root, "--sourcemap");
    let trace = record(&app, "--perf-basic-prof");
    check_shares(&trace, &[]);
    let math = root.join("src/math.ts");
    let output = shown(&trace, &["--source", "hotLoop"]);
    assert!(output.stdout.contains(&format!("  {}\n", math.display())), "{output}");
    assert!(output.stdout.contains("  export function hotLoop(rounds: number)"), "{output}");
    let json = trace.conv(&["--to", "speedscope", "-o", "-"]).success().stdout;
    assert!(json.contains("hotLoop") && json.contains(text(&math)), "{json}");

    // In a trace with all names, for those who have neither the map nor the
    // sources.
    let full = root.join("full.rz");
    trace.conv(&["--to", "rz", "--embed", "-o", text(&full)]).success();

    // Somewhere else, with the map in another folder.
    let maps = root.join("maps");
    fs::create_dir(&maps).unwrap();
    fs::rename(root.join("dist/app.js.map"), maps.join("app.js.map")).unwrap();
    let without = trace.folded(&[]);
    assert_eq!(without.count("hotLoop"), 0, "{}", without.head(20));
    check_shares(&trace, &["--source-map", text(&maps)]);
    let elsewhere = conv(&[text(&full), "--to", "folded", "-o", "-"]).success();
    let elsewhere = Folded::parse(&elsewhere.stdout);
    assert_eq!(elsewhere.stacks, trace.folded(&["--source-map", text(&maps)]).stacks);
    let by_option = root.join("by-option.rz");
    let args = ["--to", "rz", "--embed", "--source-map", text(&maps), "-o", text(&by_option)];
    trace.conv(&args).success();
    assert_eq!(fs::read(&by_option).unwrap(), fs::read(&full).unwrap());

    // A map that makes no sense changes nothing, and is said.
    fs::write(maps.join("app.js.map"), "{\"version\":3,\"mappings\":\"!\"}").unwrap();
    let output = shown(&trace, &["--source-map", text(&maps)]);
    assert_eq!(output.stderr.matches("app.js.map: ").count(), 1, "{output}");
    assert!(!output.stdout.contains("hotLoop"), "{output}");
}

/// What V8 itself says of functions is of the bundle as well.
#[test]
fn bundles_that_publish_nothing_have_the_names_of_their_sources() {
    let dir = temp_dir();
    let root = dir.path();
    let app = bundle(root, "--sourcemap");
    let trace = record_with(&app, &[]);
    check_shares(&trace, &[]);
    let output = shown(&trace, &["--source", "hotLoop"]);
    assert!(
        output.stdout.contains(&format!("  {}\n", text(&root.join("src/math.ts")))),
        "{output}"
    );
    assert!(output.stdout.contains("  export function hotLoop(rounds: number)"), "{output}");

    let full = root.join("full.rz");
    trace.conv(&["--to", "rz", "--embed", "-o", text(&full)]).success();
    let with_map = trace.folded(&[]);
    fs::remove_dir_all(root.join("dist")).unwrap();
    fs::remove_dir_all(root.join("src")).unwrap();
    assert_eq!(trace.folded(&[]).count("hotLoop"), 0);
    let elsewhere = conv(&[text(&full), "--to", "folded", "-o", "-"]).success();
    assert_eq!(Folded::parse(&elsewhere.stdout).stacks, with_map.stacks);
}

/// A jitdump tells the line of each instruction, and the map may be inside the
/// file.
#[test]
fn lines_of_bundles_are_those_of_their_sources() {
    let dir = temp_dir();
    let app = bundle(dir.path(), "--sourcemap=inline");
    let trace = record(&app, "--perf-prof");
    check_shares(&trace, &[]);
    let output = shown(&trace, &["--source", "hotLoop"]);
    let is_hot = |line: &&str| line.ends_with("  total = (total + i * i) % 1000003;");
    let line = output.stdout.lines().find(is_hot).unwrap_or_else(|| panic!("{output}"));
    let share: f64 = line[..6].trim().trim_end_matches('%').parse().unwrap();
    assert!(share > 30.0, "{output}");
    fs::remove_dir_all(dir.path().join("src")).unwrap();
    let carried = shown(&trace, &["--source", "hotLoop"]);
    assert!(
        carried.stdout.contains(&format!("  from the map in {}\n", app.display())),
        "{carried}"
    );
    assert!(carried.stdout.contains(line), "{carried}");
}

/// Maps carry the sources, which are usually not where reports are made.
#[test]
fn sources_that_are_gone_come_out_of_maps() {
    let dir = temp_dir();
    let root = dir.path();
    let app = bundle(root, "--sourcemap");
    let trace = record(&app, "--perf-basic-prof");
    let math = root.join("src/math.ts");
    let here = shown(&trace, &["--source", "hotLoop"]);
    fs::remove_dir_all(root.join("src")).unwrap();

    // The same lines, from somewhere else.
    let map = root.join("dist/app.js.map");
    let lines = |output: &Output| {
        let lines = output.stdout.lines().skip_while(|line| !line.ends_with("  source"));
        // Samples from before the process was seen to publish code are a part of their own.
        let lines = lines.take_while(|line| !line.starts_with("SOURCE"));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        assert!(lines.iter().any(|line| line.ends_with("  let total = 0;")), "{output}");
        lines
    };
    let check = |args: &[&str], from: &Path| {
        let output = shown(&trace, &[&["--source", "hotLoop"], args].concat());
        assert_eq!(lines(&output), lines(&here), "{output}");
        assert!(output.stdout.contains(&format!("  {}\n", math.display())), "{output}");
        assert!(output.stdout.contains(&format!("  from {}\n", from.display())), "{output}");
        output
    };
    check(&[], &map);
    let full = root.join("full.rz");
    trace.conv(&["--to", "rz", "--embed", "-o", text(&full)]).success();
    let maps = root.join("maps");
    fs::create_dir(&maps).unwrap();
    let moved = maps.join("app.js.map");
    fs::rename(&map, &moved).unwrap();
    check(&["--source-map", text(&maps)], &moved);

    // A trace for others has names, but not the text of sources.
    let full = [text(&full), "--source", "hotLoop"];
    let output = report(&full).success();
    let cause = format!("see --source-dir; no source map of {} is here\n", app.display());
    assert!(output.stdout.contains(&cause), "{output}");
    let output = report(&[&full[..], &["--source-map", text(&maps)]].concat()).success();
    assert_eq!(lines(&output), lines(&here), "{output}");

    // What has been written since is not what ran, unless the user says so.
    fs::create_dir(root.join("src")).unwrap();
    fs::write(&math, "// new\n").unwrap();
    let output = check(&["--source-map", text(&maps)], &moved);
    let note = format!("  {} is not what was built\n", math.display());
    assert!(output.stdout.contains(&note), "{output}");
    let by_hand = ["--source-map", text(&maps), "--source-dir", text(root)];
    let output = shown(&trace, &[&["--source", "hotLoop"], &by_hand[..]].concat());
    assert!(output.stdout.contains("has another text of it: lines may have moved"), "{output}");
    assert!(!output.stdout.contains("let total"), "{output}");
    fs::remove_file(&math).unwrap();

    // Maps of sections carry texts as well, and some maps do not.
    let whole = fs::read_to_string(&moved).unwrap();
    let offset = r#"{"line":0,"column":0}"#;
    let section = format!(r#"{{"version":3,"sections":[{{"offset":{offset},"map":{whole}}}]}}"#);
    fs::write(&moved, section).unwrap();
    check(&["--source-map", text(&maps)], &moved);
    fs::write(&moved, whole.replace("\"sourcesContent\"", "\"x_content\"")).unwrap();
    let output = shown(&trace, &["--source", "hotLoop", "--source-map", text(&maps)]);
    let cause = format!("see --source-dir; {} does not carry its text\n", moved.display());
    assert!(output.stdout.contains(&cause), "{output}");
}
