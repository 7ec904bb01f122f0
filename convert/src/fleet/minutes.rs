//! Adds up what functions took, and what was looked at, by minute.
//!
//! Memory is bounded: when there are many sums, they are written, and what comes later
//! for the same minute gets rows of its own. So all rows of a key have to be added up.

use std::collections::BTreeMap;
use std::io::Write;

use parquet::errors::ParquetError;
use rustc_hash::FxHashMap;
use rz_profile::model::{FunctionId, LossClass, Profile, SourceId, StackId};

use super::clock::{WallClock, by_minute, micros, minute, minute_micros};
use super::code::Code;
use super::ids::Content;
use super::table_file::{Cell, TableFile};
use super::who::Who;

/// Sums by stack that are kept at a time, at most.
const MAX_SUMS: usize = 1 << 18;

/// Functions of a program that are told apart in a minute, at most.
pub const MAX_FUNCTIONS: usize = 4096;

/// Minutes that are told apart, at most: three months.
const MAX_MINUTES: usize = 1 << 17;

/// What functions beyond [`MAX_FUNCTIONS`] are called.
pub const OTHERS: &str = "[others]";

/// What is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The minute since the epoch.
    pub minute: i64,
    /// What ran, in [`Who::programs`].
    pub program: Option<usize>,
    /// What happened.
    pub event: &'static str,
    /// What the amount counts.
    pub unit: &'static str,
    /// Where.
    pub stack: StackId,
}

/// How much.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    weight: f64,
    items: f64,
}

impl Amount {
    fn add(&mut self, other: Amount) {
        self.weight += other.weight;
        self.items += other.items;
    }
}

/// What a function took.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    own: Amount,
    total: Amount,
}

/// Sums that are not written yet.
#[derive(Debug, Default)]
pub struct FunctionMinutes {
    sums: FxHashMap<Key, Amount>,
    /// Functions that were added up without their names.
    pub folded: u64,
}

impl FunctionMinutes {
    /// Adds something that happened. Whether it is time to write.
    pub fn add(&mut self, key: Key, weight: f64, items: f64) -> bool {
        self.sums.entry(key).or_default().add(Amount { weight, items });
        self.sums.len() >= MAX_SUMS
    }

    /// Writes all sums by function.
    pub fn write<W: Write + Send>(
        &mut self,
        of: &Described,
        out: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        let mut sums: Vec<(Key, Amount)> = self.sums.drain().collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        let group = |(key, _): &(Key, Amount)| (key.minute, key.program, key.event, key.unit);
        for sums in sums.chunk_by(|a, b| group(a) == group(b)) {
            self.folded += write_group(of, sums, out)?;
        }
        Ok(())
    }
}

/// What sums are described by.
pub struct Described<'p> {
    /// Recordings, processes and threads.
    pub who: &'p Who<'p>,
    /// Functions and stacks.
    pub code: &'p Code<'p>,
    /// The profile that these are of.
    pub profile: &'p Profile,
    /// The version that was given for all.
    pub version: &'p str,
}

impl Described<'_> {
    /// The host of a recording.
    pub fn host(&self, source: SourceId) -> &str {
        self.profile.sources.get(source).map_or("", |source| &source.host)
    }
}

/// Sums of one minute, program and event, by function. Gives how many functions were
/// folded.
fn write_group<W: Write + Send>(
    of: &Described,
    sums: &[(Key, Amount)],
    out: &mut TableFile<W>,
) -> Result<u64, ParquetError> {
    let Some((key, _)) = sums.first() else { return Ok(0) };
    let mut taken: BTreeMap<(Option<&str>, FunctionId), Taken> = BTreeMap::new();
    let mut functions: Vec<FunctionId> = Vec::new();
    for (key, amount) in sums {
        let reason = of.code.reason(key.stack);
        functions.clear();
        functions.extend(of.code.functions_of(key.stack));
        if let Some(leaf) = functions.first() {
            taken.entry((reason, *leaf)).or_default().own.add(*amount);
        }
        // A function that calls itself has it once.
        functions.sort_unstable();
        functions.dedup();
        for function in &functions {
            taken.entry((reason, *function)).or_default().total.add(*amount);
        }
    }
    let mut taken: Vec<((Option<&str>, FunctionId), Taken)> = taken.into_iter().collect();
    if taken.len() > MAX_FUNCTIONS {
        taken.sort_by(|(_, a), (_, b)| b.total.weight.total_cmp(&a.total.weight));
    }
    let program = key.program.map(|program| &of.who.programs[program]);
    let source = program.map_or(0, |program| program.source);
    let mut row = |reason: Option<&str>, function: [Cell; 4], taken: Taken, folded: u64| {
        let [id, name, module, build_id] = function;
        out.row(&[
            Cell::Int(of.who.traces[source].id),
            Cell::Text(of.host(source)),
            Cell::Text(of.version),
            Cell::Int(minute_micros(key.minute)),
            Cell::Text(program.map_or("", |program| program.name)),
            Cell::Text(program.map_or("", |program| &program.cgroup)),
            Cell::Text(key.event),
            Cell::Text(key.unit),
            reason.into(),
            id,
            name,
            module,
            build_id,
            whole(taken.own.weight),
            whole(taken.total.weight),
            whole(taken.total.items),
            folded.into(),
        ])
    };
    let (told, others) = taken.split_at(taken.len().min(MAX_FUNCTIONS));
    for ((reason, function), taken) in told {
        let function = &of.code.functions[*function];
        let cells = [
            Cell::Int(function.id),
            Cell::Text(function.name),
            Cell::Text(function.module),
            Cell::Text(&function.build_id),
        ];
        row(*reason, cells, *taken, 0)?;
    }
    if others.is_empty() {
        return Ok(0);
    }
    let mut own = Amount::default();
    others.iter().for_each(|(_, taken)| own.add(taken.own));
    // Their totals have each other's in them.
    let sum = Taken { own, total: own };
    let id = Content::of("function").text(OTHERS).id();
    let cells = [Cell::Int(id), Cell::Text(OTHERS), Cell::Text(""), Cell::Text("")];
    let folded = others.len() as u64;
    row(None, cells, sum, folded)?;
    Ok(folded)
}

