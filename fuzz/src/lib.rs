//! Damages inputs at random and gives them to a function that must neither panic nor
//! take long.
//!
//! A driver for the stable toolchain: it knows nothing of which code an input reaches,
//! so that the inputs to begin with have to lead everywhere. A run is the same each
//! time, but for how far it comes.
//!
//! | variable | meaning |
//! |---|---|
//! | `RZ_FUZZ_SECONDS` | how long each function is tried, 1 if it is not set |
//! | `RZ_FUZZ_SEED` | where the random numbers begin, for another run than the usual one |
//! | `RZ_FUZZ_KEEP` | folder to put an input in at which a function fails |
//! | `RZ_FUZZ_INPUT` | a file of that folder: nothing else is tried |
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest that one input may take, on a machine that does other things as well.
const LIMIT: Duration = Duration::from_secs(20);
/// Changes of one input, at most.
const MAX_CHANGES: u64 = 6;
/// Bytes that an input may grow to.
const MAX_LENGTH: usize = 1 << 20;

/// Tries a function with `seeds` as they are, and then with what becomes of them, until
/// the time is over. Prints how many inputs that were.
///
/// # Panics
/// If the function does, or if an input takes too long.
pub fn fuzz(name: &str, seeds: &[Vec<u8>], try_one: impl Fn(&[u8])) {
    fuzz_made(name, seeds, |random| changed(seeds, random), try_one);
}

/// The same with what `make` makes of random numbers.
///
/// # Panics
/// As [`fuzz`] does.
pub fn fuzz_made(
    name: &str,
    seeds: &[Vec<u8>],
    make: impl Fn(&mut Random) -> Vec<u8>,
    try_one: impl Fn(&[u8]),
) {
    assert!(!seeds.is_empty(), "{name}: nothing to begin with");
    if let Some(path) = env::var_os("RZ_FUZZ_INPUT") {
        let path = PathBuf::from(path);
        let input = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let took = time(name, &input, &try_one);
        return println!("{name}: one input in {:.1} ms", took.as_secs_f64() * 1e3);
    }
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(number("RZ_FUZZ_SECONDS").unwrap_or(1));
    let mut random = Random(number("RZ_FUZZ_SEED").unwrap_or(1));
    let began = Instant::now();
    let mut executions: u64 = 0;
    let mut longest = Duration::ZERO;
    while executions < seeds.len() as u64 || began.elapsed() < limit {
        let input = match seeds.get(executions as usize) {
            Some(seed) => seed.clone(),
            None => make(&mut random),
        };
        longest = longest.max(time(name, &input, &try_one));
        executions += 1;
    }
    println!(
        "{name}: {executions} inputs in {:.1} s, {:.1} ms for the slowest",
        began.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
}

/// How long an input takes. One at which the function fails is kept.
fn time(name: &str, input: &[u8], try_one: &impl Fn(&[u8])) -> Duration {
    let time_once = || {
        let started = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| try_one(input))) {
            eprintln!("{name}: failed at {}", keep(name, input).display());
            resume_unwind(panic);
        }
        started.elapsed()
    };
    let mut took = time_once();
    if took >= LIMIT {
        // The machine may have stood still meanwhile.
        took = took.min(time_once());
    }
    assert!(took < LIMIT, "{name}: failed at {}: {took:?}", keep(name, input).display());
    took
}

/// The files in a folder, in order of their names.
///
/// # Panics
/// If it cannot be read.
pub fn files_in(folder: &Path) -> Vec<Vec<u8>> {
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read =
        |path: &PathBuf| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    paths.iter().filter(|path| path.is_file()).map(read).collect()
}

/// Writes an input down, to be looked at and to become a test.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = env::var_os("RZ_FUZZ_KEEP").map_or_else(env::temp_dir, PathBuf::from);
    let path = folder.join(format!("{}-{:016x}", name.replace(' ', "-"), hash(input)));
    if let Err(error) = fs::write(&path, input) {
        eprintln!("{}: {error}", path.display());
    }
    path
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One of the inputs with some changes.
pub fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..1 + random.below(MAX_CHANGES) {
        change(&mut bytes, seeds, random);
    }
    bytes.truncate(MAX_LENGTH);
    bytes
}

/// Changes something somewhere.
pub fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let length = bytes.len() as u64;
    if length == 0 {
        bytes.push(random.any() as u8);
        return;
    }
    let at = random.below(length) as usize;
    // A part from here on, mostly short.
    let most = if random.below(4) == 0 { length } else { 16 };
    let end = (at + 1 + random.below(most) as usize).min(bytes.len());
    match random.below(10) {
        0..3 => bytes[at] ^= 1 << random.below(8),
        3 => bytes[at] = random.any() as u8,
        4 => {
            let value = random.number().to_le_bytes();
            let width = 1 << random.below(4);
            bytes.iter_mut().skip(at).zip(&value[..width]).for_each(|(byte, new)| *byte = *new);
        }
        5 => drop(bytes.drain(at..end)),
        6 => {
            let part = bytes[at..end].to_vec();
            let to = random.below(length) as usize;
            bytes.splice(to..to, part);
        }
        7 => {
            let other = random.pick(seeds);
            let from = random.below(other.len() as u64 + 1) as usize;
            let to = (from + end - at).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        8 => bytes[at..end].fill(random.any() as u8),
        _ => bytes.truncate(at),
    }
}

/// Random numbers, the same each time.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Those that belong to an input: who needs some to try it can do so again.
    pub fn of(input: &[u8]) -> Self {
        Random(hash(input))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        // SplitMix64, by Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is above 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.any() % limit
    }

    /// A number near the end of a range, a small one, or any.
    pub fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => self.any(),
            1 => u64::MAX - self.below(3),
            2 => (1 << self.below(64)) - self.below(2),
            3 => u64::from(u32::MAX) - self.below(3),
            _ => self.below(5),
        }
    }

    /// One of several.
    pub fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_alike_and_reach_far() {
        let run = || {
            let mut random = Random(7);
            (0..500).map(|_| changed(&[b"hello world".to_vec()], &mut random)).collect::<Vec<_>>()
        };
        let inputs = run();
        assert_eq!(inputs, run());
        assert!(inputs.iter().any(Vec::is_empty));
        assert!(inputs.iter().any(|input| input.len() > 20));
    }

    #[test]
    #[should_panic = "at a zero"]
    fn what_fails_is_told() {
        fuzz("zero", &[b"seed".to_vec()], |input| assert!(!input.contains(&0), "at a zero"));
    }
}
