//! What `rec --probes` prints: the static probes of processes.

use std::io::{self, Write};
use std::process::ExitCode;

use rz_record::{Place, StaticProbe, static_probes};
use rz_text::clean::{clean, one_line};

use crate::said::{quoted, say};

/// Lists them; fails if there is none.
pub(crate) fn print(pids: &[u32], json: bool) -> ExitCode {
    let mut found = Vec::new();
    for &pid in pids {
        match static_probes(pid) {
            Ok((probes, unread)) => {
                for file in unread {
                    say(format_args!("rec: note: {}\n", one_line(file)));
                }
                if probes.is_empty() {
                    say(format_args!(
                        "rec: process {pid} has no static probes: neither the program nor its \
                         libraries were built with them (PostgreSQL and Python have an option \
                         for it: configure --enable-dtrace and --with-dtrace)\n"
                    ));
                }
                found.extend(probes.into_iter().map(|probe| (pid, probe)));
            }
            Err(error) => say(format_args!("rec: {}\n", one_line(why(pid, &error)))),
        }
    }
    match json {
        true => print_json(&found),
        false => print_table(&found),
    }
    ExitCode::from(u8::from(found.is_empty()))
}

/// Why nothing is known of a process, and what to do about it.
fn why(pid: u32, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("no process with pid {pid}: it may have ended already"),
        io::ErrorKind::PermissionDenied => format!(
            "the files of process {pid} cannot be looked up: this takes the same user, or root"
        ),
        _ => format!("the files of process {pid} cannot be looked up: {error}"),
    }
}

fn print_table(found: &[(u32, StaticProbe)]) {
    let rows = found.iter().map(|(pid, probe)| {
        let places = probe.places.len().to_string();
        let first = probe.places.first();
        let types = first.map_or_else(String::new, |place| types(&place.arguments));
        let semaphore = first.is_some_and(|place| place.semaphore.is_some());
        [
            pid.to_string(),
            format!("usdt:{}:{}", clean(&probe.provider), clean(&probe.name)),
            places,
            if types.is_empty() { "-".to_owned() } else { types },
            if semaphore { "yes" } else { "-" }.to_owned(),
            clean(&probe.file).into_owned(),
        ]
    });
    let head = ["PID", "PROBE", "PLACES", "ARGUMENTS", "SEMAPHORE", "FILE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    if found.is_empty() {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let [pids, names, places, types, semaphores] = [0, 1, 2, 3, 4].map(width);
    let mut out = io::stdout().lock();
    for [pid, name, place, kind, semaphore, file] in &rows {
        // Nobody may be reading.
        let _ = writeln!(
            out,
            "{pid:>pids$}  {name:names$}  {place:>places$}  {kind:types$}  \
             {semaphore:semaphores$}  {file}"
        );
    }
}

/// What arguments are, without where they are found: `-4@%edi 8@8(%rsp)` is `i32 u64`.
fn types(arguments: &str) -> String {
    let of_argument = |argument: &str| {
        let size = argument.split('@').next().unwrap_or_default();
        let (kind, bytes) = match (size.strip_prefix('-'), size.strip_suffix('f')) {
            (_, Some(bytes)) => ("f", bytes.trim_start_matches('-')),
            (Some(bytes), None) => ("i", bytes),
            (None, None) => ("u", size),
        };
        match bytes {
            "1" => format!("{kind}8"),
            "2" => format!("{kind}16"),
            "4" => format!("{kind}32"),
            "8" => format!("{kind}64"),
            _ => "?".to_owned(),
        }
    };
    arguments.split_ascii_whitespace().map(of_argument).collect::<Vec<_>>().join(" ")
}

/// For programs. `schema` is 1 more with each change that is no addition.
fn print_json(found: &[(u32, StaticProbe)]) {
    let place = |Place { offset, semaphore, arguments }: &Place| {
        let semaphore = semaphore.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let arguments = quoted(arguments);
        format!(r#"{{"offset": {offset}, "semaphore": {semaphore}, "arguments": {arguments}}}"#)
    };
    let probe = |(pid, probe): &(u32, StaticProbe)| {
        let [provider, name, file] =
            [&probe.provider, &probe.name, &probe.file].map(|it| quoted(it));
        let places: Vec<String> = probe.places.iter().map(place).collect();
        let places = places.join(", ");
        format!(
            r#"    {{"pid": {pid}, "provider": {provider}, "name": {name}, "file": {file}, "places": [{places}]}}"#
        )
    };
    let all: Vec<String> = found.iter().map(probe).collect();
    // Nobody may be reading.
    let _ = writeln!(
        io::stdout().lock(),
        "{{\n  \"schema\": 1,\n  \"probes\": [\n{}\n  ]\n}}",
        all.join(",\n")
    );
}

#[cfg(test)]
mod tests {
    use super::types;

    #[test]
    fn types_of_arguments() {
        let check = |arguments, expected| assert_eq!(types(arguments), expected, "{arguments}");
        check("", "");
        check("-4@%edi 8@-8(%rbp) 1@$5 -2@%ax", "i32 u64 u8 i16");
        check("8f@%xmm0 -4f@%xmm1", "f64 f32");
        check("%edi 16@%xmm0", "? ?");
    }
}
