//! What has to be known of a trace before its first row is looked at: how long
//! it is, the last names of threads, and which code was generated when.

use std::ops::Range;
use std::path::Path;

use rz_format::{Block, BlockHeader, BlockKind, FileHeader};

use super::facts::Facts;
use super::{LoadError, info, open};

/// All facts of a trace, and nothing of what happened.
pub(super) struct Prelude {
    pub(super) facts: Facts,
    header: FileHeader,
    last_ns: u64,
}

impl Prelude {
    /// Goes through the records of the trace at `path`.
    pub(super) fn of(path: &Path) -> Result<Prelude, LoadError> {
        let failed = |cause| LoadError::of(path, cause);
        let (mut reader, _) = open(path)?;
        let mut facts = Facts::default();
        let is_records = |block: &BlockHeader| block.kind == BlockKind::RECORDS;
        while let Some(block) = reader.next_block_if(is_records).map_err(failed)? {
            if let Block::Records(records) = block {
                facts.start_block();
                records.into_iter().for_each(|record| facts.add(record));
            }
        }
        Ok(Prelude { facts, header: *reader.header(), last_ns: reader.last_ns() })
    }

    /// When the recording began and ended, on the trace's clock.
    pub(super) fn span_ns(&self) -> Range<u64> {
        let (start_ns, _) = info::start(&self.facts, &self.header);
        start_ns..info::end(&self.facts, self.last_ns)
    }
}
