//! Every way to start the host, and what works then: the tables of examples/deploy/README.md,
//! played.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use tempfile::TempDir;

use super::{FEATURES, OFF, USER, as_user, features, for_everybody, setup};
use crate::capabilities::holds;
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::identity::{CAP_BPF, CAP_PERFMON, of_all_threads, of_each_thread};
use crate::harness::objects::{object, repository};
use crate::harness::parser::{Body, Format};
use crate::harness::sys::SIGHUP;
use crate::harness::tree::{Split, one_process};
use crate::harness::{Host, Setup, names};

/// A way to start the host.
struct Row {
    /// As the document has it.
    started: &'static str,
    setup: fn() -> Setup,
    /// Held by the loader once it runs, in all sets and threads; None: what it was started with.
    held: Option<&'static [u32]>,
    /// Of [`FEATURES`].
    features: [f64; 7],
    /// Whether each of [`KINDS`] can be loaded and attached: [`YES`], or what its failure says.
    at_start: [&'static str; 3],
    /// The same for units that come while it runs.
    later: [&'static str; 3],
}

const YES: &str = "";
const KINDS: [&str; 3] = ["tp_btf", "tracepoint", "tcx"];
const BOTH: &[u32] = &[CAP_BPF, CAP_PERFMON];

const MATRIX: [Row; 6] = [
    Row {
        started: "as root",
        setup,
        held: Some(BOTH),
        features: [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0],
        at_start: [YES, YES, YES],
        later: [YES, YES, "CAP_NET_ADMIN"],
    },
    Row {
        started: "as root with `--user`",
        setup: || for_everybody().argument(format!("--user={USER}")),
        held: Some(BOTH),
        features: [1.0; 7],
        at_start: [YES, YES, YES],
        later: [YES, "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN"],
    },
    Row {
        started: "as a user with CAP_BPF and CAP_PERFMON",
        setup: || as_user(for_everybody(), ",+bpf,+perfmon"),
        held: Some(BOTH),
        features: [1.0; 7],
        at_start: [YES, "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN"],
        later: [YES, "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN"],
    },
    Row {
        started: "`--capabilities.keep=none`",
        setup: || setup().argument("--capabilities.keep=none"),
        held: Some(&[]),
        features: [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0],
        at_start: [YES, YES, YES],
        later: ["CAP_BPF"; 3],
    },
    Row {
        started: "as a user with nothing",
        setup: || as_user(for_everybody(), ""),
        held: Some(&[]),
        features: [1.0; 7],
        at_start: ["CAP_BPF"; 3],
        later: ["CAP_BPF"; 3],
    },
    Row {
        started: "with all of it off",
        setup: || {
            OFF.iter()
                .fold(setup(), |setup, flag| setup.argument(*flag))
        },
        held: None,
        // No flag gives the server a capability.
        features: [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
        at_start: [YES, YES, YES],
        later: [YES, YES, YES],
    },
];

/// What a server tries on itself, and no host that is one process: it reads what its user may.
const READING: [&str; 2] = ["read /etc/shadow", "read /etc/passwd"];

/// What the host tries on itself.
const ATTEMPTS: [&str; 15] = [
    "write outside of what was granted",
    "run a program",
    "execve",
    "gain CAP_SYS_ADMIN",
    "make a namespace",
    "make a process in a namespace",
    "enter a namespace",
    "mount",
    "trace a process",
    "read a process' memory",
    "look for keys",
    "type into a terminal",
    "load a kernel module",
    "load another kernel",
    "become root",
];

/// The unit of this kind, with series of its own.
fn unit(name: &str) -> String {
    format!(
        "namespace: {name}\nmetrics: {{counters: [{{name: kind_total, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

/// A file for the collector, where landlock lets nobody else look.
struct Drawers(TempDir);

impl Drawers {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let drawers = Self(directory);
        drawers.set(3);
        drawers
    }

    /// Replaced, as whoever writes such files should do it.
    fn set(&self, number: u32) {
        let new = self.0.path().join("new");
        fs::write(&new, format!("# TYPE drawers gauge\ndrawers {number}\n")).unwrap();
        fs::rename(new, self.0.path().join("x.prom")).unwrap();
    }

    fn pattern(&self) -> String {
        self.0.path().join("*.prom").display().to_string()
    }

    fn yaml(&self, more: &str) -> String {
        let pattern = self.pattern();
        format!("collectors: [{{name: textfile, options: {{paths: [\"{pattern}\"]}}{more}}}]")
    }
}

impl Row {
    fn is_off(&self) -> bool {
        self.held.is_none()
    }

    fn play(&self) {
        let drawers = Drawers::new();
        let mut setup = (self.setup)()
            .component("textfile")
            .file(
                "textfile.plugin.yaml",
                format!("grants: {{read: [\"{}\"]}}", drawers.pattern()),
            )
            .file("textfile.yaml", drawers.yaml(""));
        for kind in KINDS {
            setup = setup.unit(kind, &format!("kind-{kind}"), &unit(kind));
        }
        if !self.is_off() {
            setup = setup.argument("--hardening.check");
        }
        let host = setup.start();
        self.privileges(&host);
        self.reported(&host);
        for (kind, answer) in KINDS.into_iter().zip(self.at_start) {
            if answer != YES {
                assert_says(&host.log(), &[&format!("config={kind}"), answer]);
            }
            assert_eq!(
                attached(&host, kind),
                answer == YES,
                "{kind}\n{}",
                host.log()
            );
        }
        self.reloads(&host);
        self.counts(&host);
        collects(&host, &drawers);
    }

    /// Who each process is, what it holds, and what the kernel refuses to the server.
    fn privileges(&self, host: &Host) {
        let Some(held) = self.held else {
            for process in host.tree().processes() {
                for (field, value) in [("Seccomp", "0"), ("NoNewPrivs", "0")] {
                    let found = of_all_threads(process.pid, field);
                    let off = found.iter().all(|found| found == value);
                    assert!(off, "{field} of {}: {found:?}", process.name);
                }
            }
            return;
        };
        holds(host, held);
        let loader = host.loader();
        assert_eq!(of_each_thread(loader, "Seccomp"), "2");
        let reading = READING.into_iter().filter(|_| !one_process());
        for attempt in ATTEMPTS.into_iter().chain(reading) {
            assert_says(&host.log(), &["hardening check", attempt, "refused=true"]);
        }
        let of_user = self.features[4] == 1.0;
        let id = if of_user { USER } else { 0 };
        let ids = format!("{id}\t{id}\t{id}\t{id}");
        assert_eq!(of_each_thread(loader, "Uid"), ids);
        if of_user {
            assert_eq!(of_each_thread(loader, "Gid"), ids);
            assert_eq!(of_each_thread(loader, "Groups"), "");
            // It writes to its cache, and only there.
            assert!(fs::read_dir(host.path().join("cache")).unwrap().count() > 0);
        }
        // What the processes say of themselves is still to be read.
        assert!(host.text().value("process_open_fds", &[]).unwrap() > 3.0);
    }

    /// In the log, on the page and as a metric.
    fn reported(&self, host: &Host) {
        let mut expected = self.features;
        if !host.tree().is_split() {
            expected[5..].fill(0.0);
        }
        assert_eq!(features(host), expected);
        let page = host.get("/", &[]);
        // One process has nothing to say of its server.
        let count = match Split::wanted() {
            Split::On => FEATURES.len(),
            Split::Off => FEATURES.len() - 1,
            Split::Unknown => FEATURES.len() - 2,
        };
        for (feature, on) in FEATURES.into_iter().zip(expected).take(count) {
            let (active, yes) = if on == 1.0 {
                ("true", "yes")
            } else {
                ("false", "no")
            };
            assert_says(
                &host.log(),
                &[&format!("feature={feature}"), &format!("active={active}")],
            );
            let cells = format!("<td>{feature}</td><td>{yes}</td>");
            assert!(page.text().contains(&cells), "{cells}: {}", page.text());
        }
    }

    /// Units that come, and one that changes.
    fn reloads(&self, host: &Host) {
        for kind in KINDS {
            let late = host.path().join(format!("late_{kind}.bpf.o"));
            fs::copy(object(&format!("kind-{kind}")), late).unwrap();
        }
        for (kind, answer) in KINDS.into_iter().zip(self.later) {
            let (name, mut lines) = (format!("late_{kind}"), host.log_from_now());
            fs::write(host.path().join(format!("{name}.yaml")), unit(&name)).unwrap();
            host.signal(SIGHUP);
            let what = if answer == YES {
                "unit running"
            } else {
                answer
            };
            lines.next(&[&format!("config={name}"), what]);
            assert_eq!(
                attached(host, &name),
                answer == YES,
                "{name}\n{}",
                host.log()
            );
        }
    }

    /// Programs that see this thread's events, those of the start and those that came later.
    fn counts(&self, host: &Host) {
        if self
            .at_start
            .iter()
            .chain(&self.later)
            .all(|answer| *answer != YES)
        {
            return;
        }
        watch_me(host);
        fire(1, 3);
        let body = host.text();
        for (prefix, answers) in [("", self.at_start), ("late_", self.later)] {
            // Packets are everybody's.
            for (kind, answer) in KINDS.into_iter().zip(answers).take(2) {
                let count = body.value(&format!("{prefix}{kind}_kind_total"), &[("n", "1")]);
                let wanted = (answer == YES).then_some(3.0);
                assert_eq!(count, wanted, "{prefix}{kind}\n{}", host.log());
            }
        }
    }
}

/// Whether the unit's program is.
fn attached(host: &Host, unit: &str) -> bool {
    let body = host.text();
    let mut programs = body.series(names::PROGRAM_INFO).into_keys();
    programs
        .find(|labels| labels["config"] == unit)
        .is_some_and(|labels| {
            body.value(names::PROGRAM_ATTACHED, &[("id", &labels["id"])]) == Some(1.0)
        })
}

/// Plugins read what was granted, in scrapes and probes, and after a reload.
fn collects(host: &Host, drawers: &Drawers) {
    assert_eq!(host.text().value("drawers", &[]), Some(3.0));
    drawers.set(4);
    let probe = host.get("/probe?module=textfile", &[]);
    let probe = Body::parse(Format::Text, probe.text());
    assert_eq!(probe.value("probe_success", &[]), Some(1.0));
    assert_eq!(probe.value("drawers", &[]), Some(4.0));
    let mut lines = host.log_from_now();
    fs::write(
        host.path().join("textfile.yaml"),
        drawers.yaml(", timeout: 3s"),
    )
    .unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=textfile", "reshape"]);
    assert_eq!(host.text().value("drawers", &[]), Some(4.0));
}

#[test]
fn what_works_is_what_the_document_says() {
    let document = Path::new("examples/deploy/README.md");
    let document = fs::read_to_string(repository().join(document)).unwrap();
    // Built once, before the rows ask for them at the same time.
    crate::harness::components::components();
    thread::scope(|scope| {
        let rows = MATRIX.iter().map(|row| {
            assert!(
                document.contains(&format!("\n| {} |", row.started)),
                "{}",
                row.started
            );
            (row, scope.spawn(|| row.play()))
        });
        let failed: Vec<&str> = rows
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|(row, playing)| playing.join().is_err().then_some(row.started))
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}
