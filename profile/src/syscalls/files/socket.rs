//! What is known of a socket.

use crate::syscalls::Blob;
use crate::syscalls::address::Address;

/// A socket: what it speaks, and its two ends as far as they were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    protocol: &'static str,
    local: Option<Box<str>>,
    peer: Option<Box<str>>,
}

impl Socket {
    /// One that was there before anyone looked.
    pub const UNKNOWN: Self = Socket { protocol: "socket", local: None, peer: None };

    /// What `socket` makes of its three arguments.
    pub fn new(family: u32, socket_type: u32, protocol: u32) -> Self {
        // The other bits are flags.
        let socket_type = socket_type as i32 & 0xf;
        let protocol = match (family as i32, socket_type, protocol as i32) {
            (libc::AF_INET, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => "TCP",
            (libc::AF_INET, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => "UDP",
            (libc::AF_INET6, libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => "TCPv6",
            (libc::AF_INET6, libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => "UDPv6",
            (libc::AF_INET | libc::AF_INET6, libc::SOCK_RAW, _) => "RAW",
            (libc::AF_UNIX, ..) => "UNIX",
            (libc::AF_NETLINK, ..) => "NETLINK",
            (libc::AF_PACKET, ..) => "PACKET",
            _ => "socket",
        };
        Socket { protocol, local: None, peer: None }
    }

    /// What `accept` on this one makes.
    pub fn accepted(&self, peer: Option<Blob>) -> Self {
        let mut socket = self.clone();
        socket.peer = None;
        socket.set_peer(peer);
        socket
    }

    /// It is bound to this address now.
    pub fn set_local(&mut self, address: Option<Blob>) {
        if let Some(address) = address.and_then(Address::parse) {
            self.local = end(&address);
        }
    }

    /// It speaks to this address now.
    pub fn set_peer(&mut self, address: Option<Blob>) {
        if let Some(address) = address.and_then(Address::parse) {
            self.peer = end(&address);
        }
    }

    /// As in a line, such as `TCP:[127.0.0.1:40000->127.0.0.1:6379]`.
    pub fn name(&self) -> String {
        let protocol = self.protocol;
        let local = self.local.as_deref().unwrap_or_default();
        match &self.peer {
            Some(peer) => format!("{protocol}:[{local}->{peer}]"),
            None if !local.is_empty() => format!("{protocol}:[{local}]"),
            None => protocol.to_owned(),
        }
    }
}

/// `None` for an address that is none, as one undoes `connect` with.
fn end(address: &Address) -> Option<Box<str>> {
    let mut out = String::new();
    if *address != Address::Other(libc::AF_UNSPEC as u16) {
        address.write_short(&mut out);
    }
    (!out.is_empty()).then(|| out.into_boxed_str())
}
