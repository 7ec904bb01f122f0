//! The last minutes of a recording, kept in memory until something happens: files that
//! follow each other as those of `--rotate` do, each of them whole.
//!
//! ```text
//! memory    ┤ 1 ├┤ 2 ├┤ 3 ├┤ 4 ├── 5 ──         1 is forgotten when it is too old
//!                             trigger ┘          5 ends here
//! folder    HOST-PROGRAM-TIME-KIND/{2,3,4,5}
//! memory                            ├── 6 ──     what follows is written the next time
//! ```

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek};
use std::mem::take;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rz_format::{Event, FileHeader, Note, Record};

use crate::config::{Keep, Trigger};
use crate::files::Files;
use crate::header::new_header;
use crate::host::{clocks, now_ns};
use crate::output::{MakeRoom, OutputError, TraceFile, Unpublished, is_nearly_full};
use crate::series::{MS, create_folder, prefix, time_of_name};
use crate::shared::{Shared, Stored};
use crate::tracker::Findings;
use crate::triggers::{Happened, Watch};

/// Files in memory.
pub(crate) struct Ring {
    folder: PathBuf,
    /// What names begin with.
    prefix: String,
    triggers: Vec<Trigger>,
    keep: Keep,
    min_free: Option<u64>,
    inside: Mutex<Inside>,
}

struct Inside {
    watch: Watch,
    /// All but the one that is being written, oldest first.
    files: VecDeque<Kept>,
    bytes: u64,
    /// When the one that is being written began.
    began_ns: u64,
    /// What has happened since the last time that something was written.
    happened: Vec<Happened>,
    /// Whether nobody has to ask for the end of the present file.
    is_asked: bool,
    /// For each trigger, when that was written for it.
    written_ns: Vec<Option<u64>>,
    written: Stored,
    /// Whether a file had to go too soon, and so they do not reach back as far as they should.
    is_short: bool,
    /// Whether the user knows of that.
    has_told: bool,
}

/// A file in memory.
struct Kept {
    file: File,
    name: PathBuf,
    bytes: u64,
    began_ns: u64,
    ended_ns: u64,
}

impl Ring {
    /// For files that go into folders in `folder`, which is created if there is none.
    pub(crate) fn new(
        folder: &Path,
        host: &str,
        program: &str,
        keep: Keep,
        (triggers, watch): (&[Trigger], Watch),
        min_free: Option<u64>,
    ) -> Result<Self, OutputError> {
        create_folder(folder)?;
        let ring = Ring {
            folder: folder.to_owned(),
            prefix: prefix(host, program),
            triggers: triggers.to_vec(),
            keep,
            min_free,
            inside: Mutex::new(Inside {
                watch,
                files: VecDeque::new(),
                bytes: 0,
                happened: Vec::new(),
                is_asked: false,
                written_ns: vec![None; triggers.len()],
                written: Stored::default(),
                began_ns: 0,
                is_short: false,
                has_told: false,
            }),
        };
        // It is to fail now, and not when something has happened.
        let part = ring.part();
        let failed = |source| OutputError::Create { path: part.clone(), source };
        // Of one that was killed while it wrote, and had our number.
        let _ = fs::remove_dir_all(&part);
        new_folder(&part).and_then(|()| fs::remove_dir(&part)).map_err(failed)?;
        Ok(ring)
    }

    /// What a folder is called until it is whole.
    fn part(&self) -> PathBuf {
        self.folder.join(format!(".{}.{}.part", self.prefix, std::process::id()))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Each operation leaves it whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written for now: what has not been for long enough, or a signal, which
    /// is obeyed at any time.
    fn due<'a>(&self, inside: &'a Inside, now_ns: u64) -> Option<&'a Happened> {
        let pause_ns = self.keep.time.map_or(0, |time| time.as_nanos() as u64);
        inside.happened.iter().find(|happened| {
            let is_over = |written_ns: u64| now_ns.saturating_sub(written_ns) >= pause_ns;
            matches!(self.triggers[happened.trigger], Trigger::Signal)
                || inside.written_ns[happened.trigger].is_none_or(is_over)
        })
    }

    /// Writes all files into a folder of their own, which is there when it is whole.
    fn write(&self, inside: &Inside, kind: &str) -> io::Result<PathBuf> {
        let part = self.part();
        let time = time_of_name(clocks().realtime_ns / MS);
        let whole = self.folder.join(format!("{}-{time}-{kind}", self.prefix));
        // Of one that failed.
        let _ = fs::remove_dir_all(&part);
        new_folder(&part)?;
        let written = self.write_into(&part, inside).and_then(|()| fs::rename(&part, &whole));
        if written.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        written.map(|()| whole)
    }

    fn write_into(&self, folder: &Path, inside: &Inside) -> io::Result<()> {
        if is_nearly_full(&File::open(folder)?, self.min_free, inside.bytes) {
            let why = "the disk has no more room than is to be left free (--min-free)";
            return Err(io::Error::other(why));
        }
        for kept in &inside.files {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(0o600).open(folder.join(&kept.name))?;
            (&kept.file).rewind()?;
            io::copy(&mut &kept.file, &mut file)?;
        }
        Ok(())
    }

    fn too_short(&self, inside: &Inside, now_ns: u64) -> String {
        let began_ns = inside.files.front().map_or(inside.began_ns, |oldest| oldest.began_ns);
        let reached = Duration::from_nanos(now_ns.saturating_sub(began_ns));
        format!(
            "there is memory for the last {:.1} s of {} s only (--ring): raise --max-rss, or \
             record less",
            reached.as_secs_f64(),
            self.keep.time.unwrap_or_default().as_secs_f64()
        )
    }

    /// Forgets the oldest files until the rest is as much as may be kept, while so many
    /// bytes are in the one that is being written.
    fn forget(&self, inside: &mut Inside, now_ns: u64, present_bytes: u64) {
        let most = self.keep.bytes.unwrap_or(u64::MAX);
        while let Some(oldest) = inside.files.front() {
            let age = Duration::from_nanos(now_ns.saturating_sub(oldest.ended_ns));
            // What waits to be written for is to have all that came since the last time.
            let is_old =
                inside.happened.is_empty() && self.keep.time.is_some_and(|longest| age > longest);
            if !is_old && inside.bytes.saturating_add(present_bytes) <= most {
                return;
            }
            inside.is_short = !is_old;
            inside.bytes -= oldest.bytes;
            inside.files.pop_front();
        }
    }

    /// A trigger and how it came true.
    fn tell(&self, happened: &Happened) -> String {
        let now = clocks();
        let ago_ns = now.monotonic_ns.saturating_sub(happened.time_ns);
        let time = UNIX_EPOCH + Duration::from_nanos(now.realtime_ns.saturating_sub(ago_ns));
        let time = humantime::format_rfc3339_millis(time);
        format!("{}: {}, at {time}", self.triggers[happened.trigger], happened.how)
    }
}

