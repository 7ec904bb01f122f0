//! Whether a program can be started with a library of ours.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, getegid, geteuid};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadCache};

use crate::allocator::other_malloc;
use crate::arch;

/// Scripts that are interpreted by scripts, as deep as the kernel allows.
const MAX_INTERPRETERS: usize = 4;

/// Why a program cannot be started with a library of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The dynamic linker ignores LD_PRELOAD in programs with rights of their
    /// own.
    #[error(
        "--alloc cannot record {0}: it runs with the rights of another user or group \
         (setuid, setgid or file capabilities), and such programs load no library of ours"
    )]
    Privileged(String),
    /// There is no dynamic linker that could load a library.
    #[error(
        "--alloc cannot record {0}: it is statically linked and loads no libraries; \
         start it without rec, and attach with rec -p PID --alloc"
    )]
    Static(String),
    /// Another C library than the GNU one.
    #[error(
        "--alloc cannot record {program}: it uses {linker}, and only programs with the GNU C \
         library can be recorded; start it without rec, and attach with rec -p PID --alloc"
    )]
    OtherLibc {
        /// The program.
        program: String,
        /// Its dynamic linker.
        linker: String,
    },
    /// A program for another processor, such as 32-bit ones.
    #[error("--alloc cannot record {0}: it is no 64-bit program for this processor")]
    OtherMachine(String),
}

/// Fails if `command` cannot be started with a library of ours. What cannot be
/// found or read is not looked at: starting it will tell. Returns what such a library
/// will not see.
pub(super) fn check(command: &[OsString]) -> Result<Option<String>, Unfit> {
    if let Some(path) = privileged(command) {
        return Err(Unfit::Privileged(path.display().to_string()));
    }
    let Some(path) = executed(command).pop() else { return Ok(None) };
    check_elf(&path)?;
    Ok(other_malloc(&path).map(|name| {
        format!(
            "the program has an allocator with names of its own ({name}), and what it allocates \
             by these is not recorded: start it without rec, and attach with rec -p PID --alloc"
        )
    }))
}

/// The program that runs for `command` with the rights of another user or group, if
/// there is one.
pub(crate) fn privileged(command: &[OsString]) -> Option<PathBuf> {
    executed(command).into_iter().find(|path| is_privileged(path))
}

/// The file that is executed for `command`, and the interpreters that it asks for, up
/// to what is no script.
pub(crate) fn executed(command: &[OsString]) -> Vec<PathBuf> {
    let first = command.first().and_then(find);
    std::iter::successors(first, |path| interpreter_of_script(path))
        .take(MAX_INTERPRETERS + 1)
        .collect()
}

/// The file that is executed for `word`, as `execvp` finds it.
fn find(word: &OsString) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path)
        .map(|directory| directory.join(word))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

fn is_privileged(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    let (mode, user, group) = (metadata.mode(), geteuid().as_raw(), getegid().as_raw());
    let set_user = mode & 0o4000 != 0 && metadata.uid() != user;
    // Without the right to execute, the bit means something else.
    let set_group = mode & 0o2010 == 0o2010 && metadata.gid() != group;
    set_user || set_group || (user != 0 && has_capabilities(path))
}

fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    super::memory::attribute_len(&path, c"security.capability").is_some_and(|length| length > 0)
}

fn interpreter_of_script(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace();
    let interpreter = words.next()?;
    // `#!/usr/bin/env python3` goes on to run that.
    if interpreter.ends_with("/env") {
        let is_program = |word: &&str| !word.starts_with('-') && !word.contains('=');
        return find(&words.find(is_program)?.into());
    }
    Some(interpreter.into())
}

fn check_elf(path: &Path) -> Result<(), Unfit> {
    let program = || path.display().to_string();
    let Ok(file) = File::open(path) else { return Ok(()) };
    let data = ReadCache::new(file);
    let Ok(header) = FileHeader64::<LittleEndian>::parse(&data) else {
        let mut magic = [0; 4];
        let is_elf = File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
            && magic == elf::ELFMAG;
        return if is_elf { Err(Unfit::OtherMachine(program())) } else { Ok(()) };
    };
    let endian = LittleEndian;
    if header.e_machine(endian) != arch::MACHINE {
        return Err(Unfit::OtherMachine(program()));
    }
    let Ok(segments) = header.program_headers(endian, &data) else { return Ok(()) };
    let linker = segments.iter().find_map(|segment| segment.interpreter(endian, &data).ok()?);
    match linker.map(|name| String::from_utf8_lossy(name).into_owned()) {
        None => Err(Unfit::Static(program())),
        Some(linker) if !linker.contains("ld-linux") => {
            Err(Unfit::OtherLibc { program: program(), linker })
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_can_be_started() {
        let ok = |command: &str| assert_eq!(check(&[command.into()]).unwrap(), None);
        ok("sh");
        ok("/bin/ls");
        // Starting these says what is wrong.
        ok("/no/such/program");
        ok("no-such-program");
    }

    #[test]
    fn what_cannot() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("ls");
        fs::copy("/bin/ls", &copy).unwrap();
        std::os::unix::fs::chown(&copy, Some(12345), Some(12345)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(matches!(check(&[copy.clone().into()]), Err(Unfit::Privileged(_))));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o2755)).unwrap();
        assert!(matches!(check(&[copy.clone().into()]), Err(Unfit::Privileged(_))));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        check(&[copy.clone().into()]).unwrap();

        let with = |offset: usize, byte: u8| {
            let mut bytes = fs::read("/bin/ls").unwrap();
            bytes[offset] = byte;
            fs::write(&copy, bytes).unwrap();
            check(&[copy.clone().into()])
        };
        // The class, and the machine.
        assert!(matches!(with(4, 1), Err(Unfit::OtherMachine(_))));
        assert!(matches!(with(18, 183), Err(Unfit::OtherMachine(_))));

        let script = directory.path().join("script");
        fs::write(&script, format!("#!{}\n", copy.display())).unwrap();
        assert!(matches!(check(&[script.into()]), Err(Unfit::OtherMachine(_))));
    }

    #[test]
    fn the_interpreter_of_a_script() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |text: &str, expected: Option<&str>| {
            fs::write(file.path(), text).unwrap();
            assert_eq!(interpreter_of_script(file.path()), expected.map(PathBuf::from), "{text}");
        };
        check("#!/bin/sh -e\necho", Some("/bin/sh"));
        check("#! /bin/sh", Some("/bin/sh"));
        check("#!/usr/bin/env -S X=1 /bin/sh -e\n", Some("/bin/sh"));
        check("\x7fELF", None);
        check("#!", None);
        check("", None);
    }
}
