//! Files that debuginfod servers have.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fixture::*;
use crate::symbolize::{ModuleRequest, SymbolizeOptions, Symbolized, symbolize};

const INLINED: &str = "inner a.c:3 < outer a.c:7";

/// What a server answers.
#[derive(Clone)]
enum Answer {
    File(Vec<u8>),
    /// A file that ends too early.
    Cut(Vec<u8>),
    /// Nothing, ever.
    Silence,
    Status(u16),
}

/// A server that lives as long as the test's process.
struct Server {
    url: String,
    /// Paths that it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server of these paths, which has no others.
    fn start(answers: HashMap<String, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let path = read_request(&stream);
                log.lock().unwrap().push(path.clone());
                match answers.get(&path).cloned().unwrap_or(Answer::Status(404)) {
                    Answer::File(content) => respond(&mut stream, 200, &content, content.len()),
                    Answer::Cut(content) => respond(&mut stream, 200, &content, 2 * content.len()),
                    Answer::Status(status) => respond(&mut stream, status, b"", 0),
                    Answer::Silence => silent.push(stream),
                }
            }
        });
        Server { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn read_request(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn respond(stream: &mut TcpStream, status: u16, content: &[u8], length: usize) {
    let head = format!(
        "HTTP/1.1 {status} Something\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // The client may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content));
}

/// A stripped program, and what was stripped.
struct Stripped {
    dir: Workshop,
    program: PathBuf,
    build_id: Vec<u8>,
    outer: Listed,
    debug: Vec<u8>,
}

impl Stripped {
    fn new() -> Self {
        let dir = Workshop::new();
        let program = dir.c_program("a");
        let (build_id, outer) = (build_id(&program), functions(&program)["outer"]);
        let debug = dir.path("debug");
        run(&format!("objcopy --only-keep-debug {} {}", program.display(), debug.display()));
        run(&format!("strip {}", program.display()));
        let content = fs::read(&debug).unwrap();
        fs::remove_file(debug).unwrap();
        Stripped { dir, program, build_id, outer, debug: content }
    }

    fn path(&self, kind: &str) -> String {
        let digits: String = self.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("/buildid/{digits}/{kind}")
    }

    fn with_debug_info(&self, answer: Answer) -> Server {
        Server::start([(self.path("debuginfo"), answer)].into())
    }

    /// Symbolizes the program twice, as if it were two modules.
    fn symbolize(&self, servers: &[&str], keep: bool) -> Symbolized {
        let request = ModuleRequest {
            path: &self.program,
            build_id: &self.build_id,
            file_size: 0,
            segments: &[],
            offsets: &offsets_of(self.outer),
            debug_dirs: &[],
        };
        let options = SymbolizeOptions {
            cache_dir: keep.then(|| self.dir.path("cache")),
            servers: servers.iter().map(|&url| url.to_owned()).collect(),
            server_timeout: Duration::from_millis(500),
            ..SymbolizeOptions::default()
        };
        symbolize(&[request, request], &options)
    }

    fn fetched(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.path("cache/debuginfod")) else { return vec![] };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[track_caller]
fn assert_named(symbolized: &Symbolized) {
    assert_eq!(symbolized.notes, [""; 0]);
    for module in &symbolized.modules {
        assert_eq!(module.note, None);
        assert_has(&distinct(module), &[INLINED]);
    }
}

#[test]
fn debug_files_are_fetched_once() {
    let stripped = Stripped::new();
    let nothing = Server::start(HashMap::new());
    let server = stripped.with_debug_info(Answer::File(stripped.debug.clone()));
    let urls = [nothing.url.as_str(), &format!("{}/", server.url)];
    assert_named(&stripped.symbolize(&urls, true));
    assert!(nothing.asked().contains(&stripped.path("debuginfo")));
    assert_eq!(server.asked()[0], stripped.path("debuginfo"));
    assert_eq!(stripped.fetched().len(), 1);

    assert_named(&stripped.symbolize(&urls, true));
    assert_eq!((nothing.asked(), server.asked()), (vec![], vec![]));

    // Without a cache it is fetched each time; damage is found.
    assert_named(&stripped.symbolize(&urls, false));
    assert_eq!(server.asked().len(), 2);
    let name = stripped.dir.path("cache/debuginfod").join(&stripped.fetched()[0]);
    fs::write(name, "damaged").unwrap();
    fs::remove_dir_all(stripped.dir.path("cache/names")).unwrap();
    assert_named(&stripped.symbolize(&urls, true));
    assert!(!server.asked().is_empty());
}

#[test]
fn programs_that_are_not_here_are_fetched() {
    let stripped = Stripped::new();
    let executable = fs::read(&stripped.program).unwrap();
    fs::remove_file(&stripped.program).unwrap();
    let server = Server::start(
        [
            (stripped.path("debuginfo"), Answer::File(stripped.debug.clone())),
            (stripped.path("executable"), Answer::File(executable)),
        ]
        .into(),
    );
    assert_named(&stripped.symbolize(&[&server.url], true));
    assert_eq!(stripped.fetched().len(), 2);
}

#[test]
fn servers_that_fail_are_noted_once_and_nothing_is_kept() {
    let stripped = Stripped::new();
    let other = Workshop::new();
    let other = other.build("b", "c", C_PROGRAM, "cc -g -O0 -Wl,--build-id");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let digits = &stripped.path("debuginfo")[9..49];
    for (answer, expected) in [
        (
            Answer::File(fs::read(other).unwrap()),
            format!("sent a file of another build for {digits}"),
        ),
        (
            Answer::File(b"no ELF file".to_vec()),
            format!("sent a file of another build for {digits}"),
        ),
        (Answer::Cut(stripped.debug.clone()), "stopped in the middle of a file (".to_owned()),
        (Answer::Silence, "did not answer within 500ms".to_owned()),
        (Answer::Status(500), "http status: 500".to_owned()),
    ] {
        let server = stripped.with_debug_info(answer);
        let symbolized = stripped.symbolize(&[&server.url], true);
        let [note] = &symbolized.notes[..] else { panic!("{expected}: {:?}", symbolized.notes) };
        let expected = format!("debuginfod server {}: {expected}", server.url);
        assert!(note.starts_with(&expected), "{note} instead of {expected}");
        assert!(symbolized.modules[0].note.as_ref().unwrap().contains("no debug file was found"));
        assert_eq!(stripped.fetched(), [""; 0]);
    }
    // One that is not there does not keep the next from being asked.
    let good = stripped.with_debug_info(Answer::File(stripped.debug.clone()));
    let closed = format!("http://{closed}");
    let symbolized = stripped.symbolize(&[&closed, &good.url], true);
    let [note] = &symbolized.notes[..] else { panic!("{:?}", symbolized.notes) };
    assert!(note.starts_with(&format!("debuginfod server {closed}: ")), "{note}");
    assert_has(&distinct(&symbolized.modules[0]), &[INLINED]);
}

/// There is no certificate to test with, but a server that does not even speak
/// TLS must fail at that and at nothing before.
#[test]
fn servers_with_tls_are_asked_with_tls() {
    let stripped = Stripped::new();
    let server = stripped.with_debug_info(Answer::File(stripped.debug.clone()));
    let url = server.url.replace("http:", "https:");
    let symbolized = stripped.symbolize(&[&url], false);
    let [note] = &symbolized.notes[..] else { panic!("{:?}", symbolized.notes) };
    let expected = format!("debuginfod server {url}: ");
    assert!(note.starts_with(&expected), "{note}");
    // Which of these depends on whether its answer or its end comes first.
    let failures = ["rustls", "corrupt message", "did not answer"];
    assert!(failures.iter().any(|failure| note.contains(failure)), "{note}");
}
