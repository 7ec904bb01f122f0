//! `--to parquet`: tables of many traces.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rz_command::symbols::Symbols;

/// Which traces to write tables of.
#[derive(Debug, PartialEq, Eq)]
pub struct TablesConfig {
    /// The traces.
    pub inputs: Vec<PathBuf>,
    /// The directory.
    pub output: PathBuf,
    /// Labels of all traces.
    pub labels: BTreeMap<String, String>,
    /// Where names come from.
    pub symbols: Symbols,
    /// Where to look for source maps first.
    pub source_maps: Vec<PathBuf>,
    /// Say nothing but errors.
    pub quiet: bool,
}

/// Labels by their names.
pub(super) fn labels_of(texts: Vec<String>) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for label in texts {
        let pair = label.split_once('=').filter(|(name, _)| !name.is_empty());
        let Some((name, text)) = pair else {
            return Err(format!("--label '{label}' is not NAME=TEXT, as --to parquet has it"));
        };
        labels.insert(name.to_owned(), text.to_owned());
    }
    Ok(labels)
}
