//! Plugins in four languages: what `plugin new` writes builds, passes its test and works, in a host
//! too.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::objects::repository;
use crate::harness::project::{built, cache, plugin, plugin_says};
use crate::harness::{Setup, series};

/// A project of each world in one language, each tried.
fn all_worlds(lang: &str) {
    let name = |world: &str| format!("{lang}_{world}");
    let build = |world: &str| {
        let component = built(world, lang, &name(world));
        component.to_str().unwrap().to_owned()
    };
    let decoder = build("decoder");
    let decode = |options: &str, hex: &[&str]| {
        let name = name("decoder");
        let mut arguments = vec!["run", &decoder, "--decoder", &name, "--options", options];
        arguments.extend(hex.iter().flat_map(|hex| ["--hex", hex]));
        let cache = cache();
        arguments.push(&cache);
        plugin(&arguments)
    };
    let output = decode("{}", &["0a000000", "01000000", "00010000"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "LISTEN\nESTABLISHED\nUNKNOWN:256\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lower = decode(r#"{"lowercase": true}"#, &["02000000"]);
    assert_eq!(lower.stdout, b"syn_sent\n");
    // One row's error is not the others'.
    let output = decode("{}", &["00", "07000000"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!(
            "\t(error: decoder `{0}`: {0} wants 4 bytes, got 1)\nCLOSE\n",
            name("decoder")
        )
    );
    assert_eq!(output.status.code(), Some(1));
    let refused = decode(r#"{"color": true}"#, &["02000000"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("color"), "{why}");

    let shaper = build("shaper");
    let placed = plugin_says(&[
        "run",
        &shaper,
        "--shaper",
        &name("shaper"),
        "--metric",
        "cache",
        "--labels",
        "level,cpu",
        "--row",
        "l1,0",
        &cache(),
    ]);
    for line in [
        "# TYPE cache_hits_total counter",
        "# TYPE cache_misses_total counter",
        "cache_hits_total{level=\"l1\",cpu=\"0\"} += u64 at 0 * 1",
        "cache_misses_total{level=\"l1\",cpu=\"0\"} += u64 at 8 * 1",
    ] {
        assert!(
            placed.lines().any(|found| found == line),
            "{line}:\n{placed}"
        );
    }

    let collector = build("collector");
    let report = plugin_says(&["inspect", "--format", "json", &collector, &cache()]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        report["collectors"][0]["name"],
        serde_json::json!(name("collector"))
    );
    assert_eq!(
        report["worlds"],
        serde_json::json!(["collector"]),
        "{report}"
    );

    // Its sidecar lies in the project, with the grant that it needs.
    let sidecar = collector.replace(".wasm", ".plugin.yaml");
    let project = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("projects")
        .join(name("collector"));
    let template = project.join(format!("{}.plugin.yaml", name("collector")));
    let run = ["run", &collector, "--collect", &name("collector"), &cache()];
    if Path::new(&sidecar) != template {
        let _none = fs::remove_file(&sidecar);
        let refused = plugin(&run);
        assert_eq!(refused.status.code(), Some(1), "nothing is granted");
        fs::copy(template, &sidecar).unwrap();
    }
    let text = plugin_says(&run);
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    for window in ["1m", "5m", "15m"] {
        let sample = format!("{}{{window=\"{window}\"}} ", name("collector"));
        assert!(text.contains(&sample), "{sample}: {text} {load}");
    }
}

#[test]
fn rust() {
    all_worlds("rust");
}

#[test]
fn c() {
    all_worlds("c");
}

#[test]
fn javascript() {
    all_worlds("js");
}

#[test]
fn python() {
    all_worlds("python");
}

/// Bytes of the kernel's map, four languages, one text.
#[test]
fn the_same_text_from_every_language() {
    let mut setup = Setup::new();
    let mut labels = Vec::new();
    for lang in ["rust", "c", "js", "python"] {
        let name = format!("{lang}_decoder");
        let component = built("decoder", lang, &name);
        // Compiled before the host starts: CPython takes its time.
        plugin_says(&["inspect", component.to_str().unwrap(), &cache()]);
        setup = setup.file(&format!("{name}.wasm"), fs::read(component).unwrap());
        labels.push(format!(
            "{{name: {lang}, size: 4, decoders: [{{name: {name}, lowercase: true}}]}}"
        ));
    }
    let yaml = format!(
        "metrics: {{counters: [{{name: k16_total, help: Test., labels: [{}]}}]}}",
        labels.join(", ")
    );
    let host = setup.unit("unit", "maps", &yaml).start();
    let map = host.map("k16_total");
    let mut wanted = series("rust", &[]);
    for (state, text) in [
        (1_u32, "established"),
        (6, "time_wait"),
        (12, "new_syn_recv"),
        (13, "unknown:13"),
    ] {
        map.set(&state.to_ne_bytes().repeat(4), u64::from(state));
        let labels = ["rust", "c", "js", "python"].map(|lang| (lang.to_owned(), text.to_owned()));
        wanted.insert(labels.into_iter().collect(), f64::from(state));
    }
    assert_eq!(host.series("ebpf_exporter_k16_total"), wanted);
}

/// The bindings of the C projects are those of wit/. `UPDATE_BINDINGS=1` writes them anew.
#[test]
fn the_bindings_for_c_are_current() {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("cargo")
        .current_dir(repository().join("tests/bindings"))
        .args(["run", "--quiet", "--locked", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings"))
        .arg("--")
        .args([&repository().join("wit"), out.path()])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for world in ["decoder", "shaper", "collector"] {
        for file in ["plugin.c", "plugin.h"] {
            let generated = fs::read_to_string(out.path().join(world).join(file)).unwrap();
            let kept = repository().join(format!("examples/{world}s/languages/c/bindings/{file}"));
            if std::env::var_os("UPDATE_BINDINGS").is_some() {
                fs::write(&kept, &generated).unwrap();
            }
            assert!(
                fs::read_to_string(&kept).unwrap() == generated,
                "{} is not what wit-bindgen makes of wit/: run this test with UPDATE_BINDINGS=1",
                kept.display()
            );
        }
    }
}
