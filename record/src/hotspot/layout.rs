//! Where a HotSpot keeps what, as its tables say.

use super::numbers::Numbers;
use super::tables::Tables;

/// Offsets, sizes, and addresses of variables (`*_at`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) heaps: Heaps,
    pub(super) heap: HeapLayout,
    pub(super) blob: BlobLayout,
    pub(super) compiled: CompiledLayout,
    pub(super) method: MethodLayout,
    pub(super) interpreter: InterpreterLayout,
    /// Where the entry from native code is returned to.
    pub(super) call_stub_return_at: u64,
    pub(super) numbers: Numbers,
    /// Whether interpreted frames have the class as well (since version 9).
    pub(super) has_mirror: bool,
    /// `None` if it is not said how objects are written, or where threads are.
    pub(super) objects: Option<ObjectLayout>,
    pub(super) threads: Option<ThreadLayout>,
}

/// Where the parts of memory are that code lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heaps {
    /// A list of them, since version 9.
    List { at: u64, length: usize, data: usize },
    /// A single one.
    One { at: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeapLayout {
    /// Where the memory begins and ends, with what is reserved for later.
    pub(super) low: usize,
    pub(super) high: usize,
    /// Where the map begins that says which blob a segment is of.
    pub(super) segment_map: usize,
    pub(super) log2_segment: usize,
    /// What is in front of each blob: its length in segments, whether it is used.
    pub(super) header: usize,
    pub(super) used: usize,
}

/// Where the list of the interpreter's pieces is, and what is in front of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InterpreterLayout {
    pub(super) code_at: u64,
    pub(super) buffer: usize,
    pub(super) limit: usize,
    pub(super) size: usize,
    pub(super) description: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlobLayout {
    pub(super) name: usize,
    pub(super) size: usize,
    pub(super) frame_size: usize,
    pub(super) frame_complete: usize,
    pub(super) code: Place,
    /// Where its data begins, if that is said.
    pub(super) data: Option<Place>,
    /// Memory beside it, since version 25, and how much of that is not for references.
    pub(super) mutable: Option<(usize, usize)>,
}

/// Where a blob says where a part of it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// By an address.
    Address(usize),
    /// By an offset from its own beginning.
    Offset(usize),
}

/// What blobs of Java methods have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CompiledLayout {
    pub(super) method: usize,
    pub(super) compile_id: usize,
    pub(super) level: usize,
    pub(super) original_pc: usize,
    pub(super) deoptimizes: [Option<Place>; 2],
    /// `None` if it is not said where methods are that were inlined.
    pub(super) inlined: Option<InlinedLayout>,
}

/// What leads from an instruction to the methods that are inlined there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InlinedLayout {
    /// Where they begin: methods by number, descriptions of instructions and where these
    /// end, and of calls.
    pub(super) methods: Methods,
    pub(super) instructions: Place,
    pub(super) instructions_end: Place,
    pub(super) scopes: Place,
    /// What the two last are in, since version 23; until then, the blob itself.
    pub(super) beside: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Methods {
    InBlob(usize),
    /// Behind the start of its data.
    InData(usize),
    /// In the memory beside it.
    Mutable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MethodLayout {
    pub(super) constant: usize,
    pub(super) pool: usize,
    pub(super) flags: usize,
    pub(super) has_lines: u32,
    /// Size of what follows, in words.
    pub(super) constant_size: usize,
    pub(super) code_size: usize,
    pub(super) name: usize,
    pub(super) signature: usize,
    pub(super) number: usize,
    /// Where bytecode begins.
    pub(super) bytecode: usize,
    pub(super) pool_holder: usize,
    pub(super) pool_length: usize,
    pub(super) pool_entries: usize,
    pub(super) class_name: usize,
    pub(super) class_pool: usize,
    pub(super) source: Source,
    pub(super) symbol_length: usize,
    pub(super) symbol_body: usize,
}

/// Where the number of the source file's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Pool(usize),
    Class(usize),
}

