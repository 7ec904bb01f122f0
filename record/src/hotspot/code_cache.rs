//! Which piece of code (*blob*) is at an address.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::code_objects::Memory;

use super::bytes::{Bytes, text, word};
use super::inlined::Scope;
use super::layout::{BlobLayout, Heaps, Layout, Place};

/// For how long a blob is taken to be the one that it was. The memory of one may be
/// another's as soon as no thread runs it and a collection of garbage has passed.
const BLOB_STAYS_NS: u64 = 100_000_000;
/// For how long it is not asked again where code lies, if there is none.
const HEAPS_STAY_NS: u64 = 1_000_000_000;
/// Blobs that are kept at most; with more, all are read once again.
const MAX_BLOBS: usize = 1 << 16;
/// Parts of memory for code; there are three.
const MAX_HEAPS: u32 = 16;
/// How much of the map of segments is read at once, in bytes.
const MAP_PIECE: u64 = 1 << 10;
/// Steps through the map at most: each leads up to 254 segments back.
const MAX_STEPS: usize = 1 << 12;
/// A segment that no blob has.
const FREE: u8 = 0xff;
/// Largest blob that is believed, in bytes.
const MAX_BLOB: u64 = 64 << 20;
/// Longest name of one.
const MAX_NAME: usize = 128;
/// Largest frame that is believed, in words.
const MAX_FRAME: i32 = 1 << 20;
const WORD: u64 = 8;

/// A piece of code.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Its instructions begin here.
    pub(super) code: u64,
    pub(super) kind: BlobKind,
    /// How long its frames are, with the return address; `None` if it has none, or says
    /// nothing of them.
    pub(super) frame_bytes: Option<u64>,
    /// From here on, it has a frame; `None` if that is not said.
    pub(super) framed: Option<u64>,
    identity: Identity,
    looked_ns: u64,
}

#[derive(Debug)]
pub(super) enum BlobKind {
    /// Of a Java method.
    Compiled(Compiled),
    /// All of the interpreter.
    Interpreter,
    /// Anything else, with its name.
    Stub(Arc<str>),
}

/// What is compiled there.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) method: u64,
    pub(super) level: u8,
    /// Where a frame returns to that is to be interpreted from now on, and where in the
    /// frame its own return address is then.
    pub(super) deoptimizes: [Option<u64>; 2],
    pub(super) original_pc: Option<u64>,
    /// What is known of its instructions.
    pub(super) scopes: FxHashMap<u64, Arc<[Scope]>>,
}

/// What tells whether there is still the same code at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    name: u64,
    size: u32,
    frame_size: i32,
    code: u64,
    /// Of Java methods: which, and the number of its compilation.
    compiled: Option<(u64, u32)>,
}

/// Memory that code lies in.
#[derive(Debug)]
struct Heap {
    range: Range<u64>,
    segment_map: u64,
    log2_segment: u32,
}

/// The code of a process.
#[derive(Debug, Default)]
pub(super) struct CodeCache {
    heaps: Vec<Heap>,
    heaps_looked_ns: Option<u64>,
    blobs: BTreeMap<u64, Blob>,
    names: FxHashMap<u64, Arc<str>>,
}

impl CodeCache {
    /// Whether an address lies where there is code of HotSpot's, or may be.
    pub(super) fn has(
        &mut self,
        address: u64,
        time_ns: u64,
        layout: &Layout,
        memory: &impl Memory,
    ) -> bool {
        let is_due = self
            .heaps_looked_ns
            .is_none_or(|looked| time_ns.saturating_sub(looked) >= HEAPS_STAY_NS);
        if self.heaps.is_empty() && is_due {
            self.heaps_looked_ns = Some(time_ns);
            self.heaps = read_heaps(layout, memory).unwrap_or_default();
        }
        self.heaps.iter().any(|heap| heap.range.contains(&address))
    }

