//! Draws what was chosen into the cells of a terminal.

use std::hash::{Hash, Hasher};

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use rustc_hash::FxHasher;

use super::app::App;
use super::flame;
use super::page::{Body, Tab};
use crate::render::format::{count, counted, duration, percent, percent_of, shorten};
use crate::render::style::Paint;

/// What the view needs at least.
const LEAST: (u16, u16) = (40, 8);

/// Lines above and below what is shown: what it is, tabs, part of the recording, keys.
const ABOVE: u16 = 3;
const BELOW: u16 = 1;

/// Columns between two numbers.
const GAP: u16 = 2;

/// Colours of frames: warm, as people know flame graphs.
const WARM: [Color; 6] = [
    Color::Indexed(208),
    Color::Indexed(214),
    Color::Indexed(215),
    Color::Indexed(220),
    Color::Indexed(209),
    Color::Indexed(222),
];

const KEYS: &str = "? help  q quit  ←→ tab  1-4 sort  / search  Enter in  Esc out  f freeze";
const KEYS_OF_FLAME: &str = "? help  q quit  Tab tab  ←↑→↓ go  / search  Enter zoom  Esc out";
const KEYS_OF_TEXT: &str = "? help  q quit  ↑↓ scroll  / search  Esc back";

const HELP: [&str; 20] = [
    "Tab, ← →          next tab, tab before",
    "↑ ↓ PgUp PgDn     go through rows; j k g G as well",
    "1 2 3 4           sort by the first, second … column",
    "/                 show only what has a text in it; Enter keeps it, Esc ends it",
    "Enter             go into a row:",
    "                    a function: the flame graph of what goes through it",
    "                    a thread: what that ran",
    "                    a wait or call: where from; memory: who called",
    "Esc               go back out",
    "f                 freeze: look at what is there, while recording goes on",
    "r                 reset: of a live recording, begin with what comes from now on",
    "[ ]               a window of time: earlier, later",
    "- +               a window half as long, twice as long",
    "Mouse             tabs, titles of columns, rows, frames, wheel",
    "q, Ctrl-C         quit; of rec --live, end the recording",
    "",
    "Flame: ↑ the caller, ↓ what it called most, ← → what is beside it, Enter zooms",
    "self: it ran itself. total: self and all it called.",
    "",
    "Any key goes back.",
];

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    let screen = &mut Screen { buffer: frame.buffer_mut(), color: app.color };
    app.places = Default::default();
    let (width, height) = LEAST;
    if area.width < width || area.height < height {
        let size = format!("{}×{} is too small:", area.width, area.height);
        screen.text(area, 0, &size, Style::new());
        screen.text(area, 1, &format!("{width}×{height} is needed"), Style::new());
        return;
    }
    let row = |y| Rect { y, height: 1, ..area };
    head(screen, row(0), app);
    tabs(screen, row(1), app);
    part(screen, row(2), app);
    let body = Rect { y: ABOVE, height: area.height - ABOVE - BELOW, ..area };
    app.places.body = body;
    let keys = if app.shows_help {
        lines(screen, body, HELP.into_iter());
        "any key goes back"
    } else if let Some(text) = &app.text {
        let title = format!("{}  (Esc goes back)", text.title);
        screen.text(body, 0, &title, Style::new().add_modifier(Modifier::BOLD));
        let body = Rect { y: body.y + 1, height: body.height - 1, ..body };
        app.places.body = body;
        app.first = app.first.min(app.lines().len().saturating_sub(1));
        lines(screen, body, app.lines().into_iter().skip(app.first));
        KEYS_OF_TEXT
    } else {
        match app.page.as_ref().filter(|page| page.tab == app.tab).map(|page| &page.body) {
            None => {
                screen.text(body, 0, "reading …", Style::new().add_modifier(Modifier::DIM));
                KEYS
            }
            Some(Body::Table(_)) => {
                table(screen, body, app);
                KEYS
            }
            Some(Body::Flame(_)) => {
                graph(screen, body, app);
                KEYS_OF_FLAME
            }
            Some(Body::Lines(_)) => {
                lines(screen, body, app.lines().into_iter().skip(app.first));
                KEYS_OF_TEXT
            }
        }
    };
    let last = row(area.height - 1);
    if app.is_typing {
        screen.text(last, 0, &format!("/{}▏", app.search), Style::new());
    } else {
        // Whoever quits the view of a recorder ends its recording.
        let ends = app.ends_recording && app.page.as_ref().is_none_or(|page| page.is_open);
        let keys = if ends { keys.replace("q quit", "q end recording") } else { keys.to_owned() };
        screen.text(last, 0, &keys, Style::new().add_modifier(Modifier::DIM));
    }
}

