//! One running host: its config directory, its processes, its log.

mod log;
mod program;
mod setup;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use log::Log;
pub(crate) use log::LogLines;
pub(crate) use program::{binary, compiled_plugins, program};
pub(crate) use setup::Setup;

use super::http::{self, Response};
use super::maps::HostMap;
use super::parser::{Body, Format, Series};
use super::sys::{SIGKILL, SIGTERM, kill, send};
use super::tree::Tree;

/// How long the issue gives a host to stop.
const STOP: Duration = Duration::from_secs(5);
/// After the loader's end: how long the other processes have.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Of [`Host::server`]: the server may be another one than at the start.
const ANY: u32 = 0;

/// A host that listens. Dropping it stops it and checks that it stops well.
pub(crate) struct Host {
    child: Option<Child>,
    tree: Tree,
    /// The server of the start, which a test that does not say otherwise ends with: one that dies
    /// is replaced so soon that hardly anything else would tell.
    server: AtomicU32,
    address: SocketAddr,
    log: Arc<Log>,
    /// Removed with the host.
    directory: TempDir,
}

/// How a host that was not meant to stay has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
    pub(crate) stdout: String,
}

// === impl Host ===

impl Host {
    /// One unit called `unit`, with the given test object.
    pub(crate) fn start(object_name: &str, yaml: &str) -> Self {
        Setup::new().unit("unit", object_name, yaml).start()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The config directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// To the loader, as everybody does who wants something of the host.
    pub(crate) fn signal(&self, signal: i32) {
        kill(self.child.as_ref().unwrap(), signal).expect("the host still runs");
    }

    /// The lines of the log from now on.
    pub(crate) fn log_from_now(&self) -> LogLines<'_> {
        self.log.lines_from_now()
    }

    /// The host's processes.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The process that holds the kernel: the one that was started.
    pub(crate) fn loader(&self) -> u32 {
        self.tree.loader()
    }

    /// The process that makes all the others.
    pub(crate) fn starter(&self) -> u32 {
        self.tree.starter()
    }

    /// The process that answers.
    pub(crate) fn server(&self) -> u32 {
        self.tree.server()
    }

    /// From now on it is no mistake when there is another server.
    pub(crate) fn server_may_end(&self) {
        self.server.store(ANY, Ordering::Relaxed);
    }

    /// What the host has written so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// The map of this name; the loader has it open.
    pub(crate) fn map(&self, name: &str) -> HostMap {
        self.maps(name).remove(0)
    }

    /// All maps of this name, where several units have one.
    pub(crate) fn maps(&self, name: &str) -> Vec<HostMap> {
        let maps = HostMap::of_process(self.loader(), name);
        assert!(
            !maps.is_empty(),
            "the host has a map {name}\n{}",
            self.log()
        );
        maps
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http::request(self.address, "GET", path, headers)
    }

    pub(crate) fn fetch(&self, format: Format) -> String {
        let response = self.get("/metrics", &[("Accept", format.accept())]);
        assert_eq!(response.status, 200, "{}", response.text());
        let kind = response.header("content-type").expect("a body has a type");
        let wanted = match format {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        };
        assert!(kind.starts_with(wanted), "Content-Type: {kind}");
        response.text().to_owned()
    }

    pub(crate) fn text(&self) -> Body {
        Body::parse(Format::Text, &self.fetch(Format::Text))
    }

    pub(crate) fn open_metrics(&self) -> Body {
        Body::parse(Format::OpenMetrics, &self.fetch(Format::OpenMetrics))
    }

    /// The samples of this name, which have to be the same in both formats: for what does not
    /// change meanwhile.
    pub(crate) fn series(&self, name: &str) -> Series {
        let text = self.text().series(name);
        assert_eq!(
            text,
            self.open_metrics().series(name),
            "{name} is the same in both formats"
        );
        text
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(self) {
        self.stop_by(SIGTERM);
    }

    /// A clean end by this signal. Returns the whole log.
    pub(crate) fn stop_by(mut self, signal: i32) -> String {
        self.end(signal);
        self.log.text()
    }

    /// Kills the loader or the starter, which has to end all of them at once. How the loader ended.
    pub(crate) fn killed(mut self, pid: u32) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        send(pid, SIGKILL).expect("it runs");
        let ended = wait(&mut child, EXIT_TIMEOUT);
        if !ended {
            let _killed = child.kill();
        }
        let status = child.wait().unwrap();
        let left = self.clear_away();
        let log = self.log.text();
        assert!(ended, "the loader ends within a second:\n{log}");
        assert!(left.is_empty(), "{left:?} is there a second later:\n{log}");
        status
    }

    fn end(&mut self, signal: i32) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let server = self.server.load(Ordering::Relaxed);
        let another = !thread::panicking() && server != ANY && self.tree.server() != server;
        let sent = kill(&child, signal);
        let ended = wait(&mut child, STOP);
        if !ended {
            let _killed = child.kill();
        }
        let status = child.wait().unwrap();
        let left = self.clear_away();
        let log = self.log.text();
        if thread::panicking() {
            eprintln!("the host's log:\n{log}");
            return;
        }
        sent.expect("the host still runs");
        assert!(ended, "the host stops within 5 seconds:\n{log}");
        assert_eq!(
            status.code(),
            Some(0),
            "exit code after signal {signal}:\n{log}"
        );
        assert!(left.is_empty(), "{left:?} is there a second later:\n{log}");
        assert!(!log.contains("panicked"), "no panic:\n{log}");
        assert!(!another, "no server has died:\n{log}");
    }

    /// After the loader's end: what is left a second later is told, and ended.
    fn clear_away(&self) -> Vec<String> {
        let left = self.tree.left_after(EXIT_TIMEOUT).into_iter();
        let left = left.map(|process| {
            let _ended_meanwhile = send(process.pid, SIGKILL);
            format!("{} ({})", process.name, process.pid)
        });
        let left = left.collect();
        self.log.wait_end(EXIT_TIMEOUT);
        left
    }
}

/// Whether the process has ended in time. Its id is its own until it has been waited for.
fn wait(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end(SIGTERM);
    }
}

// === impl Ended ===

impl Ended {
    /// One line of the log has all these words.
    pub(crate) fn says(&self, words: &[&str]) {
        assert_says(&self.log, words);
    }
}

pub(crate) fn assert_says(log: &str, words: &[&str]) {
    let found = log
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "one line of the log has {words:?}:\n{log}");
}
