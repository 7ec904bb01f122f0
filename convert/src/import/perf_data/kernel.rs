//! Names of the recorded kernel's functions.
//!
//! They are known if that kernel still runs here, or if perf has put its list
//! of symbols aside. Addresses are drawn at each boot, so the list must have
//! the recorded address of the symbol that the kernel's mapping is named for.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use rz_format::Record;
use rz_unwind::names::{kernel_address_of, kernel_symbols_in};

use super::bytes::Bytes;

/// What is recorded of the kernel.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    pub(super) build_id: Vec<u8>,
    /// A symbol of it, such as `_text`, and its address.
    pub(super) anchor: Option<(String, u64)>,
}

impl Kernel {
    /// Takes the name and the offset of a mapping of the kernel.
    pub(super) fn map(&mut self, path: &str, offset: u64) {
        if let Some(symbol) = path.strip_prefix("[kernel.kallsyms]") {
            self.anchor = Some((symbol.to_owned(), offset));
        }
    }

    /// Symbols that hold the given addresses.
    ///
    /// Fails with the reason why there are none, as the second half of a
    /// sentence.
    pub(super) fn symbols(
        &self,
        addresses: &BTreeSet<u64>,
        module: u32,
    ) -> Result<Vec<Record>, &'static str> {
        let Some((symbol, address)) = &self.anchor else {
            return Err("the file does not say where the kernel is");
        };
        if *address == 0 {
            return Err("the kernel hid its addresses from perf");
        }
        let is_it = |list: &PathBuf| {
            kernel_address_of(list, symbol).is_ok_and(|found| found == Some(*address))
        };
        let list = self.lists().into_iter().find(is_it);
        let list = list.ok_or(
            "another kernel or another boot was recorded, and no list of its symbols is here",
        )?;
        match kernel_symbols_in(&list, addresses, module) {
            Ok(symbols) if !symbols.is_empty() => Ok(symbols),
            _ => Err("its list of symbols cannot be read"),
        }
    }

    /// Where its symbols may be listed.
    fn lists(&self) -> Vec<PathBuf> {
        let mut lists = Vec::new();
        let running = fs::read("/sys/kernel/notes").unwrap_or_default();
        let is_running = build_id(&running).is_some_and(|id| id == self.build_id);
        if is_running || self.build_id.is_empty() {
            lists.push(PathBuf::from("/proc/kallsyms"));
        }
        if let Some(home) = env::var_os("HOME").filter(|_| !self.build_id.is_empty()) {
            let mut id = String::new();
            for byte in &self.build_id {
                // Writing to a string cannot fail.
                let _ = write!(id, "{byte:02x}");
            }
            lists.push(Path::new(&home).join(".debug/[kernel.kallsyms]").join(id).join("kallsyms"));
        }
        lists
    }
}

/// The GNU build-id among ELF notes.
fn build_id(notes: &[u8]) -> Option<&[u8]> {
    const BUILD_ID: u32 = 3;
    let mut notes = Bytes::new(notes, false);
    loop {
        let (name, length, kind) = (notes.u32()?, notes.u32()?, notes.u32()?);
        let name = notes.take(u64::from(name).next_multiple_of(4))?;
        let content = notes.take(u64::from(length).next_multiple_of(4))?;
        if kind == BUILD_ID && name == b"GNU\0" {
            return content.get(..length as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes() {
        let mut notes = vec![4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0];
        notes.extend_from_slice(b"Xen\0\x07\0\0\0");
        notes.extend_from_slice(&[4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        notes.extend_from_slice(b"GNU\0\xab\xcd\xef\0");
        assert_eq!(build_id(&notes), Some(&[0xab, 0xcd, 0xef][..]));
        assert_eq!(build_id(&notes[..39]), None);
    }

    #[test]
    fn a_kernel_that_is_not_this_one_has_no_names() {
        let addresses = BTreeSet::from([u64::MAX]);
        let symbols = |anchor| Kernel { build_id: vec![1], anchor }.symbols(&addresses, 0);
        assert!(symbols(None).is_err());
        assert!(symbols(Some(("_text".into(), 0))).is_err());
        assert!(symbols(Some(("_text".into(), 0x1234))).is_err());
    }
}
