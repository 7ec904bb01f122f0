//! Objects in Java's heap: where references lead, of which class an object is, where its
//! fields are, and texts.
//!
//! Collectors of garbage move objects meanwhile. Whoever follows a reference asks for the
//! class of what is there, and follows it once again before it is believed.

use crate::code_objects::Memory;

use super::bytes::{Bytes, text, word};
use super::layout::{FieldList, Layout, ObjectLayout};
use super::method::constant_text;
use super::numbers::Numbers;

/// Fields of a class that are looked at, at most.
const MAX_FIELDS: u32 = 1 << 10;
/// Largest list of them that is believed, in bytes.
const MAX_FIELD_BYTES: usize = 1 << 16;
/// Options of the virtual machine; there are some 1,500.
const MAX_OPTIONS: u64 = 1 << 13;
/// Longest name of an option that is asked for.
const MAX_OPTION_NAME: usize = 40;
/// Largest distance of a field from the start of its object that is believed.
const MAX_OFFSET: u32 = 1 << 12;
/// Longest text that is read, in bytes of the heap.
const MAX_TEXT: usize = 1 << 10;

/// How the heap of a process is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objects {
    reference: Reference,
    class: ClassWord,
    string: u64,
    value: usize,
    coder: usize,
}

/// How fields refer to objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    Address,
    /// By 32 bits.
    Narrow(Narrow),
    /// With colours below the address, as generational ZGC has them.
    Colored,
}

/// How an object says of which class it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClassWord {
    Address,
    Narrow(Narrow),
    /// In the upper bits of its first word.
    InMark(Narrow),
}

/// An address in fewer bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Narrow {
    base: u64,
    shift: u32,
}

impl Narrow {
    /// Its variables are addresses of these two.
    fn read((base, shift): (u64, u64), memory: &impl Memory) -> Option<Self> {
        let shift = Bytes::read(memory, shift, 4).u32(0).filter(|shift| *shift < 32)?;
        Some(Narrow { base: word(memory, base)?, shift })
    }

    fn address(self, number: u64) -> u64 {
        self.base.wrapping_add(number << self.shift)
    }
}

/// Bits below the class in the first word of an object, since version 24. The tables have
/// it as a 64-bit constant, which nothing else needs.
const MARK_BITS: u32 = 42;
/// Where an object's class is, and what is behind that.
const CLASS_AT: usize = 8;

impl Objects {
    /// Reads it; `None` if the virtual machine has not come that far, or does it in a way
    /// that is not known.
    pub(super) fn read(layout: &Layout, memory: &impl Memory) -> Option<Self> {
        let of = layout.objects.as_ref()?;
        let names = [
            "UseCompressedOops",
            "UseCompressedClassPointers",
            "UseCompactObjectHeaders",
            "UseZGC",
            "ZGenerational",
        ];
        let [narrow, narrow_class, compact, zgc, generational] = options(names, of, memory)?;
        let reference = match narrow? {
            true => Reference::Narrow(Narrow::read(of.narrow, memory)?),
            // Where it is no option, all of it is generational.
            false if zgc == Some(true) && of.has_colors && generational != Some(false) => {
                Reference::Colored
            }
            false => Reference::Address,
        };
        let class = match (compact, narrow_class) {
            (Some(true), _) => ClassWord::InMark(Narrow::read(of.narrow_class, memory)?),
            (_, Some(false)) => ClassWord::Address,
            _ => ClassWord::Narrow(Narrow::read(of.narrow_class, memory)?),
        };
        let string = word(memory, of.string_class_at).filter(|class| *class != 0)?;
        let [value, coder] = fields(string, [("value", "[B"), ("coder", "B")], layout, memory)?;
        Some(Objects { reference, class, string, value, coder })
    }

    /// How long the part of an object is that has a reference at an offset.
    pub(super) fn through(&self, offset: usize) -> usize {
        offset + size_of::<u64>()
    }

    /// The address that a reference at an offset in an object leads to; `None` if it leads
    /// nowhere.
    pub(super) fn reference(&self, object: &Bytes, offset: usize) -> Option<u64> {
        let address = match self.reference {
            Reference::Address => object.u64(offset)?,
            Reference::Narrow(narrow) => {
                let number = object.u32(offset).filter(|number| *number != 0)?;
                narrow.address(number.into())
            }
            Reference::Colored => return uncolored(object.u64(offset)?),
        };
        (address != 0).then_some(address)
    }

