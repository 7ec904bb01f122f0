//! `rec --dump` and `rec --live`: what is recorded is shown by `report`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup2_stdout};

/// A `report` that reads a trace from what was our standard output, and writes to that.
pub(crate) struct Viewer {
    report: Child,
    /// To close standard output, when files cannot be opened any more.
    null: File,
}

impl Viewer {
    /// Starts the `report` that is beside `rec`, or else in the path. From now on what we
    /// write to standard output goes to it.
    pub(crate) fn start(json: bool) -> Result<Viewer, String> {
        let path = path_of_report();
        let mut command = Command::new(&path);
        command.args(["-", "--dump"]).args(json.then_some("--json")).stdin(Stdio::piped());
        let null = File::options().write(true).open("/dev/null");
        let null = null.map_err(|error| format!("/dev/null: {error}"))?;
        let mut report = run(
            command,
            "--dump needs `report`, which is neither beside rec nor in the path: record with \
             --off-cpu -d 0.2, and look at the file with report --dump where there is one",
        )?;
        if let Some(pipe) = report.stdin.take() {
            dup2_stdout(pipe).map_err(|error| format!("cannot write to report: {error}"))?;
        }
        Ok(Viewer { report, null })
    }

    /// Waits until all has been shown, or could not be.
    pub(crate) fn finish(mut self) -> Option<ExitStatus> {
        if let Err(error) = dup2_stdout(&self.null) {
            log::warn!("report cannot be told that this was all: {error}");
            self.stop();
            return None;
        }
        self.report.wait().ok()
    }

    /// Ends it, as there is nothing to show.
    pub(crate) fn stop(&mut self) {
        // It may have ended already.
        let _ = self.report.kill();
        let _ = self.report.wait();
    }
}

/// A `report` that shows a file on the terminal while we write it.
pub(crate) struct Live {
    report: Child,
    /// Whether we know that it has ended.
    is_over: bool,
}

impl Live {
    /// Starts it, for the file that a recording is to write.
    pub(crate) fn start(file: &Path) -> Result<Live, String> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err("--live needs a terminal: record without it, and look at the file with \
                        report --tui where there is one"
                .to_owned());
        }
        let mut command = Command::new(path_of_report());
        command.arg("--tui").arg("--of-recorder").arg("--").arg(file);
        let report = run(
            command,
            "--live needs `report`, which is neither beside rec nor in the path: names are \
             looked up by it, and rec knows addresses only. Look at it from where there is \
             one: ssh HOST rec -p PID -o - | report - --tui",
        )?;
        Ok(Live { report, is_over: false })
    }

    /// Ends the recording, by a signal to ourselves, once it has ended.
    pub(crate) fn end_with_it(&mut self) {
        if !self.is_over && !matches!(self.report.try_wait(), Ok(None)) {
            self.is_over = true;
            // We wait for it.
            let _ = kill(Pid::this(), Signal::SIGINT);
        }
    }

    /// Waits until nobody looks any more.
    pub(crate) fn wait(mut self) {
        let _ = self.report.wait();
    }

    /// Has it give the terminal back.
    pub(crate) fn stop(mut self) {
        if !matches!(self.report.try_wait(), Ok(Some(_))) {
            // It may end at this moment.
            let _ = kill(Pid::from_raw(self.report.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.report.wait();
    }
}

/// The `report` that is beside `rec`, or else the one in the path.
fn path_of_report() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|rec| rec.with_file_name("report"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| "report".into())
}

/// Runs a `report`; what `without` says is to be done where there is none.
fn run(mut command: Command, without: &str) -> Result<Child, String> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => without.to_owned(),
        _ => format!("cannot run {}: {error}", command.get_program().display()),
    })
}
