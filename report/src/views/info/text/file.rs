//! Writes what a trace file consists of, and what was taken out of it.

use std::io::{self, Write};

use super::layout::write_line;
use crate::model::frames::RuntimeName;
use crate::render::format::{bytes, count, counted, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::write_title;
use crate::views::info::{BlockInfo, CodeObjectsInfo, FileInfo};

/// Writes how large the file is, by kind of block, and what was taken out of it.
pub(super) fn write_file(out: &mut dyn Write, style: Style, file: &FileInfo) -> io::Result<()> {
    let FileInfo { file_bytes, format_minor, .. } = *file;
    let note = format!("{}, format 1.{format_minor}", bytes(file_bytes));
    write_title(out, style, "FILE", &note)?;
    let row = |block: &BlockInfo| {
        let plain = |text: String| (text, Paint::Plain);
        let share = percent(percent_of(block.stored_bytes, file_bytes));
        let numbers =
            vec![plain(share), plain(bytes(block.stored_bytes)), plain(count(block.blocks))];
        TableRow { numbers, text: block.kind.clone(), ..TableRow::default() }
    };
    let rows: Vec<TableRow> = file.blocks.iter().map(row).collect();
    write_table(out, style, &["share", "size", "blocks", "of"], &rows)?;
    if file.named_modules > 0 {
        let modules = counted(file.named_modules, "module");
        write_line(out, style, "names", &format!("of {modules} are in the trace"))?;
    }
    if file.generated_pieces > 0 {
        let pieces = counted(file.generated_pieces, "piece");
        write_line(out, style, "generated", &format!("{pieces} of code with names"))?;
    }
    if !file.code_objects.is_empty() {
        let of_runtime = |code: &CodeObjectsInfo| {
            let runtime = code.runtime.map_or("an unknown runtime", RuntimeName::text);
            format!("{} of {runtime}", count(code.count))
        };
        let counts: Vec<String> = file.code_objects.iter().map(of_runtime).collect();
        write_line(out, style, "functions", &counts.join(", "))?;
    }
    if !file.redacted.is_empty() {
        write_title(out, style, "REDACTED", "taken out so that the trace can be given away")?;
    }
    for redaction in &file.redacted.rows {
        let count = count(redaction.count);
        writeln!(out, "  {}: {}, {count}", redaction.what, redaction.how)?;
    }
    match file.redacted.left_out {
        0 => Ok(()),
        left_out => writeln!(out, "  and {}", counted(left_out, "other kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::text;
    use crate::model::rows::Rows;
    use crate::views::info::RedactionInfo;

    #[test]
    fn what_is_not_listed_is_counted() {
        let (what, how) = ("arguments".to_owned(), "left out".to_owned());
        let mut redacted = Rows { rows: vec![RedactionInfo { what, how, count: 2 }], left_out: 0 };
        let written = |redacted: &Rows<RedactionInfo>| {
            let file = FileInfo { redacted: redacted.clone(), ..FileInfo::default() };
            let written = text(|out| write_file(out, Style::default(), &file));
            written.split_once("\nREDACTED  ").unwrap().1.split_once('\n').unwrap().1.to_owned()
        };
        assert_eq!(written(&redacted), "  arguments: left out, 2\n");
        redacted.left_out = 3;
        assert_eq!(written(&redacted), "  arguments: left out, 2\n  and 3 other kinds\n");
    }
}
