//! The tables in which HotSpot says where it keeps what.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::code_objects::Memory;

use super::binary::{Build, EXPORTS};
use super::bytes::{Bytes, text};

/// Entries of a table that are read at most; the largest has some 2,000.
const MAX_ENTRIES: usize = 1 << 14;
/// Longest entry in bytes; they have 48.
const MAX_STRIDE: u64 = 256;
/// Longest name in bytes.
const MAX_NAME: usize = 256;
/// Names lie near each other, and are read from pages that are read once.
const PAGE: u64 = 4 << 10;
/// Pages that are kept at most: more than all of the file's constants.
const MAX_PAGES: usize = 1 << 12;

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Offsets of fields by `Type::field`, and addresses of those that are variables.
    pub(super) fields: FxHashMap<String, (u64, u64)>,
    /// Sizes of types.
    pub(super) sizes: FxHashMap<String, u64>,
    pub(super) constants: FxHashMap<String, i32>,
}

impl Tables {
    /// Reads them from a process in which `bias` was added to the file's addresses.
    pub(super) fn read(memory: &impl Memory, build: &Build, bias: u64) -> Option<Self> {
        let exports = build.exports.map(|svma| svma.wrapping_add(bias));
        let mut words = [0; EXPORTS.len()];
        for (word, address) in words.iter_mut().zip(exports) {
            *word = super::bytes::word(memory, address)?;
        }
        let [fields, fields_stride, type_name, field_name, field_offset, field_address, ..] = words;
        let [.., sizes, sizes_stride, size_name, size] = *words.first_chunk::<10>()?;
        let [.., ints, ints_stride, int_name, int] = words;
        let pages = Pages { memory, read: RefCell::default() };
        let name = |entry: &Bytes, at: u64| {
            let address = entry.u64(at as usize).filter(|address| *address != 0)?;
            text(&|address: u64, to: &mut [u8]| pages.read(address, to), address, MAX_NAME)
        };
        let mut tables = Tables::default();
        for entry in entries(memory, fields, fields_stride, type_name)? {
            let named = (name(&entry, type_name), name(&entry, field_name));
            let (Some(of), Some(field)) = named else { continue };
            let [offset, address] =
                [field_offset, field_address].map(|at| entry.u64(at as usize).unwrap_or(0));
            tables.fields.insert(format!("{of}::{field}"), (offset, address));
        }
        for entry in entries(memory, sizes, sizes_stride, size_name)? {
            if let (Some(of), Some(size)) = (name(&entry, size_name), entry.u64(size as usize)) {
                tables.sizes.insert(of, size);
            }
        }
        for entry in entries(memory, ints, ints_stride, int_name)? {
            if let (Some(of), Some(value)) = (name(&entry, int_name), entry.i32(int as usize)) {
                tables.constants.insert(of, value);
            }
        }
        Some(tables)
    }
}

/// The entries of a table, up to the one without a name.
fn entries(memory: &impl Memory, table: u64, stride: u64, name: u64) -> Option<Vec<Bytes>> {
    if stride == 0 || stride > MAX_STRIDE {
        return None;
    }
    let mut entries = Vec::new();
    while entries.len() < MAX_ENTRIES {
        let at = table.wrapping_add(entries.len() as u64 * stride);
        let entry = Bytes::read(memory, at, stride as usize);
        if entry.u64(name as usize)? == 0 {
            break;
        }
        entries.push(entry);
    }
    Some(entries)
}

/// Memory by the page, each of which is read once.
struct Pages<'m, M> {
    memory: &'m M,
    read: RefCell<FxHashMap<u64, Bytes>>,
}

impl<M: Memory> Pages<'_, M> {
    /// Copies what is there from two pages at most.
    fn read(&self, address: u64, to: &mut [u8]) -> usize {
        let mut pages = self.read.borrow_mut();
        let mut copied = 0;
        for page in [address & !(PAGE - 1), (address & !(PAGE - 1)).wrapping_add(PAGE)] {
            if pages.len() >= MAX_PAGES {
                pages.clear();
            }
            let bytes = pages
                .entry(page)
                .or_insert_with(|| Bytes::read(self.memory, page, PAGE as usize))
                .all();
            let from = address.wrapping_add(copied as u64).wrapping_sub(page) as usize;
            let part = bytes.get(from..).unwrap_or_default();
            let part = &part[..part.len().min(to.len() - copied)];
            to[copied..copied + part.len()].copy_from_slice(part);
            copied += part.len();
            // A name that ends within its page needs no other one.
            if part.contains(&0) {
                break;
            }
        }
        copied
    }
}
