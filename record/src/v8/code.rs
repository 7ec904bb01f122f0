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
use super::lines::{Place, source_positions};

/// Longest table of places in bytes; of longer ones, the beginning is kept.
const MAX_PLACES: usize = 256 << 10;
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

/// Optimized code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// What the functions share that it is of.
    pub(super) shared: u64,
    /// Where its instructions begin.
    start: u64,
    places: Vec<(u32, Place)>,
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
    /// Reads it, by what is in front of its instructions; `None` if it is not optimized.
    pub(super) fn read<M: Memory>(
        heap: &Heap<'_, M>,
        header: u64,
        type_of: &mut impl FnMut(u64) -> Option<u16>,
    ) -> Option<Self> {
        let layout = &heap.layout.code;
        let word = |object: u64, at: usize| Some(heap.object::<256>(object)?.word(at));
        let code = match layout.code {
            Some(at) => word(header, at)?,
            None => header,
        };
        let code: Object<64> = heap.object(code)?;
        let data: Object<256> = heap.object(code.word(layout.data))?;
        // Code of other kinds has its bytecode there.
        if !heap.layout.types.arrays.contains(&type_of(data.map())?) {
            return None;
        }
        let found = data.word(layout.shared);
        let shared = match layout.wrapped {
            Some(at) => word(found, at)?,
            None => found,
        };
        let mut is_shared = |word: u64| {
            let object: Option<Object<8>> = heap.object(word);
            object.and_then(|object| type_of(object.map())) == Some(heap.layout.types.shared)
        };
        if !is_shared(shared) {
            return None;
        }
        let start = header.checked_add(layout.instructions as u64 - 1)?;
        let table = heap.byte_array(code.word(layout.places), MAX_PLACES);
        let places = source_positions(&table.unwrap_or_default());
        let calls = calls(heap, &data, &mut is_shared).unwrap_or_default();
        Some(Code { shared, start, places, calls })
    }

    /// Functions that an address is in, each with the character that it is at: first
    /// the one that the code is of, then those that it has called in its own place.
    /// Empty if that is not known.
    pub(super) fn functions_at(&self, address: u64) -> Vec<(u64, u32)> {
        let mut functions = Vec::new();
        let Some(offset) = address.checked_sub(self.start) else { return functions };
        let before = self.places.partition_point(|(start, _)| u64::from(*start) <= offset);
        let Some((_, mut place)) = before.checked_sub(1).map(|last| self.places[last]) else {
            return functions;
        };
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
        self.places.len() + self.calls.len()
    }
}

/// Calls in whose places other functions are; `None` if what is there is something
/// else.
fn calls<M: Memory>(
    heap: &Heap<'_, M>,
    data: &Object<256>,
    is_shared: &mut impl FnMut(u64) -> bool,
) -> Option<Vec<Call>> {
    let layout = &heap.layout.code;
    let count = usize::try_from(small_number(data.word(layout.inlined))?).ok()?;
    let functions = heap.array(data.word(layout.values), count.min(MAX_PLACES / CALL))?;
    let bytes = heap.byte_array(data.word(layout.calls), MAX_PLACES)?;
    let calls = bytes.as_chunks::<CALL>().0.iter().map(|call| {
        let [position, number] = [&call[..8], &call[8..]]
            .map(|word| word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
        // It has 32 bits.
        let shared = *functions.get(number as u32 as usize)?;
        is_shared(shared).then_some(Call { at: Place::of(position)?, shared })
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
            let may_be = is_object(map) && (LOWEST..HIGHEST).contains(&map);
            if may_be && type_of(map) == Some(layout.object_type) {
                return Some(end - behind * ALIGNMENT as u64 + 1);
            }
        }
        end = start;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{ARRAY, CODE, SHARED, Words, layout, program, small};

    const HEADER: u64 = 0x2_0040;
    /// Where its instructions begin.
    const START: u64 = HEADER + 16;

    fn code(words: &Words, address: u64) -> Option<Code> {
        let layout = layout();
        let heap = Heap { memory: words, layout: &layout };
        let mut type_of = |map| heap.type_of(map);
        Code::read(&heap, header(&heap, address, type_of)?, &mut type_of)
    }

    /// Code of the program's function, with other code and nothing before it. From 8 on,
    /// it is at character 25; from 16 on, it is at 8 of a function whose call is at 30
    /// of one whose call is at 29.
    fn with_code() -> Words {
        let mut words = program();
        words.put(HEADER - 0x40, &[0x90; 0x1000]);
        let inner = words.object(0xb000, SHARED, &[]);
        let places = [(8, 26 << 1), (8, (2 << 31 | 9 << 1) - (26 << 1))];
        let places = words.bytes(0xe000, &table(&places));
        let calls = [30 << 1, 0, 1 << 31 | 31 << 1, 0x77_0000_0001].map(u64::to_le_bytes);
        let calls = words.bytes(0xe800, &calls.concat());
        // Some are not kept alive.
        let values = words.object(0xf000, ARRAY, &[small(3), 0x7001, inner | 2, 0x4001]);
        let data = [small(8), 0, small(2), values, 0, 0, 0, 0x7001, calls];
        let data = words.object(0xc000, ARRAY, &data);
        let code = words.object(0xd000, 245, &[0, data, places, 0, 0, 0, 0]);
        words.object(HEADER, CODE, &[code]);
        words
    }

    /// Offsets and positions, each as much greater than the one before.
    fn table(entries: &[(i64, i64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in entries.iter().flat_map(|(offset, position)| [*offset, *position]) {
            let mut left = (number << 1 ^ number >> 63) as u64;
            while left >= 0x80 {
                bytes.push(left as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8);
        }
        bytes
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
            words.bytes(0xe800, &calls);
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
}
