//! The HotSpot of a process: how its stacks go on, and what its frames mean.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{CodeTier, Execution, Frame, Note, Record, TruncatedReason};
use rz_unwind::{Registers, StackMemory, Step};

use crate::code_objects::{CodeNumbers, Memory};

use super::binary::Build;
use super::bytes::Bytes;
use super::code_cache::{BlobKind, CodeCache};
use super::frames::{Asked, FrameAt, Stepped, What};
use super::inlined::{Scope, scopes};
use super::interpreter::Interpreter;
use super::layout::Layout;
use super::method::{Identity, stub};
use super::tables::Tables;
use super::threads::Names;

/// For how long a method is taken to be the one that it was.
const METHOD_STAYS_NS: u64 = 1_000_000_000;
/// For how long tables are not asked again that could not be read: a process that has
/// just begun may not have them yet.
const TABLES_STAY_NS: u64 = 1_000_000_000;
/// Methods that are known of a process; with more, all are read once again.
const MAX_KNOWN: usize = 1 << 18;
/// From this level on, code is compiled with care.
const OPTIMIZED: u8 = 4;

/// A process's HotSpot.
#[derive(Debug)]
pub(crate) struct Engine {
    build: Arc<Build>,
    /// What was added to the file's addresses.
    bias: u64,
    tables: State,
    cache: CodeCache,
    methods: FxHashMap<u64, Known>,
    stubs: FxHashMap<Arc<str>, u32>,
    /// What it takes to read names of threads.
    names: Option<Names>,
    /// Frames of the stack that is being followed, leaf first.
    seen: VecDeque<Seen>,
    /// What has to be said, once.
    missing: Option<&'static str>,
}

/// What is known of where it keeps what.
#[derive(Debug)]
enum State {
    Unread { looked_ns: Option<u64> },
    Known(Box<(Layout, Interpreter)>),
    Unknown,
}

#[derive(Debug)]
struct Known {
    identity: Identity,
    number: u32,
    /// When it was last looked at.
    looked_ns: u64,
}

/// A frame, as far as it is known when it is unwound.
#[derive(Debug)]
struct Seen {
    sp: u64,
    lookup: u64,
    what: What,
}

/// What unwinding knows of a frame.
pub(crate) struct At<'a> {
    /// An address in the instruction.
    pub(crate) lookup: u64,
    pub(crate) registers: &'a Registers,
    pub(crate) stack: &'a StackMemory<'a>,
    pub(crate) time_ns: u64,
}

impl Engine {
    pub(crate) fn new(build: Arc<Build>, bias: u64) -> Self {
        Engine {
            build,
            bias,
            tables: State::Unread { looked_ns: None },
            cache: CodeCache::default(),
            methods: FxHashMap::default(),
            stubs: FxHashMap::default(),
            names: None,
            seen: VecDeque::new(),
            missing: None,
        }
    }

    /// A new stack is followed.
    pub(crate) fn begin_stack(&mut self) {
        self.seen.clear();
    }

    /// Unwinds a frame; `None` if its code is not HotSpot's. `follows_call` says whether
    /// there is a call before an address.
    pub(crate) fn step(
        &mut self,
        at: &At<'_>,
        memory: &impl Memory,
        follows_call: &mut dyn FnMut(u64) -> bool,
    ) -> Option<Result<Step, TruncatedReason>> {
        self.read_tables(at.time_ns, memory);
        let State::Known(known) = &self.tables else { return None };
        let (layout, interpreter) = &**known;
        if !self.cache.has(at.lookup, at.time_ns, layout, memory) {
            return None;
        }
        let frame = FrameAt {
            registers: at.registers,
            stack: at.stack,
            has_called: at.lookup != at.registers.ip,
        };
        let (time_ns, cache) = (at.time_ns, &mut self.cache);
        let mut asked = Asked { layout, interpreter, cache, time_ns, memory, follows_call };
        let Some(stepped) = asked.step(at.lookup, &frame) else {
            // There was code, or there will be.
            return Some(Err(TruncatedReason::NoUnwindInfo));
        };
        let Stepped { what, caller } = stepped;
        self.seen.push_back(Seen { sp: at.registers.sp(), lookup: at.lookup, what });
        Some(Stepped::step(caller))
    }

