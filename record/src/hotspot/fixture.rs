//! A small HotSpot to read, as version 17 keeps things.

use std::collections::BTreeMap;

use crate::code_objects::Memory;

use super::layout::Layout;
use super::tables::Tables;

/// What its tables say, as far as it is used: fields, with their offsets, or addresses
/// of those that are variables.
const FIELDS: [(&str, u64); 49] = [
    ("CodeCache::_heaps", HEAPS),
    ("GrowableArrayBase::_len", 0),
    ("GrowableArray<int>::_data", 8),
    ("Abstract_VM_Version::_vm_major_version", VERSION),
    ("CodeHeap::_memory", 8),
    ("CodeHeap::_segmap", 120),
    ("CodeHeap::_log2_segment_size", 256),
    ("VirtualSpace::_low_boundary", 0),
    ("VirtualSpace::_high_boundary", 8),
    ("VirtualSpace::_low", 16),
    ("HeapBlock::Header::_used", 8),
    ("CodeBlob::_name", 96),
    ("CodeBlob::_size", 12),
    ("CodeBlob::_frame_size", 28),
    ("CodeBlob::_frame_complete_offset", 20),
    ("CodeBlob::_code_begin", 32),
    ("CodeBlob::_data_offset", 24),
    ("CompiledMethod::_method", 112),
    ("CompiledMethod::_scopes_data_begin", 120),
    ("CompiledMethod::_deopt_handler_begin", 128),
    ("CompiledMethod::_deopt_mh_handler_begin", 136),
    ("nmethod::_compile_id", 304),
    ("nmethod::_comp_level", 308),
    ("nmethod::_orig_pc_offset", 300),
    ("nmethod::_metadata_offset", 260),
    ("nmethod::_scopes_pcs_offset", 268),
    ("nmethod::_dependencies_offset", 272),
    ("Method::_constMethod", 8),
    ("ConstMethod::_constants", 8),
    ("ConstMethod::_flags", 28),
    ("ConstMethod::_constMethod_size", 24),
    ("ConstMethod::_code_size", 32),
    ("ConstMethod::_name_index", 34),
    ("ConstMethod::_signature_index", 36),
    ("ConstMethod::_method_idnum", 38),
    ("ConstantPool::_pool_holder", 24),
    ("ConstantPool::_length", 60),
    ("ConstantPool::_source_file_name_index", 54),
    ("Klass::_name", 24),
    ("InstanceKlass::_constants", 232),
    ("Symbol::_length", 4),
    ("Symbol::_body", 6),
    ("AbstractInterpreter::_code", INTERPRETER),
    ("StubQueue::_stub_buffer", 8),
    ("StubQueue::_buffer_limit", 20),
    ("InterpreterCodelet::_size", 8),
    ("InterpreterCodelet::_description", 0),
    ("StubRoutines::_call_stub_return_address", CALL_STUB_RETURN),
    ("Unused::_field", 0),
];
/// What leads to the names of threads.
const THREAD_FIELDS: [(&str, u64); 22] = [
    ("InstanceKlass::_fields", 440),
    ("InstanceKlass::_java_fields_count", 310),
    ("Array<u1>::_data", 4),
    ("Array<u2>::_data", 4),
    ("JVMFlag::flags", VARIABLES),
    ("JVMFlag::numFlags", VARIABLES + 0x8),
    ("JVMFlag::_name", 8),
    ("JVMFlag::_addr", 0),
    ("CompressedOops::_narrow_oop._base", VARIABLES + 0x10),
    ("CompressedOops::_narrow_oop._shift", VARIABLES + 0x18),
    ("CompressedKlassPointers::_narrow_klass._base", VARIABLES + 0x20),
    ("CompressedKlassPointers::_narrow_klass._shift", VARIABLES + 0x28),
    ("vmClasses::_klasses[static_cast<int>(vmClassID::String_klass_knum)]", VARIABLES + 0x30),
    ("vmClasses::_klasses[static_cast<int>(vmClassID::Thread_klass_knum)]", VARIABLES + 0x38),
    ("ThreadsSMRSupport::_java_thread_list", VARIABLES + 0x40),
    ("Klass::_layout_helper", 8),
    ("Klass::_primary_supers[0]", 48),
    ("ThreadsList::_length", 4),
    ("ThreadsList::_threads", 16),
    ("JavaThread::_osthread", 560),
    ("JavaThread::_threadObj", 648),
    ("OSThread::_thread_id", 208),
];
const SIZES: [(&str, u64); 4] =
    [("HeapBlock", 16), ("ConstMethod", 48), ("ConstantPool", 72), ("JVMFlag", 24)];

