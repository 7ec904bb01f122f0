//! Frames of profiles, and the lines of source text that they are of.

use std::fs;

use rz_profile::model::{Location, Profile};

use crate::program_path;

/// The number of the first line of a target program's text that has `part` in it.
pub fn line_with(program: &str, part: &str) -> u32 {
    let text = fs::read_to_string(program_path(program)).unwrap();
    let at = text.lines().position(|line| line.contains(part));
    at.unwrap_or_else(|| panic!("no line of {program} has {part}")) as u32 + 1
}

/// The share of samples that have a frame that is so.
pub fn share_with_frame(profile: &Profile, is_so: &dyn Fn(&Location) -> bool) -> f64 {
    let [mut with, mut all] = [0; 2];
    for sample in &profile.samples {
        all += sample.weight;
        if profile.locations_of(sample.stack).any(is_so) {
            with += sample.weight;
        }
    }
    with as f64 / all as f64
}
