//! `report`: shows what an rz trace recorded.
#![forbid(unsafe_code)]

mod cli;
mod serving;

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cli::{Asked, Config, Input, SampleView, Sides, View};
use rz_command::output::{Destination, survive_size_limits};
use rz_command::stdin;
use rz_command::symbols::Symbols;
use rz_profile::calls::{CallList, CallOptions, load_calls};
use rz_profile::filter::Filter;
use rz_profile::heap::Suppressions;
use rz_profile::inventory::load_inventory;
use rz_profile::load::{LoadOptions, Without, load, open};
use rz_profile::model::{EventId, EventKind, Profile};
use rz_profile::select::{EventName, default_event, find_event, select_event};
use rz_report::condition::{Checked, Outcome, Subject, worst};
use rz_report::diff::fail_if::check;
use rz_report::diff::flame::write_diff_flame_graph;
use rz_report::diff::json::write_diff_json;
use rz_report::diff::markdown::write_diff_markdown;
use rz_report::diff::table::write_diff;
use rz_report::diff::{Run, compare};
use rz_report::error::ReportError;
use rz_report::fail_if::{self, Subjects};
use rz_report::html::{
    LAST_CALLS, MOST_SERVED_SAMPLES, PageOptions, ServedPage, write_diff_page, write_page,
};
use rz_report::model::calls::SortCalls;
use rz_report::render::style::Style;
use rz_report::views::annotate::{Choice, annotated, choose, write_annotated};
use rz_report::views::document::{Document, Page};
use rz_report::views::flame::write_flame_graph;
use rz_report::views::heap::sites::{SiteKind, SiteList, SortSites, sites, write_sites};
use rz_report::views::heap::{HeapPageOptions, heap, write_heap};
use rz_report::views::info::{InfoOptions, info, write_info};
use rz_report::views::list::{CallsPage, ListOptions, write_list};
use rz_report::views::markdown::write_markdown;
use rz_report::views::off_cpu::{off_cpu, write_off_cpu};
use rz_report::views::summary::{SummaryOptions, summary, write_summary};
use rz_report::views::syscalls::{SyscallOptions, syscalls, write_syscalls};
use rz_report::views::tree::{tree, write_tree_report};

/// How to ask, for programs and people.
const GUIDE: &str = include_str!("guide.txt");

