//! Which function generated code is of.
//!
//! A function that was made for one call may be gone, or another one may be at its
//! address, before it can be looked at. Optimized code stays where it is for longer, and
//! leads to the function that all of these share: what is in front of the instructions
//! is an object with a map, and has data for when the code has to be given up.
//!
//! With these are the functions that were compiled into it, and for each instruction the
//! place in the script that it was made of, and the call in whose place it is.

use crate::code_objects::Memory;

use super::heap::{Heap, Object, is_object, small_number};
use super::lines::{MAX_TABLE, Place, Places};

/// Functions that were compiled into another one, and calls of these, at most.
const MAX_CALLS: usize = 16 << 10;
/// How deep functions can be compiled into each other.
const MAX_DEPTH: usize = 64;
/// What is kept of a call in whose place there is another function, in bytes.
const CALL: usize = 16;
/// Where objects are.
const ALIGNMENT: usize = 8;
/// The lowest address at which there is any.
const LOWEST: u64 = 1 << 16;
/// The highest one.
const HIGHEST: u64 = 1 << 47;
/// How far in front of an instruction its code is looked for: in pieces, each of which
/// is there as a whole or not at all.
const PIECE: u64 = 4 << 10;
const PIECES: u64 = 64;
/// How many words in front of it are looked at for whether they are maps: instructions
/// hardly look so.
const MAX_MAPS: usize = 1024;

/// What is where in generated code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CodeLayout {
    /// What is in front of instructions.
    pub(super) object_type: u16,
    /// Where instructions begin, from there.
    pub(super) instructions: usize,
    /// Where that has the object with the data, since version 11; until then, it has
    /// these itself.
    pub(super) code: Option<usize>,
    pub(super) data: usize,
    /// Where the table of places is, beside the data.
    pub(super) places: usize,
    /// Where the data have what functions share.
    pub(super) shared: usize,
    /// How many functions were compiled into this one.
    pub(super) inlined: usize,
    /// Values, of which these functions come first.
    pub(super) values: usize,
    /// The calls in whose places they are.
    pub(super) calls: usize,
    /// Where the object that this is in, since version 13, has it.
    pub(super) wrapped: Option<usize>,
}

/// What tells whether there is still the same code behind what is in front of it, and
/// leads to the rest of it. Where any of it has moved, this says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    map: u64,
    code: u64,
    data: u64,
    places: u64,
    /// What it has if it is optimized.
    optimized: Option<Optimized>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Optimized {
    /// What the functions share that it is of.
    shared: u64,
    /// The same of those that were compiled into it.
    functions: Vec<u64>,
    calls: u64,
}

impl Identity {
    /// Reads it, by what is in front of the instructions.
    pub(super) fn read<M: Memory>(
        heap: &Heap<'_, M>,
        header: u64,
        type_of: &mut impl FnMut(u64) -> Option<u16>,
    ) -> Option<Self> {
        let layout = &heap.layout.code;
        let front: Object<64> = heap.object(header)?;
        let code = layout.code.map_or(header, |at| front.word(at));
        let object: Object<64> = heap.object(code)?;
        let [data, places] = [layout.data, layout.places].map(|at| object.word(at));
        let content: Object<256> = heap.object(data)?;
        // Code of other kinds has its bytecode there.
        let is_array = heap.layout.types.arrays.contains(&type_of(content.map())?);
        let optimized = if is_array { Optimized::read(heap, &content) } else { None };
        Some(Identity { map: front.map(), code, data, places, optimized })
    }

    /// How much it takes, in places.
    pub(super) fn size(&self) -> usize {
        self.optimized.as_ref().map_or(0, |optimized| optimized.functions.len())
    }
}

impl Optimized {
    fn read<M: Memory>(heap: &Heap<'_, M>, data: &Object<256>) -> Option<Self> {
        let layout = &heap.layout.code;
        let found = data.word(layout.shared);
        let shared = match layout.wrapped {
            Some(at) => heap.object::<64>(found)?.word(at),
            None => found,
        };
        let count = small_number(data.word(layout.inlined)).and_then(|n| usize::try_from(n).ok());
        let functions = count.and_then(|n| heap.array(data.word(layout.values), n.min(MAX_CALLS)));
        let calls = data.word(layout.calls);
        Some(Optimized { shared, functions: functions.unwrap_or_default(), calls })
    }
}

