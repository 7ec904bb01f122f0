//! What tells two builds of a file apart.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadRef};

type Header = elf::FileHeader64<LittleEndian>;

/// Largest note that is looked at.
const MAX_NOTE: u64 = 64 << 10;
/// Who writes the note that has Go's build ID, and the note's type.
const GO: (&[u8], u32) = (b"Go", 4);
/// How the checksum of a file's code begins, which has all of [`CODE_LENGTH`] bytes.
const CODE: &[u8] = b"code";
/// Length of that: the beginning, how many bytes of code there are, and CRC-32C.
const CODE_LENGTH: usize = 16;
/// Most code that the checksum is of.
const MAX_CODE: u64 = 64 << 20;

/// What an ELF file's build is known by: its GNU build-id; without one, Go's build ID;
/// without either, a checksum of its code. Empty if that cannot be read.
pub fn identity<'d, R: ReadRef<'d>>(data: R) -> Vec<u8> {
    let headers = || {
        let header = Header::parse(data).ok()?;
        header.program_headers(header.endian().ok()?, data).ok()
    };
    let headers = headers().unwrap_or_default();
    gnu_or_go(headers, data).or_else(|| checksum_of_code(headers, data)).unwrap_or_default()
}

/// Whether an identity is a GNU build-id, by which others know the file as well.
pub fn is_build_id(identity: &[u8]) -> bool {
    let is_go = identity.contains(&b'/') && identity.iter().all(u8::is_ascii_graphic);
    !identity.is_empty() && !is_go && !is_checksum(identity)
}

/// Whether an identity is a checksum of code.
pub fn is_checksum(identity: &[u8]) -> bool {
    identity.len() == CODE_LENGTH && identity.starts_with(CODE)
}

fn gnu_or_go<'d, R: ReadRef<'d>>(
    headers: &[elf::ProgramHeader64<LittleEndian>],
    data: R,
) -> Option<Vec<u8>> {
    let (endian, mut go) = (LittleEndian, None);
    for segment in headers {
        if segment.p_type(endian) != elf::PT_NOTE || segment.p_filesz(endian) > MAX_NOTE {
            continue;
        }
        // A damaged note costs what it says only.
        let Ok(Some(mut notes)) = segment.notes(endian, data) else { continue };
        while let Ok(Some(note)) = notes.next() {
            let kind = note.n_type(endian);
            if kind == elf::NT_GNU_BUILD_ID
                && note.name() == elf::ELF_NOTE_GNU
                && !note.desc().is_empty()
            {
                return Some(note.desc().to_vec());
            }
            if (note.name(), kind.0) == GO && note.desc().contains(&b'/') {
                go = Some(note.desc().to_vec());
            }
        }
    }
    go
}

fn checksum_of_code<'d, R: ReadRef<'d>>(
    headers: &[elf::ProgramHeader64<LittleEndian>],
    data: R,
) -> Option<Vec<u8>> {
    let endian = LittleEndian;
    let is_code = |segment: &&elf::ProgramHeader64<LittleEndian>| {
        segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian).0 & elf::PF_X.0 != 0
    };
    let (mut length, mut checksum) = (0u64, 0);
    for segment in headers.iter().filter(is_code) {
        let size = segment.p_filesz(endian);
        let looked_at = size.min(MAX_CODE.saturating_sub(length));
        let code = data.read_bytes_at(segment.p_offset(endian), looked_at).ok()?;
        checksum = crc32c::crc32c_append(checksum, code);
        length = length.saturating_add(size);
    }
    let parts = [CODE, &length.to_le_bytes(), &checksum.to_le_bytes()];
    (length > 0).then(|| parts.concat())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn builds_without_a_build_id() {
        let dir = tempfile::tempdir().unwrap();
        let build = |name: &str, value: u32, options: &[&str]| {
            let path = dir.path().join(name);
            std::fs::write(path.with_extension("c"), format!("int main() {{ return {value}; }}"))
                .unwrap();
            let status = Command::new("gcc")
                .args(["-o", path.to_str().unwrap(), path.with_extension("c").to_str().unwrap()])
                .args(options)
                .status()
                .unwrap();
            assert!(status.success());
            identity(&*std::fs::read(path).unwrap())
        };
        let none = "-Wl,--build-id=none";
        let (one, other) = (build("one", 1, &[none]), build("other", 2, &[none]));
        assert!(is_checksum(&one) && is_checksum(&other) && one != other);
        assert!(!is_build_id(&one));
        assert_eq!(build("again", 1, &[none]), one);
        // What is stripped is the same code.
        assert_eq!(build("stripped", 1, &[none, "-s"]), one);
        let id = build("with", 1, &["-Wl,--build-id=0xab01"]);
        assert_eq!(id, [0xab, 1]);
        assert!(is_build_id(&id) && !is_checksum(&id));
        assert_eq!(identity(&b"#!/bin/sh\n"[..]), []);
    }
}
