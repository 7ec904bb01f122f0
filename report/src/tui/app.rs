//! What is chosen on the terminal: keys come in, and what is wanted of the trace goes out.

use std::time::Duration;

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::{Position, Rect};
use rz_profile::filter::Moment;

use super::flame::{self, Frame, Step};
use super::page::{Body, LeadsTo, Page, Row, Tab, Table};
use crate::render::format::duration;
use crate::views::tree::TreePage;

/// The first window of a recording that is not over.
const USUAL_WINDOW_NS: u64 = 10_000_000_000;
/// The shortest window.
const SHORTEST_WINDOW_NS: u64 = 1_000_000;
/// Lines that the wheel of a mouse goes on by.
const WHEEL: isize = 3;

/// What a page is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The tab.
    pub tab: Tab,
    /// The beginning of a window of time.
    pub from: Option<Moment>,
    /// Its end.
    pub to: Option<Moment>,
    /// A function that has to be in stacks.
    pub function: Option<String>,
    /// The only thread.
    pub thread: Option<u32>,
}

/// A part of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    length_ns: u64,
    /// Where it ends, since the start; `None` at the end of the recording.
    end_ns: Option<u64>,
}

/// Text over everything else.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// Where things were drawn, for the mouse.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) tabs: Vec<Rect>,
    /// Titles of columns.
    pub(super) columns: Vec<Rect>,
    pub(super) body: Rect,
    /// Nodes of the flame graph.
    pub(super) frames: Vec<(Rect, usize)>,
}

/// What the view is about, and what was chosen.
#[derive(Debug)]
pub struct App {
    pub(super) name: String,
    pub(super) color: bool,
    pub(super) tab: Tab,
    pub(super) page: Option<Page>,
    /// The column that each tab is sorted by.
    sorted: [usize; Tab::ALL.len()],
    /// The row that is chosen, of those that are shown, and the first on the screen.
    pub(super) chosen: usize,
    pub(super) first: usize,
    /// What is looked for.
    pub(super) search: String,
    pub(super) is_typing: bool,
    pub(super) is_frozen: bool,
    pub(super) shows_help: bool,
    pub(super) text: Option<Text>,
    window: Option<Window>,
    /// What was before this is forgotten.
    since_ns: Option<u64>,
    function: Option<String>,
    thread: Option<u32>,
    /// Where in the flame graph we are: names from the outermost function on.
    pub(super) zoom: Vec<String>,
    pub(super) frame: Vec<String>,
    /// Whether the trace still grows.
    pub(super) is_growing: bool,
    /// Why the last page could not be made.
    pub(super) problem: Option<String>,
    /// What it ends with.
    pub(super) ends_recording: bool,
    pub(super) places: Places,
    is_over: bool,
}

impl App {
    /// A view of a trace of this name.
    pub fn new(name: String, color: bool) -> Self {
        App {
            name,
            color,
            tab: Tab::Top,
            page: None,
            sorted: [0; Tab::ALL.len()],
            chosen: 0,
            first: 0,
            search: String::new(),
            is_typing: false,
            is_frozen: false,
            shows_help: false,
            text: None,
            window: None,
            since_ns: None,
            function: None,
            thread: None,
            zoom: Vec::new(),
            frame: Vec::new(),
            is_growing: false,
            problem: None,
            ends_recording: false,
            places: Places::default(),
            is_over: false,
        }
    }

    /// The same, of a recording that ends when this does.
    pub fn ending_recording(mut self, ends: bool) -> Self {
        self.ends_recording = ends;
        self
    }

    /// Whether it was ended.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether nothing new is to be shown.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Whether a page was shown.
    pub fn has_page(&self) -> bool {
        self.page.is_some()
    }

    /// Says whether the trace still grows. Whether that is news comes back.
    pub fn set_growing(&mut self, is_growing: bool) -> bool {
        std::mem::replace(&mut self.is_growing, is_growing) != is_growing
    }

