//! Tables that are made up, and damaged.

use rz_format::TruncatedReason;

use super::*;
use crate::arch::{FP, Registers};
use crate::memory::StackMemory;
use crate::step::Step;

pub(super) const TEXT: u64 = 0x40_1000;

/// Functions of 0x40 bytes each. They have nothing on the stack for 4 bytes, 24 for
/// 0x3b, and nothing again. Each is in line 7 of its file; for 8 bytes from 0x10 on,
/// what is there is `inlined`, which was called in line 9 at 0x30.
pub(super) fn table(is_1_20: bool, names: &[&str], flags: u8) -> (Vec<u8>, Vec<u8>) {
    table_with(is_1_20, names, flags, &[2, 4, 48, 0x3b, 47, 1, 0], |_| 0)
}

/// The same with another table of what they have on the stack, of which each function's
/// begins somewhere.
pub(super) fn table_with(
    is_1_20: bool,
    names: &[&str],
    flags: u8,
    stack: &[u8],
    begins: impl Fn(u32) -> u32,
) -> (Vec<u8>, Vec<u8>) {
    let mut texts = b"inlined\0".to_vec();
    let mut records = Vec::new();
    // Values: bytes on the stack, file, line, number of the inlined call.
    let mut values = vec![0];
    let mut add = |table: &[u8]| {
        let at = values.len() as u32;
        values.extend_from_slice(table);
        at
    };
    let stack = add(stack);
    let file = add(&[2, 0x40, 0]);
    let line = add(&[16, 0x30, 4, 0x10, 0]);
    let number = add(&[0, 0x10, 2, 8, 1, 0x28, 0]);
    let pairs_len = (names.len() + 1) * 8;
    let mut pairs = Vec::new();
    let word = |to: &mut Vec<u8>, value: u32| to.extend_from_slice(&value.to_le_bytes());
    for (index, name) in names.iter().enumerate() {
        let start = index as u32 * 0x40;
        word(&mut pairs, start);
        word(&mut pairs, (pairs_len + records.len()) as u32);
        let stack = stack + begins(index as u32);
        for value in [start, texts.len() as u32, 0, 0, stack, file, line, 3, 0] {
            word(&mut records, value);
        }
        texts.extend_from_slice(name.as_bytes());
        texts.push(0);
        if is_1_20 {
            word(&mut records, 1);
        }
        records.extend_from_slice(&[0, flags, 0, 4]);
        for value in [0, 0, number, u32::MAX, u32::MAX, u32::MAX, 0] {
            word(&mut records, value);
        }
    }
    word(&mut pairs, names.len() as u32 * 0x40);
    word(&mut pairs, 0);
    pairs.extend_from_slice(&records);
    let magic = if is_1_20 { 0xf1 } else { 0xf0 };
    let mut table = vec![magic, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let parts = [texts, vec![0; 4], b"a.go\0".to_vec(), values, pairs];
    let mut at = 72;
    table.extend_from_slice(&(names.len() as u64).to_le_bytes());
    for number in [1, TEXT] {
        table.extend_from_slice(&number.to_le_bytes());
    }
    for part in &parts {
        table.extend_from_slice(&(at as u64).to_le_bytes());
        at += part.len();
    }
    table.extend(parts.concat());
    let call = match is_1_20 {
        true => [0, 0, 0x30, 1].map(u32::to_le_bytes).concat(),
        false => [0, 0, 0, 0, 0x30].map(u32::to_le_bytes).concat(),
    };
    (table, call)
}

#[test]
fn lines_and_inlined_calls() {
    for is_1_20 in [false, true] {
        let (table, data) = table(is_1_20, &["main.f", "main.(*T).g"], 0);
        let lines = Lines::new(Table::parse(&table, TEXT).unwrap(), &data);
        let check = |svma, expected: &[(&str, u32)]| {
            let calls = lines.find(svma);
            let text = |call: &Call| {
                assert_eq!(call.file, Some(b"a.go".as_slice()));
                (str::from_utf8(call.function).unwrap().to_owned(), call.line)
            };
            let found: Vec<_> = calls.iter().map(text).collect();
            let expected: Vec<_> = expected.iter().map(|(n, l)| ((*n).to_owned(), *l)).collect();
            assert_eq!(found, expected, "{svma:x}");
        };
        check(TEXT, &[("main.f", 7)]);
        check(TEXT + 0x4f, &[("main.(*T).g", 7)]);
        check(TEXT + 0x57, &[("inlined", 7), ("main.(*T).g", 9)]);
        check(TEXT + 0x58, &[("main.(*T).g", 7)]);
        check(TEXT + 0x7f, &[("main.(*T).g", 9)]);
        check(TEXT + 0x80, &[]);
        check(TEXT - 1, &[]);
    }
}

fn rule(name: &str, flags: u8, code: &[u8], at: u64) -> Rule {
    let (table, _) = table(true, &[name], flags);
    let program = Program::new(&Table::parse(&table, TEXT).unwrap(), |_, _| Some(code));
    program.rule(TEXT + at).unwrap()
}

#[test]
fn rules_by_function() {
    let check = |name, code: &[u8], at, expected| {
        assert_eq!(rule(name, 2, code, at), expected, "{name} {at}");
    };
    check("main.f", &[], 0, Rule::Called { size: 8 });
    check("main.f", &[], 3, Rule::Called { size: 8 });
    check("main.f", &[], 4, Rule::Called { size: 32 });
    check("main.f", &[], 0x3f, Rule::Called { size: 8 });
    check("runtime.goexit", &[], 1, Rule::Root);
    check("runtime.sigpanic", &[], 1, Rule::Injected { size: 8 });
    check("runtime.sigreturn", &[], 1, Rule::Signal);
    // mov 0x38(%rdx),%rsp; call *%rdi; mov 0x38(%rax),%rsp
    let there_and_back = [0x90, 0x48, 0x8b, 0x62, 0x38, 0xff, 0xd7, 0x48, 0x8b, 0x60, 0x38, 0xc3];
    check("runtime.systemstack", &there_and_back, 1, Rule::Called { size: 8 });
    check("runtime.systemstack", &there_and_back, 5, Rule::Switched);
    check("runtime.systemstack", &there_and_back, 7, Rule::Switched);
    check("runtime.systemstack", &there_and_back, 11, Rule::Called { size: 32 });
    check("runtime.mcall", &there_and_back, 5, Rule::Root);
    check("main.f", &there_and_back, 5, Rule::Unknown);
    // mov %rsp,%r12; mov 0x38(%rdx),%rsp; mov %r12,%rsp
    let kept = [0x49, 0x89, 0xe4, 0x48, 0x8b, 0x62, 0x38, 0x90, 0x4c, 0x89, 0xe4, 0xc3];
    check("time.now", &kept, 2, Rule::Called { size: 8 });
    check("time.now", &kept, 3, Rule::KeptIn { register: 12, size: 8 });
    check("time.now", &kept, 10, Rule::KeptIn { register: 12, size: 8 });
    // 24 bytes of what the table says have gone with the other stack.
    check("time.now", &kept, 11, Rule::Called { size: 8 });
    // A function that does not write it has none of these, whatever its bytes are.
    assert_eq!(rule("main.f", 0, &there_and_back, 5), Rule::Called { size: 32 });
}

/// The caller's instruction and stack pointers.
fn step(rule: Rule, words: &[u64]) -> Result<(u64, u64), TruncatedReason> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let registers = Registers::with_pointers(TEXT, 0x1000, false);
    match rule.apply(&registers, &StackMemory::new(0x1000, &bytes))? {
        Step::Caller { registers, .. } => Ok((registers.ip, registers.sp())),
        Step::Root(_) | Step::UseFramePointer => Ok((0, 0)),
    }
}

