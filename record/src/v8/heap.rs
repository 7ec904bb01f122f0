//! Reads objects out of the memory of a process that runs V8.
//!
//! They may have moved since the stack was copied, and the process may mean harm: each
//! is looked at for what it is before anything in it is used, and lengths are bounded.

use crate::code_objects::Memory;

use super::layout::{Layout, StringLayout};

/// How deep strings are looked into that are made of others: there may be twice as many
/// at each step.
const MAX_DEPTH: u32 = 9;
/// Characters that are read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// The memory of a process, with what is where in its objects.
pub(super) struct Heap<'h, M> {
    pub(super) memory: &'h M,
    pub(super) layout: &'h Layout,
}

/// An object's first bytes.
pub(super) struct Object<const N: usize>([u8; N]);

impl<const N: usize> Object<N> {
    /// The word at an offset; 0, which is a number and no object, if it is further
    /// than was read.
    pub(super) fn word(&self, at: usize) -> u64 {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    pub(super) fn map(&self) -> u64 {
        self.word(0)
    }
}

/// Whether a word refers to an object.
pub(super) fn is_object(word: u64) -> bool {
    word & 3 == 1
}

/// The number that a word is, if it is one.
pub(super) fn small_number(word: u64) -> Option<i32> {
    (word & 0xffff_ffff == 0).then_some((word >> 32) as i32)
}

impl<M: Memory> Heap<'_, M> {
    /// The start of an object.
    pub(super) fn object<const N: usize>(&self, word: u64) -> Option<Object<N>> {
        let mut bytes = [0; N];
        // It may be the last object in its memory.
        let has_map = is_object(word) && self.memory.read(word - 1, &mut bytes) >= 8;
        has_map.then_some(Object(bytes))
    }

    /// The type of the objects that have a map.
    pub(super) fn type_of(&self, map: u64) -> Option<u16> {
        let mut bytes = [0; 2];
        let at = map.wrapping_sub(1).wrapping_add(self.layout.instance_type as u64);
        (is_object(map) && self.memory.read(at, &mut bytes) == 2).then(|| u16::from_le_bytes(bytes))
    }

    /// The start of an object, if it is of a type.
    pub(super) fn object_of<const N: usize>(&self, word: u64, kind: u16) -> Option<Object<N>> {
        let object = self.object(word)?;
        (self.type_of(object.map())? == kind).then_some(object)
    }

    /// The bytes of an array of them.
    pub(super) fn byte_array(&self, word: u64, most: usize) -> Option<Vec<u8>> {
        let Layout { array_length, array_data, types, .. } = self.layout;
        let object: Object<64> = self.object(word)?;
        let found = self.type_of(object.map())?;
        if found != types.byte_array && Some(found) != types.trusted_byte_array {
            return None;
        }
        let length = usize::try_from(small_number(object.word(*array_length))?).ok()?;
        let mut bytes = vec![0; length.min(most)];
        let read = self.memory.read(word - 1 + *array_data as u64, &mut bytes);
        (read == bytes.len()).then_some(bytes)
    }