    /// The blob at an address.
    pub(super) fn find(
        &mut self,
        address: u64,
        time_ns: u64,
        layout: &Layout,
        memory: &impl Memory,
    ) -> Option<&mut Blob> {
        let known = self.blobs.range(..=address).next_back();
        let known = known
            .filter(|(_, blob)| address < blob.end)
            .map(|(start, blob)| (*start, time_ns.saturating_sub(blob.looked_ns) < BLOB_STAYS_NS));
        if let Some((start, is_fresh)) = known
            && (is_fresh || self.is_same(start, time_ns, layout, memory))
        {
            return self.blobs.get_mut(&start);
        }
        let heap = self.heaps.iter().find(|heap| heap.range.contains(&address))?;
        let start = heap.blob_at(address, layout, memory)?;
        let blob = self.read_blob(start, time_ns, layout, memory)?;
        if !(blob.start..blob.end).contains(&address) {
            return None;
        }
        if self.blobs.len() >= MAX_BLOBS {
            self.blobs.clear();
        }
        // Those whose memory it has now.
        let range = blob.start..blob.end;
        let before = self.blobs.range(..range.start).next_back().map(|(start, _)| *start);
        let before = before.into_iter().filter(|start| self.blobs[start].end > range.start);
        let inside = self.blobs.range(range.clone()).map(|(start, _)| *start);
        for gone in before.chain(inside).collect::<Vec<_>>() {
            self.blobs.remove(&gone);
        }
        Some(self.blobs.entry(range.start).or_insert(blob))
    }

    /// Whether a blob is what it was; it is forgotten if not. Without its memory, the
    /// process may be gone, and the blob is what it was.
    fn is_same(&mut self, start: u64, time_ns: u64, layout: &Layout, memory: &impl Memory) -> bool {
        let Some(blob) = self.blobs.get_mut(&start) else { return false };
        let header = Bytes::read(memory, start, layout.blob_header());
        let is_compiled = matches!(blob.kind, BlobKind::Compiled(_));
        let identity = Identity::of(&header, start, layout, is_compiled);
        if header.all().is_empty() || identity.as_ref() == Some(&blob.identity) {
            blob.looked_ns = time_ns;
            return true;
        }
        self.blobs.remove(&start);
        false
    }

    fn read_blob(
        &mut self,
        start: u64,
        time_ns: u64,
        layout: &Layout,
        memory: &impl Memory,
    ) -> Option<Blob> {
        let header = Bytes::read(memory, start, layout.blob_header());
        let of = &layout.blob;
        let name = self.name(header.u64(of.name)?, memory)?;
        let is_compiled = matches!(&*name, "nmethod" | "native nmethod");
        let identity = Identity::of(&header, start, layout, is_compiled)?;
        let end = start.checked_add(identity.size.into()).filter(|end| end - start <= MAX_BLOB)?;
        let code = identity.code;
        let frame_size = identity.frame_size;
        let framed = u64::try_from(header.u16(of.frame_complete)? as i16).ok();
        let kind = match &*name {
            "Interpreter" => BlobKind::Interpreter,
            _ if is_compiled => BlobKind::Compiled(Compiled::of(&header, start, code, layout)?),
            _ => BlobKind::Stub(name),
        };
        let is_inside = (start..=end).contains(&code);
        is_inside.then_some(Blob {
            start,
            end,
            code,
            kind,
            frame_bytes: (1..MAX_FRAME).contains(&frame_size).then(|| frame_size as u64 * WORD),
            framed: framed.map(|framed| code.wrapping_add(framed)),
            identity,
            looked_ns: time_ns,
        })
    }

    /// The text of a name, which is constant.
    fn name(&mut self, address: u64, memory: &impl Memory) -> Option<Arc<str>> {
        if let Some(name) = self.names.get(&address) {
            return Some(Arc::clone(name));
        }
        let name: Arc<str> = text(memory, address, MAX_NAME)?.into();
        if self.names.len() >= MAX_BLOBS {
            self.names.clear();
        }
        self.names.insert(address, Arc::clone(&name));
        Some(name)
    }
}

impl Identity {
    fn of(header: &Bytes, start: u64, layout: &Layout, is_compiled: bool) -> Option<Self> {
        let BlobLayout { name, size, frame_size, code, .. } = layout.blob;
        let of = &layout.compiled;
        let compiled = match is_compiled {
            true => Some((header.u64(of.method)?, header.u32(of.compile_id)?)),
            false => None,
        };
        Some(Identity {
            name: header.u64(name)?,
            size: header.u32(size)?,
            frame_size: header.i32(frame_size)?,
            code: code.from(header, start)?,
            compiled,
        })
    }
}

