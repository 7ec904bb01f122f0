//! Computes, compares and renders what rz traces recorded.
//!
//! Data flows one way: a [`Profile`](rz_profile::model::Profile) becomes trees
//! and sums ([`model`]), of which [`views`] are made, and of those of several
//! profiles a [`diff`]; [`render`] is how numbers, tables and colours look, and
//! [`html`] the page that shows a profile in a browser, which [`serve`] may give it, and
//! [`tui`] the view on a terminal.
//! Nothing here knows the command line, prints, or ends the process: every
//! renderer writes to the writer it is given.
#![forbid(unsafe_code)]

pub mod condition;
pub mod diff;
pub mod doctor;
pub mod error;
pub mod fail_if;
pub mod html;
pub mod model;
pub mod render;
pub mod serve;
pub mod sql;
pub mod tui;
pub mod views;

#[cfg(test)]
mod fixture;
