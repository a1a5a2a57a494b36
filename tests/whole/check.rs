//! `exporter-host check` and `plan`: what a start would say, without root and without a kernel.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use tempfile::TempDir;

use crate::harness::host::binary;
use crate::harness::objects::object;
use crate::harness::plugin::spoken;

/// The uid that is nobody's.
const NOBODY: u32 = 65_534;

/// A config directory that everybody may read, with a copy of the host beside it.
struct Checked {
    directory: TempDir,
}

impl Checked {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), mode).unwrap();
        let checked = Self { directory };
        fs::create_dir(checked.path().join("conf.d")).unwrap();
        let home = checked.path().join("home");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::copy(binary(), checked.path().join("exporter-host")).unwrap();
        checked
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path().join("conf.d").join(name), content).unwrap();
        self
    }

    fn object(self, name: &str) -> Self {
        let bytes = fs::read(object("mistakes")).unwrap();
        self.file(&format!("{name}.bpf.o"), bytes)
    }

    /// As a user who may nothing.
    fn run(&self, verb: &str, arguments: &[&str]) -> (Output, String) {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(self.path().join("exporter-host"))
            .arg(verb)
            .arg(self.path().join("conf.d"))
            .args(arguments)
            .env_remove("XDG_CACHE_HOME")
            .env("HOME", self.path().join("home"))
            .output()
            .expect("setpriv runs");
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let conf = format!("{}/conf.d/", self.path().display());
        (output, text.replace(&conf, ""))
    }

    /// What `check` says, less the directory.
    fn check(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (output, text) = self.run("check", arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!message.contains("panicked"), "{message}");
        (output.status.code(), text)
    }
}

fn counter(name: &str, rest: &str) -> String {
    format!("metrics:\n  counters:\n    - name: {name}\n      help: Test.\n{rest}")
}

fn decoder(text: &str) -> String {
    counter(
        "ran_total",
        &format!(
            "      labels:\n        - name: n\n          size: 4\n          decoders: [{text}]\n"
        ),
    )
}

