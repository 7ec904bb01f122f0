//! A PostgreSQL server of a test's own, which listens at a path and at no port.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::locate::{text, tool};
use crate::plain_user::PlainUser;
use crate::recorder::{send, wait_until};
use crate::run::run;

/// A server with an empty database, of the user `nobody`, as it refuses to run as root.
/// Dropping it ends it.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    user: PlainUser,
}

impl Postgres {
    /// Starts a server, and returns once it listens.
    #[expect(clippy::new_without_default, reason = "it starts a server, which can fail")]
    pub fn new() -> Self {
        let user = PlainUser::new();
        let program = |name: &str| -> Command {
            user.command(&fs::canonicalize(tool(name)).expect("a link of tests/setup.sh"))
        };
        let (home, data) = (text(user.home()), text(&user.home().join("data")).to_owned());
        let mut initdb = program("initdb");
        initdb.args(["-D", &data, "-A", "trust", "-U", "nobody", "--locale=C", "--no-sync"]);
        run(&mut initdb).success();
        let mut command = program("postgres");
        command.args(["-D", &data, "-k", home, "-c", "listen_addresses="]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().expect("postgres starts");
        let postgres = Self { server, user };
        // The last that it writes there, when it is ready.
        let pid_file = PathBuf::from(data).join("postmaster.pid");
        wait_until("PostgreSQL to listen", || {
            fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
        });
        postgres
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.user.home().join(".s.PGSQL.5432")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // With its children, at once.
        send(self.server.id(), Signal::SIGQUIT);
        // Fails only when it has ended already.
        let _ = self.server.wait();
    }
}
