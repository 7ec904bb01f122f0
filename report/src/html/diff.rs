//! The page of a comparison: both call trees as one, and what `--json` says of it.

use std::io::Write;

use rz_profile::model::Execution;
use serde::Serialize;

use super::columns::Column;
use super::names::Naming;
use super::sections::Sections;
use super::stacks::columns_of;
use super::viewer::{DataIn, HEAD, write_viewer};
use crate::diff::Diff;
use crate::diff::change::Verdict;
use crate::diff::fail_if::Checked;
use crate::diff::flame::elsewhere;
use crate::diff::json::write_diff_json;
use crate::error::ReportError;
use crate::model::clean::clean;
use crate::render::wording::wording;

/// What the page has to know first.
#[derive(Debug, Serialize)]
struct Head {
    generator: &'static str,
    /// What both sides are called.
    name: String,
    sides: [String; 2],
    /// How many nodes the tree has.
    nodes: usize,
    /// What a weight of a side is to be multiplied by, to be in `unit`.
    scale: [f64; 2],
    unit: String,
    /// What is compared, for people.
    event: String,
    /// Why there may be nothing.
    none: &'static str,
}

/// Writes the page of a comparison.
///
/// # Errors
/// If it cannot be written.
pub fn write_diff_page(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    checked: &[Checked],
) -> Result<(), ReportError> {
    let sides = [0, 1].map(|side| {
        let runs = &diff.sides[side].runs;
        let more = if runs.len() > 1 { format!(" +{}", runs.len() - 1) } else { String::new() };
        format!("{}{more}", clean(runs[0].name))
    });
    let head = Head {
        generator: concat!("report ", env!("CARGO_PKG_VERSION")),
        name: sides.join(" → "),
        sides,
        nodes: diff.nodes.len(),
        scale: [0, 1].map(|side| diff.scale.value(side, 1.0)),
        unit: diff.scale.unit.to_string(),
        event: clean(diff.event.title()).into_owned(),
        none: wording(Some(diff.event)).none,
    };
    let mut names = Naming::default();
    let mut nodes = Vec::with_capacity(diff.nodes.len());
    // Own weights before and after, and what is said of the change of the total.
    let mut sums: [Column; 3] = Default::default();
    for (node, elsewhere) in diff.nodes.iter().zip(elsewhere(diff)) {
        let how = Execution { inlined: node.inlined, ..Execution::default() };
        nodes.push((node.parent, names.frame((node.symbol, node.kind, how), &diff.symbols)));
        sums[0].push(node.self_[0].weight);
        sums[1].push(node.self_[1].weight);
        sums[2].push(if elsewhere { ELSEWHERE } else { number_of(node.total.verdict) });
    }
    let mut json = Vec::new();
    write_diff_json(&mut json, diff, checked)?;
    let mut sections = Sections::default();
    sections.add_json(HEAD, &serde_json::json!({ "diff": head }))?;
    sections.add_json("names", &names.finish())?;
    sections.add("stacks", &columns_of(nodes.into_iter()));
    sections.add("sums", &sums);
    sections.add_bytes("comparison", json);
    Ok(write_viewer(out, &sections.packed()?, DataIn::Page)?)
}

/// It is gone or new here, and new or gone elsewhere.
const ELSEWHERE: u64 = 5;

fn number_of(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::NoEvidence => 0,
        Verdict::More => 1,
        Verdict::Less => 2,
        Verdict::New => 3,
        Verdict::Gone => 4,
    }
}
