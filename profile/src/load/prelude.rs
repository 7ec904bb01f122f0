//! What has to be known of a trace before its first row is looked at: how long
//! it is, the last names of threads, and which code was generated when.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use rz_format::{BlockHeader, BlockKind, FileHeader};

use super::facts::Facts;
use super::pass::{CallRows, Pass};
use super::selection::Selection;
use super::thin::SampleBlocks;
use super::{LoadError, info};

/// All facts of a trace, and nothing of what happened.
pub(super) struct Prelude {
    pub(super) facts: Facts,
    pub(super) samples: SampleBlocks,
    header: FileHeader,
    last_ns: u64,
}

impl Prelude {
    /// Goes through the records of the trace at `path`.
    pub(super) fn of(path: &Path) -> Result<Prelude, LoadError> {
        let everything = Selection::default();
        let mut pass = Pass::open(path, &everything, None)?;
        let samples = RefCell::new(SampleBlocks::default());
        let records = |block: &BlockHeader| {
            samples.borrow_mut().add(block);
            block.kind == BlockKind::RECORDS
        };
        pass.run(records, CallRows::Bare, &mut []).map_err(|cause| LoadError::of(path, cause))?;
        let (header, last_ns) = (*pass.reader.header(), pass.reader.last_ns());
        let (facts, samples) = (pass.defined.facts, samples.into_inner());
        Ok(Prelude { facts, samples, header, last_ns })
    }

    /// When the recording began, on the trace's clock and since the Unix epoch.
    pub(super) fn start(&self) -> (u64, u64) {
        info::start(&self.facts, &self.header)
    }

    /// When the recording began and ended, on the trace's clock.
    pub(super) fn span_ns(&self) -> Range<u64> {
        let (start_ns, _) = self.start();
        start_ns..info::end(&self.facts, self.last_ns)
    }
}
