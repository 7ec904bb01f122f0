//! Texts that are trees: a function in each line, set in by how deep it is, with what it cost
//! together with the lines below it.

use super::ImportError;
use super::functions::{Function, MAX_FRAMES};

/// Lines of a text, at most.
pub(super) const MAX_LINES: usize = 1 << 20;

/// A line of such a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Columns that it is set in by.
    pub(super) depth: usize,
    pub(super) total: f64,
    /// What is the function's own, if the text says it.
    pub(super) own: Option<f64>,
    pub(super) function: Function,
}

/// Calls `take` with each line's path, from the outermost line on, with what is the last
/// line's own, and with whether there are lines below it.
pub(super) fn for_each(
    lines: &[Line],
    mut take: impl FnMut(&[usize], f64, bool) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut below = vec![None; lines.len()];
    for_paths(lines, |path| {
        if let [.., outer, inner] = path {
            *below[*outer].get_or_insert(0.0) += lines[*inner].total;
        }
        Ok(())
    })?;
    for_paths(lines, |path| {
        let Some(&last) = path.last() else { return Ok(()) };
        let rest = lines[last].total - below[last].unwrap_or(0.0);
        take(path, lines[last].own.unwrap_or(rest).max(0.0), below[last].is_some())
    })
}

fn for_paths(
    lines: &[Line],
    mut take: impl FnMut(&[usize]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut path: Vec<usize> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        while path.last().is_some_and(|outer| lines[*outer].depth >= line.depth) {
            path.pop();
        }
        path.truncate(MAX_FRAMES - 1);
        path.push(at);
        take(&path)?;
    }
    Ok(())
}
