//! Shows where in a function weight is: by lines of its source, or by its
//! instructions.

mod asm;
mod choose;
mod files;
mod page;
mod places;
mod source;
mod text;
mod x86_64;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use rz_profile::model::{EventId, Profile};
use rz_profile::symbolize::SymbolizeOptions;

use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::render::style::Style;
use crate::views::header::write_header;
use crate::views::summary::{with_samples, write_no_samples};
use choose::Candidate;
pub use choose::{Choice, choose};
pub use files::SourcePlaces;
pub use page::*;
use places::Places;
pub(crate) use source::{FoundText, find_text, shown_text};
use text::write_page;
use x86_64::disassemble;

/// What to show of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotateOptions {
    /// Its name, or a part or a regular expression of it.
    pub function: String,
    /// Whether to show instructions, not lines of the source.
    pub asm: bool,
    /// Where to look for sources first.
    pub sources: SourcePlaces,
    /// Where to look for binaries first.
    pub debug_dirs: Vec<PathBuf>,
    /// How to find names in what is there.
    pub symbols: SymbolizeOptions,
    /// Lines and instructions with less than this share of the function, in
    /// percent, are shown only near others.
    pub min_percent: f64,
    /// Functions, files and places that are listed, at most.
    pub limit: usize,
}

/// What `options` ask for of a function, with what of `event` is where in it.
/// If several functions may be meant, these are listed instead; without an
/// event, or without samples of it, nothing is.
pub fn annotated(
    profile: &Profile,
    event: Option<EventId>,
    options: &AnnotateOptions,
) -> AnnotatedPage {
    let wanted = clean(&options.function).into_owned();
    let empty = AnnotatedPage { wanted, ..AnnotatedPage::default() };
    let Some(event) = with_samples(profile, event) else { return empty };
    let page = AnnotatedPage { total: Amount::of_event(profile, event), ..empty };
    match choose(profile, event, &options.function) {
        Choice::None => page,
        Choice::One(candidate) => {
            let function = function(profile, event, &candidate, options);
            AnnotatedPage { function: Some(function), ..page }
        }
        Choice::Several(candidates) => {
            let row = |candidate: Candidate| shown_candidate(profile, &candidate);
            AnnotatedPage { candidates: Rows::first(options.limit, candidates, row), ..page }
        }
    }
}

fn shown_candidate(profile: &Profile, candidate: &Candidate) -> CandidateFunction {
    let modules = candidate.functions.iter().filter_map(|&id| profile.functions[id].module);
    let names: BTreeSet<&str> = modules.map(|id| profile.modules[id].name.as_str()).collect();
    CandidateFunction {
        function: clean(&candidate.name).into_owned(),
        modules: names.into_iter().map(|name| clean(name).into_owned()).collect(),
        self_: candidate.self_,
        total: candidate.total,
    }
}

fn function(
    profile: &Profile,
    event: EventId,
    candidate: &Candidate,
    options: &AnnotateOptions,
) -> AnnotatedFunction {
    let places = Places::of(profile, event, &candidate.functions);
    let total = candidate.total;
    AnnotatedFunction {
        function: shown_candidate(profile, candidate),
        sources: (!options.asm).then(|| source::sources(profile, &places, total, options)),
        code: options.asm.then(|| asm::code(profile, &places, total, options)),
    }
}

