//! `report --serve`: a page from this process instead of a file.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result};
use rz_report::html::ServedPage;
use rz_report::serve::{Answer, Server};

use crate::user::say;

/// Serves the page of one trace until this process is ended.
pub(crate) fn serve_trace(name: &str, page: ServedPage) -> Result<()> {
    let page = Mutex::new(page);
    serve(name, |wanted| {
        let mut page = match page.lock() {
            Ok(page) => page,
            Err(_) => return Answer::Failed("an earlier request failed: start again".to_owned()),
        };
        if wanted.is_empty() {
            return Answer::Page(page.html.clone());
        }
        match wanted.split_once("?time=") {
            None => page
                .section(wanted)
                .map_or(Answer::NotFound, |section| Answer::Data(section.to_owned())),
            Some((section, time)) => {
                let rows = ticks(time).and_then(|time| page.rows_of(section, time));
                match rows {
                    None => Answer::NotFound,
                    Some(Ok(rows)) => Answer::Data(rows),
                    Some(Err(error)) => Answer::Failed(error.to_string()),
                }
            }
        }
    })
}

/// Serves a page that has all of its data.
pub(crate) fn serve_page(name: &str, page: &[u8]) -> Result<()> {
    serve(name, |wanted| match wanted {
        "" => Answer::Page(page.to_owned()),
        _ => Answer::NotFound,
    })
}

/// `FROM-UNTIL`, which is behind it.
fn ticks(time: &str) -> Option<(u64, u64)> {
    let (from, until) = time.split_once('-')?;
    let (from, until) = (from.parse().ok()?, until.parse().ok()?);
    (from < until).then_some((from, until))
}

fn serve(name: &str, answer: impl Fn(&str) -> Answer + Sync) -> Result<()> {
    let server = Server::start().context("cannot serve the page")?;
    let address = server.address();
    writeln!(io::stdout(), "{address}").context("cannot say where the page is")?;
    say(format_args!("{name} is at this address, for this machine only, until Ctrl-C"));
    open_browser(&address);
    server.run(answer).context("cannot serve the page any more")
}

/// Opens the page, if there is somebody to look at it.
fn open_browser(address: &str) {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && (set("DISPLAY") || set("WAYLAND_DISPLAY")) {
        let mut open = Command::new("xdg-open");
        open.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The address is there in any case.
        let _ = open.spawn();
    }
}
