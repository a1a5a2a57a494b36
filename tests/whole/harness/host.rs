//! One running host: its config directory, its process, its log.

mod log;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{env, fs, thread};

use tempfile::TempDir;

use log::Log;
pub(crate) use log::LogLines;

use super::http::{self, Response};
use super::maps::HostMap;
use super::objects::object;
use super::parser::{Body, Format, Series};
use super::sys::{SIGTERM, kill};

/// How long the issue gives a host to stop.
const STOP: Duration = Duration::from_secs(5);
/// Far more than a start takes, on a machine that is busy with all the other tests.
const START: Duration = Duration::from_secs(60);

/// A host that is about to start.
pub(crate) struct Setup {
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listen: bool,
    wrapper: Vec<String>,
    input: Option<OwnedFd>,
    /// Words before all flags; none: to serve.
    verb: Vec<String>,
}

/// A host that listens. Dropping it stops it and checks that it stops well.
pub(crate) struct Host {
    child: Option<Child>,
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

// === impl Setup ===

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::Builder::new()
                .prefix("exporter-host-test-")
                .tempdir()
                .unwrap(),
            arguments: Vec::new(),
            environment: Vec::new(),
            listen: true,
            wrapper: Vec::new(),
            input: None,
            verb: Vec::new(),
        }
    }

    /// Another verb than to serve: none of that's flags are given.
    pub(crate) fn verb(words: &[&str]) -> Self {
        Self {
            verb: words.iter().map(|&word| word.to_owned()).collect(),
            ..Self::new()
        }
    }

    /// One unit made of a test object and a YAML.
    pub(crate) fn unit(self, name: &str, object_name: &str, yaml: &str) -> Self {
        let to = self.path().join(format!("{name}.bpf.o"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(object(object_name), to).unwrap();
        self.file(&format!("{name}.yaml"), yaml)
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path().join(name), content).unwrap();
        self
    }

    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The test gives --web.listen-address itself.
    pub(crate) fn own_listener(mut self) -> Self {
        self.listen = false;
        self
    }

    /// Another program that is run in the host's place and becomes it, with this standard input.
    pub(crate) fn wrapped(mut self, wrapper: &[&str], input: OwnedFd) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self.input = Some(input);
        self
    }

    /// The config directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the host and waits until it listens.
    pub(crate) fn start(mut self) -> Host {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .spawn()
            .expect("the host runs");
        let log = Log::follow(child.stderr.take().unwrap());
        let Some(address) = log.wait(START, listening) else {
            let ended = child.try_wait();
            let _killed = child.kill();
            panic!("the host starts and listens ({ended:?}):\n{}", log.text());
        };
        Host {
            child: Some(child),
            address,
            log,
            directory: self.directory,
        }
    }

    /// Runs the host to its end, which must come by itself.
    pub(crate) fn run(mut self) -> Ended {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .expect("the host runs");
        let log = Log::follow(child.stderr.take().unwrap());
        let mut stdout = String::new();
        let mut out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            std::io::Read::read_to_string(&mut out, &mut stdout).unwrap();
            stdout
        });
        if !log.wait_end(START) {
            let _killed = child.kill();
            panic!("the host ends by itself:\n{}", log.text());
        }
        let code = child.wait().unwrap().code();
        let log = log.text();
        assert!(!log.contains("panicked"), "no panic:\n{log}");
        Ended {
            code,
            log,
            stdout: reader.join().unwrap(),
        }
    }

    fn command(&mut self) -> Command {
        let mut words = std::mem::take(&mut self.wrapper).into_iter();
        let mut command = match words.next() {
            None => Command::new(binary()),
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary());
                command
            }
        };
        if !self.verb.is_empty() {
            command.args(&self.verb).args(&self.arguments);
            command.stderr(Stdio::piped()).stdin(Stdio::null());
            return command;
        }
        let given = |flag: &str| self.arguments.iter().any(|one| one.starts_with(flag));
        if !given("--config.dir") {
            command.arg("--config.dir").arg(self.path());
        }
        if self.listen {
            command.arg("--web.listen-address=127.0.0.1:0");
        }
        if !given("--plugin.cache-dir") {
            let directory = compiled_plugins().display();
            command.arg(format!("--plugin.cache-dir={directory}"));
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stderr(Stdio::piped());
        command.stdin(self.input.take().map_or_else(Stdio::null, Stdio::from));
        command
    }
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

    pub(crate) fn signal(&self, signal: i32) {
        kill(self.child.as_ref().unwrap(), signal).expect("the host still runs");
    }

    /// The lines of the log from now on.
    pub(crate) fn log_from_now(&self) -> LogLines<'_> {
        self.log.lines_from_now()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What the host has written so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// The map of this name; the host has it open.
    pub(crate) fn map(&self, name: &str) -> HostMap {
        self.maps(name).remove(0)
    }

    /// All maps of this name, where several units have one.
    pub(crate) fn maps(&self, name: &str) -> Vec<HostMap> {
        let maps = HostMap::of_process(self.pid(), name);
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

    /// The samples of this name, which have to be the same in both formats: for what does not change meanwhile.
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

    fn end(&mut self, signal: i32) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        kill(&child, signal).expect("the host still runs");
        let ended = self.log.wait_end(STOP);
        if !ended {
            let _killed = child.kill();
        }
        let status = child.wait().unwrap();
        if thread::panicking() {
            eprintln!("the host's log:\n{}", self.log.text());
            return;
        }
        let log = self.log.text();
        assert!(ended, "the host stops within 5 seconds:\n{log}");
        assert_eq!(
            status.code(),
            Some(0),
            "exit code after signal {signal}:\n{log}"
        );
        assert!(!log.contains("panicked"), "no panic:\n{log}");
    }
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
    let said = log
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(said, "one line of the log has {words:?}:\n{log}");
}

/// Reads the address out of the line with which the host says that it listens.
fn listening(line: &str) -> Option<SocketAddr> {
    if !line.contains("listening") {
        return None;
    }
    let (_, rest) = line.split_once("address=")?;
    rest.trim_start_matches('"')
        .split(|c: char| c == '"' || c.is_whitespace())
        .next()?
        .parse()
        .ok()
}

/// The host's program for another verb than serving.
pub(crate) fn program() -> Command {
    Command::new(binary())
}

/// `EXPORTER_HOST_BIN`, or the one that was built in the same target directory as this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = env::var_os("EXPORTER_HOST_BIN") {
        return path.into();
    }
    // target/PROFILE/deps/whole-HASH
    let test = env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("exporter-host");
    assert!(
        path.exists(),
        "no {}: run cargo build -p exporter-host, or tests/run.sh",
        path.display()
    );
    path
}

/// Where hosts keep compiled plugins, so that not each of some hundred compiles the same. Nothing else is shared between tests.
pub(crate) fn compiled_plugins() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    })
}
