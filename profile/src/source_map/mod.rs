//! Maps places in generated JavaScript back to the sources that it was made
//! from, in one pass over a profile, so that every view and export has them.
//!
//! ```text
//! app.min.js:1:4711 ─► find     the map: in a folder, beside the file, inside it
//!                   ─► decode   all places of a file in one go over its map
//!                   ─► src/parse.ts:12:3, and the function's name
//! ```
//!
//! A map that is missing costs nothing but the names; one that makes no sense
//! is described in a note. Texts of sources that it carries are read for those
//! who ask ([`contents`](contents())), and not kept in the profile, so that no
//! one gives them away with it.

mod contents;
mod decode;
mod find;
mod map;
mod names;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

pub use contents::{Content, NoContent, contents};

use crate::file_url::path_of;
use crate::model::{Function, FunctionId, Line, ModuleId, Profile};
use crate::notes::limited;
use decode::{Original, look_up};
use find::{Generated, find};
use map::Place;
use names::Declaration;

/// Distinct places that are looked up, at most.
const MAX_PLACES: usize = 1 << 20;

/// What is known of a generated file after its map was read.
struct Mapped {
    originals: BTreeMap<Place, Original>,
    /// Original names of functions, as far as the map tells.
    names: FxHashMap<FunctionId, String>,
}

/// Puts original places and names where the profile has generated JavaScript.
/// Maps are looked for in `dirs`, and beside the generated files.
pub(crate) fn apply(profile: &mut Profile, dirs: &[PathBuf]) {
    let uses = uses(profile);
    if uses.is_empty() {
        return;
    }
    let mut mapped: FxHashMap<String, Mapped> = FxHashMap::default();
    let (mut damaged, mut missing) = (Vec::new(), Vec::new());
    for (file, functions) in uses {
        match map_file(profile, &file, &functions, dirs) {
            Ok(Some(found)) => drop(mapped.insert(file, found)),
            Ok(None) if !dirs.is_empty() && Path::new(&*path_of(&file)).is_absolute() => missing
                .push(format!("{file}: no source map was found: its places stay as they are")),
            Ok(None) => {}
            Err(cause) => {
                damaged.push(format!("{cause}: places in {file} stay as they are"));
            }
        }
    }
    profile.info.notes.extend(limited(&damaged, "more source maps that make no sense"));
    profile.info.notes.extend(limited(&missing, "more files without a source map"));
    if !mapped.is_empty() {
        rewrite(profile, &mapped);
    }
}

/// Functions of generated JavaScript by file, with the places that they have.
fn uses(profile: &Profile) -> BTreeMap<String, BTreeMap<FunctionId, Vec<Place>>> {
    let mut uses: BTreeMap<String, BTreeMap<FunctionId, Vec<Place>>> = BTreeMap::new();
    let mut places = 0;
    for line in profile.locations.iter().flat_map(|location| &location.lines) {
        let function = &profile.functions[line.function];
        let Some(place) = place_of(line).filter(|_| is_script(&function.file)) else { continue };
        places += 1;
        if places > MAX_PLACES {
            break;
        }
        if !uses.contains_key(&function.file) {
            uses.insert(function.file.clone(), BTreeMap::new());
        }
        if let Some(functions) = uses.get_mut(&function.file) {
            functions.entry(line.function).or_default().push(place);
        }
    }
    uses
}

/// Where a line is; `None` if that is not known to the column.
fn place_of(line: &Line) -> Option<Place> {
    Some(Place { line: line.line.checked_sub(1)?, column: line.column.checked_sub(1)? })
}

/// Whether a file is JavaScript, by its name.
fn is_script(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    // Those of the runtime itself have no file.
    matches!(extension, Some("js" | "mjs" | "cjs")) && !file.starts_with("node:")
}

