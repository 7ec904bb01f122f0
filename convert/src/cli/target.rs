//! The option `--to`, which says what to convert to, and up to which time.

use std::ffi::OsStr;
use std::path::Path;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use rz_convert::export::Format;
use rz_convert::filter::Moment;

/// What the output is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A file of another tool.
    Format(Format),
    /// A trace.
    Rz,
}

/// Name and extension of [`Target::Rz`].
pub const RZ: &str = "rz";
/// What it is for.
pub const RZ_DESCRIPTION: &str = "one trace of all that are given";

impl Target {
    /// What a file of this name would be, by its extension.
    pub fn from_path(path: &Path) -> Option<Target> {
        if path.extension().is_some_and(|extension| extension == RZ) {
            return Some(Target::Rz);
        }
        Format::from_path(path).map(Target::Format)
    }

    fn from_name(name: &str) -> Option<Target> {
        if name == RZ { Some(Target::Rz) } else { name.parse().ok().map(Target::Format) }
    }

    /// Names of all targets, and what they are.
    fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        let formats = Format::ALL.into_iter().map(|format| (format.name(), format.description()));
        formats.chain([(RZ, RZ_DESCRIPTION)])
    }
}

/// A value of `--to`: no name of a format is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// What to convert to.
    Target(Target),
    /// The end of the window of time.
    Time(Moment),
}

/// Parses values of `--to`; help lists the formats.
#[derive(Debug, Clone, Copy)]
pub struct ToParser;

impl TypedValueParser for ToParser {
    type Value = To;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<To, clap::Error> {
        let text = value.to_string_lossy();
        let target = Target::from_name(&text).map(To::Target);
        target.or_else(|| text.parse().ok().map(To::Time)).ok_or_else(|| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let names: Vec<String> = Target::all().map(|(name, _)| name.to_owned()).collect();
            error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
            error.insert(ContextKind::InvalidValue, ContextValue::String(text.into_owned()));
            error.insert(ContextKind::ValidValue, ContextValue::Strings(names));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Target::all().map(|(name, what)| PossibleValue::new(name).help(what))))
    }
}
