//! Perfetto's trace: samples with their stacks and weights, waits and system calls as
//! slices on tracks of their threads, and memory as a counter.
//!
//! Samples are `stack_sample` packets, which Perfetto knows from version 58 on: they have
//! a unit, so that all events are in one file and none is taken for another.

use std::io::{self, Write};

use prost::Message;
use rustc_hash::FxHashMap;

use super::about::about;
use super::layer::Layer;
use super::numbers::{Numbers, process_name};
use super::strings::Strings;
use super::timed::{in_time, intervals};
use rz_profile::model::{EventId, EventKind, Profile, StackId, Unit};
use rz_text::clean::clean;

mod proto;

use proto::{InternedData, TracePacket};

/// What a packet needs is in those before it.
const CLEARED: u32 = 1;
const NEEDED: u32 = 2;
/// All packets are of one writer.
const SEQUENCE: u32 = 1;
/// The clock of traces, and that of the day.
const MONOTONIC: u32 = 3;
const REALTIME: u32 = 1;
/// Entries that are written in one packet.
const ENTRIES_AT_ONCE: usize = 4096;

/// Kinds of events on tracks.
const BEGIN: i32 = 1;
const END: i32 = 2;
const COUNTER: i32 = 4;
/// What a counter counts.
const BYTES: i32 = 3;

/// Writes the profile, all events unless one is asked for.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut packets = Packets { out, profile, numbers: Numbers::of(profile) };
    packets.begin()?;
    packets.threads()?;
    let frames = packets.frames()?;
    let events = (0..profile.events.len()).filter(|&id| event.is_none_or(|event| event == id));
    let mut callstacks = Callstacks { frames, known: FxHashMap::default() };
    for event in events {
        packets.samples(event, &mut callstacks)?;
    }
    packets.intervals()?;
    packets.memory()
}

/// Numbers of frames, and of the stacks that were written.
struct Callstacks {
    /// Of each location those of its lines, innermost first.
    frames: Vec<Vec<u64>>,
    known: FxHashMap<StackId, u64>,
}

struct Packets<'a> {
    out: &'a mut dyn Write,
    profile: &'a Profile,
    numbers: Numbers,
}

/// Numbers of tracks: those of processes, then three of each thread.
struct Track;

impl Track {
    fn process(id: usize) -> u64 {
        4 * id as u64 + 1
    }

    fn thread(id: usize) -> u64 {
        4 * id as u64 + 2
    }

    fn waits(id: usize) -> u64 {
        4 * id as u64 + 3
    }

    fn calls(id: usize) -> u64 {
        4 * id as u64 + 4
    }

    /// None of the others.
    const MEMORY: u64 = 1 << 48;
}

