//! Finds the text of sources.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// Largest source that is read, in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// The text of a source.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// When it was written, if that is known.
    pub(super) modified: Option<SystemTime>,
    lines: Vec<String>,
}

impl SourceFile {
    /// Finds the source that is recorded as `recorded`: below one of `dirs`,
    /// by as much of its path as is there; where it was; or beside `binary`.
    pub(super) fn find(recorded: &str, dirs: &[PathBuf], binary: &str) -> Option<Self> {
        let recorded = Path::new(recorded);
        candidates(recorded, dirs, Path::new(binary)).find_map(|path| Self::read(path).ok())
    }

    fn read(path: PathBuf) -> std::io::Result<Self> {
        let meta = fs::metadata(&path)?;
        // Opening a pipe would wait for a writer.
        if !meta.is_file() || meta.len() > MAX_SIZE {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::to_owned).collect();
        Ok(SourceFile { path, modified: meta.modified().ok(), lines })
    }

    /// A line, counted from 1; `None` behind the end.
    pub(super) fn line(&self, number: u32) -> Option<&str> {
        self.lines.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
    }

    /// The number of the last line.
    pub(super) fn last_line(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }
}

/// Where a source may be, best first.
fn candidates(recorded: &Path, dirs: &[PathBuf], binary: &Path) -> impl Iterator<Item = PathBuf> {
    // What would lead out of a folder is left out.
    let parts: Vec<_> =
        recorded.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let suffix = move |skip: usize| parts[skip..].iter().collect::<PathBuf>();
    let count = recorded.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let mut all = Vec::new();
    for dir in dirs {
        all.extend((0..count).map(|skip| dir.join(suffix(skip))));
    }
    // A relative path would depend on where this program happens to run.
    if recorded.is_absolute() {
        all.push(recorded.to_owned());
    }
    if let (Some(name), Some(dir)) = (recorded.file_name(), binary.parent())
        && binary.is_absolute()
    {
        all.push(dir.join(name));
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
}
