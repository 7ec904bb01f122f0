//! `report --tui`: keys and pages, brought together on a terminal.
//!
//! ```text
//! terminal ─► keys ─► app ─► wanted ─► reader (a thread): load, page
//!     ▲                ▲                        │
//!     └──── pictures ──┴──────── pages ─────────┘
//! ```
//!
//! A trace that grows is read again when it has. What that takes is a small part of one
//! CPU, as the reader rests in between for a multiple of it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::time::ClockId;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind, poll, read,
};
use ratatui::crossterm::execute;
use rz_command::stdin::{self, StdinError};
use rz_profile::filter::Pattern;
use rz_profile::load::{LoadOptions, load};
use rz_report::tui::app::{App, PICTURE, Wanted};
use rz_report::tui::page::{Page, Tab, page};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::cli::Config;
use crate::reading::{event_of, file_name, load_options, opened, read as read_profile};

/// How long nothing is read again: so many times the CPU time that it took, within these
/// limits.
const REST: u32 = 50;
const SHORTEST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// Signals that end us.
const ENDINGS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Shows a trace on the terminal until that is ended.
pub(crate) fn show(config: &Config, trace: &Path) -> Result<()> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !io::stdout().is_terminal() {
        bail!("--tui needs a terminal: without --tui, the report is text");
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        bail!(
            "--tui needs a terminal that can do more than TERM=dumb: without --tui, the report is text"
        );
    }
    let mut source = Source::open(config, trace)?;
    let name = if stdin::is_stdin(trace) { "-".to_owned() } else { file_name(trace) };
    let app = App::new(name.clone(), !set("NO_COLOR")).ending_recording(config.of_recorder);
    // What is wrong with a file that is there is said before anything is drawn.
    let first = match source.is_complete() {
        true => Some(read_page(config, source.path(), &name, (&app.wanted(), false))?),
        false => None,
    };
    end_on_signals().context("cannot take signals")?;
    thread::scope(|scope| {
        let (wanted, wanted_by_reader) = channel();
        let (pages_of_reader, pages) = channel();
        let path = source.path().to_owned();
        let name = name.as_str();
        scope.spawn(move || {
            for (wanted, grows) in &wanted_by_reader {
                let page = read_page(config, &path, name, (&wanted, grows));
                if pages_of_reader.send(page).is_err() {
                    return;
                }
            }
        });
        let mut view = View { app, source: &mut source, wanted, pages };
        let mut screen = Screen::begin()?;
        view.run(&mut screen.terminal, first)
    })
}

/// Has signals end us after the terminal is as it was. A thread does that, as waiting for keys
/// of a terminal that is gone may never end.
fn end_on_signals() -> io::Result<()> {
    let mut signals = Signals::new(ENDINGS)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            give_back();
            // Whoever sent it is to see that it was this that ended us.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// Makes what is wanted of what is there of a trace, which may grow.
fn read_page(
    config: &Config,
    path: &Path,
    name: &str,
    (wanted, grows): (&Wanted, bool),
) -> Result<Page> {
    let mut filter = config.filter.clone();
    if wanted.from.is_some() || wanted.to.is_some() {
        (filter.from, filter.to) = (wanted.from, wanted.to);
    }
    if let Some(name) = &wanted.function {
        filter.focus.push(Pattern::of_name(name)?);
    }
    if let Some(tid) = wanted.thread {
        filter.threads = vec![tid.to_string().parse()?];
    }
    let mut profile = match wanted.tab.without() {
        None => read_profile(config, path, &filter)?,
        Some(without) => {
            let options = load_options(config, path, &filter);
            let timeline = wanted.tab == Tab::Threads;
            load(path, &LoadOptions { without, timeline, grows, ..options })?
        }
    };
    let event = event_of(&mut profile, config, path)?;
    Ok(page(wanted.tab, name, &profile, event))
}

/// What this process has taken of the CPU.
fn cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from)?)
}

/// Where the trace comes from.
struct Source {
    path: PathBuf,
    /// What another tool recorded was made into a trace, which is gone with this.
    opened: Option<rz_convert::import::Opened>,
    /// Tells the end of what is piped in.
    piped: Option<Receiver<Result<(), StdinError>>>,
    /// The recorder that writes it, as long as that is there.
    recorder: Option<u32>,
    /// The number of a file that the recorder's is yet to replace.
    old: Option<u64>,
}

impl Source {
    fn open(config: &Config, trace: &Path) -> Result<Self> {
        let recorder = config.of_recorder.then(parent_id);
        let piped = stdin::follow(trace)?;
        let opened = match recorder.is_none() && piped.is_none() {
            true => Some(opened(trace)?),
            false => None,
        };
        let there = fs::metadata(trace).ok().filter(|_| recorder.is_some());
        let old = there.map(|file| file.ino());
        Ok(Source { path: trace.to_owned(), opened, piped, recorder, old })
    }