impl Packets<'_> {
    fn write(&mut self, packet: TracePacket) -> io::Result<()> {
        let packet = TracePacket { trusted_packet_sequence_id: SEQUENCE, ..packet };
        let trace = proto::Trace { packet: vec![packet] };
        self.out.write_all(&trace.encode_to_vec())
    }

    fn intern(&mut self, interned_data: InternedData) -> io::Result<()> {
        let interned_data = Some(interned_data);
        self.write(TracePacket { interned_data, sequence_flags: NEEDED, ..TracePacket::default() })
    }

    /// Which clock times are of.
    fn begin(&mut self) -> io::Result<()> {
        let info = &self.profile.info;
        let clock = |clock_id, timestamp| proto::Clock { clock_id, timestamp };
        let clocks = vec![clock(MONOTONIC, info.start_ns), clock(REALTIME, info.start_unix_ns)];
        let snapshot = proto::ClockSnapshot { clocks, primary_trace_clock: MONOTONIC };
        let defaults = proto::TracePacketDefaults { timestamp_clock_id: MONOTONIC };
        self.write(TracePacket {
            clock_snapshot: Some(snapshot),
            trace_packet_defaults: Some(defaults),
            sequence_flags: CLEARED,
            ..TracePacket::default()
        })
    }

    fn describe(&mut self, track: proto::TrackDescriptor) -> io::Result<()> {
        self.write(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })
    }

    fn threads(&mut self) -> io::Result<()> {
        let profile = self.profile;
        for id in 0..profile.processes.len() {
            let process_labels = match id {
                0 => about(profile).iter().map(|line| clean(line).into()).collect(),
                _ => Vec::new(),
            };
            let process = proto::ProcessDescriptor {
                pid: self.numbers.pids[id].cast_signed(),
                process_name: process_name(profile, id),
                process_labels,
            };
            let uuid = Track::process(id);
            self.describe(proto::TrackDescriptor {
                uuid,
                process: Some(process),
                ..Default::default()
            })?;
        }
        for (id, thread) in profile.threads.iter().enumerate() {
            let thread = proto::ThreadDescriptor {
                pid: self.numbers.pids[thread.process].cast_signed(),
                tid: self.numbers.tids[id].into(),
                thread_name: clean(&thread.name).into(),
            };
            let uuid = Track::thread(id);
            self.describe(proto::TrackDescriptor {
                uuid,
                thread: Some(thread),
                ..Default::default()
            })?;
        }
        Ok(())
    }

    /// Writes files, functions and frames, and returns the numbers of frames.
    fn frames(&mut self) -> io::Result<Vec<Vec<u64>>> {
        let profile = self.profile;
        let mut strings = Strings::default();
        let mut build_ids = Strings::default();
        let mappings = profile.modules.iter().enumerate().map(|(id, module)| {
            let hex: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
            let path = if module.path.is_empty() { &module.name } else { &module.path };
            proto::Mapping {
                iid: id as u64 + 1,
                build_id: build_ids.id(&hex) as u64,
                path_string_ids: vec![strings.id(path) as u64],
            }
        });
        let mappings = mappings.collect();
        let (mut frames, mut numbers) = (Vec::new(), Vec::with_capacity(profile.locations.len()));
        for location in &profile.locations {
            let of_location = location.lines.iter().map(|line| {
                let function = &profile.functions[line.function];
                frames.push(proto::Frame {
                    iid: frames.len() as u64 + 1,
                    function_name_id: strings.id(&function.name) as u64,
                    mapping_id: location.module.map_or(0, |id| id as u64 + 1),
                    rel_pc: location.address,
                    source_path_iid: strings.id(&function.file) as u64,
                    line_number: line.line,
                    kind: kind(Layer::of(location)),
                });
                frames.len() as u64
            });
            numbers.push(of_location.collect());
        }
        // One table of strings serves for all that has names.
        let interned = |strings: Strings| {
            let text = |(iid, text): (usize, String)| proto::InternedString {
                iid: iid as u64,
                str: text.into_bytes(),
            };
            strings.table.into_iter().enumerate().skip(1).map(text).collect::<Vec<_>>()
        };
        let build_ids = interned(build_ids);
        self.intern(InternedData { mappings, build_ids, ..InternedData::default() })?;
        for strings in interned(strings).chunks(ENTRIES_AT_ONCE) {
            self.intern(InternedData {
                mapping_paths: strings.to_vec(),
                source_paths: strings.to_vec(),
                function_names: strings.to_vec(),
                ..InternedData::default()
            })?;
        }
        for frames in frames.chunks(ENTRIES_AT_ONCE) {
            self.intern(InternedData { frames: frames.to_vec(), ..InternedData::default() })?;
        }
        Ok(numbers)
    }

    fn samples(&mut self, event: EventId, callstacks: &mut Callstacks) -> io::Result<()> {
        let profile = self.profile;
        let of = &profile.events[event];
        let descriptor = proto::SampleCounter {
            iid: event as u64 + 1,
            name: clean(&of.name).into(),
            unit: match of.unit {
                Unit::Nanoseconds => 1,
                Unit::Cycles => 2,
                Unit::Bytes => 4,
                Unit::Count => 9,
            },
        };
        let descriptors = vec![descriptor];
        let interned =
            InternedData { stack_sample_counter_descriptors: descriptors, ..Default::default() };
        self.intern(interned)?;
        for sample in in_time(profile, event) {
            let thread = &profile.threads[sample.thread];
            let callstack_iid = match sample.stack.get() {
                Some(stack) => Some(self.callstack(stack, callstacks)?),
                None => None,
            };
            let task = proto::TaskContext {
                pid: self.numbers.pids[thread.process],
                tid: self.numbers.tids[sample.thread],
            };
            self.write(TracePacket {
                timestamp: Some(sample.time_ns),
                sequence_flags: NEEDED,
                stack_sample: Some(proto::StackSample {
                    task_context: Some(task),
                    callstack_iid,
                    primary_descriptor_iid: Some(event as u64 + 1),
                    primary_weight: sample.weight,
                }),
                ..TracePacket::default()
            })?;
        }
        Ok(())
    }

    /// The number of a stack, which is written when it is first needed.
    fn callstack(&mut self, stack: StackId, callstacks: &mut Callstacks) -> io::Result<u64> {
        if let Some(&known) = callstacks.known.get(&stack) {
            return Ok(known);
        }
        let iid = callstacks.known.len() as u64 + 1;
        callstacks.known.insert(stack, iid);
        let nodes = std::iter::successors(Some(stack), |&id| self.profile.stacks[id].parent);
        let mut frame_ids: Vec<u64> = nodes
            .flat_map(|id| &callstacks.frames[self.profile.stacks[id].location])
            .copied()
            .collect();
        // The outermost is first.
        frame_ids.reverse();
        let callstack = proto::Callstack { iid, frame_ids };
        self.intern(InternedData { callstacks: vec![callstack], ..InternedData::default() })?;
        Ok(iid)
    }

    /// Waits and system calls, each on a track of its thread.
    fn intervals(&mut self) -> io::Result<()> {
        let profile = self.profile;
        let mut described = vec![[false; 2]; profile.threads.len()];
        for interval in intervals(profile) {
            let thread = interval.sample.thread;
            let (index, uuid, name) = match interval.kind {
                EventKind::OffCpu => (0, Track::waits(thread), "off-CPU"),
                _ => (1, Track::calls(thread), "system calls"),
            };
            if !std::mem::replace(&mut described[thread][index], true) {
                self.describe(proto::TrackDescriptor {
                    uuid,
                    parent_uuid: Some(Track::thread(thread)),
                    name: name.to_owned(),
                    ..Default::default()
                })?;
            }
            let name = clean(interval.name(profile)).into_owned();
            let begin =
                proto::TrackEvent { r#type: BEGIN, track_uuid: uuid, name, counter_value: None };
            let end = proto::TrackEvent { r#type: END, name: String::new(), ..begin.clone() };
            for (time_ns, event) in [(interval.sample.time_ns, begin), (interval.end_ns(), end)] {
                self.event(time_ns, event)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, time_ns: u64, event: proto::TrackEvent) -> io::Result<()> {
        self.write(TracePacket {
            timestamp: Some(time_ns),
            track_event: Some(event),
            sequence_flags: NEEDED,
            ..TracePacket::default()
        })
    }

    /// The most bytes that were there in each slice of time, of all processes together.
    fn memory(&mut self) -> io::Result<()> {
        let Some(heap) = &self.profile.heap else { return Ok(()) };
        self.describe(proto::TrackDescriptor {
            uuid: Track::MEMORY,
            name: "heap, all processes".to_owned(),
            counter: Some(proto::CounterDescriptor { unit: BYTES }),
            ..Default::default()
        })?;
        for (index, slice) in heap.live.slices.iter().enumerate() {
            let end_ns = heap.live.slice_ns.saturating_mul(index as u64 + 1);
            let event = proto::TrackEvent {
                r#type: COUNTER,
                track_uuid: Track::MEMORY,
                name: String::new(),
                // Saturates.
                counter_value: Some(slice.most as i64),
            };
            self.event(heap.live.start_ns.saturating_add(end_ns), event)?;
        }
        Ok(())
    }
}

/// Whose code a frame is.
fn kind(layer: Layer) -> i32 {
    match layer {
        Layer::Other | Layer::Reason => 0,
        Layer::Native => 1,
        Layer::Kernel => 2,
        Layer::Python | Layer::JavaScript | Layer::Java | Layer::Runtime => 3,
        Layer::Jit => 4,
    }
}
