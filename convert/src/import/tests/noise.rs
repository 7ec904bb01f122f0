//! Inputs that are damaged at random: a trace or an error, never a panic.

use proptest::prelude::*;

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

/// Bytes with some of them changed, and cut off somewhere.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = whole.len();
    let changes = proptest::collection::vec((0..length, any::<u8>()), 1..8);
    (changes, length / 2..=length).prop_map(move |(changes, end)| {
        let mut bytes = whole.clone();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes.truncate(end);
        bytes
    })
}

fn folded() -> Vec<u8> {
    b"app;main;run;helper_[i];read_[k] 3\nworker-1/2;[truncated];a 4\napp;main;b_[j] 77\n".to_vec()
}

fn pprof() -> Vec<u8> {
    raw(&written(&fixture::profile(), Format::Pprof, &ExportOptions::default()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn perf_files(bytes in damaged(story(false).feature_build_id("/no/such/app").file())) {
        check(&bytes);
    }

    #[test]
    fn perf_files_of_the_other_byte_order(bytes in damaged(story(true).file())) {
        check(&bytes);
    }

    #[test]
    fn perf_pipes(bytes in damaged(story(false).piped_build_id("/no/such/app").pipe())) {
        check(&bytes);
    }

    #[test]
    fn profiles(bytes in damaged(pprof())) {
        check(&bytes);
    }

    #[test]
    fn lines(bytes in damaged(folded())) {
        check(&bytes);
    }
}