    /// The frames that a frame is in the trace: first that of the method that was called,
    /// then those of methods that are inlined there. None if it is not HotSpot's. Frames
    /// are asked for in the order in which they were unwound.
    pub(crate) fn frames(
        &mut self,
        (sp, lookup): (u64, u64),
        time_ns: u64,
        memory: &impl Memory,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Vec<Frame> {
        if let Some(missing) = self.missing.take() {
            let text = format!(
                "a process has a HotSpot whose frames are not known here, as {missing} is \
                 missing or new: its code is followed by frame pointers"
            );
            records.push(Record::Note(Note { text }));
        }
        let is_it = |seen: &mut Seen| seen.sp == sp && seen.lookup == lookup;
        let Some(seen) = self.seen.pop_front_if(is_it) else { return Vec::new() };
        let mut naming = Naming { time_ns, memory, numbers, records };
        match seen.what {
            What::Compiled { at } => self.compiled(lookup, at, &mut naming),
            What::Interpreted { method, bytecode } => {
                let frame = self.interpreted(method, bytecode, &mut naming);
                frame.into_iter().collect()
            }
            What::Stub => self.stub(lookup, &mut naming).into_iter().collect(),
        }
    }

    /// Java's own names of threads, by the numbers that these have in their own pid
    /// namespace.
    pub(crate) fn thread_names(
        &mut self,
        time_ns: u64,
        memory: &impl Memory,
    ) -> Vec<(u32, String)> {
        self.read_tables(time_ns, memory);
        let State::Known(known) = &self.tables else { return Vec::new() };
        let layout = &known.0;
        if self.names.is_none() {
            self.names = Names::read(layout, memory);
        }
        self.names.as_ref().map_or_else(Vec::new, |names| names.of_threads(layout, memory))
    }

    fn read_tables(&mut self, time_ns: u64, memory: &impl Memory) {
        let State::Unread { looked_ns } = self.tables else { return };
        if looked_ns.is_some_and(|looked| time_ns.saturating_sub(looked) < TABLES_STAY_NS) {
            return;
        }
        self.tables = State::Unread { looked_ns: Some(time_ns) };
        let Some(tables) = Tables::read(memory, &self.build, self.bias) else { return };
        let version = |at| Bytes::read(memory, at, 4).u32(0);
        match Layout::of(&tables, version) {
            Ok(layout) => {
                // It has begun when there is an interpreter.
                let interpreter = Interpreter::read(&layout.interpreter, memory);
                if let Some(interpreter) = interpreter {
                    self.tables = State::Known(Box::new((layout, interpreter)));
                }
            }
            Err(missing) => {
                self.missing = Some(missing);
                self.tables = State::Unknown;
            }
        }
    }

    /// The frames of an instruction of a compiled method.
    fn compiled<M: Memory>(
        &mut self,
        lookup: u64,
        at: u64,
        naming: &mut Naming<'_, M>,
    ) -> Vec<Frame> {
        let State::Known(known) = &self.tables else { return Vec::new() };
        let layout = &known.0;
        let Naming { time_ns, memory, .. } = *naming;
        let Some(blob) = self.cache.find(lookup, time_ns, layout, memory) else {
            return Vec::new();
        };
        let BlobKind::Compiled(of) = &blob.kind else { return Vec::new() };
        let (level, method) = (of.level, of.method);
        let found = match of.scopes.get(&at) {
            Some(found) => Arc::clone(found),
            None => {
                let found = scopes(blob, at, layout, memory);
                if let BlobKind::Compiled(of) = &mut blob.kind {
                    of.scopes.insert(at, Arc::clone(&found));
                }
                found
            }
        };
        let tier = match level {
            // A call into native code, which is made by hand.
            0 => CodeTier::Unknown,
            1..OPTIMIZED => CodeTier::Baseline,
            _ => CodeTier::Optimized,
        };
        // The method that it is of is known in any case.
        let only = [Scope { method, position: None, is_later: false }];
        let found = if found.is_empty() { &only[..] } else { &found[..] };
        let outermost = found.len() - 1;
        let frames = found.iter().enumerate().rev().map(|(depth, scope)| {
            let Scope { method, position, is_later } = *scope;
            let inlined = depth < outermost;
            let (code, _) = self.method(method, naming)?;
            // Which method this was compiled into is certain.
            let how = Execution { tier, inlined, approximate: inlined && is_later };
            Some(Frame::Runtime { code, position: position.unwrap_or(0).into(), how })
        });
        let frames = frames.collect::<Option<Vec<Frame>>>();
        frames.unwrap_or_else(|| vec![lost(naming.numbers, tier)])
    }

    /// The frame of an interpreted method.
    fn interpreted<M: Memory>(
        &mut self,
        method: u64,
        bytecode: [Option<u64>; 2],
        naming: &mut Naming<'_, M>,
    ) -> Option<Frame> {
        let tier = CodeTier::Interpreted;
        let Some((code, identity)) = self.method(method, naming) else {
            return Some(lost(naming.numbers, tier));
        };
        let State::Known(known) = &self.tables else { return None };
        let position =
            bytecode.into_iter().flatten().find_map(|at| identity.position(at, &known.0));
        let how = Execution { tier, ..Execution::default() };
        Some(Frame::Runtime { code, position: position.unwrap_or(0).into(), how })
    }

    /// The frame of code of another kind.
    fn stub<M: Memory>(&mut self, lookup: u64, naming: &mut Naming<'_, M>) -> Option<Frame> {
        let State::Known(known) = &self.tables else { return None };
        let Naming { time_ns, memory, .. } = *naming;
        let blob = self.cache.find(lookup, time_ns, &known.0, memory)?;
        let name = match &blob.kind {
            BlobKind::Stub(name) => Arc::clone(name),
            BlobKind::Interpreter => "Interpreter".into(),
            BlobKind::Compiled(_) => return None,
        };
        let number = *self.stubs.entry(name).or_insert_with_key(|name| {
            let number = naming.numbers.take();
            naming.records.push(Record::CodeObject(stub(number, name)));
            number
        });
        let how = Execution::default();
        Some(Frame::Runtime { code: number, position: 0, how })
    }

    /// The number of a method, and what it is; `None` if there is none.
    fn method<M: Memory>(
        &mut self,
        address: u64,
        naming: &mut Naming<'_, M>,
    ) -> Option<(u32, Identity)> {
        let State::Known(known) = &self.tables else { return None };
        let layout = &known.0;
        let Naming { time_ns, memory, .. } = *naming;
        let before = self.methods.get_mut(&address);
        if let Some(known) = &before
            && time_ns.saturating_sub(known.looked_ns) < METHOD_STAYS_NS
        {
            return Some((known.number, known.identity.clone()));
        }
        let identity = Identity::read(address, layout, memory);
        if let Some(known) = before
            && identity.as_ref().is_none_or(|identity| *identity == known.identity)
        {
            // Without its memory, the process may be gone, and it is what it was.
            if identity.is_none() && super::bytes::word(memory, address).is_some() {
                return None;
            }
            known.looked_ns = time_ns;
            return Some((known.number, known.identity.clone()));
        }
        let identity = identity?;
        let described = identity.describe(layout, memory)?;
        let number = naming.numbers.take();
        naming.records.push(Record::CodeObject(described.code_object(number)));
        if self.methods.len() >= MAX_KNOWN {
            self.methods.clear();
        }
        let known = Known { identity: identity.clone(), number, looked_ns: time_ns };
        self.methods.insert(address, known);
        Some((number, identity))
    }
}

/// What it takes to give frames their names.
struct Naming<'a, M> {
    time_ns: u64,
    memory: &'a M,
    numbers: &'a mut CodeNumbers,
    records: &'a mut Vec<Record>,
}

