//! Where functions without a name start, by the unwind tables that even
//! stripped files have: one function is then one entry in every view, not as
//! many as it has addresses.

use gimli::{BaseAddresses, EhFrame, EndianSlice, LittleEndian};
use object::{Object, ObjectSection};
use rz_unwind::SearchTable;

type Slice<'d> = EndianSlice<'d, LittleEndian>;

/// The unwind tables of a file.
pub(super) struct FunctionStarts<'d> {
    eh_frame: EhFrame<Slice<'d>>,
    search_table: SearchTable<'d>,
    bases: BaseAddresses,
}

impl<'d> FunctionStarts<'d> {
    /// The tables of `file`; `None` if it has none that can be searched.
    pub(super) fn new(file: &object::File<'d>) -> Option<Self> {
        let section = |name| {
            let section = file.section_by_name(name)?;
            Some((section.address(), section.data().ok()?))
        };
        let (eh_frame_at, eh_frame) = section(".eh_frame")?;
        let (header_at, header) = section(".eh_frame_hdr")?;
        let bases = BaseAddresses::default()
            .set_eh_frame(eh_frame_at)
            .set_eh_frame_hdr(header_at)
            .set_text(file.section_by_name(".text").map_or(0, |text| text.address()));
        let search_table = SearchTable::new(header, &bases)?;
        let mut eh_frame = EhFrame::new(eh_frame, LittleEndian);
        eh_frame.set_address_size(8);
        Some(FunctionStarts { eh_frame, search_table, bases })
    }

    /// Start of the function that holds `address`.
    pub(super) fn find(&self, address: u64) -> Option<u64> {
        Some(self.range(address)?.0)
    }

    /// Start and end of the function that holds `address`.
    pub(super) fn range(&self, address: u64) -> Option<(u64, u64)> {
        let entry = self.search_table.find(&self.eh_frame, &self.bases, address).ok()?;
        let start = entry.initial_address();
        Some((start, start.checked_add(entry.len())?))
    }
}
