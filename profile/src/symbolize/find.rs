//! Finds the files that a module's names can be taken from, and makes sure
//! that each is the right build.
//!
//! Only this machine is searched here; see [`super::files`] for what is done
//! when nothing is found.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::{FileKind, Object};
use rz_unwind::{identity, is_checksum};

use super::ModuleRequest;
use super::segments::Segments;
use crate::mapped_file::MappedFile;

/// Where distributions put separate debug files.
const SYSTEM_DEBUG_DIR: &str = "/usr/lib/debug";

/// Finds the module's own file.
///
/// Fails with the cause, as the second half of a sentence, if no candidate is
/// there or none is what was recorded.
pub fn find_binary(request: &ModuleRequest) -> Result<MappedFile, String> {
    let mut cause = None;
    for path in binary_candidates(request) {
        // The note begins with the module's path.
        let is_module = path == request.path;
        let name = if is_module { "the file there".into() } else { path.display().to_string() };
        let rejected = match MappedFile::open(&path) {
            Ok(file) => match check_binary(&file, &name, request) {
                Ok(()) => return Ok(file),
                Err(rejected) => rejected,
            },
            Err(error) if is_absent(&error) => continue,
            Err(error) => format!("{name} cannot be read: {error}"),
        };
        cause.get_or_insert(rejected);
    }
    Err(cause.unwrap_or_else(|| "not found on this machine".to_string()))
}

/// Finds the separate debug file of a binary, if it has one here: by build-id,
/// or by the name and checksum in `.gnu_debuglink`.
pub(super) fn find_debug_file(
    request: &ModuleRequest,
    binary: &MappedFile,
    object: &object::File,
) -> Option<MappedFile> {
    let build_id = build_id(object).ok()?;
    let link = object.gnu_debuglink().ok().flatten();
    let mut candidates = Vec::new();
    candidates
        .extend(all_debug_dirs(request).filter_map(|dir| Some(by_build_id(dir, build_id)?.1)));
    if let Some(name) = link.and_then(|(name, _)| plain_file_name(name)) {
        let beside = binary.path().parent().into_iter();
        candidates.extend(beside.flat_map(|dir| [dir.join(name), dir.join(".debug").join(name)]));
        for dir in all_debug_dirs(request) {
            candidates.extend(request.path.parent().map(|p| below(dir, p).join(name)));
            candidates.push(dir.join(name));
        }
    }
    if let Some(name) = request.path.file_name() {
        let mut name = name.to_owned();
        name.push(".debug");
        candidates.extend(request.debug_dirs.iter().map(|dir| dir.join(&name)));
    }
    let is_right = |file: &MappedFile| {
        let Ok(debug) = parse(file) else { return false };
        match self::build_id(&debug) {
            Ok(found) if !found.is_empty() && !build_id.is_empty() => found == build_id,
            Ok(_) => link.is_some_and(|(_, checksum)| crc32(file) == checksum),
            Err(_) => false,
        }
    };
    candidates.iter().filter_map(|path| MappedFile::open(path).ok()).find(is_right)
}

/// Finds the file that `dwz` moved shared debug information to, if
/// `.gnu_debugaltlink` of the file at `path` names one.
///
/// Fails with its name and build-id if it is named, but not here.
pub(super) fn find_supplementary_file<'d>(
    request: &ModuleRequest,
    path: &Path,
    object: &object::File<'d>,
) -> Result<Option<MappedFile>, (&'d Path, &'d [u8])> {
    let Ok(Some((name, build_id))) = object.gnu_debugaltlink() else { return Ok(None) };
    let name = Path::new(OsStr::from_bytes(name));
    let mut candidates: Vec<PathBuf> =
        all_debug_dirs(request).filter_map(|dir| Some(by_build_id(dir, build_id)?.1)).collect();
    candidates.extend(path.parent().map(|dir| dir.join(name)));
    let is_right = |file: &MappedFile| has_build_id(file, build_id);
    match candidates.iter().filter_map(|path| MappedFile::open(path).ok()).find(is_right) {
        Some(file) => Ok(Some(file)),
        None => Err((name, build_id)),
    }
}

/// Finds the separate debug file of a module whose own file is not here, by
/// its build-id, which alone proves that it belongs to the module.
pub(super) fn find_debug_file_alone(request: &ModuleRequest) -> Option<MappedFile> {
    if request.build_id.is_empty() {
        return None;
    }
    let by_build_id =
        all_debug_dirs(request).filter_map(|dir| Some(by_build_id(dir, request.build_id)?.1));
    let mut candidates: Vec<PathBuf> = by_build_id.collect();
    if let Some(name) = request.path.file_name() {
        let mut name = name.to_owned();
        name.push(".debug");
        candidates.extend(request.debug_dirs.iter().map(|dir| dir.join(&name)));
    }
    candidates.extend(binary_candidates(request));
    let is_right = |file: &MappedFile| has_build_id(file, request.build_id);
    candidates.iter().filter_map(|path| MappedFile::open(path).ok()).find(is_right)
}

