//! Go's counts: of goroutines, of stacks that made threads, and of what programs count.

use super::super::super::ImportError;
use super::draft::{Draft, Place, Sample};
use super::lines::{Lines, calls};
use super::maps;

pub(super) fn read(text: &str) -> Result<Option<Draft>, ImportError> {
    let mut lines = Lines::of(text);
    let Some((name, total)) =
        lines.next_said().and_then(|line| line.split_once(" profile: total "))
    else {
        return Ok(None);
    };
    if name.contains(char::is_whitespace) || total.parse::<u64>().is_err() {
        return Ok(None);
    }
    let mut draft = Draft::of_count(name);
    let mut latest = "";
    while let Some(line) = lines.next() {
        latest = line;
        if line.starts_with("---") {
            break;
        }
        if line.is_empty() || draft.take_go_name(line) || line.starts_with('#') {
            continue;
        }
        let Some((count, stack)) = line.split_once(" @ ") else {
            return Err(lines.damaged("it is no stack"));
        };
        let values = vec![lines.number(count)?];
        let stack = calls(lines.addresses(stack)?, false);
        draft.samples.push(Sample { values, stack });
    }
    draft.mappings = maps::read_behind(latest, &mut lines)?;
    Ok(Some(draft))
}

impl Draft {
    /// Takes what Go says of an address, for people: `#`, the address of the call,
    /// `function+0x1d`, `file:line`, with tabs between them. Returns whether it was that.
    pub(super) fn take_go_name(&mut self, line: &str) -> bool {
        let mut words = line.split('\t').filter(|word| !word.is_empty());
        if words.next() != Some("#") {
            return false;
        }
        let address = words.next().and_then(|word| word.strip_prefix("0x"));
        let address = address.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let (Some(address), Some(function)) = (address, words.next()) else { return false };
        let function = function.rsplit_once("+0x").map_or(function, |(name, _)| name);
        let (file, line) = words.next().and_then(|at| at.rsplit_once(':')).unwrap_or_default();
        let (file, line) = (file.to_owned(), line.parse().unwrap_or(0));
        self.places.entry(address).or_insert(Place { function: function.to_owned(), file, line });
        true
    }
}
