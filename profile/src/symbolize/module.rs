//! Symbolizes the addresses of one module.

use super::cache::{Entry, Known};
use super::files::Files;
use super::resolve::resolve;
use super::segments::Segments;
use super::{ModuleRequest, ModuleSymbols, Tools, find};

/// See [`super::symbolize`].
pub(super) fn symbolize_module(request: &ModuleRequest, tools: &Tools) -> ModuleSymbols {
    let mut symbols = find_names(request, tools).unwrap_or_else(|cause| {
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
        let path = match request.path.as_os_str().is_empty() {
            true => "a module without a path".into(),
            false => request.path.display().to_string(),
        };
        *note = format!("{path}: {note}");
    }
    symbols
}

/// Fails with a cause if there is no file to take names from; causes and notes
/// are the second half of a sentence that begins with the module's path.
fn find_names(request: &ModuleRequest, tools: &Tools) -> Result<ModuleSymbols, String> {
    let files = Files::find(request, tools.servers.as_ref())?;
    let binary = find::parse(&files.binary)?;
    let segments = match files.is_debug_file {
        true => Segments::recorded(request.segments),
        false => Segments::new(&binary),
    };
    let addresses: Vec<Option<u64>> =
        request.offsets.iter().map(|&offset| segments.address(offset)).collect();
    let mut wanted: Vec<u64> = addresses.iter().flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();

    let entry = tools.cache.as_ref().and_then(|cache| cache.entry(request, &files));
    let mut known = entry.as_ref().map(Entry::load).unwrap_or_default();
    wanted.retain(|&address| !known.rows.contains_key(&address));
    let mut note = None;
    if !wanted.is_empty() {
        let dirs = files.split_dirs(request);
        let resolution = resolve(&files, dirs, &wanted, segments.lowest_code(), tools.limits)?;
        known.rows.extend(wanted.into_iter().zip(resolution.rows));
        note = resolution.note;
        // What is incomplete may be complete the next time.
        if let (Some(entry), None) = (entry, &note) {
            entry.store(&mut known, &resolution.asked);
        }
    }
    Ok(rows_of(request, &addresses, known, note))
}

fn rows_of(
    request: &ModuleRequest,
    addresses: &[Option<u64>],
    known: Known,
    note: Option<String>,
) -> ModuleSymbols {
    let mut symbols = ModuleSymbols { note, ..ModuleSymbols::default() };
    for (&offset, address) in request.offsets.iter().zip(addresses) {
        let row = address.and_then(|address| known.rows.get(&address));
        let address = address.unwrap_or(offset);
        let (start, calls) = row.cloned().unwrap_or_else(|| (address, Vec::new()));
        symbols.addresses.push(address);
        symbols.starts.push(start);
        symbols.calls.push(calls);
    }
    symbols
}
