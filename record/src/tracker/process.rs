//! One process and its threads, and how its code is looked at.

use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{ModuleKind, Record, TruncatedReason};
use rz_unwind::{
    AddressSpace, Code, CodeBytes, Epilogue, KeptStack, MAX_CALL_LEN, MAX_EPILOGUE_LEN, Registers,
    StackMemory, Step, ends_with_call,
};

use crate::hotspot;
use crate::python::Interpreter;
use crate::tracker::cpu_times::Ran;
use crate::tracker::modules::{Modules, open_mapped};
use crate::tracker::procfs::{self, MapEntry};
use crate::tracker::python_stack::PythonStack;
use crate::tracker::thread_names::NamesDue;
use crate::v8::Engine;

/// How often a process's mappings are looked up again because of an address
/// that none of them holds.
const RESCAN_INTERVAL_NS: u64 = 1_000_000_000;
/// Return addresses in generated code remembered per process.
const MAX_KNOWN_CALLS: usize = 1 << 16;
/// For how long generated code is taken to stay as it is.
const CODE_STAYS_NS: u64 = 1_000_000_000;

/// A process that is being recorded.
pub(crate) struct Process {
    /// Its number in the trace.
    pub(crate) id: u32,
    /// Path of its executable; empty if unknown.
    pub(crate) exe: String,
    /// Its executable mappings.
    pub(crate) space: AddressSpace<MapEntry>,
    /// The CPython that it runs.
    pub(crate) python: Option<Interpreter>,
    /// The V8 that it runs.
    pub(crate) v8: Option<Engine>,
    /// The HotSpot that it runs. What it forks runs no Java.
    pub(crate) hotspot: Option<Box<hotspot::Engine>>,
    /// When the names of its threads are to be read.
    pub(crate) names_due: NamesDue,
    /// Whether it writes down what code it generates: source maps and lines go by that.
    pub(crate) publishes: bool,
    /// Files that it allocates with, as far as that was told.
    pub(crate) allocators: Vec<String>,
    /// Threads that have not ended.
    pub(crate) live_threads: u32,
    /// The signal that ended the last one that has; 0 if none did, or that is not known.
    pub(crate) ended_by: u8,
    start_ns: u64,
    /// Process that started it; 0 if unknown.
    pub(crate) parent_pid: u32,
    /// First word of its command line; empty if unknown.
    pub(crate) argv0: String,
    name: String,
    rescanned_ns: Option<u64>,
    /// Grows with each new mapping.
    code_version: u64,
    /// Return addresses that come after a call, as far as it was looked.
    known_calls: FxHashSet<u64>,
    /// What generated code does at an address, if it is about to return, and
    /// when it was looked at.
    known_epilogues: FxHashMap<u64, (u64, Option<Epilogue>)>,
}

/// What a process comes from.
pub(crate) struct Origin {
    /// Its name.
    pub(crate) name: String,
    /// Path of its executable; empty if unknown.
    pub(crate) exe: String,
    /// Process that started it, if that is known.
    pub(crate) parent_pid: Option<u32>,
    /// First word of its command line, if that is known.
    pub(crate) argv0: Option<String>,
}

/// What is known of a process whatever file that is told in.
pub(crate) struct Lasting {
    pub(crate) origin: Origin,
    pub(crate) mappings: Vec<MapEntry>,
    pub(crate) publishes: bool,
    pub(crate) allocators: Vec<String>,
}

/// A thread that is being recorded.
pub(crate) struct Thread {
    /// Its number in the trace.
    pub(crate) id: u32,
    /// The process it belongs to.
    pub(crate) pid: u32,
    /// The thread whose events it counts with; its own id or that of the one
    /// it inherited them from.
    pub(crate) owner: u32,
    /// When it appeared; 0 if before the recording.
    pub(crate) start_ns: u64,
    /// Its name.
    pub(crate) name: String,
    /// What is known of its stack.
    pub(crate) stack: ThreadStack,
    /// Samples that the next one stands for, too.
    pub(crate) left_out: LeftOut,
    /// How long it has run.
    pub(crate) ran: Ran,
}

/// Samples of a thread that were not kept since the last one that was.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// How many.
    pub(crate) count: u32,
    /// What they stand for, in the event's unit.
    weight: u64,
    /// When the first one was taken.
    pub(crate) from_ns: u64,
}

impl LeftOut {
    /// Takes in a sample of the thread, of which one in `one_in` is kept. Returns what
    /// it stands for if that is this one.
    pub(crate) fn add(
        left_out: Option<&mut LeftOut>,
        time_ns: u64,
        weight: u64,
        one_in: u32,
    ) -> Option<u64> {
        let Some(left_out) = left_out else { return Some(weight) };
        if left_out.count == 0 {
            left_out.from_ns = time_ns;
        }
        left_out.weight = left_out.weight.saturating_add(weight);
        left_out.count += 1;
        (left_out.count >= one_in).then(|| std::mem::take(left_out).weight)
    }
}

