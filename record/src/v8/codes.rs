//! Generated code that is known of a process, by the addresses in it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::code_objects::Memory;

use super::code::{Code, Identity, header};
use super::engine::{MAX_KNOWN, OBJECT_STAYS_NS};
use super::heap::Heap;
use super::types::Types;

/// Places in generated code that are known of a process; with more, all are read once
/// again.
const MAX_PLACES: usize = 1 << 22;

#[derive(Debug, Clone, Default)]
pub(super) struct Codes {
    /// Generated code, by what is in front of it.
    by_header: FxHashMap<u64, Generated>,
    /// What is in front of the code at an address, and when that was looked for.
    by_address: FxHashMap<u64, (Option<u64>, u64)>,
    /// How much all of it takes.
    places: usize,
}

/// Generated code that was looked at.
#[derive(Debug, Clone)]
struct Generated {
    identity: Identity,
    /// What is known of it; `None` if it is not optimized.
    code: Option<Arc<Code>>,
    looked_ns: u64,
}

impl Generated {
    /// How much it takes, in places.
    fn size(&self) -> usize {
        1 + self.identity.size() + self.code.as_ref().map_or(0, |code| code.size())
    }
}

impl Codes {
    /// The optimized code at an address.
    pub(super) fn find<M: Memory>(
        &mut self,
        at: u64,
        time_ns: u64,
        heap: &Heap<'_, M>,
        types: &mut Types,
    ) -> Option<Arc<Code>> {
        let is_fresh = |looked_ns: u64| time_ns.saturating_sub(looked_ns) < OBJECT_STAYS_NS;
        let known = self.by_address.get(&at).copied();
        if let Some((Some(header), _)) = known {
            // As long as the same code is behind it, the address is in that.
            if let Some(known) = self.known(header, at, time_ns, heap, types) {
                return known;
            }
        }
        if let Some((None, looked_ns)) = known
            && is_fresh(looked_ns)
        {
            return None;
        }
        if self.places >= MAX_PLACES || self.by_address.len() >= MAX_KNOWN {
            self.by_header.clear();
            self.by_address.clear();
            self.places = 0;
        }
        let header = header(heap, at, |map| types.of(map, time_ns, heap));
        self.by_address.insert(at, (header, time_ns));
        let header = header?;
        if let Some(known) = self.known(header, at, time_ns, heap, types) {
            return known;
        }
        let mut type_of = |map| types.of(map, time_ns, heap);
        let Some(identity) = Identity::read(heap, header, &mut type_of) else {
            self.by_address.insert(at, (None, time_ns));
            return None;
        };
        let code = Code::read(heap, header, &identity, &mut type_of).map(Arc::new);
        let generated = Generated { identity, code: code.clone(), looked_ns: time_ns };
        self.places += generated.size();
        let before = self.by_header.insert(header, generated);
        self.places -= before.map_or(0, |before| before.size());
        code
    }

    /// What is known of the code behind this, at an address in it: `None` if nothing is,
    /// or if other code is there by now.
    fn known<M: Memory>(
        &mut self,
        header: u64,
        at: u64,
        time_ns: u64,
        heap: &Heap<'_, M>,
        types: &mut Types,
    ) -> Option<Option<Arc<Code>>> {
        let is_fresh = |looked_ns: u64| time_ns.saturating_sub(looked_ns) < OBJECT_STAYS_NS;
        if self.by_header.get(&header).is_some_and(|known| !is_fresh(known.looked_ns)) {
            let found = Identity::read(heap, header, &mut |map| types.of(map, time_ns, heap));
            let known = self.by_header.get_mut(&header)?;
            if found.as_ref() == Some(&known.identity) {
                known.looked_ns = time_ns;
            } else if found.is_some() || heap.memory.read(at, &mut [0]) > 0 {
                return None;
            }
            // Without its memory, the process may be gone, and the code is what it was.
        }
        Some(self.by_header.get(&header)?.code.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::v8::fixture::{CODE, HEADER, SHARED, START, Words, layout, with_code};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_moved_is_read_again() {
        let (mut codes, mut memory) = (Codes::default(), with_code());
        let layout = layout();
        let shared = |codes: &mut Codes, at: u64, memory: &Words| {
            let code =
                codes.find(START + 8, at, &Heap { memory, layout: &layout }, &mut Types::default());
            code.map(|code| code.functions_at(START + 16))
        };
        let functions = |outer, inner| Some(vec![(outer, 29), (outer, 30), (inner, 8)]);
        assert_eq!(shared(&mut codes, 0, &memory), functions(0x7001, 0xb001));
        // What was compiled into it is elsewhere; nothing else has changed.
        let inner = memory.object(0x3_0000, SHARED, &[]);
        memory.put(0xf000 + 24, &[inner]);
        assert_eq!(shared(&mut codes, SECOND, &memory), functions(0x7001, inner));
    }

    #[test]
    fn code_that_has_stayed_is_hardly_read() {
        let (mut codes, mut types, memory) = (Codes::default(), Types::default(), with_code());
        let layout = layout();
        let reads = Cell::new(0);
        let counted = |address: u64, to: &mut [u8]| {
            reads.set(reads.get() + 1);
            memory.read(address, to)
        };
        let heap = Heap { memory: &counted, layout: &layout };
        let mut reads_of = |at, time_ns| {
            reads.set(0);
            assert!(codes.find(at, time_ns, &heap, &mut types).is_some());
            reads.get()
        };
        assert!(reads_of(START + 8, 0) > 10);
        // What is in front of a new address has to be found.
        assert_eq!(reads_of(START + 16, 1), 1);
        // A second later, all of it is looked at together.
        let again = reads_of(START + 8, SECOND);
        assert!(again <= 8, "{again}");
        assert_eq!(reads_of(START + 16, SECOND + 1), 0);
    }

    #[test]
    fn what_code_takes_is_counted_once() {
        let (mut codes, mut memory) = (Codes::default(), with_code());
        let layout = layout();
        for (time_ns, code) in [(0, 0xd001), (SECOND, 0x3_0001), (2 * SECOND, 0x3_1001)] {
            memory.object(code - 1, 245, &[0, 0xc001, 0xe001, 0, 0, 0, 0]);
            memory.object(HEADER, CODE, &[code]);
            let heap = Heap { memory: &memory, layout: &layout };
            assert!(codes.find(START + 8, time_ns, &heap, &mut Types::default()).is_some());
            // Two functions, two places, and two calls.
            assert_eq!(codes.places, 1 + 2 + 4, "{time_ns}");
        }
    }
}
