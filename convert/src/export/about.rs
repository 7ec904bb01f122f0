//! What a profile is of, in sentences, for formats that have a place for remarks.

use rz_profile::heap::Heap;
use rz_profile::model::Profile;

/// Where and how it was recorded, what was selected, and what is missing.
pub(super) fn about(profile: &Profile) -> Vec<String> {
    let info = &profile.info;
    let mut about = Vec::new();
    if !info.host.is_empty() {
        about.push(format!("host: {} ({}, {} CPUs)", info.host, info.os, info.cpus));
    }
    if !info.command.is_empty() {
        about.push(format!("recorded with: {}", info.command.join(" ")));
    }
    if info.filter.is_active() {
        about.push(format!("filter: {}", info.filter.text));
    }
    if info.lost_samples.count > 0 {
        about.push(format!(
            "lost: {} of {} samples",
            info.lost_samples.count,
            info.lost_samples.count + info.samples
        ));
    }
    let heap_notes = profile.heap.as_ref().map_or_else(Vec::new, Heap::notes);
    about.extend(info.notes.iter().chain(&heap_notes).map(|note| format!("note: {note}")));
    about
}
