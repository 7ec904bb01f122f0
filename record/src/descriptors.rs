//! How many files rec may have open at a time.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Allows ourselves as many descriptors as we may.
pub(crate) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::debug!("the limit on open files stays at {soft}: {error}");
    }
}

/// Fails if so many more cannot be had. It asks for them: what is open already, and the
/// limit of the whole machine, count as well.
pub(crate) fn check(count: usize) -> Result<(), Errno> {
    let (some, _) = nix::unistd::pipe()?;
    (0..count).map(|_| nix::unistd::dup(&some)).collect::<Result<Vec<_>, _>>().map(drop)
}
