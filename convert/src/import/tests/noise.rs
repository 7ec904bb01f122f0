//! Inputs that are damaged at random: a trace or an error, never a panic.

use rz_fuzz::fuzz;

use super::perf_file::story;
use super::pprof::raw;
use super::{imported, loaded_trace, written};
use rz_profile::fixture;

use crate::export::{ExportOptions, Format};

/// Makes a trace of an input, if it can be, and loads it.
fn check(input: &[u8]) {
    if let Ok((_, trace)) = imported(input) {
        loaded_trace(&trace);
    }
}

#[test]
fn fuzz_perf_data() {
    let files = [story(false).feature_build_id("/no/such/app").file(), story(true).file()];
    let pipe = story(false).piped_build_id("/no/such/app").pipe();
    fuzz("perf.data", &[&files[..], &[pipe]].concat(), check);
}

#[test]
fn fuzz_pprof() {
    let profile = written(&fixture::profile(), Format::Pprof, &ExportOptions::default());
    // Compressed, hardly any change would get into it.
    fuzz("pprof", &[raw(&profile), profile], check);
}

#[test]
fn fuzz_folded() {
    let lines =
        "app;main;run;helper_[i];read_[k] 3\nworker-1/2;[truncated];a 4\napp;main;b_[j] 77\n";
    fuzz("folded", &[lines.into()], check);
}
