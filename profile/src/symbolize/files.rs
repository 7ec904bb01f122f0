//! The files that a module's names are taken from.

use std::path::PathBuf;

use object::{Object, ObjectSection};

use super::ModuleRequest;
use super::debuginfod::{Debuginfod, Kind};
use super::{dwarf, find};
use crate::mapped_file::MappedFile;

/// Bytes of a symbol table that takes a while to read.
const LARGE_TABLE: u64 = 1 << 20;

/// The files of one module, all of the recorded build.
pub(super) struct Files {
    /// The module's own file, or its debug file if that is all there is.
    pub(super) binary: MappedFile,
    /// Whether `binary` is a debug file, which has no code and no segments.
    pub(super) is_debug_file: bool,
    /// The separate debug file.
    pub(super) debug: Option<MappedFile>,
    /// The file that `dwz` moved shared debug information to.
    pub(super) shared: Option<MappedFile>,
    /// The package of split debug information.
    pub(super) package: Option<MappedFile>,
    /// What is missing.
    pub(super) missing: Option<String>,
}

impl Files {
    /// Finds the files on this machine, and what is not here on servers if
    /// there are any.
    ///
    /// Fails with the cause, as the second half of a sentence, if there is
    /// neither the module's file nor a debug file that is enough.
    pub(super) fn find(
        request: &ModuleRequest,
        servers: Option<&Debuginfod>,
    ) -> Result<Self, String> {
        let fetch = |build_id: &[u8], kind| servers?.fetch(build_id, kind);
        let (binary_file, is_debug_file) = find_main(request, servers)?;
        let binary = find::parse(&binary_file)?;
        let debug = match dwarf::has_debug_info(&binary) {
            true => None,
            false => find::find_debug_file(request, &binary_file, &binary)
                .or_else(|| fetch(find::build_id(&binary).ok()?, Kind::DebugInfo)),
        };
        let info_file = debug.as_ref().unwrap_or(&binary_file);
        let info = find::parse(info_file)?;
        let (mut shared, mut missing) = (None, None);
        // A stripped file may still name the shared part of what it lost.
        if dwarf::has_debug_info(&info) {
            match find::find_supplementary_file(request, info_file.path(), &info) {
                Ok(found) => shared = found,
                Err((name, build_id)) => {
                    shared = fetch(build_id, Kind::DebugInfo);
                    let name = name.display();
                    missing =
                        shared.is_none().then(|| format!("its shared part {name} was not found"));
                }
            }
        }
        let debug_path = debug.as_ref().map(MappedFile::path);
        let package = find::find_package(request, binary_file.path(), debug_path);
        Ok(Files { binary: binary_file, is_debug_file, debug, shared, package, missing })
    }

    /// The file that has the debug information, if any has.
    pub(super) fn info(&self) -> &MappedFile {
        self.debug.as_ref().unwrap_or(&self.binary)
    }

    /// All of the files.
    pub(super) fn all(&self) -> impl Iterator<Item = &MappedFile> {
        let others = [&self.debug, &self.shared, &self.package];
        std::iter::once(&self.binary).chain(others.into_iter().flatten())
    }

    /// Whether there is so much to read that names are worth being kept.
    pub(super) fn are_large(&self) -> bool {
        let is_large = |file: &MappedFile| {
            find::parse(file).is_ok_and(|object| {
                let symbols = object.section_by_name(".symtab").map_or(0, |s| s.size());
                symbols > LARGE_TABLE || dwarf::has_debug_info(&object)
            })
        };
        is_large(&self.binary) || self.debug.as_ref().is_some_and(is_large)
    }

    /// Directories in which split debug information may be.
    pub(super) fn split_dirs(&self, request: &ModuleRequest) -> Vec<PathBuf> {
        let beside = self.all().filter_map(|file| file.path().parent()).map(PathBuf::from);
        let mut dirs: Vec<PathBuf> = request.debug_dirs.iter().cloned().chain(beside).collect();
        dirs.dedup();
        dirs
    }
}

/// Finds the module's file, or its debug file alone.
fn find_main(
    request: &ModuleRequest,
    servers: Option<&Debuginfod>,
) -> Result<(MappedFile, bool), String> {
    let cause = match find::find_binary(request) {
        Ok(file) => return Ok((file, false)),
        Err(cause) => cause,
    };
    let fetch = |kind| servers?.fetch(request.build_id, kind);
    if !request.segments.is_empty()
        && let Some(file) = find::find_debug_file_alone(request).or_else(|| fetch(Kind::DebugInfo))
    {
        return Ok((file, true));
    }
    fetch(Kind::Executable).map(|file| (file, false)).ok_or(cause)
}
