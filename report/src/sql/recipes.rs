//! What is asked: recipes by their names, or any query, and what DuckDB has to know before.

use std::collections::BTreeSet;
use std::path::Path;

use rz_convert::fleet::schema::{FUNCTION_HOUR, FUNCTION_MINUTE, TABLES};

use super::error::SqlError;

/// A question that is often asked.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Its name.
    pub name: &'static str,
    /// The query.
    pub text: &'static str,
}

/// All recipes.
pub const RECIPES: [Recipe; 8] = [
    Recipe { name: "hottest", text: include_str!("hottest.sql") },
    Recipe { name: "versions", text: include_str!("versions.sql") },
    Recipe { name: "hosts", text: include_str!("hosts.sql") },
    Recipe { name: "changed", text: include_str!("changed.sql") },
    Recipe { name: "disk", text: include_str!("disk.sql") },
    Recipe { name: "allocations", text: include_str!("allocations.sql") },
    Recipe { name: "errors", text: include_str!("errors.sql") },
    Recipe { name: "coverage", text: include_str!("coverage.sql") },
];

impl Recipe {
    /// What it answers, in a sentence.
    pub fn title(&self) -> &'static str {
        self.text.lines().next().and_then(|line| line.strip_prefix("-- ")).unwrap_or_default()
    }

    /// What may be set, each with the value that it has in the text.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let comments = self.text.lines().skip(1).map_while(|line| line.strip_prefix("-- "));
        comments.filter_map(|line| line.split_once(": "))
    }
}

/// The query that was asked for: a recipe by its name, with settings, or any text.
///
/// # Errors
/// If there is no such recipe or setting.
pub fn query(asked: &str, settings: &[(String, String)]) -> Result<String, SqlError> {
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == asked.trim()) else {
        let asked = asked.trim().trim_end_matches(';').trim_end();
        if asked.split_whitespace().nth(1).is_none() {
            let known = RECIPES.map(|recipe| recipe.name).join(", ");
            return Err(SqlError::NoRecipe { name: asked.to_owned(), known });
        }
        return match settings.first() {
            Some((name, _)) => {
                let (name, known) = (name.clone(), String::new());
                Err(SqlError::NoSetting { name, recipe: "the query".into(), known })
            }
            None => Ok(asked.to_owned()),
        };
    };
    let mut text = recipe.text.trim_end().to_owned();
    for (name, value) in settings {
        let Some((_, default)) = recipe.settings().find(|(known, _)| known == name) else {
            let known: Vec<&str> = recipe.settings().map(|(name, _)| name).collect();
            let known = match &known[..] {
                [] => String::new(),
                known => format!("; it has {}", known.join(", ")),
            };
            return Err(SqlError::NoSetting {
                name: name.clone(),
                recipe: recipe.name.into(),
                known,
            });
        };
        text = text.replace(&quoted(default), &quoted(value));
    }
    Ok(text)
}

/// A text as SQL has it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What DuckDB has to know before it is asked: where tables are, and that times are UTC.
///
/// # Errors
/// If there are no tables.
pub fn views(directory: &Path) -> Result<String, SqlError> {
    let mut text = String::from("SET TimeZone = 'UTC';\n");
    for table in TABLES {
        let folder = directory.join(table.name);
        let rows = if table.name == FUNCTION_HOUR.name {
            hours(directory)
        } else if folder.join("schema.parquet").is_file() {
            all_files(&folder)
        } else {
            return Err(SqlError::NoTables(directory.to_owned()));
        };
        text += &format!("CREATE VIEW {} AS {rows};\n", table.name);
    }
    Ok(text)
}

/// Rows of all files of a folder.
fn all_files(folder: &Path) -> String {
    let files = quoted(&format!("{}/*.parquet", pattern(folder)));
    format!("SELECT * FROM read_parquet({files}, union_by_name = true)")
}

/// Rows by hour: those that were written, and of traces whose tables are of the first
/// version, which has none, the sums of their minutes.
fn hours(directory: &Path) -> String {
    let [hours, minutes] =
        [&FUNCTION_HOUR, &FUNCTION_MINUTE].map(|table| directory.join(table.name));
    let written = names(&hours);
    let older = names(&minutes).into_iter().filter(|name| !written.contains(name));
    let older: Vec<String> = older.map(|name| quoted(&pattern(&minutes.join(name)))).collect();
    let mut parts = Vec::new();
    if !written.is_empty() {
        parts.push(all_files(&hours));
    }
    if !older.is_empty() {
        parts.push(format!(
            "SELECT trace_id, host, version, date_trunc('hour', minute) AS hour, program, cgroup, \
             event, unit, function, module, CAST(SUM(self) AS BIGINT) AS self, \
             CAST(SUM(total) AS BIGINT) AS total, CAST(SUM(items) AS BIGINT) AS items \
             FROM read_parquet([{}], union_by_name = true) GROUP BY ALL",
            older.join(", ")
        ));
    }
    parts.join(" UNION ALL ")
}

/// Names of the files of a table.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".parquet")).collect()
}

/// What matches a path only: patterns have these letters, and a folder may have them.
fn pattern(path: &Path) -> String {
    let letter = |letter: char| match letter {
        '*' | '?' | '[' | ']' => format!("[{letter}]"),
        letter => letter.to_string(),
    };
    path.to_string_lossy().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_say_what_they_answer() {
        for recipe in RECIPES {
            assert!(recipe.title().ends_with('.'), "{}", recipe.name);
            for (name, default) in recipe.settings() {
                assert!(recipe.text.contains(&quoted(default)), "{}: {name}", recipe.name);
            }
        }
    }

    #[test]
    fn the_documentation_has_the_recipes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FLEET.md");
        let text = std::fs::read_to_string(path).unwrap();
        for recipe in RECIPES {
            let expected = format!("### {}\n\n```sql\n{}```\n", recipe.name, recipe.text);
            assert!(text.contains(&expected), "{path} should have:\n{expected}");
        }
    }

    #[test]
    fn settings_take_the_place_of_defaults() {
        let at = |value: &str| [("at".to_owned(), value.to_owned())];
        let changed = query("changed", &at("2026-02-03 04:05:06")).unwrap();
        assert_eq!(changed.matches("TIMESTAMP '2026-02-03 04:05:06'").count(), 4);
        assert!(!changed.contains("'2026-01-01"));
        assert!(query("changed", &at("x' OR 1")).unwrap().contains("'x'' OR 1'"));
        let refused = |asked: &str, settings: &[_]| query(asked, settings).unwrap_err().to_string();
        assert_eq!(refused("hottest", &at("x")), "--set at: hottest has no such setting");
        let error = refused("changed", &[("to".into(), String::new())]);
        assert_eq!(error, "--set to: changed has no such setting; it has at");
        assert!(refused("hotest", &[]).contains("no recipe, which are: hottest, versions, "));
        assert_eq!(query(" SELECT 1 ;\n", &[]).unwrap(), "SELECT 1");
    }
}
