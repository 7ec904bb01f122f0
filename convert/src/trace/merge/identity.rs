//! Tells which modules of several traces are the same code.

use rustc_hash::FxHashMap;
use rz_format::{Module, ModuleKind};
use rz_unwind::is_checksum;

use crate::x86_64::KERNEL_MODULES_START;

/// What makes code the same in several traces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Code {
    /// A build of a file, by its build-id.
    Build(u8, Vec<u8>),
    /// A file without one, by a checksum of its code and its path: other files may have
    /// the same code and other names for it.
    Checksum(Vec<u8>, String),
    /// A file without one, by its path and size.
    Path(String, u64),
    /// What has the same addresses as long as a machine is up.
    Boot { boot: String, kind: u8, build_id: Vec<u8>, path: String },
}

impl Code {
    /// `None` if the code is only known to be that of one process.
    fn of(module: &Module, boot: Option<&str>) -> Option<Code> {
        let has_build_id = !module.build_id.is_empty();
        match ModuleKind::from(module.kind) {
            ModuleKind::File | ModuleKind::Vdso if is_checksum(&module.build_id) => {
                Some(Code::Checksum(module.build_id.clone(), module.path.clone()))
            }
            ModuleKind::File | ModuleKind::Vdso if has_build_id => {
                Some(Code::Build(module.kind, module.build_id.clone()))
            }
            ModuleKind::File if module.file_size > 0 => {
                Some(Code::Path(module.path.clone(), module.file_size))
            }
            ModuleKind::File | ModuleKind::Vdso | ModuleKind::Kernel => Some(Code::Boot {
                boot: boot?.to_owned(),
                kind: module.kind,
                build_id: module.build_id.clone(),
                path: module.path.clone(),
            }),
            _ => None,
        }
    }
}

/// The modules of the output. A trace may have several that look the same,
/// which stay apart: its second one is the second one of the others.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: FxHashMap<(Code, u32), u32>,
    next: u32,
}

/// How often each code was defined in one trace.
#[derive(Debug, Default)]
pub(super) struct Occurrences(FxHashMap<Code, u32>);

/// What the offsets of a module of one trace lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModuleIds {
    /// The module of the output.
    id: u32,
    /// That of code that the kernel loads and unloads while it runs, such as
    /// its modules and bpf programs: their addresses are other code in another
    /// recording. The same as `id` for all but kernels.
    loaded: u32,
}

impl ModuleIds {
    /// The module of the output for an offset in this one.
    pub(super) fn of(self, offset: u64) -> u32 {
        if offset >= KERNEL_MODULES_START { self.loaded } else { self.id }
    }

    /// The module of the output for everything but code of the kernel.
    pub(super) fn id(self) -> u32 {
        self.id
    }
}

impl Identities {
    /// The module of the output for one of a trace, and the number to define
    /// if there is something new about it.
    pub(super) fn add(
        &mut self,
        module: &Module,
        boot: Option<&str>,
        occurrences: &mut Occurrences,
    ) -> (ModuleIds, Option<u32>) {
        let next = self.next;
        let id = match Code::of(module, boot) {
            None => next,
            Some(code) => {
                let occurrence = occurrences.0.entry(code.clone()).or_default();
                *occurrence += 1;
                *self.known.entry((code, *occurrence)).or_insert(next)
            }
        };
        let is_kernel = ModuleKind::from(module.kind) == ModuleKind::Kernel;
        let is_new = id == next || is_kernel;
        self.next = next.saturating_add(u32::from(is_new));
        let loaded = if is_kernel { next } else { id };
        (ModuleIds { id, loaded }, is_new.then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(kind: ModuleKind, path: &str, build_id: &[u8], file_size: u64) -> Module {
        let (kind, path) = (kind.into(), path.into());
        Module { kind, path, build_id: build_id.to_vec(), file_size, ..Module::default() }
    }

    /// Whether a module is the same in traces of these boots.
    #[track_caller]
    fn check(module: &Module, boots: [Option<&str>; 2], same: bool) {
        let mut identities = Identities::default();
        let ids = boots.map(|boot| identities.add(module, boot, &mut Occurrences::default()));
        let [first, second] = ids.map(|(ids, _)| ids.of(0x1234));
        assert_eq!((first, second), (0, if same { 0 } else { 1 }));
        let is_kernel = ModuleKind::from(module.kind) == ModuleKind::Kernel;
        let new = ids.map(|(_, new)| new);
        assert_eq!(new, [Some(0), (!same || is_kernel).then_some(1)]);
        // What is loaded later is never the same.
        let loaded = ids.map(|(ids, _)| ids.of(0xffff_ffff_c000_0000));
        assert_eq!(loaded[0] == loaded[1], same && !is_kernel);
    }

    #[test]
    fn what_is_the_same_code() {
        use ModuleKind::{Anonymous, File, Kernel, Vdso};
        let (one, two, none) = ([Some("a"); 2], [Some("a"), Some("b")], [None; 2]);
        check(&module(File, "/a", &[1], 0), two, true);
        check(&module(File, "/a", &[], 10), none, true);
        check(&module(File, "/a", &[], 0), two, false);
        check(&module(File, "/a", &[], 0), none, false);
        check(&module(File, "/a", &[], 0), one, true);
        check(&module(Kernel, "[kernel]", &[1], 0), one, true);
        // Its addresses are drawn at each boot.
        check(&module(Kernel, "[kernel]", &[1], 0), two, false);
        check(&module(Vdso, "[vdso]", &[1], 0), two, true);
        check(&module(Vdso, "[vdso]", &[], 0), two, false);
        check(&module(Anonymous, "[anon]", &[], 0), one, false);
    }

    #[test]
    fn those_of_one_trace_stay_apart() {
        let (mut identities, mut a, mut b) =
            (Identities::default(), Occurrences::default(), Occurrences::default());
        let module = module(ModuleKind::File, "/a", &[1], 0);
        let mut id =
            |occurrences: &mut Occurrences| identities.add(&module, None, occurrences).0.id();
        assert_eq!([id(&mut a), id(&mut a), id(&mut b), id(&mut b), id(&mut b)], [0, 1, 0, 1, 2]);
    }
}
