//! Writes a symbolized profile in the formats of other tools.
//!
//! Output is deterministic: the same profile gives the same bytes.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use rz_profile::model::{EventId, Profile};

mod about;
mod chrome;
mod csv;
mod dot;
mod firefox;
mod folded;
mod layer;
mod lcov;
mod numbers;
mod otlp;
mod perfetto;
pub(crate) mod pprof;
mod seen;
mod speedscope;
mod strings;
mod timed;
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
    /// The gzipped JSON of <https://profiler.firefox.com>.
    Firefox,
    /// Trace events, as `chrome://tracing`, Perfetto and speedscope read them.
    Chrome,
    /// The protobuf of <https://ui.perfetto.dev>.
    Perfetto,
    /// A call graph for Graphviz.
    Dot,
    /// A table, a row for each event, thread and stack.
    Csv,
    /// Profiles of OpenTelemetry, which are not stable yet.
    Otlp,
    /// Lines that were seen, as tools for coverage read them.
    Lcov,
}

/// What there is to say about a format.
struct Facts {
    name: &'static str,
    /// Without the leading dot.
    extension: &'static str,
    description: &'static str,
    is_binary: bool,
    needs_timeline: bool,
    takes_all_events: bool,
    tells_filter: bool,
}

impl Format {
    /// Every format, in the order in which they are listed to people.
    pub const ALL: [Format; 10] = [
        Format::Folded,
        Format::Speedscope,
        Format::Pprof,
        Format::Firefox,
        Format::Chrome,
        Format::Perfetto,
        Format::Dot,
        Format::Csv,
        Format::Otlp,
        Format::Lcov,
    ];

    fn facts(self) -> Facts {
        match self {
            Format::Folded => Facts {
                name: "folded",
                extension: "folded",
                description: "text for flamegraph.pl and inferno",
                is_binary: false,
                needs_timeline: false,
                takes_all_events: false,
                tells_filter: false,
            },
            Format::Speedscope => Facts {
                name: "speedscope",
                extension: "speedscope.json",
                description: "JSON for speedscope.app",
                is_binary: false,
                needs_timeline: true,
                takes_all_events: false,
                tells_filter: true,
            },
            Format::Pprof => Facts {
                name: "pprof",
                extension: "pb.gz",
                description: "gzipped protobuf for go tool pprof",
                is_binary: true,
                needs_timeline: false,
                takes_all_events: true,
                tells_filter: true,
            },
            Format::Firefox => Facts {
                name: "firefox",
                extension: "firefox.json.gz",
                description: "gzipped JSON for profiler.firefox.com, with waits and calls as markers",
                is_binary: true,
                needs_timeline: true,
                takes_all_events: false,
                tells_filter: true,
            },
            Format::Chrome => Facts {
                name: "chrome",
                extension: "chrome.json",
                description: "trace events for Perfetto, chrome://tracing and speedscope",
                is_binary: false,
                needs_timeline: true,
                takes_all_events: false,
                tells_filter: true,
            },
            Format::Perfetto => Facts {
                name: "perfetto",
                extension: "pftrace",
                description: "protobuf for ui.perfetto.dev, from version 58 on",
                is_binary: true,
                needs_timeline: true,
                takes_all_events: true,
                tells_filter: true,
            },
            Format::Dot => Facts {
                name: "dot",
                extension: "dot",
                description: "call graph for Graphviz, as gprof2dot draws it",
                is_binary: false,
                needs_timeline: false,
                takes_all_events: false,
                tells_filter: true,
            },
            Format::Csv => Facts {
                name: "csv",
                extension: "csv",
                description: "table with a row for each event, thread and stack",
                is_binary: false,
                needs_timeline: false,
                takes_all_events: true,
                tells_filter: false,
            },
            Format::Otlp => Facts {
                name: "otlp",
                extension: "otlp.pb",
                description: "profiles of OpenTelemetry; unstable, as their format is",
                is_binary: true,
                needs_timeline: false,
                takes_all_events: true,
                tells_filter: false,
            },
            Format::Lcov => Facts {
                name: "lcov",
                extension: "info",
                description: "lines that were seen in samples, for genhtml and editors",
                is_binary: false,
                needs_timeline: false,
                takes_all_events: false,
                tells_filter: false,
            },
        }
    }

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What its files' names end in, without the leading dot.
    pub fn extension(self) -> &'static str {
        self.facts().extension
    }

    /// What reads it, in a few words.
    pub fn description(self) -> &'static str {
        self.facts().description
    }

    /// Whether it is no text.
    pub fn is_binary(self) -> bool {
        self.facts().is_binary
    }

    /// Whether it shows single samples in order of time, and so wants a
    /// profile with [`Profile::timeline`].
    pub fn needs_timeline(self) -> bool {
        self.facts().needs_timeline
    }

    /// Whether all events are written unless one is asked for.
    pub fn takes_all_events(self) -> bool {
        self.facts().takes_all_events
    }

    /// Whether it has a place for what a filter selected.
    pub fn tells_filter(self) -> bool {
        self.facts().tells_filter
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
    /// Write this event only. Without it, formats that tell events apart get all
    /// ([`Format::takes_all_events`]), the others that of the CPU, even if it has
    /// no samples: numbers of another kind and unit are never written unasked.
    pub event: Option<EventId>,
}

/// Why a profile could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Write(#[from] io::Error),
    /// The format shows time, and the event is of something else.
    #[error(
        "{event} counts {unit}, and this format shows time: choose another event with --event, or \
         --to csv, pprof or speedscope"
    )]
    NotTime {
        /// The event's name.
        event: String,
        /// What it counts.
        unit: &'static str,
    },
}

impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        ExportError::Write(error.into())
    }
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
        Format::Firefox => firefox::write(profile, options.event, out)?,
        Format::Chrome => chrome::write(profile, options.event, out)?,
        Format::Perfetto => perfetto::write(profile, options.event, out)?,
        Format::Dot => dot::write(profile, options.event, out)?,
        Format::Csv => csv::write(profile, options.event, out)?,
        Format::Otlp => otlp::write(profile, options.event, out)?,
        Format::Lcov => lcov::write(profile, options.event, out)?,
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
