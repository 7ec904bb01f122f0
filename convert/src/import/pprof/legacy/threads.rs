//! Stacks of all threads of a C++ server.

use super::super::super::ImportError;
use super::draft::{Draft, Place, Sample};
use super::lines::{Lines, calls};
use super::maps;

pub(super) fn read(text: &str) -> Result<Option<Draft>, ImportError> {
    let mut lines = Lines::of(text);
    let Some(first) = lines.next_said() else { return Ok(None) };
    let mut latest = Some(first);
    if first.starts_with("--- threadz ") {
        latest = lines.find(|line| maps::is_heading(line) || line.starts_with('-'));
    } else if !is_thread(first) {
        return Ok(None);
    }
    let mut draft = Draft::of_count("thread");
    while let Some(line) = latest.filter(|line| !maps::is_heading(line)) {
        if line.starts_with("---- no stack trace for") {
            break;
        }
        if !is_thread(line) {
            return Err(lines.damaged("it is no thread"));
        }
        let mut addresses = Vec::new();
        let mut is_same = false;
        latest = None;
        while let Some(line) = lines.next() {
            if line.starts_with("---") {
                latest = Some(line);
                break;
            }
            is_same |= line.contains("same as previous thread");
            let found = lines.addresses(line)?;
            if let ([address], Some((_, name))) = (&found[..], line.rsplit_once(": ")) {
                let address = address.wrapping_sub(u64::from(!addresses.is_empty()));
                let place = Place { function: name.to_owned(), ..Place::default() };
                draft.places.entry(address).or_insert(place);
            }
            addresses.extend(found);
        }
        match draft.samples.last_mut() {
            Some(last) if is_same || addresses.is_empty() => last.values[0] += 1,
            None if is_same || addresses.is_empty() => {}
            _ => {
                let stack = calls(addresses, true);
                draft.samples.push(Sample { values: vec![1], stack });
            }
        }
    }
    draft.mappings = maps::read_behind(latest.unwrap_or_default(), &mut lines)?;
    draft.drop_doubled_leaves();
    Ok(Some(draft))
}

/// Whether a line is like `--- Thread 7f79 (name: main/14748) stack: ---`.
fn is_thread(line: &str) -> bool {
    line.starts_with("--- Thread ") && line.contains("(name: ") && line.contains(") stack: ---")
}
