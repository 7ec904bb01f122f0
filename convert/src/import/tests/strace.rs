//! Logs of strace.

use super::{imported, loaded, refused};
use rz_profile::model::{Profile, TotalClass};

/// Calls that returned: how many, how many errors, nanoseconds.
fn sum_of(profile: &Profile, name: &str) -> (u64, u64, u64) {
    let number = rz_syscalls::number(name);
    let is_it = |total: &&rz_profile::model::Total| {
        total.class == TotalClass::Calls && total.number == number
    };
    profile.totals.iter().filter(is_it).fold((0, 0, 0), |(count, errors, ns), total| {
        (count + total.count, errors + total.errors, ns + total.total_ns)
    })
}

#[test]
fn calls_and_threads() {
    let log = r#"7 23:59:59.000000 execve("/bin/app", ["app"], 0x1 /* 3 vars */) = 0 <0.001000>
7 00:00:01.000000 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x1}, 88) = 9 <0.000100>
9 00:00:02.000000 read(3,  <unfinished ...>
7 00:00:02.500000 futex(0x1, FUTEX_WAIT, 2, NULL <unfinished ...>
9 00:00:03.000000 <... read resumed>"", 10) = -1 EIO (Input/output error) <1.000000>
9 00:00:03.100000 --- SIGPIPE {si_signo=SIGPIPE} ---
9 00:00:03.200000 connect(4, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0 <0.000002>
9 00:00:03.500000 +++ exited with 0 +++
7 00:00:04.000000 vm86(1) = 0 <0.000001>
7 00:00:05.000000 exit_group(0) = ?
"#;
    let profile = loaded(log.as_bytes());
    assert_eq!(sum_of(&profile, "execve"), (1, 0, 1_000_000));
    assert_eq!(sum_of(&profile, "read"), (1, 1, 1_000_000_000));
    // What did not return is in no sum.
    assert_eq!((sum_of(&profile, "futex"), sum_of(&profile, "exit_group")), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(profile.info.duration_ns, 6_000_000_000);
    let threads: Vec<_> = profile
        .threads
        .iter()
        .map(|thread| (thread.tid, &profile.processes[thread.process].name[..]))
        .collect();
    assert_eq!(threads, [(7, "app"), (9, "app")]);
    assert_eq!(profile.processes.len(), 1, "{:?}", profile.processes);
    let (imported, _) = imported(log.as_bytes()).unwrap();
    assert_eq!(imported.calls, 6);
    let said = imported.notes.join("\n");
    assert!(said.contains("1 calls that x86-64 does not have were left out: vm86"), "{said}");
}

#[test]
fn what_a_log_does_not_say() {
    let (imported, _) = imported(b"close(3) = 0\nclose(3) = -1 EBADF (x)\n").unwrap();
    let said = imported.notes.join("\n");
    assert!(said.contains("strace -T") && said.contains("strace -ttt"), "{said}");
    assert_eq!(
        refused(b"read(3,  <unfinished ...>\n"),
        "damaged log of strace: there is no call that returned"
    );
}
