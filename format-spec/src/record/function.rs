//! Functions of programs whose calls were recorded.

use bincode::{Decode, Encode};

use crate::codes::coded;

/// What an argument of a function is, or its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// An address, or something that is not known.
    #[default]
    Pointer,
    /// A signed integer of 32 bits.
    Int,
    /// An unsigned integer of 32 bits.
    UnsignedInt,
    /// A signed integer of 64 bits.
    Long,
    /// An unsigned integer of 64 bits.
    UnsignedLong,
    /// The address of a text that ends with a zero.
    Text,
    /// One byte: whether something is so.
    Bool,
    /// One byte: a character.
    Char,
    /// There is none.
    Nothing,
    /// A kind that this crate does not know.
    Unknown,
}

coded! {
    ValueKind: u8,
    0 => Pointer,
    1 => Int,
    2 => UnsignedInt,
    3 => Long,
    4 => UnsignedLong,
    5 => Text,
    6 => Bool,
    7 => Char,
    8 => Nothing,
}

/// A function whose calls were recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Function {
    /// Number that calls and totals refer to.
    pub number: u32,
    /// Path of its file on the recording host.
    pub path: String,
    /// Where it begins, in the file's own numbering (`p_vaddr`).
    pub address: u64,
    /// The linker's name for it.
    pub name: String,
    /// What its arguments are: [`ValueKind`]s as numbers, of those that are known; only
    /// [`ValueKind::Nothing`] if it takes none.
    pub arguments: Vec<u8>,
    /// What it returns: a [`ValueKind`] as a number.
    pub result: u8,
}
