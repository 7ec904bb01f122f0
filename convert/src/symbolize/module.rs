//! Symbolizes the addresses of one module.

use std::sync::Arc;

use addr2line::Context;
use rayon::prelude::*;

use super::dwarf::{self, DebugSections, Frame, Reader};
use super::find;
use super::names::Names;
use super::segments::Segments;
use super::starts::FunctionStarts;
use super::symbols::{Source, Symbol, SymbolTable};
use super::{Call, ModuleRequest, ModuleSymbols};

/// Addresses that are worth a thread of their own: each has to index the
/// module's compilation units anew.
const MIN_CHUNK: usize = 2048;

/// See [`super::symbolize`].
pub(super) fn symbolize_module(request: &ModuleRequest) -> ModuleSymbols {
    let mut symbols = resolve(request).unwrap_or_else(|cause| {
        let segments = Segments::recorded(request.segments);
        let address = |&offset: &u64| segments.address(offset).unwrap_or(offset);
        let addresses: Vec<u64> = request.offsets.iter().map(address).collect();
        ModuleSymbols {
            starts: addresses.clone(),
            addresses,
            calls: vec![Vec::new(); request.offsets.len()],
            note: Some(cause),
        }
    });
    if let Some(note) = &mut symbols.note {
        *note = format!("{}: {note}", request.path.display());
    }
    symbols
}

/// Fails with a cause if there is no file to take names from; causes and notes
/// are the second half of a sentence that begins with the module's path.
fn resolve(request: &ModuleRequest) -> Result<ModuleSymbols, String> {
    let (binary_file, is_debug_file) = match find::find_binary(request) {
        Ok(file) => (file, false),
        Err(cause) if request.segments.is_empty() => return Err(cause),
        Err(cause) => (find::find_debug_file_alone(request).ok_or(cause)?, true),
    };
    let binary = find::parse(&binary_file)?;
    let debug_file = match dwarf::has_debug_info(&binary) {
        true => None,
        false => find::find_debug_file(request, &binary_file, &binary),
    };
    let debug = debug_file.as_ref().and_then(|file| Some((file, find::parse(file).ok()?)));
    let table = SymbolTable::new(&binary, debug.as_ref().map(|(_, object)| object));

    // What is amiss with debug information; the first finding is reported.
    let mut damage = Vec::new();
    let (info_file, info) = debug.as_ref().map_or((&binary_file, &binary), |(f, o)| (*f, o));
    // A stripped file may still name the shared part of what it lost.
    let shared_file = match dwarf::has_debug_info(info) {
        true => find::find_supplementary_file(request, info_file.path(), info),
        false => Ok(None),
    };
    let shared_file = shared_file.unwrap_or_else(|cause| {
        damage.push(cause);
        None
    });
    let shared = shared_file.as_ref().and_then(|file| find::parse(file).ok());
    let sections = match dwarf::has_debug_info(info) {
        true => DebugSections::load(info, shared.as_ref()).map_err(|e| damage.push(e)).ok(),
        false => None,
    };
    let units = sections.as_ref().map(DebugSections::dwarf);

    let segments = match is_debug_file {
        true => Segments::recorded(request.segments),
        false => Segments::new(&binary),
    };
    let addresses: Vec<Option<u64>> =
        request.offsets.iter().map(|&offset| segments.address(offset)).collect();
    let chunk_size = addresses.len().div_ceil(rayon::current_num_threads()).max(MIN_CHUNK);
    let chunks: Vec<_> = addresses
        .par_chunks(chunk_size)
        .map(|chunk| name_addresses(chunk, units.clone(), &table))
        .collect();
    let mut calls = Vec::with_capacity(addresses.len());
    for (chunk, chunk_damage) in chunks {
        calls.extend(chunk);
        damage.extend(chunk_damage);
    }

    let note = match damage.first() {
        Some(damage) => Some(format!(
            "debug information in {} is incomplete ({damage}): lines and inlined calls may be missing",
            info_file.path().display()
        )),
        None if table.is_empty() && units.is_none() => {
            Some("has neither symbols nor debug information, and no debug file was found".into())
        }
        None => None,
    };
    let addresses: Vec<u64> =
        request.offsets.iter().zip(addresses).map(|(&o, address)| address.unwrap_or(o)).collect();
    let tables = FunctionStarts::new(&binary);
    let start = |(calls, &address): (&Vec<Call>, &u64)| match &tables {
        Some(tables) if calls.is_empty() => tables.find(address).unwrap_or(address),
        _ => address,
    };
    let starts = calls.iter().zip(&addresses).map(start).collect();
    Ok(ModuleSymbols { addresses, starts, calls, note })
}

/// The calls at each address, and the first error in the debug information.
fn name_addresses<'d>(
    addresses: &[Option<u64>],
    units: Option<Arc<gimli::Dwarf<Reader<'d>>>>,
    table: &SymbolTable<'d>,
) -> (Vec<Vec<Call>>, Option<String>) {
    let mut damage = None;
    let mut names = Names::default();
    let context = units.and_then(|units| {
        Context::from_arc_dwarf(units).map_err(|e| damage = Some(e.to_string())).ok()
    });
    let mut calls_at = |address: u64| {
        let frames = context.as_ref().map(|context| dwarf::find_frames(context, address));
        let frames = frames.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
            damage.get_or_insert(error.to_string());
            Vec::new()
        });
        join_calls(frames, table.find(address), &mut names)
    };
    let calls = addresses.iter().map(|address| address.map_or(Vec::new(), &mut calls_at)).collect();
    (calls, damage)
}

/// Joins what debug information and symbol table know of an address.
///
/// The symbol table names the outermost function, the one that was not
/// inlined, unless debug information has a linkage name for it: for C these
/// are the same, with or without debug information, and C++ functions without
/// linkage (in anonymous namespaces, lambdas) have their full name only there.
fn join_calls(frames: Vec<Frame>, symbol: Option<&Symbol>, names: &mut Names) -> Vec<Call> {
    let mut call = |name: &[u8], file: Option<&str>, line| {
        let file = file.map(|path| names.file(path));
        let (name, system_name) = names.function(name);
        Call { name, system_name, file, line, column: 0 }
    };
    let Some((outermost, inlined)) = frames.split_last() else {
        let linker_name = |symbol: &Symbol| match symbol.source {
            Source::Plt => [symbol.name, b"@plt"].concat(),
            Source::Sized | Source::Unsized => symbol.name.to_vec(),
        };
        return symbol.map(|symbol| call(&linker_name(symbol), None, 0)).into_iter().collect();
    };
    let mut calls: Vec<Call> = inlined
        .iter()
        .filter_map(|frame| Some(call(frame.name?, frame.file, frame.line)))
        .collect();
    let mangled = |name: &&[u8]| name.starts_with(b"_Z") || name.starts_with(b"_R");
    let by_symbol = |source| symbol.filter(|s| s.source == source).map(|s| s.name);
    let name = outermost
        .name
        .filter(mangled)
        .or(by_symbol(Source::Sized))
        .or(outermost.name)
        .or(by_symbol(Source::Unsized));
    calls.extend(name.map(|name| call(name, outermost.file, outermost.line)));
    calls
}
