//! Fetches binaries and debug files from debuginfod servers, by build-id.
//!
//! The protocol is `GET URL/buildid/HEX/debuginfo` (or `executable`), see
//! debuginfod(8). What comes is believed only if it has that build-id.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

use rz_unwind::is_build_id;

use super::cache::Store;
use super::find;
use crate::mapped_file::MappedFile;

/// Bytes that fetched files may take on disk.
const CAPACITY: u64 = 4 << 30;

/// Bytes of one file; the debug information of a browser has 2 GB.
const MAX_FILE: u64 = 4 << 30;

/// Time to connect, unless the timeout is shorter.
const CONNECT: Duration = Duration::from_secs(10);

/// A file may take this many times the timeout, as long as it keeps coming.
const WHOLE_FILE: u32 = 20;

/// What to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The file with the debug information.
    DebugInfo,
    /// The program or library itself.
    Executable,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::DebugInfo => "debuginfo",
            Kind::Executable => "executable",
        }
    }
}

/// The servers to ask.
#[derive(Debug)]
pub(super) struct Debuginfod {
    servers: Vec<Server>,
    agent: Agent,
    /// Where fetched files are kept; they are for this run only if it is
    /// `None`.
    store: Option<Store>,
    timeout: Duration,
}

#[derive(Debug)]
struct Server {
    url: String,
    /// Why it is not asked any more.
    failure: Mutex<Option<String>>,
}

impl Server {
    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debuginfod {
    /// Servers by their URLs, in the order in which they are asked. Files are
    /// kept in `debuginfod` of `cache_dir`.
    pub(super) fn new(urls: &[String], cache_dir: Option<&Path>, timeout: Duration) -> Self {
        let server = |url: &String| {
            let url = url.trim_end_matches('/').to_owned();
            Server { url, failure: Mutex::default() }
        };
        // Servers inside of companies have certificates that only this system
        // knows.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .user_agent(concat!("rz/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .timeout_resolve(Some(CONNECT.min(timeout)))
            .timeout_connect(Some(CONNECT.min(timeout)))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_recv_body(Some(timeout * WHOLE_FILE));
        Debuginfod {
            servers: urls.iter().map(server).collect(),
            agent: config.build().into(),
            store: cache_dir.map(|dir| Store::new(dir.join("debuginfod"), CAPACITY)),
            timeout,
        }
    }

    /// Finds the file in the cache, or else asks one server after the other. They know
    /// files by their GNU build-id only.
    pub(super) fn fetch(&self, build_id: &[u8], kind: Kind) -> Option<MappedFile> {
        if !is_build_id(build_id) {
            return None;
        }
        let digits = find::hex(build_id);
        let name = format!("{digits}.{}", kind.name());
        if let Some(path) = self.store.as_ref().and_then(|store| store.find(&name)) {
            match MappedFile::open(&path) {
                Ok(file) if find::has_build_id(&file, build_id) => return Some(file),
                // Somebody has damaged it.
                _ => drop(fs::remove_file(path)),
            }
        }
        for server in &self.servers {
            if server.failure().is_some() {
                continue;
            }
            let url = format!("{}/buildid/{digits}/{}", server.url, kind.name());
            match self.get(&url, build_id, &name) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(cause) => drop(server.failure().get_or_insert(cause)),
            }
        }
        None
    }

    /// Fetches one file; `None` if the server does not have it.
    fn get(&self, url: &str, build_id: &[u8], name: &str) -> Result<Option<MappedFile>, String> {
        let response = match self.agent.get(url).call() {
            Ok(response) => response,
            Err(Error::StatusCode(404)) => return Ok(None),
            Err(error) => return Err(self.describe(&error)),
        };
        let body = response.into_body().into_with_config().limit(MAX_FILE);
        let file = self.receive(body.reader())?;
        let mapped = MappedFile::open(file.path()).map_err(|e| e.to_string())?;
        if !find::has_build_id(&mapped, build_id) {
            return Err(format!("sent a file of another build for {}", find::hex(build_id)));
        }
        if let Some(store) = &self.store {
            // A file that cannot be kept is good for this run all the same; it
            // stays mapped when its name is gone.
            if let Ok(path) = store.keep(file, name) {
                return MappedFile::open(&path).map(Some).map_err(|e| e.to_string());
            }
        }
        Ok(Some(mapped))
    }

    fn receive(&self, mut body: impl Read) -> Result<NamedTempFile, String> {
        let store = self.store.as_ref();
        let file = store.and_then(|store| store.begin().ok()).map_or_else(NamedTempFile::new, Ok);
        let mut file = file.map_err(|error| format!("no place for its files: {error}"))?;
        let started = Instant::now();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = body.read(&mut buffer).map_err(|error| self.describe_io(&error))?;
            if length == 0 {
                return Ok(file);
            }
            if started.elapsed() > self.timeout * WHOLE_FILE {
                return Err("is too slow".to_owned());
            }
            file.write_all(&buffer[..length])
                .map_err(|error| format!("no place for its files: {error}"))?;
        }
    }

    fn describe(&self, error: &Error) -> String {
        match error {
            Error::Timeout(_) => format!("did not answer within {:?}", self.timeout),
            error => error.to_string().replace('\n', " "),
        }
    }

    fn describe_io(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        match inner {
            Some(error) => self.describe(error),
            None => format!("stopped in the middle of a file ({error})"),
        }
    }

    /// Removes what is too much, and says which servers were of no use.
    pub(super) fn finish(self) -> Vec<String> {
        if let Some(store) = &self.store {
            store.finish();
        }
        let note = |server: Server| {
            let failure = server.failure().take()?;
            Some(format!("debuginfod server {}: {failure}", server.url))
        };
        self.servers.into_iter().filter_map(note).collect()
    }
}
