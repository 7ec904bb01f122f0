//! What command lines ask for, and which are refused.

use std::path::Path;

use super::*;

fn config_of(line: &str) -> Result<Config, ErrorKind> {
    Args::try_parse_from(line.split(' ')).and_then(config).map_err(|error| error.kind())
}

#[test]
fn output_goes_where_it_is_asked_to() {
    let check = |line: &str, svg: Option<&str>, text: Option<&str>| {
        let config = config_of(line).unwrap();
        assert_eq!(config.svg.as_deref(), svg.map(Path::new), "{line}");
        assert_eq!(config.text.as_deref(), text.map(Path::new), "{line}");
    };
    check("report d/t.rz", None, Some("-"));
    check("report d/t.rz -o t.txt", None, Some("t.txt"));
    check("report d/t.rz --svg", Some("d/t.svg"), None);
    check("report d/t.rz --svg f.svg", Some("f.svg"), None);
    let page = config_of("report d/t.rz --html").unwrap();
    assert_eq!((page.html.as_deref(), page.text), (Some(Path::new("d/t.html")), None));
    check("report d/t.rz --inverted --svg - -o t.txt", Some("-"), Some("t.txt"));
    check("report --diff a.rz d/b.rz --svg", Some("d/b.diff.svg"), None);
    check("report --diff a.rz b.rz --json j.json", None, None);
    check("report d/t.rz --json", None, None);
    check("report d/t.rz --json j.json -o -", None, Some("-"));
    check("report - --svg", Some("-"), None);
    check("report --diff - d/b.rz --svg", Some("d/b.diff.svg"), None);
    check("report --diff d/a.rz - --svg", Some("-"), None);
    check("report --diff a.rz b.rz --markdown - -o t.txt", None, Some("t.txt"));
    check("report --diff a.rz b.rz --markdown", None, None);
    check("report d/t.rz --markdown", None, None);
    check("report d/t.rz --markdown t.md -o -", None, Some("-"));
    check("report d/t.rz --serve", None, None);
    check("report --diff a.rz b.rz --serve", None, None);
}

#[test]
fn events_and_views() {
    let check = |line: &str, event: Option<&str>, view: &str| {
        let config = config_of(line).unwrap();
        assert_eq!(config.event.as_ref().map(EventName::as_str), event, "{line}");
        let shown = format!("{:?}", config.view);
        let shown = shown.trim_start_matches("Samples(");
        assert!(shown.starts_with(view), "{line}: {shown}");
    };
    check("report t.rz", None, "Summary");
    check("report t.rz --event off-cpu", Some("off-cpu"), "Summary");
    check("report t.rz --off-cpu", Some("off-cpu"), "OffCpu");
    check("report t.rz --off-cpu --tree", Some("off-cpu"), "Tree");
    check("report t.rz --wall", Some("wall"), "Summary");
    check("report t.rz --syscalls --by count", Some("syscalls"), "Syscalls { by: Count");
    check("report t.rz --syscalls --list --tail 5", Some("syscalls"), "List(ListOptions");
    check("report --diff a.rz b.rz --event syscalls", Some("syscalls"), "Summary");
    check("report t.rz --heap", Some("alloc"), "Heap");
    check("report t.rz --source f", None, "Annotated");
    check("report t.rz --off-cpu --source f --asm", Some("off-cpu"), "Annotated");
    check("report t.rz --asm f --event cpu", Some("cpu"), "Annotated");
    check("report t.rz --info", None, "Info");
    check("report t.rz --heap --tree --metric live", Some("alloc"), "Tree");
    check("report t.rz --heap --leaks", Some("alloc"), "Sites { kind: Leaks, by: Bytes");
    check("report t.rz --heap --temporary", Some("alloc"), "Sites { kind: Temporary, by: Count");
    check("report t.rz --heap --sites --by count", Some("alloc"), "Sites { kind: All, by: Count");
    check("report --diff a.rz b.rz --heap", Some("alloc"), "Summary");
}

