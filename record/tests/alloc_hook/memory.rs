//! The recorder's side of the shared memory, for tests.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rz_alloc_ring::{
    Control, Counts, ENTRIES_OFFSET, Entry, Event, Events, MAGIC, MAX_SLOTS, RING_OFFSET,
    SLOTS_OFFSET, SlotHeader, VARIABLE, VERSION, clock,
};

/// The shared memory, as a recorder makes it that never reads a ring.
pub(crate) struct Memory {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) ring_bytes: u64,
    pub(crate) directory: tempfile::TempDir,
}

/// What a thread left behind.
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) pid: u32,
    pub(crate) counts: Vec<u64>,
    pub(crate) words: Vec<u64>,
}

/// An allocation with its whole stack, innermost frame first.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) frames: Vec<u64>,
    pub(crate) truncated: u8,
}

impl Memory {
    pub(crate) fn new(mode: u32, ring_bytes: u64) -> Self {
        Self::new_in(tempfile::tempdir().unwrap(), mode, ring_bytes)
    }

    pub(crate) fn new_in(directory: tempfile::TempDir, mode: u32, ring_bytes: u64) -> Self {
        let path = directory.path().join("memory");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let memory = Memory { path, file, ring_bytes, directory };
        let slot_bytes = RING_OFFSET as u64 + ring_bytes;
        memory.file.set_len(SLOTS_OFFSET as u64 + u64::from(MAX_SLOTS) * slot_bytes).unwrap();
        memory.put(offset_of!(Control, magic), &MAGIC.to_le_bytes());
        memory.put(offset_of!(Control, ring_bytes), &ring_bytes.to_le_bytes());
        memory.put(offset_of!(Control, mean_interval), &4096_u64.to_le_bytes());
        for (offset, value) in [
            (offset_of!(Control, version), VERSION),
            (offset_of!(Control, mode), mode),
            (offset_of!(Control, clock), clock::PROCESSOR),
            (offset_of!(Control, follow), 1),
            (offset_of!(Control, recorder_pid), std::process::id()),
            (offset_of!(Control, stack_bytes), 16 << 10),
            (offset_of!(Control, slots), MAX_SLOTS),
        ] {
            memory.put(offset, &value.to_le_bytes());
        }
        memory
    }

    pub(crate) fn put(&self, offset: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset as u64).unwrap();
    }

    pub(crate) fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset as u64).unwrap();
        bytes
    }

    pub(crate) fn number(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.get(offset))
    }

    pub(crate) fn words(&self, offset: usize, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; 8 * count];
        self.file.read_exact_at(&mut bytes, offset as u64).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    }

    /// A command that runs a program under the hook.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", env!("RZ_ALLOC_HOOK")).env(VARIABLE, &self.path);
        command
    }

    /// Runs a program to its end; returns what it printed.
    pub(crate) fn run(&self, command: &mut Command) -> String {
        let output = command.stdout(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {:?}", output.status);
        assert_eq!(self.number(offset_of!(Control, failure)), 0);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Passes what is in a thread's ring on, piece by piece, and frees it.
    pub(crate) fn drain(&self, index: usize, mut piece: impl FnMut(&[u64])) {
        let slot = SLOTS_OFFSET + index * (RING_OFFSET + self.ring_bytes as usize);
        let head = self.words(slot + offset_of!(SlotHeader, head), 1)[0];
        let mut tail = self.words(slot + offset_of!(SlotHeader, tail), 1)[0];
        while tail < head {
            let at = tail % self.ring_bytes;
            let length = (head - tail).min(self.ring_bytes - at);
            piece(&self.words(slot + RING_OFFSET + at as usize, length as usize / 8));
            tail += length;
        }
        self.put(slot + offset_of!(SlotHeader, tail), &tail.to_le_bytes());
    }

    pub(crate) fn threads(&self) -> Vec<Thread> {
        let slot_bytes = RING_OFFSET + self.ring_bytes as usize;
        let mut threads = Vec::new();
        for index in 0..MAX_SLOTS as usize {
            let at = ENTRIES_OFFSET + index * size_of::<Entry>();
            let tid = self.number(at + offset_of!(Entry, tid));
            if tid == 0 {
                break;
            }
            let slot = SLOTS_OFFSET + index * slot_bytes;
            let head = self.words(slot + offset_of!(SlotHeader, head), 1)[0] as usize;
            assert!(head as u64 <= self.ring_bytes);
            let counts = slot + offset_of!(SlotHeader, counts);
            threads.push(Thread {
                tid,
                pid: self.number(at + offset_of!(Entry, pid)),
                counts: self.words(counts, size_of::<Counts>() / 8),
                words: self.words(slot + RING_OFFSET, head / 8),
            });
        }
        threads
    }

    /// The only thread of a program that has no others.
    pub(crate) fn only_thread(&self) -> Thread {
        let mut threads = self.threads();
        assert_eq!(threads.len(), 1);
        threads.remove(0)
    }
}

impl Thread {
    pub(crate) fn count(&self, offset: usize) -> u64 {
        self.counts[offset / 8]
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        Events::new(&self.words).map(|event| event.unwrap())
    }

    /// All allocations, in full mode, with all events checked on the way.
    pub(crate) fn allocations(&self) -> Vec<Allocation> {
        let mut stack: Vec<u64> = Vec::new();
        let mut reason = 0;
        let mut allocations = Vec::new();
        let mut before = 0;
        let mut live = HashMap::new();
        let mut frees = 0;
        for event in self.events() {
            match event {
                Event::Allocation { ticks, address, size, kept, new, truncated, same, .. } => {
                    assert!(ticks >= before);
                    before = ticks;
                    if !same {
                        assert!(kept <= stack.len());
                        stack.truncate(kept);
                        stack.extend_from_slice(new);
                        reason = truncated;
                    }
                    assert!(!stack.is_empty());
                    let frames = stack.iter().rev().copied().collect();
                    assert_eq!(live.insert(address, size), None);
                    allocations.push(Allocation { address, size, frames, truncated: reason });
                }
                Event::Free { ticks, address, allocations: None, .. } => {
                    assert!(ticks >= before);
                    before = ticks;
                    frees += 1;
                    live.remove(&address);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(allocations.len() as u64, self.count(offset_of!(Counts, allocations)));
        assert_eq!(frees, self.count(offset_of!(Counts, frees)));
        allocations
    }
}

/// The test program, built in `directory`.
pub(crate) fn program(directory: &Path, flags: &[&str]) -> PathBuf {
    build(directory, "allocator", &["-rdynamic", "-pthread"], flags)
}

pub(crate) fn build(directory: &Path, name: &str, kind: &[&str], flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let built = directory.join(format!("{name}{}", flags.concat()));
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-fno-builtin", "-fomit-frame-pointer", "-Wall", "-Wno-use-after-free"]);
    compiler.args(kind).args(flags).arg("-o").arg(&built).arg(source.join(format!("{name}.c")));
    assert!(compiler.status().unwrap().success(), "{compiler:?}");
    built
}

pub(crate) fn run(memory: &Memory, arguments: &[&str]) -> String {
    memory.run(memory.command(program(memory.directory.path(), &[])).args(arguments))
}

pub(crate) fn address(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}
