//! Where what is shown goes: to the terminal and to files.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rz_command::output::Destination;
use rz_profile::filter::Filter;
use rz_report::error::ReportError;
use rz_report::render::style::Style;
use rz_report::views::document::Document;
use rz_report::views::markdown::write_markdown;

use crate::cli::{Config, Input};
use crate::user::say;

/// A forgotten argument must not cost a recording: `report --svg a.rz b.rz`
/// reads `a.rz` as the name of the picture.
pub fn refuse_to_overwrite(config: &Config, inputs: &[&Path]) -> Result<()> {
    let outputs = [&config.svg, &config.html, &config.text, &config.json, &config.markdown];
    for output in outputs.into_iter().flatten() {
        let is_trace = output.extension().is_some_and(|extension| extension == "rz");
        let is_input = |input: &&Path| match (output.canonicalize(), input.canonicalize()) {
            (Ok(output), Ok(input)) => output == input,
            _ => false,
        };
        ensure!(
            !is_trace && !inputs.iter().any(is_input),
            "{}: a trace is not overwritten with a report; name another file",
            output.display()
        );
    }
    Ok(())
}

pub fn write_text(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
) -> Result<()> {
    match &config.text {
        Some(path) => write_text_to(path, config.full_names, produce),
        None => Ok(()),
    }
}

/// Writes text, which is as wide as the terminal if it goes there.
pub fn write_text_to(
    path: &Path,
    full_names: bool,
    produce: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
) -> Result<()> {
    let destination = destination(path);
    let terminal = destination == Destination::Stdout && io::stdout().is_terminal();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let style = Style {
        color: terminal && !set("NO_COLOR") && !dumb,
        width: terminal_size::terminal_size()
            .filter(|_| terminal && !full_names)
            .map(|size| size.0.0.into()),
    };
    destination
        .write(|out| produce(out, style))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether what is shown goes anywhere but to the text.
pub fn has_document(config: &Config) -> bool {
    config.json.is_some() || config.markdown.is_some()
}

/// Writes JSON and Markdown, as far as they are wanted.
pub fn write_document<'l>(config: &Config, document: impl FnOnce() -> Document<'l>) -> Result<()> {
    if !has_document(config) {
        return Ok(());
    }
    let document = document();
    write_file(config.json.as_deref(), |out| Ok(document.write(out)?))?;
    write_file(config.markdown.as_deref(), |out| Ok(write_markdown(out, &document)?))
}

pub fn write_svg(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<()> {
    let filtered = match &config.input {
        Input::One(_) => config.filter != Filter::default(),
        Input::Sides(sides) => sides.filters.iter().any(|filter| *filter != Filter::default()),
    };
    write_file(config.svg.as_deref(), produce).or_else(|error| {
        let nothing = matches!(error.downcast_ref(), Some(ReportError::NothingToDraw { .. }));
        if !(nothing && filtered) {
            return Err(error);
        }
        // That is an answer as well.
        say(format_args!("nothing to draw: the filter leaves no samples"));
        Ok(())
    })
}

/// Writes a file, if there is to be one, and says so.
pub fn write_file(
    path: Option<&Path>,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    destination(path).write(produce).with_context(|| path.display().to_string())?;
    if path != Path::new("-") {
        say(format_args!("wrote {}", path.display()));
    }
    Ok(())
}

fn destination(path: &Path) -> Destination {
    Destination::choose(Some(path), Path::new(""), "", false)
}