#[test]
fn contradictions_are_refused() {
    use ErrorKind::*;
    let check = |line: &str, kind| assert_eq!(config_of(line).unwrap_err(), kind, "{line}");
    check("report", MissingRequiredArgument);
    check("report --svg t.rz", MissingRequiredArgument);
    check("report --diff a.rz", WrongNumberOfValues);
    check("report --diff a.rz b.rz c.rz", WrongNumberOfValues);
    check("report --diff - -", TooManyValues);
    check("report --diff a.rz /dev/stdin --against b.rz -", TooManyValues);
    check("report - --svg -o -", ArgumentConflict);
    check("report --diff a.rz b.rz --work 1", WrongNumberOfValues);
    check("report --diff a.rz b.rz --work 0 --work 1", ValueValidation);
    check("report --diff a.rz b.rz --fdr 101", ValueValidation);
    check("report --diff a.rz b.rz --per hour", InvalidValue);
    check("report --diff a.rz b.rz --by count", ArgumentConflict);
    check("report --diff a.rz b.rz --event off-cpu --by errors", ArgumentConflict);
    check("report t.rz --against a.rz", ArgumentConflict);
    check("report t.rz --per wall", ArgumentConflict);
    check("report t.rz --fdr 5", ArgumentConflict);
    check("report --against a.rz b.rz", MissingRequiredArgument);
    check("report t.rz --diff a.rz b.rz", ArgumentConflict);
    check("report t.rz --tree --inverted", ArgumentConflict);
    check("report t.rz --svg - -o -", ArgumentConflict);
    check("report t.rz --min-percent 101", ValueValidation);
    check("report t.rz --by name", InvalidValue);
    check("report t.rz --by count", ArgumentConflict);
    check("report t.rz --off-cpu --by errors", ArgumentConflict);
    check("report t.rz --syscalls --by self", ArgumentConflict);
    check("report t.rz --syscalls --tree --by count", ArgumentConflict);
    check("report t.rz --off-cpu --wall", ArgumentConflict);
    check("report t.rz --off-cpu --event cpu", ArgumentConflict);
    check("report --diff a.rz b.rz --off-cpu", ArgumentConflict);
    check("report t.rz --list", MissingRequiredArgument);
    check("report t.rz --syscalls --tail 5", MissingRequiredArgument);
    check("report t.rz --syscalls --errors", MissingRequiredArgument);
    check("report t.rz --syscalls --list --svg", ArgumentConflict);
    check("report t.rz --syscalls --list --limit 5", ArgumentConflict);
    check("report t.rz --leaks", MissingRequiredArgument);
    check("report t.rz --metric live", MissingRequiredArgument);
    check("report t.rz --temporary-within 2", MissingRequiredArgument);
    check("report t.rz --heap --temporary-within 0", ValueValidation);
    check("report t.rz --heap --metric size", InvalidValue);
    check("report t.rz --heap --metric live", ArgumentConflict);
    check("report t.rz --heap --by count", ArgumentConflict);
    check("report t.rz --heap --sites --by errors", ArgumentConflict);
    check("report t.rz --heap --sites --leaks", ArgumentConflict);
    check("report t.rz --heap --leaks --tree", ArgumentConflict);
    check("report t.rz --heap --leaks --svg", ArgumentConflict);
    check("report t.rz --heap --suppressions f", MissingRequiredArgument);
    check("report t.rz --heap --off-cpu", ArgumentConflict);
    check("report t.rz --heap --event cpu", ArgumentConflict);
    check("report --diff a.rz b.rz --heap --leaks", ArgumentConflict);
    check("report t.rz --asm", MissingRequiredArgument);
    check("report t.rz --source f --asm g", ArgumentConflict);
    check("report t.rz --source f --tree", ArgumentConflict);
    check("report t.rz --info --tree", ArgumentConflict);
    check("report t.rz --source-dir d", ArgumentConflict);
    check("report t.rz --html --source-dir d", ArgumentConflict);
    check("report t.rz --embed-source", MissingRequiredArgument);
    check("report t.rz --svg --embed-source", MissingRequiredArgument);
    check("report --diff a.rz b.rz --html --embed-source", ArgumentConflict);
    check("report --diff a.rz b.rz --source f", ArgumentConflict);
    check("report t.rz --serve --html", ArgumentConflict);
    check("report t.rz --serve -o t.txt", ArgumentConflict);
    check("report t.rz --from 5", ValueValidation);
    check("report t.rz --focus (", ValueValidation);
    check("report t.rz --syscalls --list --focus a", ArgumentConflict);
    check("report t.rz --syscalls --list --collapse-recursion", ArgumentConflict);
    check("report t.rz --json - -o -", ArgumentConflict);
    check("report t.rz --svg - --json", ArgumentConflict);
    check("report t.rz --fail-if total>5%", ArgumentConflict);
    check("report t.rz --info --fail-if function>5%", ArgumentConflict);
    check("report --diff a.rz b.rz --fail-if leak>5MB", ArgumentConflict);
    check("report t.rz --fail-if leak>5%", ValueValidation);
    check("report t.rz --syscalls --list --markdown", ArgumentConflict);
    check("report t.rz --markdown --json", ArgumentConflict);
    check("report t.rz --guide", ArgumentConflict);
    check("report --diff a.rz b.rz --width after", MissingRequiredArgument);
    check("report --diff a.rz b.rz --svg s.svg --width wide", InvalidValue);
    check("report --diff a.rz b.rz --fail-if total", ValueValidation);
    check("report --diff a.rz b.rz --rename a", ValueValidation);
    check("report --diff a.rz b.rz --json - --markdown -", ArgumentConflict);
    check("report --diff a.rz b.rz --json - -o -", ArgumentConflict);
    check("report t.rz --before ..1s --after 1s..", ArgumentConflict);
    check("report --diff a.rz --before ..1s --after 1s.. --rename a=b", ArgumentConflict);
    check("report --before ..1s", MissingRequiredArgument);
}

