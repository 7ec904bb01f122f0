//! The page of `report --serve`: it has the numbers of `--json` as well, asks its own
//! server alone, and that answers nobody else.

use std::fs::File;
use std::hash::RandomState;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rz_format::{
    End, Event, FileHeader, Frame, Loss, Module, Process, Record, Recording, Sample, StackInterner,
    Thread, TraceWriter,
};
use rz_tests::binary;

use super::*;

/// A `report` that serves.
pub(super) struct Served {
    report: Child,
    pub(super) address: String,
}

impl Served {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary("report"));
        let mut report =
            command.args(arguments).arg("--serve").stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(report.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        Served { report, address: address.trim().to_owned() }
    }

    pub(super) fn load(&self, page: &mut Page, fragment: &str) {
        page.visit(&self.address, fragment);
        page.wait_for("document.documentElement.dataset.ready");
        // Until then there are slices of time.
        page.wait_for("!document.documentElement.hasAttribute('data-asking')");
    }

    /// What is answered to a request with these headers.
    pub(super) fn answer(&self, path: &str, headers: &str) -> String {
        let host = self.address.split('/').nth(2).unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let headers = headers.replace("HOST", host);
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.report.kill();
        let _ = self.report.wait();
    }
}

/// Nothing went wrong, and nobody else was asked for anything.
pub(super) fn assert_only_asks(page: &Page, served: &Served) {
    assert_eq!(page.problems(), Vec::<String>::new());
    let foreign = |request: &String| !request.starts_with(&served.address);
    let requests = page.requests();
    assert!(!requests.is_empty());
    assert_eq!(requests.into_iter().filter(foreign).collect::<Vec<_>>(), Vec::<String>::new());
}

/// So many samples are not kept one by one.
const MANY: u64 = 1_200_000;
/// They are this far apart.
const STEP_NS: u64 = 10_000;

/// A trace of two threads and four stacks, which come in irregular turns. In its second
/// second 5 samples are lost, and in its seventh and eighth sampling is throttled.
pub(super) fn many_samples() -> (TempDir, PathBuf) {
    let dir = temp_dir();
    let path = dir.path().join("many.rz");
    let start_ns = 5_000_000_000;
    let out = BufWriter::new(File::create(&path).unwrap());
    let header = FileHeader::new([7; 16], 1_800_000_000_000_000_000, start_ns);
    let mut writer = TraceWriter::new(out, &header).unwrap();
    let mut records = vec![
        Record::Recording(Recording { start_ns, ..Recording::default() }),
        Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
        Record::Process(Process { pid: 7, name: "app".into(), ..Process::default() }),
        Record::Module(Module { build_id: vec![1; 20], ..Module::default() }),
    ];
    records
        .extend((0..2).map(|id| Record::Thread(Thread { id, tid: 7 + id, ..Thread::default() })));
    writer.write_records(start_ns, &records).unwrap();
    let mut interner = StackInterner::<RandomState>::default();
    let root = interner.frame(Frame::Code { module: 0, offset: 0x10 });
    let root = interner.stack(None, root);
    let stacks = [0x20, 0x30, 0x40, 0x50].map(|offset| {
        let frame = interner.frame(Frame::Code { module: 0, offset });
        interner.stack(Some(root), frame)
    });
    writer.write_stacks(start_ns, &interner.take_new()).unwrap();
    let sample = |at: u64| Sample {
        time_ns: start_ns + at * STEP_NS,
        thread: (at % 2) as u32,
        stack: Some(stacks[(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62) as usize]),
        weight: 1 + at % 7,
        ..Sample::default()
    };
    let all: Vec<u64> = (0..MANY).collect();
    for some in all.chunks(50_000) {
        writer.write_samples(&mut some.iter().map(|&at| sample(at)).collect::<Vec<_>>()).unwrap();
    }
    let time_ns = start_ns + MANY * STEP_NS;
    let loss = |reason, from: u64, to: u64, count| {
        let [from_ns, to_ns] = [from, to].map(|second| start_ns + second * 1_000_000_000);
        Record::Loss(Loss { reason, from_ns, to_ns, count, ..Loss::default() })
    };
    let end = Record::End(End { time_ns, reason: 0 });
    writer.write_records(time_ns, &[loss(0, 1, 2, 5), loss(2, 6, 8, 0), end]).unwrap();
    writer.finish().unwrap();
    (dir, path)
}

