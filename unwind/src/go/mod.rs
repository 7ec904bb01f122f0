//! Functions of programs that Go's own linker has made, by the tables that these
//! carry for their garbage collector: even stripped ones have them.
//!
//! `.gopclntab` says of each instruction how much its function has on the stack,
//! and which function, file and line it is of. The layout is that of Go 1.18 to
//! 1.27, as `internal/abi/symtab.go` and `runtime/symtab.go` of these describe it. Tests
//! make up files of each layout; the programs that they record are of one version.

mod lines;
mod locate;
mod program;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use lines::{Call, Lines};
pub use locate::{Located, locate, locate_data};
pub(crate) use program::Program;
pub(crate) use rules::Rule;
pub use table::{Function, Table};
