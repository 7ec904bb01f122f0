//! Texts of sources out of source maps, which often carry them, for those who
//! look into a function where its source is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::value::RawValue;

use super::find::{Generated, find, resolve};
use super::is_script;
use super::map::parse;
use super::texts::{List, Text};
use crate::model::{FunctionId, Profile};
use crate::published::path_of;

/// Largest text that is kept, as it is written in the map, in bytes.
const MAX_SIZE: usize = 16 << 20;

/// What all texts that are kept have together, at most, in bytes.
const MAX_SUM: usize = 64 << 20;

/// The text of a source, as it was when the map was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The text.
    pub text: String,
    /// Where it is from: the path of the map, or which file it is inside.
    pub map: String,
}

/// Why there is no text of a source that a map is said to name. The message is
/// one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoContent {
    /// There is no map of the generated file.
    #[error("no source map of {generated} is here")]
    NoMap {
        /// The generated file.
        generated: String,
    },
    /// The map cannot be read.
    #[error("{cause}")]
    BadMap {
        /// Which one, and what is wrong.
        cause: String,
    },
    /// The map names no such source, or carries no text of it.
    #[error("{map} does not carry its text")]
    Absent {
        /// The map.
        map: String,
    },
    /// What the map has in the place of texts is none.
    #[error("its text in {map} makes no sense")]
    BadText {
        /// The map.
        map: String,
    },
    /// It is larger than what is kept.
    #[error("its text in {map} is too large")]
    TooLarge {
        /// The map.
        map: String,
    },
    /// There are different texts by its name.
    #[error("{map} has another text of it as well")]
    Ambiguous {
        /// The map.
        map: String,
    },
}

/// What source maps carry of the sources that these functions are in, by
/// [`file`](crate::model::Function::file). Maps are looked for in `dirs`, and
/// beside the generated files, which published names tell; they are read again,
/// so that nobody else pays for it. Functions that were not generated from
/// anything are left out.
pub fn contents(
    profile: &Profile,
    functions: &[FunctionId],
    dirs: &[PathBuf],
) -> BTreeMap<String, Result<Content, NoContent>> {
    let mut wanted: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for &id in functions {
        let function = &profile.functions[id];
        let generated = path_of(&function.system_name).filter(|file| is_script(file));
        if let Some(generated) = generated
            && !function.file.is_empty()
            && function.file != generated
        {
            wanted.entry(generated).or_default().insert(&function.file);
        }
    }
    let mut all = Contents { found: BTreeMap::new(), room: MAX_SUM };
    for (generated, sources) in wanted {
        let read = match find(&generated, dirs) {
            Ok(Some(map)) => all.read(&map, &sources),
            Ok(None) => Err(NoContent::NoMap { generated }),
            Err(cause) => Err(NoContent::BadMap { cause }),
        };
        if let Err(cause) = read {
            sources.iter().for_each(|source| all.add(source, Err(cause.clone())));
        }
    }
    all.found
}

/// What was found so far.
struct Contents {
    found: BTreeMap<String, Result<Content, NoContent>>,
    /// How many bytes may still be kept.
    room: usize,
}

impl Contents {
    /// Takes the texts of sources out of a map.
    fn read(&mut self, generated: &Generated, sources: &BTreeSet<&str>) -> Result<(), NoContent> {
        let Generated { map, map_name, base, .. } = generated;
        let bad_map = |cause| NoContent::BadMap { cause: format!("{map_name}: {cause}") };
        for (_, part) in parse(map).map_err(bad_map)? {
            let list = part.sources_content.map_or(Ok(List::default()), |list| {
                serde_json::from_str::<List<&RawValue>>(list.get())
            });
            for index in 0..part.sources.0.len() {
                let path = resolve(base, &part.source(index));
                if !sources.contains(path.as_str()) {
                    continue;
                }
                let text = match &list {
                    Ok(list) => self.text(list.0.get(index).copied(), map_name),
                    Err(_) => Err(NoContent::BadText { map: map_name.clone() }),
                };
                self.add(&path, text);
            }
        }
        for source in sources {
            self.add(source, Err(NoContent::Absent { map: map_name.clone() }));
        }
        Ok(())
    }

    /// The text that is written so in a map.
    fn text(&self, written: Option<&RawValue>, map: &str) -> Result<Content, NoContent> {
        let map = map.to_owned();
        let Some(written) = written else { return Err(NoContent::Absent { map }) };
        if written.get().len() > MAX_SIZE.min(self.room) {
            return Err(NoContent::TooLarge { map });
        }
        match serde_json::from_str::<Text>(written.get()) {
            Ok(Text(text)) if text.is_empty() => Err(NoContent::Absent { map }),
            Ok(Text(text)) => Ok(Content { text: text.into_owned(), map }),
            Err(_) => Err(NoContent::BadText { map }),
        }
    }

