//! The V8 of a process: what its frames mean.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{CodeTier, Execution, Frame, Positions, Record};

use crate::code_objects::{CodeNumbers, Memory};

use super::binary::Build;
use super::code::Code;
use super::codes::Codes;
use super::frame_words::FrameWords;
use super::function::Shared;
use super::heap::{Heap, Object, is_object, small_number};
use super::layout::FrameLayout;
use super::lines::{LineStarts, MAX_TABLE};
use super::object::{bytecode_lines, code_object};
use super::types::Types;

/// For how long an object is taken to be the one that it was.
pub(super) const OBJECT_STAYS_NS: u64 = 1_000_000_000;
/// Functions that are known of a process, and maps; with more, all are read once again.
pub(super) const MAX_KNOWN: usize = 1 << 18;
/// Scripts of which it is known where their lines begin; likewise.
const MAX_SOURCES: usize = 1 << 12;
/// Longest script in characters that is looked through for its lines.
const MAX_SOURCE: usize = 16 << 20;
/// Types of functions: that of ordinary ones, and those of constructors, which follow.
const FUNCTION_TYPES: u16 = 24;

/// A process's V8.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    build: Arc<Build>,
    /// The module that it is in.
    module: u32,
    /// Functions by address, and what positions in them count.
    known: FxHashMap<(u64, Positions), Known>,
    /// What functions share that have this bytecode.
    by_bytecode: FxHashMap<u64, u64>,
    codes: Codes,
    types: Types,
    /// Where lines begin, by the address of the script's text.
    sources: FxHashMap<u64, (u64, Arc<LineStarts>)>,
}

/// What positions in a function count, and where to find which lines these are of.
#[derive(Clone, Copy)]
enum Counted {
    /// Characters of the script.
    Characters,
    /// Bytes of its bytecode, if that is known.
    Bytecode(Option<u64>),
}

#[derive(Debug, Clone)]
struct Known {
    number: u32,
    shared: Shared,
    /// When it was last looked at.
    looked_ns: u64,
    has_lines: bool,
}

impl Engine {
    pub(crate) fn new(build: Arc<Build>, module: u32) -> Self {
        Engine {
            build,
            module,
            known: FxHashMap::default(),
            by_bytecode: FxHashMap::default(),
            codes: Codes::default(),
            types: Types::default(),
            sources: FxHashMap::default(),
        }
    }

    /// Whether code is of its own that runs, or helps, functions of scripts.
    pub(crate) fn has_embedded(&self, module: u32, offset: u64) -> bool {
        module == self.module && self.build.embedded.contains(&offset)
    }

    pub(crate) fn frame_layout(&self) -> &FrameLayout {
        &self.build.layout.frame
    }

