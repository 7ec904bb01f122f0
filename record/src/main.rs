//! `rec`: records a live process into a trace.
#![forbid(unsafe_code)]

mod cli;
mod probe_list;
mod said;
mod syscall_list;
mod viewer;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use clap::Parser;
use env_logger::fmt::Formatter;
use rz_record::{Ability, CONFINED, Config, EndReason, Progress, RecordError, Summary};
use rz_text::clean::one_line;
use rz_text::usage::clean_error;

use said::{quoted, say};
use viewer::{Live, Viewer};

/// Takes the progress line away.
const CLEAR_LINE: &str = "\r\x1b[K";

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let parsed = cli::Arguments::try_parse_from(&typed);
    let arguments = parsed.unwrap_or_else(|error| clean_error(error, typed.iter().cloned()).exit());
    if arguments.be_looked_at {
        rz_record::be_looked_at();
        return ExitCode::SUCCESS;
    }
    if arguments.check {
        let pids = arguments.pids();
        return check(arguments.btf, &pids, arguments.json);
    }
    if arguments.probes {
        return probe_list::print(&arguments.pids(), arguments.json);
    }
    let (dump, live, json) = (arguments.dump, arguments.live, arguments.json);
    let (mut config, verbosity) = arguments.into_config(&typed);
    let viewer = dump.then(|| Viewer::start(json)).transpose();
    let view = live.then(|| start_live(&mut config)).transpose();
    let (viewer, mut view) = match (viewer, view) {
        (Ok(viewer), Ok(view)) => (viewer, view),
        (Err(why), _) | (_, Err(why)) => {
            say(format_args!("rec: {}\n", one_line(why)));
            return ExitCode::FAILURE;
        }
    };
    env_logger::Builder::new().filter_level(verbosity.level).format(write_log).init();
    let show_progress = !verbosity.quiet && !live && io::stderr().is_terminal();
    let mut watch = |progress: Progress| {
        if show_progress {
            print_progress(progress);
        }
        if let Some(view) = &mut view {
            view.end_with_it();
        }
    };
    // What is to be said when the terminal is ours again.
    let mut unsaid: Vec<String> = Vec::new();
    let mut notice = |text: &str| match verbosity.quiet {
        true => {}
        false if live => unsaid.push(text.to_owned()),
        false => {
            // In place of the progress line, which comes back.
            let clear = if show_progress { CLEAR_LINE } else { "" };
            say_note(clear, text);
        }
    };
    let result = rz_record::record(&config, &mut watch, &mut notice);
    if show_progress {
        say(format_args!("{CLEAR_LINE}"));
    }
    match (view, &result) {
        (None, _) => {}
        // Whoever looks at it goes on, with all that there is.
        (Some(view), Ok(summary)) if summary.end != EndReason::Interrupted => view.wait(),
        (Some(view), _) => view.stop(),
    }
    unsaid.iter().for_each(|text| say_note("", text));
    match result {
        Ok(_) if let Some(viewer) = viewer => {
            viewer.finish().map_or(ExitCode::FAILURE, exit_code_of)
        }
        Ok(summary) => {
            if !verbosity.quiet {
                print_summary(&summary);
            }
            summary.status.map_or(ExitCode::SUCCESS, exit_code_of)
        }
        Err(error) => {
            if let Some(mut viewer) = viewer {
                viewer.stop();
            }
            say(format_args!("rec: {}\n", one_line(&error)));
            ExitCode::from(match &error {
                RecordError::Launch { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    127
                }
                RecordError::Launch { .. } => 126,
                _ => 1,
            })
        }
    }
}

/// Starts the view of a recording, which gets a name for that.
fn start_live(config: &mut Config) -> Result<Live, String> {
    let output = config.output.take().unwrap_or_else(|| rz_record::default_output(&config.target));
    if ["-", "/dev/stdout"].iter().any(|stdout| output == Path::new(stdout)) {
        return Err("--live shows what goes to a file: without it, pipe the trace on to report: \
                    rec -p PID -o - | report - --tui"
            .to_owned());
    }
    let view = Live::start(&output)?;
    config.output = Some(output);
    Ok(view)
}