/// What leads to the fields of objects in the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectLayout {
    /// The list of options: where it is, how many there are, their size, and where each
    /// has its name and the address of its value.
    pub(super) options_at: u64,
    pub(super) options_count_at: u64,
    pub(super) option_size: usize,
    pub(super) option_name: usize,
    pub(super) option_value: usize,
    /// Variables: what is added to an address in 32 bits, and how far it is shifted.
    pub(super) narrow: (u64, u64),
    pub(super) narrow_class: (u64, u64),
    /// Whether ZGC's references may have colours below the address.
    pub(super) has_colors: bool,
    pub(super) string_class_at: u64,
    pub(super) fields: FieldList,
    /// Where lists of one byte and of two begin.
    pub(super) byte_data: usize,
    pub(super) short_data: usize,
    /// Where a class says how its arrays are laid out.
    pub(super) class_layout: usize,
}

/// Where a class has the list of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldList {
    /// In rows of one size.
    Table { at: usize, count: usize },
    /// One after the other, since version 21.
    Stream { at: usize },
}

/// What leads from the list of threads to their objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadLayout {
    pub(super) list: ThreadList,
    pub(super) os_thread: usize,
    pub(super) number: usize,
    pub(super) object: usize,
    /// Whether that leads to what leads to the object.
    pub(super) has_handle: bool,
    pub(super) class_at: u64,
    /// Where a class has those that it is derived from, from the first on.
    pub(super) ancestors: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadList {
    /// An array of them.
    Array { at: u64, length: usize, threads: usize },
    /// Each leads to the next one.
    Linked { at: u64, next: usize },
}

/// The largest offset that is believed.
const MAX_OFFSET: u64 = 4096;

/// Looks things up by their names, and says which one is missing.
struct Finder<'t> {
    tables: &'t Tables,
}

type Missing = &'static str;

impl Finder<'_> {
    fn may_have(&self, name: &str) -> Option<usize> {
        let (offset, _) = *self.tables.fields.get(name)?;
        (offset <= MAX_OFFSET).then_some(offset as usize)
    }

    fn field(&self, name: Missing) -> Result<usize, Missing> {
        self.may_have(name).ok_or(name)
    }

    /// One that has moved to another type with some version.
    fn either(&self, name: Missing, other: &str) -> Result<usize, Missing> {
        self.may_have(name).or_else(|| self.may_have(other)).ok_or(name)
    }

    fn variable(&self, name: Missing) -> Result<u64, Missing> {
        let address = self.tables.fields.get(name).map(|(_, address)| *address);
        address.filter(|address| *address != 0).ok_or(name)
    }

    /// The variable with the address of a class.
    fn class(&self, of: Missing) -> Result<u64, Missing> {
        let mut fields = self.tables.fields.iter();
        let found = fields.find(|(name, _)| {
            name.rsplit_once("::").is_some_and(|(_, last)| last.trim_end_matches([']', ')']) == of)
        });
        found.map(|(_, (_, address))| *address).filter(|address| *address != 0).ok_or(of)
    }

    fn size(&self, name: Missing) -> Result<usize, Missing> {
        let size = self.tables.sizes.get(name).copied().filter(|size| *size <= MAX_OFFSET);
        size.map(|size| size as usize).ok_or(name)
    }
}

impl Layout {
    /// That of a HotSpot, or what is missing. `version` is what a variable says, and
    /// is only asked where code is numbered in lists, since version 9.
    pub(super) fn of(
        tables: &Tables,
        version: impl FnOnce(u64) -> Option<u32>,
    ) -> Result<Self, Missing> {
        let find = Finder { tables };
        let (heaps, major) = match find.variable("CodeCache::_heaps") {
            Ok(at) => {
                let length =
                    find.either("GrowableArrayBase::_len", "GenericGrowableArray::_len")?;
                let data = find.field("GrowableArray<int>::_data")?;
                let of_version = "Abstract_VM_Version::_vm_major_version";
                let major = version(find.variable(of_version)?).ok_or(of_version)?;
                (Heaps::List { at, length, data }, major)
            }
            Err(_) => (Heaps::One { at: find.variable("CodeCache::_heap")? }, 8),
        };
        let memory = find.field("CodeHeap::_memory")?;
        let heap = HeapLayout {
            low: memory + find.field("VirtualSpace::_low_boundary")?,
            high: memory + find.field("VirtualSpace::_high_boundary")?,
            segment_map: find.field("CodeHeap::_segmap")? + find.field("VirtualSpace::_low")?,
            log2_segment: find.field("CodeHeap::_log2_segment_size")?,
            header: find.size("HeapBlock")?,
            used: find.field("HeapBlock::Header::_used")?,
        };
        Ok(Layout {
            heaps,
            heap,
            blob: blob(&find)?,
            compiled: compiled(&find)?,
            method: method(&find)?,
            interpreter: InterpreterLayout {
                code_at: find.variable("AbstractInterpreter::_code")?,
                buffer: find.field("StubQueue::_stub_buffer")?,
                limit: find.field("StubQueue::_buffer_limit")?,
                size: find.field("InterpreterCodelet::_size")?,
                description: find.field("InterpreterCodelet::_description")?,
            },
            call_stub_return_at: find.variable("StubRoutines::_call_stub_return_address")?,
            numbers: if major >= 20 { Numbers::WithoutZero } else { Numbers::WithZero },
            has_mirror: major >= 9,
            objects: objects(&find).ok(),
            threads: threads(&find, major).ok(),
        })
    }
}

