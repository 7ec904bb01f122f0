//! Writes the small trace that is kept as a golden vector:
//! `cargo run -p rz-format --example write_vector > format-spec/vectors/vM.N/small.rz`.

use std::io::Write;

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(&common::small_trace())
}
