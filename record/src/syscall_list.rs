//! What `--syscalls=LIST` means.

use rz_record::CallDetail;

/// How much to record of which system calls, by number; of all if there is
/// none. `list` has names, sets of calls as strace knows them, with or without
/// `%`, and either of them behind a `!`, which leaves it out; `summary` says
/// that only totals are wanted.
pub(crate) fn parse(list: &str) -> Result<(CallDetail, Vec<u32>), String> {
    let mut detail = CallDetail::Calls;
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    let mut everything = true;
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match (word, word.strip_prefix('!')) {
            ("summary", _) => detail = CallDetail::Totals,
            ("all", _) => {}
            (_, Some(word)) => unwanted.extend(numbers(word)?),
            (_, None) => {
                wanted.extend(numbers(word)?);
                everything = false;
            }
        }
    }
    if everything && unwanted.is_empty() {
        return Ok((detail, Vec::new()));
    }
    if everything {
        wanted.extend(rz_syscalls::all().iter().map(|call| call.number));
    }
    wanted.retain(|number| !unwanted.contains(number));
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Err("no system call is left to record".to_owned());
    }
    Ok((detail, wanted))
}

/// The system calls that a name or the name of a set stands for.
fn numbers(word: &str) -> Result<Vec<u32>, String> {
    if let Some(number) = rz_syscalls::number(word) {
        return Ok(vec![number]);
    }
    let with_sign = format!("%{}", word.trim_start_matches('%'));
    let group = rz_syscalls::group(&with_sign).ok_or_else(|| {
        let sets: Vec<&str> = rz_syscalls::Group::ALL.iter().map(|group| group.name()).collect();
        format!(
            "no system call or set of them is called {word:?}; the sets are {}",
            sets.join(", ")
        )
    })?;
    let calls = rz_syscalls::all().iter().filter(|call| group.contains(call));
    Ok(calls.map(|call| call.number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sets_and_exceptions() {
        assert_eq!(parse("all"), Ok((CallDetail::Calls, Vec::new())));
        assert_eq!(parse("summary"), Ok((CallDetail::Totals, Vec::new())));
        assert_eq!(parse("write,read,read"), Ok((CallDetail::Calls, vec![0, 1])));
        let (detail, network) = parse("summary,network,!%desc,socket").unwrap();
        assert_eq!(detail, CallDetail::Totals);
        assert!(!network.contains(&42), "connect takes a descriptor");
        let (_, rest) = parse("!futex").unwrap();
        assert!(rest.contains(&0) && !rest.contains(&202) && rest.len() > 300);
        assert!(parse("file").unwrap().1.contains(&257));
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        assert!(parse("raed").unwrap_err().contains("\"raed\""));
        assert!(parse("read,!read").unwrap_err().contains("no system call"));
    }
}