#[test]
fn every_view_is_served() {
    let trace = threads();
    let served = Served::start(&[text(&trace.path())]);
    let mut page = Page::open();
    for view in VIEWS {
        served.load(&mut page, &format!("#view={view}"));
        let shown = page.evaluate("document.querySelector('#view').innerText.length");
        assert!(shown.as_u64() > Some(20), "{view}: {shown}");
    }
    for (fragment, options) in [
        ("", &[][..]),
        ("&event=wall", &["--wall"]),
        ("&time=500000-1500000", &["--from", "500ms", "--until", "1500ms"]),
    ] {
        served.load(&mut page, &format!("#view=table{fragment}"));
        assert_eq!(functions_shown(&mut page), functions_of(&trace.path(), options), "{options:?}");
    }
    served.load(&mut page, "#view=syscalls");
    page.wait_for("document.querySelector('tr[data-call]')");
    assert_only_asks(&page, &served);
}

#[test]
fn a_range_of_a_large_trace_is_read_again() {
    let (_dir, path) = many_samples();
    let served = Served::start(&[text(&path)]);
    let mut page = Page::open();
    let mut check = |fragment: &str, options: &[&str]| {
        served.load(&mut page, &format!("#view=table{fragment}"));
        assert_eq!(functions_shown(&mut page), functions_of(&path, options), "{options:?}");
    };
    check("", &[]);
    // No slice of time begins or ends there.
    check("&time=3123456-3234567", &["--from", "3123456us", "--until", "3234567us"]);
    check("&time=123456-11234567", &["--from", "123456us", "--until", "11234567us"]);
    let dragged = "#view=timeline&time=3123456-3124456";
    served.load(&mut page, dragged);
    page.key("f");
    wait_for_color(&mut page, "#view canvas", ACTIVITY);
    served.load(&mut page, "#view=overview");
    let said = page.evaluate("document.querySelector('.notes').innerText");
    assert!(said.as_str().unwrap().contains("is read from the trace again"), "{said}");
    assert_only_asks(&page, &served);
    // In a file it stays as coarse as it is.
    let (_dir, html) = page_of(&path, &[]);
    page.load(&html, "#view=table&time=3123456-3234567");
    page.wait_for("document.documentElement.dataset.ready");
    let asked = page.evaluate("performance.getEntriesByType('resource').length");
    assert_eq!(asked, 0);
}

#[test]
fn the_server_answers_its_own_page_alone() {
    let (_dir, path) = many_samples();
    let served = Served::start(&[text(&path)]);
    let here = format!("/{}/", served.address.split('/').nth(3).unwrap());
    let check = |path: &str, headers: &str, status: &str, said: &str| {
        let answer = served.answer(path, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {headers}: {answer}");
        assert!(answer.contains(said), "{path} {headers}: {answer}");
    };
    let own = "Host: HOST\r\n";
    check(&here, own, "200", "<!doctype html>");
    check(&here, own, "200", "connect-src 'self'");
    check(&format!("{here}names"), own, "200", "application/octet-stream");
    check(&format!("{here}rows-0?time=5-9"), own, "200", "application/octet-stream");
    for path in ["other", "names?time=1-2", "rows-0?time=9-5", "rows-0?time=x", "../../etc/passwd"]
    {
        check(&format!("{here}{path}"), own, "404", "there is no such data");
    }
    check("/", own, "403", "the token is missing");
    check("/favicon.ico", own, "403", "the token is missing");
    check(&here, "Host: evil.example\r\n", "403", "not the host");
    check(&here, "Host: HOST\r\nOrigin: http://evil.example\r\n", "403", "another page");
    // Nothing but this machine is listened to.
    let port: u16 = served.address.split(['/', ':']).nth(4).unwrap().parse().unwrap();
    let listening = fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets: Vec<&str> = listening
        .lines()
        .filter(|line| line.contains(&format!(":{port:04X} 00000000:0000")))
        .collect();
    assert!(sockets.len() == 1 && sockets[0].contains(" 0100007F:"), "{sockets:?}");
}

#[test]
fn a_page_says_that_its_server_is_gone() {
    let (_dir, path) = many_samples();
    let served = Served::start(&[text(&path)]);
    let mut page = Page::open();
    served.load(&mut page, "#view=table");
    drop(served);
    page.evaluate("location.hash = '#view=table&time=5-500'");
    page.wait_for("!document.querySelector('#message').hidden");
    let said = page.evaluate("document.querySelector('#message').innerText");
    assert!(said.as_str().unwrap().contains("does not answer: start it again"), "{said}");
}

#[test]
fn a_comparison_is_served() {
    let (_dir, path) = many_samples();
    let served = Served::start(&["--diff", text(&path), text(&path), "--per", "raw"]);
    let mut page = Page::open();
    served.load(&mut page, "");
    let rows = page.evaluate("document.querySelectorAll('#view tr[data-function]').length");
    assert_eq!(rows, 5);
    assert_eq!(page.problems(), Vec::<String>::new());
}
