//! Logs with a line for each call.

use std::io::Write;

use super::named::check;
use super::{imported, loaded, refused, text};
use crate::export::ExportOptions;
use rz_profile::model::EventKind;

#[test]
fn papyrus() {
    let log = "Stack_7 log opened (PC)\n50:START:7\n52:QUEUE_PUSH:7:3: (00018A56):Form..b\n\
               54:PUSH:7:3:q (24):a..f\n60:PUSH:7:4:q (24):a..g\n61:PUSH:8:1:None:b..h\n\
               64:POP:7:4:q (24):a..g\n66:POP:7:3:q (24):a..f\n71:POP:8:1:None:b..h\nhello\nLog closed\n";
    let stacks = "Papyrus;a..f 8000\nPapyrus;a..f;a..g 4000\nPapyrus;b..h 10000\n";
    check(log, &[("duration", EventKind::Other, 22_000_000)], stacks);
    let (imported, _) = imported(log.as_bytes()).unwrap();
    assert_eq!(imported.notes, ["1 lines that are not of Papyrus were left out"]);
    let said = refused(b"50:START:7\n52:QUEUE_PUSH:7:3: (00018A56):Form..b\n");
    assert_eq!(said, "damaged log of Papyrus: nothing is put on a stack");
}

/// As ltrace writes it with -f -ttt -T -S: a call of another in two lines.
pub(super) const LTRACE: &str = "7 1700000000.000000 qsort(0x5, 3, 8, 0x6 <unfinished ...>\n\
     7 1700000000.000100   strcmp(\"a = (\", \"c\")       = -2 <0.000100>\n\
     8 1700000000.000200 usleep(20000 <unfinished ...>\n\
     7 1700000000.000300   libc.so.6->strcmp(\"b\", \"a\") = 1 <0.000200>\n\
     7 1700000000.000600 <... qsort resumed> )    = <void> <0.001000>\n\
     8 1700000000.000700 SYS_clock_nanosleep(0, 0, 0x7f, 0) = 0 <0.000400>\n\
     8 1700000000.001200 <... usleep resumed> )   = <void> <0.000500>\n\
     7 1700000000.001300 exit(0 <no return ...>\n\
     7 1700000000.001500 +++ exited (status 0) +++\n";

#[test]
fn ltrace() {
    let events = [("duration", EventKind::Other, 1_700_000), ("calls", EventKind::Other, 6)];
    let stacks = "[unknown];exit 200\n[unknown];qsort 700\n[unknown];qsort;strcmp 300\n\
                  [unknown];usleep 100\n[unknown];usleep;clock_nanosleep_[k] 400\n";
    check(LTRACE, &events, stacks);
    // Without times, calls are counted.
    let untimed: String = LTRACE
        .lines()
        .map(|line| {
            let (before, _) = line.rsplit_once(" <0.").unwrap_or((line, ""));
            format!(
                "{}\n",
                before.replacen(" 1700000000.", " ", 1).split_once(' ').map_or(
                    String::new(),
                    |(tid, rest)| format!("{tid} {}", rest.trim_start_matches(char::is_numeric)),
                )
            )
        })
        .collect();
    let events = [("duration", EventKind::Other, 0), ("calls", EventKind::Other, 6)];
    let stacks = "[unknown];exit 1\n[unknown];qsort 1\n[unknown];qsort;strcmp 2\n\
                  [unknown];usleep 1\n[unknown];usleep;clock_nanosleep_[k] 1\n";
    check(&untimed, &events, stacks);
    let (imported, _) = imported(untimed.as_bytes()).unwrap();
    assert!(imported.notes[0].starts_with("the log does not say how long calls took"));
    let odd = LTRACE.replace("qsort(0x5", "bsearch(0x5") + "what is this?\n";
    let (imported, _) = super::imported(odd.as_bytes()).unwrap();
    let notes = imported.notes.concat();
    assert!(notes.contains("1 ends of calls") && notes.contains("1 lines that are not"), "{notes}");
    assert_eq!(
        refused(b"7 puts(\"a\" <unfinished ...>\n"),
        "damaged log of ltrace: there is no call that returned"
    );
}

/// As rbspy keeps it, but for gzip around all of it.
pub(super) const RBSPY: &str = "rbspy02\n\
    {\"sample_rate\":100,\"rbspy_version\":\"0.3.10\",\"start_time\":{\"secs_since_epoch\":1700000000,\"nanos_since_epoch\":0}}\n\
    {\"trace\":[{\"name\":\"leaf\",\"relative_path\":\"a.rb\",\"absolute_path\":\"/app/a.rb\",\"lineno\":3},\
    {\"name\":\"main\",\"relative_path\":\"a.rb\",\"absolute_path\":null,\"lineno\":9}],\"pid\":7,\"thread_id\":8,\
    \"time\":{\"secs_since_epoch\":1700000000,\"nanos_since_epoch\":10000000}}\n\
    {\"trace\":[{\"name\":\"main\",\"relative_path\":\"a.rb\",\"absolute_path\":null,\"lineno\":9}],\"pid\":7,\
    \"thread_id\":8,\"time\":{\"secs_since_epoch\":1700000000,\"nanos_since_epoch\":20000000}}\n";

#[test]
fn rbspy() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(RBSPY.as_bytes()).unwrap();
    let profile = loaded(&packed.finish().unwrap());
    assert_eq!(
        text(&profile, &ExportOptions::default()),
        "ruby;main 10000\nruby;main;leaf 10000\n"
    );
    assert_eq!(profile.info.start_unix_ns, 1_700_000_000_000_000_000);
    assert_eq!(profile.info.duration_ns, 20_000_000);
    let leaf = profile.functions.iter().find(|function| function.name == "leaf").unwrap();
    assert_eq!(leaf.file, "/app/a.rb");
    // Older versions have less.
    let lines: Vec<&str> = RBSPY.lines().collect();
    let first = format!("rbspy01\n{}\n{}\nhello\n", lines[2], lines[3]);
    check(&first, &[("samples", EventKind::Cpu, 2)], "ruby;main 1\nruby;main;leaf 1\n");
    assert!(imported(first.as_bytes()).unwrap().0.notes[0].starts_with("1 lines"));
    let frames = lines[3].split_once("[").unwrap().1.split_once("]").unwrap().0;
    let oldest = format!("rbspy00\n[{frames}]\n");
    check(&oldest, &[("samples", EventKind::Cpu, 1)], "ruby;main 1\n");
    assert!(refused(b"rbspy09\n{}\n").contains("a newer rbspy: rbspy report -f speedscope"));
    assert_eq!(refused(b"rbspy02\n{}\n"), "damaged recording of rbspy: there is no sample");
}
