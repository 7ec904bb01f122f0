//! The files of a recording that goes on: their names in a folder, and which of them stay.
//!
//! ```text
//! HOST-PROGRAM-2026-11-30T19-45-00.250Z.rz        whole
//! HOST-PROGRAM-2026-11-30T19-55-00.251Z.rz.part   is being written, or was when rec was killed
//! ```
//!
//! Only files of such names are ever removed, and only if what is in them began at the time
//! that the name says: others have given theirs names of their own.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use rz_format::{FileHeader, HEADER_LEN};

use crate::config::Keep;
use crate::files::Files;
use crate::header::new_header;
use crate::output::{MakeRoom, OutputError, TraceFile, Unpublished, give_name, is_full, safe};
use crate::shared::Shared;

const WHOLE: &str = ".rz";
const PART: &str = ".rz.part";
/// How often another name is tried, that of a millisecond later each time.
const ATTEMPTS: u32 = 1000;

/// The files of a recording.
#[derive(Debug)]
pub(crate) struct Series {
    folder: PathBuf,
    /// What the names begin with.
    prefix: String,
    keep: Keep,
    others: Mutex<Others>,
    /// Files that were removed because the disk was full, since somebody last asked.
    removed: AtomicU64,
}

/// All but the one that is being written, oldest first.
#[derive(Debug, Default)]
struct Others {
    files: VecDeque<Other>,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Other {
    /// When it began, in milliseconds since the Unix epoch.
    began_ms: u64,
    path: PathBuf,
    bytes: u64,
    ended: SystemTime,
}

impl Series {
    /// In `folder`, which is created if there is none.
    pub(crate) fn new(
        folder: &Path,
        host: &str,
        program: &str,
        keep: Keep,
    ) -> Result<Self, OutputError> {
        create_folder(folder)?;
        let series = Series {
            folder: folder.to_owned(),
            prefix: prefix(host, program),
            keep,
            others: Mutex::default(),
            removed: AtomicU64::new(0),
        };
        let failed = |source| OutputError::Create { path: folder.to_owned(), source };
        series.look().map_err(failed)?;
        series.keep_within(0);
        Ok(series)
    }

    /// Looks which files there are.
    fn look(&self) -> io::Result<()> {
        let mut files: Vec<Other> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            files.extend(name.to_str().and_then(|name| self.other(name)));
        }
        files.sort_by_key(|file| file.began_ms);
        let bytes = files.iter().map(|file| file.bytes).sum();
        *self.lock() = Others { files: files.into(), bytes };
        Ok(())
    }

