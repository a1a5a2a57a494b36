use std::fs;

use super::*;

fn read_text(text: &str) -> Result<Sidecar, Vec<String>> {
    let path = Arc::new(PathBuf::from("p.plugin.yaml"));
    read(&path, text.as_bytes())
        .map(|(sidecar, warnings)| {
            assert!(warnings.is_empty(), "{warnings:?}");
            sidecar
        })
        .map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_that_can_be_granted() {
    let digest = Digest::of(b"plugin");
    let sidecar = read_text(&format!(
        "sha256: {digest}
grants:
  read: [/proc/stat, \"/sys/class/net/*/statistics/*\"]
  file_systems: [/, /home]
  tcp: [\"192.168.1.0/24:65001\", \"hdhr.lan:65001\", \"[fd00::]/8:80\"]
  udp: []
  dns: [HDHR.lan]
  kernel: [symbols, cgroups, interfaces, block-devices, pci]
  env: {{TZ: UTC, LEVEL: 3}}
  clock: true
limits:
  memory: 32MiB
  cpu: 250ms
  output: 8MiB
  series: 20000
  instances: 2
"
    ))
    .unwrap();
    assert_eq!(sidecar.sha256, Some(digest));
    let Grants {
        read,
        file_systems,
        tcp,
        udp,
        dns,
        kernel,
        env,
        clock,
    } = sidecar.grants;
    let texts = |patterns: &[PathPattern]| -> Vec<String> {
        patterns.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        texts(&read),
        ["/proc/stat", "/sys/class/net/*/statistics/*"]
    );
    assert_eq!(texts(&file_systems), ["/", "/home"]);
    let tcp: Vec<String> = tcp.iter().map(ToString::to_string).collect();
    assert_eq!(
        tcp,
        ["192.168.1.0/24:65001", "hdhr.lan:65001", "[fd00::]/8:80"]
    );
    assert!(udp.is_empty() && clock);
    assert_eq!(dns, ["hdhr.lan"]);
    assert_eq!(kernel.len(), 5);
    assert_eq!(
        env,
        [("TZ".into(), "UTC".into()), ("LEVEL".into(), "3".into())]
    );
    assert_eq!(
        sidecar.limits,
        Limits {
            memory: Some(32 << 20),
            cpu: Some(Duration::from_millis(250)),
            output: Some(8 << 20),
            series: Some(20_000),
            instances: Some(2),
        }
    );
}

#[test]
fn nothing_is_granted_unless_it_is_written() {
    for text in ["grants:", "limits: {}", "grants: {read: }"] {
        let sidecar = read_text(text).unwrap();
        assert_eq!(sidecar.grants, Grants::default(), "{text}");
        assert_eq!(sidecar.limits, Limits::default(), "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    let diagnostics = read_text(
        "shar256: x
sha256: abc
grants:
  raed: [/proc/stat]
  read: [proc/stat, /proc/meminfo, [a]]
  tcp: 10.0.0.1:80
  udp: [\"10.0.0.1\"]
  dns: [\"a b\"]
  kernel: [symbol, machine]
  env: [A]
  clock: maybe
limits:
  memory: 32
  cpu: 5
  output: 9GiB
  series: 0
  instances: many
",
    )
    .unwrap_err();
    let expected = [
        "1:1: error: unknown key `shar256` in a plugin's sidecar, did you mean `sha256`?",
        "2:9: error: expected the SHA-256 of the plugin's file as 64 hexadecimal digits for `sha256`, found `abc`: `sha256sum` prints it",
        "4:3: error: unknown key `raed` in `grants`, did you mean `read`?",
        "5:10: error: the path pattern `proc/stat` is not absolute: start it with `/`",
        "5:36: error: expected a text for an item of `read`, found a list",
        "6:8: error: expected a list of endpoints for `tcp`, found `10.0.0.1:80`: write `- …` or `[…]`",
        "7:9: error: the endpoint `10.0.0.1` has no port: expected an address, a network or a name with a port, such as `192.168.1.0/24:65001`, `[fd00::]/8:80`, `device.lan:*`",
        "8:9: error: `dns` has `a b`, which is neither an address nor a host's name",
        "9:12: error: unknown kernel fact `symbol`, did you mean `symbols`?",
        "9:20: error: `machine` needs no grant: every plugin may ask for it",
        "10:8: error: expected `env` as a mapping of names to values, found a list",
        "11:10: error: expected `true` or `false` for `clock`, found `maybe`",
        "13:11: error: the size `32` has no unit: add one of B, KiB, MiB, GiB",
        "14:8: error: `cpu`: the duration `5` has a number without a unit: add one of ns, us, ms, s, m, h",
        "15:11: error: `output` is `9GiB`: expected 1 KiB to 1024 MiB",
        "16:11: error: `series` is 0: expected 1 to 10000000",
        "17:14: error: expected an integer for `instances`, found `many`",
    ];
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("p.plugin.yaml:{line}"))
        .collect();
    assert_eq!(diagnostics, expected);
}

#[test]
fn a_file_that_says_nothing_is_an_error() {
    let diagnostics = read_text("").unwrap_err();
    assert_eq!(
        diagnostics,
        [
            "p.plugin.yaml: error: the file is empty: expected a mapping with `grants`, `limits` or `sha256`"
        ]
    );
}

#[test]
fn a_directory_is_checked_for_sidecars_without_a_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    for name in ["good", "bad", "a.b", "misnamed"] {
        write(&format!("{name}.wasm"), "");
    }
    write("good.plugin.yaml", "grants: {clock: true}");
    write("a.b.plugin.yaml", "grants: {clock: true}");
    write("bad.plugin.yaml", "grant: {}");
    write("alone.plugin.yaml", "grants: {clock: true}");
    write("misnamed.plugin.yml", "grants: {clock: true}");
    write(".hidden.plugin.yaml", "");
    let diagnostics: Vec<String> = check(dir.path())
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let at = dir.path().display();
    assert_eq!(
        diagnostics,
        [
            format!(
                "{at}/alone.plugin.yaml: warning: there is no plugin {at}/alone.wasm beside it"
            ),
            format!(
                "{at}/bad.plugin.yaml:1:1: error: unknown key `grant` in a plugin's sidecar, did you mean `grants`?"
            ),
            format!(
                "{at}/misnamed.plugin.yml: warning: this is not read: rename it to {at}/misnamed.plugin.yaml"
            ),
        ]
    );
    assert_eq!(orphans(dir.path()).unwrap().len(), 2);
    let load = |name: &str| load(&dir.path().join(name));
    assert!(load("good.wasm").unwrap().unwrap().grants.clock);
    assert!(load("a.b.wasm").unwrap().is_some());
    assert!(load("none.wasm").unwrap().is_none());
    assert!(load("bad.wasm").is_err());
}