#[test]
fn callers() {
    assert_eq!(step(Rule::Called { size: 16 }, &[1, 2, 3]), Ok((2, 0x1010)));
    assert_eq!(step(Rule::Called { size: 32 }, &[1, 2]), Err(TruncatedReason::StackTooDeep));
    assert_eq!(step(Rule::Switched, &[1, 2]), Err(TruncatedReason::OtherStack));
    // Only what says where the stack pointer was, and that this is no goroutine.
    let kept = Rule::KeptAt { offset: 0, size: 16 };
    assert_eq!(step(kept, &[0x1010, 0, 7, 8]), Ok((8, 0x1020)));
    assert_eq!(step(kept, &[0x1010, 1, 7, 8]), Err(TruncatedReason::NoUnwindInfo));
    assert_eq!(step(kept, &[0x2010, 0, 7, 8]), Err(TruncatedReason::NoUnwindInfo));
    // Zero, as all registers here.
    let kept = Rule::KeptIn { register: 12, size: 16 };
    assert_eq!(step(kept, &[1, 2]), Err(TruncatedReason::OtherStack));
    let signal: Vec<u64> = (0..30).collect();
    assert_eq!(step(Rule::Signal, &signal), Ok((21, 20)));
    assert_eq!(step(Rule::Signal, &signal[..21]), Err(TruncatedReason::StackTooDeep));
    let registers = Registers::with_pointers(TEXT, 0x1000, false);
    let stack = [0; 32];
    let step = Rule::Called { size: 16 }.apply(&registers, &StackMemory::new(0x1000, &stack));
    let Ok(Step::Caller { registers, .. }) = step else { panic!("{step:?}") };
    assert_eq!(registers.get(FP), None, "Go's functions do not preserve it for their callers");
}

/// Whatever is damaged, an answer comes, and of the functions that are there.
#[test]
fn fuzz_pclntab() {
    let tables: Vec<_> = [false, true]
        .map(|is_1_20| table(is_1_20, &["main.f", "runtime.systemstack", "g"], 2))
        .to_vec();
    let seeds: Vec<Vec<u8>> = tables.iter().map(|(table, _)| table.clone()).collect();
    rz_fuzz::fuzz("pclntab", &seeds, |table| {
        let mut random = rz_fuzz::Random::of(table);
        let Some(parsed) = Table::parse(table, TEXT) else { return };
        let mut data = random.pick(&tables).1.clone();
        rz_fuzz::change(&mut data, &seeds, &mut random);
        assert!(parsed.functions().count() <= table.len());
        for svma in [TEXT - 1, TEXT, TEXT + 0x12, TEXT + random.below(0x100)] {
            if let Some(function) = parsed.find(svma) {
                assert!((function.start..function.end).contains(&svma));
            }
            let rule = Program::new(&parsed, |_, _| Some(&[0x48, 0x8b, 0x62, 0x38])).rule(svma);
            let is_there = |function: Function| (function.start - 1..function.end).contains(&svma);
            assert!(rule.is_none() || parsed.functions().any(is_there));
            assert!(Lines::new(parsed, &data).find(svma).len() <= 256);
        }
    });
}
