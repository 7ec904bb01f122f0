//! A trace with strings in all of its texts.

use std::fs::File;
use std::io::BufReader;

use rz_format::*;
use rz_tests::workspace_root;

/// The newest golden vector, which has all that a trace can have, with `strings` in each
/// of its texts, in front of what it is or behind it.
pub fn with(strings: &[String]) -> Vec<u8> {
    let path = workspace_root().join(format!("format-spec/vectors/v1.{MINOR}/small.rz"));
    let mut reader = Reader::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut writer = TraceWriter::new(Vec::new(), reader.header()).unwrap();
    let mut poison = Poison { strings, next: 0 };
    while let Some(time_ns) = reader.next_time().unwrap() {
        let Some(block) = reader.next_block().unwrap() else { break };
        poison.write(&mut writer, time_ns, block).unwrap();
    }
    assert!(poison.next > 40, "the vector has only {} texts", poison.next);
    writer.finish().unwrap()
}

struct Poison<'s> {
    strings: &'s [String],
    /// The text that comes next: each begins with another string.
    next: usize,
}

impl Poison<'_> {
    fn write(
        &mut self,
        writer: &mut TraceWriter<Vec<u8>>,
        time_ns: u64,
        block: Block,
    ) -> Result<(), FormatError> {
        match block {
            Block::Records(mut records) => {
                records.iter_mut().for_each(|record| self.record(record));
                writer.write_records(time_ns, &records)
            }
            Block::Texts(mut defs) => {
                for text in &mut defs.texts {
                    let mut changed = String::from_utf8_lossy(text).into_owned();
                    self.text(&mut changed);
                    *text = changed.into_bytes();
                }
                writer.write_texts(time_ns, &defs)
            }
            Block::CallData(defs) => writer.write_call_data(time_ns, &defs),
            Block::Names(names) => writer.write_names(time_ns, &names),
            Block::Stacks(stacks) => writer.write_stacks(time_ns, &stacks),
            Block::Samples(mut rows) => writer.write_samples(&mut rows),
            Block::Waits(mut rows) => writer.write_waits(&mut rows),
            Block::Calls(mut rows) => writer.write_calls(&mut rows),
            Block::FunctionCalls(mut rows) => writer.write_function_calls(&mut rows),
            Block::Totals(mut rows) => writer.write_totals(time_ns, &mut rows),
            Block::Allocations(rows) => writer.write_allocations(&rows),
            Block::HeapCounts(mut rows) => writer.write_heap_counts(&mut rows),
            Block::CpuTimes(mut rows) => writer.write_cpu_times(&mut rows),
        }
    }

    /// Changes a text; of every other one, the beginning tells what it is.
    fn text(&mut self, text: &mut String) {
        let count = self.strings.len();
        let words: Vec<&str> =
            (0..count).map(|n| self.strings[(self.next + n) % count].as_str()).collect();
        let words = words.join(" ");
        *text = match self.next % 2 {
            0 => format!("{text} {words}"),
            _ => format!("{words} {text}"),
        };
        self.next += 1;
    }

    /// Changes the texts of a record. A new one has to be decided about.
    fn record(&mut self, record: &mut Record) {
        let texts: Vec<&mut String> = match record {
            Record::Host(Host {
                hostname, sysname, release, version, machine, boot_id, ..
            }) => {
                vec![hostname, sysname, release, version, machine, boot_id]
            }
            Record::Recording(Recording { recorder, command, tier, .. }) => {
                let mut texts: Vec<_> = command.iter_mut().collect();
                texts.extend([recorder, tier]);
                texts
            }
            // Its beginning says what it counts.
            Record::Event(Event { name, .. }) => {
                name.push_str(&self.strings.join(" "));
                vec![]
            }
            Record::Process(Process { exe, argv0, name, .. }) => vec![exe, argv0, name],
            Record::Thread(Thread { name, .. })
            | Record::ThreadName(ThreadName { name, .. })
            | Record::Generated(Generated { name, .. }) => vec![name],
            Record::Module(Module { path, .. })
            | Record::WorkingDirectory(WorkingDirectory { path, .. })
            | Record::Allocator(Allocator { path, .. }) => vec![path],
            Record::Function(Function { path, name, .. }) => vec![path, name],
            Record::Symbol(Symbol { name, area, .. }) => vec![name, area],
            Record::Note(Note { text }) => vec![text],
            Record::OpenFile(OpenFile { target, .. }) => vec![target],
            Record::ProcessFacts(facts) => {
                let mut texts = vec![&mut facts.cgroup];
                texts.extend(&mut facts.args);
                texts.extend(&mut facts.environment);
                texts.extend(&mut facts.values);
                let limits = facts.limits.iter_mut();
                texts.extend(limits.flat_map(|limit| [&mut limit.name, &mut limit.unit]));
                texts
            }
            Record::Source(Source { label, .. }) => vec![label],
            Record::Named(Named { note, .. }) => vec![note],
            Record::Redaction(Redaction { what, how, .. }) => vec![what, how],
            Record::CodeObject(CodeObject { name, qualified_name, file, .. }) => {
                vec![name, qualified_name, file]
            }
            Record::Clock(_)
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
            | Record::OfSource(_) => vec![],
        };
        texts.into_iter().for_each(|text| self.text(text));
        if let Record::Generated(Generated { lines, .. }) = record {
            lines.iter_mut().for_each(|line| self.text(&mut line.file));
        }
    }
}