fn main() -> ExitCode {
    survive_size_limits();
    let result = match cli::parse() {
        Asked::Guide => write_guide(),
        Asked::Report(config) => run(&config),
    };
    match result {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            eprintln!("report: {}", format!("{error:#}").replace('\n', " "));
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
    refuse_to_overwrite(config, &[trace])?;
    stdin::keep([trace])?;
    match &config.view {
        &View::List(options) => show_list(config, trace, options)?,
        &View::Info(options) => show_info(config, trace, options)?,
        View::Samples(_) if config.serve => serve_one(config, trace)?,
        View::Samples(view) => return show(config, trace, view),
    }
    Ok(Outcome::Fine)
}

/// Serves the page of a trace.
fn serve_one(config: &Config, trace: &Path) -> Result<()> {
    let (mut profile, rows) = open(trace, &load_options(config, &config.filter))?;
    say_notes(notes_of(config, &profile));
    let event = event_of(&mut profile, config, trace)?;
    let (suppressions, calls) = (read_suppressions(config)?, last_calls(config, trace)?);
    let name = file_name(trace);
    let (suppressions, calls) = (&suppressions, calls.as_ref());
    let (limit, sources) = (config.html_limit, config.embed_source.as_ref());
    let options = PageOptions { event, limit, calls, suppressions, sources };
    let page = ServedPage::new(&name, &mut profile, rows, options)?;
    drop(profile);
    serving::serve_trace(&name, page)
}

fn show(config: &Config, trace: &Path, view: &SampleView) -> Result<Outcome> {
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
    let subjects = Subjects { profile: &profile, event, suppressions };
    let checked = fail_if::check(&config.fail_if, subjects)?;
    let shown = Shown { config, view, name: &name, profile: &profile, event, suppressions };
    shown.write()?;
    write_svg(config, |out| write_flame_graph(out, &name, &profile, event, config.direction))?;
    if config.html.is_some() {
        let calls = last_calls(config, trace)?;
        let (limit, calls) = (config.html_limit, calls.as_ref());
        let sources = config.embed_source.as_ref();
        let options = PageOptions { event, limit, calls, suppressions, sources };
        write_file(config.html.as_deref(), |out| write_page(out, &name, &mut profile, options))?;
    }
    Ok(say_checked(&checked))
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

/// A view of one profile, with all that it shows.
struct Shown<'s> {
    config: &'s Config,
    view: &'s SampleView,
    name: &'s str,
    profile: &'s Profile,
    event: Option<EventId>,
    suppressions: &'s Suppressions,
}

impl Shown<'_> {
    fn summary_options(&self, threads: usize) -> SummaryOptions {
        SummaryOptions { limit: self.config.limit, by: self.config.by, threads }
    }

    fn syscall_options(&self, by: SortCalls, threads: usize) -> SyscallOptions {
        SyscallOptions { limit: self.config.limit, by, threads }
    }

    fn heap_options(&self, threads: usize) -> HeapPageOptions {
        HeapPageOptions { limit: self.config.limit, threads }
    }

    fn site_list(&self, kind: SiteKind, by: SortSites) -> SiteList {
        SiteList { kind, by, limit: self.config.limit }
    }

    /// Writes text, JSON and Markdown, as far as they are wanted.
    fn write(&self) -> Result<()> {
        let &Shown { view, name, profile, event, suppressions, config } = self;
        match view {
            &SampleView::Tree(options) => {
                let page = || tree(profile, event, options);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_tree_report(out, style, name, profile, event, page, options)
                };
                self.write_page(page, text, Page::Tree)
            }
            SampleView::Annotated(options) => {
                let page = || annotated(profile, event, options);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_annotated(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Annotated)
            }
            &SampleView::Summary { threads } => {
                let page = || summary(profile, event, self.summary_options(threads));
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_summary(out, style, name, profile, event, page, config.by)
                };
                self.write_page(page, text, Page::Summary)
            }
            &SampleView::OffCpu { threads } => {
                let page = || off_cpu(profile, event, self.summary_options(threads));
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_off_cpu(out, style, name, profile, event, page, config.by)
                };
                self.write_page(page, text, Page::OffCpu)
            }
            &SampleView::Syscalls { by, threads } => {
                let page = || syscalls(profile, event, self.syscall_options(by, threads));
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_syscalls(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Syscalls)
            }
            &SampleView::Heap { threads } => {
                // The text's slices of time are those that the terminal has room for.
                let options = self.heap_options(threads);
                write_text(config, |out, style| {
                    write_heap(out, style, name, profile, event, options)
                })?;
                write_document(config, || {
                    self.document(Page::Heap(Box::new(heap(profile, options))))
                })
            }
            &SampleView::Sites { kind, by } => {
                let page = || sites(profile, self.site_list(kind, by), suppressions);
                let text = |out: &mut dyn Write, style, page: &_| {
                    write_sites(out, style, name, profile, event, page)
                };
                self.write_page(page, text, Page::Sites)
            }
        }
    }

    /// Writes a page that is the same for text, JSON and Markdown.
    fn write_page<P>(
        &self,
        page: impl FnOnce() -> P,
        text: impl FnOnce(&mut dyn Write, Style, &P) -> io::Result<()>,
        of_view: fn(P) -> Page<'static>,
    ) -> Result<()> {
        if self.config.text.is_none() && !has_document(self.config) {
            return Ok(());
        }
        let page = page();
        write_text(self.config, |out, style| text(out, style, &page))?;
        write_document(self.config, || self.document(of_view(page)))
    }

    fn document(&self, page: Page<'static>) -> Document<'static> {
        Document::new(self.name, self.profile, self.event, page)
    }
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
        let page = Page::Calls(CallsPage::new(&list, options));
        Document::new(&file_name(trace), &profile, None, page).with_notes(&list.notes)
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

fn show_diff(config: &Config, sides: &Sides) -> Result<Outcome> {
    let paths: Vec<&Path> = sides.traces.iter().flatten().map(PathBuf::as_path).collect();
    refuse_to_overwrite(config, &paths)?;
    stdin::keep(paths.iter().copied())?;
    let mut profiles = Vec::with_capacity(paths.len());
    let mut notes: Vec<String> = Vec::new();
    for (side, traces) in sides.traces.iter().enumerate() {
        for path in traces {
            let mut profile = read(config, path, &sides.filters[side])?;
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
        eprintln!("report: {}", rz_report::model::clean::clean(text));
    }
    worst(checked)
}

/// The event that was asked for, which may be without samples, or else the
/// first one with samples.
fn event_of(profile: &mut Profile, config: &Config, path: &Path) -> Result<Option<EventId>> {
    let name = config.event.as_ref();
    let found = select_event(profile, name).with_context(|| path.display().to_string())?;
    let event = found.or_else(|| find_event(profile, name?));
    Ok(match config.metric {
        Some(metric) => rz_profile::heap::show(profile, metric).or(event),
        None => event,
    })
}

/// What the file says that names known leaks; nothing without one.
fn read_suppressions(config: &Config) -> Result<Suppressions> {
    let Some(path) = &config.suppressions else {
        return Ok(Suppressions::default());
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

/// What nothing is told of when an event is shown; without a name that of the CPU,
/// if it has samples.
fn not_shown(event: Option<&EventName>) -> Without {
    match event.and_then(EventName::kind) {
        Some(EventKind::OffCpu | EventKind::Wall) => Without { calls: true, ..Without::default() },
        Some(EventKind::Syscalls) => Without { waits: true, ..Without::default() },
        None | Some(EventKind::Cpu | EventKind::Alloc | EventKind::Growth) => {
            Without { waits: true, calls: true, ..Without::default() }
        }
    }
}

/// Whether it is the CPU's event that is shown if none is named.
fn shows_cpu(profile: &Profile) -> bool {
    let has_others = profile.events.iter().any(|event| event.kind != EventKind::Cpu);
    let default = default_event(profile).map(|event| profile.events[event].kind);
    !has_others || default == Some(EventKind::Cpu)
}

fn load_options(config: &Config, filter: &Filter) -> LoadOptions {
    let Symbols { debug_dirs, options: symbols, .. } = config.symbols.clone();
    // Of single runs, noise is taken from how they went on; that of allocations
    // is the error of sampling.
    let timeline = match &config.input {
        Input::One(_) => has_page(config),
        Input::Sides(sides) => {
            sides.traces.iter().flatten().count() == 2 && config.metric.is_none()
        }
    };
    let filter = filter.clone();
    let unnamed = matches!(config.view, View::Info(_));
    let source_maps = config.source_maps.clone();
    let heap = config.heap;
    // A page shows everything there is, however much that is.
    let coarse = has_page(config) && matches!(config.input, Input::One(_));
    let mut without = if coarse { Without::default() } else { not_shown(config.event.as_ref()) };
    // Waits that were not over, and sums where exact ones are missing, are made of rows.
    without.waits &= !config.fail_if.iter().any(|c| matches!(c.subject, Subject::Waits(_)));
    let most_samples = (coarse && config.serve).then_some(MOST_SERVED_SAMPLES);
    LoadOptions {
        debug_dirs,
        symbols,
        source_maps,
        timeline,
        coarse,
        most_samples,
        unnamed,
        heap,
        filter,
        without,
    }
}

/// Whether a page for a browser is made.
fn has_page(config: &Config) -> bool {
    config.html.is_some() || config.serve
}

/// What a filter leaves of a trace.
fn read(config: &Config, path: &Path, filter: &Filter) -> Result<Profile> {
    let mut options = load_options(config, filter);
    let mut profile = load(path, &options)?;
    if config.event.is_none() && !options.coarse && !shows_cpu(&profile) {
        options.without = Without::default();
        profile = load(path, &options)?;
    }
    Ok(profile)
}

/// What there is to know of a profile, details only if they are asked for.
fn notes_of<'p>(config: &Config, profile: &'p Profile) -> impl Iterator<Item = &'p String> {
    let details = profile.info.details.iter().filter(|_| config.symbols.verbose);
    profile.info.notes.iter().chain(details)
}

fn say_notes<'n>(notes: impl IntoIterator<Item = &'n String>) {
    for note in notes {
        eprintln!("report: note: {}", rz_report::model::clean::clean(note));
    }
}

/// A forgotten argument must not cost a recording: `report --svg a.rz b.rz`
/// reads `a.rz` as the name of the picture.
fn refuse_to_overwrite(config: &Config, inputs: &[&Path]) -> Result<()> {
    let outputs = [&config.svg, &config.html, &config.text, &config.json, &config.markdown];
    for output in outputs.into_iter().flatten() {
        let is_trace = output.extension().is_some_and(|extension| extension == "rz");
        let is_input = |input: &&Path| match (output.canonicalize(), input.canonicalize()) {
            (Ok(output), Ok(input)) => output == input,
            _ => false,
        };
        ensure!(
            !is_trace && !inputs.iter().any(is_input),
            "{}: a trace is not overwritten with a report; name another file",
            output.display()
        );
    }
    Ok(())
}

fn write_text(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
) -> Result<()> {
    let Some(path) = &config.text else {
        return Ok(());
    };
    let destination = destination(path);
    let terminal = destination == Destination::Stdout && io::stdout().is_terminal();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let style = Style {
        color: terminal && !set("NO_COLOR") && !dumb,
        width: terminal_size::terminal_size()
            .filter(|_| terminal && !config.full_names)
            .map(|size| size.0.0.into()),
    };
    destination
        .write(|out| produce(out, style))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether what is shown goes anywhere but to the text.
fn has_document(config: &Config) -> bool {
    config.json.is_some() || config.markdown.is_some()
}

/// Writes JSON and Markdown, as far as they are wanted.
fn write_document<'l>(config: &Config, document: impl FnOnce() -> Document<'l>) -> Result<()> {
    if !has_document(config) {
        return Ok(());
    }
    let document = document();
    write_file(config.json.as_deref(), |out| Ok(document.write(out)?))?;
    write_file(config.markdown.as_deref(), |out| Ok(write_markdown(out, &document)?))
}

fn write_svg(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<()> {
    let filtered = match &config.input {
        Input::One(_) => config.filter != Filter::default(),
        Input::Sides(sides) => sides.filters.iter().any(|filter| *filter != Filter::default()),
    };
    write_file(config.svg.as_deref(), produce).or_else(|error| {
        let nothing = matches!(error.downcast_ref(), Some(ReportError::NothingToDraw { .. }));
        if !(nothing && filtered) {
            return Err(error);
        }
        // That is an answer as well.
        eprintln!("report: nothing to draw: the filter leaves no samples");
        Ok(())
    })
}

/// Writes a file, if there is to be one, and says so.
fn write_file(
    path: Option<&Path>,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    destination(path).write(produce).with_context(|| path.display().to_string())?;
    if path != Path::new("-") {
        eprintln!("report: wrote {}", path.display());
    }
    Ok(())
}

fn destination(path: &Path) -> Destination {
    Destination::choose(Some(path), Path::new(""), "", false)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
