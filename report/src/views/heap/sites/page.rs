//! The list of places that is written as JSON, or as text.

use rustc_hash::FxHashMap;
use rz_profile::heap::{AllocationKind, Heap, Leaks, Site, Sum, Suppressions};
use rz_profile::model::{Profile, StackId};
use serde::Serialize;

use super::super::notes::notes;
use super::super::page::known_heap;
use super::super::tables::entry_name;
use super::{SiteKind, SiteList, SortSites};
use crate::model::clean::clean;
use crate::model::estimated::ShownSum;
use crate::model::rows::Rows;
use crate::views::whole_stack::{StackFrame, functions_of_stack, same_stacks};

/// Places that allocated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SitesPage {
    /// Which objects the list is about.
    pub kind: SiteKind,
    /// What places are sorted by, the largest first.
    pub by: SortSites,
    /// Average number of bytes between allocations that were recorded one by
    /// one; 0 if all were, `null` if nothing was recorded.
    pub interval_bytes: Option<u64>,
    /// Whether only what was allocated in a window of time is in it.
    pub in_window: bool,
    /// How many allocations of its thread a temporary object was there for, at
    /// most; 1 if it was freed before the next one, `null` if nothing was
    /// recorded.
    pub temporary_within: Option<u64>,
    /// All these objects, those of places that are left out included; `null` if
    /// nothing was recorded or nothing is left by the filter.
    pub total: Option<ShownSum>,
    /// Places, each with its stack.
    pub sites: Rows<ShownSite>,
    /// What suppressions left out; `null` if there are none, or the list is not
    /// of leaks.
    pub suppressed: Option<Suppressed>,
    /// What a reader should know of these numbers besides the notes of the
    /// document, one sentence each.
    pub notes: Vec<String>,
}

/// Objects that were allocated in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownSite {
    /// The objects.
    #[serde(flatten)]
    pub sum: ShownSum,
    /// What allocated them: `malloc`, `calloc`, `realloc`, `aligned` or
    /// `unknown`.
    pub entries: Vec<&'static str>,
    /// The functions of the stack, leaf first; none if no stack is known.
    pub stack: Rows<StackFrame>,
}

/// Leaks that suppressions left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Suppressed {
    /// All of them.
    pub total: ShownSum,
    /// By suppression, in the order of the file; only those that did.
    pub by: Vec<SuppressedBy>,
}

/// Leaks that one suppression left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SuppressedBy {
    /// What is after `leak:` in the file.
    pub pattern: String,
    /// The leaks.
    #[serde(flatten)]
    pub sum: ShownSum,
}

/// Objects that were allocated in one place.
struct Place {
    stack: Option<StackId>,
    entries: Vec<AllocationKind>,
    sum: Sum,
}

/// A list of places; `suppressions` are for leaks. It is empty if nothing is
/// known of allocations.
pub fn sites(profile: &Profile, list: SiteList, suppressions: &Suppressions) -> SitesPage {
    let page = SitesPage { kind: list.kind, by: list.by, ..SitesPage::default() };
    let Some(heap) = known_heap(profile) else { return page };
    let leaks = (list.kind == SiteKind::Leaks).then(|| heap.leaks(profile, suppressions));
    let mut places = match &leaks {
        Some(leaks) => {
            let sites = leaks.sites.iter().map(|&index| &heap.sites[index]);
            places(profile, sites, list.kind)
        }
        None => places(profile, heap.sites.iter(), list.kind),
    };
    sort(&mut places, list.by);
    let mut all = Sum::default();
    places.iter().for_each(|place| all.add(&place.sum));
    let site = |place: Place| ShownSite {
        sum: ShownSum::of(heap, &place.sum),
        entries: place.entries.into_iter().map(entry_name).collect(),
        stack: functions_of_stack(profile, place.stack),
    };
    let suppressed = leaks.filter(|_| !suppressions.is_empty());
    SitesPage {
        interval_bytes: Some(heap.interval),
        in_window: heap.selected.by_time,
        temporary_within: Some(heap.temporary_within.max(1)),
        total: Some(ShownSum::of(heap, &all)),
        sites: Rows::first(list.limit, places, site),
        suppressed: suppressed.map(|leaks| suppressed_by(heap, &leaks)),
        notes: notes(profile, heap, list.kind == SiteKind::Peak),
        ..page
    }
}

fn sort(places: &mut [Place], by: SortSites) {
    let key = |place: &Place| match by {
        SortSites::Bytes => [place.sum.bytes.value, place.sum.objects.value],
        SortSites::Count => [place.sum.objects.value, place.sum.bytes.value],
    };
    places.sort_by(|a, b| {
        let ([a, a_next], [b, b_next]) = (key(a), key(b));
        b.total_cmp(&a).then(b_next.total_cmp(&a_next))
    });
}

fn suppressed_by(heap: &Heap, leaks: &Leaks) -> Suppressed {
    let by = leaks.used.iter().map(|(suppression, sum)| SuppressedBy {
        pattern: clean(&suppression.pattern).into_owned(),
        sum: ShownSum::of(heap, sum),
    });
    Suppressed { total: ShownSum::of(heap, &leaks.suppressed), by: by.collect() }
}

/// Adds sites up that show the same stack: threads, ways to allocate and
/// addresses on one line are not told apart.
fn places<'s>(
    profile: &Profile,
    sites: impl Iterator<Item = &'s Site>,
    kind: SiteKind,
) -> Vec<Place> {
    let same = same_stacks(profile);
    let mut index_of: FxHashMap<Option<usize>, usize> = FxHashMap::default();
    let mut places: Vec<Place> = Vec::new();
    for site in sites {
        let sum = match kind {
            SiteKind::All => site.sums.allocated,
            SiteKind::Leaks => site.sums.at_end,
            SiteKind::Peak => site.sums.at_peak,
            SiteKind::Temporary => site.sums.temporary,
        };
        if sum.is_zero() {
            continue;
        }
        let index = *index_of.entry(site.stack.map(|stack| same[stack])).or_insert_with(|| {
            let (entries, sum) = (Vec::new(), Sum::default());
            places.push(Place { stack: site.stack, entries, sum });
            places.len() - 1
        });
        let place = &mut places[index];
        place.sum.add(&sum);
        if !place.entries.contains(&site.entry) {
            place.entries.push(site.entry);
        }
    }
    places.iter_mut().for_each(|place| place.entries.sort_unstable());
    places
}
