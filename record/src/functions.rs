//! Where functions are whose calls are recorded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use object::elf::{STT_FUNC, STT_GNU_IFUNC};
use object::{Object, ObjectSymbol, ReadCache, SymbolFlags};
use rz_text::alike::Alike;

use crate::arch::probe_point::{self, ARGUMENTS, LOOK_AT};
use crate::code_parts::{CodeParts, Elf};
use crate::function_spec::FunctionSpec;
use crate::tracker::open_mapped;
use crate::tracker::procfs;

/// Functions whose calls can be recorded at the same time.
pub(crate) const MAX_FUNCTIONS: usize = 256;
/// Sections of files that the linker of Go has made.
const OF_GO: [&str; 4] =
    [".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"];

const OF_GO_PROGRAM: &str = "of a Go program, whose runtime moves stacks: that it returns cannot be \
                             seen without harm";
const CHOSEN_LATER: &str = "only what chooses a function when the program starts (IFUNC): name the \
                            one that it chooses";

/// Why calls of functions cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// No function has the name.
    #[error("--call {spec}: no function is called so in {place}{offer}")]
    NoFunction {
        /// What was asked for.
        spec: String,
        /// Where it was looked for.
        place: String,
        /// Names that are alike, or why there are few.
        offer: String,
    },
    /// The process has no such file.
    #[error("--call {spec}: {whose} has no file {file} with code; it has {files}")]
    NoFile {
        /// What was asked for.
        spec: String,
        /// Whose files were looked at.
        whose: String,
        /// The file.
        file: String,
        /// What there is.
        files: String,
    },
    /// A file cannot be read.
    #[error("--call {spec}: {path}: {cause}")]
    Unreadable {
        /// What was asked for.
        spec: String,
        /// The file.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The function can not be awaited.
    #[error("--call {spec}: {name} is {why}")]
    Unfit {
        /// What was asked for.
        spec: String,
        /// The function.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// There are too many.
    #[error(
        "--call: {count} functions have such names, and at most {MAX_FUNCTIONS} can be recorded: name fewer"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// A function to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// As it is written into the trace.
    pub(crate) record: rz_format::Function,
    /// Where in the file its probe is to be.
    pub(crate) file_offset: u64,
    /// Whether the processor has to execute what is there in a single step.
    pub(crate) is_stepped: bool,
}

/// A file with functions to probe.
#[derive(Debug)]
pub(crate) struct ProbedFile {
    /// Held open: its path leads to it.
    _file: File,
    pub(crate) path: PathBuf,
    /// As the process sees it.
    pub(crate) name: String,
    /// In which processes.
    pub(crate) pids: Vec<u32>,
    pub(crate) functions: Vec<Function>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct ProbedFunctions {
    pub(crate) files: Vec<ProbedFile>,
}

impl ProbedFunctions {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Function> {
        self.files.iter().flat_map(|file| &file.functions)
    }
}

/// A file with code, and what of it is asked for.
struct Candidate {
    file: File,
    path: String,
    pids: Vec<u32>,
}

/// Looks for functions in what `pids` have in memory. Of a program that has not begun
/// yet, in its file, and in others that are named by their paths.
pub(crate) fn find(
    specs: &[FunctionSpec],
    pids: &[u32],
    program: Option<&Path>,
) -> Result<ProbedFunctions, FunctionError> {
    let mut found = ProbedFunctions::default();
    if specs.is_empty() {
        return Ok(found);
    }
    let candidates = match program {
        None => of_processes(pids, specs)?,
        Some(program) => of_program(program, pids, specs)?,
    };
    let whose = match (program, pids) {
        (Some(program), _) => program.display().to_string(),
        (None, [pid]) => format!("process {pid}"),
        (None, _) => "these processes".to_owned(),
    };
    let mut searches: Vec<Search> = specs.iter().map(Search::new).collect();
    let mut functions: Vec<Vec<Function>> = Vec::new();
    for candidate in &candidates {
        functions.push(candidate.look(&mut searches)?);
    }
    for mut search in searches {
        if !search.is_found {
            candidates.iter().for_each(|candidate| candidate.offer(&mut search));
            return Err(search.error(&whose));
        }
    }
    for (candidate, functions) in candidates.into_iter().zip(functions) {
        if !functions.is_empty() {
            let Candidate { file, path: name, pids } = candidate;
            // Whatever else has the name meanwhile.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
            found.files.push(ProbedFile { _file: file, path, name, pids, functions });
        }
    }
    let count = found.all().count();
    if count > MAX_FUNCTIONS {
        return Err(FunctionError::TooMany { count });
    }
    let all = found.files.iter_mut().flat_map(|file| &mut file.functions);
    for (number, function) in (0..).zip(all) {
        function.record.number = number;
    }
    Ok(found)
}

/// The files that processes have code of in memory, each once, in that order.
fn of_processes(pids: &[u32], specs: &[FunctionSpec]) -> Result<Vec<Candidate>, FunctionError> {
    let mut candidates: Vec<((u64, u64), Candidate)> = Vec::new();
    let unreadable = |path: String, cause| FunctionError::Unreadable {
        spec: specs[0].text.clone(),
        path,
        cause,
    };
    for &pid in pids {
        let maps = procfs::executable_maps(pid)
            .map_err(|cause| unreadable(format!("/proc/{pid}/maps"), cause))?;
        for map in maps.iter().filter(|map| map.is_file()) {
            let identity = (map.device, map.inode);
            let known = candidates.iter_mut().find(|(known, _)| *known == identity);
            if let Some((_, known)) = known {
                if !known.pids.contains(&pid) {
                    known.pids.push(pid);
                }
                continue;
            }
            match open_mapped(map, pid) {
                Ok(file) => {
                    let candidate = Candidate { file, path: map.path.clone(), pids: vec![pid] };
                    candidates.push((identity, candidate));
                }
                Err(cause)
                    if specs.iter().any(|spec| spec.file.is_some() && spec.is_of(&map.path)) =>
                {
                    return Err(unreadable(map.path.clone(), cause));
                }
                Err(cause) => log::info!("{}: {cause}", map.path),
            }
        }
    }
    Ok(candidates.into_iter().map(|(_, candidate)| candidate).collect())
}

/// A program's file, and those that are named by their paths.
fn of_program(
    program: &Path,
    pids: &[u32],
    specs: &[FunctionSpec],
) -> Result<Vec<Candidate>, FunctionError> {
    let mut candidates: BTreeMap<(u64, u64), Candidate> = BTreeMap::new();
    let named = specs.iter().filter_map(|spec| spec.path().map(|path| (spec, path)));
    for (spec, path) in std::iter::once((&specs[0], program)).chain(named) {
        let unreadable = |cause| FunctionError::Unreadable {
            spec: spec.text.clone(),
            path: path.display().to_string(),
            cause,
        };
        let file = File::open(path).map_err(unreadable)?;
        let data = file.metadata().map_err(unreadable)?;
        if !data.is_file() {
            return Err(unreadable(io::Error::other("not a regular file")));
        }
        candidates.entry((data.dev(), data.ino())).or_insert_with(|| Candidate {
            file,
            path: path.display().to_string(),
            pids: pids.to_vec(),
        });
    }
    Ok(candidates.into_values().collect())
}

/// What became of one thing that was asked for.
struct Search<'s> {
    spec: &'s FunctionSpec,
    is_found: bool,
    /// Why what has the name cannot be used.
    unfit: Option<(String, &'static str)>,
    /// Where it was looked for, and where it was not.
    files: Vec<String>,
    passed_over: Vec<String>,
    /// Names that could have been meant.
    alike: Alike<'s>,
    has_symbols: bool,
}

impl<'s> Search<'s> {
    fn new(spec: &'s FunctionSpec) -> Self {
        Search {
            spec,
            is_found: false,
            unfit: None,
            files: Vec::new(),
            passed_over: Vec::new(),
            alike: Alike::to(&spec.name),
            has_symbols: false,
        }
    }

    /// Why there is nothing.
    fn error(self, whose: &str) -> FunctionError {
        let (spec, whose) = (self.spec.text.clone(), whose.to_owned());
        if let Some((name, why)) = self.unfit {
            return FunctionError::Unfit { spec, name, why };
        }
        if let (Some(file), true) = (&self.spec.file, self.files.is_empty()) {
            let names = self.passed_over.iter().map(|path| path.rsplit('/').next().unwrap_or(path));
            return FunctionError::NoFile { spec, whose, file: file.clone(), files: list(names) };
        }
        let offer = match (self.alike.list(), self.has_symbols) {
            (Some(names), _) => format!("; it has {names}"),
            (None, true) => " (it may be inlined wherever it is called)".to_owned(),
            (None, false) => {
                ", which says only what it exports: its symbol table is stripped".to_owned()
            }
        };
        let place = match &self.files[..] {
            [file] => file.clone(),
            _ => format!("the files of {whose}"),
        };
        FunctionError::NoFunction { spec, place, offer }
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Candidate {
    /// The functions that are wanted of it, in the order of its code.
    fn look(&self, searches: &mut [Search<'_>]) -> Result<Vec<Function>, FunctionError> {
        let mut wanted = Vec::new();
        for search in searches {
            match search.spec.is_of(&self.path) {
                true => wanted.push(search),
                false => search.passed_over.push(self.path.clone()),
            }
        }
        let mut functions = BTreeMap::new();
        let Some(first) = wanted.first() else { return Ok(Vec::new()) };
        let (spec, is_named) =
            (first.spec.text.clone(), wanted.iter().any(|search| search.spec.file.is_some()));
        let failed = |cause| FunctionError::Unreadable {
            spec: spec.clone(),
            path: self.path.clone(),
            cause,
        };
        let cache = ReadCache::new(self.file.try_clone().map_err(failed)?);
        let elf = match Elf::parse(&cache) {
            Ok(elf) => elf,
            Err(cause) if is_named => return Err(failed(io::Error::other(cause))),
            // Something else that a process has mapped.
            Err(_) => return Ok(Vec::new()),
        };
        let is_go = OF_GO.iter().any(|name| elf.section_by_name(name).is_some());
        let has_symbols = elf.symbols().next().is_some();
        for search in &mut wanted {
            search.files.push(self.path.clone());
            search.has_symbols |= has_symbols;
        }
        let parts = CodeParts::of(&elf);
        for (name, address, is_chosen_later) in functions_of(&elf) {
            let Some(begin) = parts.offset_of(address) else { continue };
            for search in wanted.iter_mut().filter(|search| search.spec.is_named(name)) {
                let unfit = match (is_go, is_chosen_later) {
                    (true, _) => Some(OF_GO_PROGRAM),
                    (false, true) => Some(CHOSEN_LATER),
                    (false, false) => None,
                };
                if let Some(why) = unfit {
                    search.unfit = Some((name.to_owned(), why));
                    continue;
                }
                search.is_found = true;
                functions
                    .entry(begin)
                    .or_insert_with(|| self.function(name, address, begin, search.spec));
            }
        }
        Ok(functions.into_values().collect())
    }

    fn function(&self, name: &str, address: u64, begin: u64, spec: &FunctionSpec) -> Function {
        let mut code = [0; LOOK_AT];
        let length = self.file.read_at(&mut code, begin).unwrap_or(0);
        let place = probe_point::find(&code[..length], &ARGUMENTS);
        let record = rz_format::Function {
            number: 0,
            path: self.path.clone(),
            address,
            name: name.to_owned(),
            arguments: spec.arguments.iter().map(|kind| (*kind).into()).collect(),
            result: spec.result.into(),
        };
        let file_offset = begin + place.unwrap_or(0) as u64;
        Function { record, file_offset, is_stepped: place.is_none() }
    }

    /// Takes down names that are like the one that was not found.
    fn offer(&self, search: &mut Search<'_>) {
        if !search.spec.is_of(&self.path) {
            return;
        }
        let Ok(file) = self.file.try_clone() else { return };
        let cache = ReadCache::new(file);
        let Ok(elf) = Elf::parse(&cache) else { return };
        functions_of(&elf).for_each(|(name, ..)| search.alike.add(name));
    }
}

/// Name and address of each function that a file has symbols of, and whether what is there
/// only chooses the function.
fn functions_of<'e>(elf: &'e Elf<'_>) -> impl Iterator<Item = (&'e str, u64, bool)> {
    let symbols = elf.dynamic_symbols().chain(elf.symbols());
    symbols.filter(|symbol| !symbol.is_undefined()).filter_map(|symbol| {
        let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
        let (kind, address) = (st_info.st_type(), symbol.address());
        let is_function = kind == STT_FUNC || kind == STT_GNU_IFUNC;
        is_function.then(|| Some((symbol.name().ok()?, address, kind == STT_GNU_IFUNC)))?
    })
}
