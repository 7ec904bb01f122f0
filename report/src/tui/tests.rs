use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use rz_profile::filter::Moment;
use rz_profile::model::Profile;

use super::app::App;
use super::draw;
use super::flame::path_of;
use super::page::{Tab, page};
use crate::fixture::Builder;

fn profile() -> Profile {
    let stacks = [("main;parse;scan", 6), ("main;parse", 2), ("main;render", 1), ("idle", 1)];
    let mut profile = Builder::of(&stacks);
    profile.info.recording_ns = 20_000_000_000;
    profile.info.samples = 10;
    profile
}

fn press(app: &mut App, keys: &[KeyCode]) {
    keys.iter().for_each(|&code| app.key(KeyEvent::new(code, KeyModifiers::NONE)));
}

fn type_in(app: &mut App, text: &str) {
    text.chars().for_each(|key| press(app, &[KeyCode::Char(key)]));
}

/// The page that is wanted, shown.
fn show(app: &mut App, profile: &Profile) {
    let tab = app.wanted().tab;
    app.show(Ok(page(tab, "t.rz", profile, Some(0))));
}

fn shown(app: &mut App, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let lines: Vec<String> = terminal.backend().to_string().lines().map(line).collect();
    lines.join("\n")
}

/// A line of the screen, without the quotes that are drawn around it.
fn line(drawn: &str) -> String {
    drawn.trim_matches('"').trim_end().to_owned()
}

/// The rows of a table.
fn rows(app: &mut App) -> Vec<String> {
    let screen = shown(app, 80, 24);
    let rows = screen.lines().skip(4).take_while(|line| !line.is_empty());
    rows.map(str::to_owned).collect()
}

#[test]
fn functions_sorted_and_searched() {
    let (profile, mut app) = (profile(), App::new("t.rz".to_owned(), false));
    show(&mut app, &profile);
    let first = |app: &mut App| rows(app)[0].clone();
    assert_eq!(rows(&mut app).len(), 5);
    let by_self = first(&mut app);
    press(&mut app, &[KeyCode::Char('2')]);
    assert_ne!(first(&mut app), by_self, "{}", shown(&mut app, 80, 24));
    type_in(&mut app, "/SCA");
    assert_eq!(rows(&mut app).len(), 1);
    press(&mut app, &[KeyCode::Enter]);
    assert!(shown(&mut app, 80, 24).contains("with “SCA”"));
    press(&mut app, &[KeyCode::Enter]);
    let wanted = app.wanted();
    assert_eq!((wanted.tab, wanted.function.as_deref()), (Tab::Flame, Some("scan")));
    press(&mut app, &[KeyCode::Esc]);
    assert_eq!((app.wanted().tab, app.wanted().function), (Tab::Top, None));
}

#[test]
fn frames_are_as_wide_as_their_share() {
    let (profile, mut app) = (profile(), App::new("t.rz".to_owned(), false));
    press(&mut app, &[KeyCode::Tab]);
    show(&mut app, &profile);
    let screen = shown(&mut app, 60, 10);
    let line = |screen: &str, at: usize| screen.lines().nth(at).unwrap_or_default().to_owned();
    let columns = |line: &str, part: &str| line.split(part).next().unwrap().chars().count();
    assert_eq!(columns(&line(&screen, 3), "▏idle"), 54, "{screen}");
    assert_eq!(columns(&line(&screen, 4), "▏r…"), 48, "{screen}");
    press(&mut app, &[KeyCode::Down, KeyCode::Down, KeyCode::Right]);
    assert!(shown(&mut app, 60, 10).contains("10.0% total, 10.0% self  render"));
    press(&mut app, &[KeyCode::Left, KeyCode::Enter]);
    let screen = shown(&mut app, 60, 10);
    assert!(!screen.contains("▏idle") && line(&screen, 4).starts_with("▏parse"), "{screen}");
    press(&mut app, &[KeyCode::Esc, KeyCode::Esc]);
    assert!(shown(&mut app, 60, 10).contains("▏idle"));
}

#[test]
fn a_frame_is_clicked() {
    let (profile, mut app) = (profile(), App::new("t.rz".to_owned(), false));
    press(&mut app, &[KeyCode::Tab]);
    show(&mut app, &profile);
    shown(&mut app, 60, 10);
    let kind = MouseEventKind::Down(MouseButton::Left);
    app.mouse(MouseEvent { kind, column: 50, row: 4, modifiers: KeyModifiers::NONE });
    assert_eq!(app.zoom, ["main", "render"]);
    let screen = shown(&mut app, 60, 10);
    assert!(!screen.contains("parse") && screen.contains("10.0% self  render"), "{screen}");
}

#[test]
fn a_deep_stack_is_drawn() {
    let stack = vec!["again"; 20_000].join(";");
    let profile = Builder::of(&[(&stack, 1)]);
    let mut app = App::new("t.rz".to_owned(), false);
    press(&mut app, &[KeyCode::Tab]);
    show(&mut app, &profile);
    let innermost = *app.frames(80).last().unwrap();
    assert_eq!(innermost.depth, 19_999);
    app.frame = path_of(app.tree().unwrap(), innermost.node);
    let screen = shown(&mut app, 80, 24);
    assert!(screen.contains("100.0% total, 100.0% self  again"), "{screen}");
}

#[test]
fn windows_of_time() {
    let (profile, mut app) = (profile(), App::new("t.rz".to_owned(), false));
    show(&mut app, &profile);
    let window = |app: &App| (app.wanted().from, app.wanted().to);
    type_in(&mut app, "]");
    assert_eq!(window(&app), (None, None));
    type_in(&mut app, "[");
    assert_eq!(window(&app), (Some(Moment::BeforeEnd(2_000_000_000)), None));
    type_in(&mut app, "[-");
    let (from, to) = (Moment::AfterStart(17_000_000_000), Moment::AfterStart(18_000_000_000));
    assert_eq!(window(&app), (Some(from), Some(to)));
    type_in(&mut app, "]]");
    assert_eq!(window(&app), (Some(Moment::BeforeEnd(1_000_000_000)), None));
    type_in(&mut app, "]");
    assert_eq!(window(&app), (None, None));
    // Of what goes on, the rest is what is to be seen.
    app.set_growing(true);
    type_in(&mut app, "r");
    assert_eq!(window(&app), (Some(Moment::AfterStart(20_000_000_000)), None));
}

#[test]
fn a_terminal_may_be_too_small_and_any_size() {
    let (profile, mut app) = (profile(), App::new("t.rz".to_owned(), true));
    for tab in Tab::ALL {
        assert_eq!(app.wanted().tab, tab);
        show(&mut app, &profile);
        for (columns, rows) in [(1, 1), (20, 5), (40, 8), (41, 9), (80, 24), (300, 100)] {
            let screen = shown(&mut app, columns, rows);
            assert_eq!(screen.contains("is needed"), (columns, rows) == (20, 5), "{screen}");
        }
        press(&mut app, &[KeyCode::Tab]);
    }
}