    /// The address that a variable of the virtual machine leads to.
    pub(super) fn root(&self, variable: u64) -> Option<u64> {
        match self.reference {
            Reference::Colored => uncolored(variable),
            Reference::Address | Reference::Narrow(_) => Some(variable).filter(|to| *to != 0),
        }
    }

    /// The class of an object.
    pub(super) fn class(&self, object: &Bytes) -> Option<u64> {
        Some(match self.class {
            ClassWord::Address => object.u64(CLASS_AT)?,
            ClassWord::Narrow(narrow) => narrow.address(object.u32(CLASS_AT)?.into()),
            ClassWord::InMark(narrow) => narrow.address(object.u64(0)? >> MARK_BITS),
        })
    }

    /// The text of a `String`; `None` if there is none. Longer ones are cut.
    pub(super) fn text(
        &self,
        string: u64,
        of: &ObjectLayout,
        memory: &impl Memory,
    ) -> Option<String> {
        let length = self.through(self.value).max(self.coder + 1);
        let object = Bytes::read(memory, string, length);
        let is_string = self.class(&object) == Some(self.string);
        let array = self.reference(&object, self.value).filter(|_| is_string)?;
        let (length_at, head) = match self.class {
            ClassWord::Address => (CLASS_AT + 8, CLASS_AT + 16),
            ClassWord::Narrow(_) => (CLASS_AT + 4, CLASS_AT + 8),
            ClassWord::InMark(_) => (CLASS_AT, CLASS_AT + 4),
        };
        let header = Bytes::read(memory, array, head);
        let class = self.class(&header)?;
        let start = Bytes::read(memory, class.checked_add(of.class_layout as u64)?, 4);
        let start = start_of_bytes(start.u32(0)?)?;
        let length = usize::try_from(header.i32(length_at)?).ok()?.min(MAX_TEXT);
        let bytes = Bytes::read(memory, array.checked_add(start)?, length);
        let bytes = Some(bytes.all()).filter(|bytes| bytes.len() == length)?;
        match object.u8(self.coder)? {
            0 => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
            1 => {
                let (units, _) = bytes.as_chunks::<2>();
                let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
                Some(String::from_utf16_lossy(&units))
            }
            _ => None,
        }
    }
}

/// The address in a reference that has colours in its lowest 16 bits: the upper four of
/// these, of which one is set, say how far above them the address begins.
fn uncolored(reference: u64) -> Option<u64> {
    let remapped = reference >> 12 & 0xf;
    let address = reference >> (13 + remapped.trailing_zeros().min(4));
    (remapped.is_power_of_two() && address != 0).then_some(address)
}

/// Where the bytes of an array begin, as its class says; `None` if it is one of something
/// else.
fn start_of_bytes(class_layout: u32) -> Option<u64> {
    const ARRAY_OF_BYTES: u32 = 0xc000_0800;
    let is_one = class_layout & 0xff00_ffff == ARRAY_OF_BYTES;
    is_one.then_some(u64::from(class_layout >> 16 & 0xff))
}

/// The values of switches; `None` for those that there are not.
fn options<const N: usize>(
    names: [&str; N],
    of: &ObjectLayout,
    memory: &impl Memory,
) -> Option<[Option<bool>; N]> {
    let list = word(memory, of.options_at)?;
    let count = word(memory, of.options_count_at)?.min(MAX_OPTIONS) as usize;
    let all = Bytes::read(memory, list, count * of.option_size);
    let mut values = [None; N];
    for at in (0..count).map(|index| index * of.option_size) {
        let Some(name) = all.u64(at + of.option_name).filter(|name| *name != 0) else { continue };
        let name = text(memory, name, MAX_OPTION_NAME);
        let Some(index) = names.iter().position(|wanted| name.as_deref() == Some(*wanted)) else {
            continue;
        };
        let value = all.u64(at + of.option_value)?;
        values[index] = Some(Bytes::read(memory, value, 1).u8(0)? != 0);
    }
    Some(values)
}

