//! A running target program, killed when the test is done with it.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::locate::{program, temp_dir};

/// The longest that a target may take to print a line it owes.
const LINE_LIMIT: Duration = Duration::from_secs(60);

/// A target program that is known to be busy. Dropping it kills it.
#[derive(Debug)]
pub struct Target {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Where it runs, and leaves what nobody asked for, as node does.
    _folder: Option<TempDir>,
}

impl Target {
    /// Starts the target program `name` with `args`, and returns once it said
    /// that it is busy. Without arguments it runs until it is dropped.
    pub fn start(name: &str, args: &[&str]) -> Self {
        let line = program(name);
        let folder = temp_dir();
        let mut command = Command::new(&line[0]);
        let command = command.args(&line[1..]).args(args).current_dir(folder.path());
        let mut target = Self::spawn(command);
        target._folder = Some(folder);
        target
    }

    /// Starts the program in file `path`, for instance a copy of a target.
    pub fn start_file(path: &Path, args: &[&str]) -> Self {
        Self::spawn(Command::new(path).args(args))
    }

    /// Starts `command`, which has to print "ready" in a line of its own, and
    /// returns once it did.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        // Not ours itself: node has pipes not block, and so what tests say would get lost.
        thread::spawn(move || io::copy(&mut stderr, &mut io::stderr()));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once the target was dropped, but it
                // may still print, and must not be killed by a closed pipe.
                let _ = sender.send(line);
            }
        });
        let target = Self { child, lines, _folder: None };
        target.wait_for("ready");
        target
    }

    /// The process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process id as text, for a command line.
    pub fn pid_text(&self) -> String {
        self.pid().to_string()
    }

    /// Waits until the program prints a line that begins with `start`, and
    /// returns what follows in that line.
    pub fn wait_for(&self, start: &str) -> String {
        loop {
            match self.lines.recv_timeout(LINE_LIMIT) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(start) {
                        return rest.trim().to_owned();
                    }
                }
                Err(error) => panic!("the target did not print {start:?}: {error}"),
            }
        }
    }

    /// Waits until the program ends by itself, and tells whether it was well.
    pub fn wait(mut self) -> bool {
        self.child.wait().expect("the target is a child of this process").success()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Fails only when it has ended and was waited for, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Path, Target};

    fn shell(script: &str) -> Target {
        Target::spawn(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn lives_until_dropped() {
        let target = shell("echo ready; echo noise; echo loaded at 5; exec sleep 1000");
        assert_eq!(target.wait_for("loaded at"), "5");
        let process = format!("/proc/{}", target.pid());
        assert!(Path::new(&process).exists());
        drop(target);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn tells_how_it_ended() {
        assert!(shell("echo ready").wait());
        assert!(!shell("echo ready; exit 3").wait());
    }

    #[test]
    #[should_panic(expected = "did not print \"ready\"")]
    fn ends_before_it_is_ready() {
        shell("echo no");
    }
}
