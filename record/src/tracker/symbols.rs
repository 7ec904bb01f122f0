//! Names of code that cannot be looked up later: the kernel's, the vDSO's, and what was
//! generated.

use std::collections::BTreeSet;
use std::io;

use rz_format::{Note, Record};

use super::Tracker;
use super::stacks::Stacks;
use crate::kernel_names;

impl Tracker {
    /// Adds the names that are for the end of a file.
    pub(super) fn finish_names(&mut self) {
        self.name_kernel_functions();
        let Stacks { modules, vdso_offsets, .. } = &mut self.stacks;
        if let Some(module) = modules.vdso().filter(|_| !vdso_offsets.is_empty()) {
            let symbols = rz_unwind::names::vdso_symbols(vdso_offsets, module);
            self.add_symbols(symbols, "vDSO functions");
        }
        self.finish_generated_code();
        self.finish_thread_names();
    }

    /// Adds the names of functions of the kernel that have none yet.
    pub(super) fn name_kernel_functions(&mut self) {
        let Stacks { modules, kernel_addresses, kernel_named, .. } = &mut self.stacks;
        let addresses: &BTreeSet<u64> =
            &kernel_addresses.difference(kernel_named).copied().collect();
        if addresses.is_empty() {
            return;
        }
        kernel_named.extend(addresses);
        let module = modules.kernel(&mut Vec::new());
        let symbols = kernel_names::kernel_symbols(addresses, module).or_else(|error| {
            log::debug!("kernel functions are looked up in their list: {error}");
            rz_unwind::names::kernel_symbols(addresses, module)
        });
        self.add_symbols(symbols, "kernel functions");
    }

    fn add_symbols(&mut self, symbols: io::Result<Vec<Record>>, of: &str) {
        match symbols {
            Ok(symbols) => {
                let tags = &self.policy.program_tags;
                let named = symbols.into_iter().map(|symbol| kernel_names::own(symbol, tags));
                self.found.records.extend(named);
            }
            Err(error) => {
                let text = format!("the names of {of} could not be read: {error}");
                self.found.records.push(Record::Note(Note { text }));
            }
        }
    }
}
