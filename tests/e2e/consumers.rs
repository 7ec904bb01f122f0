//! Exports are opened by the programs that they are made for.
//!
//! `tests/setup.sh` installs those programs; a test without its program fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_convert::export::{ExportOptions, Format, export};
use rz_profile::model::Profile;
use rz_tests::text;
use tempfile::TempDir;

mod fixture;
mod heap;
mod viewers;

use fixture::{DOT, MAP, MUL, SAMPLES};

#[test]
fn go_pprof_adds_up_time_and_samples() {
    let trace = exported(Format::Pprof);
    let time = pprof(&trace, &["-top"]);
    let total = format!("Duration: 2s, Total samples = {SAMPLES}ms");
    for header in ["File: matrix", "Build ID: beef", "Type: cpu", &total, "host: build-7"] {
        assert!(time.contains(header), "no {header:?} in:\n{time}");
    }
    // Flat, cumulative, name.
    let rows = [
        ("21", "21", &format!("{DOT} (inline)") as &str),
        ("10", "31", MUL),
        ("8", "8", MAP),
        ("5", "5", "ksys_read"),
        ("4", "4", "jit:a;b"),
        ("3", "8", "read"),
        ("2", "2", "[libz.so.1+0x1234]"),
        ("0", "3", "[truncated]"),
        ("0", "36", "main"),
        ("0", "15", "start_thread"),
    ];
    let expected = rows.map(|(flat, total, name)| format!("{flat} {total} {name}"));
    assert_eq!(top_rows(&time), expected, "{time}");
    let samples = pprof(&trace, &["-top", "-sample_index=samples"]);
    assert_eq!(top_rows(&samples), expected, "{samples}");
}

#[test]
fn go_pprof_selects_threads() {
    let trace = exported(Format::Pprof);
    for filter in ["-tagfocus=tid=4243", "-tagfocus=thread=loader"] {
        let top = pprof(&trace, &["-top", filter]);
        assert!(top_rows(&top).contains(&"0 15 start_thread".to_owned()), "{filter}:\n{top}");
    }
}

#[test]
fn go_pprof_finds_lines_in_the_source() {
    let listing = pprof(&exported(Format::Pprof), &["-list", "Mul>::mul"]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let words: Vec<String> = words.collect();
    for expected in [
        "10ms 31ms (flat, cum) 58.49% of Total",
        "10ms 10ms 8: for row in 0..self.rows {",
        ". 21ms 10: *product.at(row, column) = dot(self.row(row), other.column(column));",
    ] {
        assert!(words.iter().any(|line| line == expected), "no {expected:?} in:\n{listing}");
    }
}

#[test]
fn go_pprof_reads_every_table() {
    let raw = pprof(&exported(Format::Pprof), &["-raw"]);
    let source = fixture::source_file();
    for expected in [
        "PeriodType: cpu nanoseconds",
        "Period: 1000000\n",
        "samples/count cpu/nanoseconds[dflt]\n",
        "20   20000000: 3 1 \n",
        "pid:[4242 id] tid:[4243 id]",
        &format!("3: 0x1210 M=1 {DOT} {source}:18:0 s=0(_RNvCs_6matrix3dot)\n"),
        &format!("{MUL} {source}:10:0 s=0(_RNvXs_6matrix"),
        "5: 0xffffffff81234560 M=2 ksys_read :0:0",
        "10: 0x0 [truncated] :0:0",
        "1: 0x0/0x0/0x0 /opt/matrix/bin/matrix beef [FN][FL][LN][IN]\n",
        "2: 0x0/0x0/0x0 [kernel]  [FN]\n",
        "4: 0x0/0x0/0x0 /opt/matrix/lib/libz.so.1 d0 \n",
    ] {
        assert!(raw.contains(expected), "no {expected:?} in:\n{raw}");
    }
}

#[test]
fn speedscope_shows_every_thread_and_function() {
    let trace = exported(Format::Speedscope);
    let page = speedscope_page(&trace);
    let texts = texts_of(&page);
    let after = |title: &str, count: usize| {
        let start = texts.iter().position(|&text| text == title);
        let start = start.unwrap_or_else(|| panic!("no {title:?} in {texts:#?}")) + 1;
        texts[start..(start + count).min(texts.len())].to_vec()
    };
    assert!(texts.contains(&"matrix on build-7 - speedscope"), "{texts:#?}");
    assert_eq!(
        after("Total Weight", 9),
        [
            ["1", "all threads", "53.00ms"],
            ["2", "matrix (4242/4242)", "38.00ms"],
            ["3", "loader (4242/4243)", "15.00ms"],
        ]
        .concat()
    );
    // The sandwich view of all threads: total, self, function.
    let (map, mul) = (escaped(MAP), escaped(MUL));
    assert_eq!(
        after("Symbol Name", 30),
        [
            ["21.00ms (40%)", "21.00ms (40%)", DOT],
            ["31.00ms (58%)", "10.00ms (19%)", &mul],
            ["8.00ms (15%)", "8.00ms (15%)", &map],
            ["5.00ms (9.4%)", "5.00ms (9.4%)", "ksys_read"],
            ["4.00ms (7.5%)", "4.00ms (7.5%)", "jit:a;b"],
            ["8.00ms (15%)", "3.00ms (5.7%)", "read"],
            ["2.00ms (3.8%)", "2.00ms (3.8%)", "[libz.so.1+0x1234]"],
            ["15.00ms (28%)", "0.00ns (&lt;0.01%)", "start_thread"],
            ["3.00ms (5.7%)", "0.00ns (&lt;0.01%)", "[truncated]"],
            ["36.00ms (68%)", "0.00ns (&lt;0.01%)", "main"],
        ]
        .concat()
    );
}

#[test]
fn inferno_draws_every_frame() {
    let trace = exported(Format::Folded);
    let folded = fs::read_to_string(&trace.path).unwrap();
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    let titles = svg.split("<title>").skip(1).filter_map(|rest| rest.split("</title>").next());
    let titles: Vec<&str> = titles.collect();
    // The marks are known to inferno: it shows names without them.
    for (frame, samples) in [
        ("all", SAMPLES),
        ("matrix-4242/4242", 38),
        ("loader-4242/4243", 15),
        (MUL, 30),
        (DOT, 20),
        (MAP, 8),
        ("ksys_read", 5),
        ("jit:a:b", 4),
        ("[truncated]", 3),
        ("[libz.so.1+0x1234]", 2),
    ] {
        let title = format!("{} ({samples} samples, ", escaped(frame));
        let drawn = titles.iter().any(|drawn| drawn.starts_with(&title));
        assert!(drawn, "no {title:?} in {titles:#?}");
    }
}

/// A recording takes the same way as the profile that was made up.
#[test]
fn a_recording_reaches_every_consumer() {
    let directory = rz_tests::temp_dir();
    let trace = directory.path().join("trace.rz");
    let command = rz_tests::program("cppdemo");
    rz_tests::rec(&["-q", "-F", "499", "-o", text(&trace), "--", &command[0], "1.5"]).success();
    let converted = |name: &str| {
        let directory = rz_tests::temp_dir();
        let path = directory.path().join(name);
        rz_tests::conv(&["-q", text(&trace), "-o", text(&path)]).success();
        Exported { path, directory }
    };

    let profile = converted("t.pb.gz");
    let top = pprof(&profile, &["-top", "-cum"]);
    for expected in ["File: cppdemo", "Type: cpu", "shapes::run", "shapes::Circle::area"] {
        assert!(top.contains(expected), "no {expected:?} in:\n{top}");
    }
    // Its lines have the time that was spent in what they call: flat,
    // cumulative, number, text.
    let list = pprof(&profile, &["-list", "shapes::Circle::area"]);
    let lines = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut work = lines.filter(|words| words.last() == Some(&"work(1);"));
    assert!(work.any(|words| words[1].ends_with('s')), "{list}");

    let page = speedscope_page(&converted("t.speedscope.json"));
    for expected in ["all threads", "cppdemo (", ">work<", ">operator()<"] {
        assert!(page.contains(expected), "no {expected:?} in the page of speedscope");
    }
}

/// An export in a directory of its own, where consumers may leave files too.
struct Exported {
    path: PathBuf,
    directory: TempDir,
}

/// The fixture's profile as `format`.
fn exported(format: Format) -> Exported {
    let options = ExportOptions { threads: true, ..ExportOptions::default() };
    exported_profile(&fixture::profile(), format, &options)
}

/// A profile as `format`.
fn exported_profile(profile: &Profile, format: Format, options: &ExportOptions) -> Exported {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("trace.{}", format.extension()));
    let mut file = fs::File::create(&path).unwrap();
    export(profile, format, options, &mut file).unwrap();
    Exported { path, directory }
}

