//! The server over a pair of sockets, with a loader whose lines are in the tests.

mod demand;
mod life;
mod maps;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{ServerError, serve};
use crate::cli::{self, Command};
use crate::config::{CollectorConfig, PluginUse};
use crate::config::{CollectorMode, Span};
use crate::digest::Digest;
use crate::link::{
    LoadFigures, OnDemand, PluginMessage, Receiver, Sender, ServedConfig, ServedUnit, ToLoader,
    ToServer, UnitPhase, UnitStatus, pair,
};
use crate::plugin::tests::collector_component;
use crate::plugin::{Compile as _, InProcess, STANDARD, STANDARD_NAME};
use crate::privileges::Process;

/// Offers the collector `c`, which answers without families.
static TEST_PLUGIN: LazyLock<Vec<u8>> = LazyLock::new(|| collector_component("(i32.const 1024)"));
static COMPILED: LazyLock<[OwnedFd; 2]> = LazyLock::new(|| {
    [
        InProcess.compile(STANDARD_NAME, STANDARD).unwrap(),
        InProcess.compile("test", &TEST_PLUGIN).unwrap(),
    ]
});

/// The other end, which does what a test says.
struct Loader {
    sender: Sender,
    receiver: Receiver,
    address: SocketAddr,
    server: JoinHandle<Result<(), ServerError>>,
}

impl Loader {
    /// A server that has been welcomed.
    fn new() -> Self {
        let (own, others) = pair().unwrap();
        let arguments = [
            "exporter-host",
            "--config.dir=/nowhere",
            "--web.enable-lifecycle",
            "--debug",
        ];
        let Ok(Command::Serve(settings)) = cli::parse(arguments.map(Into::into)) else {
            panic!("these flags are for serving");
        };
        let server =
            std::thread::spawn(move || serve(&settings, others, Process::Server, Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut loader = Self {
            sender: Sender::direct(own.try_clone().unwrap()),
            receiver: Receiver::new(own),
            address: listener.local_addr().unwrap(),
            server,
        };
        let welcome = ToServer::Welcome {
            predecessors: 0,
            listeners: 1,
            kallsyms: false,
            pci_ids: false,
            features: Vec::new(),
        };
        loader.send(&welcome, &[listener.as_fd()]);
        assert!(matches!(loader.next(), ToLoader::Started { .. }));
        loader
    }

    /// A server that has plugins and answers requests.
    fn ready() -> Self {
        let mut loader = Self::new();
        loader.send_plugins();
        loader.say_ready();
        loader
    }

    fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) {
        self.sender.send(message, descriptors).unwrap();
    }

    fn say(&self, message: &ToServer) {
        self.send(message, &[]);
    }

    /// What the server says next.
    fn next(&mut self) -> ToLoader {
        let received = self.receiver.receive().unwrap();
        received.expect("the server is there").message
    }

    /// Everything before has been done, and the server has said nothing.
    fn nothing_but_a_pong(&mut self) {
        self.say(&ToServer::Ping { number: 7 });
        let next = self.next();
        assert!(matches!(next, ToLoader::Pong { number: 7 }), "{next:?}");
    }

    fn send_plugins(&mut self) {
        let plugin = |name: &str, bytes: &[u8]| PluginMessage {
            name: name.to_owned(),
            path: format!("/nowhere/{name}.wasm"),
            digest: Digest::of(bytes),
            sidecar: None,
            compiled: true,
        };
        let plugins = vec![
            plugin(STANDARD_NAME, STANDARD),
            plugin("test", &TEST_PLUGIN),
        ];
        let descriptors = [COMPILED[0].as_fd(), COMPILED[1].as_fd()];
        self.send(&ToServer::Plugins { id: 3, plugins }, &descriptors);
        let ToLoader::PluginsOpened {
            id,
            failed,
            versions,
        } = self.next()
        else {
            panic!("expected an answer to the plugins");
        };
        assert_eq!((id, failed), (3, Vec::new()));
        let names: Vec<&str> = versions.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["standard", "test"]);
    }

    fn say_ready(&self) {
        self.say(&ToServer::Ready {
            summary: "all".to_owned(),
        });
    }

    /// Opens a unit and serves it. Gives what the server said of it.
    fn serve(&mut self, unit: ServedUnit, descriptors: &[BorrowedFd<'_>]) -> Vec<ToLoader> {
        let (name, wanted) = (unit.config.name.clone(), unit.generation);
        self.send(&ToServer::Open(Box::new(unit)), descriptors);
        let mut messages = Vec::new();
        let outcome = loop {
            match self.next() {
                ToLoader::Opened {
                    unit,
                    generation,
                    outcome,
                } if unit == name && generation == wanted => break outcome,
                other => messages.push(other),
            }
        };
        outcome.unwrap();
        self.say(&ToServer::Serve {
            unit: name.clone(),
            generation: wanted,
        });
        let mut running = status(&name, UnitPhase::Running);
        running.on_demand = None;
        self.say(&ToServer::Status(Box::new(running)));
        self.say(&ToServer::Barrier { number: wanted });
        loop {
            match self.next() {
                ToLoader::Passed { number } if number == wanted => return messages,
                other => messages.push(other),
            }
        }
    }

    fn get(&self, path: &str) -> String {
        ask(self.address, "GET", path)
    }

    /// The answer to a request that is on its way while the test goes on.
    fn asked(&self, method: &'static str, path: &str) -> JoinHandle<String> {
        let (address, path) = (self.address, path.to_owned());
        std::thread::spawn(move || ask(address, method, &path))
    }

    /// Lets go of everything. How the server ended.
    fn leave(self) -> Result<(), ServerError> {
        drop((self.sender, self.receiver));
        self.server.join().unwrap()
    }
}

/// Head and body of an answer.
fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A connection may be cut, which some tests want.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn at() -> Span {
    Span {
        file: Arc::new("u.yaml".into()),
        line: 3,
        column: 5,
    }
}

fn plugin_use(name: &str) -> PluginUse {
    PluginUse {
        name: name.to_owned(),
        options: json!({}),
        at: at(),
    }
}

fn collector(name: &str, plugin: &str) -> CollectorConfig {
    CollectorConfig {
        name: name.to_owned(),
        plugin: plugin_use(plugin),
        mode: CollectorMode::Both,
        targets: Vec::new(),
        target_label: "target".to_owned(),
        labels: Vec::new(),
        timeout: None,
        interval: None,
        probe_path: None,
    }
}

/// A unit with one collector and nothing else.
fn unit(name: &str, generation: u64) -> ServedUnit {
    ServedUnit {
        generation,
        kernel_side: 1,
        config: ServedConfig {
            name: name.to_owned(),
            namespace: "ns".to_owned(),
            collectors: vec![collector("c", "test/c")],
            config_labels: Vec::new(),
        },
        metrics: Vec::new(),
        sources: Vec::new(),
        programs: Vec::new(),
        held: Vec::new(),
        resumed: false,
    }
}

/// Of a unit on demand.
fn status(name: &str, phase: UnitPhase) -> UnitStatus {
    UnitStatus {
        unit: name.to_owned(),
        phase,
        diagnostic: None,
        on_demand: Some(OnDemand {
            keepalive: Duration::from_secs(600),
            collectors: vec![collector("c", "test/c")],
        }),
        next_try: None,
        config: Some(Digest::of(b"yaml")),
        object: None,
        preparation: None,
        programs: Vec::new(),
        maps: Vec::new(),
        remarks: Vec::new(),
        load: LoadFigures::default(),
        restarts: 0,
        cgroup_errors: 0,
    }
}