    /// What the page is to be made of.
    pub fn wanted(&self) -> Wanted {
        let (from, to) = match self.window {
            None => (self.since_ns.map(Moment::AfterStart), None),
            Some(Window { length_ns, end_ns: None }) => (Some(Moment::BeforeEnd(length_ns)), None),
            Some(Window { length_ns, end_ns: Some(end_ns) }) => (
                Some(Moment::AfterStart(end_ns.saturating_sub(length_ns))),
                Some(Moment::AfterStart(end_ns)),
            ),
        };
        let (function, thread) = (self.function.clone(), self.thread);
        Wanted { tab: self.tab, from, to, function, thread }
    }

    /// Shows a page, or says why there is none.
    pub fn show(&mut self, page: Result<Page, String>) {
        match page {
            Ok(page) => {
                // The row that was chosen stays so, wherever it is now.
                let chosen = self.chosen_row().map(|row| row.name.clone());
                let same = self.page.as_ref().is_some_and(|old| old.tab == page.tab);
                (self.page, self.problem) = (Some(page), None);
                if let Some(name) = chosen.filter(|_| same && self.chosen > 0) {
                    let at = self.rows().iter().position(|row| row.name == name);
                    self.chosen = at.unwrap_or(self.chosen);
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    pub(super) fn sorted_by(&self) -> usize {
        self.sorted[self.tab as usize]
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.page.as_ref().filter(|page| page.tab == self.tab)?.body {
            Body::Table(table) => Some(table),
            Body::Flame(_) | Body::Lines(_) => None,
        }
    }

    pub(super) fn tree(&self) -> Option<&TreePage> {
        match &self.page.as_ref().filter(|page| page.tab == self.tab)?.body {
            Body::Flame(tree) => Some(tree),
            Body::Table(_) | Body::Lines(_) => None,
        }
    }

    /// Rows that are shown, in their order.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let Some(table) = self.table() else { return Vec::new() };
        let search = self.search.to_lowercase();
        let found = |text: &str| text.to_lowercase().contains(&search);
        let is_shown = |row: &&Row| search.is_empty() || found(&row.name) || found(&row.suffix);
        let mut rows: Vec<&Row> = table.rows.iter().filter(is_shown).collect();
        let column = self.sorted_by();
        rows.sort_by_key(|row| std::cmp::Reverse(row.cells.get(column).map(|cell| cell.value)));
        rows
    }

    fn chosen_row(&self) -> Option<&Row> {
        self.rows().get(self.chosen).copied()
    }

    /// Lines that are shown where there is no table.
    pub(super) fn lines(&self) -> Vec<&str> {
        let lines = match (&self.text, self.page.as_ref().map(|page| &page.body)) {
            (Some(text), _) => &text.lines,
            (None, Some(Body::Lines(lines))) => lines,
            (None, _) => return Vec::new(),
        };
        let search = self.search.to_lowercase();
        let lines = lines.iter().map(String::as_str);
        lines.filter(|line| line.to_lowercase().contains(&search)).collect()
    }

    /// What part of the recording is shown, in words; nothing of all.
    pub(super) fn part(&self) -> String {
        let mut parts = Vec::new();
        match self.window {
            None => parts.extend(self.since_ns.map(|ns| format!("since {}", duration(ns)))),
            Some(Window { length_ns, end_ns: None }) => {
                parts.push(format!("last {}", duration(length_ns)));
            }
            Some(Window { length_ns, end_ns: Some(end_ns) }) => {
                let from = duration(end_ns.saturating_sub(length_ns));
                parts.push(format!("{from} to {}", duration(end_ns)));
            }
        }
        parts.extend(self.thread.map(|tid| format!("thread {tid}")));
        parts.extend(self.function.as_ref().map(|name| format!("through {name}")));
        if !self.search.is_empty() && !self.is_typing {
            parts.push(format!("with “{}”", self.search));
        }
        parts.join(" · ")
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            self.is_over |= matches!(key.code, KeyCode::Char('c' | 'd'));
            return;
        }
        if self.is_typing {
            return self.type_search(key.code);
        }
        match key.code {
            KeyCode::Char('q') => self.is_over = true,
            _ if self.shows_help => self.shows_help = false,
            KeyCode::Char('?' | 'h') => self.shows_help = true,
            KeyCode::Esc | KeyCode::Backspace => self.go_back(),
            KeyCode::Char('f') => self.is_frozen = !self.is_frozen,
            KeyCode::Char('r') => self.reset(),
            KeyCode::Char('/') => {
                self.is_typing = true;
                self.search.clear();
                self.go_to(0);
            }
            KeyCode::Char('[') => self.move_window(-1),
            KeyCode::Char(']') => self.move_window(1),
            KeyCode::Char('-') => self.resize_window(|length_ns| length_ns / 2),
            KeyCode::Char('+' | '=') => self.resize_window(|length_ns| length_ns.saturating_mul(2)),
            KeyCode::Tab => self.go_to_tab(1),
            KeyCode::BackTab => self.go_to_tab(Tab::ALL.len() - 1),
            KeyCode::Enter => self.enter(),
            KeyCode::Char(digit @ '1'..='4') => self.sort_by(digit as usize - '1' as usize),
            KeyCode::Up | KeyCode::Char('k') => self.go_up_or_down(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go_up_or_down(1),
            KeyCode::Left if self.tree().is_some() => self.step(Step::Before),
            KeyCode::Right if self.tree().is_some() => self.step(Step::After),
            KeyCode::Left => self.go_to_tab(Tab::ALL.len() - 1),
            KeyCode::Right => self.go_to_tab(1),
            KeyCode::PageUp => self.move_by(-isize::try_from(self.places.body.height).unwrap_or(1)),
            KeyCode::PageDown => {
                self.move_by(isize::try_from(self.places.body.height).unwrap_or(1))
            }
            KeyCode::Home | KeyCode::Char('g') => self.go_to(0),
            KeyCode::End | KeyCode::Char('G') => self.go_to(usize::MAX),
            _ => {}
        }
    }

    fn type_search(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.search.clear();
            }
            KeyCode::Backspace => {
                self.search.pop();
            }
            KeyCode::Char(typed) => self.search.push(typed),
            _ => {}
        }
        self.go_to(0);
    }

    /// Takes what a mouse did.
    pub fn mouse(&mut self, mouse: MouseEvent) {
        let at = Position { x: mouse.column, y: mouse.row };
        match mouse.kind {
            MouseEventKind::ScrollUp => self.move_by(-WHEEL),
            MouseEventKind::ScrollDown => self.move_by(WHEEL),
            MouseEventKind::Down(MouseButton::Left) => self.click(at),
            _ => {}
        }
    }

    fn click(&mut self, at: Position) {
        let hit = |places: &[Rect]| places.iter().position(|place| place.contains(at));
        let frame = self.places.frames.iter().find(|(place, _)| place.contains(at));
        let path = frame.and_then(|(_, node)| Some(flame::path_of(self.tree()?, *node)));
        if let Some(tab) = hit(&self.places.tabs) {
            self.show_tab(Tab::ALL[tab]);
        } else if let Some(column) = hit(&self.places.columns) {
            self.sort_by(column);
        } else if let Some(path) = path {
            (self.zoom, self.frame) = (path.clone(), path);
        } else if self.places.body.contains(at) && self.table().is_some() && self.text.is_none() {
            let row = self.first + usize::from(at.y - self.places.body.y);
            match row == self.chosen {
                true => self.enter(),
                false => self.go_to(row),
            }
        }
    }

    fn show_tab(&mut self, tab: Tab) {
        self.tab = tab;
        (self.text, self.problem) = (None, None);
        self.search.clear();
        self.go_to(0);
    }

    fn go_to_tab(&mut self, further: usize) {
        self.show_tab(Tab::ALL[(self.tab as usize + further) % Tab::ALL.len()]);
    }

    fn sort_by(&mut self, column: usize) {
        if self.table().is_some_and(|table| column < table.columns.len()) {
            self.sorted[self.tab as usize] = column;
            self.go_to(0);
        }
    }

    /// Goes to a row, or the last one.
    fn go_to(&mut self, row: usize) {
        let (rows, lines) = (self.rows().len(), self.lines().len());
        match self.table().is_some() && self.text.is_none() {
            true => self.chosen = row.min(rows.saturating_sub(1)),
            false => {
                let most = lines.saturating_sub(self.places.body.height.into());
                self.first = row.min(most);
            }
        }
        if row == 0 {
            (self.first, self.chosen) = (0, 0);
        }
    }

    fn move_by(&mut self, rows: isize) {
        let at =
            if self.table().is_some() && self.text.is_none() { self.chosen } else { self.first };
        self.go_to(at.saturating_add_signed(rows));
    }

    fn go_up_or_down(&mut self, rows: isize) {
        match self.tree().is_some() && self.text.is_none() {
            true => self.step(if rows < 0 { Step::Out } else { Step::In }),
            false => self.move_by(rows),
        }
    }

    fn step(&mut self, step: Step) {
        if let Some(tree) = self.tree() {
            self.frame = flame::step(tree, &self.frame, step);
            if !self.frame.starts_with(&self.zoom) {
                self.zoom = self.frame.clone();
            }
        }
    }

    /// Goes into what is chosen.
    fn enter(&mut self) {
        if self.tree().is_some() {
            self.zoom = self.frame.clone();
            return;
        }
        let Some(row) = self.chosen_row().filter(|_| self.text.is_none()) else { return };
        let title = row.name.clone();
        match row.leads_to.clone() {
            LeadsTo::Function(name) => {
                self.function = Some(name);
                (self.zoom, self.frame) = (Vec::new(), Vec::new());
                self.show_tab(Tab::Flame);
            }
            LeadsTo::Thread(tid) => {
                self.thread = Some(tid);
                self.show_tab(Tab::Top);
            }
            LeadsTo::Text(lines) => {
                self.search.clear();
                self.text = Some(Text { title, lines });
                self.first = 0;
            }
        }
    }

    /// Goes out of what was gone into last.
    fn go_back(&mut self) {
        if self.text.take().is_some() {
            self.first = 0;
        } else if !self.search.is_empty() {
            self.search.clear();
        } else if self.tab == Tab::Flame && !self.zoom.is_empty() {
            self.zoom.pop();
            self.frame.clone_from(&self.zoom);
        } else if self.function.take().is_some() {
            self.show_tab(Tab::Top);
        } else if self.thread.take().is_some() {
            self.show_tab(Tab::Threads);
        } else {
            self.window = None;
        }
    }

    /// Begins anew: of a recording that goes on, with what comes from now on.
    fn reset(&mut self) {
        let now = self.page.as_ref().map(|page| page.recording_ns);
        self.since_ns = now.filter(|_| self.is_growing);
        (self.window, self.function, self.thread) = (None, None, None);
        (self.zoom, self.frame) = (Vec::new(), Vec::new());
        self.search.clear();
        self.text = None;
    }

    /// Goes to an earlier or later part of the recording, of the same length.
    fn move_window(&mut self, by: i64) {
        let Some(all) = self.page.as_ref().map(|page| page.recording_ns) else { return };
        self.window = match self.window {
            None if by > 0 => None,
            None => {
                let usual = if self.is_growing { USUAL_WINDOW_NS } else { all / 10 };
                Some(Window {
                    length_ns: usual.clamp(SHORTEST_WINDOW_NS, all.max(SHORTEST_WINDOW_NS)),
                    end_ns: None,
                })
            }
            Some(Window { end_ns: None, .. }) if by > 0 => None,
            Some(Window { length_ns, end_ns }) => {
                let end = end_ns.unwrap_or(all);
                let end = match by > 0 {
                    true => end.saturating_add(length_ns),
                    false => end.saturating_sub(length_ns).max(length_ns),
                };
                Some(Window { length_ns, end_ns: Some(end).filter(|end| *end < all) })
            }
        };
    }

    fn resize_window(&mut self, change: impl Fn(u64) -> u64) {
        let Some(all) = self.page.as_ref().map(|page| page.recording_ns) else { return };
        if let Some(window) = &mut self.window {
            window.length_ns = change(window.length_ns).max(SHORTEST_WINDOW_NS);
        }
        if self.window.is_some_and(|window| window.length_ns >= all) {
            self.window = None;
        }
    }

    /// Frames of the flame graph that fit into so many columns.
    pub(super) fn frames(&self, width: u16) -> Vec<Frame> {
        self.tree().map(|tree| flame::layout(tree, &self.zoom, width)).unwrap_or_default()
    }
}

/// How long to wait for keys before looking at the trace again: ten pictures a second.
pub const PICTURE: Duration = Duration::from_millis(100);
