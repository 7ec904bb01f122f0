//! Recordings of Java Flight Recorder.

use super::{by_thread, imported, loaded, refused};

fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values.iter().copied().flat_map(number).collect()
}

fn text(text: &str) -> Vec<u8> {
    [&[3], &number(text.len() as u64)[..], text.as_bytes()].concat()
}

fn event(class: u64, fields: &[u8]) -> Vec<u8> {
    let content = [&number(class)[..], fields].concat();
    // A size of two bytes, which are part of it.
    let size = content.len() as u64 + 2;
    [&[size as u8 | 0x80, (size >> 7) as u8], &content[..]].concat()
}

/// An element of metadata, whose texts get numbers.
fn element(
    texts: &mut Vec<String>,
    name: &str,
    attributes: &[(&str, &str)],
    inner: &[Vec<u8>],
) -> Vec<u8> {
    let mut id = |text: &str| {
        texts.push(text.to_owned());
        texts.len() as u64 - 1
    };
    let mut fields = vec![id(name), attributes.len() as u64];
    fields.extend(attributes.iter().flat_map(|(key, value)| [id(key), id(value)]));
    fields.push(inner.len() as u64);
    [&numbers(&fields)[..], &inner.concat()].concat()
}

/// A field of a class; of one in a pool with `*` before its name, of a list with `[`.
type Field = (&'static str, &'static str);

const CLASSES: [(u64, &str, &[Field]); 14] = [
    (10, "int", &[]),
    (11, "long", &[]),
    (12, "boolean", &[]),
    (13, "java.lang.String", &[]),
    (20, "jdk.types.Symbol", &[("string", "13")]),
    (21, "java.lang.Class", &[("*name", "20")]),
    (22, "jdk.types.Method", &[("*type", "21"), ("*name", "20")]),
    (23, "jdk.types.StackFrame", &[("*method", "22"), ("lineNumber", "10")]),
    (24, "jdk.types.StackTrace", &[("truncated", "12"), ("[frames", "23")]),
    (25, "java.lang.Thread", &[("osName", "13"), ("osThreadId", "11"), ("javaName", "13")]),
    (
        100,
        "jdk.ExecutionSample",
        &[("startTime", "11"), ("*sampledThread", "25"), ("*stackTrace", "24")],
    ),
    (
        101,
        "jdk.ObjectAllocationSample",
        &[("*eventThread", "25"), ("*stackTrace", "24"), ("weight", "11")],
    ),
    (102, "jdk.ThreadPark", &[("duration", "11"), ("*eventThread", "25"), ("*stackTrace", "24")]),
    (103, "jdk.JVMInformation", &[("pid", "11")]),
];

/// A chunk: two samples, an allocation of 500 bytes, and 3 ms of waiting.
pub(super) fn chunk() -> Vec<u8> {
    let mut texts = Vec::new();
    let mut classes = Vec::new();
    for (id, name, fields) in CLASSES {
        let inner: Vec<Vec<u8>> = fields
            .iter()
            .map(|(name, class)| {
                let plain = name.trim_start_matches(['*', '[']);
                let (pool, list) = (name.starts_with('*'), name.starts_with('['));
                let attributes = [
                    ("name", plain),
                    ("class", class),
                    ("constantPool", if pool { "true" } else { "false" }),
                    ("dimension", if list { "1" } else { "0" }),
                ];
                element(&mut texts, "field", &attributes, &[])
            })
            .collect();
        let id = id.to_string();
        classes.push(element(&mut texts, "class", &[("name", name), ("id", &id)], &inner));
    }
    let inner = element(&mut texts, "metadata", &[], &classes);
    let root = element(&mut texts, "root", &[], &[inner]);
    let strings: Vec<u8> = texts.iter().flat_map(|string| text(string)).collect();
    let count = number(texts.len() as u64);
    let metadata = event(0, &[&[0, 0, 0], &count[..], &strings, &root].concat());
    let pools = [
        numbers(&[0, 0, 0, 1, 5]),
        [numbers(&[20, 3, 1]), text("a/Work"), number(2), text("run"), number(3), text("main")]
            .concat(),
        numbers(&[21, 1, 1, 1]),
        numbers(&[22, 2, 1, 1, 2, 2, 1, 3]),
        // run at line 7, called by main at line 9; the same without its callers.
        numbers(&[24, 2, 1, 0, 2, 1, 7, 2, 9, 2, 1, 1, 1, 8]),
        [numbers(&[25, 1, 1]), text("os"), number(12), text("worker")].concat(),
    ];
    let events = [
        metadata,
        event(103, &numbers(&[11])),
        event(100, &numbers(&[2_000_000, 1, 1])),
        event(100, &numbers(&[3_000_000, 1, 2])),
        event(101, &numbers(&[1, 1, 500])),
        event(102, &numbers(&[3000, 1, 1])),
        event(1, &pools.concat()),
    ]
    .concat();
    // 1 tick is a microsecond.
    let size = events.len() as u64 + 68;
    let header = [size, 0, 68, 1_700_000_000_000_000_000, 0, 1_000_000, 1_000_000];
    [b"FLR\0\0\x02\0\x01", &header.map(u64::to_be_bytes).concat()[..], &[0, 0, 0, 1], &events]
        .concat()
}

#[test]
fn samples_allocations_and_waits() {
    let profile = loaded(&chunk());
    let events: Vec<(&str, u64)> = (0..profile.events.len())
        .map(|id| (&profile.events[id].name[..], profile.total_weight(id)))
        .collect();
    assert_eq!(events, [("samples", 2), ("alloc_space", 500), ("park", 3_000_000)]);
    let stacks = "worker-11/12;[truncated];a.Work.run 1\nworker-11/12;a.Work.main;a.Work.run 1\n";
    let mut found: Vec<String> = by_thread(&profile).lines().map(str::to_owned).collect();
    found.sort();
    let mut expected: Vec<&str> = stacks.lines().collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(profile.info.start_unix_ns, 1_700_000_000_000_000_000);
    assert_eq!(profile.info.duration_ns, 2_000_000_000);
    // Chunks are each by themselves.
    let twice = chunk().repeat(2);
    assert_eq!(loaded(&twice).total_weight(0), 4);
    let (told, _) = imported(&twice[..twice.len() - 9]).unwrap();
    assert!(told.notes.iter().any(|note| note.contains("ends early, in the chunk at")), "{told:?}");
}

#[test]
fn damaged_recordings() {
    let whole = chunk();
    for length in 4..whole.len() {
        let said = refused(&whole[..length]);
        assert!(said.starts_with("damaged recording of Java Flight Recorder: "), "{said}");
    }
    for (at, value, why) in [
        (5, 1, "version 1 of the format"),
        (67, 0, "its numbers are not compressed"),
        (31, 0xf0, "there is no metadata"),
        (30, 0x70, "there is no metadata"),
        (68, 0x80, "it ends early"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] = value;
        let said = refused(&damaged);
        assert!(said.contains(why), "{at}: {said}");
    }
    let unfinished = [&whole[..8], &[0; 8], &whole[16..]].concat();
    assert!(refused(&unfinished).contains("a chunk was not finished"));
}
