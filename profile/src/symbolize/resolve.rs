//! Names addresses with the files of a module.

use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::budget::{Budget, Limits};
use super::decompress::mini_debug_info;
use super::dwarf::{DebugInfo, Failure, Frame, PackageSections, Sections, Split, Targets};
use super::files::Files;
use super::go::GoFunctions;
use super::names::SharedNames;
use super::starts::FunctionStarts;
use super::symbols::{Certainty, Symbol, SymbolTable};
use super::{FunctionLine, dwarf, find};

/// What is known of addresses.
#[derive(Debug, Default)]
pub(super) struct Resolution {
    /// Start of the function and calls at each address, in their order; see
    /// [`super::ModuleSymbols`].
    pub(super) rows: Vec<(u64, Vec<FunctionLine>)>,
    /// What is amiss, as the second half of a sentence.
    pub(super) note: Option<String>,
    /// Files of split debug information that were looked for, found or not.
    pub(super) asked: Vec<PathBuf>,
}

/// Names addresses (SVMA), which are ascending and distinct. `lowest` is where
/// code begins.
///
/// Fails with a cause if the module's file cannot be read at all.
pub(super) fn resolve(
    files: &Files,
    split_dirs: Vec<PathBuf>,
    addresses: &[u64],
    lowest: u64,
    limits: Limits,
) -> Result<Resolution, String> {
    let names = SharedNames::default();
    let go = GoFunctions::new(&files.binary);
    let find = |address: &u64| go.as_ref()?.find(*address, &names);
    let by_go: Vec<Option<Vec<FunctionLine>>> = addresses.par_iter().map(find).collect();
    let is_left = |(address, found): (&u64, &Option<_>)| found.is_none().then_some(*address);
    let left: Vec<u64> = addresses.iter().zip(&by_go).filter_map(is_left).collect();
    let mut resolution = match left.is_empty() {
        true => Resolution::default(),
        false => resolve_native(files, split_dirs, &left, lowest, limits, &names)?,
    };
    let mut native = std::mem::take(&mut resolution.rows).into_iter();
    let row = |(&address, calls)| match calls {
        Some(calls) => Some((address, calls)),
        None => native.next(),
    };
    resolution.rows = addresses.iter().zip(by_go).filter_map(row).collect();
    Ok(resolution)
}

/// The same by symbol tables and debug information.
fn resolve_native(
    files: &Files,
    split_dirs: Vec<PathBuf>,
    addresses: &[u64],
    lowest: u64,
    limits: Limits,
    names: &SharedNames,
) -> Result<Resolution, String> {
    let budget = Budget::new(limits);
    let binary = find::parse(&files.binary)?;
    let debug = files.debug.as_ref().and_then(|file| find::parse(file).ok());
    let info = debug.as_ref().unwrap_or(&binary);

    // What is amiss with debug information; the first finding is reported.
    let mut damage = Vec::from_iter(files.missing.clone());
    let mini = mini_debug_info(&binary, &budget).and_then(|data| keep(data, &mut damage));
    let mini = mini.as_deref().and_then(|data| keep(find::parse(data), &mut damage));
    let table = SymbolTable::new([Some(&binary), debug.as_ref(), mini.as_ref()]);

    let shared = files.shared.as_ref().and_then(|file| keep(find::parse(file), &mut damage));
    let load = |file| Sections::load(file, false, &budget);
    let shared = shared.as_ref().map(load).and_then(|result| keep(result, &mut damage));
    let sections = dwarf::has_debug_info(info).then(|| load(info));
    let has_debug_info = sections.is_some();
    let sections = sections.and_then(|result| keep(result, &mut damage));
    let package = files.package.as_ref().and_then(|file| keep(find::parse(file), &mut damage));
    let package = package.map(|file| PackageSections::load(&file, &budget));
    let package = package.and_then(|result| keep(result, &mut damage));
    let package = package.as_ref().and_then(|package| keep(package.package(), &mut damage));
    let split = Split::new(package, split_dirs);

    let name = |at: usize, frames: &[Frame]| join_calls(frames, table.find(addresses[at]), names);
    let mut calls: Vec<Option<Vec<FunctionLine>>> = vec![None; addresses.len()];
    if let Some(sections) = &sections {
        let info = DebugInfo::new(sections, shared.as_ref(), &split, &budget, names);
        if let Some(info) = keep(info, &mut damage) {
            let resolved = info.resolve(&Targets::new(addresses.to_vec(), lowest), name);
            calls = resolved.found;
            damage.extend(resolved.failures.iter().map(Failure::to_string));
        }
    }
    let starts = FunctionStarts::new(&binary);
    let complete = |(at, calls): (usize, Option<Vec<FunctionLine>>)| {
        let calls = calls.unwrap_or_else(|| name(at, &[]));
        let tables = starts.as_ref().filter(|_| calls.is_empty());
        let start = tables.and_then(|tables| tables.find(addresses[at]));
        (start.unwrap_or(addresses[at]), calls)
    };
    let rows = calls.into_par_iter().enumerate().map(complete).collect();

    let note = match damage.first() {
        Some(damage) => Some(format!(
            "debug information in {} is incomplete ({damage}): lines and inlined calls may be missing",
            files.info().path().display()
        )),
        None if table.is_empty() && !has_debug_info => {
            Some("has neither symbols nor debug information, and no debug file was found".into())
        }
        None => None,
    };
    Ok(Resolution { rows, note, asked: split.asked() })
}

/// The value, or the cause added to `damage`.
fn keep<T>(result: Result<T, impl ToString>, damage: &mut Vec<String>) -> Option<T> {
    result.map_err(|cause| damage.push(cause.to_string())).ok()
}

/// Joins what debug information and symbol table know of an address.
///
/// The symbol table names the outermost function, the one that was not
/// inlined, unless debug information has a linkage name for it: for C these
/// are the same, with or without debug information, and C++ functions without
/// linkage (in anonymous namespaces, lambdas) have their full name only there.
fn join_calls(frames: &[Frame], symbol: Option<&Symbol>, names: &SharedNames) -> Vec<FunctionLine> {
    let call = |name: &[u8], file: Option<&Arc<str>>, line| {
        let (name, system_name) = names.function(name);
        FunctionLine { name, system_name, file: file.cloned(), line, column: 0 }
    };
    let Some((outermost, inlined)) = frames.split_last() else {
        let linker_name = |symbol: &Symbol| match symbol.certainty {
            Certainty::Plt => [symbol.name, b"@plt"].concat(),
            Certainty::Sized | Certainty::Unsized => symbol.name.to_vec(),
        };
        return symbol.map(|symbol| call(&linker_name(symbol), None, 0)).into_iter().collect();
    };
    let mut calls: Vec<FunctionLine> = inlined
        .iter()
        .filter_map(|frame| Some(call(frame.name?, frame.file.as_ref(), frame.line)))
        .collect();
    let mangled = |name: &&[u8]| name.starts_with(b"_Z") || name.starts_with(b"_R");
    let by_symbol = |certainty| symbol.filter(|s| s.certainty == certainty).map(|s| s.name);
    let name = outermost
        .name
        .filter(mangled)
        .or(by_symbol(Certainty::Sized))
        .or(outermost.name)
        .or(by_symbol(Certainty::Unsized));
    calls.extend(name.map(|name| call(name, outermost.file.as_ref(), outermost.line)));
    calls
}
