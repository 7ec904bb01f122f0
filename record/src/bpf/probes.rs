//! The probes at the functions of allocators.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use libbpf_rs::{Link, UprobeMultiOpts, UprobeOpts};
use rustc_hash::FxHashMap;

use super::error::BpfError;
use super::maps::Table;
use super::programs::{Loaded, program_of_probe};
use super::ways::{Allocators, ObjectFile, Ways};
use crate::allocator::{AllocatorFile, Function, What};

/// `MAY_CALL_ANOTHER` in the programs.
const MAY_CALL_ANOTHER: u64 = 0x100;
/// `STEPPED`.
const STEPPED: u64 = 0x200;
/// `ALWAYS_AWAITED`.
const ALWAYS_AWAITED: u64 = 0x400;

/// What sets probes.
pub(super) struct AllocatorProbes<'l> {
    loaded: &'l Loaded,
    way: Way,
}

enum Way {
    /// All probes of a file have one link.
    Sessions,
    /// Each function has a probe, and one more at its end if that matters.
    Pairs,
    /// The same; what a probe is told, its program looks up.
    ProgramsOfTheirOwn { cookies: Table<4, 8>, used: FxHashMap<u64, u32> },
}

/// Probes in a file; dropping them takes them away.
pub(super) struct ProbesInFile {
    _links: Vec<Link>,
}

impl<'l> AllocatorProbes<'l> {
    pub(super) fn new(loaded: &'l Loaded, ways: &Ways) -> Result<Self, BpfError> {
        let way = match (ways.allocators, ways.object) {
            (Allocators::Sessions, _) => Way::Sessions,
            (Allocators::Pairs, ObjectFile::Current) => Way::Pairs,
            (Allocators::Pairs, ObjectFile::Old) => Way::ProgramsOfTheirOwn {
                cookies: Table::of(loaded, "probe_cookies")?,
                used: FxHashMap::default(),
            },
        };
        Ok(AllocatorProbes { loaded, way })
    }

    /// Sets probes at the functions in `file`, in one process or in all.
    pub(super) fn attach(
        &mut self,
        file: &AllocatorFile,
        pid: Option<u32>,
    ) -> io::Result<ProbesInFile> {
        let pid = pid.map_or(-1, |pid| pid as i32);
        let path = file.opened.as_path();
        let links = match &self.way {
            Way::Sessions => vec![self.session(path, pid, &file.functions)?],
            Way::Pairs | Way::ProgramsOfTheirOwn { .. } => {
                let mut links = Vec::new();
                for function in &file.functions {
                    self.pair(path, pid, function, &mut links)?;
                }
                links
            }
        };
        Ok(ProbesInFile { _links: links })
    }

    fn session(&self, path: &Path, pid: i32, functions: &[Function]) -> io::Result<Link> {
        let options = UprobeMultiOpts {
            offsets: functions.iter().map(|function| function.file_offset as usize).collect(),
            cookies: functions.iter().map(cookie).collect(),
            session: true,
            ..UprobeMultiOpts::default()
        };
        let program = self.loaded.program("on_allocator").map_err(io::Error::other)?;
        program.attach_uprobe_multi_with_opts(pid, path, "", options).map_err(io::Error::other)
    }

    fn pair(
        &mut self,
        path: &Path,
        pid: i32,
        function: &Function,
        links: &mut Vec<Link>,
    ) -> io::Result<()> {
        let (has_end, cookie) = (has_end(function), cookie_in_pair(function));
        let mut attach = |name: &str, cookie, retprobe| {
            let options = UprobeOpts { cookie, retprobe, ..UprobeOpts::default() };
            let program = self.loaded.program(name).map_err(io::Error::other)?;
            let offset = function.file_offset as usize;
            let link = program.attach_uprobe_with_opts(pid, path, offset, options);
            links.push(link.map_err(io::Error::other)?);
            Ok::<_, io::Error>(())
        };
        // First the end: a call that is under way then is not awaited.
        if has_end {
            attach("on_end_probed", 0, true)?;
        }
        match &mut self.way {
            Way::Sessions | Way::Pairs => attach("on_begin_probed", cookie, false),
            Way::ProgramsOfTheirOwn { cookies, used } => {
                let next = used.len() as u32;
                let probe = *used.entry(cookie).or_insert(next);
                cookies.set(probe.to_ne_bytes(), &cookie.to_ne_bytes())?;
                attach(&program_of_probe(probe), 0, false)
            }
        }
    }
}

/// How many different probes of pairs there are at beginnings of functions.
pub(super) fn count<'f>(functions: impl Iterator<Item = &'f Function>) -> u32 {
    functions.map(cookie_in_pair).collect::<BTreeSet<u64>>().len() as u32
}

/// Whether a function of a pair has a probe at its end: of one that frees,
/// nothing is learnt there, unless it calls others that are watched.
fn has_end(function: &Function) -> bool {
    function.what != What::Free || function.may_call_another
}

fn cookie_in_pair(function: &Function) -> u64 {
    cookie(function) | if has_end(function) { ALWAYS_AWAITED } else { 0 }
}

/// What the program gets to know of a probe.
fn cookie(function: &Function) -> u64 {
    let &Function { is_stepped, what, own_code, may_call_another, .. } = function;
    let nested = if may_call_another { MAY_CALL_ANOTHER } else { 0 };
    let stepped = if is_stepped { STEPPED } else { 0 };
    // 24 bits each.
    let [back, ahead] = [own_code.0, own_code.1].map(|bytes| u64::from(bytes.min(0xff_ffff)));
    u64::from(what as u8) | nested | stepped | back << 16 | ahead << 40
}