impl Inside {
    /// The file that has just ended.
    fn kept(&self, file: TraceFile, ended_ns: u64) -> Kept {
        let (file, path) = file.into_parts();
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        Kept { file, name, bytes, began_ns: self.began_ns, ended_ns }
    }
}

/// Creates a folder for its owner only.
fn new_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

impl Files for Ring {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn begin(&self, event: &Event, pids: &[u32]) {
        self.lock().watch.begin(event, pids);
    }

    fn next(&self, begins_ns: u64) -> Result<(Unpublished, FileHeader), OutputError> {
        self.lock().began_ns = begins_ns;
        let header = new_header(begins_ns);
        let time = time_of_name(header.created_unix_ns / MS);
        let name = format!("{}-{time}.rz", self.prefix);
        Ok((Unpublished::in_memory(&self.folder.join(name))?, header))
    }

    /// Adds the file to those in memory; writes them if there is a reason to.
    fn complete(&self, file: TraceFile, is_last: bool, shared: &Shared) {
        let now_ns = now_ns();
        let mut inside = self.lock();
        let kept = inside.kept(file, now_ns);
        self.forget(&mut inside, now_ns, kept.bytes);
        inside.bytes += kept.bytes;
        inside.files.push_back(kept);
        inside.is_asked = false;
        // In the end, nothing can wait any more.
        let waiting = inside.happened.first().filter(|_| is_last);
        if let Some(happened) = self.due(&inside, now_ns).or(waiting).cloned() {
            match self.write(&inside, self.triggers[happened.trigger].kind()) {
                Ok(folder) => {
                    let count = inside.files.len() as u64;
                    let what = self.tell(&happened);
                    shared.say(format!("{what}: written to {} ({count} files)", folder.display()));
                    inside.written.files += count;
                    inside.written.bytes += take(&mut inside.bytes);
                    inside.files.clear();
                    inside.is_short = false;
                    for happened in take(&mut inside.happened) {
                        inside.written_ns[happened.trigger] = Some(now_ns);
                    }
                }
                Err(error) => {
                    // When the next file ends, whose time that is, there is another chance.
                    inside.is_asked = true;
                    shared.say(format!(
                        "{}: what came before could not be written: {error}",
                        self.folder.display()
                    ));
                }
            }
        }
        if is_last && inside.written.files == 0 && inside.happened.is_empty() {
            shared.say("nothing has happened that --on names: nothing is written".to_owned());
        }
    }

    fn keep_within(&self, present_bytes: u64) {
        self.forget(&mut self.lock(), now_ns(), present_bytes);
    }

    /// Looks for what is to be written for, and says so in the present file.
    fn watch(&self, found: &Findings, shared: &Shared) -> Vec<Record> {
        let mut inside = self.lock();
        let mut notes = Vec::new();
        let too_short = inside.is_short.then(|| self.too_short(&inside, now_ns()));
        if let Some(text) = too_short.as_ref().filter(|_| !inside.has_told) {
            shared.say(text.clone());
            inside.has_told = true;
        }
        for happened in inside.watch.look(found, shared.take_signal()) {
            // What goes on is said once.
            if inside.happened.iter().all(|other| other.trigger != happened.trigger) {
                notes.push(format!("trigger {}", self.tell(&happened)));
                notes.extend(too_short.clone());
                inside.happened.push(happened);
            }
        }
        if !inside.is_asked && self.due(&inside, now_ns()).is_some() {
            inside.is_asked = true;
            shared.ask_for_next_file();
        }
        notes.into_iter().map(|text| Record::Note(Note { text })).collect()
    }

    /// What has got to the disk.
    fn stored(&self, _all: Stored) -> Stored {
        self.lock().written
    }
}

impl MakeRoom for Ring {
    /// Nothing of what is in memory is on the disk.
    fn make_room(&self) -> bool {
        false
    }
}
