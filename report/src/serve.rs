//! Gives a page to a browser on this machine, and to nobody else.
//!
//! What is asked for has a token in its address that only who started this knows, and is
//! asked for of this address: another page in the same browser, under whatever name it
//! reaches this machine, gets nothing. A connection is for one request.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What a request may be long, at most.
const MAX_REQUEST: usize = 16 << 10;
/// Headers that it may have, at most.
const MAX_HEADERS: usize = 64;
/// How many are answered at the same time, at most.
const MAX_CONNECTIONS: usize = 32;
/// How long a browser may take to say what it wants, or to take more of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The page.
    Page(Vec<u8>),
    /// Data for it.
    Data(Vec<u8>),
    /// There is no such thing.
    NotFound,
    /// It cannot be had: why.
    Failed(String),
}

/// A server of this machine.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    port: u16,
    token: String,
}

impl Server {
    /// Begins to listen at a free port.
    ///
    /// # Errors
    /// If there is none, or no random number for the token.
    pub fn start() -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = random.map(|byte| format!("{byte:02x}")).concat();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok(Server { listener, port, token })
    }

    /// Where the page is.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.port, self.token)
    }

    /// Answers requests, for what comes behind the address, for ever.
    ///
    /// # Errors
    /// If the system lets nobody connect any more.
    pub fn run(&self, answer: impl Fn(&str) -> Answer + Sync) -> io::Result<()> {
        let open = AtomicUsize::new(0);
        thread::scope(|scope| {
            for stream in self.listener.incoming() {
                let stream = match stream {
                    Ok(stream) => stream,
                    // It was given up before it was answered.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                    Err(error) => return Err(error),
                };
                if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                    open.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let (open, answer) = (&open, &answer);
                scope.spawn(move || {
                    // Who does not listen to the end has had enough.
                    let _ = self.serve(stream, answer);
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Ok(())
        })
    }

    fn serve(&self, mut stream: TcpStream, answer: impl Fn(&str) -> Answer) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        let wanted = loop {
            let length = stream.read(&mut buffer)?;
            request.extend_from_slice(&buffer[..length]);
            match self.wanted(&request) {
                Wanted::More if length > 0 && request.len() < MAX_REQUEST => {}
                wanted => break wanted,
            }
        };
        let (status, kind, body) = match wanted {
            Wanted::More => ("400 Bad Request", TEXT, b"this is no request\n".to_vec()),
            Wanted::Refused(why) => ("403 Forbidden", TEXT, format!("{why}\n").into_bytes()),
            Wanted::This(what) => match answer(&what) {
                Answer::Page(page) => ("200 OK", "text/html; charset=utf-8", page),
                Answer::Data(data) => ("200 OK", "application/octet-stream", data),
                Answer::NotFound => ("404 Not Found", TEXT, b"there is no such data\n".to_vec()),
                Answer::Failed(why) => {
                    ("500 Internal Server Error", TEXT, format!("{why}\n").into_bytes())
                }
            },
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: \
             close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             X-Frame-Options: DENY\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)
    }

    /// What a request is for.
    fn wanted(&self, request: &[u8]) -> Wanted {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(request) {
            Ok(httparse::Status::Partial) => return Wanted::More,
            Ok(httparse::Status::Complete(_)) => {}
            Err(_) => return Wanted::Refused("this is no request"),
        }
        let all = |name: &'static str| {
            let named = parsed.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
            named.map(|header| header.value)
        };
        let own_hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        let is_own_host = |host: &[u8]| own_hosts.iter().any(|own| own.as_bytes() == host);
        let is_own_origin =
            |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(is_own_host);
        if all("host").count() != 1 || !all("host").all(is_own_host) {
            return Wanted::Refused("this is not the host that was asked for");
        }
        if !all("origin").all(is_own_origin) {
            return Wanted::Refused("another page may not ask for this");
        }
        if parsed.method != Some("GET") {
            return Wanted::Refused("only GET is answered");
        }
        let path = parsed.path.unwrap_or_default().strip_prefix('/').unwrap_or_default();
        match path.strip_prefix(&self.token).and_then(|path| path.strip_prefix('/')) {
            Some(path) => Wanted::This(path.to_owned()),
            None => Wanted::Refused("the token is missing: open the address that report printed"),
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// That is not known yet.
    More,
    /// Nothing that is answered: why.
    Refused(&'static str),
    /// What is behind the address.
    This(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_page_is_answered() {
        let server = Server::start().unwrap();
        let Server { port, token, .. } = &server;
        let check = |line: &str, headers: &str, expected: &str| {
            let line = line.replace("TOKEN", token);
            let headers = headers.replace("PORT", &port.to_string());
            let wanted = server.wanted(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes());
            let got = match wanted {
                Wanted::This(what) => format!("this: {what}"),
                Wanted::Refused(why) => why.to_owned(),
                Wanted::More => "more".to_owned(),
            };
            assert!(got.starts_with(expected), "{line} {headers}: {got}");
        };
        let host = "Host: 127.0.0.1:PORT\r\n";
        check("GET /TOKEN/", host, "this: ");
        check("GET /TOKEN/rows-0?time=1-2", host, "this: rows-0?time=1-2");
        check("GET /TOKEN/", "hOsT: localhost:PORT\r\n", "this: ");
        check("GET /TOKEN/a", &format!("{host}Origin: http://127.0.0.1:PORT\r\n"), "this: a");
        for line in ["GET /", "GET /TOKEN", "GET /0TOKEN/", "GET /x/../TOKEN/", "GET http://TOKEN/"]
        {
            check(line, host, "the token is missing");
        }
        for host in
            ["", "Host: 127.0.0.1\r\n", "Host: evil.example:PORT\r\n", "Host: [::1]:PORT\r\n"]
        {
            check("GET /TOKEN/", host, "this is not the host");
        }
        check("GET /TOKEN/", &format!("{host}Host: evil.example\r\n"), "this is not the host");
        for origin in ["http://evil.example", "https://127.0.0.1:PORT", "null", "http://127.0.0.1"]
        {
            check("GET /TOKEN/", &format!("{host}Origin: {origin}\r\n"), "another page");
        }
        check("POST /TOKEN/", host, "only GET");
        let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
        check("GET /TOKEN/", &many, "this is no request");
        assert_eq!(server.wanted(b"GET /"), Wanted::More);
        assert_eq!(server.wanted(b"\x16\x03\x01"), Wanted::Refused("this is no request"));
    }
}
