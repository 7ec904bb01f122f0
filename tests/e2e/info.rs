//! What `report --info` says of recordings.

use std::process::Command;

use rz_tests::{Output, Target, Trace, conv, program_path, report, temp_dir, text};

#[track_caller]
fn info(path: &str, args: &[&str]) -> Output {
    report(&[&[path, "--info"], args].concat()).success()
}

/// The value of a line in the section of a process.
#[track_caller]
fn value<'o>(section: &'o str, key: &str) -> &'o str {
    let line = section.lines().find_map(|line| {
        let rest = line.strip_prefix("  ")?.strip_prefix(key)?;
        rest.starts_with(' ').then_some(rest.trim())
    });
    line.unwrap_or_else(|| panic!("no {key} in\n{section}"))
}

/// Sections of processes by number.
fn sections(output: &Output) -> Vec<(u32, &str)> {
    let sections = output.stdout.split("\nPROCESS ").skip(1);
    let section = |text: &'_ str| text.split(' ').next().unwrap().parse().unwrap();
    sections.map(|text| (section(text), text)).collect()
}

#[test]
fn a_process_is_described() {
    let dir = temp_dir();
    let program = program_path("threads");
    let mut command = Command::new(&program);
    command.current_dir(dir.path()).env("RZ_SHOWN", "hidden-value");
    let target = Target::spawn(&mut command);
    let trace = Trace::of(target.pid(), "0.5", &["-q"]);
    let output = info(text(&trace.path()), &[]);
    let [(pid, section)] = sections(&output)[..] else { panic!("{output}") };
    assert_eq!(pid, target.pid());
    assert!(section.contains(" threads, 100.0% of CPU time\n"), "{output}");
    assert_eq!(value(section, "executable"), text(&program));
    assert_eq!(value(section, "directory"), text(dir.path()));
    assert!(value(section, "parent").starts_with(&std::process::id().to_string()), "{output}");
    assert_eq!(value(section, "lived"), "from before the recording to beyond its end");
    let build_id = value(section, "build-id");
    assert!(build_id.len() == 40 && section.matches(build_id).count() == 2, "{output}");
    assert!(section.contains("  /usr/lib/x86_64-linux-gnu/libc.so.6\n"), "{output}");
    let threads = value(section, "threads");
    assert!(threads.starts_with("65: ") && threads.contains("16 × parse-*"), "{output}");
    assert!(section.contains("\n                 0  /dev/null\n"), "{output}");
    assert!(value(section, "limits").contains("stack size 8.0 MiB"), "{output}");
    assert!(section.contains("RZ_SHOWN") && !output.stdout.contains("hidden-value"), "{output}");
    // The lists that are ours to lay out fit a terminal.
    let lists = section.lines().skip_while(|line| !line.starts_with("  limits"));
    assert!(lists.into_iter().all(|line| line.chars().count() <= 80), "{output}");

    for part in ["\nRECORDING\n", "\nCOST ", "\nFILE ", " of\n", " samples\n", " records\n"] {
        assert!(output.stdout.contains(part), "no {part:?} in {output}");
    }
    let pid = target.pid_text();
    let command = format!("rec -F 997 -o {} -p {pid} -d 0.5 -q", trace.path().display());
    assert!(value(&output.stdout, "command").ends_with(&command[3..]), "{output}");

    let asked = Trace::of(target.pid(), "0.2", &["-q", "--env"]);
    let output = info(text(&asked.path()), &["--limit", "100"]);
    assert!(output.stdout.contains("  RZ_SHOWN=hidden-value\n"), "{output}");
}

/// Of many processes the busiest are shown, or those that are asked for.
#[test]
fn processes_are_chosen() {
    let busy = Target::start("split", &[]);
    let _busy_too = Target::start("split", &[]);
    let idle = Target::spawn(Command::new("/bin/sh").args(["-c", "echo ready; exec sleep 1000"]));
    let trace = Trace::record(&["-q", "-a", "-d", "1"]);
    let path = trace.path();
    let path = text(&path);
    let output = info(path, &["--limit", "2"]);
    let shares: Vec<f64> = sections(&output)
        .iter()
        .map(|(_, section)| {
            let title = section.lines().next().unwrap();
            let share = title.strip_suffix("% of CPU time").unwrap().rsplit(' ').next().unwrap();
            share.parse().unwrap()
        })
        .collect();
    assert!(shares.len() == 2 && shares[0] >= shares[1] && shares[1] > 0.0, "{output}");
    let rest = output.stdout.lines().last().unwrap();
    assert!(rest.starts_with("and ") && rest.contains(" other processes with "), "{output}");
    for (asked, pid) in [("split", busy.pid()), (idle.pid_text().as_str(), idle.pid())] {
        let output = info(path, &["--process", asked]);
        assert!(sections(&output).iter().any(|(shown, _)| *shown == pid), "{output}");
        assert!(!output.stdout.contains(" other processes"), "{output}");
    }
    let nobody = info(path, &["--process", "nobody"]);
    assert!(nobody.stdout.ends_with("\nno process: the filter leaves none\n"), "{nobody}");
}

/// Of merged traces, each process is that of its recording.
#[test]
fn merged_traces_keep_their_facts() {
    let dir = temp_dir();
    let program = program_path("split");
    let traces = ["1", "2"].map(|seconds| {
        Trace::record(&["-q", "--args", "--", text(&program), &format!("0.{seconds}")])
    });
    let merged = dir.path().join("merged.rz");
    let paths = traces.each_ref().map(Trace::path);
    let [first, second] = paths.each_ref().map(|path| text(path));
    let labels = ["--label", "one", "--label", "two"];
    conv(&[&[first, second, "--to", "rz", "-o", text(&merged)], &labels[..]].concat()).success();
    let output = info(text(&merged), &[]);
    let sections = sections(&output);
    assert_eq!(sections.len(), 2, "{output}");
    for (label, seconds) in [("one", "0.1"), ("two", "0.2")] {
        let section = sections.iter().find(|(_, text)| text.contains(&format!(" in {label}")));
        let (_, section) = section.unwrap_or_else(|| panic!("{output}"));
        assert_eq!(value(section, "command"), format!("{} {seconds}", program.display()));
        assert!(output.stdout.contains(&format!("\nRECORDING  {label}\n")), "{output}");
    }
}
