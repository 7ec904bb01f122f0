//! Tells a difference from chance: pure functions of numbers, which know
//! nothing of profiles.
//!
//! ```text
//! blocks or runs ─► dispersion ─► Rate ─┬─► probability ─► false discovery rate
//!                                       ├─► interval
//!                                       └─► smallest difference to be seen
//! ```

pub mod dispersion;
pub mod distributions;
pub mod fdr;
pub mod permutation;
pub mod rates;
