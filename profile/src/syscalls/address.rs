//! Socket addresses.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Blob;
use super::names;
use super::text;

/// A socket address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// A path; empty if the socket has no name.
    Unix(Blob<'a>),
    /// A name that is not in the file system, without its leading NUL.
    Abstract(Blob<'a>),
    /// Address and port.
    Inet(Ipv4Addr, u16),
    /// Address, port, flow and scope (0 is none).
    Inet6(Ipv6Addr, u16, u32, u32),
    /// Port and groups.
    Netlink(u32, u32),
    /// Another family, or too short for what its family needs.
    Other(u16),
}

impl<'a> Address<'a> {
    /// Reads `struct sockaddr`. `None` if not even a family is there.
    pub fn parse(blob: Blob<'a>) -> Option<Self> {
        let (family, rest) = blob.bytes.split_first_chunk()?;
        let family = u16::from_ne_bytes(*family);
        Some(parse_rest(family, rest, blob.cut).unwrap_or(Address::Other(family)))
    }

    /// As an argument, such as `{sa_family=AF_UNIX, sun_path="/run/x"}`: as strace has it.
    pub fn write_fields(&self, out: &mut String) {
        let family = match *self {
            Address::Unix(_) | Address::Abstract(_) => libc::AF_UNIX,
            Address::Inet(..) => libc::AF_INET,
            Address::Inet6(..) => libc::AF_INET6,
            Address::Netlink(..) => libc::AF_NETLINK,
            Address::Other(family) => i32::from(family),
        };
        out.push_str("{sa_family=");
        let _ = match names::network::FAMILY.name_of(family as u32) {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "AF_{family}"),
        };
        let _ = match *self {
            Address::Other(_) => Ok(()),
            Address::Unix(path) if path.bytes.is_empty() => Ok(()),
            Address::Unix(path) => {
                out.push_str(", sun_path=");
                text::quote(out, path.bytes, path.cut);
                Ok(())
            }
            Address::Abstract(name) => {
                out.push_str(", sun_path=@");
                text::quote(out, name.bytes, name.cut);
                Ok(())
            }
            Address::Inet(ip, port) => {
                write!(out, ", sin_port=htons({port}), sin_addr=inet_addr(\"{ip}\")")
            }
            Address::Inet6(ip, port, flow, scope) => write!(
                out,
                ", sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), \
                 inet_pton(AF_INET6, \"{ip}\", &sin6_addr), sin6_scope_id={scope}"
            ),
            Address::Netlink(port, groups) => {
                write!(out, ", nl_pid={port}, nl_groups={groups:08x}")
            }
        };
        out.push('}');
    }

    /// As part of the name of a socket, such as `127.0.0.1:6379`; nothing for
    /// a socket without a name.
    pub fn write_short(&self, out: &mut String) {
        let _ = match *self {
            Address::Unix(path) => {
                text::escape(out, path.bytes, b"<>");
                Ok(())
            }
            Address::Abstract(name) => {
                out.push('@');
                text::escape(out, name.bytes, b"<>");
                Ok(())
            }
            Address::Inet(ip, port) => write!(out, "{ip}:{port}"),
            Address::Inet6(ip, port, _, 0) => write!(out, "[{ip}]:{port}"),
            Address::Inet6(ip, port, _, scope) => write!(out, "[{ip}%{scope}]:{port}"),
            Address::Netlink(port, 0) => write!(out, "{port}"),
            Address::Netlink(port, groups) => write!(out, "{port}, groups={groups:#x}"),
            Address::Other(family) => write!(out, "AF_{family}"),
        };
    }
}

/// What follows the family; `None` if it is too short or unknown.
fn parse_rest<'a>(family: u16, rest: &'a [u8], cut: bool) -> Option<Address<'a>> {
    let number = |at: usize| Some(u32::from_ne_bytes(*rest.get(at..)?.first_chunk()?));
    let port = || Some(u16::from_be_bytes(*rest.first_chunk()?));
    match i32::from(family) {
        libc::AF_UNIX => Some(match rest {
            // Zero bytes are part of such a name.
            [0, name @ ..] if !name.is_empty() => Address::Abstract(Blob { bytes: name, cut }),
            _ => {
                let end = rest.iter().position(|&byte| byte == 0);
                let path = &rest[..end.unwrap_or(rest.len())];
                Address::Unix(Blob { bytes: path, cut: cut && end.is_none() })
            }
        }),
        libc::AF_INET => {
            let ip: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            Some(Address::Inet(ip.into(), port()?))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = *rest.get(6..)?.first_chunk()?;
            let flow = u32::from_be(number(2)?);
            Some(Address::Inet6(ip.into(), port()?, flow, number(22).unwrap_or(0)))
        }
        libc::AF_NETLINK => Some(Address::Netlink(number(2)?, number(6)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_by_family() {
        fn check(bytes: &[u8], expect: &str) {
            let mut out = String::new();
            match Address::parse(Blob::whole(bytes)) {
                Some(address) => address.write_fields(&mut out),
                None => out.push_str("nothing"),
            }
            assert_eq!(out, expect, "{bytes:?}");
        }
        check(
            b"\x02\x00\x18\xeb\x7f\x00\x00\x01\0\0\0\0\0\0\0\0",
            r#"{sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr("127.0.0.1")}"#,
        );
        check(b"\x02\x00\x18\xeb\x7f", "{sa_family=AF_INET}");
        let mut inet6 = b"\x0a\x00\x00\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
        check(
            &inet6,
            r#"{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}"#,
        );
        inet6.extend_from_slice(&[2, 0, 0, 0]);
        check(
            &inet6,
            r#"{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=2}"#,
        );
        check(b"\x01\x00/run/x\0garbage", r#"{sa_family=AF_UNIX, sun_path="/run/x"}"#);
        check(b"\x01\x00\0/tmp/.X11", r#"{sa_family=AF_UNIX, sun_path=@"/tmp/.X11"}"#);
        check(b"\x01\x00", "{sa_family=AF_UNIX}");
        check(b"\x01\x00\0", "{sa_family=AF_UNIX}");
        check(
            b"\x10\x00\0\0\x05\0\0\0\x01\0\0\0",
            "{sa_family=AF_NETLINK, nl_pid=5, nl_groups=00000001}",
        );
        check(b"\x11\x00\x08\x00", "{sa_family=AF_PACKET}");
        check(b"\xe7\x03", "{sa_family=AF_999}");
        check(b"\x02", "nothing");
    }

    #[test]
    fn a_cut_path_says_so() {
        for (blob, expect) in [
            (Blob::cut(b"\x01\x00/run"), r#"{sa_family=AF_UNIX, sun_path="/run"...}"#),
            (Blob::cut(b"\x01\x00/run\0"), r#"{sa_family=AF_UNIX, sun_path="/run"}"#),
        ] {
            let mut out = String::new();
            Address::parse(blob).unwrap().write_fields(&mut out);
            assert_eq!(out, expect);
        }
    }
}
