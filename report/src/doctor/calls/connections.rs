//! Connections to the same address that are opened again and again.

use rz_profile::calls::{Call, call_errno};
use rz_profile::reason::error_name;
use rz_profile::syscalls::Blob;
use rz_profile::syscalls::address::Address;

use super::{Io, MOST, SeenCalls, caller, in_caller, next};
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::open_files::OpenFiles;
use crate::render::format::{counted, duration, number, percent};

/// Connections of a process to one address.
#[derive(Debug, Default)]
pub(super) struct Connections {
    connects: Io,
    /// Those that were closed soon.
    short: u64,
    /// How long these were open, in all.
    open_ns: u64,
}

/// A connection that is open for so long is kept for what comes.
const SHORT_NS: u64 = 1_000_000_000;

/// Opened less often, a connection costs next to nothing, and there may be reasons: health
/// checks, a new one after an error.
const HINT_PER_SECOND: f64 = 2.0;

/// From here on there is one for each request. A server that makes a process of each, as
/// PostgreSQL does, takes milliseconds for it.
const WARNING_PER_SECOND: f64 = 10.0;

/// The fewest that are a habit.
const FEWEST: u64 = 10;

/// The share of a process's connections that have to be short: with fewer, it keeps some.
const SHORT_SHARE: f64 = 0.8;

/// Where services listen, and what opening a connection to them means.
const SERVICES: [(&str, &str, &str); 5] = [
    (":5432", ".s.PGSQL.", "PostgreSQL, which starts a process for each and has it log in"),
    (":3306", "mysqld.sock", "MySQL, which has each log in"),
    (":6379", "redis.sock", "Redis"),
    (":27017", "mongodb-27017.sock", "MongoDB, which has each log in"),
    (":443", "", "TLS, which has keys agreed on for each"),
];

impl SeenCalls {
    pub(super) fn take_connection(
        &mut self,
        files: &OpenFiles<'_, ()>,
        call: &Call,
        pid: u32,
        name: &str,
    ) {
        let fd = call.args[0] as i32;
        match name {
            "connect" => {
                // Nothing is opened by telling a datagram socket whom it speaks to.
                let is_stream = files
                    .name_of(call, fd)
                    .is_some_and(|name| name.starts_with("TCP") || name.starts_with("UNIX"));
                // It may go on after the call.
                let begins = call_errno(call).is_none_or(|e| error_name(e) == "EINPROGRESS");
                let Some(address) = address(files, call).filter(|_| is_stream && begins) else {
                    return;
                };
                let key = (pid, address.clone());
                if self.connections.len() >= MOST && !self.connections.contains_key(&key) {
                    return;
                }
                self.connections.entry(key).or_default().connects.add(call);
                self.open.insert((pid, fd), (address, call.start_ns));
            }
            "close" => {
                let Some((address, since_ns)) = self.open.remove(&(pid, fd)) else { return };
                let open_ns = call.start_ns.saturating_sub(since_ns);
                if let Some(connections) = self.connections.get_mut(&(pid, address))
                    && open_ns <= SHORT_NS
                {
                    connections.short = connections.short.saturating_add(call.count.max(1));
                    connections.open_ns = connections.open_ns.saturating_add(open_ns);
                }
            }
            _ => {}
        }
    }
}

fn address(files: &OpenFiles<'_, ()>, call: &Call) -> Option<String> {
    let blob: Blob<'_> = files.invocation(call).blobs.into_iter().flatten().next()?;
    let address = Address::parse(blob)?;
    let mut text = String::new();
    match address {
        Address::Unix(_) | Address::Abstract(_) | Address::Inet(..) | Address::Inet6(..) => {
            address.write_short(&mut text);
        }
        Address::Netlink(..) | Address::Other(_) => return None,
    }
    (!text.is_empty()).then_some(text)
}

/// Processes that open a connection for each request.
pub(in crate::doctor) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |((pid, address), of): (&(u32, String), &Connections)| {
        let Connections { connects, short, open_ns } = of;
        let rate = observed.per_second(connects.calls);
        let share = *short as f64 / (connects.calls as f64).max(1.0);
        if connects.calls < FEWEST || rate < HINT_PER_SECOND || share < SHORT_SHARE {
            return None;
        }
        let caller = caller(observed, *pid, &["connect"]);
        let is_of = |(port, socket, _): &&(&str, &str, &str)| {
            address.ends_with(port) || (!socket.is_empty() && address.contains(socket))
        };
        let service = SERVICES.iter().find(is_of).map(|(_, _, what)| *what);
        let mut evidence = vec![
            format!(
                "{}, {} a second; connecting took {}",
                counted(connects.calls, "connection"),
                number(rate),
                duration(connects.ns)
            ),
            format!(
                "{} of them were closed again after {} on average",
                percent(100.0 * share.min(1.0)),
                duration(open_ns.checked_div(*short).unwrap_or(0))
            ),
        ];
        evidence.extend(service.map(|what| format!("by its address this is {what}")));
        let severity = match rate < WARNING_PER_SECOND {
            true => Severity::Hint,
            false => Severity::Warning,
        };
        Some(Finding {
            title: format!(
                "A new connection to {} for each request{}",
                clean(address),
                in_caller(observed, caller)
            ),
            rule,
            severity,
            cost_ns: Some(connects.ns),
            cost_bytes: None,
            evidence,
            sure: if seen.calls.is_sampled { Sure::Possible } else { Sure::Certain },
            but: Some(seen.calls.but().unwrap_or_else(|| {
                "what the other side spends on each, and logging in, is not in the cost".to_owned()
            })),
            next: next(observed, *pid, caller),
        })
    };
    seen.calls.connections.iter().filter_map(one).collect()
}
