//! Holds the tables of columns in SPEC.md against those that the code declares.

use crate::column::{Columns, UNKNOWN};
use crate::{
    allocations, calls, cpu_times, heap_counts, index, names, samples, stacks, texts, totals, waits,
};

const SPEC: &str = include_str!("../SPEC.md");

/// The declared tables, each with its section, in SPEC.md's order.
const DECLARED: [(&str, Columns); 12] = [
    ("6. Stacks", stacks::frame_column::ALL),
    ("6. Stacks", stacks::stack_column::ALL),
    ("7. Samples", samples::column::ALL),
    ("8. Waits", waits::column::ALL),
    ("9. Calls", calls::column::ALL),
    ("10. Texts", texts::column::ALL),
    ("11. Totals", totals::column::ALL),
    ("12. Allocations", allocations::column::ALL),
    ("13. Heap counts", heap_counts::column::ALL),
    ("14. Index and trailer", index::column::ALL),
    ("16. Names", names::column::ALL),
    ("17. CPU times", cpu_times::column::ALL),
];

/// A column, and where it is.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    section: &'a str,
    /// How many tables of columns come before this one.
    table: usize,
    id: u8,
    if_absent: u64,
}

fn declared() -> Vec<Row<'static>> {
    let tables = DECLARED.iter().enumerate();
    tables
        .flat_map(|(table, (section, columns))| {
            columns.iter().copied().flatten().map(move |column| {
                let (id, if_absent) = (column.id, column.if_absent);
                Row { section, table, id, if_absent }
            })
        })
        .collect()
}

/// The columns that SPEC.md describes. Panics at a table that it cannot read,
/// which would otherwise be one that nobody compares.
fn described(spec: &str) -> Vec<Row<'_>> {
    let (mut section, mut tables, mut in_table) = ("", 0, false);
    let mut rows = Vec::new();
    for line in spec.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", "column", ref rest @ ..] => {
                assert_eq!(rest, ["field", "if absent", ""], "{section}");
                (tables, in_table) = (tables + 1, true);
            }
            ["", "---", ..] => {}
            ["", ids, _, if_absent, ""] if in_table => {
                let if_absent = match if_absent {
                    "unknown" => UNKNOWN,
                    number => number.parse().expect(line),
                };
                let table = tables - 1;
                let ids = ids_of(ids).into_iter();
                rows.extend(ids.map(|id| Row { section, table, id, if_absent }));
            }
            ["", _, ..] if in_table => panic!("not a column: {line}"),
            _ => {
                in_table = false;
                section = line.strip_prefix("## ").unwrap_or(section);
            }
        }
    }
    rows
}

/// Reads `3`, `5, 6` and `16 to 21`.
fn ids_of(text: &str) -> Vec<u8> {
    let number = |text: &str| -> u8 { text.parse().expect(text) };
    match text.split_once(" to ") {
        Some((first, last)) => (number(first)..=number(last)).collect(),
        None => text.split(", ").map(number).collect(),
    }
}

/// The first column in which the two are not the same.
fn difference(spec: &str) -> Option<String> {
    let (described, declared) = (described(spec), declared());
    let most = described.len().max(declared.len());
    let at = (0..most).find(|at| described.get(*at) != declared.get(*at))?;
    Some(format!("SPEC.md has {:?}, the code {:?}", described.get(at), declared.get(at)))
}

#[test]
fn the_specification_has_the_columns_of_the_code() {
    assert_eq!(difference(SPEC), None);
}

#[test]
fn a_difference_is_found() {
    let check = |before: &str, after: &str| {
        let changed = SPEC.replacen(before, after, 1);
        assert_ne!(changed, SPEC, "{before} is not in SPEC.md");
        assert!(difference(&changed).is_some(), "{before} became {after}");
    };
    // A column that only one of the two has: in a table, at the end of one, and
    // at the end of the last.
    check("| 3 | cpu | 0 |", "| 3 | cpu | 0 |\n| 9 | new | 0 |");
    check("| 3 | cpu | 0 |\n", "");
    check("| 1 | frame id | 0 |", "| 1 | frame id | 0 |\n| 2 | new | 0 |");
    check("| 1 | frame id | 0 |\n", "");
    check("\nAt most 2¹⁷ rows per block. Texts", "| 11 | new | 0 |\n\nTexts");
    check("| 16 to 21 |", "| 16 to 20 |");
    check("| 16 to 55 |", "| 16 to 56 |");
    // Another id, order or value if absent.
    check("| 5, 6 | text", "| 5, 11 | text");
    check(
        "| 1 | event id | 0 |\n| 2 | thread id | 0 |",
        "| 2 | thread id | 0 |\n| 1 | event id | 0 |",
    );
    check("but for what is counted as lost | 1 |", "but for what is counted as lost | 0 |");
    check("others are unknown | unknown |", "others are unknown | 0 |");
    // A table in another place, and one more.
    check("## 7. Samples", "## 7. Records");
    check(
        "## 20. Versions",
        "## 18. New\n\n| column | field | if absent |\n|---|---|---|\n| 0 | new | 0 |\n",
    );
}

#[test]
#[should_panic = "not a column"]
fn a_row_that_is_no_column_is_not_passed_over() {
    difference(&SPEC.replacen("| 3 | cpu | 0 |", "| 3 | cpu |", 1));
}