#[test]
fn forty_mistakes_are_forty_errors() {
    let first = "\
metrics:
  counters:
    - {name: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: ksymm}]}]}
    - {name: ran2_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: regexp, regexps: ['(a']}]}]}
    - {name: ran3_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: syscall, names: kernal}]}]}
    - {name: ran4_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint, colour: red}]}]}
    - {name: ran5_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: inet_ip, v6: true}]}]}
    - {name: ran6_total, map: ran_total, help: Test., labels: [{name: n, size: 3, padding: 1, decoders: [{name: uint}]}]}
    - {name: ran7_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: cgroup}]}]}
    - {name: ran8_total, map: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: uint}]}]}
    - {name: ran_total, help: Again., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: padded_total, help: Test., labels: [{name: op, size: 1, decoders: [{name: uint}]}, {name: device, size: 4, decoders: [{name: uint}]}]}
    - {name: samples_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: sent_total, map: ran_total, ringbuf: true, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: stored_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: nowhere_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: eight_total, help: Test., labels: [{name: a.b, size: 4, decoders: [{name: uint}]}, {name: a-b, size: 4, decoders: [{name: uint}]}]}
    - {name: eight2_total, map: eight_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: eight3_total, map: eight_total, help: Test., labels: [{name: __n, size: 8, decoders: [{name: uint}]}]}
    - {name: eight4_total, map: eight_total, labels: [{name: n, size: 8, decoders: [{name: uint}]}]}
    - {name: eight5_total, map: eight_total, help: Test., labels: [{name: n, size: 8, decoders: []}]}
    - {name: eight6_total, map: eight_total, help: Test., labels: [{name: n, size: 0, decoders: [{name: uint}]}]}
    - {name: eight7_total, map: eight_total, help: Test., value: count, labels: [{name: n, size: 8, decoders: [{name: uint}]}]}
  histograms:
    - {name: latency, help: Test., bucket_type: exp3, bucket_max: 3, labels: [{name: b, size: 4, decoders: [{name: uint}]}]}
    - {name: latency2, map: latency, help: Test., bucket_type: exp2, labels: [{name: b, size: 4, decoders: [{name: uint}]}]}
    - {name: latency3, map: latency, help: Test., bucket_type: fixed, labels: [{name: b, size: 4, decoders: [{name: uint}]}]}
    - {name: latency4, map: latency, help: Test., bucket_type: linear, bucket_max: 3}
  shaped:
    - {map: latency, help: Test., shaper: exp22, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: shaped2, map: latency, help: Test., shaper: linear, options: {bucket_max: many}, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
programs:
  workz: {enabled: never}
  forgotten: {enabled: required}
globals:
  nothing: 1
maps:
  ran_totl: {pin: true}
";
    let checked = Checked::new()
        .file("a.yaml", first)
        .object("a")
        .file(
            "b.yaml",
            "object: nowhere.bpf.o\nmetrics: {counters: [{name: c, help: h}]}\n",
        )
        .file(
            "c.yaml",
            "collectors:\n  - {name: cpustatt}\n  - {name: spoken}\n",
        )
        .file("d.yaml", "metrics: [\n")
        .file(
            "e.yaml",
            "tracing:\n  spans: [{ringbuf: samples_total, name: s, service: s}]\n",
        )
        .object("e")
        .file(
            "f.yaml",
            "programs:\n  - name: timers\n    code: int x;\n    metrics: {counters: []}\n",
        )
        .file(
            "g.yaml",
            decoder("{name: uint}").replace("size: 4", "size: four"),
        )
        .file("spoken.wasm", fs::read(spoken("first")).unwrap())
        .file(
            "spoken.plugin.yaml",
            format!("grants: {{clok: true}}\nsha256: {}\n", "0".repeat(64)),
        )
        .file("cut.wasm", &fs::read(spoken("first")).unwrap()[..5000])
        .file("other.wasm", fs::read(spoken("second")).unwrap())
        .file("other.plugin.yaml", format!("sha256: {}\n", "0".repeat(64)));
    let expected: [(&str, &str); 44] = [
        (
            "a.yaml:3:",
            "no plugin offers the decoder `ksymm`, did you mean `ksym`?",
        ),
        (
            "a.yaml:4:",
            "the regular expression `(a` does not compile: unclosed group",
        ),
        ("a.yaml:5:", "`kernal`"),
        ("a.yaml:6:", "uint takes no options, found `colour`"),
        ("a.yaml:7:", "inet_ip takes no options, found `v6`"),
        (
            "a.yaml:8:",
            "the decoder `uint` cannot read the 3 bytes of the label `n`",
        ),
        (
            "a.yaml:9:",
            "the decoder `cgroup` cannot read the 4 bytes of the label `n`",
        ),
        (
            "a.yaml:10:",
            "the decoder `uint` cannot read the text of `uint`",
        ),
        (
            "a.yaml:11:",
            "duplicate metric `ran_total`: it is already at 3:",
        ),
        ("a.yaml:12:", "by the key's type it is `padding: 3` on `op`"),
        ("a.yaml:13:", "set `ringbuf: true`"),
        ("a.yaml:14:", "`ringbuf` wants a BPF_MAP_TYPE_RINGBUF"),
        (
            "a.yaml:15:",
            "the kernel does not list the keys of local storage",
        ),
        ("a.yaml:16:", "has no map `nowhere_total`"),
        ("a.yaml:17:", "duplicate label `a_b`"),
        ("a.yaml:18:", "the labels take 4 bytes"),
        ("a.yaml:19:", "starts with `__`"),
        ("a.yaml:20:", "needs a `help`"),
        ("a.yaml:21:", "the label `n` needs `decoders`"),
        ("a.yaml:22:", "expected a number of bytes from 1"),
        (
            "a.yaml:23:",
            "of which type the values of map `eight_total`",
        ),
        ("a.yaml:25:", "unknown bucket type `exp3`"),
        ("a.yaml:26:", "needs a `bucket_max`"),
        ("a.yaml:27:", "needs `bucket_keys`"),
        ("a.yaml:28:", "needs at least one label"),
        ("a.yaml:30:", "no plugin offers the shaper `exp22`"),
        ("a.yaml:31:", "bucket_max"),
        (
            "a.yaml:33:",
            "has no program `workz`, did you mean `works`?",
        ),
        ("a.yaml:34:", "the function of that name has no SEC()"),
        ("a.yaml:36:", "has no global variable `nothing`"),
        ("a.yaml:38:", "has no map `ran_totl`"),
        ("b.yaml:1:9:", "there is no BPF object"),
        ("c.yaml:2:", "no plugin offers the collector `cpustatt`"),
        ("c.yaml:3:", "no plugin offers the collector `spoken`"),
        ("d.yaml:", "not YAML"),
        ("e.yaml:2:3:", "this version builds no spans"),
        ("f.yaml:2:3:", "this is a config of ebpf_exporter 1.x"),
        ("g.yaml:7:", "expected an integer for `size`, found `four`"),
        ("spoken.plugin.yaml:1:", "unknown key `clok`"),
        ("cut.wasm", "error"),
        ("other.plugin.yaml:1:9:", "`sha256` is not that of"),
        ("b.yaml", "units: 7, with errors: 7"),
        ("a.yaml", "the function `forgotten` of the BPF object"),
        ("", "error"),
    ];
    let (code, text) = checked.check(&[]);
    assert_eq!(code, Some(1), "{text}");
    let found = |position: &str, words: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.starts_with(position) && line.contains(words))
    };
    let errors = &expected[..41];
    let missing: Vec<_> = errors
        .iter()
        .filter(|(position, words)| !found(position, words))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}\n{text}");
    assert!(text.contains("units: 7, with errors: 7"), "{text}");
    assert!(
        found("a.yaml: warning", "the function `forgotten`"),
        "{text}"
    );
    // By another way: as many errors as mistakes.
    let count = text
        .lines()
        .filter(|line| line.contains(": error: "))
        .count();
    assert!((41..=46).contains(&count), "{count}\n{text}");
    let began = Instant::now();
    checked.check(&[]);
    eprintln!("with a warm cache: {:?}", began.elapsed());
}

