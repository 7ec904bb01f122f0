//! Tables of many traces, and questions to them.
//!
//! DuckDB answers here; `tests/setup.sh` installs it. The others are asked with `--all`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_convert::fleet::schema::{SCHEMA_VERSION, TABLES, Type};
use rz_tests::{
    Output, Trace, binary, conv, names_in, report, run, temp_dir, text, tool, workspace_root,
};
use serde_json::Value;
use tempfile::TempDir;

/// Works on JSON, reads what is not there, and waits, in several threads.
const WORK: &str = "
import json, os, threading, time
def work():
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        json.loads(json.dumps([dict(a=i, b=str(i)) for i in range(200)]))
        for path in ('/etc/passwd', '/nowhere'):
            try: os.stat(path)
            except OSError: pass
        time.sleep(0.002)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
";

/// Everything that can be recorded, of a real program.
fn recorded() -> Trace {
    let all = ["-q", "--off-cpu", "--syscalls", "--alloc"];
    Trace::record(&[all.as_slice(), &["--", "python3", "-c", WORK]].concat())
}

/// Tables of traces, with labels.
fn tables(traces: &[&Path], options: &[&str]) -> (TempDir, PathBuf) {
    let dir = temp_dir();
    let tables = dir.path().join("traces");
    write(traces, &tables, options).success();
    (dir, tables)
}

fn write(traces: &[&Path], into: &Path, options: &[&str]) -> Output {
    let traces: Vec<&str> = traces.iter().map(|path| text(path)).collect();
    conv(&[traces.as_slice(), &["--to", "parquet", "-o", text(into)], options].concat())
}

/// What `report --sql` says, with the Python that has DuckDB.
fn sql(tables: &Path, query: &str, options: &[&str]) -> Output {
    let python = tool("venv/bin/python3");
    let path = env::join_paths([python.parent().expect("a folder")]).expect("a path");
    let mut command = Command::new(binary("report"));
    run(command.args([text(tables), "--sql", query]).args(options).env("PATH", path))
}

/// Names of all recipes.
fn recipes() -> Vec<String> {
    let names = names_in(&workspace_root().join("report/src/sql"));
    names.iter().filter_map(|name| name.strip_suffix(".sql")).map(str::to_owned).collect()
}

/// The rows of an answer.
#[track_caller]
fn rows(tables: &Path, query: &str) -> Vec<Value> {
    let output = sql(tables, query, &["--json"]).success();
    let answer: Value = serde_json::from_str(&output.stdout).expect("JSON");
    answer["rows"].as_array().expect("rows").clone()
}

/// The only number of an answer.
#[track_caller]
fn number(tables: &Path, query: &str) -> i64 {
    let rows = rows(tables, &format!("SELECT CAST(n AS BIGINT) AS n FROM ({query}) AS q(n)"));
    rows[0]["n"].as_i64().unwrap_or_else(|| panic!("{query}: {rows:?}"))
}

/// How many rows each table has.
fn counts(tables: &Path) -> Vec<i64> {
    let counts = TABLES.map(|table| format!("(SELECT COUNT(*) FROM {0}) AS {0}", table.name));
    let row = &rows(tables, &format!("SELECT {}", counts.join(", ")))[0];
    TABLES.map(|table| row[table.name].as_i64().expect("a count")).to_vec()
}

/// Self and total by function.
type Functions = BTreeMap<String, (i64, i64)>;

fn functions(rows: &[Value], value: impl Fn(&Value, &str) -> i64) -> Functions {
    let mut functions = Functions::new();
    for row in rows {
        let name = row["function"].as_str().expect("a name").to_owned();
        let sum = functions.entry(name).or_default();
        *sum = (sum.0 + value(row, "self"), sum.1 + value(row, "total"));
    }
    functions
}

/// What `report` says of an event, without what says why.
fn reported(trace: &Path, event: &str) -> (Value, Functions) {
    let options = ["--event", event, "--json", "--limit", "1000000"];
    let output = report(&[&[text(trace)], options.as_slice()].concat()).success();
    let document: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let rows = document["data"]["functions"]["rows"].as_array().expect("functions").clone();
    // What has no stack, as one could not be read, is in no function of the tables.
    let is_code = |row: &Value| row["kind"] != "reason" && row["function"] != "[no stack]";
    let code: Vec<Value> = rows.into_iter().filter(is_code).collect();
    let value = |row: &Value, which: &str| row[which]["weight"].as_i64().expect("a weight");
    (document["event"]["total"].clone(), functions(&code, value))
}

