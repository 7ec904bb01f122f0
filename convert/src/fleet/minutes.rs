//! Adds up what functions took, and what was looked at, by minute, and the first by hour.
//!
//! Memory is bounded: when there are many sums, they are written, and what comes later
//! for the same minute gets rows of its own. So all rows of a key have to be added up.

use std::collections::BTreeMap;
use std::io::Write;

use parquet::errors::ParquetError;
use rustc_hash::FxHashMap;
use rz_profile::model::{FunctionId, LossClass, Profile, SourceId, StackId};

use super::clock::{WallClock, by_minute, hour, micros, minute, minute_micros};
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

impl Taken {
    fn add(&mut self, other: Taken) {
        self.own.add(other.own);
        self.total.add(other.total);
    }
}

/// What is added up by hour: the first minute of it, what happened, counted how, in which
/// function and program. Those of no name are [`OTHERS`].
type Hour = (i64, &'static str, &'static str, Option<FunctionId>, Option<usize>);

/// Sums that are not written yet.
#[derive(Debug, Default)]
pub struct FunctionMinutes {
    sums: FxHashMap<Key, Amount>,
    hours: FxHashMap<Hour, Taken>,
    /// Functions that were added up without their names.
    pub folded: u64,
}

impl FunctionMinutes {
    /// Adds something that happened. Whether it is time to write.
    pub fn add(&mut self, key: Key, weight: f64, items: f64) -> bool {
        self.sums.entry(key).or_default().add(Amount { weight, items });
        self.sums.len() >= MAX_SUMS
    }

    /// Writes all sums by function, of hours when there are many.
    pub fn write<W: Write + Send>(
        &mut self,
        of: &Described,
        minutes: &mut TableFile<W>,
        hours: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        let mut sums: Vec<(Key, Amount)> = self.sums.drain().collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        let group = |(key, _): &(Key, Amount)| (key.minute, key.program, key.event, key.unit);
        for sums in sums.chunk_by(|a, b| group(a) == group(b)) {
            self.write_group(of, sums, minutes)?;
            if self.hours.len() >= MAX_SUMS {
                self.write_hours(of, hours)?;
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish<W: Write + Send>(
        &mut self,
        of: &Described,
        minutes: &mut TableFile<W>,
        hours: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        self.write(of, minutes, hours)?;
        self.write_hours(of, hours)
    }

    /// Writes sums of one minute, program and event, by function.
    fn write_group<W: Write + Send>(
        &mut self,
        of: &Described,
        sums: &[(Key, Amount)],
        out: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        let Some((key, _)) = sums.first() else { return Ok(()) };
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
        let ran = of.ran(key.program);
        let mut add = |function: Option<FunctionId>, taken: Taken| {
            let hour = (hour(key.minute), key.event, key.unit, function, key.program);
            self.hours.entry(hour).or_default().add(taken);
        };
        let mut row = |reason: Option<&str>, function: [Cell; 4], taken: Taken, folded: u64| {
            let [id, name, module, build_id] = function;
            out.row(&[
                ran.trace,
                ran.host,
                Cell::Text(of.version),
                Cell::Int(minute_micros(key.minute)),
                ran.program,
                ran.cgroup,
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
            add(Some(*function), *taken);
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
            return Ok(());
        }
        let mut own = Amount::default();
        others.iter().for_each(|(_, taken)| own.add(taken.own));
        // Their totals have each other's in them.
        let sum = Taken { own, total: own };
        let id = Content::of("function").text(OTHERS).id();
        let cells = [Cell::Int(id), Cell::Text(OTHERS), Cell::Text(""), Cell::Text("")];
        let folded = others.len() as u64;
        add(None, sum);
        self.folded += folded;
        row(None, cells, sum, folded)
    }

    fn write_hours<W: Write + Send>(
        &mut self,
        of: &Described,
        out: &mut TableFile<W>,
    ) -> Result<(), ParquetError> {
        let name = |function: Option<FunctionId>| {
            function.map_or((OTHERS, ""), |function| {
                let function = &of.code.functions[function];
                (function.name, function.module)
            })
        };
        let mut hours: Vec<(Hour, Taken)> = self.hours.drain().collect();
        // Names that are alike are together, and so is what is asked for together.
        hours.sort_unstable_by_key(|&((hour, event, unit, function, program), _)| {
            (hour, event, unit, name(function), program)
        });
        for ((hour, event, unit, function, program), taken) in hours {
            let ran = of.ran(program);
            let (name, module) = name(function);
            out.row(&[
                ran.trace,
                ran.host,
                Cell::Text(of.version),
                Cell::Int(minute_micros(hour)),
                ran.program,
                ran.cgroup,
                Cell::Text(event),
                Cell::Text(unit),
                Cell::Text(name),
                Cell::Text(module),
                whole(taken.own.weight),
                whole(taken.total.weight),
                whole(taken.total.items),
            ])?;
        }
        Ok(())
    }
}

/// Where something ran, as rows have it.
#[derive(Clone, Copy)]
struct Ran<'p> {
    trace: Cell<'p>,
    host: Cell<'p>,
    program: Cell<'p>,
    cgroup: Cell<'p>,
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

    /// Where something ran; without a program, the first recording is meant.
    fn ran(&self, program: Option<usize>) -> Ran<'_> {
        let program = program.map(|program| &self.who.programs[program]);
        let source = program.map_or(0, |program| program.source);
        Ran {
            trace: Cell::Int(self.who.traces[source].id),
            host: Cell::Text(self.host(source)),
            program: Cell::Text(program.map_or("", |program| program.name)),
            cgroup: Cell::Text(program.map_or("", |program| &program.cgroup)),
        }
    }
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