impl Compiled {
    fn of(header: &Bytes, start: u64, code: u64, layout: &Layout) -> Option<Self> {
        let of = &layout.compiled;
        let original_pc = header.i32(of.original_pc)?;
        let at =
            |place: Option<Place>| place?.from(header, start).filter(|address| *address > code);
        Some(Compiled {
            method: header.u64(of.method)?,
            level: header.u8(of.level)?,
            deoptimizes: of.deoptimizes.map(at),
            original_pc: u64::try_from(original_pc).ok().filter(|at| *at > 0),
            scopes: FxHashMap::default(),
        })
    }
}

impl Layout {
    /// How much of a blob is read to know it.
    pub(super) fn blob_header(&self) -> usize {
        let Layout { blob, compiled, .. } = self;
        let mut places = vec![blob.code];
        places.extend(compiled.deoptimizes.iter().flatten());
        let places = places.into_iter().map(|place| match place {
            Place::Address(at) | Place::Offset(at) => at,
        });
        let fields = [blob.name, blob.size, blob.frame_size, blob.frame_complete];
        let of_methods =
            [compiled.method, compiled.compile_id, compiled.level, compiled.original_pc];
        let fields = fields.into_iter().chain(of_methods).chain(places);
        fields.max().unwrap_or(0) + WORD as usize
    }
}

impl Place {
    /// The address of a place in a blob, by its header.
    pub(super) fn from(self, header: &Bytes, start: u64) -> Option<u64> {
        match self {
            Place::Address(at) => header.u64(at),
            Place::Offset(at) => start.checked_add(header.u32(at)?.into()),
        }
    }
}

fn read_heaps(layout: &Layout, memory: &impl Memory) -> Option<Vec<Heap>> {
    let heaps = match layout.heaps {
        Heaps::One { at } => vec![word(memory, at)?],
        Heaps::List { at, length, data } => {
            let list = Bytes::read(memory, word(memory, at)?, length.max(data) + WORD as usize);
            let (length, data) = (list.u32(length)?.min(MAX_HEAPS), list.u64(data)?);
            let list = Bytes::read(memory, data, length as usize * WORD as usize);
            list.all().as_chunks().0.iter().map(|heap| u64::from_le_bytes(*heap)).collect()
        }
    };
    let of = &layout.heap;
    let length = [of.low, of.high, of.segment_map, of.log2_segment].into_iter().max()? + 8;
    let heaps = heaps.into_iter().filter_map(|heap| {
        let heap = Bytes::read(memory, heap, length);
        let range = heap.u64(of.low)?..heap.u64(of.high)?;
        let log2_segment = heap.u32(of.log2_segment).filter(|log2| *log2 < 32)?;
        Some(Heap { range, segment_map: heap.u64(of.segment_map)?, log2_segment })
    });
    Some(heaps.collect())
}

impl Heap {
    /// Where the blob begins whose segment an address is in.
    fn blob_at(&self, address: u64, layout: &Layout, memory: &impl Memory) -> Option<u64> {
        let mut segment = address.checked_sub(self.range.start)? >> self.log2_segment;
        let mut piece = Bytes::default();
        let mut piece_start = u64::MAX;
        for _ in 0..MAX_STEPS {
            if segment < piece_start {
                piece_start = (segment + 1).saturating_sub(MAP_PIECE);
                let from = self.segment_map.wrapping_add(piece_start);
                piece = Bytes::read(memory, from, (segment + 1 - piece_start) as usize);
            }
            match piece.u8((segment - piece_start) as usize)? {
                FREE => return None,
                0 => {
                    let block = self.range.start + (segment << self.log2_segment);
                    let is_used = word(memory, block.checked_add(layout.heap.used as u64)?)?;
                    let is_used = is_used & 0xff != 0;
                    let blob = block.checked_add(layout.heap.header as u64);
                    return blob.filter(|_| is_used);
                }
                back => segment = segment.checked_sub(back.into())?,
            }
        }
        None
    }
}
