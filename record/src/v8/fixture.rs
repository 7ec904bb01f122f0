//! A small heap to read, as V8 has it.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::code_objects::Memory;

use super::layout::Layout;

/// What version 11.3 exports, as far as it is used.
pub(super) const NUMBERS: [(&str, i32); 46] = [
    ("TaggedSize", 8),
    ("HeapObjectTag", 1),
    ("SmiTag", 0),
    ("SmiShiftSize", 31),
    ("StringRepresentationMask", 7),
    ("SeqStringTag", 0),
    ("ConsStringTag", 1),
    ("ExternalStringTag", 2),
    ("SlicedStringTag", 3),
    ("ThinStringTag", 5),
    ("StringEncodingMask", 8),
    ("OneByteStringTag", 8),
    ("FirstNonstringType", 128),
    ("off_fp_context", -8),
    ("off_fp_context_or_frame_type", -8),
    ("off_fp_function", -16),
    ("off_fp_bytecode_array", -32),
    ("off_fp_bytecode_offset", -40),
    ("class_Map__instance_type__uint16_t", 12),
    ("class_JSFunction__shared__SharedFunctionInfo", 24),
    ("class_SharedFunctionInfo__name_or_scope_info__Object", 16),
    ("class_SharedFunctionInfo__script_or_debug_info__HeapObject", 32),
    ("class_Script__name__Object", 16),
    ("class_Script__source__Object", 8),
    ("scopeinfo_idx_first_vars", 3),
    ("class_BytecodeArray__data__uintptr_t", 54),
    ("class_FixedArrayBase__length__SMI", 8),
    ("class_FixedArray__data__uintptr_t", 16),
    ("class_String__length__int32_t", 12),
    ("class_SeqOneByteString__chars__char", 16),
    ("class_ConsString__first__String", 16),
    ("class_ConsString__second__String", 24),
    ("class_SlicedString__parent__String", 16),
    ("class_SlicedString__offset__SMI", 24),
    ("class_ThinString__actual__String", 16),
    ("class_ExternalString__resource__Object", 16),
    ("type_JSFunction__JS_FUNCTION_TYPE", FUNCTION as i32),
    ("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", SHARED as i32),
    ("type_Script__SCRIPT_TYPE", SCRIPT as i32),
    ("type_ScopeInfo__SCOPE_INFO_TYPE", SCOPE as i32),
    ("type_BytecodeArray__BYTECODE_ARRAY_TYPE", BYTECODE as i32),
    ("type_InstructionStream__INSTRUCTION_STREAM_TYPE", CODE as i32),
    ("class_InstructionStream__instruction_start__uintptr_t", 16),
    ("DeoptimizationDataSharedFunctionInfoIndex", 6),
    ("type_FixedArray__FIXED_ARRAY_TYPE", ARRAY as i32),
    ("type_ByteArray__BYTE_ARRAY_TYPE", BYTES as i32),
];

pub(super) const FUNCTION: u16 = 2066;
pub(super) const SHARED: u16 = 262;
pub(super) const SCRIPT: u16 = 167;
pub(super) const SCOPE: u16 = 261;
pub(super) const BYTECODE: u16 = 191;
pub(super) const CODE: u16 = 252;
pub(super) const BYTES: u16 = 190;
pub(super) const ARRAY: u16 = 175;
pub(super) const ONE_BYTE_STRING: u16 = 40;

pub(super) fn layout() -> Layout {
    Layout::of(&NUMBERS).unwrap()
}

/// A number of V8's own.
pub(super) fn small(number: i32) -> u64 {
    u64::from(number as u32) << 32
}

/// Memory of words; there is none where none was put.
#[derive(Default)]
pub(super) struct Words(FxHashMap<u64, u64>);

