//! The CPython of a process: what its frames mean.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{CodeTier, Execution, Frame, Record};

use crate::code_objects::{CodeNumbers, Memory};

use super::binary::Build;
use super::code::Head;
use super::offsets::{RunEnds, Walk};
use super::order::RawFrame;

/// For how long a code object is taken to be the one that it was.
pub(crate) const CODE_STAYS_NS: u64 = 1_000_000_000;
/// Code objects that are known of a process; with more, all are read once again.
const MAX_KNOWN: usize = 1 << 18;

/// A process's CPython.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    build: Arc<Build>,
    /// The module that it is in.
    module: u32,
    /// What is added to the file's addresses.
    bias: u64,
    /// Code objects by address.
    known: FxHashMap<u64, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    number: u32,
    head: Head,
    /// When it was last looked at.
    looked_ns: u64,
}

impl Interpreter {
    pub(crate) fn new(build: Arc<Build>, module: u32, bias: u64) -> Self {
        Interpreter { build, module, bias, known: FxHashMap::default() }
    }

    /// Whether its frames lead to native ones that evaluate them. If not, there is one
    /// of these for each.
    pub(crate) fn leads_to_native(&self) -> bool {
        let Walk { run_ends, thread_cframe, .. } = self.build.offsets.walk;
        run_ends != RunEnds::Always || thread_cframe != 0
    }

    /// Whether a native frame is one that evaluates.
    pub(crate) fn is_evaluating(&self, frame: Frame) -> bool {
        matches!(frame, Frame::Code { module, offset } if module == self.module
            && self.build.evaluating.iter().any(|range| range.contains(&offset)))
    }

    /// Where its frames are.
    pub(crate) fn walk(&self) -> (u64, Walk) {
        (self.bias.wrapping_add(self.build.runtime_svma), self.build.offsets.walk)
    }

    /// The frame that a frame of CPython is in the trace. A code object that is met
    /// for the first time is read, and added to `records`.
    pub(crate) fn frame(
        &mut self,
        raw: RawFrame,
        time_ns: u64,
        memory: &impl Memory,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Frame {
        let how = Execution { tier: CodeTier::Interpreted, ..Execution::default() };
        let Some(Known { number, head, .. }) =
            self.code(raw.code, time_ns, memory, numbers, records)
        else {
            let how = Execution { approximate: true, ..how };
            return Frame::Runtime { code: numbers.lost(), position: 0, how };
        };
        let position = head.position(raw.instruction);
        let how = Execution { approximate: position.is_none(), ..how };
        Frame::Runtime { code: *number, position: position.unwrap_or(0), how }
    }

    /// The code object at an address, if there is one.
    fn code(
        &mut self,
        address: u64,
        time_ns: u64,
        memory: &impl Memory,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Option<&Known> {
        let known = self.known.get(&address);
        let is_fresh =
            known.is_some_and(|known| time_ns.saturating_sub(known.looked_ns) < CODE_STAYS_NS);
        if !is_fresh {
            let code_type = match self.build.code_type_svma {
                0 => 0,
                svma => self.bias.wrapping_add(svma),
            };
            // Without it, the process may be gone, and the object is what it was.
            if let Some(head) = Head::read(memory, &self.build, code_type, address) {
                if known.is_some_and(|known| known.head == head) {
                    self.known.entry(address).and_modify(|known| known.looked_ns = time_ns);
                } else {
                    let number = numbers.take();
                    let code = head.code_object(memory, &self.build, number)?;
                    records.push(Record::CodeObject(code));
                    if self.known.len() >= MAX_KNOWN {
                        self.known.clear();
                    }
                    self.known.insert(address, Known { number, head, looked_ns: time_ns });
                }
            }
        }
        self.known.get(&address)
    }
}
