//! `report`: shows what an rz trace recorded.
#![forbid(unsafe_code)]

mod cli;
mod outputs;
mod reading;
mod serving;
mod shown;
mod tables;
mod terminal;
mod user;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cli::{Asked, Config, Input, SampleView, Sides, View};
use rz_command::output::{Destination, survive_size_limits};
use rz_command::stdin;
use rz_profile::calls::{CallList, CallOptions, load_calls};
use rz_profile::heap::Suppressions;
use rz_profile::inventory::load_inventory;
use rz_profile::load::function_calls::load_function_calls;
use rz_profile::load::{LoadOptions, Without, load, open};
use rz_profile::model::{CallDetail, Profile};
use rz_profile::span_list::load_spans;
use rz_profile::spans::SpanFile;
use rz_report::condition::{Checked, Outcome, worst};
use rz_report::diff::fail_if::check;
use rz_report::diff::flame::write_diff_flame_graph;
use rz_report::diff::json::write_diff_json;
use rz_report::diff::markdown::write_diff_markdown;
use rz_report::diff::table::write_diff;
use rz_report::diff::{Run, compare};
use rz_report::doctor::{DoctorPage, Observed, doctor};
use rz_report::fail_if::{self, Subjects};
use rz_report::html::{LAST_CALLS, PageOptions, ServedPage, write_diff_page, write_page};
use rz_report::views::annotate::{Choice, choose};
use rz_report::views::document::{Document, Page};
use rz_report::views::flame::write_flame_graph;
use rz_report::views::functions::{FunctionCallsPage, FunctionListOptions, write_function_list};
use rz_report::views::info::{InfoOptions, info, write_info};
use rz_report::views::list::{CallsPage, ListOptions, write_list};
use rz_report::views::spans::{spans, write_spans};

use crate::outputs::{
    has_document, refuse_to_overwrite, write_document, write_file, write_svg, write_text,
};
use crate::reading::{asks_doctor, event_of, file_name, load_options, opened, read};
use crate::shown::Shown;
use crate::user::say;

/// How to ask, for programs and people.
const GUIDE: &str = include_str!("guide.txt");

