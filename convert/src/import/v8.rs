//! Profiles of V8: `.cpuprofile` and `.heapprofile`, of Node, Chromium and Deno.

use std::fmt;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{Frame, Record, Sample, StackId};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input, json};

/// What V8 calls the bottom of every stack.
const ROOT: &str = "(root)";
/// What it calls the time in which nothing ran.
const IDLE: &str = "(idle)";
/// What it calls the collection of garbage, wherever that began.
const GARBAGE: &str = "(garbage collector)";

/// Events of a CPU profile: the thread at work, and waiting for something to do.
const TIME: u32 = 0;
const IDLE_TIME: u32 = 1;

/// A function as V8 describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CallFrame {
    function_name: String,
    url: String,
    /// From 0 on; below that if it is not known.
    line_number: f64,
    column_number: f64,
}

/// A place in the tree of calls. Callers are told by lists of callees, or by the callee, or
/// callees are in their callers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    id: u64,
    call_frame: Option<CallFrame>,
    parent: Option<u64>,
    children: Vec<Child>,
    hit_count: u64,
    self_size: f64,
    // What older versions have in place of a call frame.
    function_name: String,
    url: String,
    line_number: f64,
    column_number: f64,
}

#[derive(Debug)]
enum Child {
    Number(u64),
    Node(Box<Node>),
}

