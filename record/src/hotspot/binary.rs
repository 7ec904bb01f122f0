//! Whether a file has a HotSpot in it, and where its tables are.

use std::fs::File;

use object::read::elf::ElfFile64;
use object::{Endianness, ReadCache};

use crate::exports::exported;

/// A HotSpot in a file: where it has what is needed to read its tables, in the order
/// of [`EXPORTS`]. Addresses are the file's own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(super) exports: [u64; EXPORTS.len()],
}

/// Tables, how long their entries are, and where these have what.
pub(super) const EXPORTS: [&str; 14] = [
    "gHotSpotVMStructs",
    "gHotSpotVMStructEntryArrayStride",
    "gHotSpotVMStructEntryTypeNameOffset",
    "gHotSpotVMStructEntryFieldNameOffset",
    "gHotSpotVMStructEntryOffsetOffset",
    "gHotSpotVMStructEntryAddressOffset",
    "gHotSpotVMTypes",
    "gHotSpotVMTypeEntryArrayStride",
    "gHotSpotVMTypeEntryTypeNameOffset",
    "gHotSpotVMTypeEntrySizeOffset",
    "gHotSpotVMIntConstants",
    "gHotSpotVMIntConstantEntryArrayStride",
    "gHotSpotVMIntConstantEntryNameOffset",
    "gHotSpotVMIntConstantEntryValueOffset",
];

/// Looks into a file; `None` if there is no HotSpot in it.
pub(crate) fn find(file: File) -> Option<Build> {
    let data = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&data).ok()?;
    let mut exports = [0; EXPORTS.len()];
    for (export, name) in exports.iter_mut().zip(EXPORTS) {
        *export = exported(&elf, name)?;
    }
    Some(Build { exports })
}
