//! A redis server of a test's own, which listens at a path and at no port.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::locate::{text, tool};
use crate::recorder::wait_until;

/// A redis server that answers. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    server: Child,
    socket: PathBuf,
}

impl Redis {
    /// Starts a server that keeps nothing; `dir` gets its socket.
    pub fn start(dir: &Path) -> Self {
        let socket = dir.join("redis.sock");
        let mut command = Command::new(tool("redis-server"));
        command.args(["--port", "0", "--unixsocket", text(&socket), "--dir", text(dir)]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let server = command.spawn().expect("redis-server starts");
        let redis = Self { server, socket };
        let answers = || {
            let mut ping = Command::new(tool("redis-cli"));
            let ping = ping.args(["-s", text(&redis.socket), "ping"]).output();
            ping.is_ok_and(|output| output.status.success())
        };
        wait_until("redis to listen", answers);
        redis
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// `redis-benchmark` on this server, which has to be given its load.
    pub fn benchmark(&self) -> Command {
        let mut command = Command::new(tool("redis-benchmark"));
        command.args(["-s", text(&self.socket)]);
        command
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
