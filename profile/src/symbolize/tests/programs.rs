//! Names in programs of several languages and layouts.

use super::fixture::*;

const C_CALLS: [&str; 3] =
    ["inner a.c:3 < outer a.c:7", "inner a.c:4 < outer a.c:7", "outer a.c:8"];

#[test]
fn inlined_calls_with_lines_in_every_layout() {
    for options in [
        "-pie -fPIE",
        "-no-pie -fno-pie",
        "-static",
        "-static-pie -fPIE",
        "-gz=zlib",
        "-gdwarf-2",
        "-gdwarf-3",
        "-gdwarf-4 -fdebug-types-section",
        "-gdwarf-5 -Wl,--build-id=none",
        "-gdwarf64",
        "-flto",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,max-page-size=2097152",
    ] {
        let dir = Workshop::new();
        let program = dir.build("a", "c", C_PROGRAM, &format!("cc -g -O2 {options}"));
        let calls = calls_in(&program, "outer");
        assert!(C_CALLS.iter().all(|c| calls.iter().any(|call| call == c)), "{options}: {calls:?}");
    }
}

#[test]
fn every_version_by_another_compiler() {
    for version in 2..=5 {
        let dir = Workshop::new();
        let command = format!("clang-14 -g -O2 -gdwarf-{version}");
        let program = dir.build("a", "c", C_PROGRAM, &command);
        assert_has(&calls_in(&program, "outer"), &C_CALLS);
    }
}

/// What is unlikely is moved away and called another name; it is still the
/// same function.
#[test]
fn parts_and_copies_have_the_name_of_their_function() {
    let source = "\
#include <stdlib.h>
volatile int sink;
__attribute__((cold, noinline)) void fail(int x) { sink = x; abort(); }
__attribute__((noinline)) int checked(int x) {
    if (__builtin_expect(x > 100, 0)) { sink = x; sink = x + 1; fail(x); }
    return x * sink;
}
struct pair { int a, b; };
static __attribute__((noinline)) int first(struct pair *p) { return p->a * sink; }
int main(int argc, char **argv) {
    struct pair p = { argc, 2 };
    return checked(argc) + first(&p);
}
";
    for options in ["-g", "-g0"] {
        let dir = Workshop::new();
        let program = dir.build("a", "c", source, &format!("gcc -O2 {options}"));
        let mut parts = 0;
        for (name, listed) in functions(&program) {
            let Some((base, _)) = name.split_once('.').filter(|(base, _)| !base.is_empty()) else {
                continue;
            };
            let symbols = symbolize_program(&program, &[listed.offset]);
            let outermost = symbols.calls[0].last().unwrap();
            assert_eq!(&*outermost.name, base, "{options}: {name}");
            parts += 1;
        }
        assert!(parts >= 2, "{options}: {:?}", functions(&program));
    }
}

