//! Which function generated code is of.
//!
//! A function that was made for one call may be gone, or another one may be at its
//! address, before it can be looked at. Optimized code stays where it is for longer, and
//! leads to the function that all of these share: what is in front of the instructions
//! is an object with a map, and has data for when the code has to be given up.

use crate::code_objects::Memory;

use super::heap::{Heap, Object, is_object};

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
    /// Where that has the object with the data, since version 11; until then, it has
    /// these itself.
    pub(super) code: Option<usize>,
    pub(super) data: usize,
    /// Where the data have what functions share.
    pub(super) shared: usize,
    /// Where the object that this is in, since version 13, has it.
    pub(super) wrapped: Option<usize>,
}

/// What the functions share that the code at an address was compiled from.
pub(super) fn function_of<M: Memory>(
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
                return shared(heap, end - behind * ALIGNMENT as u64 + 1, &mut type_of);
            }
        }
        end = start;
    }
    None
}

/// What functions share, by what is in front of their code.
fn shared<M: Memory>(
    heap: &Heap<'_, M>,
    header: u64,
    type_of: &mut impl FnMut(u64) -> Option<u16>,
) -> Option<u64> {
    let layout = &heap.layout.code;
    let word = |object: u64, at: usize| Some(heap.object::<256>(object)?.word(at));
    let code = match layout.code {
        Some(at) => word(header, at)?,
        None => header,
    };
    let data = word(code, layout.data)?;
    let found = word(data, layout.shared)?;
    let found = match layout.wrapped {
        Some(at) => word(found, at)?,
        None => found,
    };
    let object: Object<8> = heap.object(found)?;
    (type_of(object.map()) == Some(heap.layout.types.shared)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{CODE, Words, layout, program};

    const HEADER: u64 = 0x2_0040;

    fn found(words: &Words, address: u64) -> Option<u64> {
        let layout = layout();
        let heap = Heap { memory: words, layout: &layout };
        function_of(&heap, address, |map| heap.type_of(map))
    }

    /// Code of the program's function, with other code and nothing before it.
    fn with_code() -> Words {
        let mut words = program();
        words.put(HEADER - 0x40, &[0x90; 0x1000]);
        let data = words.object(0xc000, 175, &[0, 0, 0, 0, 0, 0, 0, 0x7001]);
        let code = words.object(0xd000, 245, &[0, data]);
        words.object(HEADER, CODE, &[code]);
        words
    }

    #[test]
    fn code_leads_to_its_function() {
        let words = with_code();
        for address in [HEADER + 64, HEADER + 0x177, HEADER + 0x5000] {
            assert_eq!(found(&words, address), Some(0x7001), "{address:#x}");
        }
        assert_eq!(found(&words, HEADER - 1), None);
    }

    #[test]
    fn what_has_no_data_has_no_function() {
        let mut words = with_code();
        words.object(HEADER, CODE, &[0x7001]);
        assert_eq!(found(&words, HEADER + 64), None);
        assert_eq!(found(&Words::default(), HEADER + 64), None);
    }
}
