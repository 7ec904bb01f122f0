//! Names and messages of errors.

use crate::errno_table::ERRORS;

/// What calls return inside the kernel to be called again after a signal. No
/// program ever sees them, a trace does.
const RESTARTS: &[(u32, &str, &str)] = &[
    (512, "ERESTARTSYS", "To be restarted if SA_RESTART is set"),
    (513, "ERESTARTNOINTR", "To be restarted"),
    (514, "ERESTARTNOHAND", "To be restarted if no handler"),
    (516, "ERESTART_RESTARTBLOCK", "Interrupted by signal"),
];

/// Whether the kernel calls again, or returns `EINTR`, instead of returning
/// this error.
pub fn is_restart(number: u32) -> bool {
    RESTARTS.iter().any(|error| error.0 == number)
}

/// The name of an error, such as `ENOENT` for 2.
pub fn name(number: u32) -> Option<&'static str> {
    find(number).map(|error| error.1)
}

/// The message of an error, such as `No such file or directory` for 2.
pub fn message(number: u32) -> Option<&'static str> {
    find(number).map(|error| error.2)
}

/// The number of an error with this name.
pub fn number(name: &str) -> Option<u32> {
    Some(ERRORS.iter().chain(RESTARTS).find(|error| error.1 == name)?.0)
}

fn find(number: u32) -> Option<&'static (u32, &'static str, &'static str)> {
    ERRORS.iter().chain(RESTARTS).find(|error| error.0 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names_and_messages() {
        for (number, error, text) in [
            (1, "EPERM", "Operation not permitted"),
            (11, "EAGAIN", "Resource temporarily unavailable"),
            (115, "EINPROGRESS", "Operation now in progress"),
            (133, "EHWPOISON", "Memory page has hardware error"),
            (512, "ERESTARTSYS", "To be restarted if SA_RESTART is set"),
        ] {
            assert_eq!((name(number), message(number)), (Some(error), Some(text)));
        }
        assert_eq!(
            (number("ENOENT"), number("ERESTARTSYS"), number("E")),
            (Some(2), Some(512), None)
        );
        for unknown in [0, 41, 134, 511, 515, u32::MAX] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
        assert!(is_restart(514) && !is_restart(4) && !is_restart(515));
    }
}