/// What is asked of tables is what `report` says of the trace.
#[test]
fn tables_have_the_numbers_of_reports() {
    let trace = recorded();
    let path = trace.path();
    let (_dir, tables) = tables(&[&path], &["--label", "version=2.1", "--label", "region=eu"]);
    let sums = |event: &str| {
        let query = format!(
            "SELECT function, SUM(self) AS self, SUM(total) AS total, MAX(folded) AS folded \
             FROM function_minute WHERE event = '{event}' AND function <> '[truncated]' \
             GROUP BY function"
        );
        let rows = rows(&tables, &query);
        assert!(rows.iter().all(|row| row["folded"] == 0), "{event}");
        functions(&rows, |row, which| row[which].as_i64().expect("a sum"))
    };
    // Estimates of allocations are rounded in each.
    let by = |table: &str| {
        rows(
            &tables,
            &format!(
                "SELECT event, function, module, SUM(self) AS self, SUM(total) AS total, \
                 SUM(items) AS items FROM {table} WHERE event <> 'alloc' GROUP BY ALL ORDER BY ALL"
            ),
        )
    };
    assert_eq!(by("function_hour"), by("function_minute"));
    let (total, expected) = reported(&path, "cpu");
    assert!(expected.len() > 50, "{}", expected.len());
    assert_eq!(sums("cpu"), expected);
    for table in ["SUM(cpu_ns) FROM exposure", "SUM(weight) FROM cpu_sample"] {
        assert_eq!(Some(number(&tables, &format!("SELECT {table}"))), total["weight"].as_i64());
    }
    for (event, sum, count) in [
        ("off-cpu", "SUM(weight_ns) FROM wait", "COUNT(*) FROM wait"),
        ("syscalls", "SUM(weight_ns) FROM syscall", "COUNT(*) FROM syscall WHERE weight_ns > 0"),
    ] {
        let (total, expected) = reported(&path, event);
        let totals = |sums: Functions| -> BTreeMap<String, i64> {
            sums.into_iter().map(|(name, (_, total))| (name, total)).collect()
        };
        // Whatever the reason: the innermost function there is none of code.
        assert_eq!(totals(sums(event)), totals(expected), "{event}");
        let asked = |what: &str| Some(number(&tables, &format!("SELECT {what}")));
        assert_eq!(asked(sum), total["weight"].as_i64(), "{event}");
        assert_eq!(asked(count), total["samples"].as_i64(), "{event}");
    }
    // Estimates, which are rounded in other places.
    let (total, expected) = reported(&path, "alloc");
    let found = sums("alloc");
    assert!(expected.keys().eq(found.keys()), "{expected:?}\n{found:?}");
    for (name, (own, all)) in &expected {
        let (a, b) = found[name];
        assert!((a - own).abs() <= 500 && (b - all).abs() <= 500, "{name}: {:?}", (own, a, all, b));
    }
    let bytes = number(&tables, "SELECT SUM(bytes) FROM allocation");
    assert!((bytes - total["weight"].as_i64().unwrap()).abs() <= 500, "{bytes} {total}");

    let facts = rows(
        &tables,
        "SELECT host, version, labels['region'] AS region, damaged, length(build_id) > 20 AS id, \
         program FROM trace",
    );
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let expected = serde_json::json!({"host": host.trim(), "version": "2.1", "region": "eu",
        "damaged": false, "id": true, "program": "python3"});
    assert_eq!(facts, [expected]);
    every_id_leads_somewhere(&tables);
}

/// Rows fit together by their ids, each of which has one row.
fn every_id_leads_somewhere(tables: &Path) {
    let pairs = [
        ("cpu_sample", "stack", "stack_id"),
        ("wait", "stack", "stack_id"),
        ("syscall", "stack", "stack_id"),
        ("allocation", "stack", "stack_id"),
        ("cpu_sample", "thread", "thread_id"),
        ("wait", "thread", "thread_id"),
        ("thread", "process", "process_id"),
        ("function_minute", "trace", "trace_id"),
        ("process", "trace", "trace_id"),
        ("exposure", "trace", "trace_id"),
    ];
    let question = |(from, to, id): (&str, &str, &str)| {
        let using = if id == "trace_id" { "trace_id".into() } else { format!("trace_id, {id}") };
        format!(
            "SELECT '{from} {to}' AS pair, \
             (SELECT COUNT(*) FROM {from} JOIN {to} USING ({using})) AS joined, \
             (SELECT COUNT(*) FROM {from} WHERE {id} IS NOT NULL) AS expected"
        )
    };
    let pairs = rows(tables, &pairs.map(question).join(" UNION ALL "));
    pairs.iter().for_each(|pair| assert_eq!(pair["joined"], pair["expected"], "{pair}"));
    let frames = "SELECT COUNT(*) FROM (SELECT trace_id, unnest(frames) AS frame_id FROM stack)";
    let joined = format!("{frames} JOIN frame USING (trace_id, frame_id)");
    assert_eq!(number(tables, &joined), number(tables, frames));
    assert_eq!(number(tables, "SELECT SUM(depth) FROM stack"), number(tables, frames));
    let last = "SELECT COUNT(*) FROM stack WHERE frames[-1] <> leaf_frame_id";
    assert_eq!(number(tables, last), 0);
}

