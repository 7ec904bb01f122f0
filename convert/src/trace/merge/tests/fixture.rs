//! Variants of the golden vector, and what merging makes of them.

use std::fs;
use std::path::PathBuf;

use rz_format::*;
use tempfile::TempDir;

use crate::trace::merge::{MergeError, MergeInput, MergeOptions, Merged, plan};
use rz_profile::fixture::trace::{assert_consistent, vector};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;

/// The vector of format 1.2, which has everything in it, as another trace in
/// which some records are changed.
pub fn variant(id: u8, change: impl Fn(&mut Record)) -> Vec<u8> {
    let bytes = fs::read(vector("v1.2")).unwrap();
    let mut reader = Reader::new(std::io::Cursor::new(&bytes)).unwrap();
    let index = rebuild_index(&mut std::io::Cursor::new(&bytes)).unwrap();
    let header = FileHeader { trace_id: [id; 16], ..*reader.header() };
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    for entry in index {
        match reader.next_block().unwrap().unwrap() {
            Block::Records(mut records) => {
                records.iter_mut().for_each(&change);
                writer.write_records(entry.first_ns, &records)
            }
            Block::Stacks(defs) => writer.write_stacks(entry.first_ns, &defs),
            Block::Texts(defs) => writer.write_texts(entry.first_ns, &defs),
            Block::CallData(defs) => writer.write_call_data(entry.first_ns, &defs),
            Block::Samples(mut rows) => writer.write_samples(&mut rows),
            Block::Waits(mut rows) => writer.write_waits(&mut rows),
            Block::Calls(mut rows) => writer.write_calls(&mut rows),
            Block::Totals(mut rows) => writer.write_totals(entry.first_ns, &mut rows),
            Block::Allocations(rows) => writer.write_allocations(&rows),
            Block::HeapCounts(mut rows) => writer.write_heap_counts(&mut rows),
            Block::CpuTimes(mut rows) => writer.write_cpu_times(&mut rows),
            other => panic!("{other:?}"),
        }
        .unwrap();
    }
    writer.finish().unwrap()
}

/// A recording of the box, some seconds later.
pub fn same_boot(id: u8) -> Vec<u8> {
    variant(id, |record| {
        if let Record::Recording(recording) = record {
            recording.start_ns += u64::from(id);
        }
    })
}

/// A recording of another host, whose clock is so much behind.
pub fn other_host(id: u8, behind_ns: u64) -> Vec<u8> {
    variant(id, |record| match record {
        Record::Host(host) => {
            host.hostname = format!("host{id}");
            host.boot_id = format!("boot{id}");
        }
        Record::Clock(clock) => clock.realtime_ns += behind_ns,
        _ => {}
    })
}

/// Traces in a folder.
pub struct Traces {
    folder: TempDir,
    pub inputs: Vec<MergeInput>,
}

impl Traces {
    /// Writes them, each with its name.
    pub fn new(traces: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = Vec::new();
        for (name, bytes) in traces {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            inputs.push(MergeInput { path, label: None });
        }
        Traces { folder, inputs }
    }

    pub fn try_merge(&self, keep_going: bool) -> Result<(Vec<u8>, Merged), MergeError> {
        let mut out = Vec::new();
        let merged = plan(&self.inputs, MergeOptions { keep_going })?.write(&mut out)?;
        Ok((out, merged))
    }

    /// The merged trace; its inputs are whole.
    pub fn merge(&self) -> Vec<u8> {
        let (bytes, merged) = self.try_merge(false).unwrap();
        assert_eq!(merged.damage, [""; 0]);
        bytes
    }

    /// Where another file would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Merges traces.
pub fn merged(traces: &[(&str, &[u8])]) -> Vec<u8> {
    Traces::new(traces).merge()
}

/// Loads a trace, with a timeline.
pub fn loaded(bytes: &[u8]) -> Profile {
    let traces = Traces::new(&[("t.rz", bytes)]);
    let options = LoadOptions { timeline: true, ..LoadOptions::default() };
    let profile = load(&traces.inputs[0].path, &options).unwrap();
    assert_consistent(&profile);
    profile
}