/// The next whole number; the largest for what is larger.
fn whole(number: f64) -> Cell<'static> {
    Cell::Int(number.round() as i64)
}

/// What was looked at in a minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    wall_ns: i64,
    /// CPU time in samples.
    pub cpu_ns: u64,
    /// Samples of the CPU.
    pub samples: u64,
    lost: f64,
    /// Time off the CPU.
    pub wait_ns: u64,
    /// System calls.
    pub calls: u64,
    /// Bytes that were allocated.
    pub bytes: f64,
}

/// What was looked at, by recording and minute.
#[derive(Debug, Default)]
pub struct Exposure(BTreeMap<(SourceId, i64), Looked>);

impl Exposure {
    /// What recordings say of themselves.
    pub fn of(profile: &Profile, clock: WallClock) -> Exposure {
        let mut exposure = Exposure::default();
        let is_alone = profile.sources.len() == 1;
        for (id, source) in profile.sources.iter().enumerate() {
            let from_ns = clock.unix_ns(source.start_ns);
            let to_ns = clock.unix_ns(source.start_ns.saturating_add(source.duration_ns));
            for (minute, part_ns) in by_minute(from_ns, to_ns, MAX_MINUTES) {
                exposure.at_minute(id, minute).wall_ns += part_ns;
            }
            if !is_alone {
                exposure.spread(id, source.lost, from_ns, to_ns);
            }
        }
        if is_alone {
            let lost = profile.info.losses.iter().filter(|lost| lost.class == LossClass::Samples);
            for lost in lost {
                let (from_ns, to_ns) = (clock.unix_ns(lost.from_ns), clock.unix_ns(lost.to_ns));
                exposure.spread(0, lost.count, from_ns, to_ns);
            }
        }
        exposure
    }

    /// Losses, supposed that it was all the same when.
    fn spread(&mut self, source: SourceId, count: u64, from_ns: i64, to_ns: i64) {
        let parts = by_minute(from_ns, to_ns.max(from_ns.saturating_add(1)), MAX_MINUTES);
        let length: i64 = parts.iter().map(|(_, part)| part).sum();
        for (minute, part) in parts {
            let share = part as f64 / length.max(1) as f64;
            self.at_minute(source, minute).lost += count as f64 * share;
        }
    }

    /// The minute of a time.
    pub fn at(&mut self, source: SourceId, unix_ns: i64) -> &mut Looked {
        self.at_minute(source, minute(unix_ns))
    }

    fn at_minute(&mut self, source: SourceId, minute: i64) -> &mut Looked {
        let is_full = self.0.len() >= MAX_MINUTES && !self.0.contains_key(&(source, minute));
        // What has times that cannot be is in one minute.
        self.0.entry((source, if is_full { i64::MIN } else { minute })).or_default()
    }

    /// Writes all minutes.
    pub fn write<W: Write + Send>(
        &self,
        of: &Described,
        out: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        for (&(source, minute), looked) in &self.0 {
            out.row(&[
                Cell::Int(of.who.traces[source].id),
                Cell::Text(of.host(source)),
                Cell::Int(minute_micros(minute)),
                Cell::Int(looked.wall_ns),
                of.profile.sources.get(source).map_or(0, |source| source.cpus).into(),
                looked.cpu_ns.into(),
                looked.samples.into(),
                whole(looked.lost),
                looked.wait_ns.into(),
                looked.calls.into(),
                Cell::Real(looked.bytes),
            ])?;
        }
        Ok(())
    }
}

/// A time and the same in microseconds.
pub fn time_cells(unix_ns: i64) -> [Cell<'static>; 2] {
    [Cell::Int(micros(unix_ns)), Cell::Int(unix_ns)]
}
