//! A terminal that a test types on and looks at: tmux, with a server of its own.

use std::process::Command;

use tempfile::TempDir;

use crate::locate::{temp_dir, text, tool};
use crate::recorder::wait_until;
use crate::run::{Output, run};

/// A terminal in which a shell command runs, after which `exited N` stands there.
pub struct Screen {
    dir: TempDir,
}

impl Screen {
    /// Runs `command` in a terminal of so many columns and rows.
    pub fn start(columns: u16, rows: u16, command: &str) -> Self {
        let screen = Screen { dir: temp_dir() };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let command = format!("{command}; echo exited $?; exec sleep 1000");
        screen.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &command]);
        screen
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let socket = self.dir.path().join("tmux");
        let mut command = Command::new(tool("tmux"));
        command.args(["-f", "/dev/null", "-S", text(&socket)]).args(args).env("LC_ALL", "C.UTF-8");
        run(&mut command).success()
    }

    /// Presses keys, by tmux's names of them.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Sends bytes as a terminal does, such as those of a mouse.
    pub fn send(&self, bytes: &str) {
        self.tmux(&["send-keys", "-l", bytes]);
    }

    /// Makes it so large.
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// What stands there.
    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).stdout
    }

    /// The same once there is `part` in it.
    #[track_caller]
    pub fn wait_for(&self, part: &str) -> String {
        let mut text = String::new();
        wait_until(&format!("“{part}” on the screen"), || {
            text = self.text();
            text.contains(part)
        });
        text
    }

    /// The process that the shell runs.
    pub fn child(&self) -> u32 {
        let shell = self.format("#{pane_pid}");
        let children = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(children).expect("the shell is there");
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("it runs")
    }

    /// Whether the terminal is as a shell has it: no other screen, no mouse, and a line is
    /// edited by the kernel.
    pub fn is_restored(&self) -> bool {
        let mut stty = Command::new("stty");
        let settings = run(stty.args(["-a", "-F", &self.format("#{pane_tty}")])).success().stdout;
        let words = || settings.split([' ', ';', '\n']);
        self.format("#{alternate_on} #{mouse_any_flag}") == "0 0"
            && words().any(|word| word == "icanon")
            && words().any(|word| word == "echo")
    }

    fn format(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format]).stdout.trim().to_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let socket = self.dir.path().join("tmux");
        // It has a process that nobody else ends; a panic is on its way already if this fails.
        let _ = Command::new("tmux").args(["-S", text(&socket), "kill-server"]).status();
    }
}
