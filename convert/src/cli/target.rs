//! The option `--to`, which says what to convert to, and up to which time.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
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
        format.or_else(|_| text.parse().map(To::Time)).map_err(|error| {
            let arg = arg.map(ToString::to_string).unwrap_or_default();
            let formats = Format::ALL.map(Format::name).join(", ");
            let message =
                format!("'{text}' for '{arg}' is no format ({formats}) and no time: {error}\n");
            clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |format: Format| PossibleValue::new(format.name()).help(format.description());
        Some(Box::new(Format::ALL.into_iter().map(value)))
    }
}
