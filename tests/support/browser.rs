//! Opens pages in a browser that nobody looks at.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::locate::{temp_dir, tool};
use crate::run::run;

/// A command line of Chromium without a window, in a profile of its own in
/// `dir` and without any network traffic of its own. The page is to be added.
pub fn browser(dir: &Path) -> Command {
    let mut command = Command::new(tool("chromium"));
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", dir.join("chromium").display()));
    command
}

/// The size in bytes of a PNG of what a browser makes of a file.
pub fn screenshot(file: &Path) -> u64 {
    let dir = temp_dir();
    let picture = dir.path().join("page.png");
    let mut command = browser(dir.path());
    command.arg("--window-size=1220,800").arg(format!("--screenshot={}", picture.display()));
    let output = run(command.arg(format!("file://{}", file.display()))).success();
    fs::metadata(&picture).unwrap_or_else(|error| panic!("{error}: {output}")).len()
}
