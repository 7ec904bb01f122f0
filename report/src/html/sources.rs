//! Sources that functions of the page are in, with the texts of the lines that matter,
//! if these are to be in the page.

use std::collections::BTreeSet;

use rz_profile::model::{FunctionId, Profile};
use rz_profile::source_map::contents;
use serde::Serialize;

use super::lines::{Lines, Source, file_of};
use crate::model::clean::clean;
use crate::views::annotate::{FoundText, SourcePlaces, find_text, shown_text};

/// Lines before and behind each one that was sampled.
const AROUND: u32 = 8;
/// Longest line, in characters; of a longer one this is its beginning.
const MAX_LINE: usize = 500;
/// How large all texts may be together, in bytes.
const MAX_TEXT: usize = 4 << 20;
/// How many sources are looked for, and how much is read of them, at most.
const MAX_FILES: usize = 4_000;
const MAX_READ: u64 = 1 << 30;

/// All sources.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sources {
    /// Whether texts were asked for.
    embedded: bool,
    files: Vec<SourceInPage>,
}

/// A source, by the number that lines give it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct SourceInPage {
    /// Its path as it was recorded.
    path: String,
    /// Its text, in pieces: the number of the first line, and the lines.
    text: Vec<(u32, Vec<String>)>,
    /// What is to be said of the text.
    notes: Vec<String>,
    /// Why there is none.
    none: Option<String>,
}

impl Sources {
    /// The sources of all lines; texts are looked for in `places`, unless that is `None`.
    /// Where not all of them fit, those come first that have the largest of `weights`.
    pub(super) fn of(
        profile: &Profile,
        lines: &Lines,
        weights: &[u64],
        places: Option<&SourcePlaces>,
    ) -> Self {
        let sources = lines.sources();
        let in_page = |source: &Source<'_>| SourceInPage {
            path: clean(source.file).into_owned(),
            ..SourceInPage::default()
        };
        let mut files: Vec<SourceInPage> = sources.iter().map(in_page).collect();
        if let Some(places) = places {
            let mut order: Vec<usize> = (0..files.len()).collect();
            order.sort_by_key(|&file| std::cmp::Reverse(weights[file]));
            add_texts(profile, (&sources, &order), &mut files, places);
        }
        Sources { embedded: places.is_some(), files }
    }

    /// What a reader should know of the page because of them.
    pub(super) fn notes(&self) -> Vec<String> {
        let left_out = self.files.iter().filter(|file| file.none.as_deref() == Some(TOO_MUCH));
        match left_out.count() {
            0 => Vec::new(),
            count => vec![format!("Of {count} sources the text is not in this page: {TOO_MUCH}.")],
        }
    }
}

const TOO_MUCH: &str = "a page takes 4 MB of text, and looks into 4,000 files, at most";
const REDACTED: &str = "the trace is redacted, so no text is looked for";
const NOT_HERE: &str = "its source is not here: --source-dir DIR says where it is";

