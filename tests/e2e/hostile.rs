//! Names that others chose, in a trace, an input or a command line, get neither to a
//! terminal as they are nor alive into a format.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use rz_tests::{
    Output, conv, quoted, rec, report, run_in_terminal, temp_dir, text, workspace_root,
};

mod strings;
mod trace;

/// Strings that are tried at once in each text of a trace.
const AT_ONCE: usize = 10;

/// Views, as text and as documents.
const VIEWS: &[&[&str]] = &[
    &[],
    &["--tree", "--min-percent", "0"],
    &["--inverted", "--min-percent", "0"],
    &["--info", "--verbose"],
    &["--off-cpu"],
    &["--wall"],
    &["--syscalls", "--threads"],
    &["--syscalls", "--list", "--tail", "9"],
    &["--heap"],
    &["--heap", "--sites"],
    &["--heap", "--leaks"],
    &["--asm", "a"],
    &["--source", "a"],
];

/// Whether a character may not be written: of control, without looks, of direction, or
/// an end of a line that is none. This is what Unicode says, by way of another crate.
fn is_raw(c: char) -> bool {
    static RAW: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\u2028\u2029]$")
            .unwrap()
    });
    c != '\n' && RAW.is_match(c.encode_utf8(&mut [0; 4]))
}

#[track_caller]
fn assert_clean(what: &dyn std::fmt::Display, text: &str) {
    if let Some(at) = text.find(is_raw) {
        let near: String = text[..at].chars().rev().take(60).collect();
        let near: String = near.chars().rev().chain(text[at..].chars().take(20)).collect();
        panic!("{what}: {near:?}");
    }
}

/// What a command said, if nothing of it is raw, and it did not panic.
#[track_caller]
fn clean(output: Output) -> Output {
    assert!(matches!(output.status.code(), Some(0..=4 | 126 | 127)), "{output}");
    assert_clean(&output.command, &output.stdout);
    assert_clean(&output.command, &output.stderr);
    output
}

/// The parts of a line of Markdown that are no code; escaped characters are left out.
fn text_of(line: &str) -> String {
    let (mut out, mut in_code) = (String::new(), false);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '`' => in_code = !in_code,
            _ if in_code => {}
            '\\' => drop(rest.next()),
            c => out.push(c),
        }
    }
    assert!(!in_code, "{line}");
    out
}

/// Fails if there is a mention, a link, a tag or a formula, or a row with more cells than
/// its table has columns.
#[track_caller]
fn assert_dead(markdown: &str) {
    const OWN: [&str; 4] = ["<details>", "</details>", "<summary>", "</summary>"];
    let mut columns = None;
    for line in markdown.lines() {
        let text = text_of(line.trim_start_matches('#'));
        let text = OWN.iter().fold(text, |text, own| text.replace(own, "")).to_lowercase();
        for live in ["@", "#", "$", "<", "[", "]", "~~", "://", "www.", "gh-", ":bug:"] {
            assert!(!text.contains(live), "{live} is live in\n{line}");
        }
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let cells = line.replace("\\|", "").matches('|').count();
        assert_eq!(*columns.get_or_insert(cells), cells, "{line}");
    }
}

/// Fails if a tag of a name is one of the document's.
#[track_caller]
fn assert_no_tags(document: &str) {
    for tag in ["<script>alert", "<img src=x", "<b>a", "<![cdata[a"] {
        assert!(!document.to_lowercase().contains(tag), "{tag}");
    }
}

/// Runs `report`, which writes all that these arguments allow at once.
fn show(dir: &Path, arguments: &[&str], pages: &[&str]) {
    let file = |option: &str| dir.join(option.trim_start_matches('-'));
    let mut all = [arguments, &["-o", "-"]].concat();
    let files: Vec<_> = pages.iter().map(|option| (*option, file(option))).collect();
    files.iter().for_each(|(option, file)| all.extend([*option, text(file)]));
    let shown = clean(report(&all));
    if !shown.status.success() {
        let errors = shown.stderr.lines().filter(|line| !line.contains(": note: ")).count();
        assert_eq!(errors, 1, "{shown}");
        return;
    }
    for (option, file) in &files {
        let written = fs::read_to_string(file).unwrap();
        // The script of the page has tabs of its own.
        let page = if *option == "--html" { written.replace('\t', "") } else { written };
        assert_clean(&format!("{} {option}", shown.command), &page);
        match *option {
            "--json" => drop(serde_json::from_str::<serde_json::Value>(&page).unwrap()),
            "--markdown" => assert_dead(&page),
            _ => assert_no_tags(&page),
        }
    }
}

/// Looks at a trace in every way.
fn look_at(dir: &Path, trace: &str) {
    for view in VIEWS {
        show(dir, &[&[trace], *view].concat(), &["--json", "--markdown"]);
    }
    show(dir, &[trace], &["--svg", "--html"]);
    show(dir, &["--diff", trace, trace], &["--json", "--markdown", "--svg", "--html"]);
    for format in ["folded", "speedscope", "dot", "lcov"] {
        clean(conv(&[trace, "--to", format, "--threads", "-o", "-"]).success());
    }
    // Refuses what is no time.
    clean(conv(&[trace, "--to", "chrome", "-o", "-"]));
    let copy = dir.join("copy");
    for arguments in [
        &["--to", "pprof"][..],
        &["--to", "firefox"],
        &["--to", "perfetto"],
        &["--to", "otlp"],
        &["--to", "rz", "--keep-going", "--embed"],
    ] {
        clean(conv(&[&[trace, "-o", text(&copy)], arguments].concat()).success());
    }
    clean(conv(&["--verify", trace]));
    clean(conv(&["--verify", "--json", trace]));
}