    /// Adds what there is of a source. A text is better than none, and of two
    /// different ones none is known to be the right one.
    fn add(&mut self, source: &str, content: Result<Content, NoContent>) {
        let kept = match (self.found.get(source), content) {
            (Some(Ok(known)), Ok(other)) if known.text != other.text => {
                Err(NoContent::Ambiguous { map: other.map })
            }
            (Some(Ok(_) | Err(NoContent::Ambiguous { .. })), _) | (Some(Err(_)), Err(_)) => return,
            (_, content) => content,
        };
        self.room = self.room.saturating_sub(kept.as_ref().map_or(0, |kept| kept.text.len()));
        self.found.insert(source.to_owned(), kept);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::Function;

    /// A function of each source, generated into `app.js` in `dir`.
    fn profile(dir: &std::path::Path, sources: &[&str]) -> Profile {
        let generated = dir.join("dist/app.js").display().to_string();
        let function = |source: &&str| Function {
            name: "f".into(),
            system_name: format!("JS:*a {generated}:1:2"),
            file: dir.join(source).display().to_string(),
            ..Function::default()
        };
        Profile { functions: sources.iter().map(function).collect(), ..Profile::default() }
    }

    /// What a map has of `src/a.ts`, and `src/b.ts`: the text or why there is
    /// none, up to the name of the map.
    #[track_caller]
    fn check(map: &str, expected: [&str; 2]) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dist")).unwrap();
        let path = dir.path().join("dist/app.js.map");
        fs::write(&path, map).unwrap();
        let sources = ["src/a.ts", "src/b.ts"];
        let profile = profile(dir.path(), &sources);
        let found = contents(&profile, &[0, 1], &[]);
        let path = path.display().to_string();
        let text = |source| match &found[&dir.path().join(source).display().to_string()] {
            Ok(content) => {
                assert_eq!(content.map, path);
                content.text.clone()
            }
            Err(cause) => cause.to_string().replace(&path, "MAP"),
        };
        let texts = sources.map(text);
        assert!(texts[0].starts_with(expected[0]) && texts[1] == expected[1], "{texts:?}");
    }

    const ABSENT: &str = "MAP does not carry its text";
    const BAD: &str = "its text in MAP makes no sense";

    #[test]
    fn texts_are_those_of_the_sources_that_are_asked_for() {
        let of = |contents: &str| {
            let sources = r#""sourceRoot":"../src","sources":["z.ts","a.ts","b.ts"]"#;
            format!(r#"{{"sourcesContent":{contents},{sources},"mappings":"AAAA"}}"#)
        };
        check(&of(r#"["z","a\n","b\u00e9"]"#), ["a\n", "bé"]);
        check(&of(r#"[7,null,"b","more"]"#), [ABSENT, "b"]);
        check(&of(r#"[{"x":[]},"a"]"#), ["a", ABSENT]);
        check(&of(r#"["z","",["b"]]"#), [ABSENT, BAD]);
        check(&of("[]"), [ABSENT, ABSENT]);
        check(&of("null"), [ABSENT, ABSENT]);
        check(&of("{}"), [BAD, BAD]);
        check(&of(r#""a""#), [BAD, BAD]);
        check(r#"{"sources":["../src/b.ts"],"mappings":""}"#, [ABSENT, ABSENT]);
    }

    #[test]
    fn each_section_has_texts() {
        let of = |first: &str, second: &str| {
            format!(
                r#"{{"sections":[
                {{"offset":{{"line":0,"column":0}},"map":{{"sources":["../src/b.ts"],
                  "mappings":"","sourcesContent":["{first}"]}}}},
                {{"offset":{{"line":1,"column":0}},"map":{{"sources":["../src/a.ts","../src/b.ts"],
                  "mappings":"","sourcesContent":["a","{second}"]}}}}]}}"#
            )
        };
        check(&of("b", "b"), ["a", "b"]);
        check(&of("", "b"), ["a", "b"]);
        check(&of("b", ""), ["a", "b"]);
        check(&of("b", "c"), ["a", "MAP has another text of it as well"]);
    }

    #[test]
    fn no_more_is_kept_than_is_reasonable() {
        let large = "x".repeat(MAX_SIZE - 2);
        let of = |a: &str| {
            let sources = r#""sources":["../src/a.ts","../src/b.ts"]"#;
            format!(r#"{{{sources},"mappings":"","sourcesContent":["{a}","b"]}}"#)
        };
        check(&of(&large), ["xxx", "b"]);
        check(&of(&format!("{large}x")), ["its text in MAP is too large", "b"]);
        let mut all = Contents { found: BTreeMap::new(), room: 5 };
        let content = |text: &str| Ok(Content { text: text.into(), map: "m".into() });
        all.add("a", content("abc"));
        let text = |written: &str| RawValue::from_string(written.into()).unwrap();
        assert!(all.text(Some(&text("0")), "m").is_ok());
        let cause = NoContent::TooLarge { map: "m".into() };
        assert_eq!(all.text(Some(&text(r#""abc""#)), "m"), Err(cause));
    }

    #[test]
    fn there_is_a_cause_why_there_is_nothing() {
        check(
            "",
            [
                "MAP: it is no source map",
                "MAP: it is no source map: EOF while parsing a value at line 1 column 0",
            ],
        );
        let dir = tempfile::tempdir().unwrap();
        let mut profile = profile(dir.path(), &["src/a.ts", "dist/app.js", "src/a.ts"]);
        let a = profile.functions[0].file.clone();
        let found = contents(&profile, &[0, 1], &[]);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&a]);
        let cause = found[&a].as_ref().unwrap_err().to_string();
        assert!(cause.starts_with("no source map of /") && cause.ends_with("/app.js is here"));
        // Neither native code nor what is generated elsewhere has a map.
        profile.functions[0].system_name = "_Z1av".into();
        profile.functions[2].system_name = "py::f:/srv/a.py".into();
        assert!(contents(&profile, &[0, 2], &[]).is_empty());
    }
}
