//! Decides what of each record stays.
//!
//! Every field is named here, so that one that is new has to be decided about;
//! records of kinds that nobody decided about are left out.

use rz_format::{
    Allocator, CodeObject, Function, Generated, GeneratedLine, Host, Module, Named, Note, OpenFile,
    Process, ProcessFacts, Record, Recording, Source, Symbol, Thread, ThreadName, WorkingDirectory,
};

use super::code::{Origin, name_of_code};
use super::system::number_at_start;
use super::words::{is_common_variable, is_of_kernel, is_our_sentence};
use super::{Redactor, Sensitive};
use rz_profile::load::is_kernel_thread;

/// Processes, threads and modules that are remembered, at most.
const MAX_KNOWN: usize = 1 << 20;

impl Redactor {
    /// What stays of a record; `None` if nothing does.
    #[deny(clippy::wildcard_enum_match_arm)]
    pub(super) fn record(&mut self, record: Record) -> Option<Record> {
        Some(match record {
            Record::Host(host) => Record::Host(self.host(host)),
            Record::Recording(recording) => Record::Recording(self.recording(recording)),
            Record::Process(process) => Record::Process(self.process(process)),
            Record::Thread(Thread { id, process, tid, start_ns, name }) => {
                if self.kernel_processes.contains(&process) {
                    self.remember_kernel_thread(id);
                }
                let name = self.thread_name(id, name);
                Record::Thread(Thread { id, process, tid, start_ns, name })
            }
            Record::ThreadName(ThreadName { thread, time_ns, name }) => {
                let name = self.thread_name(thread, name);
                Record::ThreadName(ThreadName { thread, time_ns, name })
            }
            Record::Module(module) => Record::Module(self.module(module)),
            Record::Note(Note { text }) => {
                if !self.keeps(Sensitive::Notes) && !is_our_sentence(&text) {
                    self.count(Sensitive::Notes, 1);
                    return None;
                }
                Record::Note(Note { text })
            }
            Record::OpenFile(OpenFile { process, fd, time_ns, target, close_on_exec }) => {
                let target = self.paths.path(&target);
                Record::OpenFile(OpenFile { process, fd, time_ns, target, close_on_exec })
            }
            Record::WorkingDirectory(WorkingDirectory { process, path }) => {
                let path = self.paths.folder(&path);
                Record::WorkingDirectory(WorkingDirectory { process, path })
            }
            Record::Allocator(Allocator { process, path }) => {
                Record::Allocator(Allocator { process, path: self.paths.path(&path) })
            }
            Record::Function(Function { number, path, address, name, arguments, result }) => {
                let path = self.paths.path(&path);
                Record::Function(Function { number, path, address, name, arguments, result })
            }
            Record::CallData(_) if !self.keeps(Sensitive::Data) => return None,
            Record::Source(source) => Record::Source(self.source(source)),
            Record::Generated(generated) => Record::Generated(self.generated(generated)),
            Record::CodeObject(code) => Record::CodeObject(self.code_object(code)),
            Record::ProcessFacts(facts) => Record::ProcessFacts(self.facts(facts)),
            Record::Named(named) => Record::Named(self.named(named)),
            // Names of the kernel's functions.
            Record::Symbol(Symbol { module, start, length, name, area }) => {
                Record::Symbol(Symbol { module, start, length, name, area })
            }
            // Numbers, and words of rz's own.
            record @ (Record::Event(_)
            | Record::Clock(_)
            | Record::ProcessExit(_)
            | Record::ThreadExit(_)
            | Record::Mapping(_)
            | Record::Loss(_)
            | Record::Cost(_)
            | Record::End(_)
            | Record::Captured(_)
            | Record::CpuTimes(_)
            | Record::CallData(_)
            | Record::LastRan(_)
            | Record::Allocations(_)
            | Record::OfSource(_)
            | Record::Redaction(_)) => record,
        })
    }

    fn host(&mut self, host: Host) -> Host {
        if self.keeps(Sensitive::Host) {
            return host;
        }
        let Host { hostname, sysname, release, version, machine, cpus, page_size, boot_id } = host;
        let number = number_at_start(&release).to_owned();
        let changed = [&hostname, &boot_id, &version].map(|text| u64::from(!text.is_empty()));
        let changed = changed.iter().sum::<u64>() + u64::from(number != release);
        self.count(Sensitive::Host, changed);
        Host {
            hostname: self.pseudonym("host", &hostname),
            sysname,
            release: number,
            version: String::new(),
            machine,
            cpus,
            page_size,
            boot_id: self.pseudonym("boot", &boot_id),
        }
    }

    fn recording(&mut self, recording: Recording) -> Recording {
        let Recording {
            mut recorder,
            mut command,
            tier,
            targets,
            follow,
            kernel,
            uid,
            stack_bytes,
            start_ns,
        } = recording;
        self.leave_out(&mut command, Sensitive::Args);
        if !self.keeps(Sensitive::Host) {
            // Distributions and others who build it put their mark on it.
            let program = if recorder.starts_with("perf ") { "perf " } else { "" };
            let number = number_at_start(&recorder[program.len()..]);
            let version = format!("{program}{number}");
            self.count(Sensitive::Host, u64::from(version != recorder));
            recorder = version;
        }
        Recording { recorder, command, tier, targets, follow, kernel, uid, stack_bytes, start_ns }
    }

