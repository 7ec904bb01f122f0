//! Questions to tables of many traces, in SQL: recipes, and DuckDB that answers.
//!
//! The tables are those that `conv --to parquet` writes. docs/FLEET.md shows the recipes
//! as they are here, and how other engines are asked the same.

mod csv;
mod engine;
mod error;
mod recipes;
mod table;

pub use engine::{Answer, Engine};
pub use error::SqlError;
pub use recipes::{RECIPES, Recipe, query, views};
pub use table::write_rows;