fn add_texts(
    profile: &Profile,
    (sources, order): (&[Source<'_>], &[usize]),
    files: &mut [SourceInPage],
    places: &SourcePlaces,
) {
    if !profile.info.redacted.is_empty() {
        files.iter_mut().for_each(|file| file.none = Some(REDACTED.to_owned()));
        return;
    }
    let functions = functions_in(profile, sources);
    let carried = contents(profile, &functions.concat(), &places.maps);
    let (mut room, mut read) = (MAX_TEXT, 0_u64);
    for (looked_for, &number) in order.iter().enumerate() {
        let (Source { file, lines }, page) = (&sources[number], &mut files[number]);
        let (Some(&last), Some(&function)) = (lines.last(), functions[number].first()) else {
            continue;
        };
        if looked_for >= MAX_FILES || read > MAX_READ {
            page.none = Some(TOO_MUCH.to_owned());
            continue;
        }
        let FoundText { file: text, about, no_text_cause } =
            find_text(profile, function, last, carried.get(*file), places);
        let Some(text) = text else {
            page.none = Some(no_text_cause.unwrap_or_else(|| NOT_HERE.to_owned()));
            continue;
        };
        read = read.saturating_add(text.size());
        let pieces = pieces(lines, |line| text.line(line));
        let texts = pieces.iter().flat_map(|(_, lines)| lines);
        match room.checked_sub(texts.map(|line| line.len() + 1).sum()) {
            None => page.none = Some(TOO_MUCH.to_owned()),
            Some(left) => {
                room = left;
                page.text = pieces;
                page.notes = about.map(|about| about.notes()).unwrap_or_default();
            }
        }
    }
}

/// The functions that are in each source.
fn functions_in(profile: &Profile, sources: &[Source<'_>]) -> Vec<Vec<FunctionId>> {
    let mut functions = vec![Vec::new(); sources.len()];
    for id in 0..profile.functions.len() {
        let file = file_of(profile, id);
        if let Ok(number) = sources.binary_search_by_key(&file, |source| source.file) {
            functions[number].push(id);
        }
    }
    functions
}

/// The lines around those that were sampled, without gaps in each piece.
fn pieces<'t>(
    sampled: &BTreeSet<u32>,
    text: impl Fn(u32) -> Option<&'t str>,
) -> Vec<(u32, Vec<String>)> {
    let mut pieces: Vec<(u32, Vec<String>)> = Vec::new();
    let mut next = 1;
    for &line in sampled {
        let from = line.saturating_sub(AROUND).max(next);
        for number in from..=line.saturating_add(AROUND) {
            let Some(text) = text(number) else { break };
            if number > next || pieces.is_empty() {
                pieces.push((number, Vec::new()));
            }
            if let Some((_, lines)) = pieces.last_mut() {
                lines.push(beginning(shown_text(text)));
            }
            next = number + 1;
        }
    }
    pieces
}

fn beginning(line: String) -> String {
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::stacks::Stacks;
    use super::*;
    use crate::fixture::Builder;

    /// A function in each of these files and lines, which is sampled as often as the line
    /// says.
    fn profile(files: &[(&Path, u32)]) -> Profile {
        let stacks: Vec<(String, u64)> =
            (0..).zip(files).map(|(i, (_, line))| (format!("f{i}"), u64::from(*line))).collect();
        let stacks: Vec<(&str, u64)> = stacks.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let mut profile = Builder::of(&stacks);
        for (id, (file, line)) in files.iter().enumerate() {
            profile.functions[id].file = file.to_str().unwrap().to_owned();
            profile.locations[id].lines[0].line = *line;
        }
        profile
    }

    fn sources(mut profile: Profile, embeds: bool) -> Sources {
        let stacks = Stacks::of(&mut profile);
        let mut samples = vec![0; stacks.lines.len()];
        for sample in &profile.samples {
            samples[stacks.end((0, None), sample.thread, sample.stack).unwrap()] += sample.count;
        }
        let weights = stacks.lines.by_file(samples);
        let places = SourcePlaces::default();
        Sources::of(&profile, &stacks.lines, &weights, embeds.then_some(&places))
    }

    #[test]
    fn lines_are_there_with_those_around_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.c");
        let text: String = (1..=100).map(|line| format!("\tline {line}\n")).collect();
        fs::write(&file, text).unwrap();
        let here: [(&Path, u32); 4] = [(&file, 3), (&file, 18), (&file, 60), (&file, 200)];
        let found = sources(profile(&here), true);
        let text = &found.files[0].text;
        let pieces: Vec<(u32, usize)> =
            text.iter().map(|(first, lines)| (*first, lines.len())).collect();
        // The first two are near enough to be one piece.
        assert_eq!(pieces, [(1, 26), (52, 17)]);
        assert_eq!(text[0].1[2], "    line 3");
        assert_eq!(
            found.files[0].notes,
            ["the source has fewer lines than the one that was compiled"]
        );
        let without = sources(profile(&here), false);
        assert!(!without.embedded && without.files[0].text.is_empty());
        assert_eq!(without.files[0].none, None);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone.c");
        let found = sources(profile(&[(&gone, 3)]), true);
        assert_eq!(found.files[0].none.as_deref(), Some(NOT_HERE));
        assert_eq!(found.notes(), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_looked_for_that_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.py");
        fs::write(&file, "secret = 1\n").unwrap();
        let mut redacted = profile(&[(&file, 1)]);
        redacted.functions[0].module = None;
        let open = sources(redacted.clone(), true);
        assert_eq!(open.files[0].text, [(1, vec!["secret = 1".to_owned()])]);
        redacted.info.redacted = vec![("paths".to_owned(), 1)];
        let found = sources(redacted, true);
        assert_eq!(found.files[0].text, []);
        assert_eq!(found.files[0].none.as_deref(), Some(REDACTED));
    }

    #[test]
    fn no_more_is_there_than_has_room() {
        let dir = tempfile::tempdir().unwrap();
        let long = format!("{}\n", "x".repeat(600));
        let file = |name: &str| {
            let file = dir.path().join(name);
            fs::write(&file, long.repeat(18)).unwrap();
            file
        };
        let names: Vec<String> = (0..1_200).map(|number| format!("{number:04}.c")).collect();
        let files: Vec<_> = names.iter().map(|name| file(name)).collect();
        // The last ones are sampled most.
        let line = |number: usize| 9 + u32::from(number >= 1_000);
        let here: Vec<(&Path, u32)> =
            files.iter().enumerate().map(|(i, file)| (file.as_path(), line(i))).collect();
        let found = sources(profile(&here), true);
        let size = |file: &SourceInPage| -> usize {
            file.text.iter().flat_map(|(_, lines)| lines).map(|line| line.len() + 1).sum()
        };
        let all: usize = found.files.iter().map(size).sum();
        assert!(all <= MAX_TEXT && all > MAX_TEXT - 20_000, "{all}");
        let line = &found.files[1_100].text[0].1[0];
        assert_eq!((line.chars().count(), line.ends_with('…')), (MAX_LINE + 1, true));
        let left_out = found.files.iter().filter(|file| file.none.is_some()).count();
        let note = format!("Of {left_out} sources the text is not in this page: {TOO_MUCH}.");
        assert!(left_out > 100 && left_out < 1_000, "{left_out}");
        assert_eq!(found.notes(), [note]);
        assert!(found.files[1_000..].iter().all(|file| file.none.is_none()));
    }
}
