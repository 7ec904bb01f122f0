//! Tells which modules of several traces are the same code.

use rustc_hash::FxHashMap;
use rz_format::{Module, ModuleKind};

/// What makes code the same in several traces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Code {
    /// A build of a file, by its build-id.
    Build(u8, Vec<u8>),
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

impl Identities {
    /// The number of a module of a trace, and whether it is new.
    pub(super) fn id(
        &mut self,
        module: &Module,
        boot: Option<&str>,
        occurrences: &mut Occurrences,
    ) -> (u32, bool) {
        let next = self.next;
        let id = match Code::of(module, boot) {
            None => next,
            Some(code) => {
                let occurrence = occurrences.0.entry(code.clone()).or_default();
                *occurrence += 1;
                *self.known.entry((code, *occurrence)).or_insert(next)
            }
        };
        self.next = self.next.max(id.saturating_add(1));
        (id, id == next)
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
        let ids = boots.map(|boot| identities.id(module, boot, &mut Occurrences::default()));
        assert_eq!(ids, if same { [(0, true), (0, false)] } else { [(0, true), (1, true)] });
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
        let mut id = |occurrences: &mut Occurrences| identities.id(&module, None, occurrences).0;
        assert_eq!([id(&mut a), id(&mut a), id(&mut b), id(&mut b), id(&mut b)], [0, 1, 0, 1, 2]);
    }
}