fn blob(find: &Finder<'_>) -> Result<BlobLayout, Missing> {
    let place = |address, offset| {
        let address = find.may_have(address).map(Place::Address);
        address.or_else(|| find.may_have(offset).map(Place::Offset))
    };
    Ok(BlobLayout {
        name: find.field("CodeBlob::_name")?,
        size: find.field("CodeBlob::_size")?,
        frame_size: find.field("CodeBlob::_frame_size")?,
        frame_complete: find.field("CodeBlob::_frame_complete_offset")?,
        code: place("CodeBlob::_code_begin", "CodeBlob::_code_offset")
            .ok_or("CodeBlob::_code_begin")?,
        data: find.may_have("CodeBlob::_data_offset").map(Place::Offset),
        mutable: find
            .may_have("CodeBlob::_mutable_data")
            .zip(find.may_have("CodeBlob::_relocation_size")),
    })
}

fn compiled(find: &Finder<'_>) -> Result<CompiledLayout, Missing> {
    // Where there is a deoptimizing return to, of usual calls and of method handles.
    let deoptimizes = [
        ["_deopt_handler_begin", "_deopt_handler_offset", "_deoptimize_offset"],
        ["_deopt_mh_handler_begin", "_deopt_mh_handler_offset", "_deoptimize_mh_offset"],
    ];
    let deoptimizes = deoptimizes.map(|[address, offset, older]| {
        let of = |name| find.may_have(&format!("nmethod::{name}"));
        let address = find.may_have(&format!("CompiledMethod::{address}")).or_else(|| of(address));
        address.map(Place::Address).or_else(|| of(offset).or_else(|| of(older)).map(Place::Offset))
    });
    Ok(CompiledLayout {
        method: find.either("nmethod::_method", "CompiledMethod::_method")?,
        compile_id: find.field("nmethod::_compile_id")?,
        level: find.field("nmethod::_comp_level")?,
        original_pc: find.field("nmethod::_orig_pc_offset")?,
        deoptimizes,
        inlined: inlined(find),
    })
}

fn inlined(find: &Finder<'_>) -> Option<InlinedLayout> {
    let of = |name: &str| find.may_have(&format!("nmethod::{name}"));
    let instructions = Place::Offset(of("_scopes_pcs_offset")?);
    let in_blob = of("_metadata_offset");
    if let Some(beside) = of("_immutable_data") {
        let scopes = Place::Offset(of("_scopes_data_offset")?);
        let methods = match in_blob {
            Some(at) => Methods::InData(at),
            None => find.may_have("CodeBlob::_mutable_data").map(|_| Methods::Mutable)?,
        };
        return Some(InlinedLayout {
            methods,
            instructions,
            instructions_end: scopes,
            scopes,
            beside: Some(beside),
        });
    }
    let address = find.may_have("CompiledMethod::_scopes_data_begin");
    let address = address.or_else(|| of("_scopes_data_begin")).map(Place::Address);
    Some(InlinedLayout {
        methods: Methods::InBlob(in_blob?),
        instructions,
        instructions_end: Place::Offset(of("_dependencies_offset")?),
        scopes: address.or_else(|| of("_scopes_data_offset").map(Place::Offset))?,
        beside: None,
    })
}

