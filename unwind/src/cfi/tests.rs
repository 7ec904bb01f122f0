//! What tables say of files of this machine, and of damaged ones.

use std::fs::File;

use super::*;

/// What a file's call frame information says of the CFA, counted from the stack
/// pointer, and of where the caller's frame pointer is.
fn as_followed(rule: &Rule, state: FrameState) -> Option<(i64, Option<i64>)> {
    let Rule::Frame(rule) = rule else { return None };
    let Cfa::Register { register, offset } = rule.cfa else { return None };
    let cfa = match (register, state.sp, state.fp) {
        (SP, _, _) => offset,
        (FP, Some(sp), FramePointer::Below(below)) => offset - below + sp,
        _ => return None,
    };
    let saved = rule.recover.iter().find(|(register, _)| *register == FP);
    match saved {
        Some((_, Recover::AtCfa(at))) => Some((cfa, Some(-at))),
        Some(_) => None,
        None => Some((cfa, None)),
    }
}

/// Where a file says of all of its code what following the code would find.
#[test]
fn code_that_is_followed_is_as_its_tables_say() {
    for path in crate::arch::COVERED_FILES {
        let open = || File::open(path).unwrap();
        let mut cfi = Cfi::new(Image::from_file(open()).unwrap());
        let frames = KnownFrames::find(&CodeBytes::read(open()).unwrap(), Vec::new());
        let same = count_as_in_tables(&mut cfi, &frames);
        assert!(same > 1000, "{path}: {same}");
    }
}

/// The same of functions that the tables of the rest leave out.
#[test]
fn code_between_what_tables_cover_is_as_they_would_say() {
    for path in crate::arch::COVERED_FILES {
        let open = || File::open(path).unwrap();
        let mut cfi = Cfi::new(Image::from_file(open()).unwrap());
        let covered = cfi.covered();
        let is_left_out = |number: usize| number % 8 == 3;
        let numbered = covered.iter().enumerate();
        let left_out: Vec<_> = numbered.clone().filter(|(at, _)| is_left_out(*at)).collect();
        let rest = numbered.filter(|(at, _)| !is_left_out(*at)).map(|(_, range)| *range);
        let code = CodeBytes::read(open()).unwrap();
        let frames = KnownFrames::find(&code, rest.collect());
        let same = count_as_in_tables(&mut cfi, &frames);
        assert!(same > 100, "{path}: {same}");
        let is_in = |svma: u64, range: (u64, u64)| (range.0..range.1).contains(&svma);
        for (start, ..) in frames.ranges() {
            let in_rest = covered
                .iter()
                .enumerate()
                .any(|(at, range)| !is_left_out(at) && is_in(start, *range));
            assert!(!in_rest, "{path}: {start:#x}");
        }
        let known = left_out.iter().filter(|(_, (start, _))| frames.at(*start).is_some());
        assert!(known.count() * 4 > left_out.len() * 3, "{path}: of {}", left_out.len());
    }
}

/// How many ranges are as tables say, if none is otherwise.
fn count_as_in_tables(cfi: &mut Cfi, frames: &KnownFrames) -> u32 {
    let mut same = 0;
    for (start, _, state) in frames.ranges() {
        let Ok(rule) = cfi.find_entry(start) else { continue };
        let Some((cfa, saved)) = as_followed(&rule, state) else { continue };
        let sp = state.sp.unwrap_or(cfa);
        // In an epilogue, tables go on saying where a register was that is back.
        let saved = saved.filter(|saved| *saved <= sp);
        let is_same = sp == cfa && (saved.is_none() || state.saved_fp == saved);
        // Of two functions of glibc in assembly, which push, tables know nothing.
        let is_bare = (cfa, saved) == (8, None);
        assert!(is_same || is_bare, "{start:#x} {cfa} {saved:?} {state:?}");
        same += u32::from(is_same);
    }
    same
}

#[test]
fn a_loader_begins_at_its_root() {
    let loader = File::open(crate::arch::COVERED_FILES[0]).unwrap();
    let mut cfi = Cfi::new(Image::from_file(loader).unwrap());
    let entry = cfi.image.entry_svma;
    assert!(matches!(cfi.find_rule(entry, || None), Rule::Root));
    // Where it goes on after its first call.
    assert!(matches!(cfi.find_rule(entry + 8, || None), Rule::Root));
}

/// What is linked behind `_start` of glibc's programs, without an entry, is called
/// when they end.
#[test]
fn behind_a_covered_start_is_no_root() {
    let program = File::open("/proc/self/exe").unwrap();
    let mut cfi = Cfi::new(Image::from_file(program).unwrap());
    let entry = cfi.image.entry_svma;
    assert!(matches!(cfi.find_rule(entry, || None), Rule::Root));
    let behind = (entry..entry + ENTRY_BYTES).find(|svma| cfi.find_entry(*svma).is_err());
    assert!(matches!(cfi.find_rule(behind.unwrap(), || None), Rule::Nothing));
}

/// What a table is asked for that is there, in all of a small file.
fn ask_everywhere(file: &[u8]) {
    let Ok(image) = Image::from_bytes(file) else { return };
    let mut cfi = Cfi::new(image);
    let registers = Registers::with_pointers(0x1000, 0x7000, false);
    let stack: Vec<u8> = (0..512u64).flat_map(|at| (0x7000 + at).to_le_bytes()).collect();
    for offset in (0..file.len() as u64).step_by(61) {
        let code = || CodeBytes::from_bytes(file);
        let _ = cfi.step(offset, &registers, &StackMemory::new(0x7000, &stack), code);
    }
}

/// A search table that leads in front of `.eh_frame`, and one of more entries than
/// there are numbers for their places.
#[test]
fn search_tables_that_lead_nowhere() {
    let file = crate::own_vdso().unwrap();
    let image = Image::from_bytes(&file).unwrap();
    let header = &image.eh_frame_hdr.data;
    let at = file.windows(header.len()).position(|window| window == header).unwrap();
    let mut changed = file.clone();
    // The pointer to `.eh_frame`, a difference to where it stands itself.
    changed[at + 4..at + 8].copy_from_slice(&i32::MAX.to_le_bytes());
    ask_everywhere(&changed);
    let mut changed = file.clone();
    changed[at + 2] = 4;
    changed[at + 8..at + 16].fill(0xff);
    ask_everywhere(&changed);
}

#[test]
fn fuzz_unwind_tables() {
    rz_fuzz::fuzz("unwind tables of the vDSO", &[crate::own_vdso().unwrap()], ask_everywhere);
}
