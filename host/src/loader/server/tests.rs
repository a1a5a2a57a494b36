//! The loader's end of the channel against servers that are played: hostile ones, and such as die.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use serde_json::json;

use super::*;
use crate::cli::settings::Settings;
use crate::cli::{self, Command};
use crate::link::{Receiver, ServedConfig, ToLoader};

const LIMIT: Duration = Duration::from_secs(20);

fn start(server: fn(&Settings, OwnedFd)) -> (Arc<ServerLink>, Arc<Tasks>) {
    let words = ["exporter-host", "--config.dir", "/nowhere"].map(OsString::from);
    let Ok(Command::Serve(settings)) = cli::parse(words) else {
        panic!("these flags are for serving");
    };
    let tasks = Arc::<Tasks>::default();
    let link = ServerLink::start(
        Spawner::Threads(Arc::new(*settings), server),
        Welcome::default(),
        ServerPaths::default(),
        Arc::clone(&tasks),
        Granted::default(),
    );
    (link.unwrap(), tasks)
}

fn unit(name: &str, generation: u64) -> ServedUnit {
    ServedUnit {
        generation,
        kernel_side: generation,
        config: ServedConfig {
            name: name.to_owned(),
            namespace: String::new(),
            collectors: Vec::new(),
            config_labels: Vec::new(),
        },
        metrics: Vec::new(),
        sources: Vec::new(),
        programs: Vec::new(),
        held: Vec::new(),
        resumed: false,
    }
}

/// Answers as a server does, until it is told to stop. `opened`: whether it goes on after that.
fn answer(sender: &Sender, receiver: &mut Receiver, mut opened: impl FnMut() -> bool) {
    let say = |message: &ToLoader| sender.send(message, &[]).unwrap();
    while let Ok(Some(received)) = receiver.receive::<ToServer>() {
        match received.message {
            ToServer::Welcome { .. } => say(&ToLoader::Started {
                features: Vec::new(),
                allowed: Vec::new(),
            }),
            ToServer::Plugins { id, .. } => say(&ToLoader::PluginsOpened {
                id,
                failed: Vec::new(),
                versions: vec![("standard".to_owned(), Digest::of(b"x"))],
            }),
            ToServer::Open(unit) => {
                if !opened() {
                    return;
                }
                say(&ToLoader::Opened {
                    unit: unit.config.name,
                    generation: unit.generation,
                    outcome: Ok(Vec::new()),
                });
            }
            ToServer::Ping { number } => say(&ToLoader::Pong { number }),
            ToServer::Barrier { number } => say(&ToLoader::Passed { number }),
            ToServer::Stop => return,
            _ => {}
        }
    }
}

/// Says everything that makes no sense, and then what does.
fn hostile(_: &Settings, socket: OwnedFd) {
    let raw = socket.try_clone().unwrap();
    for length in [0, 1, 7, 23, 24, 25, 100, 4096, 60_000] {
        for byte in [0, 1, 0x7f, 0xff] {
            send(&raw, &vec![byte; length], SendFlags::NOSIGNAL).unwrap();
        }
    }
    let sender = Sender::direct(socket.try_clone().unwrap());
    let mut receiver = Receiver::new(socket);
    let say = |message: serde_json::Value| drop(sender.send(&message, &[]));
    for nonsense in [
        json!(null),
        json!("Unknown"),
        json!({"Unknown": {}}),
        json!({"Opened": {"unit": "u"}}),
        json!({"Opened": {"unit": "u", "generation": -1, "outcome": {"Ok": []}}}),
        json!({"Opened": {"unit": "u", "generation": u64::MAX, "outcome": {"Ok": []}}}),
        json!({"PluginsOpened": {"id": 77, "failed": [], "versions": []}}),
        json!({"PluginsOpened": {"id": 1, "failed": vec![["p", "w"]; 5000], "versions": []}}),
        json!({"Pong": {"number": u64::MAX}}),
        json!({"Passed": {"number": 5}}),
        json!({"Holds": {"unit": "nosuch", "metric": "nosuch"}}),
        json!({"Start": {"unit": "x".repeat(100_000)}}),
        json!({"File": {"id": 1, "path": "/etc/shadow", "wish": "Read"}}),
        json!({"File": {"id": 2, "path": "../../etc/shadow", "wish": "List"}}),
        // 10 MB.
        json!({"Start": {"unit": "y".repeat(10 << 20)}}),
    ] {
        say(nonsense);
    }
    // Descriptors that nobody asked for.
    let null = std::fs::File::open("/dev/null").unwrap();
    for count in [1, 5, 200] {
        let many = vec![null.as_fd(); count];
        sender.send(&ToLoader::Pong { number: 1 }, &many).unwrap();
    }
    // Floods.
    for number in 0..20_000_u64 {
        say(json!({"Start": {"unit": number.to_string()}}));
        say(json!({"Reload": {"id": number}}));
    }
    answer(&sender, &mut receiver, || true);
}

#[test]
fn what_a_hostile_server_says_is_refused_and_the_next_word_counts() {
    let (link, tasks) = start(hostile);
    link.wait_started().unwrap();
    let opened = link.plugins(1, Vec::new(), Vec::new()).unwrap();
    assert!(opened.failed.is_empty() && opened.versions.contains_key("standard"));
    let version = link.open(&unit("u", 3), &[]).unwrap().unwrap();
    link.serve(&version, unit("u", 3), Vec::new());
    link.settle(9);
    assert!(link.held("u").is_empty());
    let mut starts = 0;
    while let Some(name) = tasks.take_start() {
        assert!(name.len() < 10, "{} bytes", name.len());
        starts += 1;
    }
    assert!((1..=4096).contains(&starts), "{starts}");
    assert_eq!(link.shared.lock().servers, 1, "it is the same server still");
    link.stop(LIMIT);
}

static OPENED: AtomicUsize = AtomicUsize::new(0);

/// Dies when it is first asked to open something.
fn mortal(_: &Settings, socket: OwnedFd) {
    let sender = Sender::direct(socket.try_clone().unwrap());
    let mut receiver = Receiver::new(socket);
    let first = || OPENED.fetch_add(1, Ordering::SeqCst) > 0;
    answer(&sender, &mut receiver, first);
}

#[test]
fn whoever_asks_is_answered_by_the_next_server() {
    let (link, _tasks) = start(mortal);
    link.wait_started().unwrap();
    link.plugins(1, Vec::new(), Vec::new()).unwrap();
    let version = link.open(&unit("u", 2), &[]).unwrap().unwrap();
    assert_eq!(version.number, 2);
    link.serve(&version, unit("u", 2), Vec::new());
    assert_eq!(link.shared.lock().snapshot.units.len(), 1);
    link.stop(LIMIT);
}

/// Always dies when it is asked to open something.
fn poisoned(_: &Settings, socket: OwnedFd) {
    let sender = Sender::direct(socket.try_clone().unwrap());
    let mut receiver = Receiver::new(socket);
    answer(&sender, &mut receiver, || false);
}

#[test]
fn what_ends_two_servers_is_not_tried_on_a_third() {
    let (link, _tasks) = start(poisoned);
    link.wait_started().unwrap();
    link.plugins(1, Vec::new(), Vec::new()).unwrap();
    let died = link.open(&unit("u", 2), &[]);
    assert!(matches!(died, Err(AskError::Died)), "{died:?}");
    link.stop(LIMIT);
}
