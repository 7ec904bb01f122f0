//! Takes out of socket addresses who somebody talked to.
//!
//! Families, ports and addresses that are the same everywhere stay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX};
use rustc_hash::FxHashMap;

use super::paths::Paths;

/// Addresses that are kept apart, at most.
const MAX_ADDRESSES: usize = 1 << 20;

/// Where pseudonyms begin: addresses that nobody has (RFC 1112, section 4).
const FIRST_V4: u32 = 0xf000_0000;
/// The same, for discarding (RFC 6666).
const FIRST_V6: u128 = 0x0100 << 112;

/// What stands for which address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: FxHashMap<IpAddr, u32>,
    changed: u64,
}

/// Whether a text of a system call is a `struct sockaddr`: numbers of families
/// are below 256, and no path has a zero byte in it.
pub(super) fn is_address(text: &[u8]) -> bool {
    matches!(text, [_, 0, ..])
}

impl Addresses {
    /// How many times an address was changed.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// What stands for a `struct sockaddr`.
    pub(super) fn address(&mut self, address: &[u8], paths: &mut Paths) -> Vec<u8> {
        let changed = self.change(address, paths);
        // Zeros at the end mean nothing.
        let end = changed.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.changed += u64::from(!address.starts_with(&changed[..end]));
        changed
    }

    fn change(&mut self, address: &[u8], paths: &mut Paths) -> Vec<u8> {
        let (family, rest) = address.split_at(2);
        let number = i32::from(u16::from_ne_bytes([family[0], family[1]]));
        let rest = match number {
            AF_UNIX => unix(rest, paths),
            AF_INET => self.inet(rest),
            AF_INET6 => self.inet6(rest),
            // Numbers of processes and groups.
            AF_NETLINK => Some(rest[..rest.len().min(10)].to_vec()),
            _ => None,
        };
        [family.to_vec(), rest.unwrap_or_default()].concat()
    }

    /// Port and address; what may follow is nobody's.
    fn inet(&mut self, rest: &[u8]) -> Option<Vec<u8>> {
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
        let ip = match ip.is_loopback() || ip.is_unspecified() || ip.is_broadcast() {
            true => ip,
            false => Ipv4Addr::from_bits(FIRST_V4 + self.number(ip.into())),
        };
        Some([port.as_slice(), &ip.octets(), &[0; 8]].concat())
    }

    /// Port, flow, address and scope.
    fn inet6(&mut self, rest: &[u8]) -> Option<Vec<u8>> {
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let ip = Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?);
        let ip = match ip.to_ipv4_mapped() {
            _ if ip.is_loopback() || ip.is_unspecified() => ip,
            Some(v4) if v4.is_loopback() => ip,
            Some(v4) => Ipv4Addr::from_bits(FIRST_V4 + self.number(v4.into())).to_ipv6_mapped(),
            None => Ipv6Addr::from_bits(FIRST_V6 + u128::from(self.number(ip.into()))),
        };
        Some([port.as_slice(), &[0; 4], &ip.octets(), &[0; 4]].concat())
    }

    /// The number of an address, from 1; 0 beyond the limit.
    fn number(&mut self, address: IpAddr) -> u32 {
        let next = self.known.len();
        if next >= MAX_ADDRESSES {
            return self.known.get(&address).copied().unwrap_or(0);
        }
        *self.known.entry(address).or_insert(next as u32 + 1)
    }
}

/// A path, or a name that is not in the file system.
fn unix(rest: &[u8], paths: &mut Paths) -> Option<Vec<u8>> {
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match rest {
        [] => None,
        [0, rest @ ..] if !rest.is_empty() => {
            let changed = paths.path(&name(rest).replace('\0', "."));
            Some([b"\0", changed.as_bytes()].concat())
        }
        _ => {
            let path = rest.split(|&byte| byte == 0).next().unwrap_or_default();
            // The kernel's zero byte shows that it is whole.
            Some([paths.path(&name(path)).as_bytes(), b"\0"].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::syscalls::{Blob, address::Address};

    #[test]
    fn addresses_have_pseudonyms() {
        let mut addresses = Addresses::default();
        let mut paths = Paths::default();
        let mut check = |address: &[u8], expected: &str| {
            assert!(is_address(address));
            let changed = addresses.address(address, &mut paths);
            assert!(is_address(&changed));
            let mut out = String::new();
            Address::parse(Blob::whole(&changed)).unwrap().write_short(&mut out);
            assert_eq!(out, expected);
            assert!(!changed.windows(6).any(|window| window == b"secret"));
        };
        let inet = |ip: [u8; 4]| [b"\x02\0\x18\xeb".as_slice(), &ip, b"secret12"].concat();
        check(&inet([93, 184, 1, 2]), "240.0.0.1:6379");
        check(&inet([10, 0, 0, 2]), "240.0.0.2:6379");
        check(&inet([93, 184, 1, 2]), "240.0.0.1:6379");
        check(&inet([127, 0, 0, 1]), "127.0.0.1:6379");
        let inet6 = |ip: &str| {
            let ip: Ipv6Addr = ip.parse().unwrap();
            [b"\x0a\0\0\x50flow".as_slice(), &ip.octets(), b"\x02\0\0\0secret"].concat()
        };
        check(&inet6("2001:db8::5"), "[100::3]:80");
        check(&inet6("::1"), "[::1]:80");
        check(&inet6("::ffff:93.184.1.2"), "[::ffff:240.0.0.1]:80");
        check(b"\x01\0/run/secret/x.sock\0secret", "/run/dir1/file1.sock");
        check(b"\x01\0\0/secret/bus", "@/dir1/bus");
        check(b"\x01\0", "");
        check(b"\x10\0\0\0\x05\0\0\0\x01\0\0\0secret", "5, groups=0x1");
        check(b"\x11\0secret", "AF_17");
        check(b"\x02\0\x18", "AF_2");
    }
}
