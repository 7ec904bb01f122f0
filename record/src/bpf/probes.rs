//! The program that runs at the functions of allocators: aya cannot load it as
//! what it is, so this does, with the maps that aya has made.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use aya::maps::{Map, MapData};
use aya::{Btf, Ebpf};
use aya_obj::Object;

use super::programs::OBJECT;
use super::sys::{self, Places};
use crate::allocator::{AllocatorFile, Function};

const PROGRAM: &str = "on_allocator";
/// `MAY_CALL_ANOTHER` in the programs.
const MAY_CALL_ANOTHER: u64 = 0x100;
/// `STEPPED`.
const STEPPED: u64 = 0x200;

/// The program, ready to be attached.
pub(super) struct AllocatorProbes {
    program: OwnedFd,
}

/// Probes in a file; closing it takes them away.
pub(super) struct ProbesInFile {
    _link: OwnedFd,
}

impl AllocatorProbes {
    /// Loads the program. Call it while `ebpf` still has all of its maps.
    pub(super) fn load(ebpf: &Ebpf, kernel: &Btf) -> io::Result<Self> {
        let mut object = Object::parse(OBJECT).map_err(io::Error::other)?;
        let features = aya::features().btf().ok_or(io::ErrorKind::Unsupported)?;
        let types = object.fixup_and_sanitize_btf(features).map_err(io::Error::other)?;
        let types = sys::load_types(&types.ok_or(io::ErrorKind::InvalidData)?.to_bytes())?;
        object.relocate_btf(kernel).map_err(io::Error::other)?;

        let mut maps: Vec<(String, RawFd, aya_obj::Map)> = Vec::new();
        for (name, map) in std::mem::take(&mut object.maps) {
            let made = ebpf.map(&name).and_then(data_of).ok_or(io::ErrorKind::NotFound)?;
            maps.push((name, made.fd().as_fd().as_raw_fd(), map));
        }
        let sections: HashSet<usize> =
            object.functions.keys().map(|(section, _)| *section).collect();
        let maps = maps.iter().map(|(name, fd, map)| (name.as_str(), *fd, map));
        object.relocate_maps(maps, &sections).map_err(io::Error::other)?;
        object.relocate_calls(&sections).map_err(io::Error::other)?;

        let program = object.programs.get(PROGRAM).ok_or(io::ErrorKind::NotFound)?;
        let function =
            object.functions.get(&program.function_key()).ok_or(io::ErrorKind::NotFound)?;
        let program = sys::load_session_program(function, &program.license, types.as_fd())?;
        Ok(AllocatorProbes { program })
    }

    /// Sets probes at the functions in `file`, in one process or in all.
    pub(super) fn attach(
        &self,
        file: &AllocatorFile,
        pid: Option<u32>,
    ) -> io::Result<ProbesInFile> {
        let path = CString::new(file.opened.as_os_str().as_bytes())?;
        let mut places = Places::default();
        for function in &file.functions {
            let &Function { file_offset, is_stepped, what, own_code, may_call_another } = function;
            places.offsets.push(file_offset);
            let nested = if may_call_another { MAY_CALL_ANOTHER } else { 0 };
            let stepped = if is_stepped { STEPPED } else { 0 };
            // 24 bits each.
            let [back, ahead] =
                [own_code.0, own_code.1].map(|bytes| u64::from(bytes.min(0xff_ffff)));
            let own = back << 16 | ahead << 40;
            places.cookies.push(u64::from(what as u8) | nested | stepped | own);
        }
        sys::attach_session(self.program.as_fd(), &path, &places, pid)
            .map(|link| ProbesInFile { _link: link })
    }
}

/// What a map is made of, for the kinds that the programs use.
fn data_of(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::Unsupported(data) => Some(data),
        _ => None,
    }
}
