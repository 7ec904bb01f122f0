//! Why a question to tables has no answer.

use std::io;
use std::path::PathBuf;

/// Why a question has no answer. Each is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// There is no such directory of tables.
    #[error(
        "{}: no directory of tables: make one with conv TRACE... --to parquet -o {}",
        .0.display(),
        .0.display()
    )]
    NoTables(PathBuf),
    /// The text is neither a recipe nor a query.
    #[error("--sql '{name}' is no query, and no recipe, which are: {known}")]
    NoRecipe {
        /// What was given.
        name: String,
        /// Names of all recipes.
        known: String,
    },
    /// The recipe has nothing that is called so.
    #[error("--set {name}: {recipe} has no such setting{known}")]
    NoSetting {
        /// What was to be set.
        name: String,
        /// Of which recipe, or query.
        recipe: String,
        /// Which it has, as the end of a sentence.
        known: String,
    },
    /// DuckDB is not here.
    #[error(
        "--sql needs DuckDB: pip install duckdb (for python3), or the command duckdb from \
         https://duckdb.org; or read the tables with an engine of your own (docs/FLEET.md)"
    )]
    NoEngine,
    /// DuckDB did not do it.
    #[error("DuckDB: {0}")]
    Failed(String),
    /// It could not be run.
    #[error("cannot run DuckDB: {0}")]
    Run(#[from] io::Error),
    /// The answer is too large.
    #[error("the answer is larger than {0} MiB: ask for less, as with LIMIT")]
    TooLarge(usize),
    /// The answer is not what was asked for.
    #[error("DuckDB gave what is no table")]
    NoAnswer,
}
