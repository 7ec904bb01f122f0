//! How numbers, names, tables and colours look.

pub mod change_color;
pub(crate) mod escape;
pub mod format;
pub mod histogram;
pub mod legend;
pub mod style;
pub(crate) mod sums_table;
pub mod table;
pub(crate) mod title;
pub mod wording;