    fn path(&self) -> &Path {
        self.opened.as_ref().map_or(&self.path, |opened| opened.path())
    }

    /// Whether a trace is there, however much of it.
    fn is_complete(&self) -> bool {
        self.opened.is_some()
    }

    fn length(&self) -> u64 {
        let file = fs::metadata(self.path()).ok().filter(|file| Some(file.ino()) != self.old);
        file.map_or(0, |file| file.len())
    }

    /// Whether somebody says that more comes.
    fn is_open(&mut self) -> Result<bool> {
        if let Some(piped) = &self.piped {
            match piped.try_recv() {
                Err(TryRecvError::Empty) => return Ok(true),
                Ok(ended) => ended?,
                Err(TryRecvError::Disconnected) => {}
            }
            self.piped = None;
        }
        self.recorder = self.recorder.filter(|&recorder| recorder == parent_id());
        Ok(self.recorder.is_some())
    }
}

/// A terminal that is ours, until this is dropped.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn begin() -> Result<Self> {
        // A panic is said on the usual screen.
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            usual(info);
        }));
        let terminal = ratatui::try_init().context("cannot use the terminal")?;
        let screen = Screen { terminal };
        execute!(io::stdout(), EnableMouseCapture).context("cannot use the terminal")?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Leaves the terminal as it was.
fn give_back() {
    // It may be gone.
    let _ = execute!(io::stdout(), DisableMouseCapture);
    let _ = ratatui::try_restore();
    let _ = io::stdout().flush();
}

/// The view, and who makes its pages.
struct View<'v> {
    app: App,
    source: &'v mut Source,
    /// What is wanted, and whether the trace grows.
    wanted: Sender<(Wanted, bool)>,
    pages: Receiver<Result<Page>>,
}

impl View<'_> {
    fn run(&mut self, terminal: &mut DefaultTerminal, first: Option<Page>) -> Result<()> {
        let mut shown = self.app.wanted();
        let (mut length, mut asked_length) = (0, self.source.length());
        if let Some(page) = first {
            length = asked_length;
            self.app.show(Ok(page));
        }
        let (mut asked, mut next): (Option<Duration>, Instant) = (None, Instant::now());
        let (mut is_changed, mut was_open) = (true, self.source.is_open()?);
        while !self.app.is_over() {
            let is_open = self.source.is_open()?;
            let now_length = self.source.length();
            let grew = now_length != length;
            if is_open || (grew && self.app.has_page()) {
                is_changed |= self.app.set_growing(true);
            }
            match self.pages.try_recv() {
                Ok(page) => {
                    let took = cpu_time()?.saturating_sub(asked.take().unwrap_or_default());
                    next = Instant::now() + (took * REST).clamp(SHORTEST_REST, LONGEST_REST);
                    length = asked_length;
                    self.take(page, is_open)?;
                    is_changed = true;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => bail!("the trace cannot be read any more"),
            }
            let wanted = self.app.wanted();
            // That it has ended is news as well.
            let is_news = (grew || was_open != is_open) && now_length > 0;
            let is_due = is_news && Instant::now() >= next && !self.app.is_frozen();
            if asked.is_none() && (wanted != shown || is_due) {
                (asked, asked_length) = (Some(cpu_time()?), now_length);
                (was_open, shown) = (is_open, wanted.clone());
                self.wanted
                    .send((wanted, is_open || grew))
                    .map_err(|_| anyhow!("the reader has ended"))?;
            }
            if is_changed {
                terminal.draw(|frame| rz_report::tui::draw(frame, &mut self.app))?;
                is_changed = false;
            }
            if poll(PICTURE)? {
                is_changed = true;
                self.take_events()?;
            }
        }
        Ok(())
    }

    /// Takes all that was typed, so that it is drawn at once.
    fn take_events(&mut self) -> Result<()> {
        while poll(Duration::ZERO)? {
            match read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => self.app.key(key),
                Event::Mouse(mouse) => self.app.mouse(mouse),
                _ => {}
            }
        }
        Ok(())
    }

    /// Shows a page. That nothing can be read yet is no error as long as more comes.
    fn take(&mut self, page: Result<Page>, is_open: bool) -> Result<()> {
        match page {
            Err(error) if !self.app.has_page() && !is_open => Err(error),
            Err(_) if !self.app.has_page() => Ok(()),
            page => {
                self.app.show(page.map_err(|error| format!("{error:#}")));
                Ok(())
            }
        }
    }
}
