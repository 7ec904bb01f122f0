//! What a trace file consists of, and what was taken out of it.

use std::io::{self, Write};

use rz_profile::inventory::Inventory;

use super::layout::write_line;
use crate::model::clean::clean;
use crate::render::format::{bytes, count, counted, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{Row, write_table};
use crate::render::title::write_title;

/// Kinds of things taken out that are listed, at most.
const MAX_REDACTIONS: usize = 50;

/// Writes how large the file is, by kind of block, and what is missing in it.
pub(super) fn write_file(
    out: &mut dyn Write,
    style: Style,
    inventory: &Inventory,
) -> io::Result<()> {
    let Inventory { file_size, minor, blocks, .. } = inventory;
    let note = format!("{}, format 1.{minor}", bytes(*file_size));
    write_title(out, style, "FILE", &note)?;
    let row = |sum: &rz_profile::inventory::BlockSum| {
        let plain = |text: String| (text, Paint::Plain);
        let share = percent(percent_of(sum.bytes, *file_size));
        Row {
            numbers: vec![plain(share), plain(bytes(sum.bytes)), plain(count(sum.count))],
            text: sum.kind.clone(),
            ..Row::default()
        }
    };
    let rows: Vec<Row> = blocks.iter().map(row).collect();
    write_table(out, style, &["share", "size", "blocks", "of"], &rows)?;
    if inventory.named > 0 {
        let modules = counted(inventory.named, "module");
        write_line(out, style, "names", &format!("of {modules} are in the trace"))?;
    }
    if inventory.generated > 0 {
        let pieces = counted(inventory.generated, "piece");
        write_line(out, style, "generated", &format!("{pieces} of code with names"))?;
    }
    if !inventory.redactions.is_empty() {
        write_title(out, style, "REDACTED", "taken out so that the trace can be given away")?;
    }
    for redaction in inventory.redactions.iter().take(MAX_REDACTIONS) {
        let (what, how) = (clean(&redaction.what), clean(&redaction.how));
        writeln!(out, "  {what}: {how}, {}", count(redaction.count))?;
    }
    Ok(())
}