/// A frame of a method that was not there any more.
fn lost(numbers: &mut CodeNumbers, tier: CodeTier) -> Frame {
    let how = Execution { tier, ..Execution::default() };
    Frame::Runtime { code: numbers.lost(), position: 0, how }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_format::CodeObject;
    use rz_unwind::{FP, SP};

    use crate::hotspot::fixture::{self, BLOB, BLOB_SIZE, CODE, METHODS, layout, program};

    const SECOND: u64 = 1_000_000_000;
    const STACK: u64 = 0x7000_0000;

    fn engine() -> Engine {
        let build = Arc::new(Build { exports: [0; super::super::binary::EXPORTS.len()] });
        let tables = State::Known(Box::new((layout(), Interpreter::default())));
        Engine { tables, ..Engine::new(build, 0) }
    }

    /// Where a caller goes on, with its stack and frame pointers.
    type CallerFound = Result<(u64, u64, Option<u64>), TruncatedReason>;

    /// Unwinds a frame whose stack has these words, and says what it is in the trace.
    #[track_caller]
    fn step(
        engine: &mut Engine,
        (ip, has_called): (u64, bool),
        words: &[u64],
        time_ns: u64,
        memory: &fixture::Bytes,
    ) -> (Option<CallerFound>, Vec<Frame>, Vec<CodeObject>) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let stack = StackMemory::new(STACK, &bytes);
        let mut registers = Registers::of_caller(ip + 1, STACK, 0x99);
        registers.set(SP, Some(STACK));
        let lookup = ip - u64::from(has_called);
        engine.begin_stack();
        let at = At { lookup, registers: &registers, stack: &stack, time_ns };
        let stepped = engine.step(&at, memory, &mut |address| address == 0x5000);
        let stepped = stepped.map(|step| {
            step.map(|step| match step {
                Step::Caller { registers, .. } => (registers.ip, registers.sp(), registers.get(FP)),
                other => panic!("{other:?}"),
            })
        });
        let mut records = Vec::new();
        let mut numbers = CodeNumbers::default();
        let frames = engine.frames((STACK, lookup), time_ns, memory, &mut numbers, &mut records);
        let objects = records.into_iter().map(|record| match record {
            Record::CodeObject(object) => object,
            other => panic!("{other:?}"),
        });
        (stepped, frames, objects.collect())
    }

    /// Six words of a frame, of which the last is the return address.
    const FRAME: [u64; 6] = [1, 2, 3, 4, 0x88, 0x5000];

    #[test]
    fn a_compiled_frame_leads_to_its_caller() {
        let memory = program();
        let check = |offset: u64, has_called, words: &[u64], expected| {
            let (found, ..) = step(&mut engine(), (CODE + offset, has_called), words, 0, &memory);
            assert_eq!(found, Some(expected), "{offset:#x}");
        };
        let whole = Ok((0x5000, STACK + 48, Some(0x88)));
        check(0x40, true, &FRAME, whole);
        check(0x20, false, &FRAME, whole);
        // Nothing is built yet; the frame pointer is pushed.
        check(0, false, &[0x5000, 0], Ok((0x5000, STACK + 8, Some(0x99))));
        check(1, false, &[0x88, 0x5000], Ok((0x5000, STACK + 16, Some(0x88))));
        // All of it is given back but the frame pointer; that as well.
        check(0x84, false, &[0x88, 0x5000], Ok((0x5000, STACK + 16, Some(0x88))));
        check(0x85, false, &[0x5000], Ok((0x5000, STACK + 8, Some(0x99))));
        check(0x40, true, &FRAME[..5], Err(TruncatedReason::StackTooDeep));
    }

    #[test]
    fn code_that_is_not_hotspots_is_not_touched() {
        let memory = program();
        let (found, frames, _) = step(&mut engine(), (0x9000, true), &FRAME, 0, &memory);
        assert_eq!((found, frames), (None, vec![]));
        // No blob is there.
        let free = fixture::CODE_HEAP + 0x800;
        let (found, frames, _) = step(&mut engine(), (free, true), &FRAME, 0, &memory);
        assert_eq!((found, frames), (Some(Err(TruncatedReason::NoUnwindInfo)), vec![]));
    }

    #[test]
    fn inlined_methods_have_their_callers_names_and_lines() {
        let (_, frames, objects) = step(&mut engine(), (CODE + 0x40, true), &FRAME, 0, &program());
        let tier = CodeTier::Optimized;
        let outer = Execution { tier, ..Execution::default() };
        let inner = Execution { inlined: true, ..outer };
        let expected = [
            Frame::Runtime { code: 0, position: 5, how: outer },
            Frame::Runtime { code: 1, position: 0, how: inner },
        ];
        assert_eq!(frames, expected);
        let [run, often] = &objects[..] else { panic!("{objects:?}") };
        assert_eq!((&*run.qualified_name, &*run.file), ("a.Main.run", "Main.java"));
        assert_eq!((&*often.name, &*often.qualified_name), ("often", "a.Main$Inner.often"));
        assert_eq!([0, 4, 5, 19].map(|at| run.place(at).0), [10, 10, 12, 12]);
        // Between two places, the later one is near.
        let (_, frames, _) = step(&mut engine(), (CODE + 0x20, false), &FRAME, 0, &program());
        let near = Execution { approximate: true, ..inner };
        let expected = [
            Frame::Runtime { code: 0, position: 5, how: outer },
            Frame::Runtime { code: 1, position: 0, how: near },
        ];
        assert_eq!(frames, expected);
        // Behind the last one, only the method is known.
        let (_, frames, _) = step(&mut engine(), (CODE + 0x50, true), &FRAME, 0, &program());
        assert_eq!(frames, [Frame::Runtime { code: 0, position: 0, how: outer }]);
    }

    #[test]
    fn code_that_is_replaced_is_found_out() {
        let (mut engine, mut memory) = (engine(), program());
        let at = (CODE + 0x50, true);
        let names = |(_, _, objects): (_, _, Vec<CodeObject>)| {
            objects.into_iter().map(|object| object.name).collect::<Vec<_>>()
        };
        assert_eq!(names(step(&mut engine, at, &FRAME, 0, &memory)), ["run"]);
        memory.blob(2, METHODS[1]);
        assert_eq!(names(step(&mut engine, at, &FRAME, SECOND, &memory)), ["often"]);
        // It is gone.
        memory.remove(BLOB, BLOB_SIZE.into());
        memory.put(BLOB - 8, &[0]);
        memory.put(BLOB, &[0; 0x180]);
        let (found, frames, _) = step(&mut engine, at, &FRAME, 2 * SECOND, &memory);
        assert_eq!((found, frames), (Some(Err(TruncatedReason::NoUnwindInfo)), vec![]));
    }

    #[test]
    fn what_was_known_of_a_process_that_is_gone_is_believed() {
        let mut engine = engine();
        let at = (CODE + 0x40, true);
        let (_, before, _) = step(&mut engine, at, &FRAME, 0, &program());
        let gone = fixture::Bytes::default();
        let (_, after, objects) = step(&mut engine, at, &FRAME, 9 * SECOND, &gone);
        assert_eq!((after, objects), (before, vec![]));
    }

    #[test]
    fn a_method_that_is_none_is_lost() {
        let mut memory = program();
        // Its class leads to other constants.
        memory.word(METHODS[0] + 0x600 + 232, 0x1234);
        let (_, frames, objects) = step(&mut engine(), (CODE + 0x50, true), &FRAME, 0, &memory);
        let how = Execution { tier: CodeTier::Optimized, ..Execution::default() };
        assert_eq!(frames, [Frame::Runtime { code: 0, position: 0, how }]);
        assert_eq!(objects, []);
    }

    #[test]
    fn any_memory_is_survived() {
        let program = program();
        let count = program.clone().all().count();
        for changed in (0..count).step_by(7) {
            for value in [0, 0x7f, 0xff] {
                let mut memory = program.clone();
                if let Some((_, byte)) = memory.all().nth(changed) {
                    *byte = value;
                }
                for at in [(CODE + 0x40, true), (CODE + 1, false)] {
                    step(&mut engine(), at, &FRAME, 0, &memory);
                }
            }
        }
    }
    #[test]
    fn fuzz_hotspot_memory() {
        let mut program = program();
        let seed = program.all().map(|(_, byte)| *byte).collect();
        rz_fuzz::fuzz("HotSpot's memory", &[seed], |bytes| {
            let memory = program.with(bytes);
            for at in [(CODE + 0x40, true), (CODE + 0x20, false), (CODE + 1, false)] {
                step(&mut engine(), at, &FRAME, 0, &memory);
            }
        });
    }
}
