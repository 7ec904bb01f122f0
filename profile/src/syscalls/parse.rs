//! Arguments of calls from the text that strace writes, which is ours, too.

use std::net::{Ipv4Addr, Ipv6Addr};

use rz_syscalls::Kind;

use super::names::{self, signal};

/// The arguments of a call, which are between commas.
pub fn split_arguments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.trim().is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_argument(text);
        rest = text.get(end + 1..);
        Some(text[..end].trim())
    })
}

/// Where the first comma is that is in no quotes and no brackets.
fn end_of_argument(text: &str) -> usize {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// What an argument was; `None` if the text does not tell its bits, such as that of a structure.
pub fn parse_argument(kind: Kind, text: &str) -> Option<u64> {
    // What a descriptor is may follow it: `3</etc/passwd>`.
    let number = number(text.split('<').next()?);
    match kind {
        Kind::DirFd if text.starts_with("AT_FDCWD") => Some(libc::AT_FDCWD as u32 as u64),
        _ if number.is_some() => number,
        Kind::Signal => signal::number(text).map(u64::from),
        _ => names::of(kind)?.parse(text).map(u64::from),
    }
}

/// A number as C writes it, or a pointer to nothing.
fn number(text: &str) -> Option<u64> {
    if text == "NULL" {
        return Some(0);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u64::from_str_radix(digits, 8).ok(),
        None => text.parse::<u64>().or_else(|_| text.parse().map(i64::cast_unsigned)).ok(),
    }
}

/// The text in quotes, and whether there was more.
pub fn parse_quoted(text: &str) -> Option<(Vec<u8>, bool)> {
    let mut rest = text.strip_prefix('"')?.bytes().peekable();
    let mut bytes = Vec::new();
    loop {
        match rest.next()? {
            b'"' => break,
            b'\\' => match rest.next()? {
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                b'r' => bytes.push(b'\r'),
                b'v' => bytes.push(0x0b),
                b'f' => bytes.push(0x0c),
                b'x' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    bytes.push((digit()? * 16 + digit()?) as u8);
                }
                first @ b'0'..=b'7' => {
                    let mut value = u32::from(first - b'0');
                    for _ in 0..2 {
                        let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) else {
                            break;
                        };
                        value = value * 8 + u32::from(digit - b'0');
                    }
                    bytes.push(value as u8);
                }
                other => bytes.push(other),
            },
            byte => bytes.push(byte),
        }
    }
    Some((bytes, rest.next() == Some(b'.')))
}

/// The bytes of a socket address, such as `{sa_family=AF_UNIX, sun_path="/run/x"}`.
pub fn parse_address(text: &str) -> Option<Vec<u8>> {
    let fields = text.strip_prefix('{')?.strip_suffix('}')?;
    let value = |name: &str| {
        split_arguments(fields).find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let inside = |text: &str, name: &str| {
        Some(text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?.to_owned())
    };
    let port = |name| -> Option<[u8; 2]> {
        Some(inside(value(name)?, "htons")?.parse::<u16>().ok()?.to_be_bytes())
    };
    let with_family = |family: i32| (family as u16).to_ne_bytes().to_vec();
    match value("sa_family")? {
        "AF_UNIX" => {
            let path = value("sun_path")?;
            let name = path.strip_prefix('@');
            let mut bytes = with_family(libc::AF_UNIX);
            bytes.extend(name.map(|_| 0));
            bytes.extend(parse_quoted(name.unwrap_or(path))?.0);
            Some(bytes)
        }
        "AF_INET" => {
            let address = inside(value("sin_addr")?, "inet_addr")?;
            let address: Ipv4Addr = address.trim_matches('"').parse().ok()?;
            let parts = [&port("sin_port")?[..], &address.octets(), &[0; 8]];
            Some([with_family(libc::AF_INET), parts.concat()].concat())
        }
        "AF_INET6" => {
            let address = split_arguments(fields).find_map(|field| inside(field, "inet_pton"))?;
            let address: Ipv6Addr = address.split('"').nth(1)?.parse().ok()?;
            let flow = inside(value("sin6_flowinfo")?, "htonl")?.parse::<u32>().ok()?;
            let scope = value("sin6_scope_id").and_then(|scope| scope.parse::<u32>().ok());
            let (flow, scope) = (flow.to_be_bytes(), scope.unwrap_or(0).to_ne_bytes());
            let parts = [&port("sin6_port")?[..], &flow, &address.octets(), &scope];
            Some([with_family(libc::AF_INET6), parts.concat()].concat())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::Blob;
    use crate::syscalls::address::Address;

    #[test]
    fn addresses_as_we_write_them() {
        for text in [
            r#"{sa_family=AF_UNIX, sun_path="/run/a, b"}"#,
            r#"{sa_family=AF_UNIX, sun_path=@"x"}"#,
            r#"{sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}"#,
            r#"{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=0}"#,
        ] {
            let bytes = parse_address(text).unwrap();
            let mut written = String::new();
            Address::parse(Blob::whole(&bytes)).unwrap().write_fields(&mut written);
            assert_eq!(written, text);
        }
        for text in ["", "{}", "{sa_family=AF_INET}", "{sa_family=AF_UNSPEC}", "0x7f"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn arguments_are_between_commas() {
        let check = |text, expected: &[&str]| {
            assert_eq!(split_arguments(text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("", &[]);
        check("1", &["1"]);
        check(r#"AT_FDCWD, "a, b\"c", O_RDONLY"#, &["AT_FDCWD", r#""a, b\"c""#, "O_RDONLY"]);
        check(
            r#"{a=1, b=[2, 3]}, "x"..., htons(5, 6)"#,
            &["{a=1, b=[2, 3]}", r#""x"..."#, "htons(5, 6)"],
        );
        check(r#""open"#, &[r#""open"#]);
    }

    #[test]
    fn texts_are_bits() {
        let check = |kind, text, expected| {
            assert_eq!(parse_argument(kind, text), expected, "{kind:?} {text}");
        };
        check(Kind::Fd, "3</etc/passwd>", Some(3));
        check(Kind::Fd, "-1", Some(u64::MAX));
        check(Kind::DirFd, "AT_FDCWD</tmp>", Some(0xffff_ff9c));
        check(Kind::Pointer, "NULL", Some(0));
        check(Kind::Pointer, "0x7f00", Some(0x7f00));
        check(Kind::Pointer, "{st_mode=S_IFREG}", None);
        check(Kind::OpenFlags, "O_WRONLY|O_CREAT", Some(0o101));
        check(Kind::Mode, "0644", Some(0o644));
        check(Kind::Size, "4096", Some(4096));
        check(Kind::Signal, "SIGTERM", Some(15));
        check(Kind::OpenFlags, "O_NONSENSE", None);
    }

    #[test]
    fn quoted_texts() {
        let check = |text, expected: Option<(&[u8], bool)>| {
            let expected = expected.map(|(bytes, cut)| (bytes.to_vec(), cut));
            assert_eq!(parse_quoted(text), expected, "{text}");
        };
        check(r#""/etc""#, Some((b"/etc", false)));
        check(r#""a\"\\\n\33[\0001"..."#, Some((b"a\"\\\n\x1b[\x001", true)));
        check(r#""\x41""#, Some((b"A", false)));
        check(r#""a"#, None);
        check("0x5", None);
    }
}
