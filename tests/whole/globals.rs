//! `globals`: values reach the program, and wrong ones are found before anything runs.

use std::fs;

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::{Host, Setup, http};

const METRICS: &str = "metrics:\n  gauges: [{name: global_values, help: Test., labels: [\
    {name: of, size: 4, decoders: [{name: uint}]}, {name: index, size: 4, decoders: [{name: uint}]}]}]\n  \
    counters: [{name: asked_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]\n";

const GLOBALS: &str = "globals:\n  big: 0xffffffffffffffff\n  below: -9223372036854775807\n  small: 65535\n  tiny: -128\n  on: yes\n  \
    mode: MODE_FAST\n  name: \"eve ☺\"\n  list: [1, 4294967295]\n  ratio: 0.5\n  variable: 4\n";

fn start(globals: &str) -> Host {
    let host = Setup::new()
        .unit("unit", "globals", &format!("{globals}{METRICS}"))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    watch_me(&host);
    host
}

/// The values of a global by index.
fn values(host: &Host, of: u32) -> Vec<String> {
    let start = "ebpf_exporter_global_values{index=\"";
    let end = format!("\",of=\"{of}\"}} ");
    let text = host.fetch(crate::harness::parser::Format::OpenMetrics);
    let lines = text.lines().filter_map(|line| line.strip_prefix(start));
    let mut values: Vec<(u32, String)> = lines
        .filter_map(|line| line.split_once(&end))
        .map(|(index, value)| (index.parse().unwrap(), value.to_owned()))
        .collect();
    values.sort();
    values.into_iter().map(|(_, value)| value).collect()
}

fn asked(host: &Host) -> Option<f64> {
    host.text()
        .value("ebpf_exporter_asked_total", &[("n", "3")])
}

#[test]
fn values_reach_the_program() {
    let host = start(GLOBALS);
    fire(3, 1);
    assert_eq!(values(&host, 0), ["18446744073709551615"]);
    assert_eq!(values(&host, 1), ["9223372036854775807"]);
    assert_eq!(values(&host, 2), ["65535"]);
    assert_eq!(values(&host, 3), ["128"]);
    assert_eq!(values(&host, 4), ["1"]);
    assert_eq!(values(&host, 5), ["70000"]);
    let name: Vec<u8> = values(&host, 6)
        .iter()
        .map(|byte| byte.parse::<u64>().unwrap() as u8)
        .collect();
    assert_eq!(name, "eve ☺\0".as_bytes());
    // What the list leaves over is zero, whatever the object had there.
    assert_eq!(values(&host, 7), ["1", "4294967295", "0", "0"]);
    assert_eq!(values(&host, 8), [0.5_f64.to_bits().to_string()]);
    assert_eq!(values(&host, 9), ["4"]);
}

#[test]
fn what_is_wrong_is_found_without_a_kernel() {
    let yaml = format!(
        "globals:\n  bigg: 1\n  small: 65536\n  mode: MODE_FAS\n  name: \"12345678\"\n  on: 2\n  list: [1, 2, 3, 4, 5]\n  folded: [1]\n  below: \"5\"\n{METRICS}"
    );
    let setup = Setup::new().unit("unit", "globals", &yaml);
    let checked = Setup::verb(&["check", setup.path().to_str().unwrap()]).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    let found: Vec<&str> = checked
        .stdout
        .lines()
        .filter_map(|line| line.split_once("unit.yaml:").map(|(_, rest)| rest))
        .collect();
    let path = setup.path().join("unit.bpf.o");
    let first = format!(
        "2:3: error: the BPF object {} has no global variable `bigg`, did you mean `big`?",
        path.display()
    );
    let expected = [
        first.as_str(),
        "3:10: error: expected an integer from 0 to 65535 for the global variable `small`, found `65536`",
        "4:9: error: expected a name of its enum for the global variable `mode`, found `MODE_FAS`, did you mean `MODE_FAST`?",
        "5:9: error: expected a text of at most 7 bytes for the global variable `name`, found `12345678`",
        "6:7: error: expected `true` or `false` for the global variable `on`, found `2`",
        "7:9: error: expected a list of at most 4 for the global variable `list`, found a list of 5",
        "8:3: error: the global variable `folded` is `const` without `volatile`, so its value is in the program's code: declare it `const volatile`",
        "9:10: error: expected an integer from -9223372036854775808 to 9223372036854775807 for the global variable `below`, found `5`",
    ];
    assert_eq!(found, expected);

    let ended = setup.run();
    assert_eq!(ended.code, Some(1));
    for line in expected {
        assert_says(&ended.log, &[line]);
    }
}

#[test]
fn another_value_is_another_version_whose_counts_go_on() {
    let host = start("globals: {small: 1}\n");
    fire(3, 2);
    assert_eq!(values(&host, 2), ["1"]);
    let write = |globals: &str| {
        fs::write(host.path().join("unit.yaml"), format!("{globals}{METRICS}")).unwrap();
        http::request(host.address(), "POST", "/-/reload", &[])
    };
    let response = write("globals: {small: 2}\n");
    assert!(
        response.text().contains("unit: replace"),
        "{}",
        response.text()
    );
    fire(3, 1);
    assert_eq!(values(&host, 2), ["2"]);
    assert_eq!(asked(&host), Some(3.0));

    let response = write("globals: {small: -1}\n");
    assert!(
        response
            .text()
            .contains("expected an integer from 0 to 65535"),
        "{}",
        response.text()
    );
    fire(3, 1);
    assert_eq!(values(&host, 2), ["2"], "the version before goes on");
    assert_eq!(asked(&host), Some(4.0));

    // Without the key the object's own value is back.
    assert!(write("").text().contains("unit: replace"));
    fire(3, 1);
    assert_eq!(values(&host, 2), ["7"]);
    assert_eq!(asked(&host), Some(5.0));
}