fn main() -> ExitCode {
    survive_size_limits();
    let result = match cli::parse() {
        Asked::Guide => write_guide(),
        Asked::Sql(config) => tables::ask(&config).map(|()| Outcome::Fine),
        Asked::Report(config) => run(&config),
    };
    match result {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            say(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says how to ask.
fn write_guide() -> Result<Outcome> {
    Destination::Stdout.write(|out| out.write_all(GUIDE.as_bytes()))?;
    Ok(Outcome::Fine)
}

/// What was asked for, and how that ends.
fn run(config: &Config) -> Result<Outcome> {
    match &config.input {
        Input::One(trace) => show_one(config, trace),
        Input::Sides(sides) => show_diff(config, sides),
    }
}

fn show_one(config: &Config, trace: &Path) -> Result<Outcome> {
    if config.tui {
        terminal::show(config, trace)?;
        return Ok(Outcome::Fine);
    }
    refuse_to_overwrite(config, &[trace])?;
    stdin::keep([trace])?;
    let (given, opened) = (trace, opened(trace)?);
    let trace = opened.path();
    match &config.view {
        &View::List(options) => show_list(config, trace, options)?,
        &View::FunctionList(options) => show_function_list(config, trace, options)?,
        &View::Info(options) => show_info(config, trace, options)?,
        View::Spans(file) => show_spans(config, trace, file)?,
        View::Samples(_) if config.serve => serve_one(config, trace)?,
        View::Samples(view) => return show(config, (given, trace), view),
    }
    Ok(Outcome::Fine)
}

/// Serves the page of a trace.
fn serve_one(config: &Config, trace: &Path) -> Result<()> {
    let (mut profile, rows) = open(trace, &load_options(config, trace, &config.filter))?;
    say_notes(notes_of(config, &profile));
    let event = event_of(&mut profile, config, trace)?;
    let (suppressions, calls) = (read_suppressions(config)?, last_calls(config, trace)?);
    let name = file_name(trace);
    let (suppressions, calls) = (&suppressions, calls.as_ref());
    let (limit, sources) = (config.html_limit, config.embed_source.as_ref());
    let options = PageOptions { event, limit, calls, doctor: None, suppressions, sources };
    let page = ServedPage::new(&name, &mut profile, rows, options)?;
    // Whoever waits for the page does not have to wait for this.
    std::thread::spawn(move || drop(profile));
    serving::serve_trace(&name, page)
}

/// Shows a trace, or one that was made of the file that was given.
fn show(config: &Config, (given, trace): (&Path, &Path), view: &SampleView) -> Result<Outcome> {
    let (mut profile, name) = (read(config, trace, &config.filter)?, file_name(trace));
    say_notes(notes_of(config, &profile));
    let event = event_of(&mut profile, config, trace)?;
    let suppressions = read_suppressions(config)?;
    if let (SampleView::Annotated(options), Some(event)) = (view, event) {
        ensure!(
            choose(&profile, event, &options.function) != Choice::None,
            "{}: no function in the samples of {} matches {}",
            trace.display(),
            profile.events[event].title(),
            options.function
        );
    }
    let suppressions = &suppressions;
    let found = match asks_doctor(config, trace) {
        true => Some(ask_doctor(config, (given, trace), &profile)?),
        false => None,
    };
    let doctor = found.as_ref();
    let subjects = Subjects { profile: &profile, event, suppressions, doctor };
    let checked = fail_if::check(&config.fail_if, subjects)?;
    let name = name.as_str();
    let of = Shown {
        config,
        view,
        name,
        profile: &profile,
        event,
        suppressions,
        doctor,
        checked: &checked,
    };
    of.write()?;
    write_svg(config, |out| write_flame_graph(out, name, &profile, event, config.direction))?;
    if config.html.is_some() {
        let calls = last_calls(config, trace)?;
        let (limit, calls) = (config.html_limit, calls.as_ref());
        let sources = config.embed_source.as_ref();
        let options = PageOptions { event, limit, calls, doctor, suppressions, sources };
        write_file(config.html.as_deref(), |out| write_page(out, name, &mut profile, options))?;
    }
    Ok(say_checked(&checked))
}

/// What rules find in a profile that was loaded with all that there is.
fn ask_doctor(
    config: &Config,
    (given, trace): (&Path, &Path),
    profile: &Profile,
) -> Result<DoctorPage> {
    let has_calls = CallDetail::from(profile.info.captured.calls) == CallDetail::Calls;
    let calls = match has_calls && !profile.info.filter.drops_stacks {
        true => Some(load_calls(trace, &CallOptions::default(), &config.filter)?),
        false => None,
    };
    let name = if stdin::is_stdin(given) { "-".into() } else { given.to_string_lossy() };
    Ok(doctor(&Observed::new(profile, calls.as_ref(), &name)))
}

/// The last system calls, if any were recorded one by one and can be told from those
/// that a filter leaves out.
fn last_calls(config: &Config, trace: &Path) -> Result<Option<CallList>> {
    if config.filter.by_stack() {
        return Ok(None);
    }
    let last = CallOptions { tail: Some(LAST_CALLS), ..CallOptions::default() };
    let list = load_calls(trace, &last, &config.filter)?;
    Ok(Some(list).filter(|list| !list.calls.is_empty()))
}

fn show_list(config: &Config, trace: &Path, options: ListOptions) -> Result<()> {
    let kept = CallOptions { tail: options.tail, errors: options.errors, ..CallOptions::default() };
    let list = load_calls(trace, &kept, &config.filter)?;
    ensure!(
        list.recorded,
        "{}: no system calls were recorded: record with rec --syscalls",
        trace.display()
    );
    say_notes(&list.notes);
    write_text(config, |out, _| write_list(out, &list, options))?;
    let page = Page::Calls(CallsPage::new(&list, options));
    write_list_document(config, trace, page, &list.notes)
}

fn show_function_list(config: &Config, trace: &Path, options: FunctionListOptions) -> Result<()> {
    let kept = CallOptions { tail: options.tail, ..CallOptions::default() };
    let list = load_function_calls(trace, &kept, &config.filter)?;
    ensure!(
        !list.functions.is_empty() || !list.calls.is_empty(),
        "{}: no calls of functions were recorded: record with rec --call FUNCTION",
        trace.display()
    );
    say_notes(&list.notes);
    write_text(config, |out, _| write_function_list(out, &list, options))?;
    write_list_document(config, trace, Page::FunctionCalls(FunctionCallsPage(&list)), &list.notes)
}

/// Writes a list of calls as JSON or Markdown, if that is wanted.
fn write_list_document(
    config: &Config,
    trace: &Path,
    page: Page<'_>,
    notes: &[String],
) -> Result<()> {
    if !has_document(config) {
        return Ok(());
    }
    // Of the profile, only what says where the calls are from is needed.
    let unneeded = LoadOptions {
        unnamed: true,
        filter: config.filter.clone(),
        without: Without { waits: true, calls: true, allocations: true },
        ..LoadOptions::default()
    };
    let profile = load(trace, &unneeded)?;
    write_document(config, || {
        Document::new(&file_name(trace), &profile, None, page).with_notes(notes)
    })
}

fn show_info(config: &Config, trace: &Path, options: InfoOptions) -> Result<()> {
    let inventory = load_inventory(trace, &config.filter)?;
    let (mut profile, name) = (read(config, trace, &config.filter)?, file_name(trace));
    say_notes(notes_of(config, &profile));
    let event = event_of(&mut profile, config, trace)?;
    let page = info((&inventory, &profile), event, options);
    write_text(config, |out, style| write_info(out, style, &name, &profile, event, &page))?;
    write_document(config, || {
        Document::new(&name, &profile, event, Page::Info(page)).without_names()
    })
}

fn show_spans(config: &Config, trace: &Path, file: &SpanFile) -> Result<()> {
    let list = load_spans(trace, file, &config.filter)?;
    let (mut profile, name) = (read(config, trace, &config.filter)?, file_name(trace));
    say_notes(notes_of(config, &profile).chain(&list.notes));
    let event = event_of(&mut profile, config, trace)?;
    let page = spans(&list, config.limit);
    write_text(config, |out, style| write_spans(out, style, &name, &profile, event, &page))?;
    write_document(config, || {
        let document = Document::new(&name, &profile, event, Page::Spans(page));
        document.without_names().with_notes(&list.notes)
    })
}

fn show_diff(config: &Config, sides: &Sides) -> Result<Outcome> {
    let paths: Vec<&Path> = sides.traces.iter().flatten().map(PathBuf::as_path).collect();
    refuse_to_overwrite(config, &paths)?;
    stdin::keep(paths.iter().copied())?;
    let mut profiles = Vec::with_capacity(paths.len());
    let mut notes: Vec<String> = Vec::new();
    for (side, traces) in sides.traces.iter().enumerate() {
        for path in traces {
            let mut profile = read(config, opened(path)?.path(), &sides.filters[side])?;
            ensure!(
                profile.info.filter.threads != Some(0) || !sides.have_own_threads(),
                "{}: no thread is in {} {}; report {} --threads lists them",
                path.display(),
                ["--before", "--after"][side],
                sides.parts[side],
                path.display()
            );
            // A note must say whose it is. Of two parts of a trace it may be the same.
            let of_path = |note: &String| format!("{}: {note}", path.display());
            notes.extend(notes_of(config, &profile).map(of_path));
            let event = event_of(&mut profile, config, path)?;
            profiles.push((profile, event));
        }
    }
    let mut said = HashSet::new();
    notes.retain(|note| said.insert(note.clone()));
    say_notes(&notes);
    let names = names_of(sides);
    let (json, markdown) = (config.json.as_deref(), config.markdown.as_deref());
    let runs = profiles.iter().zip(&names);
    let runs: Vec<Run<'_>> =
        runs.map(|((profile, event), name)| Run { profile, name, event: *event }).collect();
    let (before, after) = runs.split_at(sides.traces[0].len());
    let diff = compare([before, after], &config.diff)?;
    let checked = check(&config.fail_if, &diff)?;
    write_text(config, |out, style| write_diff(out, style, &diff, config.limit))?;
    write_file(json, |out| Ok(write_diff_json(out, &diff, &checked)?))?;
    write_file(markdown, |out| Ok(write_diff_markdown(out, &diff, &checked)?))?;
    write_svg(config, |out| write_diff_flame_graph(out, &diff, config.width))?;
    write_file(config.html.as_deref(), |out| write_diff_page(out, &diff, &checked))?;
    if config.serve {
        let mut page = Vec::new();
        write_diff_page(&mut page, &diff, &checked)?;
        serving::serve_page("the comparison", &page)?;
    }
    Ok(say_checked(&checked))
}

/// What to call each trace: files of the same name in several directories are told apart
/// by their paths, and parts of one trace by what they are.
fn names_of(sides: &Sides) -> Vec<String> {
    let paths: Vec<&PathBuf> = sides.traces.iter().flatten().collect();
    let names: Vec<String> = paths.iter().map(|path| file_name(path)).collect();
    if sides.are_of_one_trace() {
        let parts = names.iter().zip(&sides.parts);
        return parts.map(|(name, part)| format!("{name} {part}").trim_end().to_owned()).collect();
    }
    let is_unique = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    match names.iter().all(is_unique) {
        true => names,
        false => paths.iter().map(|path| path.display().to_string()).collect(),
    }
}

/// Says what became of conditions, and the worst of it.
fn say_checked(checked: &[Checked]) -> Outcome {
    for Checked { text, .. } in checked {
        say(format_args!("{text}"));
    }
    worst(checked)
}

/// What the file says that names known leaks; nothing without one.
fn read_suppressions(config: &Config) -> Result<Suppressions> {
    let Some(path) = &config.suppressions else {
        return Ok(Suppressions::default());
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

/// What there is to know of a profile, details only if they are asked for.
fn notes_of<'p>(config: &Config, profile: &'p Profile) -> impl Iterator<Item = &'p String> {
    let details = profile.info.details.iter().filter(|_| config.symbols.verbose);
    profile.info.notes.iter().chain(details)
}

fn say_notes<'n>(notes: impl IntoIterator<Item = &'n String>) {
    for note in notes {
        say(format_args!("note: {note}"));
    }
}
