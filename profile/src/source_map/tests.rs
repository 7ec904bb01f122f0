//! Profiles of generated JavaScript.

use std::fs;
use std::path::Path;

use super::*;
use crate::model::Location;

/// Two functions of `app.js` in `dir`, at places as V8 publishes them.
fn profile(dir: &Path) -> Profile {
    let file = dir.join("app.js").to_str().unwrap().to_owned();
    let function = |name: &str, place: &str| Function {
        name: name.into(),
        system_name: format!("JS:*{name} {file}:{place}"),
        file: file.clone(),
        ..Function::default()
    };
    let location = |function, line, column| Location {
        lines: vec![Line { function, line, column }],
        ..Location::default()
    };
    Profile {
        functions: vec![function("a", "1:11"), function("b", "1:35"), Function::default()],
        // In both functions, and at the declaration of the second.
        locations: vec![
            location(0, 1, 15),
            location(1, 1, 40),
            location(1, 1, 35),
            location(2, 0, 0),
        ],
        ..Profile::default()
    }
}

const TEXT: &str = "function a(n){return n*2};const b=(n)=>a(n)+1;\n";

/// `a` was `double` in line 3 of `src/math.ts`, `b` was `inc` in line 1 of
/// `src/inc.ts`: places 0:9 (name), 0:14, 0:32 (name), 0:39.
const MAP: &str = r#"{"version":3,"sources":["../src/math.ts","../src/inc.ts"],
    "names":["double","inc"],"mappings":"SAEAA,KACE,kBCHFC,OACE"}"#;

fn describe(profile: &Profile) -> Vec<String> {
    let line = |line: &Line| {
        let function = &profile.functions[line.function];
        format!("{} {}:{}:{}", function.name, function.file, line.line, line.column)
    };
    profile.locations.iter().flat_map(|location| &location.lines).map(line).collect()
}

#[test]
fn names_and_places_are_those_of_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let dist = dir.path().join("dist");
    fs::create_dir(&dist).unwrap();
    fs::write(dist.join("app.js"), TEXT).unwrap();
    let (math, inc) = (dir.path().join("src/math.ts"), dir.path().join("src/inc.ts"));
    let expected = [
        format!("double {}:4:3", math.display()),
        format!("inc {}:2:3", inc.display()),
        format!("inc {}:1:1", inc.display()),
        " :0:0".to_owned(),
    ];

    let mut beside = profile(&dist);
    fs::write(dist.join("app.js.map"), MAP).unwrap();
    apply(&mut beside, &[]);
    assert_eq!(describe(&beside), expected);
    assert_eq!(beside.functions.len(), 3);
    assert!(beside.info.notes.is_empty(), "{:?}", beside.info.notes);

    // From another folder, and without the generated file.
    let maps = dir.path().join("maps");
    fs::create_dir(&maps).unwrap();
    fs::rename(dist.join("app.js.map"), maps.join("app.js.map")).unwrap();
    let mut elsewhere = profile(&dist);
    apply(&mut elsewhere, std::slice::from_ref(&maps));
    assert_eq!(describe(&elsewhere), expected);
    fs::remove_file(dist.join("app.js")).unwrap();
    let mut without = profile(&dist);
    apply(&mut without, &[maps]);
    // Only names right before their parameters can be told now.
    let names: Vec<String> = describe(&without);
    assert_eq!(names[0], expected[0]);
    assert!(names[1].starts_with("b ") && names[1].ends_with("inc.ts:2:3"), "{names:?}");
}

#[test]
fn maps_that_are_missing_or_make_no_sense_are_notes() {
    let dir = tempfile::tempdir().unwrap();
    let mut profile = profile(dir.path());
    let before = describe(&profile);
    apply(&mut profile, &[]);
    assert!(profile.info.notes.is_empty());
    apply(&mut profile, &[dir.path().to_owned()]);
    assert_eq!(profile.info.notes.len(), 1);
    assert!(profile.info.notes[0].contains("app.js: no source map was found"));
    profile.info.notes.clear();
    for map in [r#"{"sections":["#.repeat(100_000), MAP.replace("SAEAA", "S!")] {
        fs::write(dir.path().join("app.js.map"), map).unwrap();
        apply(&mut profile, &[]);
        let [note] = &profile.info.notes[..] else { panic!("{:?}", profile.info.notes) };
        assert!(note.contains("app.js.map: ") && !note.contains('\n'), "{note}");
        profile.info.notes.clear();
    }
    assert_eq!(describe(&profile), before);
}