/// What is known of a thread's stack from samples before.
#[derive(Default)]
pub(crate) struct ThreadStack {
    /// Where it ends as far as unwinding is concerned; 0 if unknown.
    pub(crate) end: u64,
    /// Its last one.
    pub(crate) kept: KeptStack,
    /// Its last one with frames of CPython.
    pub(crate) python: PythonStack,
    /// The process's code when that was taken, see [`Process::code_version`].
    pub(crate) code_version: u64,
}

impl Process {
    /// A process with no mappings yet. What the caller does not say is looked
    /// up, and may be gone already, or have changed: a process whose parent
    /// has ended is given another one.
    pub(crate) fn new(id: u32, pid: u32, start_ns: u64, origin: Origin) -> Self {
        let Origin { name, exe, parent_pid, argv0 } = origin;
        let look_up = || procfs::stat(pid).map_or(0, |stat| stat.parent_pid);
        Process {
            id,
            exe,
            space: AddressSpace::default(),
            python: None,
            v8: None,
            hotspot: None,
            names_due: NamesDue::default(),
            publishes: false,
            allocators: Vec::new(),
            live_threads: 0,
            ended_by: 0,
            start_ns,
            parent_pid: parent_pid.unwrap_or_else(look_up),
            argv0: argv0.unwrap_or_else(|| procfs::argv0(pid)),
            name,
            rescanned_ns: None,
            code_version: 0,
            known_calls: FxHashSet::default(),
            known_epilogues: FxHashMap::default(),
        }
    }

    /// What goes on in the next file. All else has numbers in it that mean something in
    /// this one only, or is found out again.
    pub(crate) fn lasting(self) -> Lasting {
        let Process {
            id: _,
            exe,
            space,
            python: _,
            v8: _,
            hotspot: _,
            names_due: _,
            publishes,
            allocators,
            live_threads: _,
            ended_by: _,
            start_ns: _,
            parent_pid,
            argv0,
            name,
            rescanned_ns: _,
            code_version: _,
            known_calls: _,
            known_epilogues: _,
        } = self;
        let (parent_pid, argv0) = (Some(parent_pid), Some(argv0));
        let mappings = space.mappings().iter().map(|mapping| mapping.entry.clone()).collect();
        let origin = Origin { name, exe, parent_pid, argv0 };
        Lasting { origin, mappings, publishes, allocators }
    }

    /// Takes in a mapping, over whatever was there. Returns whether it is new.
    pub(crate) fn map(&mut self, entry: MapEntry) -> bool {
        if !entry.is_file() {
            // Code may have been generated anew.
            self.known_calls.clear();
            self.known_epilogues.clear();
        }
        let is_new = self.space.insert(entry);
        self.code_version += u64::from(is_new);
        is_new
    }

    /// As long as this is the same, an address is in the same code.
    pub(crate) fn code_version(&self) -> u64 {
        self.code_version
    }

    /// What it was called when it was found.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The process as it is written into the trace.
    pub(crate) fn record(&self, pid: u32) -> rz_format::Process {
        rz_format::Process {
            id: self.id,
            pid,
            parent_pid: self.parent_pid,
            start_ns: self.start_ns,
            exe: self.exe.clone(),
            argv0: self.argv0.clone(),
            name: self.name.clone(),
        }
    }
}

/// A process's code, for unwinding one of its stacks.
pub(crate) struct ProcessCode<'a> {
    /// Its process id.
    pub(crate) pid: u32,
    /// Time of the sample.
    pub(crate) time_ns: u64,
    /// The process.
    pub(crate) process: &'a mut Process,
    /// All modules.
    pub(crate) modules: &'a mut Modules,
    /// Takes the descriptions of modules met for the first time.
    pub(crate) records: &'a mut Vec<Record>,
}

/// A code address, by module.
pub(crate) struct Place {
    /// Number of the module.
    pub(crate) module: u32,
    /// What the module is.
    pub(crate) kind: ModuleKind,
    /// Offset in the file, or address in memory, as the kind demands.
    pub(crate) offset: u64,
    /// Address in memory.
    address: u64,
}

impl ProcessCode<'_> {
    /// Looks for mappings that no event told of, such as those made before a
    /// loss. What is known is kept: this looks at the present, and the sample
    /// is from the past, when the process may have run another program.
    fn rescan(&mut self) {
        let due = self
            .process
            .rescanned_ns
            .is_none_or(|last| self.time_ns.saturating_sub(last) >= RESCAN_INTERVAL_NS);
        if due {
            self.process.rescanned_ns = Some(self.time_ns);
            for entry in procfs::executable_maps(self.pid).unwrap_or_default() {
                self.process.space.fill(entry);
            }
        }
    }
}

