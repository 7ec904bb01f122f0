//! Values of options, as people write them.

use std::collections::HashSet;
use std::time::Duration;

use rz_record::MAX_STACK_BYTES;

/// Least memory that there has to be.
const LEAST_MEMORY: u64 = 128 << 20;

/// Bytes between samples of allocations.
const DEFAULT_INTERVAL: u64 = 512 << 10;

/// Numbers of processes or threads, written as one word.
#[derive(Debug, Clone)]
pub(super) struct Numbers(Vec<u32>);

/// All of them, each once, in the order in which they were given.
pub(super) fn distinct(lists: &[Numbers]) -> Vec<u32> {
    let mut seen = HashSet::new();
    lists.iter().flat_map(|list| &list.0).copied().filter(|number| seen.insert(*number)).collect()
}

/// As people write lists, and as `pidof` and `pgrep` print them.
pub(super) fn parse_numbers(text: &str) -> Result<Numbers, String> {
    let words: Vec<&str> =
        text.split([',', ' ', '\n', '\t']).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Err(
            "it is empty: if it comes from pidof or pgrep, nothing runs by that name".to_owned()
        );
    }
    let number = |word: &&str| match word.parse::<u32>() {
        // The system's are below 2^22.
        Ok(number @ 1..=0x7fff_ffff) => Ok(number),
        _ => Err(format!("{word} is no process id; `pidof {word}` finds those of a program")),
    };
    words.iter().map(number).collect::<Result<_, _>>().map(Numbers)
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        Duration::ZERO => Err("a recording cannot last no time at all".to_owned()),
        duration => Ok(duration),
    }
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|e| e.to_string()),
    }
    .and_then(|time| match time > LONGEST {
        true => Err("must be at most 10 years".to_owned()),
        false => Ok(time),
    })
}

/// Far from what clocks cannot count.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Bytes between samples of allocations; 0 for all of them.
pub(super) fn parse_interval(text: &str) -> Result<u64, String> {
    match text {
        "full" => Ok(0),
        "sampled" => Ok(DEFAULT_INTERVAL),
        text => match parse_size(text)? {
            0..64 => Err("must be at least 64 bytes, or full".to_owned()),
            size if size > u32::MAX.into() => Err("must be less than 4G".to_owned()),
            size => Ok(size),
        },
    }
}

pub(super) fn parse_stack_size(text: &str) -> Result<u32, String> {
    const ALLOWED: std::ops::RangeInclusive<u64> = 1 << 10..=MAX_STACK_BYTES as u64;
    match parse_size(text)? {
        size if ALLOWED.contains(&size) => Ok(size as u32 / 8 * 8),
        _ => Err("must be between 1K and 63K".to_owned()),
    }
}

/// A time or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    Time(Duration),
    Bytes(u64),
}

/// A size ends in a large letter, as `10M`; `10m` are minutes.
pub(super) fn parse_amount(text: &str) -> Result<Amount, String> {
    let amount = match text.ends_with(['K', 'M', 'G']) {
        true => parse_size(text).map(Amount::Bytes),
        false => parse_duration(text).map(Amount::Time),
    };
    match amount {
        Err(why) => Err(format!("{why}: give a time such as 10m or a size such as 100M")),
        Ok(Amount::Time(time)) if time < LEAST_TIME => Err("must be at least 1s".to_owned()),
        Ok(Amount::Bytes(bytes)) if bytes < LEAST_BYTES => Err("must be at least 64K".to_owned()),
        Ok(amount) => Ok(amount),
    }
}

/// A time whose files can be kept.
pub(super) fn parse_ring(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time < LEAST_TIME => Err("must be at least 1s".to_owned()),
        time => Ok(time),
    }
}

/// Less is not worth a file.
const LEAST_TIME: Duration = Duration::from_secs(1);
const LEAST_BYTES: u64 = 64 << 10;

pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if size < LEAST_MEMORY => Err("must be at least 128M".to_owned()),
        size => Ok(size),
    }
}

pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 500M".to_owned())?;
    number.checked_shl(shift).filter(|size| size >> shift == number).ok_or("too large".to_owned())
}
