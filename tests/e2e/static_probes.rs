//! Static probes of processes, beside what readelf says of their files.

use std::collections::BTreeMap;
use std::process::Command;

use rz_tests::{Target, rec, run};
use serde_json::Value;

/// Offsets of the probes of a file by name. Its code is where its addresses say, as that of
/// libraries is.
fn by_readelf(file: &str) -> BTreeMap<String, Vec<u64>> {
    let notes = run(Command::new("readelf").args(["--notes", file])).success().stdout;
    let mut probes = BTreeMap::<_, Vec<u64>>::new();
    let (mut provider, mut name) = ("", "");
    for line in notes.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("Provider: ") {
            provider = text;
        } else if let Some(text) = line.strip_prefix("Name: ") {
            name = text;
        } else if let Some(text) = line.strip_prefix("Location: 0x") {
            let address = u64::from_str_radix(text.split(',').next().unwrap(), 16).unwrap();
            probes.entry(format!("{provider}:{name}")).or_default().push(address);
        }
    }
    probes.values_mut().for_each(|places| places.sort());
    probes
}

#[test]
fn those_of_the_library_of_cpp() {
    let target = Target::start("cppdemo", &[]);
    let output = rec(&["--probes", "--json", "-p", &target.pid_text()]).success();
    let listed: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(listed["schema"], 1);
    let mut file = "";
    let mut found = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for probe in listed["probes"].as_array().unwrap() {
        if probe["provider"] != "libstdcxx" {
            continue;
        }
        file = probe["file"].as_str().unwrap();
        let places = probe["places"].as_array().unwrap();
        let offsets = places.iter().map(|place| place["offset"].as_u64().unwrap()).collect();
        found.insert(format!("libstdcxx:{}", text(&probe["name"])), offsets);
    }
    let mut expected = by_readelf(file);
    expected.retain(|name, _| name.starts_with("libstdcxx:"));
    assert!(found.contains_key("libstdcxx:throw"), "{found:?}");
    assert_eq!(found, expected);

    let table = rec(&["--probes", "-p", &target.pid_text()]).success().stdout;
    assert!(table.contains("usdt:libstdcxx:throw "), "{table}");
}

#[test]
fn where_there_is_none() {
    let target = Target::start("go-split", &["functions"]);
    let output = rec(&["--probes", "-p", &target.pid_text()]);
    assert_eq!(output.status.code(), Some(1), "{output}");
    assert!(output.stderr.contains("has no static probes"), "{output}");
    let output = rec(&["--probes", "-p", "999999999"]);
    assert_eq!(output.status.code(), Some(1), "{output}");
    assert!(output.stderr.contains("no process with pid 999999999"), "{output}");
}