impl ProcessCode<'_> {
    /// The caller of generated code that is about to return.
    fn run_epilogue(
        &mut self,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Option<Registers> {
        let known = &mut self.process.known_epilogues;
        if known.len() >= MAX_KNOWN_CALLS {
            known.clear();
        }
        let (looked_ns, epilogue) = known.entry(registers.ip).or_insert((0, None));
        if *looked_ns == 0 || self.time_ns.saturating_sub(*looked_ns) >= CODE_STAYS_NS {
            let mut code = [0; MAX_EPILOGUE_LEN];
            let length = read_memory(self.pid, registers.ip, &mut code);
            (*looked_ns, *epilogue) = (self.time_ns, Epilogue::parse(&code[..length]));
        }
        let caller = epilogue.as_ref()?.run(registers, stack)?;
        self.follows_call(caller.ip).then_some(caller)
    }
}

impl ProcessCode<'_> {
    /// Unwinds a frame of HotSpot's code; `None` if it is none.
    fn hotspot_step(
        &mut self,
        lookup: u64,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Option<Result<Step, TruncatedReason>> {
        let mut hotspot = self.process.hotspot.take()?;
        let (pid, time_ns) = (self.pid, self.time_ns);
        let memory = |address: u64, to: &mut [u8]| read_memory(pid, address, to);
        let at = hotspot::At { lookup, registers, stack, time_ns };
        let step = hotspot.step(&at, &memory, &mut |address| self.follows_call(address));
        self.process.hotspot = Some(hotspot);
        step
    }
}

impl Code for ProcessCode<'_> {
    type Place = Place;

    fn place(&mut self, address: u64) -> Option<Place> {
        if !self.process.space.holds(address) {
            self.rescan();
        }
        let id = self.process.id;
        let mapping = self.process.space.find_mut(address)?;
        let module = match mapping.module {
            Some(module) => module,
            None => {
                let module = self.modules.of_mapping(&mapping.entry, self.pid, id, self.records);
                mapping.module = Some(module);
                module
            }
        };
        let kind = self.modules.kind(module);
        let offset = match kind {
            ModuleKind::Anonymous => address,
            _ => address - mapping.entry.start + mapping.entry.file_offset,
        };
        Some(Place { module, kind, offset, address })
    }

    fn step(
        &mut self,
        place: &Place,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason> {
        let is_generated = self.modules.is_generated(place.module);
        match self.modules.cfi(place.module) {
            Some(cfi) => {
                let (space, pid) = (&mut self.process.space, self.pid);
                let code = || {
                    let mapping = space.find_mut(place.address)?;
                    CodeBytes::read(open_mapped(&mapping.entry, pid).ok()?)
                };
                cfi.step(place.offset, registers, stack, code)
            }
            None if is_generated => {
                if let Some(step) = self.hotspot_step(place.offset, registers, stack) {
                    return step;
                }
                let caller = self.run_epilogue(registers, stack);
                Ok(caller.map_or(Step::UseFramePointer, |registers| Step::Caller {
                    registers,
                    interrupted: false,
                    // The code may be another one tomorrow.
                    simple: None,
                }))
            }
            None => Err(TruncatedReason::NoUnwindInfo),
        }
    }

    fn follows_call(&mut self, return_address: u64) -> bool {
        if self.process.known_calls.contains(&return_address) {
            return true;
        }
        let is_code = self.place(return_address.wrapping_sub(1)).is_some();
        if !is_code || !reads_as_call(self.pid, return_address) {
            return false;
        }
        if self.process.known_calls.len() >= MAX_KNOWN_CALLS {
            self.process.known_calls.clear();
        }
        self.process.known_calls.insert(return_address);
        true
    }
}

/// Whether a process has a call instruction before `return_address`.
fn reads_as_call(pid: u32, return_address: u64) -> bool {
    let mut code = [0; MAX_CALL_LEN];
    let Some(base) = return_address.checked_sub(MAX_CALL_LEN as u64) else { return false };
    read_memory(pid, base, &mut code) == MAX_CALL_LEN && ends_with_call(&code)
}

/// Copies memory out of a process, and returns how much. That does not stop it.
pub(crate) fn read_memory(pid: u32, address: u64, to: &mut [u8]) -> usize {
    let remote = RemoteIoVec { base: address as usize, len: to.len() };
    let pid = Pid::from_raw(pid as i32);
    process_vm_readv(pid, &mut [IoSliceMut::new(to)], &[remote]).unwrap_or(0)
}
