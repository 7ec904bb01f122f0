//! The machine code of functions, out of the file that was recorded.

use std::path::Path;

use object::{Architecture, Object, ObjectSection};

use super::ModuleRequest;
use super::find;
use super::go::GoFunctions;
use super::names::Names;
use super::segments::Segments;
use super::starts::FunctionStarts;
use super::symbols::SymbolTable;

/// A file with code, which is the one that was recorded as far as that can be
/// told.
pub struct CodeFile<'d> {
    path: &'d Path,
    object: object::File<'d>,
    segments: Segments,
    table: SymbolTable<'d>,
    starts: Option<FunctionStarts<'d>>,
    go: Option<GoFunctions<'d>>,
    is_identified: bool,
}

/// Where a function's code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRange {
    /// What the symbol table calls it; empty if it has no name for it.
    pub name: String,
    /// Address (SVMA) of its first byte.
    pub start: u64,
    /// Address behind its last byte.
    pub end: u64,
}

/// Looks at the code of a module, of whose request the offsets do not matter.
///
/// # Errors
/// With the cause, as the second half of a sentence that begins with the
/// module, if its file is not here or is another build.
pub fn with_code<R>(
    request: &ModuleRequest,
    look: impl FnOnce(&CodeFile) -> R,
) -> Result<R, String> {
    let file = find::find_binary(request)?;
    let object = find::parse(&file)?;
    let debug_file = find::find_debug_file(request, &file, &object);
    let debug = debug_file.as_ref().and_then(|file| find::parse(file).ok());
    let code = CodeFile {
        path: file.path(),
        segments: Segments::new(&object),
        table: SymbolTable::new([Some(&object), debug.as_ref(), None]),
        starts: FunctionStarts::new(&object),
        go: GoFunctions::new(&file),
        is_identified: !request.build_id.is_empty(),
        object,
    };
    Ok(look(&code))
}

impl<'d> CodeFile<'d> {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.path
    }

    /// Whether a build-id says that it is the recorded one; if not, only its
    /// path and its size do.
    pub fn is_identified(&self) -> bool {
        self.is_identified
    }

    /// Whether its code is for x86, and if so with how many bits; if not, the
    /// name of what it is for.
    ///
    /// # Errors
    /// With that name.
    pub fn x86_bits(&self) -> Result<u32, String> {
        match self.object.architecture() {
            Architecture::X86_64 => Ok(64),
            Architecture::I386 => Ok(32),
            other => Err(format!("{other:?}")),
        }
    }

    /// The function at an address (SVMA): by Go's table, the symbol table, or else
    /// by the unwind tables.
    pub fn function_at(&self, address: u64) -> Option<CodeRange> {
        if let Some((name, start, end)) = self.go.as_ref().and_then(|go| go.range(address)) {
            let name = String::from_utf8_lossy(name).into_owned();
            // Where there is a symbol, it knows what only fills the room behind it.
            let symbol = self.table.find(address).filter(|symbol| symbol.start == start);
            return Some(CodeRange { name, start, end: symbol.map_or(end, |symbol| symbol.end) });
        }
        if let Some(symbol) = self.table.find(address) {
            let (name, _) = Names::default().function(symbol.name);
            return Some(CodeRange {
                name: name.to_string(),
                start: symbol.start,
                end: symbol.end,
            });
        }
        let (start, end) = self.starts.as_ref()?.range(address)?;
        Some(CodeRange { name: String::new(), start, end })
    }

    /// The bytes at addresses from `start` up to `end`; `None` if these are not
    /// all in one section of code.
    pub fn bytes(&self, start: u64, end: u64) -> Option<&'d [u8]> {
        let mut sections = self.object.sections();
        let section = sections.find(|section| {
            let section_end = section.address().saturating_add(section.size());
            section.address() <= start && end <= section_end && section.size() > 0
        })?;
        let from = usize::try_from(start - section.address()).ok()?;
        let to = usize::try_from(end - section.address()).ok()?;
        section.data().ok()?.get(from..to)
    }

    /// Offset in the file of the byte at an address (SVMA).
    pub fn offset(&self, address: u64) -> Option<u64> {
        self.segments.offset(address)
    }
}
