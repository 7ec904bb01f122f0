//! Names of runtimes, as people write them.

use std::str::FromStr;

use rz_format::Runtime;

/// A runtime that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRuntime {
    runtime: Runtime,
    text: String,
}

/// No runtime is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no runtime of this name is known: write python, javascript, java or go")]
pub struct RuntimeError;

impl FromStr for NamedRuntime {
    type Err = RuntimeError;

    fn from_str(text: &str) -> Result<Self, RuntimeError> {
        let runtime = match text.to_lowercase().as_str() {
            "python" | "cpython" | "py" => Runtime::CPython,
            "javascript" | "js" | "node" | "v8" => Runtime::V8,
            "java" | "jvm" | "hotspot" => Runtime::HotSpot,
            "go" | "golang" => Runtime::Go,
            _ => return Err(RuntimeError),
        };
        Ok(NamedRuntime { runtime, text: text.to_owned() })
    }
}

impl NamedRuntime {
    /// Whether it is this one.
    pub(crate) fn is(&self, runtime: Runtime) -> bool {
        self.runtime == runtime
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}
