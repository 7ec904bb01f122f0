//! An nginx of a test's own, which serves a file to a visitor who asks again and again.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::locate::{temp_dir, text, tool};
use crate::recorder::wait_until;

/// How much it serves at a time.
const PAGE: usize = 32 << 10;

/// A server that is visited until it is dropped, which kills it.
#[derive(Debug)]
pub struct Nginx {
    server: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts a server with the settings that Debian gives it, but for places.
    #[expect(clippy::new_without_default, reason = "it starts a server, which can fail")]
    pub fn new() -> Self {
        let folder = temp_dir();
        let path = |name: &str| folder.path().join(name);
        let settings = format!(
            "daemon off; master_process off; pid pid; error_log error.log;\n\
             events {{ worker_connections 768; }}\n\
             http {{ sendfile on; tcp_nopush on; access_log access.log; gzip on;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             server {{ listen unix:{}; root {}; }} }}\n",
            text(&path("socket")),
            text(folder.path()),
        );
        fs::write(path("nginx.conf"), settings).unwrap();
        fs::write(path("page"), vec![b'x'; PAGE]).unwrap();
        let mut command = Command::new(tool("nginx"));
        command.args(["-p", text(folder.path()), "-c", "nginx.conf", "-e", "error.log"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let server = command.spawn().expect("nginx starts");
        let nginx = Self { server, _folder: folder };
        let socket = nginx._folder.path().join("socket");
        wait_until("nginx to listen", || UnixStream::connect(&socket).is_ok());
        thread::spawn(move || visit(&socket));
        nginx
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }
}

/// Asks for the page as fast as it comes, until the server ends.
fn visit(socket: &Path) -> Option<()> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let mut answers = BufReader::new(stream.try_clone().ok()?);
    let mut page = vec![0; PAGE];
    loop {
        stream.write_all(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if answers.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        answers.read_exact(&mut page).ok()?;
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