    /// The frames that a frame of V8 is in the trace: first that of the function that
    /// was called, then those of functions that are inlined there. None if it is of no
    /// script. A function that is met for the first time is read, and added to `records`.
    pub(crate) fn frames(
        &mut self,
        words: FrameWords,
        time_ns: u64,
        memory: &impl Memory,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Vec<Frame> {
        let build = Arc::clone(&self.build);
        let heap = Heap { memory, layout: &build.layout };
        let code = words
            .generated
            .and_then(|at| Some((self.codes.find(at, time_ns, &heap, &mut self.types)?, at)));
        if let Some((code, at)) = &code {
            let frames = self.optimized(code, *at, time_ns, &heap, numbers, records);
            if !frames.is_empty() {
                return frames;
            }
        }
        let code = code.map(|(code, _)| code.shared);
        self.called(words, code, time_ns, &heap, numbers, records).into_iter().collect()
    }

    /// The frames of an address in optimized code; none if it is not known whose they
    /// are.
    fn optimized<M: Memory>(
        &mut self,
        code: &Code,
        at: u64,
        time_ns: u64,
        heap: &Heap<'_, M>,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Vec<Frame> {
        let functions = code.functions_at(at);
        let frames = functions.into_iter().enumerate().map(|(depth, (shared, character))| {
            let counted = Counted::Characters;
            let code = self.function(shared, counted, time_ns, heap, numbers, records)?;
            let how =
                Execution { tier: CodeTier::Optimized, inlined: depth > 0, approximate: false };
            Some(Frame::Runtime { code, position: character.into(), how })
        });
        frames.collect::<Option<Vec<Frame>>>().unwrap_or_default()
    }

    /// The frame of a function that was called; `code` is what functions share that have
    /// its code, if that is optimized.
    fn called<M: Memory>(
        &mut self,
        words: FrameWords,
        code: Option<u64>,
        time_ns: u64,
        heap: &Heap<'_, M>,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Option<Frame> {
        let found: Option<Object<8>> = heap.object(words.bytecode);
        // Without its memory, the process may be gone.
        let is_unknown = is_object(words.bytecode) && found.is_none();
        let found = found.and_then(|object| self.types.of(object.map(), time_ns, heap));
        let is_bytecode = found == Some(heap.layout.types.bytecode) && code.is_none();
        let bytecode = is_bytecode.then_some(words.bytecode);
        // Code that takes over within a loop leaves there what the interpreter has put
        // there, or baseline code: an object.
        let offset = bytecode.filter(|_| words.generated.is_none());
        let offset = offset.and_then(|_| small_number(words.offset));
        let tier = match (bytecode, offset) {
            (Some(_), Some(_)) => CodeTier::Interpreted,
            (Some(_), None) if heap.layout.optimizes_in_place() => CodeTier::Unknown,
            (Some(_), None) => CodeTier::Baseline,
            (None, _) if is_unknown && code.is_none() => CodeTier::Unknown,
            (None, _) => CodeTier::Optimized,
        };
        let said = self.shared(words.function, time_ns, heap);
        // The function itself may have moved by now, or be gone.
        let proven = code.or_else(|| self.of_bytecode(bytecode?, said, heap));
        let proven = proven.or_else(|| self.by_bytecode.get(&words.bytecode).copied());
        let shared = proven.or(said)?;
        let counted = Counted::Bytecode(bytecode);
        let number = self.function(shared, counted, time_ns, heap, numbers, records)?;
        // It counts from the object's start, by the word that refers to it.
        let start = heap.layout.bytecode_data as u64;
        let position =
            offset.and_then(|offset| (u64::try_from(offset).ok()? + 1).checked_sub(start));
        let approximate = proven.is_none();
        let how = Execution { tier, approximate, ..Execution::default() };
        Some(Frame::Runtime { code: number, position: position.unwrap_or(0), how })
    }

    /// What a function has in common with others of the same text.
    fn shared<M: Memory>(
        &mut self,
        function: u64,
        time_ns: u64,
        heap: &Heap<'_, M>,
    ) -> Option<u64> {
        let mut object: Object<64> = heap.object(function)?;
        if object.map() & 3 == 0 {
            // It has moved since, and left its new address.
            object = heap.object(object.map().checked_add(1)?)?;
        }
        let first = heap.layout.types.function;
        let found = self.types.of(object.map(), time_ns, heap)?;
        let is_function = (first..first.saturating_add(FUNCTION_TYPES)).contains(&found);
        let shared = object.word(heap.layout.function_shared);
        (is_function && is_object(shared)).then_some(shared)
    }

    /// What functions share that have this bytecode; `said` may be it.
    fn of_bytecode<M: Memory>(
        &mut self,
        bytecode: u64,
        said: Option<u64>,
        heap: &Heap<'_, M>,
    ) -> Option<u64> {
        let before = self.by_bytecode.get(&bytecode).copied();
        if said.is_none() || said == before {
            return before;
        }
        let shared: Object<64> = heap.object(said?)?;
        let has = shared.word(heap.layout.shared_code);
        // Baseline code is in its place, and has it.
        let inner = heap.object::<64>(has).map_or([0; 2], |code| [code.word(8), code.word(16)]);
        if has != bytecode && !inner.contains(&bytecode) {
            return before;
        }
        if self.by_bytecode.len() >= MAX_KNOWN {
            self.by_bytecode.clear();
        }
        self.by_bytecode.insert(bytecode, said?);
        said
    }

    /// The number of a function.
    fn function<M: Memory>(
        &mut self,
        address: u64,
        counted: Counted,
        time_ns: u64,
        heap: &Heap<'_, M>,
        numbers: &mut CodeNumbers,
        records: &mut Vec<Record>,
    ) -> Option<u32> {
        let (what, bytecode) = match counted {
            Counted::Characters => (Positions::Characters, None),
            Counted::Bytecode(bytecode) => (Positions::Bytecode, bytecode),
        };
        let known = self.known.get(&(address, what));
        let is_fresh = |known: &Known| time_ns.saturating_sub(known.looked_ns) < OBJECT_STAYS_NS;
        if let Some(known) = known.filter(|known| is_fresh(known)) {
            return Some(known.number);
        }
        let Some(shared) = Shared::read(heap, address) else {
            // Without its memory, the process may be gone, and the object is what it was.
            return known.map(|known| known.number);
        };
        let before = known.filter(|known| known.shared == shared);
        let lines = bytecode.filter(|_| before.is_none_or(|known| !known.has_lines));
        let lines = lines.and_then(|bytecode| {
            let object: Object<64> = heap.object(bytecode)?;
            heap.byte_array(object.word(heap.layout.bytecode_positions), MAX_TABLE)
        });
        if let Some(&Known { number, has_lines, .. }) = before
            && lines.is_none()
        {
            self.known
                .insert((address, what), Known { number, shared, looked_ns: time_ns, has_lines });
            return Some(number);
        }
        let function = shared.function(heap)?;
        let number = numbers.take();
        let starts = self.line_starts(function.source, heap);
        let has_lines = lines.is_some();
        let lines = match counted {
            Counted::Characters => {
                function.span.map_or_else(Vec::new, |(first, last)| starts.between(first, last))
            }
            Counted::Bytecode(_) => bytecode_lines(&function, &lines.unwrap_or_default(), &starts),
        };
        records.push(Record::CodeObject(code_object(number, function, what, lines, &starts)));
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert((address, what), Known { number, shared, looked_ns: time_ns, has_lines });
        Some(number)
    }

    /// Where the lines of a script begin; empty if that is not known.
    fn line_starts<M: Memory>(&mut self, source: u64, heap: &Heap<'_, M>) -> Arc<LineStarts> {
        // Another one may be there by now: then it has hardly the same length.
        let length = heap.object::<64>(source).map(|object| object.word(8)).unwrap_or(0);
        if let Some((of_length, starts)) = self.sources.get(&source)
            && *of_length == length
        {
            return Arc::clone(starts);
        }
        let mut starts = LineStarts::default();
        let read = heap.characters(source, MAX_SOURCE, &mut |part| starts.extend(part));
        let starts = Arc::new(read.map(|_| starts).unwrap_or_default());
        if self.sources.len() >= MAX_SOURCES {
            self.sources.clear();
        }
        self.sources.insert(source, (length, Arc::clone(&starts)));
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_format::CodeObject;
    use rz_unwind::StackMemory;

    use super::super::layout::Layout;
    use crate::v8::fixture::{
        CODE, FUNCTION, HEADER, NUMBERS, SHARED, START, Words, layout, program, small, with_code,
    };

    const CONTEXT: u64 = 0x2001;
    const SECOND: u64 = 1_000_000_000;

    fn engine() -> Engine {
        Engine::new(Arc::new(Build { layout: layout(), embedded: 0x100..0x200 }), 0)
    }

    /// The words of a frame whose pointer is 40 bytes into this.
    fn words(offset: u64, bytecode: u64, function: u64, context: u64) -> Option<FrameWords> {
        let bytes = [offset, bytecode, 0, function, context].map(u64::to_le_bytes).concat();
        let stack = StackMemory::new(0x100, &bytes);
        FrameWords::read(&layout().frame, 0x100 + 40, None, &stack)
    }

    /// What a frame is in the trace, at a time; and the code objects that are new.
    fn frame(
        engine: &mut Engine,
        words: Option<FrameWords>,
        time_ns: u64,
        memory: &Words,
    ) -> (Option<Frame>, Vec<CodeObject>) {
        let mut records = Vec::new();
        let mut numbers = CodeNumbers::default();
        let found = engine.frames(words.unwrap(), time_ns, memory, &mut numbers, &mut records);
        assert!(found.len() < 2, "{found:?}");
        let found = found.first().copied();
        let objects = records.into_iter().map(|record| match record {
            Record::CodeObject(object) => object,
            other => panic!("{other:?}"),
        });
        (found, objects.collect())
    }

    fn runtime(position: u64, tier: CodeTier) -> Option<Frame> {
        let how = Execution { tier, ..Execution::default() };
        Some(Frame::Runtime { code: 0, position, how })
    }

    #[test]
    fn a_frame_of_the_interpreter_has_name_and_line() {
        let (found, objects) =
            frame(&mut engine(), words(small(53 + 6), 0x9001, 0x1001, CONTEXT), 0, &program());
        assert_eq!(found, runtime(6, CodeTier::Interpreted));
        let [object] = &objects[..] else { panic!("{objects:?}") };
        assert_eq!((&*object.name, &*object.file), ("parse", "/app.js"));
        assert_eq!((object.first_line, object.first_column), (2, 15));
        assert_eq!([0, 3, 4, 6].map(|at| object.place(at)), [(2, 15), (2, 15), (3, 3), (3, 3)]);
    }

    #[test]
    fn compiled_frames_are_in_the_line_in_which_their_function_begins() {
        let memory = program();
        let check = |words, tier, approximate| {
            let (found, objects) = frame(&mut engine(), words, 0, &memory);
            let how = Execution { tier, approximate, inlined: false };
            assert_eq!(found, Some(Frame::Runtime { code: 0, position: 0, how }));
            assert_eq!(objects[0].place(0), (2, 15));
        };
        check(words(0x4001, 0x9001, 0x1001, CONTEXT), CodeTier::Baseline, false);
        // Nothing but the function itself says which one it is.
        check(words(0, 0, 0x1001, CONTEXT), CodeTier::Optimized, true);
    }

    #[test]
    fn what_has_no_function_is_no_frame() {
        assert!(words(0, 0, 0x1001, small(34)).is_none());
        assert!(words(0, 0, small(1), CONTEXT).is_none());
        // Objects of other types, and memory that is not there.
        for word in [0x4001, 0x7001, 0x2001, 0xffff_ffff_ffff_fff1] {
            let (found, objects) = frame(&mut engine(), words(0, 0, word, CONTEXT), 0, &program());
            assert_eq!((found, &objects[..]), (None, &[][..]), "{word:#x}");
        }
    }

    #[test]
    fn functions_are_read_once_and_again_when_they_may_have_changed() {
        let (mut engine, mut memory) = (engine(), program());
        let words = || words(0, 0x9001, 0x1001, CONTEXT);
        assert_eq!(frame(&mut engine, words(), 0, &memory).1.len(), 1);
        for time_ns in [1, SECOND, 2 * SECOND] {
            assert_eq!(frame(&mut engine, words(), time_ns, &memory).1, [], "{time_ns}");
        }
        // Another function is there now, with the name itself and no more.
        let name = memory.string(0xa000, "other");
        memory.put(0x7010, &[name]);
        let (_, objects) = frame(&mut engine, words(), 4 * SECOND, &memory);
        assert_eq!((&*objects[0].name, objects[0].first_line), ("other", 0));
        // The process is gone: it is what it was.
        let (found, objects) = frame(&mut engine, words(), 9 * SECOND, &Words::default());
        let expected = runtime(0, CodeTier::Unknown);
        assert_eq!((found, &objects[..]), (expected, &[][..]));
    }

    #[test]
    fn a_function_that_is_gone_is_known_by_its_bytecode() {
        let (mut engine, mut memory) = (engine(), program());
        let words = || words(0, 0x9001, 0x1001, CONTEXT);
        for time_ns in [0, 1] {
            assert!(frame(&mut engine, words(), time_ns, &memory).0.is_some());
        }
        let tier = CodeTier::Interpreted;
        let how = Execution { tier, approximate: false, inlined: false };
        let expected = Some(Frame::Runtime { code: 0, position: 0, how });
        // Another function is there now.
        let other = memory.object(0xa000, SHARED, &[0, 0x5001, 0, 0x4001, 0, 0, 0]);
        memory.put(0x1018, &[other]);
        assert_eq!(frame(&mut engine, words(), 2, &memory), (expected, vec![]));
        // No function at all.
        memory.put(0x1000, &[0xdead_beef_0000]);
        assert_eq!(frame(&mut engine, words(), 3, &memory), (expected, vec![]));
    }

    #[test]
    fn a_function_that_has_moved_is_found() {
        let mut memory = program();
        let shared = 0x7001;
        memory.object(0xb000, FUNCTION, &[0, 0, shared, 0, 0, 0, 0]);
        // It leaves its new address, and something else.
        memory.put(0x1000, &[0xb000, 0, 0, 0xdead]);
        let (_, objects) = frame(&mut engine(), words(0, 0, 0x1001, CONTEXT), 0, &memory);
        assert_eq!(objects[0].name, "parse");
    }

    /// The code object and the tier of a frame of generated code.
    fn generated(
        engine: &mut Engine,
        words: FrameWords,
        time_ns: u64,
        memory: &Words,
        numbers: &mut CodeNumbers,
    ) -> Option<(u32, CodeTier)> {
        let words = FrameWords { generated: Some(START + 8), ..words };
        match *engine.frames(words, time_ns, memory, numbers, &mut Vec::new()) {
            [Frame::Runtime { code, how, .. }] => Some((code, how.tier)),
            _ => None,
        }
    }

    #[test]
    fn code_that_took_the_place_of_optimized_code_is_not_taken_for_that() {
        let (mut engine, mut memory) = (engine(), with_code());
        let numbers = &mut CodeNumbers::default();
        let optimized = Some((0, CodeTier::Optimized));
        let first = words(0, 0, 0x1001, CONTEXT).unwrap();
        assert_eq!(generated(&mut engine, first, 0, &memory, numbers), optimized);
        // The process is gone: it is what it was.
        let gone = Words::default();
        assert_eq!(generated(&mut engine, first, 2 * SECOND, &gone, numbers), optimized);
        // There is baseline code of another function now, which has its bytecode.
        let shared = memory.object(0x3_0000, SHARED, &[0x9001, 0x5001, 0, 0x4001, 0, 0, 0]);
        let function = memory.object(0x3_1000, FUNCTION, &[0, 0, shared, 0, 0, 0, 0]);
        let code = memory.object(0x3_2000, 245, &[0, 0x9001, 0, 0, 0, 0, 0]);
        memory.object(HEADER, CODE, &[code]);
        let other = words(0x4001, 0x9001, function, CONTEXT).unwrap();
        for time_ns in [4 * SECOND, 6 * SECOND] {
            let found = generated(&mut engine, other, time_ns, &memory, numbers);
            assert_eq!(found, Some((1, CodeTier::Baseline)), "{time_ns}");
        }
    }

    #[test]
    fn any_numbers_of_the_file_are_survived() {
        let mut tried = 0;
        for (index, number) in (0..NUMBERS.len()).flat_map(|index| [(index, 0), (index, 255)]) {
            let mut numbers = NUMBERS;
            numbers[index].1 = number;
            let Ok(layout) = Layout::of(&numbers) else { continue };
            tried += 1;
            let mut engine = Engine::new(Arc::new(Build { layout, embedded: 0..0 }), 0);
            let (memory, numbers) = (with_code(), &mut CodeNumbers::default());
            let words = words(small(53 + 6), 0x9001, 0x1001, CONTEXT).unwrap();
            engine.frames(words, 0, &memory, numbers, &mut Vec::new());
            generated(&mut engine, words, 0, &memory, numbers);
        }
        assert!(tried > NUMBERS.len(), "{tried}");
    }
    #[test]
    fn fuzz_v8_memory() {
        let program = with_code();
        rz_fuzz::fuzz("V8's memory", &[program.bytes()], |bytes| {
            let (memory, numbers) = (program.with(bytes), &mut CodeNumbers::default());
            for (offset, bytecode) in [(small(53 + 6), 0x9001), (0x4001, 0x9001), (0, 0)] {
                let words = words(offset, bytecode, 0x1001, CONTEXT).unwrap();
                let mut engine = engine();
                engine.frames(words, 0, &memory, numbers, &mut Vec::new());
                generated(&mut engine, words, 0, &memory, numbers);
            }
        });
    }
}