const HEAPS: u64 = 0x1000;
const VERSION: u64 = 0x1100;
const INTERPRETER: u64 = 0x1200;
const CALL_STUB_RETURN: u64 = 0x1300;
const VARIABLES: u64 = 0x30_0000;
const CLASSES: u64 = 0x40_0000;
/// Objects: a thread, its name, and the bytes of that.
pub(super) const OBJECTS: u64 = 0x50_0000;

/// Where code lies, in segments of 128 bytes.
pub(super) const CODE_HEAP: u64 = 0x10_0000;
/// A compiled method, and where its instructions begin and it ends.
pub(super) const BLOB: u64 = CODE_HEAP + 0x110;
pub(super) const CODE: u64 = BLOB + 0x180;
pub(super) const BLOB_SIZE: u32 = 0x480;
/// Two methods: the second one is inlined in the first.
pub(super) const METHODS: [u64; 2] = [0x2_0000, 0x2_1000];

/// Memory by the byte.
#[derive(Default, Clone)]
pub(super) struct Bytes(BTreeMap<u64, u8>);

impl Memory for Bytes {
    fn read(&self, address: u64, to: &mut [u8]) -> usize {
        let addresses = (0..to.len()).map(|at| address.checked_add(at as u64));
        let found = addresses.map_while(|at| self.0.get(&at?).copied());
        found.zip(to).map(|(byte, to)| *to = byte).count()
    }
}

impl Bytes {
    pub(super) fn put(&mut self, address: u64, bytes: &[u8]) {
        self.0.extend((address..).zip(bytes.iter().copied()));
    }

    pub(super) fn word(&mut self, address: u64, word: u64) {
        self.put(address, &word.to_le_bytes());
    }

    pub(super) fn half(&mut self, address: u64, half: u32) {
        self.put(address, &half.to_le_bytes());
    }

    pub(super) fn remove(&mut self, address: u64, length: u64) {
        self.0.retain(|at, _| !(address..address + length).contains(at));
    }

