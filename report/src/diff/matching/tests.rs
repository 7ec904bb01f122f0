//! Matching functions of profiles made by hand.

use rz_profile::model::Profile;

use super::*;
use crate::fixture::Builder;

/// A recording of an `app` of this build: each function is its name and, after
/// ` @`, its source file.
fn profile(build_id: &str, functions: &[&str]) -> Profile {
    let mut builder = Builder::new();
    for function in functions {
        let (name, file) = function.split_once(" @").unwrap_or((function, ""));
        let stack = builder.stack(&[name]);
        builder.sample(0, stack, 1);
        let function = builder.profile.functions.last_mut().unwrap();
        file.clone_into(&mut function.file);
        if !name.contains(['(', '[']) && !name.starts_with("run::") {
            name.clone_into(&mut function.system_name);
        }
    }
    builder.profile.modules[0].build_id = build_id.into();
    builder.profile
}

/// What the functions of both sides are called.
fn names(
    before: &Profile,
    after: &Profile,
    renames: &[&str],
) -> Result<[Vec<String>; 2], ReportError> {
    let mut symbols = Symbols::default();
    let renames: Vec<String> = renames.iter().map(|&rename| rename.into()).collect();
    let matched = match_functions([&[before], &[after]], &renames, &mut symbols)?;
    let name = |&id: &SymbolId| symbols[id].name.clone();
    Ok([0, 1].map(|side| matched.functions[side][0].iter().map(name).collect()))
}

#[test]
fn one_build_keeps_what_its_compiler_numbered() {
    let functions = ["run::{closure#0}", "run::{closure#1}", "[app+0x12]"];
    let (first, again) = (profile("1", &functions), profile("1", &functions));
    assert_eq!(names(&first, &again, &[]).unwrap(), [functions; 2]);
    let rebuilt = profile("2", &functions);
    let pooled = ["run::{closure}", "run::{closure}", "[app: unnamed]"];
    assert_eq!(names(&first, &rebuilt, &[]).unwrap(), [pooled; 2]);
    // Builds without an id may be any.
    let unknown = profile("", &functions);
    assert_eq!(names(&unknown, &unknown, &[]).unwrap(), [pooled; 2]);
}

#[test]
fn names_that_debug_information_cuts_short_are_completed() {
    let check = |after: &[&str], expected: &[&str]| {
        let before = profile("1", &["app::(anonymous namespace)::work(int) @src/a.cpp"]);
        let [_, names] = names(&before, &profile("2", after), &[]).unwrap();
        assert_eq!(names, expected);
    };
    check(&["work @src/a.cpp"], &["app::(anonymous namespace)::work(int)"]);
    check(&["work<a::B> @src/a.cpp"], &["app::(anonymous namespace)::work(int)"]);
    check(&["work @src/b.cpp"], &["work"]);
    check(&["work(char) @src/a.cpp", "work @src/a.cpp"], &["work(char)", "work"]);
}

#[test]
fn renamed_functions_are_matched_when_told() {
    let before = profile("1", &["app::old", "app::old::{closure#0}", "a=b", "main"]);
    let after = profile("2", &["app::new", "app::new::{closure#0}", "c=d", "main"]);
    let check = |renames: &[&str], expected: [&str; 4]| {
        let [names, _] = names(&before, &after, renames).unwrap();
        assert_eq!(names, expected, "{renames:?}");
    };
    check(&[], ["app::old", "app::old::{closure}", "a=b", "main"]);
    check(&["app::old=app::new"], ["app::new", "app::new::{closure}", "a=b", "main"]);
    check(&["old = new"], ["app::new", "app::new::{closure}", "a=b", "main"]);
    check(&["a=b=c=d"], ["app::old", "app::old::{closure}", "c=d", "main"]);
    let error = |rename: &str| names(&before, &after, &[rename]).unwrap_err().to_string();
    assert_eq!(error("gone=new"), "--rename gone=new: no function gone, or several, in before");
    assert_eq!(error("main=gone"), "--rename main=gone: no function gone, or several, in after");
    assert_eq!(error("main"), "--rename main: no function main, or several, in before");
}

#[test]
fn rust_names_of_either_mangling_match() {
    let mangled = |build_id, function: (&str, &str)| {
        let mut profile = profile(build_id, &[function.0]);
        function.1.clone_into(&mut profile.functions[0].system_name);
        profile
    };
    let old = mangled("1", ("app::fold", "_ZN3app4fold17h0123456789abcdefE"));
    let new = mangled("2", ("app::fold::<u8>", "_RINvC3app4foldhE"));
    assert_eq!(names(&old, &new, &[]).unwrap(), [["app::fold"]; 2]);
    let rebuilt = mangled("3", ("app::fold::<u16>", "_RINvC3app4foldtE"));
    assert_eq!(names(&new, &rebuilt, &[]).unwrap(), [["app::fold::<u8>"], ["app::fold::<u16>"]]);
}

/// Linked into the program instead of a library.
#[test]
fn a_function_may_move_to_another_module() {
    let before = profile("1", &["main", "compress"]);
    let mut after = profile("2", &["main", "compress"]);
    let library = rz_profile::model::Module { name: "libz.so.1".into(), ..Default::default() };
    after.modules.push(library);
    after.functions[1].module = Some(after.modules.len() - 1);
    let modules = |renames: &[String]| {
        let mut symbols = Symbols::default();
        let matched = match_functions([&[&before], &[&after]], renames, &mut symbols).unwrap();
        [0, 1].map(|side: usize| symbols[matched.functions[side][0][1]].module.clone())
    };
    assert_eq!(modules(&[]), ["app", "libz.so.1"]);
    assert_eq!(modules(&["compress=compress".into()]), ["libz.so.1"; 2]);
}
