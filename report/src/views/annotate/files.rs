//! Finds the text of sources.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use rz_profile::source_map::{Content, NoContent};

use super::page::OtherText;
use crate::model::clean::clean;

/// Largest source that is read, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// Where texts of sources are looked for first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcePlaces {
    /// Folders with sources.
    pub dirs: Vec<PathBuf>,
    /// Folders with source maps, which may carry sources.
    pub maps: Vec<PathBuf>,
}

/// The text of a source.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Where it is: its path, or what to call the source map that carries it.
    pub(super) path: PathBuf,
    /// When it was written, if that is known.
    pub(super) modified: Option<SystemTime>,
    /// Whether it is in a folder that the user named.
    is_named: bool,
    lines: Vec<String>,
}

/// What is to be said about the text that a source map carries, or should.
#[derive(Debug)]
pub(super) enum AboutMap {
    /// It has none, nor has any file.
    NoText(NoContent),
    /// There is another text than the one that is shown.
    Other(OtherText),
}

impl SourceFile {
    /// Finds the source that is recorded as `recorded`: below one of `dirs`,
    /// by as much of its path as is there; where it was; or beside `binary`.
    pub(super) fn find(recorded: &str, dirs: &[PathBuf], binary: &str) -> Option<Self> {
        let recorded = Path::new(recorded);
        let mut candidates = candidates(recorded, dirs, Path::new(binary));
        candidates.find_map(|(path, is_named)| Self::read(path, is_named).ok())
    }

    /// The better one of a file that is here and what a source map carries, and
    /// what is to be said about that. The text in the map is the one that the
    /// lines are counted in, whatever became of the file since; but a file in a
    /// folder that the user named is shown.
    pub(super) fn or_carried(
        file: Option<Self>,
        carried: Option<&Result<Content, NoContent>>,
    ) -> (Option<Self>, Option<AboutMap>) {
        let Some(carried) = carried else { return (file, None) };
        let carried = match carried {
            Ok(content) => Self::of_content(content),
            Err(cause) => {
                let note = file.is_none().then(|| AboutMap::NoText(cause.clone()));
                return (file, note);
            }
        };
        match file {
            Some(file) if file.lines == carried.lines => (Some(file), None),
            Some(file) if file.is_named => {
                let other = OtherText::InMap(carried.shown_path());
                (Some(file), Some(AboutMap::Other(other)))
            }
            Some(file) => {
                let other = OtherText::InFile(file.shown_path());
                (Some(carried), Some(AboutMap::Other(other)))
            }
            None => (Some(carried), None),
        }
    }

    fn of_content(content: &Content) -> Self {
        SourceFile {
            path: content.map.clone().into(),
            modified: None,
            is_named: false,
            lines: lines(&content.text),
        }
    }

    fn read(path: PathBuf, is_named: bool) -> std::io::Result<Self> {
        let meta = fs::metadata(&path)?;
        // Opening a pipe would wait for a writer.
        if !meta.is_file() || meta.len() > MAX_SIZE {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
        let lines = lines(&String::from_utf8_lossy(&bytes));
        Ok(SourceFile { path, modified: meta.modified().ok(), is_named, lines })
    }

    /// Where it is, as it is shown.
    pub(super) fn shown_path(&self) -> String {
        clean(&self.path.to_string_lossy()).into_owned()
    }

    /// A line, counted from 1; `None` behind the end.
    pub(crate) fn line(&self, number: u32) -> Option<&str> {
        self.lines.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
    }

    /// How large it is, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.lines.iter().map(|line| line.len() as u64 + 1).sum()
    }

    /// The number of the last line.
    pub(crate) fn last_line(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }
}

/// The lines of a text, without the mark that some files begin with.
fn lines(text: &str) -> Vec<String> {
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().map(str::to_owned).collect()
}

