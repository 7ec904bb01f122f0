//! Finds the workspace, its binaries, the target programs and other tools.

use std::env;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The folder that holds the workspace's `Cargo.toml`.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// A binary of rz (`rec`, `conv`, `report`): from the folder `RZ_BIN_DIR` when
/// that is set, else as `build.sh` left it.
pub fn binary(name: &str) -> PathBuf {
    let dir = env::var_os("RZ_BIN_DIR")
        .map_or_else(|| workspace_root().join("target/dist"), PathBuf::from);
    present(dir.join(name), "run ./build.sh")
}

/// The file of a target program, as `tests/programs/Makefile` left it.
pub fn program_path(name: &str) -> PathBuf {
    present(workspace_root().join("target/programs").join(name), "run make -C tests/programs")
}

/// The command line that starts a target program: scripts get an interpreter.
pub fn program(name: &str) -> Vec<String> {
    let path = text(&program_path(name)).to_owned();
    match name.rsplit_once('.') {
        Some((_, "py")) => vec![text(&tool("python3")).to_owned(), path],
        Some((_, "js")) => vec![
            text(&tool("node")).to_owned(),
            "--perf-basic-prof".to_owned(),
            "--interpreted-frames-native-stack".to_owned(),
            path,
        ],
        _ => vec![path],
    }
}

/// A command of the system, found in `PATH`, or one that `tests/setup.sh` put
/// under `target/tools/`: `go` or a path below that folder.
pub fn tool(name: &str) -> PathBuf {
    let own = workspace_root().join("target/tools");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = [own.join("venv/bin").join(name), own.join(name)]
        .into_iter()
        .chain(env::split_paths(&path).map(|dir| dir.join(name)))
        .find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run tests/setup.sh"))
}

/// The oldest and the newest of these versions, which is what there is time for every
/// day; all of them where `RZ_ALL_VERSIONS` is set.
pub fn versions<'v>(all: &[&'v str]) -> Vec<&'v str> {
    match (env::var_os("RZ_ALL_VERSIONS"), all) {
        (None, [oldest, .., newest]) => vec![oldest, newest],
        _ => all.to_vec(),
    }
}

/// A fresh folder for one test, gone when it ends.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("rz-test-").tempdir().expect("a temporary folder")
}

/// The names in a folder, sorted.
pub fn names_in(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let name = |entry: std::io::Result<DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// A path as text, for a command line.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_else(|| panic!("{}: not UTF-8", path.display()))
}

fn present(path: PathBuf, remedy: &str) -> PathBuf {
    assert!(path.is_file(), "{} is missing: {remedy}, or tests/run.sh", path.display());
    path
}
