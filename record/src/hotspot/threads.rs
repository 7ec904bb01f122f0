//! What Java's threads are called: the kernel has the first 15 characters of the name
//! that a thread began with, and Java all of the present one.
//!
//! ```text
//! list ─▶ JavaThread ─▶ OSThread: number
//!                  └──▶ java.lang.Thread ─▶ String ─▶ bytes
//! ```

use crate::code_objects::Memory;

use super::bytes::{Bytes, word};
use super::layout::{Layout, ThreadLayout, ThreadList};
use super::objects::{Objects, fields};

/// Threads that are asked for their names at most.
const MAX_THREADS: usize = 1 << 14;
const WORD: usize = 8;

/// What it takes to read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    objects: Objects,
    class: u64,
    name: usize,
}

impl Names {
    /// `None` if the virtual machine has not come that far, or has other classes.
    pub(super) fn read(layout: &Layout, memory: &impl Memory) -> Option<Self> {
        let of = layout.threads.as_ref()?;
        let objects = Objects::read(layout, memory)?;
        let class = word(memory, of.class_at).filter(|class| *class != 0)?;
        let wanted = [("name", "Ljava/lang/String;")];
        let [name] = fields(class, wanted, layout, memory)?;
        Some(Names { objects, class, name })
    }

    /// The names of all threads that have one, by the numbers that these have in their own
    /// pid namespace.
    pub(super) fn of_threads(&self, layout: &Layout, memory: &impl Memory) -> Vec<(u32, String)> {
        let Some(of) = &layout.threads else { return Vec::new() };
        let threads = threads(of, memory);
        let named = threads.into_iter().filter_map(|thread| {
            // What was moved or freed meanwhile is not the same twice.
            let found = self.of_thread(thread, of, layout, memory)?;
            (self.of_thread(thread, of, layout, memory)? == found).then_some(found)
        });
        named.collect()
    }

    fn of_thread(
        &self,
        thread: u64,
        of: &ThreadLayout,
        layout: &Layout,
        memory: &impl Memory,
    ) -> Option<(u32, String)> {
        let of_objects = layout.objects.as_ref()?;
        let member = |at: usize| word(memory, thread.checked_add(at as u64)?);
        let number = member(of.os_thread)?.checked_add(of.number as u64)?;
        let number = Bytes::read(memory, number, 4).u32(0).filter(|number| *number != 0)?;
        let root = member(of.object)?;
        let root = if of.has_handle { word(memory, root)? } else { root };
        let object = self.objects.root(root)?;
        let object = Bytes::read(memory, object, self.objects.through(self.name));
        // Its class is `Thread`, or one that is derived from that.
        let class = self.objects.class(&object)?;
        let ancestor = class.checked_add((of.ancestors + WORD) as u64)?;
        if word(memory, ancestor)? != self.class {
            return None;
        }
        let name = self.objects.reference(&object, self.name)?;
        Some((number, self.objects.text(name, of_objects, memory)?))
    }
}

/// The virtual machine's own descriptions of threads that run Java.
fn threads(of: &ThreadLayout, memory: &impl Memory) -> Vec<u64> {
    match of.list {
        ThreadList::Array { at, length, threads } => {
            let all = || {
                let list = word(memory, at)?;
                let head = Bytes::read(memory, list, length.max(threads) + WORD);
                let count = (head.u32(length)? as usize).min(MAX_THREADS);
                let all = Bytes::read(memory, head.u64(threads)?, count * WORD);
                Some((0..count).map_while(|index| all.u64(index * WORD)).collect())
            };
            all().unwrap_or_default()
        }
        ThreadList::Linked { at, next } => {
            let next_of = |at: &u64| word(memory, *at).filter(|thread| *thread != 0);
            let first = next_of(&at);
            let follow = |thread: &u64| next_of(&thread.checked_add(next as u64)?);
            std::iter::successors(first, follow).take(MAX_THREADS).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotspot::fixture::{self, OBJECTS, layout, program_with_thread};

    fn read(memory: &fixture::Bytes) -> Vec<(u32, String)> {
        let layout = layout();
        let names = Names::read(&layout, memory);
        names.map_or_else(Vec::new, |names| names.of_threads(&layout, memory))
    }

    #[test]
    fn a_thread_has_its_whole_name() {
        let name = "a name of more than 15 characters";
        assert_eq!(read(&program_with_thread(4711, name)), [(4711, name.to_owned())]);
    }

    #[test]
    fn what_is_no_longer_a_thread_or_a_text_has_no_name() {
        for object in [OBJECTS, OBJECTS + 0x40, OBJECTS + 0x80] {
            let mut memory = program_with_thread(4711, "name");
            // Of another class, as what was moved there.
            memory.half(object + 8, 0x2040);
            assert_eq!(read(&memory), [], "{object:#x}");
        }
        let mut memory = program_with_thread(4711, "name");
        memory.remove(OBJECTS + 0x80, 0x40);
        assert_eq!(read(&memory), []);
    }

    #[test]
    fn any_memory_is_survived() {
        let program = program_with_thread(4711, "name");
        let count = program.clone().all().count();
        for changed in (0..count).step_by(7) {
            for value in [0, 0x7f, 0xff] {
                let mut memory = program.clone();
                if let Some((_, byte)) = memory.all().nth(changed) {
                    *byte = value;
                }
                for (_, name) in read(&memory) {
                    assert!(name.len() <= 4096, "{changed}");
                }
            }
        }
    }
    #[test]
    fn fuzz_hotspot_threads() {
        let mut program = program_with_thread(4711, "name");
        let seed = program.all().map(|(_, byte)| *byte).collect();
        rz_fuzz::fuzz("HotSpot's threads", &[seed], |bytes| {
            read(&program.with(bytes));
        });
    }
}
