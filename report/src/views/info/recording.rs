//! How a recording was made, and what that cost as time went on.

use rz_profile::heap::AllocationSource;
use rz_profile::inventory::{
    Allocations, Captured, Clock, Cost, End, EndReason, Host, Recording, SourceInventory,
};
use rz_profile::model::{CallDetail, Tier};
use serde::Serialize;

use super::{cleaned, known};

/// Slices of a recording that its cost is shown of, at most.
const MAX_SLICES: usize = 8;

/// What is known of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordingInfo {
    /// Its index in `trace.recordings`.
    pub recording: usize,
    /// What people call it; `null` unless the trace was merged.
    pub label: Option<String>,
    /// The machine; `null` if nothing is known of it.
    pub host: Option<HostInfo>,
    /// How it was made; `null` if that is not known.
    pub recorder: Option<RecorderInfo>,
    /// What was recorded besides samples; `null` if that is not known.
    pub captured: Option<CapturedInfo>,
    /// How allocations were recorded; `null` if they were not.
    pub allocations: Option<AllocationsInfo>,
    /// One moment on several clocks; `null` if none is known.
    pub clock: Option<ClockInfo>,
    /// When and why it ended; `null` if that is not known, as of a recorder that
    /// was killed.
    pub end: Option<EndInfo>,
    /// What recording cost, in slices of about equal length, in order of time.
    pub costs: Vec<CostSlice>,
}

/// A machine; what is not known of it is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostInfo {
    /// Its name.
    pub hostname: Option<String>,
    /// The kernel's name, such as `Linux`.
    pub sysname: Option<String>,
    /// The kernel's release.
    pub release: Option<String>,
    /// What else the kernel calls its version.
    pub version: Option<String>,
    /// The kind of machine, such as `x86_64`.
    pub machine: Option<String>,
    /// CPUs that were online.
    pub cpus: Option<u32>,
    /// Size of a page in bytes.
    pub page_bytes: Option<u32>,
    /// Random number that its kernel drew when it was booted.
    pub boot_id: Option<String>,
}

/// How a recording was made; what is not known is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecorderInfo {
    /// Version of the recorder.
    pub version: Option<String>,
    /// How samples were taken: `bpf` or `perf`; of an imported trace what it
    /// was imported from, such as `perf.data`.
    pub tier: Option<String>,
    /// Effective user id of the recorder.
    pub uid: Option<u32>,
    /// Its command line, without the arguments of a program that it started.
    pub command: Option<Vec<String>>,
    /// Process ids that were asked for; none if the whole machine was.
    pub targets: Option<Vec<u32>>,
    /// Whether children of the targets were recorded, too.
    pub follows_children: Option<bool>,
    /// Whether kernel stacks were recorded.
    pub kernel_stacks: Option<bool>,
    /// Bytes of a user stack that were copied for each sample, at most.
    pub stack_bytes: Option<u32>,
}

/// What was recorded besides samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapturedInfo {
    /// Whether all processes of the machine were recorded.
    pub system_wide: bool,
    /// Whether intervals off the CPU were recorded.
    pub waits: bool,
    /// How much of system calls was recorded.
    pub syscalls: CapturedCalls,
    /// Numbers of the system calls that were recorded; `null` if all were.
    pub syscall_numbers: Option<Vec<u32>>,
    /// Bytes of each buffer that were copied for system calls, at most; `null` if none
    /// were: `rec --syscall-data`.
    pub syscall_data_bytes: Option<u32>,
    /// System calls that took less, in nanoseconds, are in sums only.
    pub slower_than_ns: u64,
    /// Waits and system calls that took so long, in nanoseconds, have a stack
    /// each; shorter ones share one stack for so much of their time.
    pub stack_threshold_ns: u64,
}

/// How much of system calls was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CapturedCalls {
    /// Nothing.
    None,
    /// Sums.
    Totals,
    /// Sums and every call.
    Calls,
    /// An amount that this program does not know.
    Unknown,
}

/// How allocations were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AllocationsInfo {
    /// By what.
    pub by: AllocationsBy,
    /// Bytes between samples, on average; 0 if every allocation was recorded.
    pub interval_bytes: u64,
}

/// What reported allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AllocationsBy {
    /// A library that was loaded with the program.
    Hook,
    /// Probes in the code of a running process.
    Probes,
    /// Something that this program does not know.
    Unknown,
}

