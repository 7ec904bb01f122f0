//! Every view of the golden vectors as JSON, held against the schemas in docs/.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a file in docs/ says that JSON must be like.
fn schema(file: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let schema = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// What `report … --json` writes, in the folder of the vectors.
fn written(arguments: &str) -> Value {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
    command.current_dir(vectors).args(arguments.split_whitespace()).arg("--json");
    let output = command.output().expect("report runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments}: {error}"))
}

fn assert_valid(schema: &jsonschema::Validator, json: &Value, what: &str) {
    let errors: Vec<String> =
        schema.iter_errors(json).map(|e| format!("{} at {}", e, e.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {}", errors.join("\n"));
}

#[test]
fn views_are_as_the_schema_says() {
    let schema = schema("report.schema.json");
    let views = [
        ("", "summary"),
        ("--tree", "tree"),
        ("--inverted", "tree"),
        ("--wall", "summary"),
        ("--event cpu", "summary"),
        ("--off-cpu", "off-cpu"),
        ("--off-cpu --tree", "tree"),
        ("--syscalls", "syscalls"),
        ("--syscalls --list", "calls"),
        ("--syscalls --list --errors --tail 1", "calls"),
        ("--heap", "heap"),
        ("--heap --tree", "tree"),
        ("--heap --sites", "sites"),
        ("--heap --leaks", "sites"),
        ("--heap --peak --limit 1", "sites"),
        ("--heap --temporary", "sites"),
        ("--source app", "annotated"),
        ("--asm app --limit 2", "annotated"),
        ("--info", "info"),
        ("--limit 1", "summary"),
        ("--from 0s --until 100%", "summary"),
    ];
    for version in ["v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7"] {
        for (arguments, view) in views {
            let arguments = format!("{version}/small.rz {arguments}");
            let json = written(&arguments);
            assert_valid(&schema, &json, &arguments);
            assert_eq!(json["view"], view, "{arguments}");
            assert_eq!(json["trace"]["name"], "small.rz", "{arguments}");
        }
    }
    // The check itself.
    let mut other = written("v1.2/small.rz");
    other["data"]["total"]["weight"] = "many".into();
    assert!(!schema.is_valid(&other));
}

#[test]
fn comparisons_are_as_the_schema_says() {
    let schema = schema("diff.schema.json");
    let (two, three) = ("--diff v1.2/small.rz v1.3/small.rz", "--against v1.3/small.rz");
    for arguments in [
        two.to_owned(),
        format!("{two} --event off-cpu"),
        format!("{two} --event syscalls"),
        format!("{two} --event wall"),
        format!("{two} --heap"),
        format!("{two} --per share"),
        format!("{two} v1.2/small.rz {three}"),
        "--diff v1.3/small.rz --before ..50% --after 50%..".to_owned(),
    ] {
        let json = written(&arguments);
        assert_valid(&schema, &json, &arguments);
        assert_eq!(json["schema"], "rz-diff");
    }
}