    /// The file of that name, if `rec` has written it and writes it no more.
    fn other(&self, name: &str) -> Option<Other> {
        let time = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let time = time.strip_suffix(PART).or_else(|| time.strip_suffix(WHOLE))?;
        let began_ms = parse_time(time)?;
        let path = self.folder.join(name);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path).ok()?;
        let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).ok()?;
        let header = FileHeader::from_bytes(&header).ok()?;
        if header.is_merged() || header.created_unix_ns / MS != began_ms {
            return None;
        }
        // Whoever writes it holds a lock.
        if matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)) {
            return None;
        }
        Some(Other { began_ms, path, bytes: meta.len(), ended: meta.modified().ok()? })
    }

    fn lock(&self) -> MutexGuard<'_, Others> {
        // Each operation leaves them whole.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for Series {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn next(&self, begins_ns: u64) -> Result<(Unpublished, FileHeader), OutputError> {
        let mut header = new_header(begins_ns);
        for _ in 0..ATTEMPTS {
            let name = format!("{}-{}", self.prefix, time_of_name(header.created_unix_ns / MS));
            let whole = self.folder.join(format!("{name}{WHOLE}"));
            if fs::symlink_metadata(&whole).is_err() {
                let part = self.folder.join(format!("{name}{PART}"));
                match Unpublished::create(&part, false) {
                    Err(OutputError::Exists(_)) => {}
                    Err(OutputError::Create { source, .. })
                        if is_full(&source) && self.make_room() =>
                    {
                        continue;
                    }
                    created => return created.map(|file| (file, header)),
                }
            }
            header.created_unix_ns += MS;
            header.created_ns += MS;
        }
        Err(OutputError::Exists(self.folder.clone()))
    }

    /// Gives it its name, and removes those that are not to be kept.
    fn complete(&self, file: TraceFile, _is_last: bool, _shared: &Shared) {
        let part = file.path().to_owned();
        let name = part.to_string_lossy();
        let whole = PathBuf::from(name.strip_suffix(".part").unwrap_or(&name));
        match give_name(&part, &whole) {
            Ok(()) => log::info!("{} is whole", whole.display()),
            Err(error) => log::warn!("{} keeps this name: {error}", part.display()),
        }
        drop(file);
        if let Err(error) = self.look() {
            log::warn!("{}: {error}", self.folder.display());
        }
        self.keep_within(0);
    }

    fn keep_within(&self, present_bytes: u64) {
        let now = SystemTime::now();
        let mut others = self.lock();
        let is_too_much = |others: &Others| {
            let bytes = others.bytes.saturating_add(present_bytes);
            let is_old = |other: &Other| {
                let age = now.duration_since(other.ended).unwrap_or_default();
                self.keep.time.is_some_and(|longest| age > longest)
            };
            self.keep.bytes.is_some_and(|most| bytes > most)
                || others.files.front().is_some_and(is_old)
        };
        while is_too_much(&others) && others.remove_oldest() {}
    }

    fn take_removed(&self) -> u64 {
        self.removed.swap(0, Ordering::Relaxed)
    }
}

impl MakeRoom for Series {
    /// Removes the oldest file, as the disk is full.
    fn make_room(&self) -> bool {
        let has_room = self.lock().remove_oldest();
        self.removed.fetch_add(has_room.into(), Ordering::Relaxed);
        has_room
    }
}

impl Others {
    /// Removes the oldest; returns whether there was any.
    fn remove_oldest(&mut self) -> bool {
        while let Some(Other { path, bytes, .. }) = self.files.pop_front() {
            self.bytes -= bytes;
            match fs::remove_file(&path) {
                Ok(()) => {
                    log::info!("{} is removed", path.display());
                    return true;
                }
                // Somebody else has, and there may be room by that.
                Err(error) => log::info!("{}: {error}", path.display()),
            }
        }
        false
    }
}

/// Creates the folder that files are written into, if there is none.
pub(crate) fn create_folder(path: &Path) -> Result<(), OutputError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => OutputError::NoFolder(path.to_owned()),
        _ => OutputError::Create { path: path.to_owned(), source },
    })
}

/// What names begin with.
pub(crate) fn prefix(host: &str, program: &str) -> String {
    format!("{}-{}", safe(host), safe(program))
}

pub(crate) const MS: u64 = 1_000_000;

/// A time as it is in names, which sort by it: UTC, and without colons, which some systems
/// cannot have in names.
pub(crate) fn time_of_name(unix_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(time).to_string().replace(':', "-")
}