/// Where a source may be, best first, and whether that is below one of `dirs`.
fn candidates(
    recorded: &Path,
    dirs: &[PathBuf],
    binary: &Path,
) -> impl Iterator<Item = (PathBuf, bool)> {
    // What would lead out of a folder is left out.
    let parts: Vec<_> =
        recorded.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let suffix = move |skip: usize| parts[skip..].iter().collect::<PathBuf>();
    let count = recorded.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let mut all = Vec::new();
    for dir in dirs {
        all.extend((0..count).map(|skip| (dir.join(suffix(skip)), true)));
    }
    // A relative path would depend on where this program happens to run.
    if recorded.is_absolute() {
        all.push((recorded.to_owned(), false));
    }
    if let (Some(name), Some(dir)) = (recorded.file_name(), binary.parent())
        && binary.is_absolute()
    {
        all.push((dir.join(name), false));
    }
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_by_as_much_of_their_path_as_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("lib/src")).unwrap();
        fs::write(root.join("lib/src/a.c"), "one\ntwo\n").unwrap();
        fs::write(root.join("a.c"), "other\n").unwrap();
        let dirs = [root.to_owned()];
        let find = |recorded: &str, dirs: &[PathBuf], binary: &Path| {
            let found = SourceFile::find(recorded, dirs, binary.to_str().unwrap())?;
            Some(found.line(1).unwrap().to_owned())
        };
        let nowhere = Path::new("");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(find("/build/x/lib/src/a.c", &dirs, nowhere), text("one"));
        assert_eq!(find("/build/x/../src/a.c", &dirs, nowhere), text("other"));
        assert_eq!(find("src/a.c", &dirs, nowhere), text("other"));
        assert_eq!(find(root.join("lib/src/a.c").to_str().unwrap(), &[], nowhere), text("one"));
        assert_eq!(find("/gone/a.c", &[], nowhere), None);
        assert_eq!(find("/gone/a.c", &[], &root.join("app")), text("other"));
        assert_eq!(find("a.c", &[], nowhere), None);
        assert_eq!(find("/dev/null", &[], nowhere), None);
        let file = SourceFile::find("/lib/src/a.c", &dirs, "").unwrap();
        assert_eq!((file.line(0), file.line(2), file.line(3)), (None, Some("two"), None));
        assert_eq!(file.last_line(), 2);
    }

    #[test]
    fn what_was_built_is_shown_unless_the_user_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("a.ts");
        let recorded = here.to_str().unwrap();
        let check = |text: Option<&str>, dirs: &[PathBuf], carried, expected: (&str, &str)| {
            match text {
                Some(text) => fs::write(&here, text).unwrap(),
                None => fs::remove_file(&here).unwrap_or_default(),
            }
            let file = SourceFile::find(recorded, dirs, "");
            let (file, note) = SourceFile::or_carried(file, carried);
            let shown = file.map_or("nothing".to_owned(), |file| {
                format!("{}: {}", file.path.display(), file.line(1).unwrap())
            });
            let short = |text: String| text.replace(&format!("{}/", dir.path().display()), "");
            let note = match note {
                None => String::new(),
                Some(AboutMap::NoText(cause)) => cause.to_string(),
                Some(AboutMap::Other(other)) => other.to_string(),
            };
            let found = (short(shown), short(note));
            assert_eq!((found.0.as_str(), found.1.as_str()), expected);
        };
        let dirs = [dir.path().to_owned()];
        let content = Ok(Content { text: "one\ntwo\n".into(), map: "a.map".into() });
        let content = Some(&content);
        check(None, &[], content, ("a.map: one", ""));
        check(Some("one\r\ntwo"), &[], content, ("a.ts: one", ""));
        check(Some("\u{feff}one\ntwo\n"), &dirs, content, ("a.ts: one", ""));
        check(Some("new"), &[], content, ("a.map: one", "a.ts is not what was built"));
        let moved = "a.map has another text of it: lines may have moved";
        check(Some("new"), &dirs, content, ("a.ts: new", moved));
        let absent = Err(NoContent::Absent { map: "a.map".into() });
        check(Some("new"), &[], Some(&absent), ("a.ts: new", ""));
        check(None, &[], Some(&absent), ("nothing", "a.map does not carry its text"));
        check(Some("new"), &[], None, ("a.ts: new", ""));
        check(None, &[], None, ("nothing", ""));
    }
}