fn method(find: &Finder<'_>) -> Result<MethodLayout, Missing> {
    let source = find.may_have("ConstantPool::_source_file_name_index").map(Source::Pool);
    let in_class = || find.field("InstanceKlass::_source_file_name_index").map(Source::Class);
    let constants = &find.tables.constants;
    let flag =
        ["ConstMethodFlags::_misc_has_linenumber_table", "ConstMethod::_has_linenumber_table"];
    let flag = flag.iter().find_map(|name| constants.get(*name));
    Ok(MethodLayout {
        constant: find.field("Method::_constMethod")?,
        pool: find.field("ConstMethod::_constants")?,
        flags: find.either("ConstMethod::_flags", "ConstMethod::_flags._flags")?,
        has_lines: *flag.ok_or("ConstMethod::_has_linenumber_table")? as u32,
        constant_size: find.field("ConstMethod::_constMethod_size")?,
        code_size: find.field("ConstMethod::_code_size")?,
        name: find.field("ConstMethod::_name_index")?,
        signature: find.field("ConstMethod::_signature_index")?,
        number: find.field("ConstMethod::_method_idnum")?,
        bytecode: find.size("ConstMethod")?,
        pool_holder: find.field("ConstantPool::_pool_holder")?,
        pool_length: find.field("ConstantPool::_length")?,
        pool_entries: find.size("ConstantPool")?,
        class_name: find.field("Klass::_name")?,
        class_pool: find.field("InstanceKlass::_constants")?,
        source: source.map_or_else(in_class, Ok)?,
        symbol_length: find.field("Symbol::_length")?,
        symbol_body: find.field("Symbol::_body")?,
    })
}

fn objects(find: &Finder<'_>) -> Result<ObjectLayout, Missing> {
    let fields = match find.may_have("InstanceKlass::_fieldinfo_stream") {
        Some(at) => FieldList::Stream { at },
        None => FieldList::Table {
            at: find.field("InstanceKlass::_fields")?,
            count: find.field("InstanceKlass::_java_fields_count")?,
        },
    };
    // In order of versions, from the newest on.
    let narrow = |names: [[Missing; 2]; 3]| {
        let mut missing = "";
        for [base, shift] in names {
            match (find.variable(base), find.variable(shift)) {
                (Ok(base), Ok(shift)) => return Ok((base, shift)),
                _ => missing = base,
            }
        }
        Err(missing)
    };
    Ok(ObjectLayout {
        options_at: find.variable("JVMFlag::flags")?,
        options_count_at: find.variable("JVMFlag::numFlags")?,
        option_size: find.size("JVMFlag")?,
        option_name: find.field("JVMFlag::_name")?,
        option_value: find.field("JVMFlag::_addr")?,
        narrow: narrow([
            ["CompressedOops::_base", "CompressedOops::_shift"],
            ["CompressedOops::_narrow_oop._base", "CompressedOops::_narrow_oop._shift"],
            ["Universe::_narrow_oop._base", "Universe::_narrow_oop._shift"],
        ])?,
        narrow_class: narrow([
            ["CompressedKlassPointers::_base", "CompressedKlassPointers::_shift"],
            [
                "CompressedKlassPointers::_narrow_klass._base",
                "CompressedKlassPointers::_narrow_klass._shift",
            ],
            ["Universe::_narrow_klass._base", "Universe::_narrow_klass._shift"],
        ])?,
        has_colors: find.may_have("ZGlobalsForVMStructs::_ZPointerLoadShift").is_some(),
        string_class_at: find.class("String_klass_knum")?,
        fields,
        byte_data: find.field("Array<u1>::_data")?,
        short_data: find.field("Array<u2>::_data")?,
        class_layout: find.field("Klass::_layout_helper")?,
    })
}

fn threads(find: &Finder<'_>, major: u32) -> Result<ThreadLayout, Missing> {
    let list = match find.variable("ThreadsSMRSupport::_java_thread_list") {
        Ok(at) => ThreadList::Array {
            at,
            length: find.field("ThreadsList::_length")?,
            threads: find.field("ThreadsList::_threads")?,
        },
        Err(_) => ThreadList::Linked {
            at: find.variable("Threads::_thread_list")?,
            next: find.field("JavaThread::_next")?,
        },
    };
    Ok(ThreadLayout {
        list,
        os_thread: find.either("Thread::_osthread", "JavaThread::_osthread")?,
        number: find.field("OSThread::_thread_id")?,
        object: find.field("JavaThread::_threadObj")?,
        has_handle: major >= 16,
        class_at: find.class("Thread_klass_knum")?,
        ancestors: find.field("Klass::_primary_supers[0]")?,
    })
}
