//! `rec --dump`: what is recorded goes to `report`, which shows it.

use std::fs::File;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::unistd::dup2_stdout;

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
        let beside = std::env::current_exe().ok().map(|rec| rec.with_file_name("report"));
        let path = beside.filter(|path| path.is_file()).unwrap_or_else(|| "report".into());
        let mut command = Command::new(&path);
        command.args(["-", "--dump"]).args(json.then_some("--json")).stdin(Stdio::piped());
        let null = File::options().write(true).open("/dev/null");
        let null = null.map_err(|error| format!("/dev/null: {error}"))?;
        let mut report = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "--dump needs `report`, which is neither beside rec nor in the path: record with \
                 --off-cpu -d 0.2, and look at the file with report --dump where there is one"
                    .to_owned()
            }
            _ => format!("cannot run {}: {error}", path.display()),
        })?;
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