    fn process(&mut self, process: Process) -> Process {
        let is_kernel = is_kernel_thread(&process) && is_of_kernel(&process.name);
        if is_kernel && self.kernel_processes.len() < MAX_KNOWN {
            self.kernel_processes.insert(process.id);
        }
        let Process { id, pid, parent_pid, start_ns, exe, argv0, name } = process;
        let exe = self.paths.path(&exe);
        let argv0 = match self.keeps(Sensitive::Args) {
            true => argv0,
            false => self.first_argument(&argv0),
        };
        let name = if is_kernel { name } else { self.name(name) };
        Process { id, pid, parent_pid, start_ns, exe, argv0, name }
    }

    /// The word that a process was started by: mostly the path of its program.
    fn first_argument(&mut self, argv0: &str) -> String {
        let changed = match argv0.contains(char::is_whitespace) {
            true => self.paths.pseudonyms.of("argument", argv0),
            false => self.paths.path(argv0),
        };
        self.count(Sensitive::Args, u64::from(changed != argv0));
        changed
    }

    fn name(&mut self, name: String) -> String {
        if self.keeps(Sensitive::Names) {
            return name;
        }
        let changed = self.paths.name(&name);
        self.count(Sensitive::Names, u64::from(changed != name));
        changed
    }

    fn thread_name(&mut self, thread: u32, name: String) -> String {
        let is_kernel = self.kernel_threads.contains(&thread) && is_of_kernel(&name);
        if is_kernel { name } else { self.name(name) }
    }

    fn remember_kernel_thread(&mut self, id: u32) {
        if self.kernel_threads.len() < MAX_KNOWN {
            self.kernel_threads.insert(id);
        }
    }

    fn module(&mut self, module: Module) -> Module {
        let Module { id, kind, path, mut build_id, file_size, process_plus_one, segments } = module;
        let path = self.paths.path(&path);
        if !self.options.build_ids && !build_id.is_empty() {
            build_id.clear();
            self.build_ids += 1;
        }
        if self.modules.len() < MAX_KNOWN {
            self.modules.entry(id).or_insert_with(|| path.as_str().into());
        }
        Module { id, kind, path, build_id, file_size, process_plus_one, segments }
    }

    fn source(&mut self, source: Source) -> Source {
        let Source { id, label, trace_id, created_unix_ns, created_ns, shift } = source;
        let label = match self.keeps(Sensitive::Labels) {
            true => label,
            false => {
                self.count(Sensitive::Labels, 1);
                self.pseudonym("recording", &label)
            }
        };
        Source { id, label, trace_id, created_unix_ns, created_ns, shift }
    }

    fn generated(&mut self, generated: Generated) -> Generated {
        let Generated { module, start, length, from_ns, name, lines } = generated;
        let name = name_of_code(&mut self.paths, &name, Origin::Generated);
        let line = |GeneratedLine { offset, file, line, column }| {
            let file = self.paths.path(&file);
            GeneratedLine { offset, file, line, column }
        };
        let lines = lines.into_iter().map(line).collect();
        Generated { module, start, length, from_ns, name, lines }
    }

    /// Names stay as those of functions do, files as those of other sources.
    fn code_object(&mut self, code: CodeObject) -> CodeObject {
        let CodeObject {
            id,
            process_plus_one,
            runtime,
            kind,
            name,
            qualified_name,
            file,
            first_line,
            first_column,
            positions,
            lines,
        } = code;
        CodeObject {
            id,
            process_plus_one,
            runtime,
            kind,
            name: name_of_code(&mut self.paths, &name, Origin::Compiled),
            qualified_name: name_of_code(&mut self.paths, &qualified_name, Origin::Compiled),
            file: self.paths.path(&file),
            first_line,
            first_column,
            positions,
            lines,
        }
    }

    fn facts(&mut self, facts: ProcessFacts) -> ProcessFacts {
        let ProcessFacts {
            process,
            uid,
            gid,
            cgroup,
            mut args,
            mut environment,
            mut values,
            limits,
        } = facts;
        self.leave_out(&mut args, Sensitive::Args);
        self.leave_out(&mut values, Sensitive::Env);
        if !self.keeps(Sensitive::Env) {
            for name in &mut environment {
                if !is_common_variable(name) {
                    *name = self.paths.pseudonyms.of("VAR", name);
                    self.count(Sensitive::Env, 1);
                }
            }
        }
        let cgroup = self.paths.folder(&cgroup);
        ProcessFacts { process, uid, gid, cgroup, args, environment, values, limits }
    }

    /// What is amiss with a module's names may mention any other file.
    fn named(&mut self, named: Named) -> Named {
        let Named { module, note } = named;
        if note.is_empty() || self.keeps(Sensitive::Notes) {
            return Named { module, note };
        }
        self.count(Sensitive::Notes, 1);
        let path = self.modules.get(&module).map_or("a module", |path| path);
        Named { module, note: format!("{path}: names or lines are missing") }
    }

    /// Leaves out all of something.
    fn leave_out(&mut self, texts: &mut Vec<String>, what: Sensitive) {
        if !self.keeps(what) {
            self.count(what, texts.len() as u64);
            texts.clear();
        }
    }

    /// A pseudonym of what is not empty.
    fn pseudonym(&mut self, kind: &'static str, text: &str) -> String {
        if text.is_empty() { String::new() } else { self.paths.pseudonyms.of(kind, text) }
    }
}
