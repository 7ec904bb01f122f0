//! What a trace begins with: when that is, and a number that no other one has.

use rz_format::{Clock, FileHeader};

use crate::host::clocks;

/// The header of a file that begins at a time on the trace's clock, which is now or was a
/// moment ago.
pub(crate) fn new_header(begins_ns: u64) -> FileHeader {
    let now = clocks();
    let ago_ns = now.monotonic_ns.saturating_sub(begins_ns);
    FileHeader::new(trace_id(&now), now.realtime_ns.saturating_sub(ago_ns), begins_ns)
}

/// A number that no other trace has: the kernel's random one, or the time if
/// there is none.
fn trace_id(created: &Clock) -> [u8; 16] {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    let time = u128::from(created.realtime_ns) << 64 | u128::from(created.monotonic_ns);
    u128::from_str_radix(&digits, 16).unwrap_or(time).to_be_bytes()
}