#[test]
fn versions_of_symbols_are_left_out() {
    let source = "\
volatile int sink;
__attribute__((noinline)) int old_work(int x) { sink = x; return x; }
__attribute__((noinline)) int new_work(int x) { sink = x + 1; return x; }
__asm__(\".symver old_work, work@V1\");
__asm__(\".symver new_work, work@@V2\");
";
    let dir = Workshop::new();
    std::fs::write(dir.path("versions"), "V1 { global: work; local: *; };\nV2 { } V1;\n").unwrap();
    let script = dir.path("versions");
    let command = format!("gcc -O2 -shared -fPIC -Wl,--version-script={}", script.display());
    let library = dir.build("liba.so", "c", source, &command);
    run(&format!("strip {}", library.display()));
    let mut versions = 0;
    for (name, listed) in functions(&library) {
        if ["work@V1", "work@@V2"].contains(&name.as_str()) {
            assert_eq!(distinct(&symbolize_program(&library, &[listed.offset])), ["work"]);
            versions += 1;
        }
    }
    assert_eq!(versions, 2);
}

#[test]
fn compressed_by_each_method() {
    let dir = Workshop::new();
    let program = dir.c_program("a");
    for method in ["zlib-gabi", "zlib-gnu", "zstd"] {
        let packed = dir.path(method);
        let (from, to) = (program.display(), packed.display());
        run(&format!("objcopy --compress-debug-sections={method} {from} {to}"));
        assert_has(&calls_in(&packed, "outer"), &C_CALLS);
    }
}

#[test]
fn without_debug_information_the_symbol_table_names() {
    let dir = Workshop::new();
    let program = dir.build("a", "c", C_PROGRAM, "cc -O2");
    assert_has(&calls_in(&program, "outer"), &["outer"]);
}

#[test]
fn stripped_library_keeps_its_exports() {
    let dir = Workshop::new();
    let library = dir.build("liba.so", "c", C_PROGRAM, "cc -O2 -shared -fPIC");
    let outer = functions(&library)["outer"];
    run(&format!("strip {}", library.display()));
    assert_has(&distinct(&symbolize_program(&library, &offsets_of(outer))), &["outer"]);
}

#[test]
fn stripped_program_gives_a_note() {
    let dir = Workshop::new();
    let program = dir.build("a", "c", C_PROGRAM, "cc -g -O2 -Wl,--no-export-dynamic");
    let outer = functions(&program)["outer"];
    run(&format!("strip {}", program.display()));
    let symbols = symbolize_program(&program, &[outer.offset, outer.offset + 1]);
    assert_eq!(symbols.addresses, [outer.address, outer.address + 1]);
    assert_eq!(symbols.calls, [vec![], vec![]]);
    assert_eq!(symbols.starts, [outer.address; 2], "one function, by its unwind table entry");
    let expected = format!(
        "{}: has neither symbols nor debug information, and no debug file was found",
        program.display()
    );
    assert_eq!(symbols.note, Some(expected));
}

/// As Debian's programs: `strip` leaves the name of what debug information
/// shared with other programs, which is of no use without the rest of it.
#[test]
fn stripped_program_does_not_miss_the_shared_part() {
    let workshop = Workshop::new();
    let program = workshop.build("exporting", "c", C_PROGRAM, "cc -rdynamic");
    let link = workshop.path("link");
    let name_and_build_id = b"shared.debug\0\x01\x02\x03\x04";
    std::fs::write(&link, name_and_build_id).unwrap();
    let (program_text, link) = (program.display(), link.display());
    run(&format!("strip {program_text}"));
    run(&format!("objcopy --add-section .gnu_debugaltlink={link} {program_text}"));
    let offsets = [0x1000];
    assert_eq!(symbolize_program(&program, &offsets).note, None);
}

#[test]
fn offsets_outside_of_the_file_have_no_name() {
    let dir = Workshop::new();
    let offsets = [u64::MAX - 1, u64::MAX];
    let symbols = symbolize_program(&dir.c_program("a"), &offsets);
    assert_eq!((symbols.addresses, symbols.calls), (offsets.to_vec(), vec![vec![], vec![]]));
}

#[test]
fn many_addresses_keep_their_order() {
    let dir = Workshop::new();
    let program = dir.build("a", "c", C_PROGRAM, "cc -g -O2 -static");
    let start = functions(&program)["outer"].offset;
    // More than one thread's share.
    let offsets: Vec<u64> = (start..start + 10_000).collect();
    let whole = symbolize_program(&program, &offsets);
    let parts: Vec<_> =
        offsets.chunks(1_500).map(|part| symbolize_program(&program, part)).collect();
    assert_eq!(whole.calls, parts.into_iter().flat_map(|part| part.calls).collect::<Vec<_>>());
    assert!(distinct(&whole).len() > 10, "{:?}", distinct(&whole));
}

#[test]
fn assembly_without_sizes() {
    let source = r#"
        __asm__(".text\n"
                ".globl bare\n bare: nop\n nop\n .Llocal: nop\n ret\n"
                ".globl next\n next: nop\n nop\n"
                ".globl sized\n .type sized, @function\n"
                "sized: nop\n label: nop\n nop\n .size sized, . - sized\n");
        int main(void) { return 0; }
    "#;
    let dir = Workshop::new();
    let program = dir.build("a", "c", source, "cc -O0");
    let start = functions(&program)["bare"].offset;
    let symbols = symbolize_program(&program, &(start..start + 9).collect::<Vec<_>>());
    let names: Vec<&str> = symbols.calls.iter().map(|calls| &*calls[0].name).collect();
    let expected = ["bare", "bare", "bare", "bare", "next", "next", "sized", "sized", "sized"];
    assert_eq!(names, expected);
}

#[test]
fn aliases_get_the_public_name() {
    let source = r#"
        int __work(int x) { return x + 1; }
        static int local_work(int x) __attribute__((alias("__work"), used));
        int work(int x) __attribute__((weak, alias("__work")));
        int main(int argc, char **argv) { return __work(argc); }
    "#;
    let dir = Workshop::new();
    for options in ["", "-g"] {
        let program = dir.build("a", "c", source, &format!("cc -O0 {options}"));
        let main = functions(&program)["main"];
        let addresses = run(&format!("nm {}", program.display()));
        let line = addresses.lines().find(|line| line.ends_with(" T __work")).unwrap();
        let work = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        let symbols = symbolize_program(
            &program,
            &[main.offset.wrapping_add(work).wrapping_sub(main.address)],
        );
        assert_eq!(&*symbols.calls[0].last().unwrap().name, "work", "{options}");
    }
}

#[test]
fn plt_entries() {
    let source = "#include <stdio.h>\n#include <stdlib.h>\n
        int main(void) { puts(getenv(\"HOME\")); return atoi(\"1\"); }";
    let dir = Workshop::new();
    for options in [
        "-Wl,-z,lazy",
        "-Wl,-z,now",
        "-Wl,-z,lazy -fcf-protection=full -Wl,-z,ibtplt",
        "-no-pie -fno-pie",
        "-Wl,-s",
    ] {
        let program = dir.build("a", "c", source, &format!("cc -O0 {options}"));
        let mut seen = Vec::new();
        for (name, entry) in functions(&program) {
            if !name.ends_with("@plt") {
                continue;
            }
            let symbols = symbolize_program(&program, &[entry.offset, entry.offset + 6]);
            for calls in &symbols.calls {
                assert_eq!(calls.len(), 1, "{options}: {name}");
                assert_eq!((&*calls[0].name, &*calls[0].system_name), (&*name, &*name));
            }
            seen.push(name);
        }
        for name in ["atoi@plt", "getenv@plt", "puts@plt"] {
            assert!(seen.iter().any(|s| s == name), "{options}: {seen:?}");
        }
    }
}

#[test]
fn cpp_names() {
    let source = "\
#include <vector>
volatile int sink;
namespace {
struct Local { __attribute__((noinline)) int run(int x) { sink = x; return x + 1; } };
}
template <typename T> __attribute__((noinline)) T twice(T x) { sink = 1; return x + x; }
struct Shape { __attribute__((noinline)) static int area(int x); };
inline __attribute__((always_inline)) int square(int x) { sink = x; return x * x; }
int Shape::area(int x) {
    int result = square(x);
    sink = 0;
    return result;
}
int main(int argc, char **) {
    auto lambda = [&](int x) __attribute__((noinline)) { sink = argc; return x - 1; };
    return Local().run(argc) + twice<int>(argc) + Shape::area(argc) + lambda(argc);
}
";
    for (options, area) in
        [("-g", "square(int) a.cc:8 < Shape::area(int) a.cc:10"), ("-g0", "Shape::area(int)")]
    {
        let dir = Workshop::new();
        let program = dir.build("a", "cc", source, &format!("c++ -O1 {options}"));
        assert_has(&calls_in(&program, "_ZN5Shape4areaEi"), &[area]);
        // Optimized copies of these may have a suffix such as `.isra.0`.
        for (prefix, expected) in [
            ("_ZN12_GLOBAL__N_15Local3runEi", "(anonymous namespace)::Local::run(int)"),
            ("_Z5twiceIiET_S0_", "int twice<int>(int)"),
            ("_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"),
        ] {
            let functions = functions(&program);
            let (_, listed) = functions.range(prefix.to_string()..).next().expect(prefix);
            let symbols = symbolize_program(&program, &[listed.offset]);
            let outermost = symbols.calls[0].last().expect(prefix);
            assert_eq!(&*outermost.name, expected, "{options}");
            assert!(outermost.system_name.starts_with(prefix), "{}", outermost.system_name);
        }
    }
}

#[test]
fn rust_names_in_both_schemes() {
    let source = "\
use std::hint::black_box;
struct Counter(u64);
trait Step { fn step(&mut self, by: u64) -> u64; }
#[inline(always)]
fn scaled(by: u64) -> u64 {
    black_box(by) * 3
}
impl Step for Counter {
    #[inline(never)]
    fn step(&mut self, by: u64) -> u64 {
        let scaled = scaled(by);
        black_box(&scaled);
        self.0 + scaled
    }
}
fn main() {
    println!(\"{}\", Counter(1).step(2));
}
";
    for options in ["", "-C symbol-mangling-version=v0"] {
        let dir = Workshop::new();
        let command = format!("rustc -g -C opt-level=1 {options}");
        let program = dir.build("a", "rs", source, &command);
        let is_step = |name: &String| name.contains("Counter") && name.contains("step");
        let step = functions(&program).into_keys().find(is_step).expect("no step");
        let calls = calls_in(&program, &step);
        let outermost = "<a::Counter as a::Step>::step a.rs:11";
        assert!(
            calls.iter().any(|c| c.contains("a::scaled a.rs:6 < ") && c.ends_with(outermost)),
            "{options}: {calls:#?}"
        );
    }
}

/// Every address of a program with very many inlined calls, against another
/// tool: how many calls there are, and at which lines.
#[test]
fn as_addr2line_finds_them() {
    let source = "\
#include <algorithm>
#include <map>
#include <string>
#include <vector>
int main(int argc, char **argv) {
    std::map<std::string, std::vector<int>> groups;
    for (int i = 0; i < argc * 100; i++) groups[argv[i % argc]].push_back(i * 7 % 31);
    int sum = 0;
    for (auto &group : groups) {
        std::sort(group.second.begin(), group.second.end());
        for (int value : group.second) sum = sum * 3 + value;
    }
    return sum;
}
";
    for options in ["g++ -O2 -gdwarf-5", "g++ -O1 -gdwarf-4", "clang++-14 -O2 -gdwarf-4"] {
        let dir = Workshop::new();
        let program = dir.build("a", "cc", source, &format!("{options} -g -fPIE -pie"));
        let functions = functions(&program);
        let ours = functions.values().filter(|listed| listed.size < 100_000);
        let mut places: Vec<(u64, u64)> = ours
            .flat_map(|f| (0..f.size).step_by(3).map(|into| (f.offset + into, f.address + into)))
            .collect();
        places.sort_unstable();
        let (offsets, addresses): (Vec<u64>, Vec<u64>) = places.into_iter().unzip();
        let list: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
        std::fs::write(dir.path("list"), list).unwrap();
        let list = dir.path("list");
        let found =
            run(&format!("addr2line -a -f -i -e {} @{}", program.display(), list.display()));
        let mut expected: Vec<Vec<u32>> = Vec::new();
        for line in found.lines() {
            if line.starts_with("0x") {
                expected.push(Vec::new());
            } else if let Some((_, number)) = line.rsplit_once(':') {
                let number = number.split(' ').next().unwrap().parse().unwrap_or(0);
                expected.last_mut().unwrap().push(number);
            }
        }
        let symbols = symbolize_program(&program, &offsets);
        let mut inlined = 0;
        for ((address, expected), calls) in addresses.iter().zip(expected).zip(&symbols.calls) {
            // Code without debug information has a name only here, and padding
            // has a line only there.
            if expected == [0] || calls.is_empty() {
                assert!(expected.len() == 1, "{options}: {address:#x}");
                continue;
            }
            let lines: Vec<u32> = calls.iter().map(|call| call.line).collect();
            assert_eq!(lines, expected, "{options}: {address:#x}: {calls:#?}");
            inlined += calls.len().saturating_sub(1);
        }
        assert!(inlined > 1000, "{options}: {inlined}");
    }
}
