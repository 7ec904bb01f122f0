//! Finds the map of a generated file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::file_url::{path_of, percent_decoded};

/// Largest generated file and largest map that are read, in bytes.
const MAX_SIZE: u64 = 256 << 20;

/// What a generated file says at its end of its map.
const MARKS: [&[u8]; 2] = [b"//# sourceMappingURL=", b"//@ sourceMappingURL="];

/// A generated file's map.
pub(super) struct Generated {
    /// Content of the map.
    pub(super) map: Vec<u8>,
    /// What to call it in a note.
    pub(super) map_name: String,
    /// The folder that sources are named from.
    pub(super) base: PathBuf,
    /// The generated file itself; empty if it is not here.
    pub(super) text: Vec<u8>,
}

/// Finds the map of the generated file that is recorded as `file`: below one
/// of `dirs`, by as much of its path as is there; or where the file says, in
/// itself or beside it. `None` if there is none.
///
/// # Errors
/// With the cause, if there is one that cannot be read.
pub(super) fn find(file: &str, dirs: &[PathBuf]) -> Result<Option<Generated>, String> {
    let path = PathBuf::from(&*path_of(file));
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let text = read_text(&path);
    let url = text.as_deref().and_then(mapping_url);
    let inline = |text: &[u8], folder: &Path| {
        let url = mapping_url(text)?;
        let encoded = url.strip_prefix("data:")?;
        let map_name = format!("the map in {}", path.display());
        let Some(map) = decode_data_url(encoded) else {
            return Some(Err(format!("{map_name} is not in base 64")));
        };
        let (base, text) = (folder.to_owned(), text.to_vec());
        Some(Ok(Generated { map, map_name, base, text }))
    };
    // Where the map is, and the folder that its sources are named from if it
    // is where the generated file says.
    let mut candidates: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut with_extension = path.clone().into_os_string();
    with_extension.push(".map");
    let with_extension = PathBuf::from(with_extension);
    for dir in dirs {
        for suffix in suffixes(&with_extension) {
            candidates.push((dir.join(suffix), folder.clone()));
        }
        if let Some(name) = url.as_deref().and_then(|url| url.rsplit('/').next()) {
            candidates.push((dir.join(name), folder.clone()));
        }
        for suffix in suffixes(&path) {
            if let Some(text) = read_text(&dir.join(suffix))
                && let Some(found) = inline(&text, &folder)
            {
                return found.map(Some);
            }
        }
    }
    if let Some(found) = text.as_deref().and_then(|text| inline(text, &folder)) {
        return found.map(Some);
    }
    // A relative path would depend on where this program happens to run.
    if path.is_absolute() {
        if let Some(url) = url.as_deref().filter(|url| !url.contains("://")) {
            let map = folder.join(percent_decoded(url));
            let base = map.parent().unwrap_or(&folder).to_owned();
            candidates.push((map, base));
        }
        candidates.push((with_extension, folder));
    }
    for (path, base) in candidates {
        match read(&path) {
            Ok(map) => {
                let map_name = path.display().to_string();
                let text = text.unwrap_or_default();
                return Ok(Some(Generated { map, map_name, base, text }));
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(None)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A generated file, if it is here.
pub(super) fn read_text(path: &Path) -> Option<Vec<u8>> {
    if !path.is_absolute() && !path.exists() {
        return None;
    }
    read(path).ok()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let meta = fs::metadata(path)?;
    // Opening a pipe would wait for a writer.
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if meta.len() > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The ends of a path, the longest first, without what leads out of a folder.
fn suffixes(path: &Path) -> impl Iterator<Item = PathBuf> {
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_owned()),
            _ => None,
        })
        .collect();
    (0..parts.len()).map(move |skip| parts[skip..].iter().collect())
}

/// What a generated file says in a line of its own of where its map is; the
/// last such line counts.
fn mapping_url(text: &[u8]) -> Option<String> {
    let mut lines = text.rsplit(|&byte| byte == b'\n');
    let url = lines.find_map(|line| MARKS.iter().find_map(|mark| line.strip_prefix(*mark)))?;
    let url = std::str::from_utf8(url).ok()?.trim();
    (!url.is_empty()).then(|| url.to_owned())
}

/// The content of a `data:` URL, without that word, if it is in base 64.
fn decode_data_url(url: &str) -> Option<Vec<u8>> {
    let (kind, data) = url.split_once(',')?;
    kind.ends_with(";base64").then(|| decode_base64(data))?
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut length) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        length += 6;
        if length >= 8 {
            length -= 8;
            bytes.push((bits >> length) as u8);
        }
    }
    Some(bytes)
}

/// The path of a source that a map names from `base`; a URL stays as it is.
pub(super) fn resolve(base: &Path, source: &str) -> String {
    if source.starts_with("file://") {
        return path_of(source).into_owned();
    }
    if source.is_empty() || source.contains("://") {
        return source.to_owned();
    }
    let mut path = PathBuf::new();
    for part in base.join(source).components() {
        match part {
            Component::ParentDir if path.has_root() || path.file_name().is_some() => {
                path.pop();
            }
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_from_the_map() {
        let check = |source: &str, expected: &str| {
            assert_eq!(resolve(Path::new("/srv/app/dist"), source), expected);
        };
        check("../src/a.ts", "/srv/app/src/a.ts");
        check("./a.ts", "/srv/app/dist/a.ts");
        check("/abs/a.ts", "/abs/a.ts");
        check("file:///abs/a%20b.ts", "/abs/a b.ts");
        check("webpack:///./src/a.js", "webpack:///./src/a.js");
        check("../../../../../a.ts", "/a.ts");
        assert_eq!(resolve(Path::new(""), "../a.ts"), "../a.ts");
    }

    #[test]
    fn maps_are_found_where_the_file_says_and_below_folders() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("maps/dist")).unwrap();
        let file = at("app.js");
        let check = |text: &str, dirs: &[PathBuf], expected: Option<&str>| {
            fs::write(&file, text).unwrap();
            let found = find(file.to_str().unwrap(), dirs).unwrap();
            let found = found.map(|found| String::from_utf8(found.map).unwrap());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("1", &[], None);
        fs::write(at("app.js.map"), "beside").unwrap();
        fs::write(at("other.map"), "other").unwrap();
        check("1", &[], Some("beside"));
        check("1\n//# sourceMappingURL=other.map\n", &[], Some("other"));
        check("1\n//# sourceMappingURL=gone.map\n", &[], Some("beside"));
        check("1\n//# sourceMappingURL=https://x/y.map", &[], Some("beside"));
        check("//# sourceMappingURL=data:application/json;base64,aGk=", &[], Some("hi"));
        fs::write(at("maps/app.js.map"), "below").unwrap();
        check("1", &[at("maps")], Some("below"));
        let found = find("/elsewhere/dist/app.js", &[at("maps")]).unwrap().unwrap();
        assert_eq!((found.map, found.base), (b"below".to_vec(), "/elsewhere/dist".into()));
        fs::write(at("maps/dist/app.js.map"), "deep").unwrap();
        let found = find("file:///elsewhere/dist/app.js", &[at("maps")]).unwrap().unwrap();
        assert_eq!(found.map, b"deep");
        fs::write(&file, "//# sourceMappingURL=data:application/json;base64,?").unwrap();
        assert!(find(file.to_str().unwrap(), &[]).is_err());
        assert!(find("app.js", &[]).unwrap().is_none());
    }
}