#[test]
fn nothing_is_wrong_with_a_good_directory() {
    let checked = Checked::new()
        .file("a.yaml", decoder("{name: uint}, {name: errno}"))
        .object("a")
        .file("spoken.wasm", fs::read(spoken("first")).unwrap())
        .file("c.yaml", decoder("{name: uint}, {name: spoken}"))
        .object("c");
    let (code, text) = checked.check(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.ends_with("units: 2, with errors: 0, warnings: 2\n"),
        "{text}"
    );
    let cache = checked.path().join("home/.cache/exporter-host/plugins");
    assert_eq!(fs::read_dir(cache).unwrap().count(), 2);
}

#[test]
fn what_is_not_compiled_yet_is_a_warning() {
    let checked = Checked::new().file("a.yaml", decoder("{name: uint}"));
    let (code, text) = checked.check(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("a.yaml: warning: there is no BPF object"),
        "{text}"
    );
    assert_eq!(checked.check(&["--strict"]).0, Some(1));
}

#[test]
fn plan_knows_what_the_start_will_say() {
    let both = "\
metrics:
  counters:
    - {name: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: eight_total, help: Test., labels: [{name: n, size: 8, decoders: [{name: ksymm}]}]}
";
    let checked = Checked::new()
        .file("a.yaml", decoder("{name: ksymm}"))
        .object("a")
        .file("b.yaml", both)
        .object("b");
    let (output, text) = checked.run("plan", &["--format=json"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["failed"][0]["name"], "a");
    let why = plan["failed"][0]["why"].as_str().unwrap();
    assert!(why.contains("did you mean `ksym`?"), "{why}");
    assert_eq!(plan["units"][0]["action"], "start");
    let why = plan["units"][0]["why"].as_str().unwrap();
    assert!(why.contains("metrics are left out: b.yaml:4:"), "{why}");
}