/// One moment on several clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClockInfo {
    /// On `CLOCK_MONOTONIC`, the trace's clock, in nanoseconds.
    pub monotonic_ns: u64,
    /// Since the Unix epoch, in nanoseconds; `null` if unknown.
    pub unix_ns: Option<u64>,
    /// Nanoseconds since boot for which the machine was suspended; `null` if
    /// unknown.
    pub suspended_ns: Option<u64>,
}

/// The end of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EndInfo {
    /// Why it ended.
    pub reason: EndedBy,
    /// When, in nanoseconds since this recording's own beginning, also in a
    /// merged trace; `null` if that is not known.
    pub end_ns: Option<u64>,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The time that was asked for was over.
    Duration,
    /// All targets had ended.
    TargetsExited,
    /// It was interrupted.
    Interrupted,
    /// A limit on the file's size was reached.
    Limit,
    /// A reason that this program does not know.
    Unknown,
}

/// What the recorder used in a slice of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CostSlice {
    /// End of the slice, in nanoseconds after the recording's beginning.
    pub until_ns: u64,
    /// Length of the slice in nanoseconds.
    pub length_ns: u64,
    /// CPU time used in it, in nanoseconds.
    pub cpu_ns: u64,
    /// Peak of resident memory up to its end, in bytes.
    pub peak_bytes: u64,
    /// Most bytes that waited to be unwound in it.
    pub queued_bytes: u64,
    /// Bytes written to the trace up to its end.
    pub written_bytes: u64,
}

/// What is known of the recording at an index.
pub(super) fn recording_info((index, source): (usize, &SourceInventory)) -> RecordingInfo {
    let start_ns = source.recording.as_ref().map(|recording| recording.start_ns);
    RecordingInfo {
        recording: index,
        label: known(&source.label),
        host: source.host.as_ref().map(host_info),
        recorder: source.recording.as_ref().map(recorder_info),
        captured: source
            .captured
            .as_ref()
            .map(|captured| captured_info(captured, source.data_bytes)),
        allocations: source.allocations.as_ref().map(allocations_info),
        clock: source.clock.as_ref().map(clock_info),
        end: source.end.as_ref().map(|end| end_info(end, start_ns)),
        costs: cost_slices(&source.costs, start_ns.unwrap_or(0)),
    }
}

fn host_info(host: &Host) -> HostInfo {
    HostInfo {
        hostname: known(&host.hostname),
        sysname: known(&host.sysname),
        release: known(&host.release),
        version: known(&host.version),
        machine: known(&host.machine),
        cpus: Some(host.cpus).filter(|&cpus| cpus > 0),
        page_bytes: Some(host.page_size).filter(|&bytes| bytes > 0),
        boot_id: known(&host.boot_id),
    }
}

fn recorder_info(recording: &Recording) -> RecorderInfo {
    // An imported trace has zeroes for what its recorder did not say: perf does
    // not say who ran it and on which processes, other formats nothing.
    let tier = Tier::from_name(&recording.tier);
    let (is_own, says_how) = match &tier {
        Some(Tier::Perf | Tier::Bpf) => (true, true),
        Some(Tier::PerfData) => (false, true),
        Some(Tier::Pprof | Tier::Folded | Tier::Other(_)) | None => (false, false),
    };
    let command = Some(&recording.command).filter(|command| !command.is_empty());
    RecorderInfo {
        version: known(&recording.recorder),
        tier: tier.as_ref().and_then(|tier| known(tier.name())),
        uid: is_own.then_some(recording.uid),
        command: command.map(|command| command.iter().map(|word| cleaned(word)).collect()),
        targets: is_own.then(|| recording.targets.clone()),
        follows_children: says_how.then_some(recording.follow),
        kernel_stacks: says_how.then_some(recording.kernel),
        stack_bytes: says_how.then_some(recording.stack_bytes),
    }
}

fn captured_info(captured: &Captured, data_bytes: u32) -> CapturedInfo {
    let numbers = &captured.call_numbers;
    CapturedInfo {
        system_wide: captured.system_wide,
        waits: captured.waits,
        syscalls: match CallDetail::from(captured.calls) {
            CallDetail::None => CapturedCalls::None,
            CallDetail::Totals => CapturedCalls::Totals,
            CallDetail::Calls => CapturedCalls::Calls,
            CallDetail::Unknown => CapturedCalls::Unknown,
        },
        syscall_numbers: (!numbers.is_empty()).then(|| numbers.clone()),
        syscall_data_bytes: (data_bytes > 0).then_some(data_bytes),
        slower_than_ns: captured.slower_than_ns,
        stack_threshold_ns: captured.stack_threshold_ns,
    }
}

