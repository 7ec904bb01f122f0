//! The option `--to`, which says what to convert to, and up to which time.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use rz_convert::export::Format;
use rz_convert::filter::Moment;

/// A value of `--to`: no name of a format is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// What to convert to.
    Format(Format),
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
        let format = text.parse().map(To::Format);
        format.or_else(|_| text.parse().map(To::Time)).map_err(|_| {
            let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let names = Format::ALL.map(|format| format.name().to_owned());
            error.insert(ContextKind::InvalidArg, ContextValue::String(arg));
            error.insert(ContextKind::InvalidValue, ContextValue::String(text.into_owned()));
            error.insert(ContextKind::ValidValue, ContextValue::Strings(names.into()));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |format: Format| PossibleValue::new(format.name()).help(format.description());
        Some(Box::new(Format::ALL.into_iter().map(value)))
    }
}
