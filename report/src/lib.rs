//! Selects, compares and renders rz traces.
//!
//! Data flows one way: a [`Profile`](rz_profile::model::Profile) becomes a
//! [`CallTree`](calltree::CallTree), the tree becomes rows ([`top`],
//! [`hotpath`], [`diff`]), and rows become text or SVG. Nothing here knows the
//! command line, prints, or ends the process: every renderer writes to the
//! writer it is given.
#![forbid(unsafe_code)]

pub mod annotate;
pub mod calls;
pub mod calltree;
pub mod change;
pub mod change_color;
pub mod diff;
pub mod diff_flame;
pub mod diff_json;
pub mod diff_markdown;
pub mod diff_notes;
pub mod diff_sums;
mod diff_sums_table;
pub mod diff_table;
pub mod error;
pub mod fail_if;
pub mod flame;
pub mod format;
pub mod header;
pub mod heap;
pub mod histogram;
pub mod hotpath;
pub mod info;
mod legend;
pub mod list;
pub mod matching;
mod merged;
pub mod noise;
pub mod normalize;
pub mod off_cpu;
mod sources;
pub mod stacks;
pub mod stats;
pub mod style;
pub mod summary;
mod sums_table;
pub mod symbols;
pub mod syscalls;
pub mod table;
pub mod threads;
pub mod top;
pub mod tree;
pub mod verdicts;
pub mod view;
pub mod waits;
pub mod wording;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod simulation;