/// Cells to write into.
struct Screen<'b> {
    buffer: &'b mut Buffer,
    color: bool,
}

impl Screen<'_> {
    /// Writes into a line of an area, as far as there is room.
    fn text(&mut self, area: Rect, line: u16, text: &str, style: Style) {
        if line < area.height {
            let style = if self.color { style } else { without_color(style) };
            self.buffer.set_stringn(area.x, area.y + line, text, area.width.into(), style);
        }
    }

    /// The same at the right end.
    fn right(&mut self, area: Rect, line: u16, text: &str, style: Style) {
        let skip = area.width.saturating_sub(columns_of(text));
        let area = Rect { x: area.x + skip, width: area.width - skip, ..area };
        self.text(area, line, text, style);
    }
}

fn without_color(style: Style) -> Style {
    Style { fg: None, bg: None, ..style }
}

/// Columns that a text takes.
fn columns_of(text: &str) -> u16 {
    u16::try_from(ratatui::text::Span::raw(text).width()).unwrap_or(u16::MAX)
}

fn style_of(paint: Paint) -> Style {
    match paint {
        Paint::Plain => Style::new(),
        Paint::Bold => Style::new().add_modifier(Modifier::BOLD),
        Paint::Dim => Style::new().add_modifier(Modifier::DIM),
        Paint::Red => Style::new().fg(Color::Red),
        Paint::Green => Style::new().fg(Color::Green),
    }
}

/// What is shown, and whether it goes on.
fn head(screen: &mut Screen<'_>, area: Rect, app: &App) {
    let state = match &app.page {
        _ if app.is_frozen => "frozen",
        Some(page) if page.is_open && app.is_growing => "live",
        Some(_) if app.is_growing => "over",
        None => "waiting for the first samples",
        Some(_) => "",
    };
    let mut right = String::new();
    if let Some(page) = &app.page {
        right = format!(
            "{}  {}, {} lost  {state}",
            duration(page.recording_ns),
            counted(page.samples, "sample"),
            count(page.lost),
        );
    }
    let right = if right.is_empty() { state } else { right.trim_end() };
    let room = usize::from(area.width.saturating_sub(columns_of(right) + GAP));
    let style = Style::new().add_modifier(Modifier::BOLD);
    screen.text(area, 0, &shorten(&app.name, room), style);
    let live = state == "live";
    screen.right(area, 0, right, if live { Style::new().fg(Color::Green) } else { Style::new() });
}

fn tabs(screen: &mut Screen<'_>, area: Rect, app: &mut App) {
    let mut x = area.x;
    for tab in Tab::ALL {
        let title = format!(" {} ", tab.title());
        let width = columns_of(&title);
        let place = Rect { x, width: width.min(area.right().saturating_sub(x)), ..area };
        let style = match tab == app.tab {
            true => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            false => Style::new(),
        };
        screen.text(place, 0, &title, style);
        app.places.tabs.push(place);
        x = place.right();
    }
}

/// What part is shown, or why it cannot be.
fn part(screen: &mut Screen<'_>, area: Rect, app: &App) {
    match &app.problem {
        Some(problem) => screen.text(area, 0, problem, Style::new().fg(Color::Red)),
        None => screen.text(area, 0, &app.part(), Style::new().fg(Color::Cyan)),
    }
}

fn lines<'l>(screen: &mut Screen<'_>, area: Rect, lines: impl Iterator<Item = &'l str>) {
    for (line, text) in (0..area.height).zip(lines) {
        screen.text(area, line, text, Style::new());
    }
}

