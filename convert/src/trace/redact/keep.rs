//! What is taken out of a trace, and what may stay.

use std::fmt;
use std::str::FromStr;

/// Something that tells whose machine it was, or what was done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitive {
    /// The host's name, its boot and its build of the kernel.
    Host,
    /// Names of users in paths of their folders.
    Users,
    /// Paths outside of the system's folders.
    Paths,
    /// Names of processes and threads, unless they are those of the system's
    /// programs.
    Names,
    /// Arguments of processes and of the recorder.
    Args,
    /// The environment: values, and names that are not usual.
    Env,
    /// Socket addresses.
    Sockets,
    /// What was copied of the memory that system calls were given.
    Data,
    /// What merged traces are called.
    Labels,
    /// Notes, unless they consist of nothing but words of rz.
    Notes,
}

impl Sensitive {
    /// All there are.
    pub const ALL: [Sensitive; 10] = [
        Sensitive::Host,
        Sensitive::Users,
        Sensitive::Paths,
        Sensitive::Names,
        Sensitive::Args,
        Sensitive::Env,
        Sensitive::Sockets,
        Sensitive::Data,
        Sensitive::Labels,
        Sensitive::Notes,
    ];

    /// Name on command lines.
    pub fn name(self) -> &'static str {
        self.texts().0
    }

    /// What it is, for people.
    pub fn description(self) -> &'static str {
        self.texts().1
    }

    /// What is in its place.
    pub(super) fn replacement(self) -> &'static str {
        self.texts().2
    }

    fn texts(self) -> (&'static str, &'static str, &'static str) {
        const PSEUDONYMS: &str = "pseudonyms";
        match self {
            Sensitive::Host => ("host", "facts of hosts", "pseudonyms, or left out"),
            Sensitive::Users => ("users", "user names", PSEUDONYMS),
            Sensitive::Paths => ("paths", "paths", "pseudonyms of their parts"),
            Sensitive::Names => ("names", "process and thread names", PSEUDONYMS),
            Sensitive::Args => ("args", "arguments", "left out"),
            Sensitive::Env => ("env", "environment variables", "pseudonyms, values left out"),
            Sensitive::Sockets => ("sockets", "socket addresses", PSEUDONYMS),
            Sensitive::Data => ("data", "data of system calls", "left out"),
            Sensitive::Labels => ("labels", "labels", PSEUDONYMS),
            Sensitive::Notes => ("notes", "notes", "left out"),
        }
    }
}

impl FromStr for Sensitive {
    type Err = UnknownSensitive;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Sensitive::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| UnknownSensitive(name.to_owned()))
    }
}

/// A name that is none of [`Sensitive::name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSensitive(String);

impl fmt::Display for UnknownSensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Sensitive::ALL.map(Sensitive::name).join(", ");
        write!(f, "'{}' is not one of {names}", self.0)
    }
}

impl std::error::Error for UnknownSensitive {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for kind in Sensitive::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "path".parse::<Sensitive>().unwrap_err().to_string();
        assert!(error.starts_with("'path' is not one of host, users, paths, "), "{error}");
    }
}