/// Writes the header, and the function of the page with what of `event` is
/// where in it. If several functions may be meant, these are listed
/// instead.
pub fn write_annotated(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &AnnotatedPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(event) = with_samples(profile, event) else {
        writeln!(out)?;
        return write_no_samples(out, profile, event);
    };
    if page.function.is_none() && page.candidates.is_empty() {
        let event = clean(profile.events[event].title());
        return writeln!(out, "\nno function in the samples of {event} matches {}", page.wanted);
    }
    write_page(out, style, page, profile.events[event].unit)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::Builder;

    /// How to show a function, with sources that are below `dir`.
    pub(super) fn options(function: &str, asm: bool, dir: &Path) -> AnnotateOptions {
        AnnotateOptions {
            function: function.to_owned(),
            asm,
            sources: SourcePlaces { dirs: vec![dir.to_owned()], maps: Vec::new() },
            debug_dirs: Vec::new(),
            symbols: SymbolizeOptions::default(),
            min_percent: 1.0,
            limit: 1,
        }
    }

    fn page(profile: &Profile, function: &str, asm: bool, dir: &Path) -> Value {
        let options = options(function, asm, dir);
        let page = serde_json::to_value(annotated(profile, Some(0), &options)).unwrap();
        let schema = schemars::schema_for!(AnnotatedPage).to_value();
        jsonschema::validate(&schema, &page).unwrap();
        page
    }

    /// So many samples, as JSON.
    fn amount(samples: u64) -> Value {
        json!({"samples": samples, "weight": samples * crate::fixture::PERIOD})
    }

    #[test]
    fn lines_as_json() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.c"), "void f(void) {\n\tg();\n}\n").unwrap();
        let mut profile = Builder::of(&[("main;f;g_[i]", 2), ("main;f;h_[i]", 1), ("f\u{1b}2", 1)]);
        for function in &mut profile.functions {
            function.file = "/build/a.c".to_owned();
        }
        for location in &mut profile.locations {
            let line = |name: &str| if name == "f" { 2 } else { 0 };
            let functions = &profile.functions;
            location.lines.iter_mut().for_each(|at| at.line = line(&functions[at.function].name));
        }
        let found = page(&profile, "f", false, dir.path());
        assert_eq!(found["total"], amount(4));
        let function = &found["function"];
        assert_eq!((&function["function"], &function["modules"]), (&json!("f"), &json!(["app"])));
        assert_eq!((&function["self"], &function["total"]), (&amount(0), &amount(3)));
        assert_eq!(function["code"], Value::Null);
        let sources = &function["sources"];
        assert_eq!(sources["left_out"], 2);
        let part = &sources["rows"][0];
        assert_eq!((&part["function"], &part["module"]), (&json!("f"), &json!("app")));
        assert_eq!((&part["file"], &part["inlined"]), (&json!("/build/a.c"), &json!(false)));
        let text = dir.path().join("a.c");
        let text = json!({
            "path": text.to_str(),
            "is_elsewhere": true,
            "is_newer": null,
            "is_shorter": false,
            "other_text": null,
        });
        assert_eq!(part["text"], text);
        let line = |line: u32, text: &str, total: u64| json!({"line": line, "text": text, "self": amount(0), "total": amount(total)});
        let lines = [line(1, "void f(void) {", 0), line(2, "    g();", 3), line(3, "}", 0)];
        assert_eq!(part["lines"], json!({"rows": lines, "left_out": 0}));
        assert_eq!(part["unknown_lines"], Value::Null);

        // Without lines, none are made up.
        let found = page(&profile, "main", false, dir.path());
        let part = &found["function"]["sources"]["rows"][0];
        assert_eq!((&part["lines"], &part["text"]), (&Value::Null, &Value::Null));
        assert_eq!(part["unknown_lines"]["total"], amount(3));
    }

    #[test]
    fn candidates_as_json() {
        let profile = Builder::of(&[("hot\u{1b}", 2), ("hotter", 1)]);
        let found = page(&profile, "ho", true, Path::new("/nowhere"));
        let hot =
            json!({"function": "hot?", "modules": ["app"], "self": amount(2), "total": amount(2)});
        let expected = json!({
            "wanted": "ho",
            "total": amount(3),
            "function": null,
            "candidates": {"rows": [hot], "left_out": 1},
        });
        assert_eq!(found, expected);
        let found = page(&profile, "none", true, Path::new("/nowhere"));
        assert_eq!(found["candidates"], json!({"rows": [], "left_out": 0}));
    }

    #[test]
    fn instructions_as_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app");
        // A call to 0x1100, a jump to the beginning, and a return.
        let code = [0x55, 0xe8, 0xfa, 0x00, 0x00, 0x00, 0xeb, 0xf8, 0xc3];
        fs::write(&path, elf(&code, 0x1000)).unwrap();
        let mut profile = Builder::of(&[("hot", 3), ("hot;sys_[k]", 1)]);
        profile.modules[0].path = path.to_str().unwrap().to_owned();
        profile.locations[0].address = 0x1003;
        let found = page(&profile, "hot", true, dir.path());
        let code = &found["function"]["code"][0];
        assert_eq!((&code["module"], &code["file"]), (&json!("app"), &json!(path.to_str())));
        assert_eq!((&code["is_identified"], &code["no_code"]), (&json!(false), &Value::Null));
        assert_eq!(code["unknown"], amount(0));
        let piece = &code["pieces"]["rows"][0];
        let range = (&piece["function"], &piece["start"], &piece["end"]);
        assert_eq!(range, (&json!("hot"), &json!(0x1000), &json!(0x1009)));
        assert_eq!(piece["cut_at"], Value::Null);
        let all = piece["instructions"]["rows"].as_array().unwrap();
        assert_eq!((all.len(), &piece["instructions"]["left_out"]), (4, &json!(0)));
        let call = json!({
            "address": 0x1001,
            "bytes": "e8fa000000",
            "text": "call    0x1100",
            "target": 0x1100,
            "self": amount(3),
            "total": amount(4),
            "source": null,
        });
        assert_eq!(all[1], call);
        assert_eq!((&all[2]["target"], &all[3]["target"]), (&json!(0x1000), &Value::Null));

        // The kernel's code is in no file.
        let found = page(&profile, "sys", true, dir.path());
        let code = &found["function"]["code"][0];
        assert_eq!(code["no_code"], json!({"what": "kernel"}));
        assert_eq!((&code["module"], &code["file"]), (&json!("[kernel]"), &Value::Null));
    }

    #[test]
    fn samples_behind_a_cut_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app");
        // Instructions of eight bytes that do nothing, and too many of them.
        let nothing = [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];
        let (size, cut_at) = (4 << 20, 0x40_1000_u64);
        fs::write(&path, elf(&nothing.repeat(size / 8 + 2), 0x1000)).unwrap();
        let mut profile = Builder::of(&[("hot", 3), ("main;hot", 2)]);
        profile.modules[0].path = path.to_str().unwrap().to_owned();
        profile.locations[0].address = 0x1008;
        let mut behind = profile.locations[0].clone();
        behind.address = cut_at;
        profile.locations.push(behind);
        let last = profile.locations.len() - 1;
        let called = profile.samples.iter().find(|sample| sample.count == 2).unwrap().stack;
        profile.stacks[called.unwrap()].location = last;
        let found = page(&profile, "hot", true, dir.path());
        let code = &found["function"]["code"][0];
        assert_eq!(code["unknown"], amount(2));
        let piece = &code["pieces"]["rows"][0];
        let ends = (&piece["cut_at"], &piece["end"]);
        assert_eq!(ends, (&json!(cut_at), &json!(cut_at + 16)));
        let shown = piece["instructions"]["rows"].as_array().unwrap();
        assert_eq!((shown.len(), &shown[1]["total"]), (8, &amount(3)));
        assert_eq!(piece["instructions"]["left_out"], size / 8 - 8);

        let options = options("hot", true, dir.path());
        let style = Style::default();
        let written = crate::fixture::text(|out| {
            let page = annotated(&profile, Some(0), &options);
            write_annotated(out, style, "t.rz", &profile, Some(0), &page)
        });
        let notes = "
  it is too long to show what is from 0x401000 on
  40.0% are where no function is known to be, or behind what is shown
