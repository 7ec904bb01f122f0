//! A function as it is kept in the trace.

use rz_format::{CodeKind, CodeLine, CodeObject, LineTable, Positions, Runtime};

use super::function::Function;
use super::lines::{LineStarts, Places};

/// What a function is called that has no name, by V8's own tools.
const ANONYMOUS: &str = "(anonymous)";

/// Which line each piece of a function's bytecode is of, by V8's table of that.
pub(super) fn bytecode_lines(
    function: &Function,
    table: &[u8],
    starts: &LineStarts,
) -> Vec<CodeLine> {
    // Where it is not known what a frame is at, it is at the start of the bytecode: that
    // stands for where the function begins.
    let begin = function.span.and_then(|(first, _)| starts.find(first));
    let begin = begin.map(|(line, column)| CodeLine { start: 0, line, column });
    let Places { begins, unknown_from } = Places::of(table);
    let lines = begins.into_iter().filter(|(start, _)| *start > 0 || begin.is_none());
    let lines = lines.map(|(start, place)| {
        let (line, column) = starts.find(place.character).unwrap_or((0, 0));
        CodeLine { start, line, column }
    });
    let end = unknown_from.map(|start| CodeLine { start, line: 0, column: 0 });
    begin.into_iter().chain(lines).chain(end).collect()
}

/// What the trace has of a function.
pub(super) fn code_object(
    id: u32,
    function: Function,
    positions: Positions,
    lines: Vec<CodeLine>,
    starts: &LineStarts,
) -> CodeObject {
    let begin = function.span.and_then(|(first, _)| starts.find(first));
    let (first_line, first_column) = begin.unwrap_or((0, 0));
    let (kind, name) = match function.name.as_str() {
        "" => (CodeKind::Anonymous, ANONYMOUS.to_owned()),
        _ => (CodeKind::Function, function.name),
    };
    CodeObject {
        id,
        // What a child shares with its parent is the same code.
        process_plus_one: 0,
        runtime: Runtime::V8.into(),
        kind: kind.into(),
        name,
        qualified_name: String::new(),
        file: function.file,
        first_line,
        first_column,
        positions: positions.into(),
        lines: LineTable::new(lines),
    }
}
