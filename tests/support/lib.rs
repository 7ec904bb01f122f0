//! What end-to-end tests share: finding binaries and programs, running them.
//!
//! A test starts a target program, lets `rec` record it, and looks at what the
//! other tools make of the trace:
//!
//! ```no_run
//! let dir = rz_tests::temp_dir();
//! let target = rz_tests::Target::start("split", &[]);
//! let trace = dir.path().join("trace.rz");
//! let pid = target.pid().to_string();
//! rz_tests::rec(&["-d", "2", "-p", &pid, "-o", rz_tests::text(&trace)]).success();
//! let folded = rz_tests::conv(&[rz_tests::text(&trace), "--to", "folded", "-o", "-"]).success();
//! let stacks = rz_tests::Folded::parse(&folded.stdout);
//! assert!(stacks.share(";hot") > 0.6);
//! ```
//!
//! What a test needs and cannot find is a panic that says what to run; no test
//! passes because it could not run.
#![forbid(unsafe_code)]

mod browser;
mod call_tree;
mod cgroup;
mod contents;
mod folded;
mod frames;
mod frozen_disk;
mod left;
mod locate;
mod nginx;
mod page;
mod payloads;
mod plain_user;
mod postgres;
mod ram_disk;
mod recorder;
mod redis;
mod run;
mod screen;
mod sysctl;
mod target;
mod terminal;

pub use browser::{browser, screenshot};
pub use call_tree::{CallTree, Checked};
pub use cgroup::Cgroup;
pub use contents::{Contents, Counted};
pub use folded::{Folded, assert_share};
pub use frames::{line_with, share_with_frame};
pub use frozen_disk::FrozenDisk;
pub use left::{left, left_before};
pub use locate::{
    binary, names_in, program, program_path, temp_dir, text, tool, versions, workspace_root,
};
pub use nginx::Nginx;
pub use page::Page;
pub use payloads::payloads;
pub use plain_user::PlainUser;
pub use postgres::Postgres;
pub use ram_disk::RamDisk;
pub use recorder::{Recorder, Trace, send, wait_until};
pub use redis::Redis;
pub use run::{Output, conv, rec, report, run};
pub use screen::Screen;
pub use sysctl::Sysctl;
pub use target::Target;
pub use terminal::{quoted, run_in_terminal};
