//! The files that code addresses belong to, and how to unwind there.
//!
//! Files are looked for on this machine as they are for names: by path, and
//! with the build-id that was recorded, if one was.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use rz_format::{Module, ModuleKind, Name, TruncatedReason};
use rz_unwind::{
    AddressSpace, Cfi, Code, CodeBytes, Extent, Image, MAX_CALL_LEN, Registers, StackMemory, Step,
    ends_with_call, own_vdso,
};

use super::super::output::Output;
use rz_profile::mapped_file::MappedFile;
use rz_profile::symbolize::{ModuleRequest, find_binary};

/// Files, at most; further ones are not told apart.
const MAX_FILES: usize = 1 << 20;

/// Code of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) file_offset: u64,
    /// Number of the file, as [`Modules::file`] gave it.
    pub(super) file: u32,
}

impl Extent for Area {
    fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    fn part(&self, Range { start, end }: Range<u64>) -> Self {
        let file_offset = self.file_offset.wrapping_add(start.wrapping_sub(self.start));
        Area { start, end, file_offset, ..self.clone() }
    }
}

/// All modules met so far.
pub(super) struct Modules {
    debug_dirs: Vec<PathBuf>,
    /// Whether this machine runs the kernel that was recorded, and so has its
    /// vDSO.
    is_same_kernel: bool,
    files: Vec<FileOf>,
    by_name: FxHashMap<(String, Vec<u8>), u32>,
    /// Number in the trace of each process's generated code.
    anonymous: FxHashMap<u32, u32>,
    kernel: Option<u32>,
    /// For addresses that nothing was mapped at.
    unknown: Option<u32>,
    named_unknown: BTreeSet<u64>,
    /// Code of the vDSO and the kernel that was seen.
    pub(super) vdso_offsets: BTreeSet<u64>,
    pub(super) kernel_addresses: BTreeSet<u64>,
}

/// A file, as mappings name it.
struct FileOf {
    path: String,
    build_id: Vec<u8>,
    kind: ModuleKind,
    /// Number in the trace, once code in it was seen.
    module: Option<u32>,
    found: Option<Found>,
}

/// What was found of a file on this machine.
#[derive(Default)]
struct Found {
    cfi: Option<Cfi>,
    content: Option<MappedFile>,
}

/// A code address, by module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    file: u32,
    kind: ModuleKind,
    pub(super) module: u32,
    pub(super) offset: u64,
}

impl Modules {
    pub(super) fn new(debug_dirs: &[PathBuf], is_same_kernel: bool) -> Self {
        Modules {
            debug_dirs: debug_dirs.to_vec(),
            is_same_kernel,
            files: Vec::new(),
            by_name: FxHashMap::default(),
            anonymous: FxHashMap::default(),
            kernel: None,
            unknown: None,
            named_unknown: BTreeSet::new(),
            vdso_offsets: BTreeSet::new(),
            kernel_addresses: BTreeSet::new(),
        }
    }

    /// The number of a file.
    pub(super) fn file(&mut self, path: String, build_id: Vec<u8>) -> u32 {
        let next = self.files.len();
        if next >= MAX_FILES {
            return 0;
        }
        *self.by_name.entry((path.clone(), build_id.clone())).or_insert_with(|| {
            let kind = kind_of(&path);
            self.files.push(FileOf { path, build_id, kind, module: None, found: None });
            next as u32
        })
    }

    /// Whether a mapping of a file shows one that was linked.
    pub(super) fn is_file(&self, file: u32) -> bool {
        self.files[file as usize].kind == ModuleKind::File
    }

    /// Where an address of a process is, if anything was mapped there.
    pub(super) fn place(
        &mut self,
        process: u32,
        space: &mut AddressSpace<Area>,
        address: u64,
        out: &mut Output,
    ) -> Option<Place> {
        let area = space.find_mut(address)?.entry.clone();
        let kind = self.files[area.file as usize].kind;
        let module = match kind {
            ModuleKind::Anonymous => *self.anonymous.entry(process).or_insert_with(|| {
                out.module(Module {
                    kind: kind.into(),
                    path: "[anon]".to_owned(),
                    process_plus_one: process + 1,
                    ..Module::default()
                })
            }),
            _ => self.module_of_file(area.file, out),
        };
        let offset = match kind {
            ModuleKind::Anonymous => address,
            _ => (address - area.start).wrapping_add(area.file_offset),
        };
        if kind == ModuleKind::Vdso {
            self.vdso_offsets.insert(offset);
        }
        Some(Place { file: area.file, kind, module, offset })
    }

    /// The module of the kernel's code.
    pub(super) fn kernel(&mut self, build_id: &[u8], out: &mut Output) -> u32 {
        *self.kernel.get_or_insert_with(|| {
            out.module(Module {
                kind: ModuleKind::Kernel.into(),
                path: "[kernel]".to_owned(),
                build_id: build_id.to_vec(),
                ..Module::default()
            })
        })
    }

