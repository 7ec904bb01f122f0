//! Texts that the library of inferno makes folded stacks of.

use std::io::{self, BufReader, Seek, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use inferno::collapse::Collapse;
use rz_profile::foreign::InputFormat;
use tempfile::tempfile;

use super::folded::{self, FoldedRoots};
use super::{ImportError, Imported, Input};

/// Makes folded stacks of a text, and a trace of these.
pub(super) fn import(
    mut input: Input,
    mut collapser: impl Collapse,
    format: InputFormat,
    out: &mut dyn Write,
) -> Result<Imported, ImportError> {
    let mut folded = tempfile().map_err(ImportError::Read)?;
    let reader = BufReader::with_capacity(256 << 10, &input.file);
    let damaged = |error| ImportError::Unusable(format!("damaged {format} text: {error}"));
    guarded(|| collapser.collapse(reader, &folded)).map_err(damaged)?;
    folded.rewind().map_err(ImportError::Read)?;
    input.file = folded;
    folded::import(input, Some(FoldedRoots::Function), out)
}

/// inferno asserts what a damaged input does not keep to: that is an error here, and said in
/// one line.
fn guarded(collapse: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // What is said of panics is the whole program's: one at a time.
    static HOOK: Mutex<()> = Mutex::new(());
    let _alone = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(collapse));
    panic::set_hook(hook);
    outcome.unwrap_or_else(|_| Err(io::Error::other("there is no stack where one should be")))
}