/// Looks up all places of a file; `None` if it has no map.
///
/// # Errors
/// With the cause if its map makes no sense.
fn map_file(
    profile: &Profile,
    file: &str,
    functions: &BTreeMap<FunctionId, Vec<Place>>,
    dirs: &[PathBuf],
) -> Result<Option<Mapped>, String> {
    let Some(Generated { map, map_name, base, text }) = find(file, dirs)? else { return Ok(None) };
    let mut places: Vec<Place> = functions.values().flatten().copied().collect();
    let name_place = |id: FunctionId| {
        let Function { name, system_name, first_line, first_column, .. } = &profile.functions[id];
        let declaration = Declaration::at(*first_line, *first_column);
        declaration.or_else(|| Declaration::of(system_name))?.name_place(name, &text)
    };
    let names: Vec<(FunctionId, Place)> =
        functions.keys().filter_map(|&id| Some((id, name_place(id)?))).collect();
    places.extend(names.iter().map(|(_, place)| place));
    places.sort_unstable();
    places.dedup();
    let mut originals = look_up(&map, &places).map_err(|cause| format!("{map_name}: {cause}"))?;
    let named = names.iter().filter_map(|(id, place)| {
        // It is the name of what stands there, not of what stands before.
        let original = originals.get(place).filter(|original| original.at == *place)?;
        Some((*id, original.name.clone()?))
    });
    let names = named.collect();
    for original in originals.values_mut() {
        original.source = find::resolve(&base, &original.source);
    }
    Ok(Some(Mapped { originals, names }))
}

/// Gives all lines their original places.
fn rewrite(profile: &mut Profile, mapped: &FxHashMap<String, Mapped>) {
    let mut functions = std::mem::take(&mut profile.functions);
    let mut ids: FxHashMap<(String, String, Option<ModuleId>), FunctionId> = FxHashMap::default();
    let key = |function: &Function| (function.name.clone(), function.file.clone(), function.module);
    for (id, function) in functions.iter().enumerate() {
        ids.entry(key(function)).or_insert(id);
    }
    for line in profile.locations.iter_mut().flat_map(|location| &mut location.lines) {
        let generated = functions[line.function].clone();
        let Some(file) = mapped.get(&generated.file) else { continue };
        let Some(original) = place_of(line).and_then(|place| file.originals.get(&place)) else {
            continue;
        };
        let original_name = file.names.get(&line.function);
        let nameless = generated.nameless && original_name.is_none();
        let name = original_name.unwrap_or(&generated.name).clone();
        // What it is in the generated file leads to the map, and so to texts of sources.
        let system_name = match (generated.system_name.as_str(), generated.first_line) {
            ("", line @ 1..) => {
                let Function { name, file, first_column, .. } = &generated;
                format!("JS:{name} {file}:{line}:{first_column}")
            }
            (known, _) => known.to_owned(),
        };
        // Where it begins in that file is not known.
        let file = original.source.clone();
        let function = Function {
            name,
            nameless,
            system_name,
            file,
            module: generated.module,
            ..Function::default()
        };
        line.function = *ids.entry(key(&function)).or_insert_with(|| {
            functions.push(function);
            functions.len() - 1
        });
        line.line = original.line.saturating_add(1);
        line.column = original.column.saturating_add(1);
    }
    profile.functions = functions;
    drop_unused(profile);
}

/// Leaves out functions that no line refers to any more, and puts the others in
/// the order in which lines refer to them, as in a profile that was loaded so.
fn drop_unused(profile: &mut Profile) {
    let mut functions: Vec<Option<Function>> =
        std::mem::take(&mut profile.functions).into_iter().map(Some).collect();
    let mut new_ids: Vec<FunctionId> = vec![0; functions.len()];
    for line in profile.locations.iter_mut().flat_map(|location| &mut location.lines) {
        if let Some(function) = functions[line.function].take() {
            new_ids[line.function] = profile.functions.len();
            profile.functions.push(function);
        }
        line.function = new_ids[line.function];
    }
}
