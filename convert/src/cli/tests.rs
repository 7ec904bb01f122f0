//! Command lines, and what they ask for.

use rz_profile::symbolize::SymbolizeOptions;

use super::*;

fn any_config(line: &str) -> Result<Config, clap::Error> {
    let words = ["conv"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words).and_then(Asked::of)? {
        Asked::AsItIs(config) => Ok(*config),
        Asked::Conversion(asked) => asked.config(),
    }
}

fn config(line: &str) -> Result<ConvertConfig, clap::Error> {
    any_config(line).map(|config| match config {
        Config::Convert(config) => *config,
        other => panic!("{line}: {other:?}"),
    })
}

#[test]
fn several_traces_are_merged() {
    for (line, labels) in [
        ("a.rz --to rz -o all", &[None][..]),
        ("a.rz b.rz -o all.rz", &[None, None]),
        ("a.rz b.rz -o all.rz --label x --label y", &[Some("x"), Some("y")]),
    ] {
        let Config::Trace(config) = any_config(line).unwrap() else { panic!("{line}") };
        let found: Vec<_> = config.inputs.iter().map(|input| input.label.as_deref()).collect();
        assert_eq!(found, labels, "{line}");
        assert!(!config.keep_going);
    }
    for line in [
        "a.rz b.rz --to folded",
        "a.rz b.rz --to rz",
        "a.rz b.rz -o all.rz --label x",
        "a.rz b.rz -o all.rz --threads",
        "a.rz --to folded --keep-going",
        "--to rz -o all.rz",
        "- a.rz - -o all.rz",
        "/dev/stdin - --to folded",
    ] {
        assert_eq!(any_config(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn traces_are_made_fit_to_be_given_away() {
    let config = |line: &str| match any_config(line) {
        Ok(Config::Trace(config)) => {
            // Where names are kept is up to the environment.
            let symbols = SymbolizeOptions::default();
            let embed = config.embed.map(|embed| EmbedOptions { symbols, ..embed });
            Ok((embed, config.redact))
        }
        Ok(other) => panic!("{line}: {other:?}"),
        Err(error) => Err(error.exit_code()),
    };
    let debug_dirs = vec!["d".into()];
    let embed = EmbedOptions { debug_dirs, keep_going: true, ..EmbedOptions::default() };
    let redact = RedactOptions {
        keep: vec![Sensitive::Paths, Sensitive::Env, Sensitive::Host],
        build_ids: false,
        keep_going: false,
    };
    for (line, expected) in [
        ("a.rz --to rz -o b.rz --embed --debug-dir d --keep-going", Ok((Some(embed), None))),
        (
            "a.rz -o b.rz --redact --keep paths,env --keep host --no-build-ids",
            Ok((None, Some(redact))),
        ),
        ("a.rz -o b.rz --keep paths", Err(2)),
        ("a.rz -o b.rz --redact --keep path", Err(2)),
        ("a.rz -o b.rz --debug-dir d", Err(2)),
        ("a.rz -o b.folded --embed", Err(2)),
        ("a.rz -o b.folded --redact", Err(2)),
        ("a.rz --to rz --redact", Err(2)),
    ] {
        assert_eq!(config(line), expected, "{line}");
    }
}

#[test]
fn traces_are_made_of_other_formats() {
    for (line, output, debug_dirs) in [
        ("perf.data --to rz --input-format perf", None, 0),
        ("x -o y.rz --input-format perf --debug-dir d", Some("y.rz"), 1),
    ] {
        let Config::Import(config) = any_config(line).unwrap() else { panic!("{line}") };
        assert_eq!(config.output.as_deref(), output.map(Path::new), "{line}");
        assert_eq!(config.options.format, Some(InputFormat::Perf));
        assert_eq!(config.options.perf.debug_dirs.len(), debug_dirs);
    }
    for line in [
        "x y --to rz --input-format perf -o z",
        "x --to rz --input-format rz",
        "x --to folded --input-format pprof",
        "x --to rz --input-format pprof --label l",
        "x --to rz --input-format pprof --from 5s",
    ] {
        assert_eq!(any_config(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn the_format_is_named_or_follows_from_the_output() {
    for (line, format) in [
        ("t.rz --to pprof", Format::Pprof),
        ("t.rz --to pprof -o x.folded", Format::Pprof),
        ("t.rz -o x.folded", Format::Folded),
        ("t.rz -o dir/x.speedscope.json", Format::Speedscope),
        ("t.rz -o x.pb.gz", Format::Pprof),
        ("t.rz --to 20s --from 1s --to folded", Format::Folded),
    ] {
        assert_eq!(config(line).unwrap().format, format, "{line}");
    }
}

#[test]
fn wrong_usage_lists_what_exists() {
    for line in ["t.rz", "t.rz -o -", "t.rz --to svg", "t.rz -o x.svg", "--to pprof"] {
        let error = config(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        let text = error.to_string();
        assert!(text.contains("rz") || line == "--to pprof", "{line}: {text}");
        let named = Format::ALL
            .iter()
            .all(|format| text.contains(format.name()) || text.contains(format.extension()));
        assert!(named || line == "--to pprof", "{line}: {text}");
    }
}

#[test]
fn metrics_are_of_allocations() {
    for (line, event, metric) in [
        ("t.rz --to folded", None, None),
        ("t.rz --to folded --metric peak", Some("alloc"), Some(Metric::Peak)),
        ("t.rz --to folded --event alloc", Some("alloc"), None),
        ("t.rz --to folded --event alloc --metric count", Some("alloc"), Some(Metric::Count)),
    ] {
        let config = config(line).unwrap();
        let name = config.event.as_ref().map(EventName::as_str);
        assert_eq!((name, config.metric), (event, metric), "{line}");
    }
    for line in [
        "t.rz --to folded --metric size",
        "t.rz --to folded --event cpu --metric bytes",
        "t.rz --to pprof --metric bytes",
    ] {
        assert_eq!(config(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_time_is_no_format() {
    let filter = config("t.rz --to pprof --from -5s --to -1s").unwrap().filter;
    let moment = |text: &str| text.parse().ok();
    assert_eq!((filter.from, filter.to), (moment("-5s"), moment("-1s")));
    let filter = config("t.rz --to pprof --until -1s").unwrap().filter;
    assert_eq!((filter.from, filter.to), (None, moment("-1s")));
    for line in [
        "t.rz --to 5s",
        "t.rz --to pprof --to 5s --until 6s",
        "t.rz --to pprof --to folded",
        "t.rz --to pprof --to 5s --to 6s",
        "t.rz --to pprof --from 5",
        "t.rz --to pprof --focus (",
    ] {
        assert_eq!(config(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn the_command_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn traces_are_verified_and_repaired() {
    let Config::Verify(config) = any_config("--verify a.rz b.rz --json -q").unwrap() else {
        panic!("not to be verified")
    };
    assert_eq!((config.inputs.len(), config.json, config.quiet), (2, true, true));
    let Config::Repair(config) = any_config("--repair a.rz -o x --force").unwrap() else {
        panic!("not to be repaired")
    };
    assert_eq!((config.output, config.force), ("x".into(), true));
    let Config::Repair(config) = any_config("--repair -").unwrap() else { panic!("not repaired") };
    assert_eq!(config.output, Path::new("-"));
    for line in [
        "--verify",
        "--verify a.rz -o b",
        "--verify a.rz --to rz",
        "--verify a.rz --from 1s",
        "--verify a.rz --debug-dir d",
        "--verify --repair a.rz -o b",
        "--repair a.rz",
        "--repair a.rz b.rz -o c",
        "--repair a.rz -o b --embed",
        "--repair a.rz -o b --thread x",
        "a.rz --to folded --json",
        "a.rz --to folded --force",
    ] {
        assert_eq!(any_config(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn tables_of_many_traces() {
    let asked = any_config("a.rz b.rz --to parquet -o dir --label version=2 --label note=a=b");
    let Ok(Config::Tables(config)) = asked else { panic!("{asked:?}") };
    assert_eq!((config.inputs.len(), config.output.to_str()), (2, Some("dir")));
    let labels: Vec<(&str, &str)> =
        config.labels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(labels, [("note", "a=b"), ("version", "2")]);
    let refused = |line: &str| any_config(line).unwrap_err().to_string();
    assert!(refused("a.rz --to parquet").contains("name it with -o DIR"));
    assert!(refused("a.rz --to parquet -o -").contains("name it with -o DIR"));
    assert!(refused("a.rz --to parquet -o d --label x").contains("is not NAME=TEXT"));
    assert!(refused("a.rz --to parquet -o d --from 1s").contains("a filter is not for"));
}
