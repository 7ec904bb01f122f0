//! Code of runtimes in merged traces.

use std::io::Cursor;

use rz_format::*;

use super::fixture::{loaded, merged};
use rz_profile::fixture::trace::describe;
use rz_profile::fixture::with_runtimes;

/// A recording of code of runtimes.
fn recording(id: u8, file: &str) -> Vec<u8> {
    let mut bytes = with_runtimes(file).finish();
    let header = FileHeader::from_bytes(&bytes).unwrap();
    let header = FileHeader { trace_id: [id; 16], ..header };
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    bytes
}

/// The code objects of a trace.
fn code_objects(bytes: &[u8]) -> Vec<CodeObject> {
    let mut reader = Reader::new(Cursor::new(bytes)).unwrap();
    let mut all = Vec::new();
    while let Some(block) = reader.next_block().unwrap() {
        let Block::Records(records) = block else { continue };
        all.extend(records.into_iter().filter_map(|record| match record {
            Record::CodeObject(code) => Some(code),
            _ => None,
        }));
    }
    all
}

#[test]
fn sources_share_no_code_object() {
    let [a, b] = [(1, "/srv/a.py"), (2, "/srv/b.py")].map(|(id, file)| recording(id, file));
    let bytes = merged(&[("a.rz", &a), ("b.rz", &b)]);
    let objects = code_objects(&bytes);
    assert_eq!(objects.iter().map(|code| code.id).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    for (before, after) in code_objects(&a).iter().chain(&code_objects(&b)).zip(&objects) {
        let (id, process_plus_one) = (after.id, if after.id < 6 { 1 } else { 2 });
        assert_eq!(*after, CodeObject { id, process_plus_one, ..before.clone() });
    }

    let profile = loaded(&bytes);
    let [alone_a, alone_b] = [&a, &b].map(|bytes| describe(&loaded(bytes)));
    let mut lines: Vec<&str> = alone_a.lines().chain(alone_b.lines()).collect();
    lines.sort_unstable();
    assert_eq!(describe(&profile).lines().collect::<Vec<_>>(), lines);
    // A function of another file is another one; that of the same file is one.
    let count = |name: &str| profile.functions.iter().filter(|f| f.name == name).count();
    assert_eq!((count("Job.crunch"), count("add")), (2, 1));

    // Once more, with the same numbers.
    let again = merged(&[("m.rz", &bytes)]);
    assert_eq!(code_objects(&again), objects);
    assert_eq!(describe(&loaded(&again)), describe(&profile));
}
