//! Views whose numbers are exact sums, which the page shows as `--json` has them.

use rz_profile::model::{EventId, EventKind, Profile, TotalClass};
use rz_profile::select::default_event;
use serde::Serialize;

use super::PageOptions;
use crate::model::calls::SortCalls;
use crate::model::top::SortBy;
use crate::views::document::{Document, Page};
use crate::views::heap::sites::{SiteKind, SiteList, SortSites, sites};
use crate::views::heap::{HeapPageOptions, heap};
use crate::views::off_cpu::off_cpu;
use crate::views::summary::{SummaryOptions, summary};
use crate::views::syscalls::{SyscallOptions, syscalls};

/// Rows of a table, at most, where there may be as many as there are stacks.
const LIMIT: usize = 200;
/// Threads of a table, at most.
const THREADS: usize = 1_000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Views {
    /// What was recorded; with a few functions, as the page has all.
    summary: Document<'static>,
    off_cpu: Option<Document<'static>>,
    syscalls: Option<Document<'static>>,
    heap: Option<Document<'static>>,
    leaks: Option<Document<'static>>,
    temporary: Option<Document<'static>>,
    doctor: Option<Document<'static>>,
}

/// Of a profile that shows bytes of allocations.
pub(super) fn views(name: &str, profile: &Profile, options: PageOptions<'_>) -> Views {
    let PageOptions { suppressions, doctor, .. } = options;
    let (limit, threads) = (LIMIT, THREADS);
    let options = SummaryOptions { limit, by: SortBy::TotalWeight, threads };
    let document = |event, page| Document::new(name, profile, event, page);
    let of_kind = |kind| profile.events.iter().position(|event| event.kind == kind);
    let sums = |class| profile.totals.iter().any(|total| total.class == class);
    let waits: Option<EventId> = of_kind(EventKind::OffCpu);
    let calls: Option<EventId> = of_kind(EventKind::Syscalls);
    let event = default_event(profile);
    let off_cpu = (waits.is_some() || sums(TotalClass::Waits))
        .then(|| document(waits, Page::OffCpu(off_cpu(profile, waits, options))));
    let call_options = SyscallOptions { limit, by: SortCalls::Time, threads };
    let syscalls = (calls.is_some() || sums(TotalClass::Calls))
        .then(|| document(calls, Page::Syscalls(syscalls(profile, calls, call_options))));
    let allocations = of_kind(EventKind::Alloc).filter(|_| profile.heap.is_some());
    let heap_options = HeapPageOptions { limit, threads };
    let heap = allocations
        .map(|event| document(Some(event), Page::Heap(Box::new(heap(profile, heap_options)))));
    let places = |kind| {
        let list = SiteList { kind, by: SortSites::Bytes, limit };
        allocations
            .map(|event| document(Some(event), Page::Sites(sites(profile, list, suppressions))))
    };
    let leaks = places(SiteKind::Leaks);
    let temporary = places(SiteKind::Temporary);
    let few = SummaryOptions { limit: 10, by: SortBy::SelfWeight, threads };
    let summary = document(event, Page::Summary(summary(profile, event, few)));
    let doctor = doctor.map(|found| document(event, Page::Doctor(found.clone())));
    Views { summary, off_cpu, syscalls, heap, leaks, temporary, doctor }
}