impl Words {
    /// All bytes, in the order of their addresses.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let words: BTreeMap<u64, u64> = self.0.iter().map(|(at, word)| (*at, *word)).collect();
        words.into_values().flat_map(u64::to_le_bytes).collect()
    }

    /// The same with other bytes, from the first one on.
    pub(super) fn with(&self, bytes: &[u8]) -> Words {
        let mut words: BTreeMap<u64, u64> = self.0.iter().map(|(at, word)| (*at, *word)).collect();
        for (word, other) in words.values_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(other.try_into().expect("8 bytes"));
        }
        Words(words.into_iter().collect())
    }

    pub(super) fn put(&mut self, address: u64, words: &[u64]) {
        for (address, word) in (address..).step_by(8).zip(words) {
            self.0.insert(address, *word);
        }
    }

    /// Puts an object of a type at an address, and returns the word for it.
    pub(super) fn object(&mut self, address: u64, object_type: u16, words: &[u64]) -> u64 {
        // Each type has one map.
        let map = 0x10_0000 + u64::from(object_type) * 16;
        self.put(map, &[0, u64::from(object_type) << 32]);
        self.put(address, &[&[map + 1], words].concat());
        address + 1
    }

    /// Puts an array of bytes at an address.
    pub(super) fn byte_array(&mut self, address: u64, bytes: &[u8]) -> u64 {
        let words = bytes.chunks(8).map(|part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        });
        let words: Vec<u64> = std::iter::once(small(bytes.len() as i32)).chain(words).collect();
        self.object(address, BYTES, &words)
    }

    pub(super) fn string(&mut self, address: u64, text: &str) -> u64 {
        let words = text.as_bytes().chunks(8).map(|part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        });
        let words: Vec<u64> = std::iter::once((text.len() as u64) << 32).chain(words).collect();
        self.object(address, ONE_BYTE_STRING, &words)
    }
}

impl Memory for Words {
    fn read(&self, address: u64, to: &mut [u8]) -> usize {
        for (at, byte) in to.iter_mut().enumerate() {
            let address = address.wrapping_add(at as u64);
            let Some(word) = self.0.get(&(address & !7)) else { return at };
            *byte = word.to_le_bytes()[(address & 7) as usize];
        }
        to.len()
    }
}

/// A function at `0x1000`, in the second line of its script, with bytecode at `0x9000`.
pub(super) fn program() -> Words {
    let mut words = Words::default();
    let source = words.string(0x2000, "let a;\nfunction parse(b) {\n  c();\n}\n");
    let file = words.string(0x3000, "/app.js");
    let script = words.object(0x4000, SCRIPT, &[&[source, file], &[0; 14][..]].concat());
    let name = words.string(0x5000, "parse");
    let undefined = words.object(0x5800, 131, &[0; 8]);
    // It has a name, and what it was assigned to; one variable.
    let scope = [7 << 12 | 2, 1, 1].map(small);
    let variables = [name, 0];
    let tail = [name, small(-1), undefined, small(21), small(35), 0, 0, 0, 0, 0];
    let scope = words.object(0x6000, SCOPE, &[&scope[..], &variables, &tail].concat());
    let shared = words.object(0x7000, SHARED, &[0x9001, scope, 0, script, 0, 0, 0]);
    words.object(0x1000, FUNCTION, &[0, 0, shared, 0, 0, 0, 0]);
    // From 4 on, it is in line 3.
    let table = words.object(0x8000, BYTES, &[small(2), 0x7808]);
    words.object(0x9000, BYTECODE, &[small(8), 0, 0, table, 0, 0, 0]);
    words
}

/// What is in front of optimized code.
pub(super) const HEADER: u64 = 0x2_0040;
/// Where its instructions begin.
pub(super) const START: u64 = HEADER + 16;

/// Code of the program's function, with other code and nothing before it. From 8 on,
/// it is at character 25; from 16 on, it is at 8 of a function whose call is at 30
/// of one whose call is at 29.
pub(super) fn with_code() -> Words {
    let mut words = program();
    words.put(HEADER - 0x40, &[0x90; 0x1000]);
    let inner = words.object(0xb000, SHARED, &[]);
    let places = [(8, 26 << 1), (8, (2 << 31 | 9 << 1) - (26 << 1))];
    let places = words.byte_array(0xe000, &table(&places));
    let calls = [30 << 1, 0, 1 << 31 | 31 << 1, 0x77_0000_0001].map(u64::to_le_bytes);
    let calls = words.byte_array(0xe800, &calls.concat());
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