impl<'de> Deserialize<'de> for Child {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Child;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node or its number")
            }

            fn visit_u64<E>(self, id: u64) -> Result<Child, E> {
                Ok(Child::Number(id))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Child, A::Error> {
                let node = Node::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Child::Node(Box::new(node)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A CPU profile.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CpuProfile {
    pub(super) nodes: Vec<Node>,
    /// The root, in older versions.
    head: Option<Node>,
    /// Which node each sample is of.
    pub(super) samples: Vec<u64>,
    /// Microseconds since the sample before, or since the start.
    pub(super) time_deltas: Vec<f64>,
    /// Microseconds, in older versions.
    timestamps: Vec<f64>,
    /// In microseconds; in seconds in older versions, which have a `head`.
    pub(super) start_time: f64,
    pub(super) end_time: f64,
}

/// A heap profile.
#[derive(Debug, Deserialize)]
struct HeapProfile {
    head: Node,
}

pub(super) fn import_cpu(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let profile: CpuProfile = json::read_nested(&input.file, "CPU profile of V8")?;
    if profile.nodes.is_empty() && profile.head.is_none() {
        return Err(ImportError::Unusable("damaged CPU profile of V8: it has no nodes".to_owned()));
    }
    let mut out = Output::of(input, "cpuprofile", out)?;
    let mut tree = Tree::default();
    let thread = Named { pid: 0, tid: 0, name: "JavaScript".to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    describe_cpu(&mut out)?;
    let end_ns = add_cpu(profile, thread, &mut tree, &mut out)?;
    out.finish(Some(end_ns))
}

/// Says what samples of CPU profiles count.
pub(super) fn describe_cpu(out: &mut Output) -> Result<(), ImportError> {
    out.record(Record::Event(Amounts::MICROSECONDS.event(TIME, "time")))?;
    out.record(Record::Event(Amounts::MICROSECONDS.event(IDLE_TIME, "idle")))
}

/// Adds the samples of a profile, and returns when it ended.
pub(super) fn add_cpu(
    mut profile: CpuProfile,
    thread: u32,
    tree: &mut Tree,
    out: &mut Output,
) -> Result<u64, ImportError> {
    let is_old = profile.head.is_some();
    tree.add(profile.nodes, profile.head, out)?;
    let microseconds = if is_old { 1e6 } else { 1.0 };
    let (start, end) = (profile.start_time * microseconds, profile.end_time * microseconds);
    let times = times(&profile.time_deltas, &mut profile.timestamps, start);
    let mut end_ns = 0;
    let mut add = |node: &Placed, stack, weight_us: f64, time_us: f64, out: &mut Output| {
        let event = if node.is_idle { IDLE_TIME } else { TIME };
        let (amounts, time_us) = (Amounts::MICROSECONDS, time_us - start);
        let (weight, time_ns) = (amounts.weight(weight_us), amounts.weight(time_us));
        end_ns = end_ns.max(time_ns);
        if weight == 0 {
            return Ok(());
        }
        out.sample(Sample { event, thread, stack, weight, time_ns, ..Sample::default() })
    };
    if profile.samples.is_empty() {
        // There are counts only. What a sample stands for is the mean of all.
        let all: u64 = tree.nodes.values().map(|node| node.hits).sum();
        let each = (end - start).max(0.0) / all.max(1) as f64;
        for node in tree.nodes.values() {
            add(node, node.stack, each * node.hits as f64, end, out)?;
        }
        return Ok(end_ns);
    }
    let mut before = None;
    let nowhere = Placed::default();
    let mut lost = 0;
    for (index, id) in profile.samples.iter().enumerate() {
        let node = tree.nodes.get(id).unwrap_or_else(|| {
            lost += 1;
            &nowhere
        });
        // A sample is of the time until the next one.
        let at = times.get(index).copied().unwrap_or(end);
        let next = times.get(index + 1).copied().unwrap_or(end.max(at));
        // Garbage is collected on top of what ran.
        let stack = match before.filter(|_| node.is_garbage) {
            Some(caller) => node.frame.map(|frame| out.stack(Some(caller), frame)),
            None => node.stack,
        };
        before = if node.is_garbage { before } else { node.stack };
        add(node, stack, next - at, next, out)?;
    }
    if lost > 0 {
        out.note(format!(
            "{lost} samples are of functions that the profile does not have: they have no stack"
        ));
    }
    Ok(end_ns)
}

/// When samples were taken, in microseconds.
fn times(deltas: &[f64], timestamps: &mut Vec<f64>, start: f64) -> Vec<f64> {
    if deltas.is_empty() {
        return std::mem::take(timestamps);
    }
    let mut now = start;
    let next = |delta: &f64| {
        now += delta;
        now
    };
    let mut times: Vec<f64> = deltas.iter().map(next).collect();
    // Samples of other threads may come late; the order is right.
    let mut latest = f64::MIN;
    times.iter_mut().for_each(|time| {
        latest = latest.max(*time);
        *time = latest;
    });
    times
}

pub(super) fn import_heap(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let profile: HeapProfile = json::read_nested(&input.file, "heap profile of V8")?;
    let mut out = Output::of(input, "heapprofile", out)?;
    out.record(Record::Event(Amounts::BYTES.event(0, "inuse_space")))?;
    out.note("a heap profile of V8 has estimates of what was live at its end".to_owned());
    let thread = Named { pid: 0, tid: 0, name: "JavaScript".to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    let mut tree = Tree::default();
    tree.add(Vec::new(), Some(profile.head), &mut out)?;
    for (stack, size) in tree.sizes {
        let weight = Amounts::BYTES.weight(size);
        out.sample(Sample { thread, stack, weight, ..Sample::default() })?;
    }
    out.finish(Some(0))
}

/// A node that is in the trace.
#[derive(Debug, Default)]
struct Placed {
    stack: Option<StackId>,
    frame: Option<Frame>,
    is_idle: bool,
    is_garbage: bool,
    hits: u64,
}

/// The tree of calls.
#[derive(Debug, Default)]
pub(super) struct Tree {
    functions: Functions,
    nodes: FxHashMap<u64, Placed>,
    /// What is live of each stack.
    sizes: Vec<(Option<StackId>, f64)>,
}

impl Tree {
    /// Adds nodes: those of a list, whose callers may be there already, or all below one.
    pub(super) fn add(
        &mut self,
        mut list: Vec<Node>,
        head: Option<Node>,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let ids: FxHashMap<u64, usize> =
            list.iter().enumerate().map(|(index, node)| (node.id, index)).collect();
        let mut has_caller = vec![false; list.len()];
        let mut callees: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
        for (index, node) in list.iter().enumerate() {
            let listed = node.children.iter().filter_map(|child| match child {
                Child::Number(id) => ids.get(id).copied(),
                Child::Node(_) => None,
            });
            for callee in listed {
                has_caller[callee] = true;
                callees[index].push(callee);
            }
        }
        for (index, node) in list.iter().enumerate() {
            if let Some(caller) = node.parent.and_then(|parent| ids.get(&parent)) {
                has_caller[index] = true;
                callees[*caller].push(index);
            }
        }
        // Callers first; of a circle, which has no beginning, nothing is added.
        let mut next: Vec<(usize, Option<StackId>)> = (0..list.len())
            .filter(|index| !has_caller[*index])
            .map(|index| (index, self.stack_of(list[index].parent)))
            .collect();
        while let Some((index, caller)) = next.pop() {
            let node = std::mem::take(&mut list[index]);
            let stack = self.place(&node, caller, out);
            next.extend(std::mem::take(&mut callees[index]).into_iter().map(|one| (one, stack)));
        }
        let mut next: Vec<(Node, Option<StackId>)> = head.into_iter().map(|n| (n, None)).collect();
        while let Some((mut node, caller)) = next.pop() {
            let stack = self.place(&node, caller, out);
            next.extend(std::mem::take(&mut node.children).into_iter().filter_map(|child| {
                match child {
                    Child::Node(callee) => Some((*callee, stack)),
                    Child::Number(_) => None,
                }
            }));
        }
        Ok(())
    }

    fn stack_of(&self, id: Option<u64>) -> Option<StackId> {
        id.and_then(|id| self.nodes.get(&id)).and_then(|node| node.stack)
    }

    fn place(&mut self, node: &Node, caller: Option<StackId>, out: &mut Output) -> Option<StackId> {
        let at = node.call_frame.clone().unwrap_or_else(|| CallFrame {
            function_name: node.function_name.clone(),
            url: node.url.clone(),
            line_number: node.line_number,
            column_number: node.column_number,
        });
        let is_root = caller.is_none() && at.function_name == ROOT;
        let frame = (!is_root).then(|| self.functions.frame(at.function(), out));
        let stack = frame.map_or(caller, |frame| Some(out.stack(caller, frame)));
        let placed = Placed {
            stack,
            frame,
            is_idle: at.function_name == IDLE,
            is_garbage: at.function_name == GARBAGE,
            hits: node.hit_count,
        };
        self.nodes.insert(node.id, placed);
        if node.self_size > 0.0 {
            self.sizes.push((stack, node.self_size));
        }
        stack
    }
}

impl CallFrame {
    fn function(&self) -> Function {
        let name = match &self.function_name[..] {
            "" => "(anonymous)",
            name => name,
        };
        // Numbers are from 0 on; a cast makes 0 of what is below.
        let number = |number: f64| if self.url.is_empty() { 0 } else { (number + 1.0) as u32 };
        Function {
            name: name.to_owned(),
            file: self.url.clone(),
            line: number(self.line_number),
            column: number(self.column_number),
            module: String::new(),
        }
    }
}
