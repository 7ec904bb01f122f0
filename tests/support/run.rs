//! Runs a command to its end, within a time limit, and keeps what it said.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::locate::binary;

/// The longest that any command of a test may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What a command left.
#[derive(Debug)]
pub struct Output {
    /// The command as a person would type it.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it complained about; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Output {
    /// This output, if the command exited with 0; else a panic that shows it.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// This output, if the command exited with `code`; else a panic.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Panics unless the command exited with `code`, printed nothing, and
    /// complained in one line that begins with its own name and contains all
    /// of `parts`.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) {
        let output = self.code(code);
        let own_line = ["rec: ", "conv: ", "report: "].iter().any(|n| output.stderr.starts_with(n));
        let one_line = output.stderr.lines().count() == 1;
        assert!(output.stdout.is_empty() && own_line && one_line, "{output}");
        for part in parts {
            assert!(output.stderr.contains(part), "no {part:?} in\n{output}");
        }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "$ {command}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs `rec` with `args`.
pub fn rec(args: &[&str]) -> Output {
    run(Command::new(binary("rec")).args(args))
}

/// Runs `conv` with `args`.
pub fn conv(args: &[&str]) -> Output {
    run(Command::new(binary("conv")).args(args))
}

/// Runs `report` with `args`.
pub fn report(args: &[&str]) -> Output {
    run(Command::new(binary("report")).args(args))
}

/// Runs `command` with no input, and panics when it does not end in time.
///
/// The command is over when it exited and both its streams are closed, so a
/// daemon that it left behind with them open counts as not ended.
pub fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}").replace('"', "");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let mut collect = |stream: mpsc::Receiver<String>| {
        stream.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| {
            // Only the outcome of the test is at stake: it fails in any case.
            let _ = child.kill();
            let _ = child.wait();
            panic!("{shown}: not done after {} s", TIME_LIMIT.as_secs())
        })
    };
    let (stdout, stderr) = (collect(stdout), collect(stderr));
    let status = child.wait().unwrap_or_else(|error| panic!("{shown}: {error}"));
    Output { command: shown, status, stdout, stderr }
}

/// Reads a stream to its end in a thread, so that neither of a command's two
/// pipes fills up while the other is read.
fn drain(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // An error ends the stream; what came before it is kept.
            let _ = stream.read_to_end(&mut bytes);
        }
        // The receiver is gone only when the test has failed already.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
