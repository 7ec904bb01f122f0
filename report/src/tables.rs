//! Answers questions to tables of many traces.

use std::io;

use anyhow::Result;
use rz_report::sql::{Answer, Engine, query, views, write_rows};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::SqlConfig;
use crate::outputs::{write_file, write_text_to};

/// An answer for programs.
#[derive(Serialize)]
struct Answered<'a> {
    /// What was asked.
    query: &'a str,
    /// An object for each row.
    rows: &'a RawValue,
}

/// Asks what was asked for, and writes the answer.
pub fn ask(config: &SqlConfig) -> Result<()> {
    let query = query(&config.asked, &config.settings)?;
    let views = views(&config.directory)?;
    let engine = Engine::find()?;
    if let Some(path) = &config.json {
        let text = engine.ask(&views, &query, Answer::Json)?;
        let rows = if text.trim().is_empty() { "[]" } else { text.trim() };
        let rows: &RawValue = serde_json::from_str(rows)?;
        write_file(Some(path), |out| {
            let answered = Answered { query: &query, rows };
            serde_json::to_writer(&mut *out, &answered).map_err(io::Error::from)?;
            Ok(writeln!(out)?)
        })?;
    }
    let Some(path) = &config.text else { return Ok(()) };
    let text = engine.ask(&views, &query, Answer::Csv)?;
    write_text_to(path, false, |out, style| match config.csv {
        true => out.write_all(text.as_bytes()),
        false => write_rows(out, style, &text),
    })
}