    /// Objects that an array begins with; some arrays do not keep theirs alive, which
    /// is marked in the words.
    pub(super) fn array(&self, word: u64, count: usize) -> Option<Vec<u64>> {
        let Layout { array_length, array_data, types, .. } = self.layout;
        let object: Object<64> = self.object(word)?;
        let found = self.type_of(object.map())?;
        let length = usize::try_from(small_number(object.word(*array_length))?).ok()?;
        if !types.arrays.contains(&found) || count > length {
            return None;
        }
        let mut bytes = vec![0; count * 8];
        let read = self.memory.read(word - 1 + *array_data as u64, &mut bytes);
        let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word) & !2);
        (read == bytes.len()).then(|| words.collect())
    }

    /// A string, or the beginning of it.
    pub(super) fn text(&self, word: u64, most: usize) -> Option<String> {
        let mut characters = Vec::new();
        self.characters(word, most, &mut |part| characters.extend_from_slice(part))?;
        Some(String::from_utf16_lossy(&characters))
    }

    /// Hands out the characters of a string in pieces, up to so many, and returns how
    /// many these were.
    pub(super) fn characters(
        &self,
        word: u64,
        most: usize,
        take: &mut dyn FnMut(&[u16]),
    ) -> Option<usize> {
        self.part(word, 0, most, 0, take)
    }

    fn part(
        &self,
        word: u64,
        from: usize,
        most: usize,
        depth: u32,
        take: &mut dyn FnMut(&[u16]),
    ) -> Option<usize> {
        let strings = &self.layout.strings;
        let object: Object<64> = self.object(word)?;
        let found = self.type_of(object.map())?;
        if found >= self.layout.types.first_no_string || depth > MAX_DEPTH {
            return None;
        }
        let length = object.word(strings.length) as u32 as usize;
        let wanted = length.saturating_sub(from).min(most);
        let StringLayout { cons_first, cons_second, sliced_parent, sliced_offset, .. } = *strings;
        let width = if found & 8 == 0 { 2 } else { 1 };
        match found & 7 {
            0 => self.plain(word - 1 + strings.characters as u64, width, from, wanted, take),
            1 => {
                let mut read = self.part(object.word(cons_first), from, wanted, depth + 1, take)?;
                if read < wanted {
                    let first: Object<64> = self.object(object.word(cons_first))?;
                    let behind = from.saturating_sub(first.word(strings.length) as u32 as usize);
                    let rest = object.word(cons_second);
                    read += self.part(rest, behind, wanted - read, depth + 1, take)?;
                }
                Some(read)
            }
            // Some do not keep the address of their characters.
            2 if found & 0x10 == 0 => {
                self.plain(object.word(strings.resource + 8), width, from, wanted, take)
            }
            3 => {
                let offset = usize::try_from(small_number(object.word(sliced_offset))?).ok()?;
                let from = from.checked_add(offset)?;
                self.part(object.word(sliced_parent), from, wanted, depth + 1, take)
            }
            5 => self.part(object.word(strings.thin_actual), from, wanted, depth + 1, take),
            _ => None,
        }
    }

    /// Hands out characters that lie at an address, each so many bytes wide.
    fn plain(
        &self,
        start: u64,
        width: usize,
        from: usize,
        wanted: usize,
        take: &mut dyn FnMut(&[u16]),
    ) -> Option<usize> {
        let mut at = start.checked_add((from * width) as u64)?;
        let mut left = wanted * width;
        let mut bytes = [0; CHUNK];
        let mut characters = Vec::with_capacity(CHUNK.min(left));
        while left > 0 {
            let part = bytes.get_mut(..left.min(CHUNK))?;
            if self.memory.read(at, part) < part.len() {
                return None;
            }
            characters.clear();
            match width {
                1 => characters.extend(part.iter().map(|byte| u16::from(*byte))),
                _ => {
                    characters.extend(part.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two)))
                }
            }
            take(&characters);
            at += part.len() as u64;
            left -= part.len();
        }
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::fixture::{BYTES, Words, layout, small};

    fn text(words: &Words, word: u64) -> Option<String> {
        Heap { memory: words, layout: &layout() }.text(word, 20)
    }

    #[test]
    fn strings_of_every_kind() {
        let mut words = Words::default();
        let plain = words.string(0x1000, "requestHandler");
        let other = words.string(0x1100, ".next");
        let length = |length: u64| length << 32;
        let cons = words.object(0x1200, 41, &[length(19), plain, other]);
        let sliced = words.object(0x1300, 43, &[length(9), cons, small(7)]);
        let thin = words.object(0x1400, 45, &[length(19), cons]);
        let outside = words.object(0x1500, 42, &[length(5), 0x77, 0x1110]);
        let wide = words.object(0x1600, 32, &[length(2), 0x043b_0061]);
        let check =
            |word, expected: &str| assert_eq!(text(&words, word).as_deref(), Some(expected));
        check(plain, "requestHandler");
        check(cons, "requestHandler.next");
        check(sliced, "Handler.n");
        check(thin, "requestHandler.next");
        check(outside, ".next");
        check(wide, "a\u{43b}");
    }

    #[test]
    fn long_strings_are_cut() {
        let mut words = Words::default();
        let long = words.string(0x1000, &"x".repeat(100));
        let huge = words.object(0x2000, 41, &[u64::MAX, long, long]);
        assert_eq!(text(&words, long), Some("x".repeat(20)));
        assert_eq!(text(&words, huge), Some("x".repeat(20)));
    }

    #[test]
    fn what_is_no_string() {
        let mut words = Words::default();
        // One of two of itself, one of memory that is not there, and no strings at all.
        let own = words.object(0x1000, 41, &[u64::MAX, 0x1001, 0x1001]);
        let cut = words.object(0x2000, 40, &[10 << 32, 0]);
        let kept_elsewhere = words.object(0x3000, 42 | 16, &[5 << 32, 0x77, 0x1110]);
        let bytes = words.object(0x4000, BYTES, &[small(4), 0]);
        for word in [own, cut, kept_elsewhere, bytes, small(3), 0x4000, 0x7001] {
            assert_eq!(text(&words, word), None, "{word:#x}");
        }
    }

    #[test]
    fn arrays_of_bytes() {
        let mut words = Words::default();
        let array = words.object(0x1000, BYTES, &[small(3), 0x0403_0201]);
        let too_long = words.object(0x2000, BYTES, &[small(i32::MAX), 0]);
        let no_length = words.object(0x3000, BYTES, &[small(-1), 0]);
        let layout = layout();
        let heap = Heap { memory: &words, layout: &layout };
        assert_eq!(heap.byte_array(array, 9), Some(vec![1, 2, 3]));
        assert_eq!(heap.byte_array(array, 2), Some(vec![1, 2]));
        assert_eq!(heap.byte_array(too_long, 9), None);
        assert_eq!(heap.byte_array(no_length, 9), None);
    }
}
