//! The dynamic linker's list of files, out of a process's memory: the order in
//! which names are looked up. See `r_debug` in `dl_iterate_phdr(3)`'s `link.h`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// More files than any process has; a list that was damaged may be endless.
const MAX_FILES: usize = 1 << 14;
/// Entries of the auxiliary vector.
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
/// Of program headers and of the dynamic section.
const PT_DYNAMIC: u32 = 2;
const PT_PHDR: u32 = 6;
const DT_DEBUG: u64 = 21;
const HEADER_LEN: u64 = 56;
const MAX_HEADERS: u64 = 1 << 10;

/// What is added to the addresses in each file, in the order of the list; the
/// program itself is the first one.
pub(crate) fn biases(pid: u32) -> io::Result<Vec<u64>> {
    let memory = Memory(File::open(format!("/proc/{pid}/mem"))?);
    let auxv = std::fs::read(format!("/proc/{pid}/auxv"))?;
    let entry = |wanted: u64| {
        let entries = auxv.as_chunks::<16>().0.iter();
        entries.map(|entry| (word(entry, 0), word(entry, 8))).find(|(kind, _)| *kind == wanted)
    };
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let (_, headers) = entry(AT_PHDR).ok_or_else(missing)?;
    let (_, count) = entry(AT_PHNUM).ok_or_else(missing)?;

    // Where the program is, by where its own headers are.
    let (mut bias, mut dynamic) = (0, None);
    for at in 0..count.min(MAX_HEADERS) {
        let header: [u8; HEADER_LEN as usize] =
            memory.read(headers.wrapping_add(at * HEADER_LEN))?;
        match word(&header, 0) as u32 {
            PT_PHDR => bias = headers.wrapping_sub(word(&header, 16)),
            PT_DYNAMIC => dynamic = Some((word(&header, 16), word(&header, 40))),
            _ => {}
        }
    }
    let (section, length) = dynamic.ok_or_else(missing)?;
    let mut debug = 0;
    for at in 0..(length / 16).min(MAX_HEADERS) {
        let entry: [u8; 16] = memory.read(bias.wrapping_add(section).wrapping_add(at * 16))?;
        if word(&entry, 0) == DT_DEBUG {
            debug = word(&entry, 8);
        }
    }
    // Version, then the first of the list.
    let first: [u8; 16] = memory.read(debug)?;
    let mut next = word(&first, 8);
    let mut biases = Vec::new();
    while next != 0 && biases.len() < MAX_FILES {
        // Bias, name, dynamic section, next.
        let file: [u8; 32] = memory.read(next)?;
        biases.push(word(&file, 0));
        next = word(&file, 24);
    }
    Ok(biases)
}

struct Memory(File);

impl Memory {
    fn read<const N: usize>(&self, address: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_le_bytes(*word))
}
