//! Looks addresses up in `.eh_frame_hdr`, whatever a file says there.
//!
//! gimli's own search multiplies and subtracts what the file says without looking, at
//! which builds with checks panic.

use gimli::Error::NoUnwindInfoForAddress;
use gimli::{
    BaseAddresses, DW_EH_PE_udata4, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice,
    FrameDescriptionEntry, LittleEndian, ParsedEhFrameHdr, UnwindSection,
};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The search table of a file.
#[derive(Debug)]
pub struct SearchTable<'a> {
    header: ParsedEhFrameHdr<Slice<'a>>,
}

impl<'a> SearchTable<'a> {
    /// That of the section `.eh_frame_hdr`. `None` if it has none, or one whose entries
    /// are not counted in 32 bits, as all linkers count them: with more, places in it
    /// could be beyond any number.
    pub fn new(section: &'a [u8], bases: &BaseAddresses) -> Option<Self> {
        let header = EhFrameHdr::new(section, LittleEndian).parse(bases, 8).ok()?;
        header.table()?;
        (section.get(2) == Some(&DW_EH_PE_udata4.0)).then_some(SearchTable { header })
    }

    /// The entry of `.eh_frame` that holds an address.
    pub fn find(
        &self,
        eh_frame: &EhFrame<Slice<'a>>,
        bases: &BaseAddresses,
        svma: u64,
    ) -> gimli::Result<FrameDescriptionEntry<Slice<'a>>> {
        let table = self.header.table().ok_or(NoUnwindInfoForAddress)?;
        let entry = table.lookup(svma, bases)?.direct()?;
        let offset = entry.checked_sub(self.header.eh_frame_ptr().direct()?);
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        let offset = EhFrameOffset(offset.ok_or(NoUnwindInfoForAddress)?);
        let entry = eh_frame.fde_from_offset(bases, offset, EhFrame::cie_from_offset)?;
        if entry.contains(svma) { Ok(entry) } else { Err(NoUnwindInfoForAddress) }
    }
}
