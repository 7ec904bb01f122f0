//! Debug information in several files, and names that are elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::*;
use crate::symbolize::{ModuleRequest, ModuleSymbols};

const INLINED: [&str; 2] = ["inner a.c:3 < outer a.c:7", "outer a.c:8"];

/// Builds `a` from `a.c` in two steps, so that the compiler leaves `a.dwo`.
fn build_split(dir: &Workshop, compiler: &str) -> PathBuf {
    let (source, object, program) = (dir.path("a.c"), dir.path("a.o"), dir.path("a"));
    fs::write(&source, C_PROGRAM).unwrap();
    let (source, object) = (source.display(), object.display());
    run(&format!("{compiler} -g -O2 -gsplit-dwarf -c -o {object} {source}"));
    run(&format!("cc -Wl,--build-id -o {} {object}", program.display()));
    assert!(dir.path("a.dwo").exists(), "{compiler}");
    program
}

fn symbolize_outer(program: &Path, outer: Listed, debug_dirs: &[PathBuf]) -> ModuleSymbols {
    symbolize_one(ModuleRequest {
        path: program,
        build_id: &[],
        file_size: 0,
        segments: &[],
        offsets: &offsets_of(outer),
        debug_dirs,
    })
}

/// How compilers of this machine write split debug information.
const SPLIT: [&str; 4] =
    ["gcc -gdwarf-4", "gcc -gdwarf-5", "clang-14 -gdwarf-4", "clang-14 -gdwarf-5"];

#[test]
fn split_files() {
    for compiler in SPLIT {
        let dir = Workshop::new();
        let program = build_split(&dir, compiler);
        let outer = functions(&program)["outer"];
        assert_has(&calls_in(&program, "outer"), &INLINED);

        // Moved elsewhere.
        let (built, moved) = (dir.path("a.dwo"), dir.path("elsewhere/a.dwo"));
        fs::create_dir(dir.path("elsewhere")).unwrap();
        fs::rename(&built, &moved).unwrap();
        let symbols = symbolize_outer(&program, outer, &[dir.path("elsewhere")]);
        assert_eq!(symbols.note, None, "{compiler}");
        assert_has(&distinct(&symbols), &INLINED);

        // Lost: lines are left, and the symbol.
        let symbols = symbolize_outer(&program, outer, &[]);
        assert_has(&distinct(&symbols), &["outer a.c:3", "outer a.c:8"]);
        let expected = format!("({} was not found)", name_of_dwo(&built, compiler));
        assert!(symbols.note.as_ref().unwrap().contains(&expected), "{:?}", symbols.note);

        // Of another build.
        let other = Workshop::new();
        fs::write(other.path("b.c"), C_PROGRAM.replace("* 3", "* 5")).unwrap();
        let (source, object) = (other.path("b.c"), other.path("b.o"));
        let (source, object) = (source.display(), object.display());
        run(&format!("{compiler} -g -O2 -gsplit-dwarf -c -o {object} {source}"));
        fs::rename(other.path("b.dwo"), &built).unwrap();
        let symbols = symbolize_outer(&program, outer, &[]);
        assert_has(&distinct(&symbols), &["outer a.c:3"]);
        assert!(symbols.note.unwrap().contains("is of another build)"), "{compiler}");
    }
}

/// The file's name as the compiler was told to call it, which is all it says.
fn name_of_dwo(path: &Path, _compiler: &str) -> String {
    path.display().to_string()
}

#[test]
fn packages_of_split_files() {
    // Neither tool can make a package of what gcc writes as DWARF 5.
    for (compiler, packer) in
        [(SPLIT[0], "dwp"), (SPLIT[2], "dwp"), (SPLIT[2], "llvm-dwp-14"), (SPLIT[3], "llvm-dwp-14")]
    {
        let dir = Workshop::new();
        let program = build_split(&dir, compiler);
        let (from, to) = (program.display(), dir.path("a.dwp"));
        run(&format!("{packer} -e {from} -o {}", to.display()));
        fs::remove_file(dir.path("a.dwo")).unwrap();
        assert_has(&calls_in(&program, "outer"), &INLINED);

        let outer = functions(&program)["outer"];
        fs::create_dir(dir.path("elsewhere")).unwrap();
        fs::rename(&to, dir.path("elsewhere/a.dwp")).unwrap();
        let symbols = symbolize_outer(&program, outer, &[dir.path("elsewhere")]);
        assert_has(&distinct(&symbols), &INLINED);
    }
}

/// As distributions leave it in programs: symbols of all functions, by xz.
#[test]
fn mini_debug_info() {
    let dir = Workshop::new();
    let program = dir.c_program("a");
    let outer = functions(&program)["outer"];
    let (program_text, mini) = (program.display(), dir.path("mini"));
    let mini = mini.display();
    run(&format!("objcopy --only-keep-debug {program_text} {mini}"));
    run(&format!("objcopy --strip-debug {mini}"));
    run(&format!("xz --keep {mini}"));
    run(&format!("strip {program_text}"));
    assert_eq!(distinct(&symbolize_program(&program, &[outer.offset])), [""]);
    run(&format!("objcopy --add-section .gnu_debugdata={mini}.xz {program_text}"));
    let symbols = symbolize_program(&program, &offsets_of(outer));
    // Behind the function is padding.
    assert_eq!(
        (distinct(&symbols), symbols.note.as_deref()),
        (vec!["".into(), "outer".into()], None)
    );

    // Damaged, it is as if it were not there.
    let mut packed = fs::read(format!("{mini}.xz")).unwrap();
    packed[40] ^= 0x10;
    fs::write(format!("{mini}.xz"), packed).unwrap();
    run(&format!("objcopy --update-section .gnu_debugdata={mini}.xz {program_text}"));
    let symbols = symbolize_program(&program, &[outer.offset]);
    assert_eq!(distinct(&symbols), [""]);
    assert!(symbols.note.unwrap().contains("(.gnu_debugdata: "));
}

/// `dwz` moves what two programs share to a third file.
#[test]
fn shared_debug_information() {
    let dir = Workshop::new();
    let programs = ["a", "b"]
        .map(|name| dir.build(name, "c", C_PROGRAM, "cc -g -O2 -gdwarf-4 -Wl,--build-id"));
    let shared = dir.path("shared");
    let [a, b] = &programs;
    let (a_text, b_text) = (a.display(), b.display());
    run(&format!("dwz -m {} {a_text} {b_text}", shared.display()));
    assert_has(&calls_in(a, "outer"), &INLINED);
    let outer = functions(a)["outer"];
    fs::remove_file(shared).unwrap();
    let symbols = symbolize_outer(a, outer, &[]);
    assert!(symbols.note.unwrap().contains("its shared part"));
}