fn table(screen: &mut Screen<'_>, area: Rect, app: &mut App) {
    let Some(table) = app.table() else { return };
    let rows = app.rows();
    let height = usize::from(area.height - 1);
    let chosen = app.chosen.min(rows.len().saturating_sub(1));
    let first = app.first.min(chosen).max((chosen + 1).saturating_sub(height));
    let shown = &rows[first..rows.len().min(first + height)];
    // A column is as wide as its title and all numbers of the table need, so that nothing
    // moves when it is gone through.
    let widths = table.columns.iter().enumerate().map(|(at, title)| {
        let cells = table.rows.iter().map(|row| columns_of(&row.cells[at].text));
        cells.max().unwrap_or(0).max(columns_of(title)) + GAP
    });
    let mut places = Vec::new();
    let mut x = area.x;
    for width in widths {
        let width = width.min(area.right().saturating_sub(x));
        places.push(Rect { x, width, ..area });
        x += width;
    }
    let names = Rect { x: x + GAP, width: area.right().saturating_sub(x + GAP), ..area };
    let sorted = app.sorted_by();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    for (at, (title, place)) in table.columns.iter().zip(&places).enumerate() {
        let underlined = bold.add_modifier(Modifier::UNDERLINED);
        screen.right(*place, 0, title, if at == sorted { underlined } else { bold });
    }
    screen.text(names, 0, table.name, bold);
    if rows.is_empty() {
        let none = match table.rows.is_empty() {
            true => table.none.to_owned(),
            false => format!("none has “{}”", app.search),
        };
        screen.text(area, 2, &none, Style::new());
    }
    for (line, (at, row)) in (1..area.height).zip((first..).zip(shown)) {
        let mut style = style_of(row.paint);
        let mut dim = Style::new().add_modifier(Modifier::DIM);
        if at == chosen {
            (style, dim) = (Style::new().add_modifier(Modifier::REVERSED), Style::new());
            dim = dim.add_modifier(Modifier::REVERSED);
            let line_of = Rect { y: area.y + line, height: 1, ..area };
            screen.text(line_of, 0, &" ".repeat(area.width.into()), style);
        }
        for (cell, place) in row.cells.iter().zip(&places) {
            screen.right(*place, line, &cell.text, style);
        }
        let suffix = columns_of(&row.suffix) + GAP;
        let room = match suffix + 16 <= names.width {
            true => names.width - suffix,
            false => names.width,
        };
        let name = shorten(&row.name, room.into());
        let place = Rect { x: names.x + columns_of(&name) + GAP, ..names };
        screen.text(names, line, &name, style);
        let place = Rect { width: names.right().saturating_sub(place.x), ..place };
        screen.text(place, line, &row.suffix, dim);
    }
    (app.first, app.chosen) = (first, chosen);
    app.places.columns = places.iter().map(|place| Rect { height: 1, ..*place }).collect();
    app.places.body = Rect { y: area.y + 1, height: area.height - 1, ..area };
}

/// The flame graph, and below it the function that is chosen.
fn graph(screen: &mut Screen<'_>, area: Rect, app: &mut App) {
    let frames = app.frames(area.width);
    let Some(tree) = app.tree().filter(|_| !frames.is_empty()) else {
        screen.text(area, 1, "no samples: nothing ran, or the filter leaves none", Style::new());
        return;
    };
    let height = area.height - 1;
    // The function that is chosen is on the screen, with one row of what it called.
    let depth = app.frame.len();
    let first = (depth + 1).saturating_sub(height.into());
    let search = app.search.to_lowercase();
    let mut places = Vec::new();
    let chosen = flame::node_at(tree, &app.frame);
    let mut about = "↓ goes to the first function".to_owned();
    for frame in &frames {
        let node = &tree.nodes[frame.node];
        let is_chosen = chosen == Some(frame.node);
        if is_chosen {
            let share = |weight| percent(percent_of(weight, tree.total.weight));
            let (total, own) = (share(node.total.weight), share(node.self_.weight));
            about = format!("{total} total, {own} self  {}", node.frame.text());
            if let Some(module) = Some(&node.frame.module).filter(|module| !module.is_empty()) {
                about.push_str(&format!("  {module}"));
            }
        }
        let Some(line) = frame.depth.checked_sub(first).and_then(|line| u16::try_from(line).ok())
        else {
            continue;
        };
        if line >= height {
            continue;
        }
        let place =
            Rect { x: area.x + frame.from, y: area.y + line, width: frame.width, height: 1 };
        let text = node.frame.text();
        let is_found = !search.is_empty() && text.to_lowercase().contains(&search);
        let style = match (is_chosen, is_found) {
            (true, _) => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
            (false, true) => Style::new().fg(Color::Black).bg(Color::Magenta),
            (false, false) => Style::new().fg(Color::Black).bg(warm(&node.frame.name)),
        };
        let found = if is_found && !screen.color { "*" } else { "" };
        let room = usize::from(frame.width);
        let text = format!("▏{found}{}", shorten(&text, room.saturating_sub(2).max(1)));
        screen.text(place, 0, &format!("{text:room$}"), style);
        places.push((place, frame.node));
    }
    screen.text(area, height, &about, Style::new().add_modifier(Modifier::BOLD));
    app.places.frames = places;
}

/// The colour of a function, always the same.
fn warm(name: &str) -> Color {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    WARM[(hasher.finish() % WARM.len() as u64) as usize]
}
