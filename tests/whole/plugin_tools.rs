//! `exporter-host plugin …` as an operator and an author use it: no root, no kernel, no running
//! host.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::host::binary;
use crate::harness::plugin::spoken;
use crate::harness::project::{cache, plugin, plugin_says};

fn fails(arguments: &[&str], code: i32, words: &[&str]) {
    let output = plugin(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
}

fn report(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = plugin(arguments);
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code())
}

#[test]
fn list_names_all_and_what_is_wrong() {
    let (units, plugins) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(spoken("first"), units.path().join("spoken.wasm")).unwrap();
    fs::write(units.path().join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(units.path().join(".hidden.wasm"), b"").unwrap();
    let directories = [
        format!("--config.dir={}", units.path().display()),
        format!("--plugin.dir={}", plugins.path().display()),
    ];
    let arguments = ["list", &directories[0], &directories[1], &cache()];

    let output = plugin(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "one of them is broken:\n{text}"
    );
    assert!(text.starts_with("standard (built in)\n"), "{text}");
    let word = |text: &str, line: &str| text.lines().any(|found| found.trim() == line);
    assert!(word(&text, "decoders   spoken"), "{text}");
    assert!(
        text.contains("core WebAssembly module, not a component"),
        "{text}"
    );

    fs::remove_file(units.path().join("core.wasm")).unwrap();
    assert_eq!(plugin(&arguments).status.code(), Some(0));

    // Another file of the same name.
    fs::copy(spoken("second"), plugins.path().join("spoken.wasm")).unwrap();
    let (listing, code) = report(&[&arguments[..], &["--format=json"]].concat());
    assert_eq!((&listing["ok"], code), (&json!(false), Some(1)));
    let all = listing["plugins"].as_array().unwrap();
    let names: Vec<_> = all.iter().map(|one| (&one["name"], &one["ok"])).collect();
    assert_eq!(
        names,
        [
            (&json!("standard"), &json!(true)),
            (&json!("spoken"), &json!(true)),
            (&json!("spoken"), &json!(false))
        ]
    );
    assert_eq!(all[0]["worlds"], json!(["decoder", "shaper"]));
    assert_eq!(all[1]["interface"], "0.1.0");
    let sum = Command::new("sha256sum")
        .arg(spoken("first"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert!(sum.starts_with(all[1]["sha256"].as_str().unwrap()), "{sum}");
    let size = fs::metadata(spoken("first")).unwrap().len();
    assert_eq!(all[1]["size"], json!(size));

    fails(
        &["list", "--config.dir=/nowhere"],
        1,
        &["cannot read the directory /nowhere"],
    );
}

#[test]
fn inspect_shows_options_and_imports() {
    let text = plugin_says(&["inspect", "standard", &cache()]);
    for part in [
        "decoder    static_map: ",
        "\"allow_unknown\"",
        "imports    exporter:plugin/kernel@0.1.0",
        "exports    exporter:plugin/decoding@0.1.0",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let (report, code) = report(&[
        "inspect",
        "--format=json",
        spoken("first").to_str().unwrap(),
        &cache(),
    ]);
    assert_eq!(code, Some(0));
    assert_eq!(report["decoders"][0]["name"], "spoken");
    assert_eq!(report["decoders"][0]["options"], Value::Null);
    assert!(
        report["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|import| import["name"] == "exporter:plugin/log@0.1.0")
    );

    let (report, code) = self::report(&["inspect", "--format=json", "/etc/passwd"]);
    assert_eq!(code, Some(1));
    assert!(
        report["problem"]
            .as_str()
            .unwrap()
            .contains("not a WebAssembly component")
    );
    assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
    let (report, code) = self::report(&["inspect", "--format=json", "/nowhere.wasm"]);
    assert_eq!((code, &report["size"]), (Some(1), &Value::Null));
}

#[test]
fn run_decodes_what_is_typed_and_what_comes_in() {
    let run =
        |arguments: &[&str]| plugin_says(&[&["run", "standard", &cache()], arguments].concat());
    assert_eq!(
        run(&[
            "--decoder",
            "inet_ip",
            "--hex",
            "0a000001",
            "--hex",
            "0x7f:00:00:01"
        ]),
        "10.0.0.1\n127.0.0.1\n"
    );
    let chain = [
        "--decoder",
        "uint",
        "--decoder",
        "static_map",
        "--options",
        "{}",
        "--options",
        r#"{"static_map": {"1": "read"}}"#,
    ];
    assert_eq!(
        run(&[&chain[..], &["--hex", "01", "--hex", "02"]].concat()),
        "read\nunknown:2\n"
    );
    // A row that a filter drops, and one that may change.
    assert_eq!(
        run(&[
            "--decoder",
            "regexp",
            "--options",
            r#"{"regexps": ["^b"]}"#,
            "--hex",
            "61",
            "--hex",
            "62"
        ]),
        "\t(dropped)\nb\n"
    );
    assert_eq!(
        run(&["--decoder", "ifname", "--hex", "ffffff7f"]),
        "unknown:2147483647\t(provisional)\n"
    );
    let answers: Value =
        serde_json::from_str(&run(&["--format=json", "--decoder", "uint", "--hex", "2a"])).unwrap();
    assert_eq!(answers, json!([{"text": "42", "state": "known"}]));

    let mut child = Command::new(binary())
        .args([
            "plugin",
            "run",
            "standard",
            "--decoder",
            "uint",
            "--hex",
            "-",
            &cache(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"01\n0200\n")
        .unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"1\n2\n");

    // A decoder of another plugin, and the standard ones after it.
    let spoken = spoken("first");
    let mixed = [
        "run",
        spoken.to_str().unwrap(),
        "--decoder",
        "uint",
        "--decoder",
        "spoken",
        "--hex",
        "07",
        &cache(),
    ];
    assert_eq!(plugin_says(&mixed), "first 7\n");
}

#[test]
fn run_tells_failures_from_wrong_usage() {
    let standard = |arguments: &[&str], code, words: &[&str]| {
        fails(
            &[&["run", "standard", &cache()], arguments].concat(),
            code,
            words,
        );
    };
    standard(
        &["--decoder", "uin", "--hex", "00"],
        1,
        &["offers no decoder `uin`", "did you mean `uint`?"],
    );
    standard(
        &[
            "--decoder",
            "static_map",
            "--options",
            r#"{"colour": 1}"#,
            "--hex",
            "00",
        ],
        1,
        &["colour"],
    );
    standard(&["--decoder", "uint", "--hex", "000000"], 1, &[]);
    standard(&["--hex", "00"], 2, &["--decoder"]);
    standard(&["--decoder", "uint"], 2, &["--hex"]);
    standard(
        &["--decoder", "uint", "--hex", "0"],
        2,
        &["two digits a byte"],
    );
    standard(&["--decoder", "uint", "--hex", "zz"], 2, &["hexadecimal"]);
    standard(
        &["--decoder", "uint", "--options", "[]", "--hex", "00"],
        2,
        &["JSON object"],
    );
    fails(
        &["run", "/nowhere.wasm", "--decoder", "x", "--hex", "00"],
        1,
        &["/nowhere.wasm", "No such file"],
    );
    fails(
        &["run", "/etc/passwd", "--decoder", "x", "--hex", "00"],
        1,
        &["not a WebAssembly component"],
    );
}

#[test]
fn run_places_rows_of_a_shaper() {
    let text = plugin_says(&[
        "run",
        "standard",
        &cache(),
        "--shaper",
        "exp2",
        "--options",
        r#"{"bucket_min": 0, "bucket_max": 4}"#,
        "--labels",
        "disk,bucket",
        "--row",
        "sda,1",
        "--row",
        "sdb,4",
    ]);
    assert!(text.contains("# TYPE metric histogram\n"), "{text}");
    assert!(
        text.contains("metric{disk=\"sda\"} (bucket le=2) += u64 at 0 * 1\n"),
        "{text}"
    );
    fails(
        &[
            "run", "standard", "--shaper", "counter", "--labels", "a,b", "--row", "x",
        ],
        2,
        &["--row \"x\" has 1 texts"],
    );
}

#[test]
fn run_measures() {
    let text = plugin_says(&[
        "run",
        "standard",
        "--decoder",
        "inet_ip",
        "--hex",
        "0a000001",
        "--bench",
        &cache(),
    ]);
    for line in [
        "load (compile or cache)",
        "instantiate",
        "call with 1 rows",
        "call with 512 rows",
        "call with 4096 rows",
        "linear memory",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
}

#[test]
fn new_touches_nothing_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mine"), "").unwrap();
    let path = directory.path().to_str().unwrap();
    fails(
        &["new", "--world", "decoder", "--dir", path, "my_decoder"],
        1,
        &["is not empty"],
    );
    assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    fails(
        &["new", "--world", "decoder", "My-Decoder"],
        2,
        &["small letters"],
    );
    fails(&["new", "my_decoder"], 2, &["--world"]);
}

/// With no capability at all: what these commands need is a file that they may read.
#[test]
fn none_of_it_needs_privileges() {
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"])
        .arg(binary())
        .args([
            "plugin",
            "run",
            "standard",
            "--decoder",
            "uint",
            "--hex",
            "2a",
            &cache(),
        ])
        .output()
        .expect("setpriv runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "42\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