#[test]
fn names_in_traces() {
    let dir = temp_dir();
    let path = dir.path().join("hostile.rz");
    for some in strings::all().chunks(AT_ONCE) {
        fs::write(&path, trace::with(some)).unwrap();
        look_at(dir.path(), text(&path));
    }
}

#[test]
fn names_in_traces_on_a_terminal() {
    let colors = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    let dir = temp_dir();
    let path = dir.path().join("hostile.rz");
    fs::write(&path, trace::with(&strings::all())).unwrap();
    let program = rz_tests::binary("report");
    for view in VIEWS {
        let words = [&[text(&program), text(&path)], *view].concat();
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        let shown = run_in_terminal(&words.join(" "));
        let plain = shown.stdout.replace("\r\n", "\n");
        assert!(plain.contains('?'), "{shown}");
        assert_clean(&shown.command, &colors.replace_all(&plain, ""));
    }
}

#[test]
fn names_in_inputs_of_others() {
    let dir = temp_dir();
    let [input, made, profile] = ["in.folded", "made.rz", "p.pb"].map(|name| dir.path().join(name));
    let lines: Vec<String> =
        strings::all().iter().map(|name| format!("main {name};{name} x 7\n")).collect();
    fs::write(&input, lines.concat()).unwrap();
    clean(conv(&[text(&input), "--to", "rz", "-o", text(&made)]).success());
    look_at(dir.path(), text(&made));
    clean(conv(&[text(&made), "--to", "pprof", "-o", text(&profile)]).success());
    let again = dir.path().join("again.rz");
    clean(conv(&[text(&profile), "--to", "rz", "-o", text(&again)]).success());
    look_at(dir.path(), text(&again));
}

#[test]
fn names_of_files() {
    let vector =
        workspace_root().join(format!("format-spec/vectors/v1.{}/small.rz", rz_format::MINOR));
    // Names of files have at most 255 bytes.
    for some in strings::all().chunks(AT_ONCE / 2) {
        let name = some.join(" ").replace('/', "");
        let dir = temp_dir();
        let path = dir.path().join(format!("{name}.rz"));
        fs::copy(&vector, &path).unwrap();
        let (trace, out) = (text(&path), dir.path().join(format!("{name}.folded")));
        show(dir.path(), &[trace], &["--json", "--markdown", "--svg", "--html"]);
        show(dir.path(), &["--diff", trace, trace], &["--json", "--markdown"]);
        clean(conv(&[trace, "-o", text(&out)]).success());
        clean(conv(&[trace, trace, "--to", "rz", "-o", text(&out), "--keep-going"]));
        clean(conv(&["--verify", trace]));
        fs::write(&path, "no trace").unwrap();
        clean(report(&[trace]).code(1));
        clean(conv(&[trace, "--to", "folded", "-o", "-"]).code(1));
        clean(conv(&["--verify", trace]).code(4));
    }
}

#[test]
fn words_of_command_lines() {
    let vector =
        workspace_root().join(format!("format-spec/vectors/v1.{}/small.rz", rz_format::MINOR));
    let dir = temp_dir();
    let trace = text(&vector);
    let out = dir.path().join("out.rz");
    for some in strings::all().chunks(AT_ONCE) {
        let word = &*some.join(" ");
        let under = dir.path().join("none").join(word.replace('/', ""));
        let (option, under) = (format!("--{word}"), text(&under));
        for arguments in [
            &[word][..],
            &[trace, &option],
            &[trace, word],
            &[trace, "--event", word],
            &[trace, "--focus", word],
            &[trace, "--thread", word],
            &[trace, "--from", word],
            &[trace, "--fail-if", word],
            &[trace, "--source", word],
            &[trace, "--suppressions", word],
            &[trace, "-o", under],
            &[trace, "--markdown", under],
            &["--diff", trace, word],
            &["--diff", trace, trace, "--per", word],
        ] {
            clean(report(arguments));
        }
        for arguments in [
            &[word, "--to", "folded", "-o", "-"][..],
            &[trace, &option],
            &[trace, "--to", word, "-o", "-"],
            &[trace, "--to", "folded", "-o", "-", "--event", word],
            &[trace, "--to", "folded", "-o", under],
            &[trace, trace, "--to", "rz", "-o", under, "--label", word],
            &["--verify", word],
        ] {
            clean(conv(arguments));
        }
        for arguments in [
            &[option.as_str()][..],
            &["-p", word],
            &["-d", word, "-p", "1"],
            &["--tier", word, "-p", "1"],
            &["-p", "1", "-o", under],
            &["--check", "--btf", word, "-p", word],
        ] {
            clean(rec(arguments));
        }
        let launch = ["--tier", "perf", "-o", text(&out), "--force", "--", under];
        clean(rec(&launch).code(127));
    }
}
