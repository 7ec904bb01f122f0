//! Functions whose calls were recorded.

pub use rz_format::ValueKind;

use super::LocationId;
use crate::symbolize::demangle::demangle;

/// A function whose calls were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedFunction {
    /// Its name, as people read it.
    pub name: String,
    /// Path of its file on the recording host.
    pub path: String,
    /// Where it begins, in the file's own numbering.
    pub address: u64,
    /// What its arguments are, as far as that was said.
    pub arguments: Vec<ValueKind>,
    /// What it returns.
    pub result: ValueKind,
    /// Where it begins, if its file was found.
    pub location: Option<LocationId>,
}

impl From<&rz_format::Function> for ProbedFunction {
    fn from(function: &rz_format::Function) -> Self {
        ProbedFunction {
            name: demangle(&function.name).into_owned(),
            path: function.path.clone(),
            address: function.address,
            arguments: function.arguments.iter().map(|kind| (*kind).into()).collect(),
            result: function.result.into(),
            location: None,
        }
    }
}

impl ProbedFunction {
    /// The name of its file without folders.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}
