//! What a block holds.

use std::fmt;

/// What a block holds. The top bit marks kinds that a reader must understand.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockKind(pub u16);

impl BlockKind {
    /// Facts: host, processes, threads, modules, losses, cost.
    pub const RECORDS: BlockKind = BlockKind(0x8001);
    /// Definitions of frames and stacks.
    pub const STACKS: BlockKind = BlockKind(0x8002);
    /// CPU samples.
    pub const SAMPLES: BlockKind = BlockKind(0x8003);
    /// Where the other blocks are; the last block of a file.
    pub const INDEX: BlockKind = BlockKind(0x0004);
    /// Intervals off the CPU.
    pub const WAITS: BlockKind = BlockKind(0x0005);
    /// System calls.
    pub const CALLS: BlockKind = BlockKind(0x0006);
    /// Definitions of texts that system calls refer to.
    pub const TEXTS: BlockKind = BlockKind(0x0007);
    /// Exact sums of waits and system calls.
    pub const TOTALS: BlockKind = BlockKind(0x0008);
    /// Allocations, one by one or sampled.
    pub const ALLOCATIONS: BlockKind = BlockKind(0x0009);
    /// Exact counts of allocations.
    pub const HEAP_COUNTS: BlockKind = BlockKind(0x000A);
    /// Names of code.
    pub const NAMES: BlockKind = BlockKind(0x000B);
    /// How long threads ran.
    pub const CPU_TIMES: BlockKind = BlockKind(0x000C);
    /// Definitions of what was copied of memory that system calls were given.
    pub const CALL_DATA: BlockKind = BlockKind(0x000D);
    /// Calls of functions.
    pub const FUNCTION_CALLS: BlockKind = BlockKind(0x000E);

    /// Whether a reader that does not know this kind must refuse the file.
    pub fn is_critical(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// Whether this crate knows the kind.
    pub fn is_known(self) -> bool {
        self.name().is_some()
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::RECORDS => "records",
            Self::STACKS => "stacks",
            Self::SAMPLES => "samples",
            Self::INDEX => "index",
            Self::WAITS => "waits",
            Self::CALLS => "calls",
            Self::TEXTS => "texts",
            Self::TOTALS => "totals",
            Self::ALLOCATIONS => "allocations",
            Self::HEAP_COUNTS => "heap counts",
            Self::NAMES => "names",
            Self::CPU_TIMES => "CPU times",
            Self::CALL_DATA => "call data",
            Self::FUNCTION_CALLS => "calls of functions",
            _ => return None,
        })
    }
}

impl fmt::Display for BlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for BlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
