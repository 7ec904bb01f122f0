//! The view on a terminal: the tables of the other views in tabs, to sort, search and go into.
//!
//! ```text
//! profile ─► page of a tab ─► app (what is chosen) ─► draw ─► terminal
//!                ▲               │ wanted: tab, time, function, thread
//!                └───────────────┘
//! ```
//!
//! Nothing here reads a trace or asks a terminal: `report` does, and hands keys and pages in.

pub mod app;
mod draw;
mod flame;
pub mod page;
#[cfg(test)]
mod tests;

pub use draw::draw;
