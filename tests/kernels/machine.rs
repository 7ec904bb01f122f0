//! Boots a kernel, and holds what was recorded there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_format::{Loss, LossClass, LossReason};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;
use rz_tests::{Contents, Folded, conv, text, workspace_root};

use crate::scenarios::Scenario;

/// So many system calls may be missing if the recording says so; more would be a
/// fault of its own.
const SKIPPED_CALLS: u64 = 3;

/// What one scenario has left.
#[derive(Debug)]
pub struct Recorded {
    dir: PathBuf,
    /// The target's process id, if there was one.
    pub pid: Option<u32>,
    /// The exit code of `rec`; `None` if there was no time for the scenario.
    pub code: Option<i32>,
    /// What `rec` printed.
    pub stdout: String,
    /// What `rec` complained about.
    pub stderr: String,
    /// What the kernel had attached before the recording.
    pub before: String,
    /// The same after it.
    pub after: String,
}

/// Boots the kernel of that name and lets it run the scenarios, each of which
/// leaves something.
pub fn run_on(kernel: &str, scenarios: &[Scenario]) -> Vec<Recorded> {
    let all = workspace_root().join("target/kernels/recorded");
    let (folder, script) = (all.join(kernel), all.join(format!("{kernel}.sh")));
    // Nothing of an earlier run is taken for one of this.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let lines: String = scenarios.iter().map(Scenario::line).collect();
    fs::write(&script, lines).unwrap_or_else(|error| panic!("{}: {error}", script.display()));

    let mut boot = Command::new(workspace_root().join("tests/kernels/boot.sh"));
    let output = boot.arg(kernel).args([&folder, &script]).output().expect("boot.sh runs");
    let said = [output.stdout, output.stderr].concat();
    print!("{}", String::from_utf8_lossy(&said));
    assert!(output.status.success(), "Linux {kernel} does not run the scenarios: {boot:?}");
    scenarios.iter().map(|scenario| Recorded::read(folder.join(scenario.name))).collect()
}

impl Recorded {
    fn read(dir: PathBuf) -> Self {
        let said = |name: &str| {
            let bytes = fs::read(dir.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let number = |name: &str| said(name).trim().parse::<u32>().ok();
        Recorded {
            pid: number("pid"),
            code: number("code").map(|code| code as i32),
            stdout: said("stdout"),
            stderr: said("stderr"),
            before: said("before"),
            after: said("after"),
            dir,
        }
    }

    /// The trace, which need not be there.
    pub fn path(&self) -> PathBuf {
        self.dir.join("trace.rz")
    }

    /// Everything in the trace, row by row, of a recording that went well.
    #[track_caller]
    pub fn contents(&self) -> Contents {
        assert_eq!(self.code, Some(0), "exit code of rec");
        let contents = Contents::read(existing(&self.path()));
        assert_eq!(contents.damage, []);
        contents
    }

    /// The same of a recording that also lost nothing, but for a few system calls:
    /// from Linux 6.19 on, the kernel may skip the programs for them.
    #[track_caller]
    pub fn whole_contents(&self) -> Contents {
        let contents = self.contents();
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        for loss in contents.losses() {
            if is_skipped(loss) && loss.count <= SKIPPED_CALLS || is_refused_row(loss) {
                continue;
            }
            let reason = LossReason::from(loss.reason);
            *lost.entry(format!("class {}, {reason:?}", loss.class)).or_default() += loss.count;
        }
        assert!(lost.is_empty(), "lost: {lost:?}");
        contents
    }

    /// The trace with names.
    #[track_caller]
    pub fn profile(&self) -> Profile {
        load(existing(&self.path()), &LoadOptions::default()).expect("a good trace")
    }

    /// The stacks, as `conv` with `options` folds them.
    #[track_caller]
    pub fn folded(&self, options: &[&str]) -> Folded {
        let path = self.path();
        let output =
            conv(&[&[text(existing(&path)), "--to", "folded", "-o", "-"], options].concat());
        Folded::parse(&output.success().stdout)
    }

    /// Panics unless the kernel has attached what it had before.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert!(self.after.contains("programs "), "it is not known what is left: {:?}", self.after);
        let before: Vec<&str> = self.before.lines().collect();
        let after: Vec<&str> = self.after.lines().collect();
        let more: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(before == after, "left behind: {more:#?}, of what was before: {before:#?}");
    }
}

/// Whether it is a single event that is in no total as the kernel did not take a new row:
/// Linux 6.12 has done that in one boot of some twenty, for a reason that is not known.
fn is_refused_row(loss: &Loss) -> bool {
    LossClass::from(loss.class) == LossClass::Totals
        && LossReason::from(loss.reason) == LossReason::TableFull
        && loss.count == 1
}

/// Whether it is of system calls for which the kernel ran no program.
pub fn is_skipped(loss: &Loss) -> bool {
    LossClass::from(loss.class) == LossClass::Calls
        && LossReason::from(loss.reason) == LossReason::Skipped
}

#[track_caller]
fn existing(path: &Path) -> &Path {
    assert!(path.exists(), "there is no trace");
    path
}
