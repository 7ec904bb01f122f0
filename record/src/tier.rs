//! Which of the tiers records.

use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use rz_format::CallDetail;

use crate::alloc::executed;
use crate::bpf::{self, BpfError};
use crate::capture::Attached;
use crate::config::{CallOptions, Config, Target, TierChoice, Trigger};
use crate::error::RecordError;
use crate::functions;
use crate::perf::{self, AttachError, Targets};

/// Attaches by the tier that was asked for, or by the best one there is.
pub(crate) fn attach(
    config: &Config,
    pids: &[u32],
    start_on_exec: bool,
) -> Result<Attached, RecordError> {
    // Before programs are loaded, which takes a while.
    let is_gone = |pid: &&u32| kill(Pid::from_raw(**pid as i32), None) == Err(Errno::ESRCH);
    if let Some(pid) = pids.iter().find(is_gone) {
        return Err(AttachError::NoSuchProcess(*pid).into());
    }
    if config.allocations.is_some() && matches!(config.target, Target::Machine) {
        return Err(RecordError::AllocationsOfAll);
    }
    if !config.functions.is_empty() && matches!(config.target, Target::Machine) {
        return Err(RecordError::FunctionsOfAll);
    }
    let only_counts = |calls: &CallOptions| calls.detail == CallDetail::Totals;
    if config.calls.as_ref().is_some_and(|calls| only_counts(calls) && calls.data_bytes > 0) {
        return Err(RecordError::DataOfTotals);
    }
    // A program that is started reports its own.
    let allocations = config.allocations.filter(|_| matches!(config.target, Target::Processes(_)));
    let program = match &config.target {
        Target::Program(command) => {
            executed(command).pop().or_else(|| command.first().map(PathBuf::from))
        }
        Target::Processes(_) | Target::Threads(_) | Target::Machine => None,
    };
    let functions = functions::find(&config.functions, pids, program.as_deref())?;
    let has = |is: fn(&Trigger) -> bool| config.triggers.iter().any(is);
    let needs_bpf = if has(|trigger| matches!(trigger, Trigger::Call { .. })) {
        Some("--on syscall:")
    } else if has(|trigger| matches!(trigger, Trigger::Crash)) {
        Some("--on crash")
    } else if config.waits {
        Some("--off-cpu")
    } else if config.calls.is_some() {
        Some("--syscalls")
    } else if !config.functions.is_empty() {
        Some("--call")
    } else if allocations.is_some() {
        Some("--alloc of a running process")
    } else if matches!(config.target, Target::Machine) {
        Some("--all")
    } else {
        None
    };
    if config.tier == TierChoice::Perf {
        if let Some(what) = needs_bpf {
            return Err(RecordError::NotInPerfTier(what));
        }
    } else {
        let options = bpf::Options {
            pids: pids.to_vec(),
            all: matches!(config.target, Target::Machine),
            frequency_hz: config.frequency_hz,
            kernel: config.kernel,
            follow: config.follow,
            stack_bytes: config.stack_bytes,
            start_on_exec,
            waits: config.waits,
            calls: config.calls.clone(),
            allocations,
            functions: Arc::new(functions),
            function_limit_percent: config.function_limit_percent,
            stack_threshold_ns: config.stack_threshold_ns,
            types: config.types.clone(),
        };
        match (bpf::attach(&options), needs_bpf) {
            (Ok(attached), _) => return Ok(attached),
            (Err(BpfError::NoSuchProcess(pid)), _) => {
                return Err(AttachError::NoSuchProcess(pid).into());
            }
            (Err(cause), Some(what)) => return Err(RecordError::Bpf { what, cause }),
            (Err(cause), None) if config.tier == TierChoice::Bpf => {
                return Err(RecordError::Bpf { what: "--tier bpf", cause });
            }
            (Err(cause), None) => log::info!("recording by perf events: {cause}"),
        }
    }
    let targets = Targets {
        pids: pids.to_vec(),
        frequency_hz: config.frequency_hz,
        kernel: config.kernel,
        follow: config.follow,
        stack_bytes: config.stack_bytes,
        start_on_exec,
    };
    Ok(perf::attach(&targets)?)
}
