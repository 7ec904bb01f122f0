//! Names of what io_uring is asked to do.

use crate::uring_table::OPERATIONS;

/// The name of an operation without `IORING_OP_`, such as `READV` for 1.
pub fn name(operation: u8) -> Option<&'static str> {
    OPERATIONS.get(usize::from(operation)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_names() {
        for (operation, expect) in [(0, "NOP"), (22, "READ"), (48, "SENDMSG_ZC"), (62, "PIPE")] {
            assert_eq!(name(operation), Some(expect));
        }
        assert_eq!(name(255), None);
    }
}
