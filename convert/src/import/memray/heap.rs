//! What is allocated, by whom, and how much of it there was at the peak.
//!
//! The peak is the last moment before something is freed at which there was as much as never
//! before. No second pass is needed for it: a site's amounts at the latest peak are put down
//! when they change for the first time after it.

use std::collections::{BTreeMap, hash_map::Entry};

use rustc_hash::FxHashMap;

use super::bytes::Stop;
use super::stacks::Stack;

/// Sites, and what is there at a time, each, at most.
const MAX_ENTRIES: usize = 1 << 25;
/// What is freed when its thread has allocated less than so much after it is temporary.
const TEMPORARY: usize = 2;

/// Who allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Site {
    /// The number of its thread.
    pub(super) thread: u32,
    pub(super) stack: Stack,
}

/// How many, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

impl Amount {
    fn add(&mut self, other: Amount) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What is told of a site.
#[derive(Debug, Clone, Default)]
pub(super) struct Cost {
    pub(super) allocated: Amount,
    pub(super) live: Amount,
    pub(super) peak: Amount,
    pub(super) temporary: i64,
    /// Which peak that was.
    peaks: u64,
}

/// How memory was got, or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Allocate,
    Free,
    Map,
    Unmap,
}

impl Way {
    /// That of a function that memray knows by its number.
    pub(super) fn of(allocator: u8) -> Result<Way, Stop> {
        Ok(match allocator {
            // Of Python's own allocator, then of the C library.
            1 | 5 => Way::Free,
            2..=4 | 6..=13 => Way::Allocate,
            14 => Way::Map,
            15 => Way::Unmap,
            _ => return Err(Stop::Wrong("an allocator that is not known")),
        })
    }
}

/// Memory that is there, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    address: u64,
    size: i64,
    site: u32,
}

#[derive(Default)]
pub(super) struct Heap {
    sites: Vec<(Site, Cost)>,
    ids: FxHashMap<Site, u32>,
    blocks: FxHashMap<u64, Block>,
    /// By address; none has a part of another.
    maps: BTreeMap<u64, Block>,
    /// What each thread allocated last, newest first.
    latest: FxHashMap<u32, [Option<Block>; TEMPORARY]>,
    live: i64,
    peak: i64,
    /// How many peaks there were.
    peaks: u64,
}

impl Heap {
    /// Takes in that memory was got or given up at a site.
    pub(super) fn take(
        &mut self,
        way: Way,
        site: Site,
        address: u64,
        size: u64,
    ) -> Result<(), Stop> {
        let Ok(size) = i64::try_from(size) else {
            return Err(Stop::Wrong("an allocation is too large"));
        };
        match way {
            Way::Allocate | Way::Map => {
                let thread = site.thread;
                let site = self.site(site)?;
                let block = Block { address, size, site };
                let amount = Amount { objects: 1, bytes: size };
                self.sites[site as usize].1.allocated.add(amount);
                if way == Way::Allocate {
                    // What was there was freed unseen.
                    if let Some(block) = self.blocks.insert(address, block) {
                        self.change(block.site, -1, -block.size);
                    }
                } else if size > 0 {
                    self.unmap(address, size);
                    self.maps.insert(address, block);
                }
                self.change(site, 1, size);
                let [newest, ..] = *self.latest.entry(thread).or_default();
                self.latest.insert(thread, [Some(block), newest]);
                if self.blocks.len() + self.maps.len() > MAX_ENTRIES {
                    return Err(Stop::Wrong("too much is allocated at a time"));
                }
            }
            Way::Free | Way::Unmap => {
                self.count_temporary(way, site.thread, address, size);
                if way == Way::Unmap {
                    self.unmap(address, size);
                } else if let Some(block) = self.blocks.remove(&address) {
                    self.change(block.site, -1, -block.size);
                }
            }
        }
        Ok(())
    }

    /// The sums of a site, of which there may be several.
    pub(super) fn add(&mut self, site: Site, peak: Amount, live: Amount) -> Result<(), Stop> {
        let site = self.site(site)?;
        let cost = &mut self.sites[site as usize].1;
        cost.peak.add(peak);
        cost.live.add(live);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// All sites, when there is nothing more; sums that were added stay as they are.
    pub(super) fn finish(mut self) -> Vec<(Site, Cost)> {
        if self.live >= self.peak {
            self.peaks += 1;
        }
        for (_, cost) in &mut self.sites {
            if cost.allocated.objects > 0 && cost.peaks != self.peaks {
                cost.peak = cost.live;
            }
        }
        self.sites
    }

    fn site(&mut self, site: Site) -> Result<u32, Stop> {
        match self.ids.entry(site) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if self.sites.len() >= MAX_ENTRIES => {
                Err(Stop::Wrong("there are too many stacks"))
            }
            Entry::Vacant(entry) => {
                self.sites.push((site, Cost::default()));
                Ok(*entry.insert(self.sites.len() as u32 - 1))
            }
        }
    }

    fn change(&mut self, site: u32, objects: i64, bytes: i64) {
        if bytes < 0 && self.live >= self.peak {
            self.peak = self.live;
            self.peaks += 1;
        }
        self.live = self.live.saturating_add(bytes);
        let cost = &mut self.sites[site as usize].1;
        if cost.peaks != self.peaks {
            cost.peak = cost.live;
            cost.peaks = self.peaks;
        }
        cost.live.add(Amount { objects, bytes });
    }

    /// Takes an area out of all maps that have a part of it.
    fn unmap(&mut self, address: u64, size: i64) {
        let end = address.saturating_add_signed(size);
        if size == 0 {
            return;
        }
        loop {
            let last = self.maps.range(..end).next_back().map(|(_, block)| *block);
            let Some(map) = last else { return };
            let map_end = map.address.saturating_add_signed(map.size);
            if map_end <= address {
                return;
            }
            self.maps.remove(&map.address);
            let before = address.saturating_sub(map.address).cast_signed();
            let behind = map_end.saturating_sub(end).cast_signed();
            if before > 0 {
                self.maps.insert(map.address, Block { size: before, ..map });
            }
            if behind > 0 {
                self.maps.insert(end, Block { address: end, size: behind, ..map });
            }
            let parts = i64::from(before > 0) + i64::from(behind > 0);
            self.change(map.site, parts - 1, before + behind - map.size);
        }
    }

    fn count_temporary(&mut self, way: Way, thread: u32, address: u64, size: i64) {
        let Some(latest) = self.latest.get(&thread) else { return };
        let is_it =
            |block: &&Block| block.address == address && (way == Way::Free || block.size == size);
        if let Some(block) = latest.iter().flatten().find(is_it) {
            self.sites[block.site as usize].1.temporary += 1;
        }
    }
}
