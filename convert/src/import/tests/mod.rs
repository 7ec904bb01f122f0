//! Inputs written for the purpose, made into traces and shown as folded
//! stacks.

mod folded;
mod jfr;
mod logs;
mod memray;
mod named;
mod noise;
mod packed;
mod perf_data;
mod perf_file;
mod pprof;
mod pprof_legacy;
mod strace;

use std::fs;

use super::{ImportError, ImportOptions, Imported, import};
use crate::export::{ExportOptions, Format, export};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;

/// Makes a trace of an input.
fn imported(input: &[u8]) -> Result<(Imported, Vec<u8>), ImportError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input");
    fs::write(&path, input).unwrap();
    let mut trace = Vec::new();
    let imported = import(&path, &ImportOptions::default(), &mut trace)?;
    Ok((imported, trace))
}

/// The profile of the trace that is made of an input.
fn loaded(input: &[u8]) -> Profile {
    loaded_trace(&imported(input).unwrap().1)
}

fn loaded_trace(trace: &[u8]) -> Profile {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace.rz");
    fs::write(&path, trace).unwrap();
    load(&path, &LoadOptions::default()).unwrap()
}

/// A profile as folded stacks, by thread.
fn by_thread(profile: &Profile) -> String {
    text(profile, &ExportOptions { threads: true, ..ExportOptions::default() })
}

/// A profile as folded stacks.
fn text(profile: &Profile, options: &ExportOptions) -> String {
    String::from_utf8(written(profile, Format::Folded, options)).unwrap()
}

fn written(profile: &Profile, format: Format, options: &ExportOptions) -> Vec<u8> {
    let mut out = Vec::new();
    export(profile, format, options, &mut out).unwrap();
    out
}

/// What is said of an input that no trace can be made of.
fn refused(input: &[u8]) -> String {
    let text = imported(input).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