/// The requested debug directories, then the system's.
fn all_debug_dirs<'a>(request: &ModuleRequest<'a>) -> impl Iterator<Item = &'a Path> {
    request.debug_dirs.iter().map(PathBuf::as_path).chain([Path::new(SYSTEM_DEBUG_DIR)])
}

/// Parses the headers of an ELF file; fails with the cause.
pub(super) fn parse(data: &[u8]) -> Result<object::File<'_>, String> {
    match FileKind::parse(data) {
        Ok(FileKind::Elf32 | FileKind::Elf64) => {
            object::File::parse(data).map_err(|e| e.to_string())
        }
        // Assemblies of .NET. Of the code in them that was compiled ahead, the
        // runtime's map tells nothing.
        Ok(FileKind::Pe32 | FileKind::Pe64) => {
            Err("it is a PE file; .NET names its code if DOTNET_ReadyToRun=0 is set".to_string())
        }
        _ => Err("it is another kind of file".to_string()),
    }
}

/// Finds the package of split debug information of a program, which is called
/// after the program or its debug file. What is in it has identities of its
/// own.
pub(super) fn find_package(
    request: &ModuleRequest,
    binary: &Path,
    debug: Option<&Path>,
) -> Option<MappedFile> {
    let mut candidates = Vec::new();
    for dir in request.debug_dirs {
        candidates.push(below(dir, request.path));
        candidates.extend(request.path.file_name().map(|name| dir.join(name)));
    }
    candidates.extend([Some(binary), debug].into_iter().flatten().map(Path::to_owned));
    candidates.iter().find_map(|path| MappedFile::open(&path.with_added_extension("dwp")).ok())
}

/// Whether a file is an ELF file of this build.
pub(super) fn has_build_id(file: &[u8], expected: &[u8]) -> bool {
    // The build-id may be in a section only, of debug information that was put aside
    // without program headers, or of a program of 32 bits.
    let in_section = || parse(file).is_ok_and(|o| build_id(&o).is_ok_and(|id| id == expected));
    identity(file) == expected || in_section()
}

/// Whether an error says that there is no such file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Paths at which the binary may be, best first.
fn binary_candidates(request: &ModuleRequest) -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    for dir in request.debug_dirs {
        candidates.push(below(dir, request.path));
        candidates.extend(request.path.file_name().map(|name| dir.join(name)));
        candidates.extend(by_build_id(dir, request.build_id).into_iter().flat_map(<[_; 2]>::from));
    }
    // A relative path would depend on where this program happens to run.
    if request.path.is_absolute() {
        candidates.push(request.path.to_owned());
    }
    candidates
}

/// Makes sure that a file is the recorded one and contains code; fails with
/// what is wrong with the file of that name.
fn check_binary(file: &MappedFile, name: &str, request: &ModuleRequest) -> Result<(), String> {
    let damaged = |e: String| format!("{name} is not a readable ELF file ({e})");
    let object = parse(file).map_err(damaged)?;
    if !request.build_id.is_empty() && !has_build_id(file, request.build_id) {
        if is_checksum(request.build_id) {
            return Err(format!("another build: {name} has other code than what was recorded"));
        }
        let (recorded, found) = (hex(request.build_id), identity(&**file));
        let found = match found.is_empty() || is_checksum(&found) {
            true => "none".to_owned(),
            false => hex(&found),
        };
        return Err(format!("another build: build-id {recorded} was recorded, {name} has {found}"));
    }
    let size = file.len() as u64;
    if request.build_id.is_empty() && request.file_size != 0 && size != request.file_size {
        return Err(format!(
            "another file: {} bytes were recorded, {name} has {size}",
            request.file_size
        ));
    }
    if !Segments::new(&object).have_code() {
        return Err(format!("only a file without code was found: {}", file.path().display()));
    }
    Ok(())
}

/// The file's GNU build-id; empty if it has none.
pub(super) fn build_id<'d>(file: &object::File<'d>) -> Result<&'d [u8], String> {
    Ok(file.build_id().map_err(|e| e.to_string())?.unwrap_or_default())
}

/// Where a binary and its debug file are in a directory sorted by build-id.
fn by_build_id(dir: &Path, build_id: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let (first, rest) = build_id.split_first()?;
    let path = dir.join(".build-id").join(hex(&[*first])).join(hex(rest));
    let debug = path.with_added_extension("debug");
    (!rest.is_empty()).then_some((path, debug))
}

/// The same path, but below `dir`.
pub(super) fn below(dir: &Path, path: &Path) -> PathBuf {
    dir.join(path.strip_prefix("/").unwrap_or(path))
}

/// A name without any directory.
fn plain_file_name(name: &[u8]) -> Option<&OsStr> {
    let name = OsStr::from_bytes(name);
    (Path::new(name).file_name() == Some(name)).then_some(name)
}

/// The checksum that `.gnu_debuglink` uses.
fn crc32(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

/// Lowercase hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
