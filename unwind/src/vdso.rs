//! The vDSO of this machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Largest image that is read; real ones have two pages.
const MAX_BYTES: u64 = 1 << 20;

/// The vDSO's image, out of our own memory: the kernel maps the same pages into
/// every process.
pub fn own_vdso() -> io::Result<Vec<u8>> {
    let maps = fs::read("/proc/self/maps")?;
    let maps = String::from_utf8_lossy(&maps);
    let range = maps.lines().find(|line| line.ends_with("[vdso]")).and_then(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some((hex(start)?, hex(end)?))
    });
    let (start, end) = range.ok_or(io::ErrorKind::NotFound)?;
    let mut bytes = vec![0; end.saturating_sub(start).min(MAX_BYTES) as usize];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_elf_file() {
        assert!(own_vdso().unwrap().starts_with(b"\x7fELF"));
    }
}