/// Optimized code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// What the functions share that it is of.
    pub(super) shared: u64,
    /// Where its instructions begin.
    start: u64,
    places: Places,
    calls: Vec<Call>,
}

/// A call in whose place the function is that was called.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    at: Place,
    /// What functions share that are as that one.
    shared: u64,
}

impl Code {
    /// Reads the rest of it; `None` if it is not optimized.
    pub(super) fn read<M: Memory>(
        heap: &Heap<'_, M>,
        header: u64,
        identity: &Identity,
        type_of: &mut impl FnMut(u64) -> Option<u16>,
    ) -> Option<Self> {
        let Optimized { shared, functions, calls } = identity.optimized.as_ref()?;
        let mut if_shared = |word: u64| {
            let object: Object<8> = heap.object(word)?;
            (type_of(object.map())? == heap.layout.types.shared).then_some(word)
        };
        let shared = if_shared(*shared)?;
        let start = (header - 1).checked_add(heap.layout.code.instructions as u64)?;
        let table = heap.byte_array(identity.places, MAX_TABLE);
        let places = Places::of(&table.unwrap_or_default());
        // There may be many calls of each.
        let functions: Vec<_> = functions.iter().map(|function| if_shared(*function)).collect();
        let calls = heap.byte_array(*calls, MAX_CALLS * CALL);
        let calls = calls.and_then(|bytes| read_calls(&bytes, &functions)).unwrap_or_default();
        Some(Code { shared, start, places, calls })
    }

    /// Functions that an address is in, each with the character that it is at: first
    /// the one that the code is of, then those that it has called in its own place.
    /// Empty if that is not known.
    pub(super) fn functions_at(&self, address: u64) -> Vec<(u64, u32)> {
        let mut functions = Vec::new();
        let Some(offset) = address.checked_sub(self.start) else { return functions };
        let Some(mut place) = self.places.find(offset) else { return functions };
        while let Some(number) = place.call {
            let call = self.calls.get(number as usize);
            // What has called comes before what was called.
            let call = call.filter(|call| call.at.call.is_none_or(|outer| outer < number));
            let Some(call) = call.filter(|_| functions.len() < MAX_DEPTH) else {
                return Vec::new();
            };
            functions.push((call.shared, place.character));
            place = call.at;
        }
        functions.push((self.shared, place.character));
        functions.reverse();
        functions
    }

    /// How much it takes, in places.
    pub(super) fn size(&self) -> usize {
        self.places.begins.len() + self.calls.len()
    }
}

