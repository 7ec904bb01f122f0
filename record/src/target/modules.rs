//! The files, and what is like them, that code addresses belong to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use rustc_hash::FxHashMap;
use rz_format::{Module, ModuleKind, Record};
use rz_unwind::{Cfi, Image, own_vdso};

use crate::target::procfs::{self, MapEntry};

/// All modules met so far.
#[derive(Default)]
pub(crate) struct Modules {
    list: Vec<Loaded>,
    by_identity: FxHashMap<Identity, u32>,
}

/// A module and its unwind tables, if it has any.
struct Loaded {
    kind: ModuleKind,
    cfi: Option<Cfi>,
}

/// What makes two mappings show the same module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Identity {
    Kernel,
    Vdso,
    File {
        device: u64,
        inode: u64,
        path: String,
    },
    /// Memory of one process.
    Anonymous {
        process: u32,
    },
}

impl Modules {
    /// The number of the module that a mapping of process `pid` (number
    /// `process` in the trace) shows. A new module is added to `records`.
    pub(crate) fn of_mapping(
        &mut self,
        entry: &MapEntry,
        pid: u32,
        process: u32,
        records: &mut Vec<Record>,
    ) -> u32 {
        let identity = if entry.path == "[vdso]" {
            Identity::Vdso
        } else if entry.is_file() {
            let path = entry.path.clone();
            Identity::File { device: entry.device, inode: entry.inode, path }
        } else {
            Identity::Anonymous { process }
        };
        self.number(identity, records, |identity| match identity {
            Identity::Vdso => Description {
                image: load_vdso(entry).ok(),
                ..Description::new(ModuleKind::Vdso, "[vdso]")
            },
            Identity::File { .. } => Description {
                image: open_mapped(entry, pid).and_then(Image::from_file).ok(),
                ..Description::new(ModuleKind::File, &entry.path)
            },
            Identity::Anonymous { .. } => Description {
                process_plus_one: process + 1,
                ..Description::new(ModuleKind::Anonymous, "[anon]")
            },
            Identity::Kernel => Description::new(ModuleKind::Kernel, "[kernel]"),
        })
    }

    /// The number of the kernel's module.
    pub(crate) fn kernel(&mut self, records: &mut Vec<Record>) -> u32 {
        self.number(Identity::Kernel, records, |_| Description::new(ModuleKind::Kernel, "[kernel]"))
    }

    /// The number of the vDSO's module, if it was met.
    pub(crate) fn vdso(&self) -> Option<u32> {
        self.by_identity.get(&Identity::Vdso).copied()
    }

    /// What a module is.
    pub(crate) fn kind(&self, module: u32) -> ModuleKind {
        self.list[module as usize].kind
    }

    /// A module's unwind tables.
    pub(crate) fn cfi(&mut self, module: u32) -> Option<&mut Cfi> {
        self.list[module as usize].cfi.as_mut()
    }

    fn number(
        &mut self,
        identity: Identity,
        records: &mut Vec<Record>,
        describe: impl FnOnce(&Identity) -> Description,
    ) -> u32 {
        if let Some(id) = self.by_identity.get(&identity) {
            return *id;
        }
        let id = self.list.len() as u32;
        let Description { kind, path, process_plus_one, image } = describe(&identity);
        let mut module =
            Module { id, kind: kind.into(), path, process_plus_one, ..Module::default() };
        if let Some(image) = &image {
            module.build_id = image.build_id.clone();
            module.file_size = image.file_size;
            module.segments = image.segments.clone();
        }
        records.push(Record::Module(module));
        self.list.push(Loaded { kind, cfi: image.map(Cfi::new) });
        self.by_identity.insert(identity, id);
        id
    }
}

/// What is to be known of a new module.
struct Description {
    kind: ModuleKind,
    path: String,
    process_plus_one: u32,
    image: Option<Image>,
}

impl Description {
    fn new(kind: ModuleKind, path: &str) -> Self {
        Description { kind, path: path.to_owned(), process_plus_one: 0, image: None }
    }
}

/// Opens the file that is mapped, and not another one that has its name now.
fn open_mapped(entry: &MapEntry, pid: u32) -> io::Result<File> {
    let mut failure = io::ErrorKind::NotFound.into();
    for path in procfs::mapped_file_candidates(pid, entry) {
        match open_if_inode(&path, entry.inode) {
            Ok(file) => return Ok(file),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Opens a regular file, if it has the inode. The name may lead to a device or
/// a named pipe by now, whose mere opening may set something off; what it
/// leads to is looked at first.
fn open_if_inode(path: &Path, inode: u64) -> io::Result<File> {
    let place = OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)?;
    let meta = place.metadata()?;
    if !meta.is_file() || meta.ino() != inode {
        return Err(io::Error::other("replaced by another file"));
    }
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

/// The vDSO, if the process maps the same one as we do.
fn load_vdso(entry: &MapEntry) -> io::Result<Image> {
    let bytes = own_vdso()?;
    if bytes.len() as u64 != entry.end - entry.start {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Image::from_bytes(&bytes)
}
