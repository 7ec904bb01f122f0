//! Writes a symbolized profile in the formats of other tools.
//!
//! Output is deterministic: the same profile gives the same bytes.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use rz_profile::model::{EventId, Profile};

mod folded;
pub(crate) mod pprof;
mod speedscope;
mod tree;

/// A format that a profile can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// One line of text per distinct stack, as flame graph tools read it.
    Folded,
    /// The JSON of <https://www.speedscope.app>.
    Speedscope,
    /// The gzipped protobuf of `go tool pprof` and many services.
    Pprof,
}

impl Format {
    /// Every format, in the order in which they are listed to people.
    pub const ALL: [Format; 3] = [Format::Folded, Format::Speedscope, Format::Pprof];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Folded => "folded",
            Format::Speedscope => "speedscope",
            Format::Pprof => "pprof",
        }
    }

    /// What its files' names end in, without the leading dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Folded => "folded",
            Format::Speedscope => "speedscope.json",
            Format::Pprof => "pb.gz",
        }
    }

    /// What reads it, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Format::Folded => "text for flamegraph.pl and inferno",
            Format::Speedscope => "JSON for speedscope.app",
            Format::Pprof => "gzipped protobuf for go tool pprof",
        }
    }

    /// Whether it is no text.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Pprof)
    }

    /// Whether it shows single samples in order of time, and so wants a
    /// profile with [`Profile::timeline`].
    pub fn needs_timeline(self) -> bool {
        matches!(self, Format::Speedscope)
    }

    /// The format that a file of this name would have, by its extension.
    pub fn from_path(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?;
        Format::ALL.into_iter().find(|format| {
            let stem = name.strip_suffix(format.extension());
            stem.is_some_and(|stem| stem.ends_with('.'))
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`Format::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Format::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// What an export should look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Keep threads apart where the format adds them up by default. Only
    /// [`Format::Folded`] does; the others always name the thread.
    pub threads: bool,
    /// Write this event only. Without it [`Format::Pprof`] gets all events,
    /// the others that of the CPU, even if it has no samples: numbers of
    /// another kind and unit are never written unasked.
    pub event: Option<EventId>,
}

/// Why a profile could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
}

/// Writes `profile` to `out` as `format`. The caller buffers `out`.
pub fn export(
    profile: &Profile,
    format: Format,
    options: &ExportOptions,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    match format {
        Format::Folded => folded::write(profile, options, out)?,
        Format::Speedscope => speedscope::write(profile, options.event, out)?,
        Format::Pprof => pprof::write(profile, options.event, out)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_name_and_extension() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            let file = Path::new("dir").join("x").with_extension(format.extension());
            assert_eq!(Format::from_path(&file), Some(format));
        }
        assert_eq!("svg".parse::<Format>(), Err(UnknownFormat("svg".into())));
        for other in ["folded", "x.json", "x.pb", "xfolded", "-"] {
            assert_eq!(Format::from_path(Path::new(other)), None, "{other}");
        }
    }
}