/// Columns, their types and what files say of themselves are those that the documentation
/// has, which is made of the same list.
#[test]
fn files_have_the_columns_of_the_documentation() {
    let (_dir, tables) = tables(&[&small("a").path()], &[]);
    let text_of = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let columns = rows(
        &tables,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal \
         ORDER BY table_name, column_index",
    );
    let facts = rows(
        &tables,
        &format!(
            "SELECT file_name, decode(key) AS k, decode(value) AS v \
             FROM parquet_kv_metadata('{}/*/schema.parquet')",
            text(&tables)
        ),
    );
    for table in TABLES {
        let found: Vec<(String, String)> = columns
            .iter()
            .filter(|row| row["table_name"] == table.name)
            .map(|row| (text_of(row, "column_name"), text_of(row, "data_type")))
            .collect();
        let expected: Vec<(String, String)> = table
            .columns
            .iter()
            .map(|column| (column.name.to_owned(), type_of(column.kind)))
            .collect();
        assert_eq!(found, expected, "{}", table.name);
        let file = tables.join(table.name).join("schema.parquet");
        let facts: BTreeMap<String, String> = facts
            .iter()
            .filter(|row| row["file_name"] == text(&file))
            .map(|row| (text_of(row, "k"), text_of(row, "v")))
            .collect();
        assert_eq!(facts["rz.table"], table.name);
        assert_eq!(facts["rz.schema_version"], SCHEMA_VERSION.to_string());
        assert_eq!(facts["rz.sort"], table.sort.join(","));
        assert_eq!(facts["rz.units"].contains("time=µs"), table.position("time").is_some());
    }
}

/// A type as DuckDB calls it.
fn type_of(kind: Type) -> String {
    let name = match kind {
        Type::Time => "TIMESTAMP WITH TIME ZONE",
        Type::Labels => "MAP(VARCHAR, VARCHAR)",
        Type::Id
        | Type::OwnId
        | Type::Varied
        | Type::Amount
        | Type::Number
        | Type::Real
        | Type::Text
        | Type::Name
        | Type::Flag
        | Type::Ids => kind.sql(),
    };
    name.to_owned()
}

/// A recording of a moment.
fn small(name: &str) -> Trace {
    let script = format!("exec -a {name} python3 -c 'sum(range(3000000))'");
    Trace::record(&["-q", "--", "bash", "-c", &script])
}

/// Running again doubles nothing, damage is named and costs what it hits, and what is not
/// ours is left alone.
#[test]
fn what_is_damaged_is_named_and_the_rest_goes_on() {
    let [whole, broken] = ["whole", "broken"].map(small);
    let dir = temp_dir();
    let tables = dir.path().join("traces");
    let none = dir.path().join("none.rz");
    fs::write(&none, "no trace").unwrap();
    let cut = dir.path().join("cut.rz");
    let mut bytes = fs::read(broken.path()).unwrap();
    // Something in the middle, where samples are.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x5a);
    fs::write(&cut, bytes).unwrap();

    let inputs = [none.as_path(), &cut, &whole.path()];
    let output = write(&inputs, &tables, &[]).code(3);
    for part in ["left out: ", "none.rz", "cut.rz: damaged: ", "wrote ", "2 traces"] {
        assert!(output.stderr.contains(part), "no {part:?} in {output}");
    }
    let count = |table: &str| number(&tables, &format!("SELECT COUNT(*) FROM {table}"));
    assert_eq!(number(&tables, "SELECT COUNT(*) FROM trace WHERE damaged"), 1);
    assert_eq!(count("trace"), 2);
    let before = counts(&tables);
    write(&[&whole.path()], &tables, &[]).success();
    assert_eq!(counts(&tables), before);
    for table in TABLES {
        let names = names_in(&tables.join(table.name));
        assert!(names.len() <= 3, "{names:?}");
        assert!(names.iter().all(|name| name.ends_with(".parquet")), "{names:?}");
    }
    write(&[&none], &tables, &["-q"]).refused(1, &["none.rz"]);

    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), "mine").unwrap();
    write(&[&whole.path()], &other, &[]).refused(1, &["not a directory of rz's tables"]);
    assert_eq!(names_in(&other), ["notes.txt"]);
    write(&[&whole.path()], &none, &[]).refused(1, &["not a directory of rz's tables"]);
}

