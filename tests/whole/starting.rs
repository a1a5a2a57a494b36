//! What ends a start, what does not, and when.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::host::{assert_says, binary, compiled_plugins};
use crate::harness::objects::object;
use crate::harness::sys::{SIGINT, SIGTERM, send};
use crate::harness::{Host, Setup, eventually};

const YAML: &str = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

fn ready(host: &Host) -> (u16, String) {
    let response = host.get("/-/ready", &[]);
    (response.status, response.text().to_owned())
}

fn waits(host: &Host, words: &[&str]) {
    let (status, text) = ready(host);
    assert_eq!(status, 503, "{text}");
    assert_says(&text, words);
    assert_eq!(host.get("/-/healthy", &[]).status, 200);
    assert_eq!(host.get("/metrics", &[]).status, 200);
}

fn install(host: &Host, yaml: &str) {
    fs::copy(object("maps"), host.path().join("unit.bpf.o")).unwrap();
    fs::write(host.path().join("unit.yaml"), yaml).unwrap();
    eventually("it is ready", || (ready(host).0 == 200).then_some(()));
}

#[test]
fn a_directory_without_units_waits_for_the_first_one() {
    let host = Setup::new().start();
    assert_says(
        &host.log(),
        &["there are no units in", "waits for the first one"],
    );
    waits(&host, &["there is no unit yet"]);
    install(&host, YAML);
    fs::remove_file(host.path().join("unit.yaml")).unwrap();
    eventually("it is not ready any more", || {
        (ready(&host).0 == 503).then_some(())
    });
    host.stop();
    let strict = Setup::new().argument("--config.strict").run();
    assert_eq!(strict.code, Some(1));
    strict.says(&["there are no units in"]);
}

#[test]
fn a_host_none_of_whose_units_runs_says_why() {
    let host = Setup::new().unit("unit", "maps", "metrics: [").start();
    assert_says(&host.log(), &["none of 1 units runs"]);
    waits(&host, &["none of 1 units runs", "unit.yaml:1:11"]);
    install(&host, YAML);
    // One that runs is enough.
    fs::write(host.path().join("other.yaml"), "metrics: [").unwrap();
    eventually("the other one has failed", || {
        host.log().contains("other.yaml:1:11").then_some(())
    });
    assert_eq!(ready(&host).0, 200);
}

/// Everything that the command line can get wrong is refused before anything is loaded.
#[test]
fn what_the_command_line_gets_wrong_ends_the_start_at_once() {
    let file = "/etc/hostname";
    for (argument, words) in [
        (
            "--config.dir=/no/such/directory".to_owned(),
            &["/no/such/directory does not exist"][..],
        ),
        (format!("--config.dir={file}"), &[file, "is a file"]),
        ("--config.names=unit,,".to_owned(), &["empty name"]),
        (
            "--plugin.dir=/no/such/plugins".to_owned(),
            &["--plugin.dir", "/no/such/plugins"],
        ),
        (format!("--plugin.dir={file}"), &["--plugin.dir", file]),
        (
            "--plugin.cache-dir=relative".to_owned(),
            &["--plugin.cache-dir", "absolute path"],
        ),
        (
            "--plugin.cache-dir=/no/such/cache".to_owned(),
            &["--plugin.cache-dir", "/no/such/cache"],
        ),
        (
            format!("--plugin.cache-dir={file}"),
            &["--plugin.cache-dir", "expected a directory"],
        ),
        (
            "--plugin.cache-dir=/tmp".to_owned(),
            &["--plugin.cache-dir", "others may write there"],
        ),
        (
            "--hardening.read=relative".to_owned(),
            &["--hardening.read", "absolute path"],
        ),
        (
            "--bpf.pin-dir=relative".to_owned(),
            &["--bpf.pin-dir", "absolute path"],
        ),
        (
            "--btf.path=/no/such/btf".to_owned(),
            &["--btf.path", "/no/such/btf"],
        ),
    ] {
        let ended = Setup::new()
            .unit("unit", "maps", YAML)
            .argument(&argument)
            .run();
        assert_eq!(ended.code, Some(2), "{argument}: {}", ended.log);
        ended.says(words);
        assert!(
            !ended.log.contains("config=unit"),
            "{argument}: {}",
            ended.log
        );
    }
}

/// Each call of bpf(2) takes a third of a second: the start is in the kernel for a long time.
#[test]
fn a_signal_ends_a_start_that_takes_long() {
    for signal in [SIGTERM, SIGINT] {
        let setup = Setup::new().unit("unit", "maps", YAML);
        let mut host = Command::new("strace")
            .args(["-D", "-o", "/dev/null", "-e", "trace=bpf"])
            .args(["-e", "inject=bpf:delay_enter=300000", "--"])
            .arg(binary())
            .args(["--web.listen-address=127.0.0.1:0", "--config.dir"])
            .arg(setup.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It has a starter by then, and loads.
        eventually("it loads", || {
            let children = format!("/proc/{0}/task/{0}/children", host.id());
            let children = fs::read_to_string(children).unwrap_or_default();
            (!children.trim().is_empty()).then_some(())
        });
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        send(host.id(), signal).unwrap();
        assert_eq!(host.wait().unwrap().code(), Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    }
}

/// As the first process of a container, for which the kernel has no default for signals.
#[test]
fn a_signal_at_any_moment_ends_the_first_process() {
    let setup = (0..20).fold(Setup::new(), |setup, number| {
        let yaml = format!("namespace: unit{number}\n{YAML}");
        setup.unit(&format!("unit{number}"), "maps", &yaml)
    });
    for milliseconds in [0, 15, 30, 60, 120, 250, 500, 1000] {
        let mut outer = Command::new("unshare")
            .args(["--fork", "--pid", "--mount-proc", "--kill-child"])
            .arg(binary())
            .args(["--web.listen-address=127.0.0.1:0", "--config.dir"])
            .arg(setup.path())
            .arg(format!(
                "--plugin.cache-dir={}",
                compiled_plugins().display()
            ))
            .stderr(Stdio::null())
            .stdin(File::open("/dev/null").unwrap())
            .spawn()
            .unwrap();
        let host = first_process(&outer);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let signal = if milliseconds % 20 == 0 {
            SIGINT
        } else {
            SIGTERM
        };
        send(host, signal).unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = outer.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > Duration::from_secs(5) {
                let _killed = outer.kill();
                panic!("after {milliseconds} ms it does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0), "after {milliseconds} ms");
    }
}

/// The process that unshare(1) has forked, once it is the host.
fn first_process(outer: &Child) -> u32 {
    eventually("the host is started", || {
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let children = fs::read_to_string(children).ok()?;
        let child: u32 = children.split_whitespace().next()?.parse().ok()?;
        let name = fs::read_link(format!("/proc/{child}/exe")).ok()?;
        // For the moment before the first line of main the kernel itself drops what the first
        // process of a container does not hold back.
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let is_set = |field| {
            let mask = status.lines().find_map(|line| line.strip_prefix(field));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask >> (SIGTERM - 1) & 1 == 1)
        };
        let is_ours = name.to_string_lossy().contains("exporter-host");
        (is_ours && (is_set("SigBlk:") || is_set("SigCgt:"))).then_some(child)
    })
}
