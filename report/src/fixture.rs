//! Profiles made by hand, with known answers, for the tests of this crate.

use rz_profile::model::*;
use rz_profile::reason::{Place, Reason, WaitReason};

/// The reasons that stacks in tests end in.
const REASONS: [Reason; 5] = [
    Reason::OffCpu(WaitReason::In(Place::Syscall(202))),
    Reason::OffCpu(WaitReason::Preempted),
    Reason::OffCpu(WaitReason::Sleeping),
    Reason::OffCpu(WaitReason::Stopped),
    Reason::Syscall(0),
];

/// A sampling period that keeps sums easy to read: 10 ms.
pub const PERIOD: u64 = 10_000_000;

/// Builds a profile from stacks written as names, root first.
///
/// A name's suffix says what the frame is: `_[k]` kernel, `_[j]` JIT, `_[i]`
/// inlined into the frame before it. `[truncated]` stands for callers that
/// could not be followed, and what one of [`REASONS`] is called says why.
pub struct Builder {
    pub profile: Profile,
}

impl Builder {
    /// A recording of 10 s at 100 Hz with one process, `app`, with one thread.
    pub fn new() -> Self {
        let info = Info {
            host: "db7".into(),
            os: "Linux 6.1.0 x86_64".into(),
            cpus: 16,
            recorder: "rec 0.1.0".into(),
            tiers: vec![Tier::Perf],
            start_unix_ns: 1_795_233_012_000_000_000,
            duration_ns: 10_000_000_000,
            recording_ns: 10_000_000_000,
            recorder_cpu_ns: 31_000_000,
            recorder_peak_rss: 12 << 20,
            file_size: 4096,
            ..Info::default()
        };
        let event = Event { name: "cpu-clock".into(), frequency_hz: 100, ..Event::default() };
        let module = |kind, name: &str| Module { kind, name: name.into(), ..Module::default() };
        let mut builder = Builder {
            profile: Profile {
                info,
                events: vec![event],
                modules: vec![
                    module(ModuleKind::File, "app"),
                    module(ModuleKind::Kernel, "[kernel]"),
                    module(ModuleKind::Anonymous, "[anon]"),
                ],
                ..Profile::default()
            },
        };
        let process = builder.process("app", 4242);
        builder.thread(process, "app", 4242);
        builder
    }

    pub fn process(&mut self, name: &str, pid: u32) -> ProcessId {
        let exe = format!("/usr/bin/{name}");
        let kernel = false;
        self.profile.processes.push(Process { pid, name: name.into(), exe, kernel, source: 0 });
        self.profile.processes.len() - 1
    }

    pub fn thread(&mut self, process: ProcessId, name: &str, tid: u32) -> ThreadId {
        self.profile.threads.push(Thread { process, tid, name: name.into() });
        self.profile.threads.len() - 1
    }

    fn function(&mut self, name: &str, module: Option<ModuleId>) -> FunctionId {
        let known = |f: &Function| f.name == name && f.module == module;
        if let Some(id) = self.profile.functions.iter().position(known) {
            return id;
        }
        let nameless = name.starts_with('[') && name.contains("+0x");
        let name = name.to_owned();
        self.profile.functions.push(Function { name, nameless, module, ..Function::default() });
        self.profile.functions.len() - 1
    }

    /// The stack of these frames, root first.
    pub fn stack(&mut self, frames: &[&str]) -> StackId {
        let mut parent = None;
        let mut i = 0;
        while i < frames.len() {
            let (kind, module, name) = match frames[i] {
                "[truncated]" => (FrameKind::Truncated, None, "[truncated]"),
                frame => {
                    let reason = REASONS.iter().find(|reason| reason.frame_name() == frame);
                    let marked = (frame.strip_suffix("_[k]"), frame.strip_suffix("_[j]"));
                    match (reason, marked) {
                        (Some(&reason), _) => (FrameKind::Reason(reason), None, frame),
                        (None, (Some(name), _)) => (FrameKind::Kernel, Some(1), name),
                        (None, (_, Some(name))) => (FrameKind::Jit, Some(2), name),
                        (None, _) => (FrameKind::User, Some(0), frame),
                    }
                }
            };
            let mut lines = vec![Line { function: self.function(name, module), ..Line::default() }];
            while let Some(name) = frames.get(i + 1).and_then(|f| f.strip_suffix("_[i]")) {
                lines.insert(0, Line { function: self.function(name, module), ..Line::default() });
                i += 1;
            }
            let location = Location { kind, module, lines, ..Location::default() };
            let known = self.profile.locations.iter().position(|l| *l == location);
            let location = known.unwrap_or_else(|| {
                self.profile.locations.push(location);
                self.profile.locations.len() - 1
            });
            let node = StackNode { parent, location };
            let known = self.profile.stacks.iter().position(|n| *n == node);
            parent = Some(known.unwrap_or_else(|| {
                self.profile.stacks.push(node);
                self.profile.stacks.len() - 1
            }));
            i += 1;
        }
        parent.expect("a stack has frames")
    }

    /// `count` samples of `stack` in `thread`, each worth [`PERIOD`].
    pub fn sample(&mut self, thread: ThreadId, stack: impl Into<Option<StackId>>, count: u64) {
        let stack = stack.into();
        self.profile.info.samples += count;
        let weight = count * PERIOD;
        self.profile.samples.push(Sample { event: 0, thread, stack, count, weight });
    }

    /// A profile of the first thread with these stacks (root first, separated
    /// by `;`) and counts.
    pub fn of(stacks: &[(&str, u64)]) -> Profile {
        let mut builder = Builder::new();
        for (stack, count) in stacks {
            let frames: Vec<&str> = stack.split(';').collect();
            let stack = builder.stack(&frames);
            builder.sample(0, stack, *count);
        }
        builder.profile
    }
}

/// What `write` writes, as text.
pub fn text(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("writing to memory works");
    String::from_utf8(out).expect("reports are UTF-8")
}