/// The time in a name, in milliseconds since the Unix epoch.
fn parse_time(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let time = humantime::parse_rfc3339(&format!("{date}T{}", time.replace('-', ":"))).ok()?;
    let unix_ms = u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    (time_of_name(unix_ms) == text).then_some(unix_ms)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::host::now_ns;

    fn series(folder: &Path, bytes: Option<u64>) -> Series {
        Series::new(folder, "a host", "../p", Keep { bytes, time: None }).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Writes a file with some bytes behind its header.
    fn write(series: &Series, bytes: usize) -> TraceFile {
        let (file, header) = series.next(now_ns()).unwrap();
        let mut handle = file.handle().unwrap();
        handle.write_all(&header.to_bytes()).unwrap();
        handle.write_all(&vec![0; bytes]).unwrap();
        file.publish().unwrap()
    }

    #[test]
    fn names_sort_by_time() {
        assert_eq!(time_of_name(1_790_000_000_250), "2026-09-21T14-13-20.250Z");
        assert_eq!(parse_time("2026-09-21T14-13-20.250Z"), Some(1_790_000_000_250));
        let others =
            ["2026-09-21T14:13:20.250Z", "2026-09-21T14-13-20Z", "2026-09-21T14-13-20.2500Z", ""];
        others.iter().for_each(|text| assert_eq!(parse_time(text), None, "{text}"));
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/folder");
        let series = series(&folder, None);
        let file = write(&series, 10);
        let part = names(&folder);
        assert!(part[0].starts_with("a_host-_p-20") && part[0].ends_with("Z.rz.part"), "{part:?}");
        series.complete(file, false, &Shared::default());
        assert_eq!(names(&folder), [part[0].trim_end_matches(".part")]);
        // Two in a row have two names.
        let (first, second) = (write(&series, 1), write(&series, 1));
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn the_oldest_go_first_and_only_our_own() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let unlimited = series(folder, None);
        let mut files: Vec<String> = Vec::new();
        for _ in 0..3 {
            let file = write(&unlimited, 1000);
            unlimited.complete(file, false, &Shared::default());
            files = names(folder);
        }
        // One that was cut short by a kill counts, one that is being written does not.
        drop(write(&unlimited, 1000));
        let cut = names(folder).pop().unwrap();
        let present = write(&unlimited, 1000);
        // A copy, another's, one with another content, a link, and a folder.
        let other = "a_host-_p-2001-01-01T00-00-00.000Z.rz";
        let foreign =
            [other, "other-2001-01-01T00-00-00.000Z.rz", "a_host-_p-2001-01-01T00-00-00.001Z.rz"];
        fs::copy(folder.join(&files[0]), folder.join(foreign[0])).unwrap();
        fs::copy(folder.join(&files[0]), folder.join(foreign[1])).unwrap();
        fs::write(folder.join(foreign[2]), "mine").unwrap();
        let link = "a_host-_p-2001-01-01T00-00-00.002Z.rz";
        std::os::unix::fs::symlink(&files[0], folder.join(link)).unwrap();
        fs::create_dir(folder.join("a_host-_p-2001-01-01T00-00-00.003Z.rz")).unwrap();
        let all = names(folder);

        let left = |gone: usize| {
            let mut expected = all.clone();
            let ours: Vec<&String> = files.iter().chain([&cut]).collect();
            expected.retain(|name| !ours[..gone].contains(&name));
            assert_eq!(names(folder), expected, "{gone}");
        };
        let limited = series(folder, Some(4 * 1100));
        left(0);
        limited.keep_within(500);
        left(1);
        limited.keep_within(3000);
        left(3);
        assert!(limited.make_room());
        left(4);
        assert!(!limited.make_room());
        assert_eq!((limited.take_removed(), limited.take_removed()), (1, 0));
        left(4);
        drop(present);
    }

    #[test]
    fn old_ones_go_by_age() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { bytes: None, time: Some(Duration::from_secs(60)) };
        let series = Series::new(dir.path(), "h", "p", keep).unwrap();
        for age in [50, 70] {
            let file = write(&series, 1);
            let path = dir.path().join(file.path().with_extension(""));
            series.complete(file, false, &Shared::default());
            let ended = SystemTime::now() - Duration::from_secs(age);
            OpenOptions::new().write(true).open(&path).unwrap().set_modified(ended).unwrap();
        }
        series.look().unwrap();
        series.keep_within(0);
        // In the order in which they began: the first has not ended so long ago.
        assert_eq!(names(dir.path()).len(), 2);
        assert!(series.make_room());
        series.keep_within(0);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_file_is_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let made = Series::new(&path, "h", "p", Keep::default());
        assert!(matches!(made, Err(OutputError::NoFolder(_))), "{made:?}");
    }
}
