//! What symbolizing has to know of x86-64's instructions.

pub(super) mod plt;
