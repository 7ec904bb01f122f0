//! Recordings of heaptrack, as `heaptrack_interpret` writes them.
//!
//! ```text
//! s length text                       strings, which have numbers from 1 on, as all else:
//! i address module [frame…]           frames: function, file, line; innermost first
//! t address caller                    stacks
//! a size stack                        allocations of one size and stack
//! + allocation    - allocation        that one more, or less, is there
//! c milliseconds
//! ```
//!
//! The file is gone through twice: for everything and when the peak was, and for what was
//! there at the peak.

use std::io::{BufRead, Read, Seek, Write};

use rz_format::{Record, Sample, StackId};

use super::amounts::Amounts;
use super::functions::{Function, Functions, MAX_FRAMES};
use super::json::buffered;
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Newest version of the format that is known.
const MAX_VERSION: u64 = 3;
/// Strings, addresses, stacks and allocations, each, at most.
const MAX_ENTRIES: usize = 1 << 24;
/// Bytes of all strings, at most.
const MAX_STRING_BYTES: usize = 256 << 20;
/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Functions that are inlined into each other at an address, at most.
const MAX_INLINED: usize = 128;

/// An event's name, its unit, and the amount.
type Told = (&'static str, Amounts, fn(&Cost) -> i64);

/// What is told of each stack.
const EVENTS: [Told; 5] = [
    ("peak_space", Amounts::BYTES, |cost| cost.peak),
    ("leaked_space", Amounts::BYTES, |cost| cost.live),
    ("alloc_space", Amounts::BYTES, |cost| cost.allocated),
    ("alloc_objects", Amounts::THINGS, |cost| cost.calls),
    ("temporary_objects", Amounts::THINGS, |cost| cost.temporary),
];

/// Numbers of a function, its file, and the line.
type Place = [u64; 3];

struct Address {
    address: u64,
    module: u64,
    /// Innermost first.
    places: Vec<Place>,
}

struct Stack {
    address: u32,
    /// 0 for the root.
    caller: u32,
    depth: u32,
}

#[derive(Debug, Default, Clone)]
struct Cost {
    calls: i64,
    temporary: i64,
    allocated: i64,
    live: i64,
    peak: i64,
}

#[derive(Default)]
struct Recording {
    version: u64,
    command: String,
    strings: Vec<Box<str>>,
    string_bytes: usize,
    addresses: Vec<Address>,
    stacks: Vec<Stack>,
    /// By stack.
    costs: Vec<Cost>,
    /// Sizes and numbers of stacks, from 0 on.
    allocations: Vec<(i64, u32)>,
    /// What the last line was that allocated.
    latest: Option<u64>,
    end_ms: u64,
    live: i64,
    peak: i64,
    /// Allocations and frees so far, and how many there were at the peak.
    changes: u64,
    changes_at_peak: u64,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut recording = Recording::default();
    each_line(input, |line| recording.take(line).map(|()| true))?;
    if recording.version == 0 {
        return Err(damaged(1, "its version is not said"));
    }
    let mut left = recording.changes_at_peak;
    each_line(input, |line| {
        if let [sign @ (b'+' | b'-'), ..] = line {
            let Some(more) = left.checked_sub(1) else { return Ok(false) };
            left = more;
            let (size, stack) = recording.allocation(number(&line[1..])?)?;
            let peak = &mut recording.costs[stack as usize].peak;
            *peak = peak.saturating_add(if *sign == b'+' { size } else { -size });
        }
        Ok(left > 0)
    })?;

    let mut out = Output::of(input, "heaptrack", out)?;
    for (id, (name, amounts, _)) in (0..).zip(EVENTS) {
        out.record(Record::Event(amounts.event(id, name)))?;
    }
    let program = recording.command.split_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("[unknown]");
    let thread = Named { pid: 0, tid: 0, name: name.to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    out.note("heaptrack tells neither threads nor when a stack allocated".to_owned());

    let mut functions = Functions::default();
    let mut stacks: Vec<Option<StackId>> = Vec::with_capacity(recording.stacks.len());
    for (stack, cost) in recording.stacks.iter().zip(&recording.costs) {
        let mut at = stack.caller.checked_sub(1).and_then(|caller| stacks[caller as usize]);
        for function in recording.functions(stack.address).into_iter().rev() {
            let frame = functions.frame(function, &mut out);
            at = Some(out.stack(at, frame));
        }
        stacks.push(at);
        for (event, (_, _, amount)) in (0..).zip(EVENTS) {
            let weight = amount(cost).max(0).cast_unsigned();
            if weight > 0 {
                out.sample(Sample { event, thread, stack: at, weight, ..Sample::default() })?;
            }
        }
    }
    out.finish(Some(recording.end_ms.saturating_mul(1_000_000)))
}

impl Recording {
    fn take(&mut self, line: &[u8]) -> Result<(), What> {
        let Some((kind, rest)) = line.split_first() else { return Ok(()) };
        if self.version == 0 && !matches!(kind, b'v' | b'#') {
            return Err("its version is not said");
        }
        let mut numbers = Numbers(rest);
        match kind {
            b'v' => {
                numbers.next()?;
                // The first had no number of its own.
                self.version = numbers.next_if_any()?.unwrap_or(0);
                if !(1..=MAX_VERSION).contains(&self.version) {
                    return Err("only versions 1 to 3 of the format are known");
                }
            }
            b'X' => self.command = text(rest),
            b's' => {
                if self.version >= 3 {
                    // Its length, which the line tells, too.
                    numbers.next()?;
                }
                let string = text(numbers.0);
                self.string_bytes += string.len();
                if self.string_bytes > MAX_STRING_BYTES {
                    return Err("there are too many strings");
                }
                push(&mut self.strings, string.into())?;
            }
            b'i' => {
                let (address, module) = (numbers.next()?, numbers.next()?);
                let mut places = Vec::new();
                while let Some(function) = numbers.next_if_any()?
                    && places.len() < MAX_INLINED
                {
                    let file = numbers.next_if_any()?.unwrap_or(0);
                    let line = numbers.next_if_any()?.unwrap_or(0);
                    places.push([function, file, line]);
                }
                push(&mut self.addresses, Address { address, module, places })?;
            }
            b't' => {
                let (address, caller) = (numbers.next()?, numbers.next()?);
                if address == 0 || address > self.addresses.len() as u64 {
                    return Err("a stack of an address that is not known");
                }
                if caller > self.stacks.len() as u64 {
                    return Err("a stack with a caller that is not known");
                }
                let above = caller.checked_sub(1).map(|caller| self.stacks[caller as usize].depth);
                let frames = self.addresses[address as usize - 1].places.len().max(1);
                let depth = above.unwrap_or(0).saturating_add(frames as u32);
                if depth as usize > MAX_FRAMES {
                    return Err("a stack is too deep");
                }
                let (address, caller) = (address as u32 - 1, caller as u32);
                push(&mut self.stacks, Stack { address, caller, depth })?;
                self.costs.push(Cost::default());
            }
            b'a' => {
                let (size, stack) = (numbers.next()?, numbers.next()?);
                let size = i64::try_from(size).map_err(|_| "an allocation is too large")?;
                if stack == 0 || stack > self.stacks.len() as u64 {
                    return Err("an allocation of a stack that is not known");
                }
                push(&mut self.allocations, (size, stack as u32 - 1))?;
            }
            b'+' => {
                let id = numbers.next()?;
                let (size, stack) = self.allocation(id)?;
                let cost = &mut self.costs[stack as usize];
                cost.calls += 1;
                cost.allocated = cost.allocated.saturating_add(size);
                cost.live = cost.live.saturating_add(size);
                self.live = self.live.saturating_add(size);
                self.latest = Some(id);
                self.changes += 1;
                if self.live > self.peak {
                    (self.peak, self.changes_at_peak) = (self.live, self.changes);
                }
            }
            b'-' => {
                let id = numbers.next()?;
                let (size, stack) = self.allocation(id)?;
                let cost = &mut self.costs[stack as usize];
                cost.live = cost.live.saturating_sub(size);
                // What is freed before anything else is allocated or freed.
                cost.temporary += i64::from(self.latest == Some(id));
                self.live = self.live.saturating_sub(size);
                self.latest = None;
                self.changes += 1;
            }
            b'c' => self.end_ms = self.end_ms.max(numbers.next()?),
            b'x' | b'm' => {
                return Err("it is not interpreted yet: heaptrack --interpret makes a file of it \
                            that can be read");
            }
            // Resident memory, the system, suppressions, that it was attached, comments.
            b'R' | b'I' | b'S' | b'A' | b'#' => {}
            _ => return Err("it is nothing that heaptrack writes"),
        }
        Ok(())
    }

    fn allocation(&self, id: u64) -> Result<(i64, u32), What> {
        let found = usize::try_from(id).ok().and_then(|id| self.allocations.get(id));
        found.copied().ok_or("an allocation that is not known")
    }

    /// What is at an address, innermost first.
    fn functions(&self, address: u32) -> Vec<Function> {
        let string = |id: u64| {
            let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
            index.and_then(|index| self.strings.get(index)).map_or("", |string| string)
        };
        let Address { address, module, places } = &self.addresses[address as usize];
        let function = |[function, file, line]: &Place| Function {
            name: match string(*function) {
                "" => format!("{address:#x}"),
                name => name.to_owned(),
            },
            file: string(*file).to_owned(),
            line: (*line).try_into().unwrap_or(0),
            column: 0,
            module: string(*module).to_owned(),
        };
        if places.is_empty() {
            return vec![function(&[0; 3])];
        }
        places.iter().map(function).collect()
    }
}

/// What is wrong with a line.
type What = &'static str;

fn damaged(line: u64, what: What) -> ImportError {
    ImportError::Unusable(format!("damaged recording of heaptrack: line {line}: {what}"))
}

fn push<T>(list: &mut Vec<T>, entry: T) -> Result<(), What> {
    list.push(entry);
    if list.len() > MAX_ENTRIES { Err("there are too many of these") } else { Ok(()) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_prefix(b" ").unwrap_or(bytes)).into_owned()
}

/// Hands over each line, until that returns `false`.
fn each_line(
    input: &Input,
    mut take: impl FnMut(&[u8]) -> Result<bool, What>,
) -> Result<(), ImportError> {
    let mut file = &input.file;
    file.rewind().map_err(ImportError::Read)?;
    let mut reader = buffered(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(ImportError::Read)? == 0 {
            break;
        }
        let Some(whole) = line.strip_suffix(b"\n") else {
            return Err(damaged(number, "it ends early, or is too long"));
        };
        if !take(whole.trim_ascii_end()).map_err(|what| damaged(number, what))? {
            break;
        }
    }
    Ok(())
}

fn number(bytes: &[u8]) -> Result<u64, What> {
    Numbers(bytes).next()
}

/// Hexadecimal numbers with spaces between them.
struct Numbers<'l>(&'l [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, What> {
        self.next_if_any()?.ok_or("a number is missing")
    }

    fn next_if_any(&mut self) -> Result<Option<u64>, What> {
        let rest = self.0.strip_prefix(b" ").unwrap_or(self.0);
        let length = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(length);
        self.0 = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        let digits = str::from_utf8(digits).ok();
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(Some).ok_or("it has no hexadecimal number where one should be")
    }
}
