//! Who each process is and what it may do, for the ways to start a host, and after the tenth
//! server. The image and the systemd unit are looked at by tests/image.sh and tests/systemd.sh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use super::mortal;
use crate::hardening::flags::permit;
use crate::hardening::{USER, as_user, for_everybody, setup};
use crate::harness::host::program;
use crate::harness::identity::{
    CAP_BPF, CAP_PERFMON, confined, holds, mask, of_each_thread, row, server_capabilities,
};
use crate::harness::sys::{SIGKILL, send};
use crate::harness::tree::{LOADER, SERVER, STARTER, one_process};
use crate::harness::{Host, Setup, eventually, http, sockets};

/// A way to start the host.
struct Way {
    how: &'static str,
    setup: fn() -> Setup,
    /// The loader's.
    user: u32,
    /// Whether the server has a user of its own.
    another_user: bool,
}

const WAYS: [Way; 4] = [
    Way {
        how: "as root",
        setup,
        user: 0,
        another_user: true,
    },
    Way {
        how: "as root with --user",
        setup: || for_everybody().argument(format!("--user={USER}")),
        user: USER,
        another_user: true,
    },
    Way {
        how: "as a user with ambient capabilities",
        setup: || as_user(for_everybody(), ",+bpf,+perfmon"),
        user: USER,
        another_user: false,
    },
    Way {
        how: "as a user with capabilities of the file",
        setup: of_the_file,
        user: USER,
        another_user: false,
    },
];

/// As the image has it.
fn of_the_file() -> Setup {
    let setup = for_everybody();
    let file = setup.path().join("exporter-host");
    fs::copy(program().get_program(), &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    permit(&file, &[CAP_BPF, CAP_PERFMON]);
    let user = USER.to_string();
    let words = [
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all,+bpf,+perfmon",
    ];
    let nothing = fs::File::open("/dev/null").unwrap();
    setup.copied_to(file).wrapped(&words, nothing.into())
}

impl Way {
    fn play(&self) {
        let host = mortal((self.setup)());
        let names: Vec<String> = host
            .tree()
            .processes()
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, [LOADER, STARTER, SERVER], "{}", host.log());
        let first = self.look(&host);
        for _ in 1..10 {
            let server = host.server();
            send(server, SIGKILL).unwrap();
            host.tree().server_after(server);
            eventually("it answers", || http::whole(host.address(), "/metrics"));
        }
        let tenth = self.look(&host);
        assert_eq!(first, tenth, "as before");
        eprintln!("{}, with the tenth server:\n{}", self.how, tenth.join("\n"));
    }

    /// A line for each process.
    fn look(&self, host: &Host) -> Vec<String> {
        let (loader, server) = (host.loader(), host.server());
        holds(loader, mask(&[CAP_BPF, CAP_PERFMON])).unwrap();
        assert_eq!(of_each_thread(loader, "Seccomp"), "2");
        let user = |pid| -> u32 {
            let ids = of_each_thread(pid, "Uid");
            ids.split('\t').next().unwrap().parse().unwrap()
        };
        assert_eq!(user(loader), self.user);
        assert_eq!(user(server) != user(loader), self.another_user);
        if self.another_user {
            assert_eq!(user(server), expected_user());
        }
        for process in host.tree().others() {
            confined(&process, loader).unwrap();
            let expected = u64::from_str_radix(&of_each_thread(process.pid, "CapEff"), 16);
            assert_eq!(expected, Ok(server_capabilities()));
        }
        for process in host.tree().processes() {
            assert!(process.is_closed_to_its_user(), "{}", process.name);
        }
        only_its_sockets(host);
        host.tree().processes().iter().map(row).collect()
    }
}

/// The user `exporter-host`, if the machine has one, or the number that the documents name.
fn expected_user() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let ours = users
        .lines()
        .find(|line| line.starts_with("exporter-host:"));
    ours.map_or(60_943, |line| {
        line.split(':').nth(2).unwrap().parse().unwrap()
    })
}

/// The loader: pairs, the kernel's news, the service manager, and the one listener that it has
/// bound for the server. The starter: its pair.
fn only_its_sockets(host: &Host) {
    let of_loader = sockets::of(host.loader());
    let allowed = ["unix seqpacket", "netlink", "unix datagram", "tcp listen"];
    for socket in &of_loader {
        assert!(allowed.contains(&socket.as_str()), "{of_loader:?}");
    }
    let listeners = of_loader.iter().filter(|socket| *socket == "tcp listen");
    assert_eq!(listeners.count(), 1, "{of_loader:?}");
    let of_starter = sockets::of(host.starter());
    assert!(
        of_starter.iter().all(|socket| socket == "unix seqpacket"),
        "{of_starter:?}"
    );
}

#[test]
fn each_process_is_what_it_should_be_after_ten_servers_too() {
    if one_process() {
        return;
    }
    thread::scope(|scope| {
        let playing = WAYS.iter().map(|way| (way, scope.spawn(|| way.play())));
        let failed: Vec<&str> = playing
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|(way, playing)| playing.join().is_err().then_some(way.how))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

/// In virtual machines this tells which kernels let a process without capabilities read a map.
#[test]
fn the_server_has_no_capability_at_all() {
    if one_process() {
        return;
    }
    let host = setup().start();
    assert_eq!(of_each_thread(host.server(), "CapEff"), "0000000000000000");
    assert_eq!(of_each_thread(host.server(), "CapPrm"), "0000000000000000");
}

/// The log, the metric and the page say what the server keeps, whichever it is.
#[test]
fn what_the_server_keeps_is_said() {
    if one_process() {
        return;
    }
    let host = setup().start();
    let has = of_each_thread(host.server(), "CapEff");
    let none = has == "0000000000000000";
    let value = host.text().value(
        "exporter_host_hardening",
        &[("feature", "server_capabilities")],
    );
    assert_eq!(value, Some(f64::from(u8::from(none))));
    let (active, yes) = if none {
        ("true", "yes")
    } else {
        ("false", "no")
    };
    let active = format!("active={active}");
    crate::harness::host::assert_says(&host.log(), &["feature=server_capabilities", &active]);
    let cells = format!("<td>server_capabilities</td><td>{yes}</td>");
    assert!(host.get("/", &[]).text().contains(&cells));
}
