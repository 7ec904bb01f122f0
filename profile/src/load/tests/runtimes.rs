//! Frames of runtimes among those of native code.

use rz_format::{Execution, Runtime};

use crate::filter::{Filter, NamedRuntime};
use crate::fixture::trace::{describe, load_bytes, load_with, vector};
use crate::fixture::with_runtimes;
use crate::inventory::load_inventory;
use crate::load::{LoadOptions, load};
use crate::model::{FrameKind, Function, Profile};

const SCRIPT: &str = "/srv/jobs/job.py";

fn profile() -> Profile {
    load_bytes(&with_runtimes(SCRIPT).finish())
}

/// Each place in code of a runtime: name, line, column, how it ran.
fn places(profile: &Profile) -> Vec<String> {
    let places = profile.locations.iter().filter_map(|location| {
        let FrameKind::Runtime(runtime) = location.kind else { return None };
        let [line] = location.lines[..] else { panic!("{location:?}") };
        let Execution { tier, inlined, approximate } = location.how;
        let name = &profile.functions[line.function].name;
        let marks =
            [if inlined { " inlined" } else { "" }, if approximate { " nearly" } else { "" }];
        let (line, column) = (line.line, line.column);
        Some(format!("{runtime:?} {name}:{line}:{column} {tier:?}{}", marks.concat()))
    });
    places.collect()
}

#[test]
fn stacks_are_mixed() {
    let expected = "\
main: [app+0x1000];<module>_r;Job.crunch_r 1 10
main: [app+0x1000];<module>_r;Job.crunch_r;[app+0x2000];[kernel+0xffffffff81000000]_k 3 30
main: [app+0x1000];[lost]_r 1 10
main: [app+0x1000];run_r;add_r;one_r 2 20
";
    assert_eq!(describe(&profile()), expected);
}

#[test]
fn lines_and_how_it_ran_are_those_of_the_frame() {
    let expected = [
        "CPython <module>:20:1 Interpreted",
        "CPython Job.crunch:12:9 Interpreted",
        "CPython Job.crunch:13:9 Interpreted nearly",
        "V8 run:2:5 Baseline",
        "V8 add:6:8 Optimized",
        "V8 one:8:1 Optimized inlined",
        "Unknown [lost]:0:0 Interpreted",
    ];
    assert_eq!(places(&profile()), expected);
}

#[test]
fn code_objects_of_one_function_are_one_function() {
    let profile = profile();
    let crunch = |function: &&Function| function.name == "Job.crunch";
    let functions: Vec<&Function> = profile.functions.iter().filter(crunch).collect();
    let expected = Function {
        name: "Job.crunch".into(),
        file: SCRIPT.into(),
        first_line: 11,
        first_column: 5,
        ..Function::default()
    };
    assert_eq!(functions, [&expected]);
    assert!(!functions[0].nameless);
    let id = profile.functions.iter().position(|function| *function == expected).unwrap();
    assert_eq!(profile.home_of(id), "jobs/job.py");
}

#[test]
fn modules_are_source_files_to_filters() {
    let filtered = |glob: &str| {
        let mut options = LoadOptions::default();
        options.filter.only_modules = vec![glob.parse().unwrap()];
        describe(&load_with(&with_runtimes(SCRIPT).finish(), &options).unwrap())
    };
    // Two lines of one function.
    let python = "main: <module>_r;Job.crunch_r 1 10\nmain: <module>_r;Job.crunch_r 3 30\n";
    assert_eq!(filtered("job.py"), python);
    assert_eq!(filtered("/srv/jobs/*"), python);
    assert_eq!(filtered("jobs/job.py"), python);
    assert_eq!(filtered("*.js"), "main: run_r;add_r;one_r 2 20\n");
    assert!(!filtered("app").contains("_r"));
}

#[test]
fn native_code_counts_for_the_nearest_function_of_a_runtime() {
    let filtered = |filter| {
        let options = LoadOptions { filter, ..LoadOptions::default() };
        describe(&load_with(&with_runtimes(SCRIPT).finish(), &options).unwrap())
    };
    let only = |runtimes: &[&str]| {
        let only_runtimes = runtimes.iter().map(|name| name.parse().unwrap()).collect();
        filtered(Filter { only_runtimes, ..Filter::default() })
    };
    let python = "main: <module>_r;Job.crunch_r 1 10\nmain: <module>_r;Job.crunch_r 3 30\n";
    assert_eq!(only(&["python"]), python);
    assert_eq!(only(&["Node"]), "main: run_r;add_r;one_r 2 20\n");
    assert_eq!(only(&["java"]), "");
    let all = filtered(Filter { without_native: true, ..Filter::default() });
    assert_eq!(only(&["python", "js"]), format!("{python}main: run_r;add_r;one_r 2 20\n"));
    // Whose code object is missing is still code of a runtime.
    let lost = "main: [lost]_r 1 10\n";
    assert_eq!(all, format!("{python}{lost}main: run_r;add_r;one_r 2 20\n"));
    let modules = vec!["*.js".parse().unwrap()];
    let python_in_js = Filter {
        only_modules: modules,
        only_runtimes: vec!["python".parse().unwrap()],
        ..Filter::default()
    };
    assert_eq!(filtered(python_in_js), "");
    assert!("perl".parse::<NamedRuntime>().is_err());
}

#[test]
fn functions_are_found_by_their_names() {
    let mut options = LoadOptions::default();
    options.filter.focus = vec!["^add$".parse().unwrap()];
    let profile = load_with(&with_runtimes(SCRIPT).finish(), &options).unwrap();
    assert_eq!(describe(&profile), "main: [app+0x1000];run_r;add_r;one_r 2 20\n");
}

#[test]
fn the_golden_vector() {
    let profile = load(&vector("v1.6"), &LoadOptions::default()).unwrap();
    let expected = [
        "CPython <module>:20:1 Interpreted",
        "CPython Job.crunch:12:9 Interpreted",
        "Other native:0:0 Baseline",
        "V8 add:4:5 Optimized",
        "V8 add:3:11 Optimized inlined",
        "CPython Job.crunch:11:9 Unknown nearly",
    ];
    assert_eq!(places(&profile), expected);
    let inventory = load_inventory(&vector("v1.6"), &Default::default()).unwrap();
    assert_eq!(
        inventory.code_objects,
        [(Runtime::CPython, 2), (Runtime::V8, 1), (Runtime::Other, 1)]
    );
}
