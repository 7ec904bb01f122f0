//! JavaScript that a bundler has made, shown as it was written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{Output, Trace, report, run, temp_dir, text, tool};

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
const end = performance.now() + 1500;
let total = 0;
while (performance.now() < end) for (const step of steps) total += step(100000);
console.log(total > 0);
";

/// Writes the sources, and bundles and minifies them into `dist/app.js`.
fn bundle(root: &Path, map: &str) -> PathBuf {
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
    let node = tool("node");
    let frames = "--interpreted-frames-native-stack";
    // Maps of generated code are left where node runs.
    Trace::record(&["-q", "--", text(&node), how, frames, "--logfile=-", text(app)])
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

    // Somewhere else, with the map in another folder.
    let maps = root.join("maps");
    fs::create_dir(&maps).unwrap();
    fs::rename(root.join("dist/app.js.map"), maps.join("app.js.map")).unwrap();
    let without = trace.folded(&[]);
    assert_eq!(without.count("hotLoop"), 0, "{}", without.head(20));
    check_shares(&trace, &["--source-map", text(&maps)]);

    // A map that makes no sense changes nothing, and is said.
    fs::write(maps.join("app.js.map"), "{\"version\":3,\"mappings\":\"!\"}").unwrap();
    let output = shown(&trace, &["--source-map", text(&maps)]);
    assert_eq!(output.stderr.matches("app.js.map: ").count(), 1, "{output}");
    assert!(!output.stdout.contains("hotLoop"), "{output}");
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
}