fn allocations_info(allocations: &Allocations) -> AllocationsInfo {
    let by = match AllocationSource::from(allocations.source) {
        AllocationSource::Hook => AllocationsBy::Hook,
        AllocationSource::Probes => AllocationsBy::Probes,
        AllocationSource::Unknown => AllocationsBy::Unknown,
    };
    AllocationsInfo { by, interval_bytes: allocations.interval }
}

fn clock_info(clock: &Clock) -> ClockInfo {
    let Clock { monotonic_ns, realtime_ns, boottime_ns } = *clock;
    ClockInfo {
        monotonic_ns,
        unix_ns: Some(realtime_ns).filter(|&ns| ns > 0),
        suspended_ns: (boottime_ns > 0).then(|| boottime_ns.saturating_sub(monotonic_ns)),
    }
}

fn end_info(end: &End, start_ns: Option<u64>) -> EndInfo {
    let reason = match EndReason::from(end.reason) {
        EndReason::Duration => EndedBy::Duration,
        EndReason::TargetsExited => EndedBy::TargetsExited,
        EndReason::Interrupted => EndedBy::Interrupted,
        EndReason::Limit => EndedBy::Limit,
        EndReason::Unknown => EndedBy::Unknown,
    };
    // An imported trace without times ends at 0.
    let start_ns = start_ns.filter(|_| end.time_ns > 0);
    EndInfo { reason, end_ns: start_ns.map(|start_ns| end.time_ns.saturating_sub(start_ns)) }
}

/// Slices of about equal length, each with what was used in it; the recording
/// began at `start_ns`.
pub(super) fn cost_slices(costs: &[Cost], start_ns: u64) -> Vec<CostSlice> {
    let step = costs.len().div_ceil(MAX_SLICES).max(1);
    let last = costs.len().saturating_sub(1);
    let ends = costs.iter().enumerate().filter(|(index, _)| (last - index).is_multiple_of(step));
    let used = |cost: &Cost| cost.user_ns.saturating_add(cost.system_ns);
    let first = Cost { time_ns: start_ns, ..Cost::default() };
    let mut before = &first;
    let mut slices = Vec::new();
    for (index, cost) in ends {
        let from = (index + 1).saturating_sub(step);
        slices.push(CostSlice {
            until_ns: cost.time_ns.saturating_sub(start_ns),
            length_ns: cost.time_ns.saturating_sub(before.time_ns),
            cpu_ns: used(cost).saturating_sub(used(before)),
            peak_bytes: cost.peak_rss,
            queued_bytes: costs[from..=index].iter().map(|cost| cost.queued).max().unwrap_or(0),
            written_bytes: cost.written,
        });
        before = cost;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recorder_does_not_say_is_not_known() {
        let check = |tier: &str, expected: [Option<u32>; 4], targets: Option<Vec<u32>>| {
            let recording = Recording { tier: tier.into(), ..Recording::default() };
            let info = recorder_info(&recording);
            let [follows, kernel] =
                [info.follows_children, info.kernel_stacks].map(|is_so| is_so.map(u32::from));
            assert_eq!([info.uid, follows, kernel, info.stack_bytes], expected, "{tier}");
            assert_eq!((info.targets, info.command), (targets, None), "{tier}");
        };
        check("bpf", [Some(0); 4], Some(Vec::new()));
        check("perf", [Some(0); 4], Some(Vec::new()));
        check("perf.data", [None, Some(0), Some(0), Some(0)], None);
        check("folded", [None; 4], None);
        check("pprof", [None; 4], None);
        check("", [None; 4], None);
    }

    #[test]
    fn the_end_of_what_has_no_times_is_not_known() {
        let end_ns = |time_ns, start_ns| {
            let end = End { time_ns, ..End::default() };
            end_info(&end, start_ns).end_ns
        };
        assert_eq!(end_ns(0, Some(0)), None);
        assert_eq!(end_ns(7, None), None);
        assert_eq!((end_ns(7, Some(0)), end_ns(7, Some(5))), (Some(7), Some(2)));
    }
}
