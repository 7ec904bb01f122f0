//! Writes a page about a function as text.

use std::io::{self, Write};

use rz_profile::model::Unit;

use super::page::{
    AnnotatedFunction, AnnotatedPage, CandidateFunction, CodeInstruction, CodePiece,
    InstructionSource, ModuleCode, NoCode, PlaceAmounts, SourceLine, SourcePart,
};
use crate::model::calltree::Amount;
use crate::model::rows::Rows;
use crate::render::format::{count, counted, percent, percent_of, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::summary::share;

/// Columns that a terminal has for lines and instructions, at least.
const MIN_ROOM: usize = 24;

/// What is the same for all of a page.
struct Writer<'w> {
    out: &'w mut dyn Write,
    style: Style,
    /// The weight of all samples.
    all: u64,
    unit: Unit,
}

/// Writes what is behind the header; weights are in `unit`.
pub(super) fn write_page(
    out: &mut dyn Write,
    style: Style,
    page: &AnnotatedPage,
    unit: Unit,
) -> io::Result<()> {
    let mut writer = Writer { out, style, all: page.total.weight, unit };
    match &page.function {
        Some(function) => writer.function(function),
        None => writer.candidates(&page.candidates, &page.wanted),
    }
}

impl Writer<'_> {
    /// A line in the terminal's dim colour.
    fn dim(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.style.paint(Paint::Dim, text))
    }

    /// A line that is none of the function's.
    fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "  {}", self.style.paint(Paint::Dim, text))
    }

    fn share(&self, amount: Amount) -> String {
        percent(percent_of(amount.weight, self.all))
    }

    /// The columns that a line leaves for its text.
    fn room(&self, taken: usize) -> usize {
        self.style.width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(MIN_ROOM))
    }

    fn candidates(&mut self, candidates: &Rows<CandidateFunction>, wanted: &str) -> io::Result<()> {
        let note = format!(
            "{} match {wanted}: name one of them{}",
            count(candidates.all() as u64),
            some_of(candidates.rows.len(), candidates.all())
        );
        write_title(self.out, self.style, "FUNCTIONS", &note)?;
        let row = |candidate: &CandidateFunction| {
            let mut numbers = share(candidate.self_, self.all, self.unit).to_vec();
            numbers.extend(share(candidate.total, self.all, self.unit));
            TableRow { numbers, text: candidate.function.clone(), suffix: String::new() }
        };
        let rows: Vec<TableRow> = candidates.rows.iter().map(row).collect();
        let title = weight_title(self.unit);
        write_table(self.out, self.style, &["self", title, "total", title, "function"], &rows)
    }

    fn function(&mut self, page: &AnnotatedFunction) -> io::Result<()> {
        let CandidateFunction { function, self_, total, .. } = &page.function;
        let note = format!(
            "self {} = {}, total {} = {}, {}",
            self.share(*self_),
            weight(self.unit, self_.weight),
            self.share(*total),
            weight(self.unit, total.weight),
            counted(total.samples, "sample"),
        );
        writeln!(self.out, "\n{}", self.style.paint(Paint::Bold, function))?;
        self.note(&note)?;
        if let Some(sources) = &page.sources {
            self.sources(sources)?;
        }
        page.code.iter().flatten().try_for_each(|code| self.module(code))
    }

    fn sources(&mut self, sources: &Rows<SourcePart>) -> io::Result<()> {
        sources.rows.iter().try_for_each(|part| self.part(part))?;
        if sources.left_out == 0 {
            return Ok(());
        }
        let functions = counted(sources.left_out, "other function");
        writeln!(self.out)?;
        self.dim(&format!("not shown: {functions} inlined: --min-percent, --limit"))
    }

    fn part(&mut self, part: &SourcePart) -> io::Result<()> {
        let share = self.share(part.amounts.total);
        let file = part.file.as_deref().unwrap_or("no source is known");
        let (title, what) = match part.inlined {
            true => ("INLINED", format!("{share}  {}, {file}", part.symbol.name)),
            false => ("SOURCE", format!("{share}  {file}")),
        };
        write_title(self.out, self.style, title, &what)?;
        let Some(lines) = &part.lines else {
            return self.note("no lines are known: its module has no debug information; see --asm");
        };
        self.about_text(part)?;
        let time = weight_title(self.unit);
        self.dim(&format!("{:>6}  {:>6}  {time:>8}  {:>5}  source", "self", "total", "line"))?;
        let mut before = None;
        for line in &lines.rows {
            if before.is_some_and(|before| line.line > before + 1) {
                self.dim(&format!("{:>31}", "…"))?;
            }
            before = Some(line.line);
            self.line(line)?;
        }
        match part.unknown_lines {
            None => Ok(()),
            Some(unknown) => {
                self.note(&format!("{} are at lines that are not known", self.share(unknown.total)))
            }
        }
    }

    /// Says where the text is from, and what is amiss with it.
    fn about_text(&mut self, part: &SourcePart) -> io::Result<()> {
        let Some(text) = &part.text else {
            let cause = part.no_text_cause.as_ref().map(|cause| format!("; {cause}"));
            let cause = cause.unwrap_or_default();
            return self.note(&format!("the source is not here: see --source-dir{cause}"));
        };
        text.notes().iter().try_for_each(|note| self.note(note))
    }

    fn line(&mut self, line: &SourceLine) -> io::Result<()> {
        let text = cut(line.text.as_deref().unwrap_or_default(), self.room(33));
        let number = self.style.paint(Paint::Dim, &format!("{:>5}", line.line));
        let code = format!("{number}  {text}");
        let numbers = self.numbers(line.amounts);
        writeln!(self.out, "{numbers}  {}", code.trim_end())
    }

    /// Three columns of numbers; empty without samples.
    fn numbers(&self, PlaceAmounts { self_, total }: PlaceAmounts) -> String {
        if total.samples == 0 {
            return format!("{:24}", "");
        }
        let (own, all) = (self.column(self_), self.column(total));
        format!("{own}  {all}  {:>8}", weight(self.unit, total.weight))
    }

    /// A share in its column; nothing of nothing.
    fn column(&self, amount: Amount) -> String {
        let share = percent_of(amount.weight, self.all);
        let text = if amount.samples == 0 { String::new() } else { percent(share) };
        self.style.paint(Paint::for_percent(share), &format!("{text:>6}"))
    }

    fn module(&mut self, code: &ModuleCode) -> io::Result<()> {
        if let Some(none) = &code.no_code {
            return self.note(&why_no_code(none, code));
        }
        let file = code.file.as_deref().unwrap_or_default();
        if code.is_identified == Some(false) {
            self.note(&format!("{file} has no build-id: it may be another build"))?;
        }
        code.pieces.rows.iter().try_for_each(|piece| self.piece(piece, file))?;
        if code.unknown.samples > 0 {
            let share = self.share(code.unknown);
            let is_cut = code.pieces.rows.iter().any(|piece| piece.cut_at.is_some());
            let cut = if is_cut { ", or behind what is shown" } else { "" };
            self.note(&format!("{share} are where no function is known to be{cut}"))?;
        }
        Ok(())
    }

    fn piece(&mut self, piece: &CodePiece, file: &str) -> io::Result<()> {
        let name = piece.function.as_deref().unwrap_or("no name");
        let what = format!("{name}  {:#x} of {file}", piece.start);
        write_title(self.out, self.style, "CODE", &what)?;
        let Some(instructions) = &piece.instructions else {
            return self.note("its bytes are not in the file");
        };
        let (own, all, time) = ("self", "total", weight_title(self.unit));
        self.dim(&format!("{own:>6}  {all:>6}  {time:>8}  {:>8}  instruction", "address"))?;
        let (mut before, mut last) = (None, None);
        for instruction in &instructions.rows {
            if before.is_some_and(|before| before < instruction.address) {
                self.dim(&format!("{:>34}", "…"))?;
                // The next one says where it comes from, even if that is where
                // the one before does.
                last = None;
            }
            before = Some(instruction.end());
            self.source(instruction.source.as_ref(), &mut last)?;
            self.instruction(instruction)?;
        }
        match piece.cut_at {
            None => Ok(()),
            Some(cut_at) => {
                self.note(&format!("it is too long to show what is from {cut_at:#x} on"))
            }
        }
    }

    /// Says where an instruction comes from, unless the one before does, too:
    /// place and text of the line, and the function if that is inlined.
    fn source<'p>(
        &mut self,
        source: Option<&'p InstructionSource>,
        last: &mut Option<(&'p str, u32)>,
    ) -> io::Result<()> {
        let Some(source) = source else { return Ok(()) };
        let place = (source.file.as_str(), source.line);
        if last.replace(place) == Some(place) {
            return Ok(());
        }
        let short = source.file.rsplit('/').next().unwrap_or_default();
        let inlined = match source.inlined {
            true => format!(" ({}, inlined)", source.function),
            false => String::new(),
        };
        let text = source.text.as_deref().unwrap_or_default();
        let line = format!("{short}:{}{inlined}  {text}", source.line);
        let line = cut(line.trim_end(), self.room(36));
        writeln!(self.out, "{:36}{}", "", self.style.paint(Paint::Dim, &line))
    }

    fn instruction(&mut self, instruction: &CodeInstruction) -> io::Result<()> {
        let numbers = self.numbers(instruction.amounts);
        let address = self.style.paint(Paint::Dim, &format!("{:>8x}", instruction.address));
        let text = cut(&instruction.text, self.room(36));
        writeln!(self.out, "{numbers}  {address}  {text}")
    }
}

/// Why a module has no instructions to show.
fn why_no_code(none: &NoCode, code: &ModuleCode) -> String {
    let what = match none {
        NoCode::Kernel => "the kernel's code",
        NoCode::Vdso => "code of the vDSO",
        NoCode::Generated => "generated code",
        NoCode::NoModule => "what has no code",
        NoCode::NoFile(cause) => return format!("{}: {cause}", code.path),
        NoCode::Processor(other) => {
            let file = code.file.as_deref().unwrap_or_default();
            return format!("{file} has code for {other}, not for x86");
        }
    };
    format!("{what} cannot be shown: it is in no file")
}

/// The first `width` characters.
fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}