    /// All bytes with their addresses.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (u64, &mut u8)> {
        self.0.iter_mut().map(|(address, byte)| (*address, byte))
    }

    /// The same with other bytes, from the first one on.
    pub(super) fn with(&self, bytes: &[u8]) -> Bytes {
        let mut memory = self.clone();
        memory.all().zip(bytes).for_each(|((_, byte), other)| *byte = *other);
        memory
    }

    fn zeros(&mut self, address: u64, length: usize) {
        self.put(address, &vec![0; length]);
    }

    fn symbol(&mut self, address: u64, text: &str) {
        self.zeros(address, 6);
        self.put(address + 4, &(text.len() as u16).to_le_bytes());
        self.put(address + 6, text.as_bytes());
    }

    /// A method with a class of its own, of 20 bytes of bytecode.
    fn method(&mut self, address: u64, name: &str, class: &str) {
        let [constant, pool, klass, symbols] =
            [0x200, 0x400, 0x600, 0x800].map(|behind| address + behind);
        for (part, length) in [(address, 88), (constant, 80), (pool, 104), (klass, 464)] {
            self.zeros(part, length);
        }
        self.word(address + 8, constant);
        self.word(constant + 8, pool);
        self.half(constant + 24, 10);
        // It has lines; its name is the first constant.
        self.put(constant + 28, &[1, 0]);
        self.put(constant + 32, &[20, 0, 1, 0, 2, 0, 7, 0]);
        // Lines 10 and 12, from bytes 0 and 5 on.
        self.put(constant + 48 + 20, &[0xff, 0, 20, 5 << 3 | 2, 0]);
        self.word(pool + 24, klass);
        self.put(pool + 54, &[3, 0]);
        self.half(pool + 60, 4);
        for (index, text) in [(1, name), (2, "()V"), (3, "Main.java")] {
            self.symbol(symbols + index * 0x40, text);
            self.word(pool + 72 + index * 8, symbols + index * 0x40);
        }
        self.symbol(symbols, class);
        self.word(klass + 24, symbols);
        self.word(klass + 232, pool);
    }

    /// A class with these fields: names, types and offsets.
    fn class(&mut self, address: u64, fields: &[(&str, &str, u32)]) {
        let [pool, symbols, list] = [0x400, 0x800, 0xc00].map(|behind| address + behind);
        self.zeros(address, 464);
        self.zeros(pool, 72 + 8 * (1 + 2 * fields.len()));
        self.word(address + 232, pool);
        self.half(pool + 60, 1 + 2 * fields.len() as u32);
        self.word(address + 440, list);
        self.put(address + 310, &[fields.len() as u8, 0]);
        self.zeros(list, 4 + 12 * fields.len());
        for (index, (name, signature, offset)) in fields.iter().enumerate() {
            let constants = [2 * index as u64 + 1, 2 * index as u64 + 2];
            for (constant, text) in constants.into_iter().zip([name, signature]) {
                self.symbol(symbols + constant * 0x40, text);
                self.word(pool + 72 + constant * 8, symbols + constant * 0x40);
            }
            let row = list + 4 + 12 * index as u64;
            self.put(row + 2, &[constants[0] as u8, 0, constants[1] as u8, 0]);
            self.half(row + 8, offset << 2 | 1);
        }
    }

    /// The compiled method, as compilation `id` of a method.
    pub(super) fn blob(&mut self, id: u32, method: u64) {
        const NAME: u64 = 0x1400;
        self.put(NAME, b"nmethod\0");
        self.zeros(BLOB - 16, 16 + BLOB_SIZE as usize);
        // It takes ten segments, and is used.
        self.word(BLOB - 16, 10);
        self.put(BLOB - 8, &[1]);
        self.word(BLOB + 96, NAME);
        self.half(BLOB + 12, BLOB_SIZE);
        self.half(BLOB + 28, 6);
        self.half(BLOB + 20, 5);
        self.word(BLOB + 32, CODE);
        self.word(BLOB + 112, method);
        self.word(BLOB + 120, BLOB + 0x330);
        self.half(BLOB + 260, 0x300);
        self.half(BLOB + 268, 0x400);
        self.half(BLOB + 272, 0x440);
        self.half(BLOB + 304, id);
        self.half(BLOB + 308, 4);
        // push rbp; sub rsp, 0x20; …; add rsp, 0x20; pop rbp; ret
        self.put(CODE, &[0x55, 0x48, 0x83, 0xec, 0x20, 0x90]);
        self.put(CODE + 0x80, &[0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3]);
        for (index, method) in METHODS.into_iter().enumerate() {
            self.word(BLOB + 0x300 + index as u64 * 8, method);
        }
        // At 1: the first method at its byte 5; at 4: in that the second at 0.
        self.put(BLOB + 0x330, &[0, 0, 1, 6, 1, 2, 1]);
        let descriptions = [(-1_i32, 0), (0x10, 1), (0x40, 4), (i32::MAX, 0)];
        for (index, (at, scope)) in descriptions.into_iter().enumerate() {
            let description = BLOB + 0x400 + index as u64 * 16;
            self.half(description, at as u32);
            self.half(description + 4, scope);
        }
    }
}

