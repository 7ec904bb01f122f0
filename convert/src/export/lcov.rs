//! The tracefile of lcov: which lines of sources were seen in stacks, and in how many
//! samples.
//!
//! That is no coverage: lines that ran without being sampled are not in it, and the numbers of
//! functions are samples as well. The test's name says so. Of functions whose calls were
//! recorded it is known how often they were called: these are in a test of their own, those
//! that were never called among them, and not in the other one.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::seen::Seen;
use rustc_hash::FxHashMap;
use rz_profile::model::{EventId, Function, Profile, TotalClass};
use rz_profile::select::main_event;
use rz_text::clean::clean;

/// Names of tests have letters, digits and underscores.
const TEST: &str = "rz_sampled";
const TEST_OF_CALLS: &str = "rz_called";

/// What is known of a source file: numbers of sums, by line and by function. A function
/// also has its first line that was seen.
#[derive(Default)]
struct File {
    lines: BTreeMap<u32, usize>,
    functions: BTreeMap<String, (u32, usize)>,
}

/// Writes the profile; see the module's documentation.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let event = event.or_else(|| main_event(profile));
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut count = 0;
    // Of each function and line in a location, the numbers of their sums.
    let mut places: FxHashMap<(usize, u32), [usize; 2]> = FxHashMap::default();
    for line in profile.locations.iter().flat_map(|location| &location.lines) {
        let function = &profile.functions[line.function];
        if line.line == 0 || !is_source(&function.file) {
            continue;
        }
        places.entry((line.function, line.line)).or_insert_with(|| {
            let mut next = || {
                count += 1;
                count - 1
            };
            let file = files.entry(clean(&function.file).into()).or_default();
            let of_line = *file.lines.entry(line.line).or_insert_with(&mut next);
            // Where it begins is not known of all.
            let first = if function.first_line > 0 { function.first_line } else { line.line };
            let name = name_of(function);
            let known = file.functions.entry(name).or_insert_with(|| (first, next()));
            known.0 = known.0.min(first);
            [of_line, known.1]
        });
    }
    let mut seen = Seen::new(count);
    for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
        seen.next_stack();
        for line in profile.locations_of(sample.stack).flat_map(|location| &location.lines) {
            for &place in places.get(&(line.function, line.line)).into_iter().flatten() {
                seen.add(place, sample.count);
            }
        }
    }
    let called = called(profile);
    for (path, functions) in &called {
        writeln!(out, "TN:{TEST_OF_CALLS}\nSF:{path}")?;
        for (name, (line, _)) in functions {
            writeln!(out, "FN:{line},{name}")?;
        }
        for (name, (_, calls)) in functions {
            writeln!(out, "FNDA:{calls},{name}")?;
        }
        let hit = functions.values().filter(|(_, calls)| *calls > 0).count();
        writeln!(out, "FNF:{}\nFNH:{hit}\nend_of_record", functions.len())?;
    }
    for (path, file) in files {
        let was_seen = |place: usize| seen.sums()[place] > 0;
        let lines: Vec<_> = file.lines.into_iter().filter(|line| was_seen(line.1)).collect();
        if lines.is_empty() {
            continue;
        }
        writeln!(out, "TN:{TEST}\nSF:{path}")?;
        let is_counted = |name: &String| called.get(&path).is_some_and(|of| of.contains_key(name));
        let functions = file.functions.into_iter();
        let functions =
            functions.filter(|(name, (_, place))| was_seen(*place) && !is_counted(name));
        let functions: Vec<_> = functions.collect();
        for (name, (line, _)) in &functions {
            writeln!(out, "FN:{line},{name}")?;
        }
        for (name, (_, place)) in &functions {
            writeln!(out, "FNDA:{},{name}", seen.sums()[*place])?;
        }
        writeln!(out, "FNF:{0}\nFNH:{0}", functions.len())?;
        for (line, place) in &lines {
            writeln!(out, "DA:{line},{}", seen.sums()[*place])?;
        }
        writeln!(out, "LF:{0}\nLH:{0}\nend_of_record", lines.len())?;
    }
    Ok(())
}

/// A file's functions whose calls were recorded, by name: in which line each begins, and how
/// often it was called.
type Called = BTreeMap<String, (u32, u64)>;

/// The functions whose calls were recorded, by file, if all calls are in the sums.
fn called(profile: &Profile) -> BTreeMap<String, Called> {
    let class = TotalClass::Functions;
    let mut files: BTreeMap<String, Called> = BTreeMap::new();
    if profile.inexact.contains(&class) {
        return files;
    }
    let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
    for total in profile.totals.iter().filter(|total| total.class == class) {
        let count = counts.entry(total.number.unwrap_or(u32::MAX)).or_default();
        *count = count.saturating_add(total.count);
    }
    for (number, probed) in &profile.probed {
        let Some(location) = probed.location else { continue };
        // What is inlined where it begins is not what was called.
        let Some(line) = profile.locations[location].lines.last() else { continue };
        let function = &profile.functions[line.function];
        let first = if function.first_line > 0 { function.first_line } else { line.line };
        if first == 0 || !is_source(&function.file) {
            continue;
        }
        let calls = counts.get(number).copied().unwrap_or(0);
        let file = files.entry(clean(&function.file).into()).or_default();
        let (_, sum) = file.entry(name_of(function)).or_insert((first, 0));
        *sum = sum.saturating_add(calls);
    }
    files
}

/// A name that has no comma in it.
fn name_of(function: &Function) -> String {
    clean(&function.name).replace(',', ";")
}

/// Whether it is the path of a file: runtimes have code that is in none.
fn is_source(file: &str) -> bool {
    !file.is_empty() && !file.starts_with('<') && !file.starts_with("node:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;

    #[test]
    fn lines_and_functions_that_were_seen() {
        let mut profile = fixture::profile();
        profile.functions[1].name = "run<A, B>".into();
        let mut out = Vec::new();
        write(&profile, None, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
TN:rz_sampled
SF:app.rs
FN:10,main
FN:20,run<A; B>
FNDA:10,main
FNDA:3,run<A; B>
FNF:2
FNH:2
DA:10,10
DA:20,3
LF:2
LH:2
end_of_record
TN:rz_sampled
SF:lib.rs
FN:5,helper
FNDA:14,helper
FNF:1
FNH:1
DA:5,3
DA:6,10
DA:7,1
LF:3
LH:3
end_of_record
"
        );
    }

    #[test]
    fn files_of_no_source() {
        for (file, expected) in [
            ("", false),
            ("<frozen importlib._bootstrap>", false),
            ("node:internal/timers", false),
            ("src/main.rs", true),
            ("/srv/a.py", true),
        ] {
            assert_eq!(is_source(file), expected, "{file}");
        }
    }
}
