//! The options of where names are taken from.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::error::ErrorKind;
use rz_profile::symbolize::SymbolizeOptions;

/// Where names come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub struct SymbolArgs {
    /// Look here for binaries and debug files first; may be repeated
    #[arg(long = "debug-dir", value_name = "DIR")]
    pub debug_dirs: Vec<PathBuf>,
    /// Fetch binaries and debug files that are not here from debuginfod
    /// servers: from URL, or from those in DEBUGINFOD_URLS. They get to know
    /// the build-ids
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true)]
    pub debuginfod: Option<Option<String>>,
    /// Neither keep names for the next time nor use those that were kept
    /// [default: in RZ_CACHE_DIR, or rz in XDG_CACHE_HOME or ~/.cache; 256 MiB
    /// at most, and 4 GiB of fetched files]
    #[arg(long)]
    no_cache: bool,
    /// Say also what was amiss without costing names
    #[arg(short, long)]
    verbose: bool,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Where to look for binaries and debug files first.
    pub debug_dirs: Vec<PathBuf>,
    /// How to find names.
    pub options: SymbolizeOptions,
    /// Whether to say what was amiss without costing names.
    pub verbose: bool,
}

impl SymbolArgs {
    /// What was asked for, here and in the environment.
    pub fn symbols(&self) -> Result<Symbols, clap::Error> {
        let is_wanted = self.debuginfod.is_some();
        let servers = match &self.debuginfod {
            None => Vec::new(),
            Some(Some(url)) => vec![url.clone()],
            Some(None) => words("DEBUGINFOD_URLS"),
        };
        let mut options = SymbolizeOptions {
            cache_dir: if self.no_cache { None } else { cache_dir() },
            ..SymbolizeOptions::default()
        };
        if let Some(seconds) = words("DEBUGINFOD_TIMEOUT").first().and_then(|s| s.parse().ok()) {
            options.server_timeout = Duration::from_secs(u64::max(seconds, 1));
        }
        let is_no_url = |url: &&String| !["http://", "https://"].iter().any(|s| url.starts_with(s));
        if let Some(other) = servers.iter().find(is_no_url) {
            let message =
                format!("--debuginfod: '{other}' is not the URL of a server (https://…)\n");
            return Err(clap::Error::raw(ErrorKind::InvalidValue, message));
        }
        if is_wanted && servers.is_empty() {
            let message = "--debuginfod: which server? Name it with --debuginfod=URL or in \
                           DEBUGINFOD_URLS\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, message));
        }
        options.servers = servers;
        Ok(Symbols { debug_dirs: self.debug_dirs.clone(), options, verbose: self.verbose })
    }
}

/// The words of a variable of the environment.
fn words(variable: &str) -> Vec<String> {
    let value = env::var(variable).unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

/// Where names are kept; `None` if that is not wanted, or there is no place.
fn cache_dir() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("RZ_CACHE_DIR") {
        return Some(PathBuf::from(dir)).filter(|dir| !dir.as_os_str().is_empty());
    }
    // Relative paths are not valid there.
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(cache?.join("rz"))
}
