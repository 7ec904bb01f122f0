//! What a function is called, and where in which script it begins.

use crate::code_objects::Memory;

use super::heap::{Heap, Object, is_object, small_number};

/// Longest name in bytes; of longer ones, the beginning is kept.
const MAX_NAME: usize = 4 << 10;
/// Most variables of a function that are passed over to get to its name.
const MAX_VARIABLES: i32 = 1 << 20;
/// From so many variables on, a scope has their names in a table of its own.
const MANY_VARIABLES: i32 = 75;
/// What is read of a scope behind its variables, in bytes.
const SCOPE_TAIL: usize = 80;

/// What tells whether there is still the same function at an address, and leads to the
/// rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shared {
    name_or_scope: u64,
    script: u64,
}

/// A function as it is in its script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// First and last character, if they are known.
    pub(super) span: Option<(u32, u32)>,
    pub(super) file: String,
    /// The string that is the script's text.
    pub(super) source: u64,
}

impl Shared {
    /// Reads it; `None` if there is no function, or none of a script.
    pub(super) fn read<M: Memory>(heap: &Heap<'_, M>, address: u64) -> Option<Self> {
        let layout = heap.layout;
        let object: Object<64> = heap.object_of(address, layout.types.shared)?;
        let name_or_scope = object.word(layout.shared_name_or_scope);
        let script = object.word(layout.shared_script);
        is_object(script).then_some(Shared { name_or_scope, script })
    }

    /// What it leads to.
    pub(super) fn function<M: Memory>(&self, heap: &Heap<'_, M>) -> Option<Function> {
        let layout = heap.layout;
        let script: Object<128> = heap.object_of(self.script, layout.types.script)?;
        let file = heap.text(script.word(layout.script_name), MAX_NAME).unwrap_or_default();
        let source = script.word(layout.script_source);
        let scope: Option<Object<64>> = heap.object_of(self.name_or_scope, layout.types.scope);
        let (name, span) = match scope {
            Some(scope) => scope_content(heap, self.name_or_scope, &scope)?,
            None => (heap.text(self.name_or_scope, MAX_NAME).unwrap_or_default(), None),
        };
        Some(Function { name, span, file, source })
    }
}

/// Name, and first and last character, that a function's scope has.
///
/// It is: its flags, how many parameters and variables it has, since version 13 its
/// first and last character; then its variables, and what the flags say.
fn scope_content<M: Memory>(
    heap: &Heap<'_, M>,
    address: u64,
    scope: &Object<64>,
) -> Option<(String, Option<(u32, u32)>)> {
    let head = heap.layout.scope_variables;
    // Since version 13, they are no number of V8's own.
    let flags = small_number(scope.word(8)).unwrap_or(scope.word(8) as i32);
    let variables = small_number(scope.word(8 * 3)).filter(|n| (0..MAX_VARIABLES).contains(n))?;
    let names = if variables < MANY_VARIABLES { variables } else { 1 };
    let behind = 8 * (1 + head as u64 + names as u64 + variables as u64);
    let mut tail = [0; SCOPE_TAIL];
    // It may be the last object in its memory.
    let read = heap.memory.read(address - 1 + behind, &mut tail);
    let words = tail[..read].as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    let words: Vec<u64> = words.collect();
    let in_head = (head >= 5).then(|| span(&[scope.word(8 * 4), scope.word(8 * 5)])).flatten();
    // That of a module says how many variables of it others use.
    let tails = [&words[..], words.get(1..).unwrap_or_default()];
    let found = tails.into_iter().find_map(|words| scope_tail(heap, flags, words, head < 5));
    let (name, behind) = found.unwrap_or_default();
    Some((name, in_head.or(behind)))
}

/// The same, from what follows the variables; `None` if that is not as it should be.
fn scope_tail<M: Memory>(
    heap: &Heap<'_, M>,
    flags: i32,
    mut words: &[u64],
    has_span: bool,
) -> Option<(String, Option<(u32, u32)>)> {
    let mut name = String::new();
    let mut take = |count: usize| words.split_off(..count);
    if flags >> 10 & 1 != 0 {
        // The variable that a class is in.
        small_number(take(1)?[0])?;
    }
    if flags >> 12 & 3 != 0 {
        // The name, and the variable that the function itself is in.
        let [found, variable] = *take(2)? else { return None };
        small_number(variable)?;
        if small_number(found) != Some(0) {
            name = heap.text(found, MAX_NAME)?;
        }
    }
    if flags >> 14 & 1 != 0 {
        // What it was assigned to.
        let inferred = heap.text(take(1)?[0], MAX_NAME);
        if name.is_empty() {
            name = inferred.unwrap_or_default();
        }
    }
    let span = if has_span { Some(span(take(2)?)?) } else { None };
    Some((name, span))
}

/// Two characters in order.
fn span(words: &[u64]) -> Option<(u32, u32)> {
    let [start, end] = *words else { return None };
    let [start, end] = [start, end].map(|word| u32::try_from(small_number(word)?).ok());
    start.zip(end).filter(|(start, end)| start <= end)
}
