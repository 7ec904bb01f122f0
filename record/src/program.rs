//! The program that is started for a recording.

use std::ffi::OsString;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use crate::error::RecordError;
use crate::launch::{Waiting, launch};
use crate::signals::{Interrupt, Signals};

/// How often it is looked whether the program has ended.
const TICK: Duration = Duration::from_millis(100);

/// The program that was started for the recording.
pub(crate) struct Program {
    /// Its process id.
    pub(crate) pid: u32,
    name: String,
    waiting: Option<Waiting>,
    child: Option<Child>,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts a process that waits before it executes `command`, with
    /// additions to its environment.
    pub(crate) fn start(
        command: &[OsString],
        environment: &[(&str, OsString)],
        signals: &Signals,
    ) -> Result<Self, RecordError> {
        let name = command.first().map_or_else(String::new, |word| word.to_string_lossy().into());
        match launch(command, environment, signals.original_mask()) {
            Ok(waiting) => Ok(Program {
                pid: waiting.pid,
                name,
                waiting: Some(waiting),
                child: None,
                status: None,
            }),
            Err(source) => Err(RecordError::Launch { program: name, source }),
        }
    }

    /// Lets it execute the program.
    pub(crate) fn begin(&mut self) -> Result<(), RecordError> {
        if let Some(waiting) = self.waiting.take() {
            let failed = |source| RecordError::Launch { program: self.name.clone(), source };
            self.child = Some(waiting.go().map_err(failed)?);
        }
        Ok(())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.status = Some(status);
        }
        self.status.is_some()
    }

    /// Gives a signal that was meant for us alone to the program as well.
    pub(crate) fn pass_on(&self, interrupt: Interrupt) {
        if !interrupt.from_terminal {
            interrupt.send_to(self.pid);
        }
    }

    /// Waits for the program to end; not after yet another signal.
    pub(crate) fn wait(mut self, signals: &Signals) -> Result<Option<ExitStatus>, RecordError> {
        while !self.has_ended() {
            if let Some(interrupt) = signals.wait(TICK) {
                self.pass_on(interrupt);
                break;
            }
        }
        Ok(self.status)
    }
}
