//! Tables of made-up traces, read back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use rz_format::*;
use rz_profile::fixture::trace::*;

use super::minutes::OTHERS;
use super::{Directory, FleetOptions, MAX_FUNCTIONS, Written, write_trace};

/// A minute of the trace's clock.
const MINUTE: u64 = 60_000_000_000;

/// Functions of generated code, one each 256 bytes from 0x10000 on.
fn generated(names: impl Iterator<Item = String>) -> Vec<Record> {
    let code = |(number, name): (u64, String)| {
        let (start, length) = (0x10000 + number * 0x100, 0x100);
        Record::Generated(Generated { module: 3, start, length, name, ..Generated::default() })
    };
    (0..).zip(names).map(code).collect()
}

fn function(number: u64) -> Frame {
    code(3, 0x10010 + number * 0x100)
}

fn host(name: &str) -> Record {
    let hostname = name.to_owned();
    Record::Host(Host { hostname, cpus: 2, boot_id: "boot".into(), ..Host::default() })
}

/// A trace with something of each kind, on the host `golden`.
fn all_kinds() -> Vec<u8> {
    let mut trace = Trace::new();
    let names = ["main", "golden_function"].map(str::to_owned);
    trace.records(&[vec![host("golden")], generated(names.into_iter())].concat());
    let stack = trace.stack(&[function(0), function(1), function(1)]);
    trace.define_stacks();
    let sample = |(at, weight)| Sample { time_ns: START + at, weight, stack, ..Sample::default() };
    let mut samples = [(0, 10), (1_000, 10), (MINUTE, 33)].map(sample);
    trace.writer.write_samples(&mut samples).unwrap();
    let (state, duration_ns) = (WaitState::Io, 5_000);
    let wait =
        Wait { end_ns: START + 9_000, duration_ns, weight: 5_000, state, stack, ..Wait::default() };
    trace.waits(&[Wait { syscall: Some(0), ..wait }]);
    let call = Call { start_ns: START, duration_ns: 7, count: 1, ..Call::default() };
    trace.calls(&[Call { stack_weight: 7, stack, ..call }, Call { number: 2, result: -2, ..call }]);
    let object = |kind, size, stack| Allocation {
        time_ns: START,
        kind,
        address: u64::MAX - 7,
        size,
        stack,
        ..Allocation::default()
    };
    let rows = [object(AllocationKind::Malloc, 100, stack), object(AllocationKind::Free, 0, None)];
    trace.writer.write_allocations(&rows).unwrap();
    trace.finish()
}

/// The tables of traces.
struct Tables {
    dir: tempfile::TempDir,
    written: Vec<Written>,
}

impl Tables {
    fn of(traces: &[Vec<u8>]) -> Tables {
        let dir = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(&dir.path().join("tables")).unwrap();
        let write = |bytes: &Vec<u8>| {
            let path = dir.path().join("trace.rz");
            fs::write(&path, bytes).unwrap();
            write_trace(&path, &FleetOptions::default(), &mut directory).unwrap()
        };
        let written = traces.iter().map(write).collect();
        Tables { dir, written }
    }