/// What `tests/setup.sh` installed at this place below the tools' directory.
fn tool(path: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let tool = tools.join(path);
    assert!(tool.exists(), "{} is missing: run tests/setup.sh", tool.display());
    tool.canonicalize().unwrap()
}

/// What a command prints; it must succeed.
fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} ({error}): run tests/setup.sh");
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What `go tool pprof` says about an export, without network or symbol files.
fn pprof(trace: &Exported, args: &[&str]) -> String {
    let directory = trace.directory.path();
    output_of(
        Command::new(tool("venv/bin/go"))
            .args(["tool", "pprof"])
            .args(args)
            .arg(&trace.path)
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off")])
            .env("PPROF_TMPDIR", directory)
            .current_dir(directory),
    )
}

/// The rows of `-top` as "flat cumulative name", without units.
fn top_rows(top: &str) -> Vec<String> {
    let rows = top.lines().skip_while(|line| !line.trim_start().starts_with("flat ")).skip(1);
    rows.map(|row| {
        let mut words = row.split_whitespace();
        let mut number = || words.next().unwrap_or("?").trim_end_matches(['m', 's', 'B']);
        let (flat, _, _, total, _) = (number(), number(), number(), number(), number());
        let name: Vec<&str> = words.collect();
        format!("{flat} {total} {}", name.join(" "))
    })
    .collect()
}

/// The page that speedscope makes of an export, in its sandwich view.
///
/// The file is handed over as speedscope's own command line does it: a script
/// that calls `loadFileFromBase64`, named in the page's address.
fn speedscope_page(trace: &Exported) -> String {
    let index = tool("node_modules/speedscope/dist/release/index.html");
    let directory = trace.directory.path();
    let script = directory.join("load.js");
    let content = base64(&fs::read(&trace.path).unwrap());
    fs::write(&script, format!("speedscope.loadFileFromBase64('trace', '{content}')")).unwrap();
    output_of(
        rz_tests::browser(directory)
            // Time runs ahead until the page is idle: no sleep, no race.
            .args(["--virtual-time-budget=20000", "--dump-dom"])
            .arg(format!(
                "file://{}#localProfilePath={}&view=sandwich",
                index.display(),
                script.display()
            )),
    )
}

/// What a page shows, between its tags.
fn texts_of(page: &str) -> Vec<&str> {
    let texts = page.split(['<', '>']).skip(2).step_by(2).map(str::trim);
    texts.filter(|text| !text.is_empty()).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for digit in 0..4 {
            let value = group >> (18 - 6 * digit) & 63;
            text.push(if digit <= chunk.len() { DIGITS[value as usize].into() } else { '=' });
        }
    }
    text
}

/// Text as it stands in HTML and SVG.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
