//! The option `--to`, which says what to convert to, and up to which time.

use std::ffi::OsStr;
use std::path::Path;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use rz_convert::export::Format;
use rz_profile::filter::Moment;

/// What the output is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A file of another tool.
    Format(Format),
    /// A trace.
    Rz,
    /// Tables, in a directory.
    Tables,
}

/// Name and extension of [`Target::Rz`].
pub const RZ: &str = "rz";
/// What it is for.
pub const RZ_DESCRIPTION: &str =
    "one trace of all that are given, or of what another tool recorded; see also --embed, --redact";

/// Name of [`Target::Tables`].
pub const PARQUET: &str = "parquet";
/// What it is for.
pub const PARQUET_DESCRIPTION: &str =
    "tables of all traces that are given, in a directory, for SQL; see docs/FLEET.md";

impl Target {
    /// What a file of this name would be, by its extension.
    pub fn from_path(path: &Path) -> Option<Target> {
        if path.extension().is_some_and(|extension| extension == RZ) {
            return Some(Target::Rz);
        }
        Format::from_path(path).map(Target::Format)
    }

    fn from_name(name: &str) -> Option<Target> {
        match name {
            RZ => Some(Target::Rz),
            PARQUET => Some(Target::Tables),
            name => name.parse().ok().map(Target::Format),
        }
    }

    /// Names of all targets, and what they are.
    fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        let formats = Format::ALL.into_iter().map(|format| (format.name(), format.description()));
        formats.chain([(RZ, RZ_DESCRIPTION), (PARQUET, PARQUET_DESCRIPTION)])
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
        if let Some(target) = Target::from_name(&text) {
            return Ok(To::Target(target));
        }
        text.parse().map(To::Time).map_err(|error| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let names: Vec<&str> = Target::all().map(|(name, _)| name).collect();
            let names = names.join(", ");
            let message =
                format!("'{text}' for '{arg}' is no format ({names}) and no time: {error}\n");
            clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Target::all().map(|(name, what)| PossibleValue::new(name).help(what))))
    }
}