    fn files(&self, table: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("tables").join(table)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn rows(&self, table: &str) -> Vec<Row> {
        self.files(table).iter().flat_map(|file| rows(file)).collect()
    }

    /// What columns of all rows have, each row in a line.
    fn texts(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let of = |row: &Row, name: &&str| {
            let found = row.get_column_iter().find(|(column, _)| column == name);
            match found.unwrap_or_else(|| panic!("no {name}")).1 {
                Field::Str(text) => text.clone(),
                field => field.to_string(),
            }
        };
        let line =
            |row: &Row| columns.iter().map(|name| of(row, name)).collect::<Vec<_>>().join(" ");
        self.rows(table).iter().map(line).collect()
    }
}

fn rows(file: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_trace_becomes_tables() {
    let tables = Tables::of(&[all_kinds()]);
    let check = |table: &str, columns: &[&str], expected: &[&str]| {
        assert_eq!(tables.texts(table, columns), expected, "{table}");
    };
    check(
        "trace",
        &["host", "boot_id", "cpus", "program", "damaged"],
        &["golden boot 2 app false"],
    );
    check("process", &["pid", "name", "kernel"], &["7 app false"]);
    check("thread", &["tid", "name"], &["7 main"]);
    check(
        "frame",
        &["function", "module", "kind"],
        &["main [anon] jit", "golden_function [anon] jit"],
    );
    check("stack", &["depth"], &["3"]);
    let sample = ["event", "event_name", "weight", "unit"];
    let samples = [10, 10, 33].map(|weight| format!("cpu cpu-clock {weight} nanoseconds"));
    check("cpu_sample", &sample, &samples.each_ref().map(String::as_str));
    let columns = ["duration_ns", "weight_ns", "state", "reason", "syscall"];
    check("wait", &columns, &["5000 5000 disk disk in read read"]);
    let columns = ["name", "result", "error", "weight_ns"];
    check("syscall", &columns, &["read 0 null 7", "open -2 ENOENT 0"]);
    let columns = ["kind", "address", "size", "objects", "bytes"];
    check("allocation", &columns, &["malloc -8 100 1.0 100.0", "free -8 0 0E0 0E0"]);
    let columns = ["event", "reason", "function", "self", "total", "items", "folded"];
    let mut functions = tables.texts("function_minute", &columns);
    functions.sort();
    assert_eq!(
        functions,
        [
            "alloc null golden_function 100 100 1 0",
            "alloc null main 0 100 1 0",
            "cpu null golden_function 20 20 2 0",
            "cpu null golden_function 33 33 1 0",
            "cpu null main 0 20 2 0",
            "cpu null main 0 33 1 0",
            "off-cpu disk in read golden_function 5000 5000 1 0",
            "off-cpu disk in read main 0 5000 1 0",
            "syscalls read golden_function 7 7 1 0",
            "syscalls read main 0 7 1 0",
        ]
    );
    let columns = ["event", "unit", "function", "self", "total", "items"];
    check(
        "function_hour",
        &columns,
        &[
            "alloc bytes golden_function 100 100 1",
            "alloc bytes main 0 100 1",
            "cpu nanoseconds golden_function 53 53 3",
            "cpu nanoseconds main 0 53 3",
            "off-cpu nanoseconds golden_function 5000 5000 1",
            "off-cpu nanoseconds main 0 5000 1",
            "syscalls nanoseconds golden_function 7 7 1",
            "syscalls nanoseconds main 0 7 1",
        ],
    );
    let columns = ["wall_ns", "cpu_ns", "samples", "wait_ns", "syscalls", "allocated_bytes"];
    let exposure = tables.texts("exposure", &columns);
    assert_eq!(exposure.len(), 2, "{exposure:?}");
    assert_eq!(tables.written[0].rows, 3 + 1 + 2 + 2);
}

#[test]
fn the_same_trace_has_one_file_in_each_table() {
    let one = Tables::of(&[all_kinds()]);
    let twice = Tables::of(&[all_kinds(), all_kinds()]);
    for table in super::schema::TABLES {
        assert_eq!(one.rows(table.name).len(), twice.rows(table.name).len(), "{}", table.name);
        let names = |tables: &Tables| -> Vec<_> {
            tables
                .files(table.name)
                .iter()
                .map(|file| file.file_name().map(ToOwned::to_owned))
                .collect()
        };
        assert_eq!(names(&one), names(&twice));
        let bytes = |tables: &Tables| -> Vec<_> {
            tables.files(table.name).iter().map(|file| fs::read(file).unwrap()).collect()
        };
        assert_eq!(bytes(&one), bytes(&twice), "{}", table.name);
    }
}

#[test]
fn very_many_functions_are_folded() {
    let mut trace = Trace::new();
    let count = MAX_FUNCTIONS as u64 + 10;
    trace.records(&generated((0..count).map(|number| format!("f{number:05}"))));
    let stacks: Vec<_> = (0..count).map(|number| trace.stack(&[function(number)])).collect();
    trace.define_stacks();
    let sample = |(number, stack): (u64, &Option<StackId>)| {
        let weight = if number < 20 { 1 } else { 5 };
        Sample { time_ns: START + number, weight, stack: *stack, ..Sample::default() }
    };
    let mut samples: Vec<Sample> = (0..).zip(&stacks).map(sample).collect();
    trace.writer.write_samples(&mut samples).unwrap();
    let tables = Tables::of(&[trace.finish()]);
    let rows = tables.texts("function_minute", &["function", "self", "total", "folded"]);
    assert_eq!(rows.len(), MAX_FUNCTIONS + 1);
    assert!(rows.contains(&format!("{OTHERS} 10 10 10")), "{:?}", rows.last());
    assert_eq!(tables.written[0].folded, 10);
}

#[test]
fn what_is_missing_is_null() {
    let mut trace = Trace::new();
    // Neither the thread nor the stack is defined.
    let sample =
        Sample { time_ns: START, thread: 77, stack: Some(9), weight: 5, ..Sample::default() };
    trace.writer.write_samples(&mut [sample]).unwrap();
    let row = Allocation { thread: 78, stack: Some(8), ..Allocation::default() };
    trace.writer.write_allocations(&[row]).unwrap();
    let tables = Tables::of(&[trace.finish()]);
    assert_eq!(tables.texts("frame", &["kind"]), ["lost"]);
    assert_eq!(tables.texts("cpu_sample", &["weight"]), ["5"]);
    assert_eq!(tables.texts("allocation", &["stack_id"]), ["null"]);
}

#[test]
#[ignore = "writes tests/fixtures/fleet-v1, which stays as it is"]
fn write_the_golden_tables() {
    let tables = Tables::of(&[all_kinds()]);
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/fleet-v1");
    for table in super::schema::TABLES {
        for file in tables.files(table.name).iter().filter(|file| !file.ends_with("schema.parquet"))
        {
            fs::create_dir_all(to.join(table.name)).unwrap();
            fs::copy(file, to.join(table.name).join(file.file_name().unwrap())).unwrap();
        }
    }
}
