//! Finds where a generated function's name stands, for that place of the map
//! knows what it was called.

use super::map::Place;

/// How far before a function its name is looked for, in bytes.
const MAX_DISTANCE: usize = 64;

/// Where a function begins: at its parameters, as V8 says of it, and in the
/// names that it publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declaration(Place);

impl Declaration {
    /// The declaration in a published name such as
    /// `JS:*parse /srv/app.js:12:34`.
    pub(super) fn of(published: &str) -> Option<Self> {
        let (rest, column) = published.rsplit_once(':')?;
        let (_, line) = rest.rsplit_once(':')?;
        Self::at(line.parse().ok()?, column.parse().ok()?)
    }

    /// The declaration at a line and a column, both from 1.
    pub(super) fn at(line: u32, column: u32) -> Option<Self> {
        Some(Declaration(Place { line: line.checked_sub(1)?, column: column.checked_sub(1)? }))
    }

    /// Where the function's name stands in the generated file `text`: right
    /// before its parameters, or before an equals sign or a colon. Without a
    /// text, the former is supposed.
    pub(super) fn name_place(self, name: &str, text: &[u8]) -> Option<Place> {
        let Declaration(Place { line, column }) = self;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let name = name.rsplit('.').next()?;
        if name.is_empty() || !name.chars().all(is_word) {
            return None;
        }
        if text.is_empty() {
            let column = column.checked_sub(u32::try_from(name.len()).ok()?)?;
            return Some(Place { line, column });
        }
        let whole = text.split(|&byte| byte == b'\n').nth(line as usize)?;
        // Columns are counted in units of UTF-16.
        let whole = String::from_utf8_lossy(whole);
        let end = byte_at(&whole, column)?;
        let from = whole.floor_char_boundary(end.saturating_sub(MAX_DISTANCE));
        let before = &whole[from..end];
        let mut found = before.rmatch_indices(name).filter(|(at, _)| {
            !before[..*at].ends_with(is_word) && !before[at + name.len()..].starts_with(is_word)
        });
        let (at, _) = found.next()?;
        let units = whole[..from + at].encode_utf16().count();
        Some(Place { line, column: u32::try_from(units).ok()? })
    }
}

/// Which byte a column is, as V8 and maps count them.
fn byte_at(line: &str, column: u32) -> Option<usize> {
    let mut units = 0;
    for (at, c) in line.char_indices() {
        if units >= column {
            return Some(at);
        }
        units += c.len_utf16() as u32;
    }
    (units >= column).then_some(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_of_published_names() {
        let check = |name: &str, expected: Option<(u32, u32)>| {
            let expected = expected.map(|(line, column)| Declaration(Place { line, column }));
            assert_eq!(Declaration::of(name), expected, "{name}");
        };
        check("JS:*parse /srv/my app.js:12:34", Some((11, 33)));
        check("LazyCompile:~f file:///srv/app.mjs:1:2", Some((0, 1)));
        check("JS:*f /srv/app.js:0:2", None);
        check("Builtin:ArrayMap", None);
        check("_Z3foov", None);
    }

    #[test]
    fn names_stand_before_parameters() {
        let check = |text: &str, name: &str, column: u32, expected: Option<u32>| {
            let declaration = Declaration(Place { line: 1, column });
            let expected = expected.map(|column| Place { line: 1, column });
            let text = format!("// one\n{text}\n");
            let place = declaration.name_place(name, text.as_bytes());
            assert_eq!(place, expected, "{text} {name}");
        };
        check("function a(b){}", "a", 10, Some(9));
        check("const a=(b)=>b;", "a", 8, Some(6));
        check("x={a:async function(b){}}", "a", 19, Some(3));
        check("class C{a(b){}}", "C.a", 9, Some(8));
        check("const é=1,𝒳=2,a=(b)=>b", "a", 17, Some(15));
        check("function aa(b){}", "a", 11, None);
        check("function a(b){}", "a", 100, None);
        check("function a(b){}", "", 10, None);
        let declaration = Declaration(Place { line: 0, column: 10 });
        assert_eq!(declaration.name_place("a", b""), Some(Place { line: 0, column: 9 }));
        assert_eq!(declaration.name_place("long enough", b""), None);
    }
}