    /// The module and the offset of an address that nothing was mapped at. As
    /// in perf, all these have one name.
    pub(super) fn unknown(&mut self, address: u64, out: &mut Output) -> (u32, u64) {
        const UNKNOWN: &str = "[unknown]";
        let module = *self.unknown.get_or_insert_with(|| {
            let path = UNKNOWN.to_owned();
            out.module(Module { kind: ModuleKind::Names.into(), path, ..Module::default() })
        });
        if self.named_unknown.insert(address) {
            let name = Some(out.text(UNKNOWN));
            out.names(&[Name { module, offset: address, address, name, ..Name::default() }]);
        }
        (module, address)
    }

    /// The number of the vDSO's module, if it is that of this machine.
    pub(super) fn own_vdso(&self) -> Option<u32> {
        let is_own = |file: &&FileOf| {
            file.kind == ModuleKind::Vdso && file.found.as_ref().is_some_and(|f| f.cfi.is_some())
        };
        self.files.iter().find(is_own)?.module
    }

    fn module_of_file(&mut self, file: u32, out: &mut Output) -> u32 {
        let (debug_dirs, is_same_kernel) = (&self.debug_dirs, self.is_same_kernel);
        let file = &mut self.files[file as usize];
        if let Some(module) = file.module {
            return module;
        }
        let (image, content) = look_for(file, debug_dirs, is_same_kernel).unzip();
        let mut module = Module {
            kind: file.kind.into(),
            path: file.path.clone(),
            build_id: file.build_id.clone(),
            ..Module::default()
        };
        if let Some(image) = &image {
            module.segments = image.segments.clone();
        }
        file.found = Some(Found { cfi: image.map(Cfi::new), content: content.flatten() });
        let module = out.module(module);
        file.module = Some(module);
        module
    }
}

/// What a name in a mapping stands for.
fn kind_of(path: &str) -> ModuleKind {
    const MEMORY: [&str; 5] = ["/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV", "//anon"];
    match path {
        "[vdso]" => ModuleKind::Vdso,
        _ if path.starts_with('/') && !MEMORY.iter().any(|prefix| path.starts_with(prefix)) => {
            ModuleKind::File
        }
        _ => ModuleKind::Anonymous,
    }
}

/// Looks for a file on this machine.
fn look_for(
    file: &FileOf,
    debug_dirs: &[PathBuf],
    is_same_kernel: bool,
) -> Option<(Image, Option<MappedFile>)> {
    let build_id = &file.build_id[..];
    if file.kind == ModuleKind::Vdso {
        let image = Image::from_bytes(&own_vdso().ok()?).ok()?;
        let is_it = if build_id.is_empty() { is_same_kernel } else { image.build_id == build_id };
        return is_it.then_some((image, None));
    }
    let request = ModuleRequest {
        path: Path::new(file.path.strip_suffix(" (deleted)").unwrap_or(&file.path)),
        build_id,
        file_size: 0,
        segments: &[],
        offsets: &[],
        debug_dirs,
    };
    let content = find_binary(&request).ok()?;
    Some((Image::from_bytes(&content).ok()?, Some(content)))
}

/// A process's code, for unwinding one of its stacks.
pub(super) struct ProcessCode<'a, 'o> {
    pub(super) process: u32,
    pub(super) space: &'a mut AddressSpace<Area>,
    pub(super) modules: &'a mut Modules,
    pub(super) out: &'a mut Output<'o>,
}

impl Code for ProcessCode<'_, '_> {
    type Place = Place;

    fn place(&mut self, address: u64) -> Option<Place> {
        self.modules.place(self.process, self.space, address, self.out)
    }

    fn step(
        &mut self,
        place: &Place,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason> {
        match (self.modules.files[place.file as usize].found.as_mut(), place.kind) {
            (Some(Found { cfi: Some(cfi), content }), _) => {
                let code = || CodeBytes::from_bytes(content.as_deref()?);
                cfi.step(place.offset, registers, stack, code)
            }
            (_, ModuleKind::Anonymous) => Ok(Step::UseFramePointer),
            (_, _) => Err(TruncatedReason::NoUnwindInfo),
        }
    }

    fn follows_call(&mut self, return_address: u64) -> bool {
        let Some(place) = self.place(return_address.wrapping_sub(1)) else { return false };
        if place.kind == ModuleKind::Anonymous {
            // Generated code is gone. That a frame pointer leads to an address
            // inside of it must do.
            return true;
        }
        let found = self.modules.files[place.file as usize].found.as_ref();
        let Some(content) = found.and_then(|found| found.content.as_ref()) else { return false };
        let end = usize::try_from(place.offset).ok().and_then(|at| at.checked_add(1));
        let bytes = end.and_then(|end| content.get(end.saturating_sub(MAX_CALL_LEN)..end));
        bytes.is_some_and(ends_with_call)
    }
}