pub(super) fn layout() -> Layout {
    let fields =
        FIELDS.iter().chain(&THREAD_FIELDS).map(|(name, at)| ((*name).to_owned(), (*at, *at)));
    // Variables are no offsets.
    let sizes = SIZES.iter().map(|(name, size)| ((*name).to_owned(), *size));
    let constants = [("ConstMethod::_has_linenumber_table".to_owned(), 1)];
    let tables = Tables {
        fields: fields.collect(),
        sizes: sizes.collect(),
        constants: constants.into_iter().collect(),
    };
    Layout::of(&tables, |_| Some(17)).unwrap()
}

/// The memory of a program with a thread of this number and name.
pub(super) fn program_with_thread(number: u32, name: &str) -> Bytes {
    let mut memory = Bytes::default();
    let (string, thread_class, bytes) = (CLASSES + 0x2000, CLASSES + 0x4000, CLASSES + 0x6000);
    memory.class(string, &[("hash", "I", 12), ("value", "[B", 20), ("coder", "B", 16)]);
    memory.class(thread_class, &[("name", "Ljava/lang/String;", 24)]);
    memory.word(thread_class + 48 + 8, thread_class);
    memory.class(bytes, &[]);
    memory.half(bytes + 8, 0xc010_0800);

    let (options, list, thread) = (VARIABLES + 0x100, VARIABLES + 0x200, VARIABLES + 0x1000);
    let variables = [options, 2, 0, 3, CLASSES, 0, string, thread_class, list];
    for (index, value) in variables.into_iter().enumerate() {
        memory.word(VARIABLES + index as u64 * 8, value);
    }
    for (index, name) in ["UseCompressedOops", "UseCompressedClassPointers"].iter().enumerate() {
        let option = options + index as u64 * 24;
        memory.zeros(option, 24);
        memory.word(option, options + 0x60);
        memory.word(option + 8, options + 0x80 + index as u64 * 0x40);
        memory.put(options + 0x80 + index as u64 * 0x40, name.as_bytes());
        memory.zeros(options + 0x80 + index as u64 * 0x40 + name.len() as u64, 24);
    }
    memory.put(options + 0x60, &[1]);
    memory.zeros(list, 24);
    memory.half(list + 4, 1);
    memory.word(list + 16, list + 0x20);
    memory.word(list + 0x20, thread);
    memory.zeros(thread, 0x400);
    memory.word(thread + 560, thread + 0x500);
    memory.word(thread + 648, thread + 0x700);
    memory.half(thread + 0x500 + 208, number);
    memory.word(thread + 0x700, OBJECTS);

    let (text, array) = (OBJECTS + 0x40, OBJECTS + 0x80);
    for (object, class) in [(OBJECTS, thread_class), (text, string), (array, bytes)] {
        memory.zeros(object, 0x40);
        memory.half(object + 8, (class - CLASSES) as u32);
    }
    memory.half(OBJECTS + 24, (text >> 3) as u32);
    memory.half(text + 20, (array >> 3) as u32);
    memory.half(array + 12, name.len() as u32);
    memory.put(array + 16, name.as_bytes());
    memory
}

/// The memory of a program with all of this.
pub(super) fn program() -> Bytes {
    let mut memory = Bytes::default();
    let (list, heap, map) = (0x1500, 0x1600, 0x2000);
    memory.word(HEAPS, list);
    memory.zeros(list, 16);
    memory.half(list, 1);
    memory.word(list + 8, list + 16);
    memory.word(list + 16, heap);
    memory.zeros(heap, 264);
    memory.word(heap + 8, CODE_HEAP);
    memory.word(heap + 16, CODE_HEAP + 0x1000);
    memory.word(heap + 120 + 16, map);
    memory.half(heap + 256, 7);
    // Two free segments, ten of the method, and free ones.
    memory.put(map, &[0xff; 32]);
    memory.put(map + 2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    memory.word(CALL_STUB_RETURN, 0x5000);
    memory.method(METHODS[0], "run", "a/Main");
    memory.method(METHODS[1], "often", "a/Main$Inner");
    memory.blob(1, METHODS[0]);
    memory
}