fn say_note(before: &str, text: &str) {
    say(format_args!("{before}rec: note: {}\n", one_line(text)));
}

/// Prints what can be recorded; fails if nothing can.
fn check(types: Option<PathBuf>, pids: &[u32], json: bool) -> ExitCode {
    let abilities = match rz_record::check(types, pids) {
        Ok(abilities) => abilities,
        Err(error) => {
            let why = one_line(error);
            say(format_args!("rec: cannot start a process to try things out on: {why}\n"));
            return ExitCode::FAILURE;
        }
    };
    match json {
        true => print_json(&abilities),
        false => print_abilities(&abilities),
    }
    let mut kinds = abilities.iter().filter(|ability| ability.id != CONFINED);
    ExitCode::from(u8::from(kinds.all(|ability| ability.verdict.is_err())))
}

/// For programs. `schema` is 1 more with each change that is no addition.
fn print_json(abilities: &[Ability]) {
    let ability = |Ability { id, what, verdict }: &Ability| {
        let (works, key, text) = match verdict {
            Ok(how) => (true, "how", how),
            Err(why) => (false, "why", why),
        };
        let (what, text) = (quoted(what), quoted(text));
        format!(r#"    {{"id": "{id}", "what": {what}, "works": {works}, "{key}": {text}}}"#)
    };
    let all: Vec<String> = abilities.iter().map(ability).collect();
    let (kernel, version) = (quoted(&rz_record::release()), quoted(env!("CARGO_PKG_VERSION")));
    let mut out = io::stdout().lock();
    // Nobody may be reading.
    let _ = writeln!(
        out,
        "{{\n  \"schema\": 1,\n  \"rec\": {version},\n  \"kernel\": {kernel},\n  \"abilities\": [\n{}\n  ]\n}}",
        all.join(",\n")
    );
}

fn print_abilities(abilities: &[Ability]) {
    let width = abilities.iter().map(|ability| ability.what.len()).max().unwrap_or(0);
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "kernel {}", rz_record::release());
    for Ability { what, verdict, .. } in abilities {
        let (works, why) = match verdict {
            Ok(how) => ("yes", how),
            Err(why) => ("no ", why),
        };
        // Nobody may be reading.
        let _ = writeln!(out, "{works}  {what:width$}  {}", one_line(why));
    }
}

fn print_progress(progress: Progress) {
    let Progress { elapsed, events, lost, file_size } = progress;
    let seconds = elapsed.as_secs_f64();
    let size = bytes(file_size);
    say(format_args!("\r{seconds:6.1} s  {events} events  {lost} lost  {size}\x1b[K"));
}

/// A message of the log, in a line.
fn write_log(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let (level, style) = (record.level(), out.default_level_style(record.level()));
    writeln!(out, "[{style}{level:<5}{style:#} {}] {}", record.target(), one_line(record.args()))
}

fn print_summary(summary: &Summary) {
    let why = match summary.end {
        EndReason::TargetsExited if summary.status.is_none() => " (the target exited)",
        EndReason::Interrupted => " (interrupted)",
        EndReason::Limit => " (ended early)",
        _ => "",
    };
    let truncated = match summary.truncated {
        0 => String::new(),
        count => format!(" {count} truncated stacks,"),
    };
    let threads = match summary.threads {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    };
    let count = |number, what| match number {
        0 => String::new(),
        number => format!(" {number} {what},"),
    };
    let (waits, calls) = (count(summary.waits, "waits"), count(summary.calls, "calls"));
    let functions = count(summary.function_calls, "calls of functions");
    let allocations = count(summary.allocations, "allocation events");
    let files = match summary.files {
        0 | 1 => String::new(),
        files => format!("{files} files, "),
    };
    say(format_args!(
        "{}: {files}{}, {} samples,{waits}{calls}{functions}{allocations}{truncated} {} lost, {}, recorder {:.2} s CPU, {} peak{why}\n",
        one_line(summary.path.display()),
        bytes(summary.file_size),
        summary.samples,
        summary.lost,
        threads,
        summary.cpu_ns as f64 / 1e9,
        bytes(summary.peak_rss),
    ));
}

/// A number of bytes as people read it.
fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// Ends as the program did, the way shells report it.
fn exit_code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(code as u8)
}
