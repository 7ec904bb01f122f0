//! What traces say besides what happened.

use rz_format::*;

use crate::filter::Filter;
use crate::fixture::trace::*;
use crate::inventory::{Inventory, load_inventory};

fn inventory(records: &[Record], filter: &Filter) -> Inventory {
    let mut trace = Trace::new();
    trace.records(records);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.rz");
    std::fs::write(&path, trace.finish()).unwrap();
    load_inventory(&path, filter).unwrap()
}

#[test]
fn facts_are_those_of_their_process() {
    let facts = |process, uid| ProcessFacts { process, uid, ..ProcessFacts::default() };
    let file = |process, fd| OpenFile { process, fd, ..OpenFile::default() };
    let mapping = |module| Mapping { process: 0, module, ..Mapping::default() };
    let child = Process { id: 9, pid: 8, parent_pid: 7, start_ns: START, ..Process::default() };
    let renamed = ThreadName { thread: 0, time_ns: START, name: "renamed".into() };
    let records = [
        Record::Process(child),
        Record::ProcessFacts(facts(0, 5)),
        Record::ProcessFacts(facts(0, 6)),
        Record::ProcessFacts(facts(77, 7)),
        Record::OpenFile(file(0, 3)),
        Record::OpenFile(file(0, 1)),
        Record::Mapping(mapping(3)),
        Record::Mapping(mapping(99)),
        Record::ThreadName(renamed),
        Record::ProcessExit(Exit { id: 9, time_ns: START + 5 }),
    ];
    let inventory = inventory(&records, &Filter::default());
    let [app, child] = &inventory.processes[..] else { panic!("{inventory:?}") };
    assert_eq!(app.facts.as_ref().map(|facts| facts.uid), Some(5));
    assert_eq!(app.open_files.iter().map(|file| file.fd).collect::<Vec<_>>(), [1, 3]);
    // What refers to nothing is left out.
    assert_eq!(app.mappings.iter().map(|mapping| mapping.module).collect::<Vec<_>>(), [3]);
    assert_eq!(app.threads[0].name, "renamed");
    assert!(!app.is_copy && child.is_copy && child.facts.is_none());
    assert_eq!((app.end_ns, child.end_ns), (None, Some(START + 5)));
    assert_eq!(
        inventory.blocks.iter().map(|sum| sum.kind.as_str()).collect::<Vec<_>>(),
        ["records"]
    );
    assert!(inventory.blocks[0].count >= 3 && inventory.blocks[0].bytes < inventory.file_size);
}

#[test]
fn filters_select_processes_and_threads() {
    let check = |filter: Filter, expected: [bool; 2]| {
        let other = Process { id: 9, pid: 8, name: "other".into(), ..Process::default() };
        let inventory = inventory(&[Record::Process(other)], &filter);
        let selected: Vec<bool> = inventory.processes.iter().map(|p| p.is_selected).collect();
        assert_eq!(selected, expected, "{filter:?}");
    };
    let glob = |text: &str| vec![text.parse().unwrap_or_else(|error| match error {})];
    check(Filter::default(), [true, true]);
    check(Filter { processes: glob("app"), ..Filter::default() }, [true, false]);
    check(Filter { processes: glob("8"), ..Filter::default() }, [false, true]);
    check(Filter { threads: glob("main"), ..Filter::default() }, [true, false]);
}

#[test]
fn costs_of_long_recordings_are_thinned_out() {
    let cost = |at: u64| Record::Cost(Cost { time_ns: START + at, ..Cost::default() });
    let records: Vec<Record> = (0..40_000).map(cost).collect();
    let inventory = inventory(&records, &Filter::default());
    let costs = &inventory.sources[0].costs;
    assert!((4_000..=1 << 14).contains(&costs.len()), "{}", costs.len());
    assert_eq!((costs[0].time_ns, costs.last().unwrap().time_ns), (START, START + 39_999));
    assert!(costs.is_sorted_by_key(|cost| cost.time_ns));
}
