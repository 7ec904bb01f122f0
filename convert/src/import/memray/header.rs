//! What a recording begins with.

use std::io::BufRead;

use super::bytes::{Bytes, Stop};

/// From this version on, the paths are there that modules were looked for in.
const WITH_PATHS: u32 = 13;

#[derive(Debug)]
pub(super) struct Header {
    /// As `PY_VERSION_HEX`: `0x030b07f0` is 3.11.7.
    pub(super) python: u32,
    /// Whether stacks of native frames are there.
    pub(super) has_native: bool,
    /// Whether there are sums instead of single allocations.
    pub(super) is_aggregated: bool,
    /// In milliseconds since the Unix epoch.
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) command: String,
    pub(super) pid: u32,
    pub(super) main_thread: u64,
    /// Outermost frames of that thread that are memray's own.
    pub(super) own_frames: u64,
}

impl Header {
    pub(super) fn read(bytes: &mut Bytes<impl BufRead>) -> Result<Header, Stop> {
        // Its name, as which it was recognized.
        bytes.array::<7>()?;
        let version = bytes.u32()?;
        let python = bytes.u32()?;
        let has_native = bytes.u8()? != 0;
        let is_aggregated = match bytes.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Stop::Wrong("it has neither allocations nor their sums")),
        };
        // How many allocations and frames there are.
        bytes.array::<16>()?;
        let (start_ms, end_ms) = (bytes.u64()?, bytes.u64()?);
        let command = bytes.text()?;
        let pid = bytes.u32()?;
        let (main_thread, own_frames) = (bytes.u64()?, bytes.u64()?);
        // Python's allocator, whether its allocations are there, and whether its objects are.
        bytes.array::<3>()?;
        if version >= WITH_PATHS {
            // Of the standard library, then of packages, then all.
            bytes.text()?;
            for _ in 0..2 {
                while !bytes.text()?.is_empty() {}
            }
        }
        Ok(Header {
            python,
            has_native,
            is_aggregated,
            start_ms,
            end_ms,
            command,
            pid,
            main_thread,
            own_frames,
        })
    }

    /// What was run: a script, or the module behind `-m`.
    pub(super) fn program(&self) -> &str {
        // The first is memray.
        let words = || self.command.split_whitespace().skip(1);
        let script = words().find(|word| word.ends_with(".py"));
        let module = || words().skip_while(|word| *word != "-m").nth(1);
        let name = script.or_else(module).unwrap_or("python");
        name.rsplit('/').next().unwrap_or(name)
    }
}