/// Calls in whose places these functions are; `None` if what is there is something else.
fn read_calls(bytes: &[u8], functions: &[Option<u64>]) -> Option<Vec<Call>> {
    let calls = bytes.as_chunks::<CALL>().0.iter().map(|call| {
        let [position, number] = [&call[..8], &call[8..]]
            .map(|word| word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
        // It has 32 bits.
        let shared = (*functions.get(number as u32 as usize)?)?;
        Some(Call { at: Place::of(position)?, shared })
    });
    calls.collect()
}

/// What is in front of the instructions at an address.
pub(super) fn header<M: Memory>(
    heap: &Heap<'_, M>,
    address: u64,
    mut type_of: impl FnMut(u64) -> Option<u16>,
) -> Option<u64> {
    let layout = &heap.layout.code;
    let mut end = (address & !(ALIGNMENT as u64 - 1)).checked_add(ALIGNMENT as u64)?;
    let mut page = [0; PIECE as usize];
    let mut left = MAX_MAPS;
    for _ in 0..PIECES {
        let start = end.checked_sub(1)? & !(PIECE - 1);
        let bytes = page.get_mut(..(end - start) as usize)?;
        if heap.memory.read(start, bytes) < bytes.len() {
            return None;
        }
        let words = bytes.chunks_exact(ALIGNMENT).rev();
        let words =
            words.map(|part| part.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
        for (behind, map) in (1_u64..).zip(words) {
            if !is_object(map) || !(LOWEST..HIGHEST).contains(&map) {
                continue;
            }
            left = left.checked_sub(1)?;
            if type_of(map) == Some(layout.object_type) {
                return Some(end - behind * ALIGNMENT as u64 + 1);
            }
        }
        end = start;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::v8::fixture::{CODE, HEADER, START, Words, layout, with_code};

    fn code(words: &Words, address: u64) -> Option<Code> {
        let layout = layout();
        let heap = Heap { memory: words, layout: &layout };
        let mut type_of = |map| heap.type_of(map);
        let header = header(&heap, address, type_of)?;
        Code::read(&heap, header, &Identity::read(&heap, header, &mut type_of)?, &mut type_of)
    }

    #[test]
    fn code_leads_to_its_function() {
        let words = with_code();
        for address in [HEADER + 64, HEADER + 0x177, HEADER + 0x5000] {
            let found = code(&words, address).map(|code| code.shared);
            assert_eq!(found, Some(0x7001), "{address:#x}");
        }
        assert_eq!(code(&words, HEADER - 1), None);
    }

    #[test]
    fn functions_that_are_inlined_have_their_callers() {
        let code = code(&with_code(), START).unwrap();
        assert_eq!(code.functions_at(START + 7), []);
        assert_eq!(code.functions_at(START + 8), [(0x7001, 25)]);
        assert_eq!(code.functions_at(START + 99), [(0x7001, 29), (0x7001, 30), (0xb001, 8)]);
        assert_eq!(code.functions_at(START - 1), []);
    }

    #[test]
    fn what_has_wrong_calls_is_in_no_function() {
        let functions = |calls: &[u64]| {
            let mut words = with_code();
            let calls: Vec<u8> = calls.iter().flat_map(|word| word.to_le_bytes()).collect();
            words.byte_array(0xe800, &calls);
            code(&words, START).unwrap().functions_at(START + 16)
        };
        let outer = [30 << 1, 0];
        assert_eq!(functions(&[outer, [1 << 31 | 31 << 1, 1]].concat()).len(), 3);
        // Fewer than there should be; a place in itself; values that are no function,
        // and not there; no place at all.
        assert_eq!(functions(&outer), []);
        assert_eq!(functions(&[outer, [2 << 31 | 31 << 1, 1]].concat()), []);
        assert_eq!(functions(&[outer, [1 << 31 | 31 << 1, 2]].concat()), []);
        assert_eq!(functions(&[outer, [1 << 31 | 31 << 1, 9]].concat()), []);
        assert_eq!(functions(&[outer, [0, 1]].concat()), []);
    }

    #[test]
    fn what_has_no_data_has_no_function() {
        let mut words = with_code();
        words.object(HEADER, CODE, &[0x7001]);
        assert_eq!(code(&words, HEADER + 64), None);
        assert_eq!(code(&Words::default(), HEADER + 64), None);
    }

    #[test]
    fn memory_that_looks_like_maps_is_given_up() {
        let mut words = Words::default();
        let maps: Vec<u64> = (0..0x1000).map(|number| 0x100_0001 + number * 8).collect();
        words.put(0x2_0000, &maps);
        let mut asked = 0;
        let layout = layout();
        let found = header(&Heap { memory: &words, layout: &layout }, 0x2_7ff8, |_| {
            asked += 1;
            None
        });
        assert_eq!((found, asked), (None, MAX_MAPS));
    }

    #[test]
    fn a_function_with_many_calls_is_looked_at_once() {
        let mut words = with_code();
        words.byte_array(0xe800, &[60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(100));
        let reads = Cell::new(0);
        let counted = |address: u64, to: &mut [u8]| {
            reads.set(reads.get() + 1);
            words.read(address, to)
        };
        let layout = layout();
        let heap = Heap { memory: &counted, layout: &layout };
        let mut type_of = |map| heap.type_of(map);
        let identity = Identity::read(&heap, HEADER + 1, &mut type_of).unwrap();
        let code = Code::read(&heap, HEADER + 1, &identity, &mut type_of).unwrap();
        assert_eq!(code.calls.len(), 100);
        assert!(reads.get() < 50, "{}", reads.get());
    }
}
