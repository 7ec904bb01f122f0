//! A source map as it is in its file.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::texts::{Text, Texts};

/// Longest original path and name that are kept, in bytes.
const MAX_TEXT: usize = 4096;

/// A place in a file: line and column from 0, columns in units of UTF-16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub(super) struct Place {
    /// Line.
    pub(super) line: u32,
    /// Column.
    pub(super) column: u32,
}

/// A map: flat, or made of sections.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMap<'m> {
    #[serde(default, borrow)]
    sections: Option<Vec<Section<'m>>>,
    #[serde(default, borrow)]
    mappings: Cow<'m, str>,
    #[serde(default, borrow)]
    sources: Texts<'m>,
    #[serde(default, borrow)]
    source_root: Text<'m>,
    #[serde(default, borrow)]
    sources_content: Option<&'m RawValue>,
    #[serde(default, borrow)]
    names: Texts<'m>,
}

/// A map for a part of the generated file.
#[derive(Deserialize)]
struct Section<'m> {
    offset: Place,
    #[serde(borrow)]
    map: FlatMap<'m>,
}

/// A map that is not made of sections, as those of sections are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlatMap<'m> {
    /// Segments of lines, in base 64.
    #[serde(default, borrow)]
    pub(super) mappings: Cow<'m, str>,
    /// Names of sources.
    #[serde(default, borrow)]
    pub(super) sources: Texts<'m>,
    #[serde(default, borrow)]
    source_root: Text<'m>,
    /// Texts of the sources as they are written in the map, which may be a
    /// list of anything, or no list.
    #[serde(default, borrow)]
    pub(super) sources_content: Option<&'m RawValue>,
    /// Names of what stands at places.
    #[serde(default, borrow)]
    pub(super) names: Texts<'m>,
}

impl FlatMap<'_> {
    /// A source, as the map names it; empty if it does not.
    pub(super) fn source(&self, index: usize) -> String {
        let source = self.sources.0.get(index).map_or("", |text| &text.0);
        match &*self.source_root.0 {
            "" => cut(source),
            root => cut(&format!("{}/{source}", root.trim_end_matches('/'))),
        }
    }
}

/// The beginning of a text, as much of it as is kept.
pub(super) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

/// The parts of the map that a file has as `bytes`, each with where in the
/// generated file it begins: the sections, or the whole.
///
/// # Errors
/// With the cause, as the second half of a sentence, if it is no map.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(Place, FlatMap<'_>)>, String> {
    // Servers put such a line before it, so that it is no script.
    let bytes = match bytes.strip_prefix(b")]}'") {
        Some(rest) => &rest[rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())..],
        None => bytes,
    };
    let raw: RawMap =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no source map: {error}"))?;
    let RawMap { sections, mappings, sources, source_root, sources_content, names } = raw;
    Ok(match sections {
        Some(sections) => sections.into_iter().map(|part| (part.offset, part.map)).collect(),
        None => {
            let whole = FlatMap { mappings, sources, source_root, sources_content, names };
            vec![(Place::default(), whole)]
        }
    })
}
