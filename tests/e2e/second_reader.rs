//! A reader that was written from SPEC.md alone reads what rz reads, and refuses what rz
//! refuses.

mod dump;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dump::dump;
use rz_format::{BLOCK_HEADER_LEN, IndexEntry, rebuild_index};
use rz_tests::{payloads, run, temp_dir, tool, workspace_root};
use serde_json::{Value, json};

/// Compares what both read of each file, which may be without an index or not; gives how
/// many are damaged, and how many refused.
#[track_caller]
fn compare(paths: &[PathBuf], may_lack_index: bool) -> (usize, usize) {
    let mut reader = Command::new(tool("venv/bin/python"));
    reader.arg(workspace_root().join("format-spec/reader.py")).args(paths);
    let output = run(&mut reader).success();
    let found: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(found.len(), paths.len());
    let (mut damaged, mut refused) = (0, 0);
    for (path, found) in paths.iter().zip(found) {
        let mut expected = dump(&fs::read(path).unwrap());
        let mut found: Value = serde_json::from_str(found).unwrap();
        // Why is said in each one's own words.
        if expected.get("refused").is_some() {
            assert!(found.get("refused").is_some(), "{}: {found}", path.display());
            refused += 1;
            continue;
        }
        if expected["damage"] != json!([]) {
            damaged += 1;
        }
        // Where the writer left none that is whole, rz makes one.
        if found["index"].is_null() || expected["index"].is_null() {
            assert!(may_lack_index, "{}", path.display());
            found["index"] = Value::Null;
            expected["index"] = Value::Null;
        }
        for key in ["header", "damage", "unknown", "index"] {
            assert_eq!(found[key], expected[key], "{}: {key}", path.display());
        }
        let blocks = |value: &Value| value["blocks"].as_array().unwrap().clone();
        for (found, expected) in blocks(&found).iter().zip(blocks(&expected)) {
            assert_eq!(found, &expected, "{}", path.display());
        }
        assert_eq!(found, expected, "{}", path.display());
    }
    (damaged, refused)
}

fn vectors() -> PathBuf {
    workspace_root().join("format-spec/vectors")
}

#[test]
fn reads_every_vector_alike() {
    let files_in = |folder: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let (bad, good): (Vec<PathBuf>, Vec<PathBuf>) =
        files_in(&vectors()).into_iter().partition(|folder| folder.ends_with("bad"));
    let good: Vec<PathBuf> = good.iter().flat_map(|folder| files_in(folder)).collect();
    let bad: Vec<PathBuf> = bad.iter().flat_map(|folder| files_in(folder)).collect();
    assert!(good.len() >= 8 && !bad.is_empty());
    assert_eq!(compare(&good, false), (0, 0));
    let (damaged, refused) = compare(&bad, true);
    assert_eq!(damaged + refused, bad.len());
}

/// Cut, changed, and changed within blocks whose checksum is right all the same.
#[test]
fn reads_damaged_traces_alike() {
    let vector = vectors().join("v1.7/small.rz");
    let whole = fs::read(&vector).unwrap();
    let dir = temp_dir();
    let mut paths = Vec::new();
    let mut add = |bytes: &[u8]| {
        let path = dir.path().join(format!("{}.rz", paths.len()));
        fs::write(&path, bytes).unwrap();
        paths.push(path);
    };
    (0..whole.len()).step_by(23).for_each(|length| add(&whole[..length]));
    for at in (0..whole.len()).step_by(11) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        add(&bytes);
    }
    let index = rebuild_index(&mut fs::File::open(&vector).unwrap()).unwrap();
    for (entry, (_, payload)) in index.iter().zip(payloads(&vector)) {
        for at in (0..payload.len()).step_by(5) {
            let mut payload = payload.clone();
            payload[at] = payload[at].wrapping_add(1 << (at % 7));
            add(&with_payload(&whole, entry, &payload));
        }
        add(&with_payload(&whole, entry, &payload[..payload.len() - 1]));
    }
    let (damaged, refused) = compare(&paths, true);
    assert!(damaged > 400 && refused > 5, "{damaged} {refused} of {}", paths.len());
}

/// The trace with another payload in one block, stored as it is.
fn with_payload(whole: &[u8], entry: &IndexEntry, payload: &[u8]) -> Vec<u8> {
    let start = entry.offset as usize;
    let end = start + BLOCK_HEADER_LEN + entry.stored_len as usize;
    let mut header = whole[start..start + BLOCK_HEADER_LEN].to_vec();
    let length = (payload.len() as u32).to_le_bytes();
    header[6] = 0;
    header[12..16].copy_from_slice(&length);
    header[16..20].copy_from_slice(&length);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..36]), payload);
    header[36..].copy_from_slice(&checksum.to_le_bytes());
    [&whole[..start], &header, payload, &whole[end..]].concat()
}
