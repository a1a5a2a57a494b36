//! A host that is about to start: its config directory, its flags, who starts it.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::log::Log;
use super::program::{binary, compiled_plugins};
use super::{EXIT_TIMEOUT, Ended, Host};
use crate::harness::objects::object;
use crate::harness::tree::{Split, Tree};

/// Far more than a start takes, on a machine that is busy with all the other tests.
const START: Duration = Duration::from_secs(60);

const ONE_PROCESS: &str = "--server.split=off";

/// A host that is about to start.
pub(crate) struct Setup {
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listen: bool,
    wrapper: Vec<String>,
    input: Option<OwnedFd>,
    /// What the host says of itself is all that it can say.
    detailed: bool,
    /// Words before all flags; none: to serve.
    verb: Vec<String>,
    /// In place of the one that is tested: a copy of it.
    program: Option<PathBuf>,
    /// It ends where a unit does not run.
    strict: bool,
    /// The program knows no halves.
    single: bool,
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
            detailed: true,
            verb: Vec::new(),
            program: None,
            strict: false,
            single: false,
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

    /// The host says of itself what it does by default.
    pub(crate) fn default_metrics(mut self) -> Self {
        self.detailed = false;
        self
    }

    /// Another program that is run in the host's place and becomes it, with this standard input.
    pub(crate) fn wrapped(mut self, wrapper: &[&str], input: OwnedFd) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self.input = Some(input);
        self
    }

    /// Runs this copy of the host's program.
    pub(crate) fn copied_to(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Runs this program of before the split.
    #[allow(dead_code, reason = "benches/increase compares with one")]
    pub(crate) fn older(mut self, program: PathBuf) -> Self {
        self.single = true;
        self.copied_to(program)
    }

    /// Loader and server as threads of one process.
    pub(crate) fn one_process(self) -> Self {
        self.argument(ONE_PROCESS)
    }

    /// What of its hosts is several processes.
    fn split(&self) -> Split {
        if self.single {
            Split::Unknown
        } else if self
            .arguments
            .iter()
            .any(|argument| argument == ONE_PROCESS)
        {
            Split::Off
        } else {
            Split::wanted()
        }
    }

    /// The processes of a host with this loader.
    fn tree(&self, loader: u32) -> Tree {
        let mut arguments = self.arguments.iter();
        let given = arguments.find_map(|argument| argument.strip_prefix("--config.dir="));
        let mark = given.map_or_else(|| self.path().display().to_string(), str::to_owned);
        Tree::new(loader, self.split(), mark)
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
            let _status = child.wait();
            panic!("the host starts and listens ({ended:?}):\n{}", log.text());
        };
        let tree = self.tree(child.id());
        Host {
            child: Some(child),
            server: tree.server().into(),
            tree,
            address,
            log,
            directory: self.directory,
        }
    }

    /// Runs the host to its end, which must come by itself. Without --config.strict it would wait
    /// for units that can run.
    pub(crate) fn run(mut self) -> Ended {
        self.strict = true;
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
        let left = self.tree(child.id()).left_after(EXIT_TIMEOUT);
        let log = log.text();
        assert!(left.is_empty(), "{left:?} is there a second later:\n{log}");
        assert!(!log.contains("panicked"), "no panic:\n{log}");
        Ended {
            code,
            log,
            stdout: reader.join().unwrap(),
        }
    }

    fn command(&mut self) -> Command {
        let mut words = std::mem::take(&mut self.wrapper).into_iter();
        let host = self.program.clone().unwrap_or_else(binary);
        let mut command = match words.next() {
            None => Command::new(host),
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(host);
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
        if self.detailed && self.split() != Split::Unknown {
            command.arg("--web.detailed-exporter-metrics");
        }
        if self.split() == Split::Off && !given(ONE_PROCESS) {
            command.arg(ONE_PROCESS);
        }
        let is_strict = self.arguments.iter().any(|one| one == "--config.strict");
        if self.strict && !given("--config.check") && !is_strict {
            command.arg("--config.strict");
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
