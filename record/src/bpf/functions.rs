//! Calls of functions: probes at their beginnings and ends, as long as these are not too
//! dear.

use std::io;

use libbpf_rs::{Link, UprobeOpts};
use rz_format::{LossClass, LossReason};

use super::error::{BpfError, refused};
use super::guard::{self, ENTRY_NS, Excess, Guard};
use super::layout::{FunctionInfo, function_info};
use super::maps::{Counters, Table};
use super::programs::Loaded;
use crate::functions::{Function, ProbedFunctions};
use crate::host::now_ns;
use crate::queue::Batch;

/// The probes of a recording.
pub(super) struct FunctionProbes {
    links: Vec<Link>,
    hits: Counters,
    guard: Guard,
    limit_percent: u32,
    /// When calls ceased to be recorded; 0 if they still are.
    given_up_ns: u64,
    /// When the file began, if it is not the first one.
    handed_over_ns: u64,
}

impl FunctionProbes {
    /// Sets the probes in the processes that have the functions, or with `everywhere` in
    /// all that use their files.
    pub(super) fn attach(
        loaded: &Loaded,
        functions: &ProbedFunctions,
        everywhere: bool,
        limit_percent: u32,
    ) -> Result<Self, BpfError> {
        let infos: Table<4, { size_of::<FunctionInfo>() }> = Table::of(loaded, "function_infos")?;
        for function in functions.all() {
            let set = infos.set(function.record.number.to_ne_bytes(), &function_info(function));
            set.map_err(|error| refused("the list of functions", &error))?;
        }
        let step_ns = match functions.all().any(|function| function.is_stepped) {
            true => step_ns(loaded).unwrap_or_else(|error| {
                log::info!("what a single step costs cannot be told: {error}");
                ENTRY_NS
            }),
            false => ENTRY_NS,
        };
        let mut links = Vec::new();
        for file in &functions.files {
            let all = [-1];
            let pids: Vec<i32> = file.pids.iter().map(|pid| *pid as i32).collect();
            for &pid in if everywhere { &all[..] } else { &pids[..] } {
                for function in &file.functions {
                    // First the end: a call that is under way then is not awaited.
                    for (program, is_end) in [("on_function_end", true), ("on_function", false)] {
                        let link = attach_one(loaded, program, &file.path, pid, function, is_end);
                        let name = &function.record.name;
                        links.push(link.map_err(|error| {
                            refused(format!("a probe at {name} in {}", file.name), &error)
                        })?);
                    }
                }
            }
        }
        Ok(FunctionProbes {
            links,
            hits: Counters::of(loaded, "function_hits")?,
            guard: Guard::new(limit_percent, now_ns(), step_ns),
            limit_percent,
            given_up_ns: 0,
            handed_over_ns: 0,
        })
    }

    /// Looks whether the probes are still worth what they cost. If not, or if that cannot be
    /// told, they are taken away.
    pub(super) fn look(&mut self, batch: &mut Batch) {
        if self.links.is_empty() {
            return;
        }
        let hits = [0, 1, 2].map(|kind| self.hits.sum(kind));
        let [Ok(entries), Ok(returns), Ok(steps)] = hits else {
            self.give_up();
            batch
                .notes
                .push("calls of functions are recorded no more: they cannot be counted".into());
            return;
        };
        let excess = self.guard.look(now_ns(), [entries, returns, steps], false);
        if let Some(Excess { calls_per_second, percent }) = excess {
            self.give_up();
            batch.notes.push(format!(
                "the functions are called {calls_per_second} times a second, which costs their \
                 processes {percent} % of a CPU to record, more than {} %: their calls are \
                 recorded no more; --call-limit allows more",
                self.limit_percent
            ));
        }
    }

    /// Takes the probes away, in the end.
    pub(super) fn detach(&mut self) {
        self.links.clear();
    }

    /// What is missing of a file, at its end.
    pub(super) fn lose(&mut self, batch: &mut Batch) {
        let now_ns = now_ns();
        if self.given_up_ns > 0 {
            let since = self.given_up_ns.max(self.handed_over_ns);
            batch.lose(LossReason::TooDear, LossClass::FunctionCalls, since, now_ns, 0);
        }
        self.handed_over_ns = now_ns;
    }

    fn give_up(&mut self) {
        self.links.clear();
        self.given_up_ns = now_ns();
    }
}

fn attach_one(
    loaded: &Loaded,
    program: &str,
    path: &std::path::Path,
    pid: i32,
    function: &Function,
    retprobe: bool,
) -> io::Result<Link> {
    let cookie = function.record.number.into();
    let options = UprobeOpts { cookie, retprobe, ..UprobeOpts::default() };
    let program = loaded.program(program).map_err(io::Error::other)?;
    let offset = function.file_offset as usize;
    program.attach_uprobe_with_opts(pid, path, offset, options).map_err(io::Error::other)
}

fn step_ns(loaded: &Loaded) -> io::Result<u64> {
    guard::step_ns(|offset, _| {
        let program = loaded.program("on_function").map_err(io::Error::other)?;
        let own = std::process::id() as i32;
        program
            .attach_uprobe_with_opts(own, guard::OWN_FILE, offset as usize, UprobeOpts::default())
            .map_err(io::Error::other)
    })
}