/// Who cannot answer says what to do.
#[test]
fn questions_that_cannot_be_answered() {
    let (_dir, tables) = tables(&[&small("a").path()], &[]);
    sql(&tables, "hotest", &[]).refused(1, &["no recipe, which are: hottest, "]);
    sql(&tables, "SELECT nothing FROM wait", &[]).refused(1, &["DuckDB: ", "nothing"]);
    sql(Path::new("/nowhere"), "hottest", &[]).refused(1, &["conv TRACE... --to parquet"]);
    let report = binary("report");
    let mut bare = Command::new(report);
    let bare = bare.args([text(&tables), "--sql", "hottest"]).env("PATH", "/nowhere");
    run(bare).refused(1, &["pip install duckdb"]);
    let table = sql(&tables, "hottest", &[]).success().stdout;
    assert!(table.starts_with("function "), "{table}");
    let csv = sql(&tables, "SELECT 1 AS a, 'x,y' AS b -- and no more", &["--csv"]).success();
    assert_eq!(csv.stdout.replace("\r\n", "\n"), "a,b\n1,\"x,y\"\n");
}

/// Where there is no Python with DuckDB, its command answers the same.
#[test]
fn the_command_answers_as_the_module_does() {
    let (_dir, tables) = tables(&[&small("a").path()], &[]);
    let path = temp_dir();
    symlink(tool("venv/bin/duckdb"), path.path().join("duckdb")).unwrap();
    let by_command = |query: &str, options: &[&str]| {
        let mut command = Command::new(binary("report"));
        let command = command.args([text(&tables), "--sql", query]).args(options);
        run(command.env("PATH", path.path()))
    };
    for recipe in recipes() {
        for options in [&["--json"][..], &["--csv"], &[]] {
            let by_module = sql(&tables, &recipe, options).success();
            assert_eq!(by_command(&recipe, options).success().stdout, by_module.stdout);
        }
    }
    by_command("SELECT nothing FROM wait", &[]).refused(1, &["DuckDB: Binder Error", "nothing"]);
}

/// Tables of the first version, kept as they were, are read together with those of now.
#[test]
fn older_tables_are_read_with_newer_ones() {
    let (_dir, tables) = tables(&[&small("a").path()], &[]);
    let old = workspace_root().join("tests/fixtures/fleet-v1");
    let (mut kept, mut answers) = (0, Vec::new());
    for table in names_in(&old) {
        for file in names_in(&old.join(&table)) {
            fs::copy(old.join(&table).join(&file), tables.join(&table).join(&file)).unwrap();
            kept += 1;
        }
    }
    assert!(kept >= 3, "{kept}");
    assert_eq!(number(&tables, "SELECT COUNT(*) FROM trace"), 2);
    let old = "host = 'golden' AND event = 'cpu'";
    for table in ["function_minute", "function_hour"] {
        assert_eq!(number(&tables, &format!("SELECT SUM(self) FROM {table} WHERE {old}")), 53);
    }
    for recipe in recipes() {
        answers.push(sql(&tables, &recipe, &["--json"]).success().stdout);
    }
    let hosts: Value = serde_json::from_str(&answers[0]).expect("JSON");
    assert!(hosts["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{hosts}");
    let named = "SELECT COUNT(*) FROM frame WHERE function = 'golden_function'";
    assert_eq!(number(&tables, named), 1);

    // A column that an older version does not have yet is NULL there.
    let file = tables.join("exposure/older-0000000000000001.parquet");
    let columns = "* EXCLUDE (allocated_bytes, syscalls)";
    let script = format!(
        "import duckdb; duckdb.sql(\"COPY (SELECT {columns} FROM '{}/*.parquet') TO '{}'\")",
        text(&tables.join("exposure")),
        text(&file)
    );
    let all = number(&tables, "SELECT COUNT(*) FROM exposure");
    run(Command::new(tool("venv/bin/python3")).args(["-c", &script])).success();
    assert_eq!(number(&tables, "SELECT COUNT(*) FROM exposure"), 2 * all);
    assert_eq!(number(&tables, "SELECT COUNT(*) FROM exposure WHERE syscalls IS NULL"), all);
}

/// The same recipes, unchanged, asked of all engines.
#[test]
#[ignore = "chDB takes 500 MB and Spark a Java: run tests/run.sh --all"]
fn all_engines_give_the_same_answers() {
    let trace = recorded();
    let (_dir, tables) = tables(&[&trace.path(), &small("a").path()], &["--label", "version=1"]);
    let script = workspace_root().join("tests/e2e/fleet/engines.py");
    let mut command = Command::new(tool("engines/bin/python"));
    let command = command.arg(script).arg(&tables);
    let queries = workspace_root().join("report/src/sql");
    let output = run(command.arg(queries)).success();
    let same = recipes().into_iter().map(|recipe| format!("{recipe}: 3 engines agree on "));
    for line in same {
        assert!(output.stdout.contains(&line), "no {line:?} in {output}");
    }
}