#[test]
fn filters_are_for_every_view() {
    let check = |line: &str| {
        let line = format!("report {line} --from -5s --until 50% --thread a* --thread 7");
        let filter = config_of(&line).unwrap().filter;
        assert_eq!((filter.from, filter.to), ("-5s".parse().ok(), "50%".parse().ok()));
        assert_eq!(filter.threads, ["a*", "7"].map(|glob| glob.parse().unwrap()));
    };
    check("t.rz");
    check("t.rz --tree");
    check("t.rz --syscalls --list");
    check("t.rz --heap --leaks");
    check("--diff a.rz b.rz");
    // By its older name.
    let filter = config_of("report t.rz --to 50%").unwrap().filter;
    assert_eq!(filter.to, "50%".parse().ok());
    config_of("report t.rz --to 50% --until 50%").unwrap_err();
}

#[test]
fn sources_are_embedded_where_there_is_a_page() {
    let places = |line: &str| config_of(line).unwrap().embed_source;
    let here = SourcePlaces { dirs: vec!["d".into()], maps: vec!["m".into()] };
    let options = "--embed-source --source-dir d --source-map m";
    assert_eq!(places(&format!("report t.rz --html {options}")), Some(here.clone()));
    assert_eq!(places(&format!("report t.rz --serve {options}")), Some(here));
    assert_eq!(places("report t.rz --html --source-map m"), None);
}

/// The commands of the guide are as they are typed, up to two spaces or a pipe.
#[test]
fn the_guide_is_right() {
    let guide = include_str!("../guide.txt");
    let lines = guide.lines().filter_map(|line| line.find("report ").map(|at| &line[at..]));
    let mut commands = 0;
    for line in lines.filter(|line| line.starts_with("report t.rz") || line.contains("--diff")) {
        let command = line.split("  ").next().unwrap().split(" | ").next().unwrap();
        let words = command.split(' ').map(|word| word.trim_matches('\''));
        let parsed = Args::try_parse_from(words).and_then(config);
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        commands += 1;
    }
    assert!(commands > 20, "{commands}");
    assert!(guide.lines().all(|line| line.chars().count() <= 92));
    // A first answer for a program that reads it: some 4 characters are a token.
    assert!(guide.len() < 4 * 2_000, "{}", guide.len());
}

#[test]
fn how_to_compare() {
    let config = config_of("report --diff a.rz b.rz --fdr 1% --min-effect 2 --per share");
    let diff = config.unwrap().diff;
    assert_eq!((diff.fdr, diff.min_effect, diff.per), (0.01, 0.02, Some(Per::Share)));
    let counts = |line: &str| config_of(line).unwrap().diff.sums_by;
    assert_eq!(counts("report --diff a.rz b.rz --event syscalls --by count"), SortCalls::Count);
    assert_eq!(counts("report --diff a.rz b.rz --event off-cpu --by count"), SortCalls::Count);
}

#[test]
fn a_metric_is_chosen_where_samples_are_shown() {
    let check = |line: &str, metric| assert_eq!(config_of(line).unwrap().metric, metric, "{line}");
    check("report t.rz --heap", None);
    check("report t.rz --heap --leaks", None);
    check("report t.rz --heap --svg", Some(Metric::Bytes));
    check("report t.rz --heap --tree --metric live-count", Some(Metric::LiveCount));
    check("report --diff a.rz b.rz --heap", Some(Metric::Bytes));
    check("report --diff a.rz b.rz --event alloc", Some(Metric::Bytes));
    check("report t.rz --event alloc", Some(Metric::Bytes));
    check("report --diff a.rz b.rz --event cpu", None);
}

#[test]
fn tables_are_asked_in_sql() {
    let asked = |line: &str| Args::try_parse_from(line.split(' '));
    let mut args = asked("report dir --sql changed --set at=x --json").unwrap();
    let sql = args.sql.take().unwrap();
    let config = sql_config(args, sql).unwrap();
    assert_eq!((config.asked.as_str(), config.text), ("changed", None));
    assert_eq!(config.settings, [("at".to_owned(), "x".to_owned())]);
    for wrong in ["--sql x --tree", "--sql x --csv --json", "--set a=b", "--sql x --set a", "--csv"]
    {
        assert!(asked(&format!("report dir {wrong}")).is_err(), "{wrong}");
    }
}
