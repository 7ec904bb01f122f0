//! What libbpf says, kept in place of being printed.

use std::cell::RefCell;

use libbpf_rs::{PrintLevel, set_print};

thread_local! {
    /// What libbpf has said on this thread since it was last asked.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what libbpf says, in place of printing it.
pub(crate) fn listen() {
    let level = match log::log_enabled!(log::Level::Debug) {
        true => PrintLevel::Debug,
        false => PrintLevel::Warn,
    };
    set_print(Some((level, |_, text| SAID.with_borrow_mut(|said| said.push_str(&text)))));
}

/// What it has said on this thread since it was last asked.
pub(crate) fn take_said() -> String {
    SAID.take()
}