/// Where fields of a class are in its objects, by names and types.
pub(super) fn fields<const N: usize>(
    class: u64,
    wanted: [(&str, &str); N],
    layout: &Layout,
    memory: &impl Memory,
) -> Option<[usize; N]> {
    let of = layout.objects.as_ref()?;
    let pool = word(memory, class.checked_add(layout.method.class_pool as u64)?)?;
    let list_at = |at: usize| word(memory, class.checked_add(at as u64)?);
    let mut found = [None; N];
    let mut add = |Field { name, signature, offset }: Field| {
        let text = |index| constant_text(pool, index, &layout.method, memory);
        let Some(name) = text(name) else { return };
        let is_it = |wanted: &(&str, &str)| {
            wanted.0 == name && text(signature).as_deref() == Some(wanted.1)
        };
        if let Some(index) = wanted.iter().position(is_it) {
            found[index] = (offset < MAX_OFFSET).then_some(offset as usize);
        }
    };
    match of.fields {
        FieldList::Table { at, count } => {
            let count = Bytes::read(memory, class.checked_add(count as u64)?, 2).u16(0)?;
            let list = list_at(at)?.checked_add(of.short_data as u64)?;
            let list = Bytes::read(memory, list, usize::from(count) * TABLE_ROW);
            (0..usize::from(count)).filter_map(|row| table_field(&list, row)).for_each(&mut add);
        }
        FieldList::Stream { at } => {
            let list = list_at(at)?;
            let length = usize::try_from(Bytes::read(memory, list, 4).i32(0)?).ok()?;
            let list = list.checked_add(of.byte_data as u64)?;
            let list = Bytes::read(memory, list, length.min(MAX_FIELD_BYTES));
            stream_fields(list.all(), layout.numbers).for_each(&mut add);
        }
    }
    let mut offsets = [0; N];
    for (offset, found) in offsets.iter_mut().zip(found) {
        *offset = found?;
    }
    Some(offsets)
}

/// A field of a class: numbers of its name and type, and where it is.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: u16,
    signature: u16,
    offset: u32,
}

/// Bytes of a row of the table: six numbers.
const TABLE_ROW: usize = 12;

/// A row of the table that version 20 still has: flags, name, type, value, and the offset
/// with two bits below it that say that there is one.
fn table_field(table: &Bytes, row: usize) -> Option<Field> {
    let number = |index: usize| table.u16(row * TABLE_ROW + index * 2);
    let offset = u32::from(number(4)?) | u32::from(number(5)?) << 16;
    Some(Field { name: number(1)?, signature: number(2)?, offset: offset >> 2 })
}

/// The fields of the list of later versions: how many are the class's own and how many the
/// virtual machine's; then for each its name, type, offset and flags, and what these say.
fn stream_fields(mut bytes: &[u8], numbers: Numbers) -> impl Iterator<Item = Field> {
    const HAVE_MORE: [u32; 3] = [1 << 0, 1 << 2, 1 << 4];
    let count = numbers.take(&mut bytes).zip(numbers.take(&mut bytes)).map_or(0, |(own, _)| own);
    (0..count.min(MAX_FIELDS)).map_while(move |_| {
        let mut number = || numbers.take(&mut bytes);
        let (name, signature, offset) = (number()?, number()?, number()?);
        let (_access, flags) = (number()?, number()?);
        for _ in HAVE_MORE.iter().filter(|more| flags & **more != 0) {
            number()?;
        }
        let [name, signature] = [name, signature].map(|index| index as u16);
        Some(Field { name, signature, offset })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_below_addresses() {
        let address = 0x4_0000_1238;
        for (index, shift) in [13, 14, 15, 16].into_iter().enumerate() {
            let colored = address << shift | 1 << (12 + index) | 0x550;
            assert_eq!(uncolored(colored), Some(address), "{index}");
        }
        for nothing in [0, 0x1550, 0x4_0000_3550, u64::MAX] {
            assert_eq!(uncolored(nothing), None, "{nothing:#x}");
        }
    }

    #[test]
    fn arrays_of_bytes_say_where_these_begin() {
        assert_eq!(start_of_bytes(0xc010_0800), Some(16));
        assert_eq!(start_of_bytes(0xc018_0800), Some(24));
        // Of characters; of objects; no array.
        for other in [0xc010_0501, 0x8010_0c02, 0x18] {
            assert_eq!(start_of_bytes(other), None, "{other:#x}");
        }
    }

    #[test]
    fn fields_are_listed_one_after_the_other() {
        let field = |name, signature, offset| Field { name, signature, offset };
        let all = |bytes: &[u8]| stream_fields(bytes, Numbers::WithoutZero).collect::<Vec<_>>();
        // Two of its own and one of the machine's; the first has a value, the second a
        // generic type and a group.
        let list = [3, 2, 6, 7, 13, 2, 2, 9, 8, 9, 17, 2, 21, 5, 5, 4, 4, 4, 1, 3];
        assert_eq!(all(&list), [field(5, 6, 12), field(7, 8, 16)]);
        assert_eq!(all(&list[..10]), [field(5, 6, 12)]);
        assert_eq!(all(&[]), []);
        assert!(all(&[0xff; 64]).len() <= 2);
    }
}
