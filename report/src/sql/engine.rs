//! DuckDB as it is installed: the command, or Python's module.
//!
//! The library itself is not built in: the crate `duckdb` compiles a million lines of C++.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::error::SqlError;

/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 256 << 20;

/// Bytes of what went wrong that are kept.
const MAX_ERROR: u64 = 64 << 10;

/// What Python is to do: to run what is piped in.
const PYTHON: &str = "import sys, duckdb; duckdb.connect().execute(sys.stdin.read())";

/// Exit status of the first program that is run, if it has no such module.
const HAS_MODULE: &str = "import importlib.util, sys; \
     sys.exit(importlib.util.find_spec('duckdb') is None)";

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The command `duckdb`.
    Command,
    /// The module of `python3`.
    Python,
}

/// As what the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Comma-separated values, with a header.
    Csv,
    /// An array of objects.
    Json,
}

impl Engine {
    /// What there is on this machine.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn find() -> Result<Engine, SqlError> {
        let runs = |command: &mut Command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if runs(Command::new("python3").args(["-c", HAS_MODULE])) {
            Ok(Engine::Python)
        } else if runs(Command::new("duckdb").arg("--version")) {
            Ok(Engine::Command)
        } else {
            Err(SqlError::NoEngine)
        }
    }

    fn command(self) -> Command {
        match self {
            Engine::Command => {
                let mut command = Command::new("duckdb");
                // Nothing of whoever runs it.
                command.args(["-batch", "-bail", "-init", "/dev/null", ":memory:"]);
                command
            }
            Engine::Python => {
                let mut command = Command::new("python3");
                command.args(["-c", PYTHON]);
                command
            }
        }
    }

    /// Answers a query, with what is to be known before.
    ///
    /// # Errors
    /// If DuckDB cannot be run, or has no answer.
    pub fn ask(self, before: &str, query: &str, answer: Answer) -> Result<String, SqlError> {
        let format = match answer {
            Answer::Csv => "FORMAT csv, HEADER true",
            Answer::Json => "FORMAT json, ARRAY true",
        };
        // The query may end in a comment.
        let script = format!("{before}COPY (\n{query}\n) TO '/dev/stdout' ({format});\n");
        let mut command = self.command();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        // Each may wait for the other: a script for its reader, and that for ours.
        let feeder = thread::spawn(move || match stdin {
            Some(mut stdin) => stdin.write_all(script.as_bytes()),
            None => Ok(()),
        });
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.by_ref().take(MAX_ERROR).read_to_end(&mut text);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let text = read_answer(&mut child);
        let status = child.wait()?;
        let errors = errors.join().unwrap_or_default();
        // A reader that has failed says more.
        let _ = feeder.join();
        let text = text?;
        if !status.success() {
            return Err(SqlError::Failed(cause(&errors)));
        }
        String::from_utf8(text).map_err(|_| SqlError::NoAnswer)
    }
}

/// What a child prints; one that prints too much is ended.
fn read_answer(child: &mut Child) -> Result<Vec<u8>, SqlError> {
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER as u64 + 1).read_to_end(&mut text)?;
    }
    if text.len() > MAX_ANSWER {
        let _ = child.kill();
        let _ = child.wait();
        return Err(SqlError::TooLarge(MAX_ANSWER >> 20));
    }
    Ok(text)
}

/// What went wrong, in one line: the line that says so, without where in a script.
fn cause(errors: &str) -> String {
    let lines = errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let says = |line: &&str| line.contains("Error: ") || line.contains("Exception: ");
    let line = lines.clone().find(says).or_else(|| lines.clone().next_back());
    let line = line.unwrap_or("it failed and did not say why");
    line.trim_start_matches("_duckdb.").trim_start_matches("duckdb.").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        let python = "Traceback (most recent call last):\n  File \"<string>\", line 1\n\
                      _duckdb.CatalogException: Catalog Error: no table x!\n\nLINE 2: x\n";
        assert_eq!(cause(python), "CatalogException: Catalog Error: no table x!");
        assert_eq!(cause("Parser Error: syntax\n\nLINE 1: x"), "Parser Error: syntax");
        assert_eq!(cause(""), "it failed and did not say why");
    }
}