";
        assert!(written.ends_with(notes), "{written}");
    }

    /// A file for x86-64 with a function `hot` of this code at an address.
    fn elf(code: &[u8], address: u64) -> Vec<u8> {
        let names = b"\0.text\0.symtab\0.strtab\0hot\0";
        let (text, code_len) = (120_u64, code.len() as u64);
        let symbols = text + code_len;
        let strings = symbols + 48;
        let sections = strings + names.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        // A shared object for x86-64.
        file.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        file.extend([0, 64, sections].iter().flat_map(|word: &u64| word.to_le_bytes()));
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 4, 0, 3, 0]);
        // The code is loaded, to be executed.
        file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        let segment = [text, address, address, code_len, code_len, 1];
        file.extend(segment.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(code);
        // No symbol, and a global function in the first section.
        file.extend([0; 24]);
        file.extend([23, 0, 0, 0, 0x12, 0, 1, 0]);
        file.extend([address, code_len].iter().flat_map(|word| word.to_le_bytes()));
        file.extend(names);
        let mut section = |words: [u32; 2], longs: [u64; 4], links: [u32; 2], rest: [u64; 2]| {
            file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            file.extend(longs.iter().flat_map(|word| word.to_le_bytes()));
            file.extend(links.iter().flat_map(|word| word.to_le_bytes()));
            file.extend(rest.iter().flat_map(|word| word.to_le_bytes()));
        };
        // Name and type; flags, address, offset, size; link, info; alignment and
        // size of an entry.
        section([0, 0], [0; 4], [0, 0], [0, 0]);
        section([1, 1], [6, address, text, code_len], [0, 0], [1, 0]);
        section([7, 2], [0, 0, symbols, 48], [3, 1], [1, 24]);
        section([15, 3], [0, 0, strings, names.len() as u64], [0, 0], [1, 0]);
        file
    }
}
