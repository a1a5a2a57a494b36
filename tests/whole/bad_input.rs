//! Everything that can be wrong with what the operator hands over: a sentence for each, and all
//! else goes on.

use std::fs;
use std::net::TcpListener;

use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::objects::object;
use crate::harness::{Host, Setup, series};

const GOOD: &str = "metrics: {counters: [{name: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

/// A YAML with one counter on a map with keys of four bytes.
fn counter(map: &str, decoder: &str) -> String {
    format!(
        "metrics:\n  counters:\n    - name: {map}\n      help: Test.\n      labels:\n        - name: n\n          size: 4\n          decoders:\n            - name: {decoder}\n"
    )
}

fn serves_good(host: &Host) {
    host.map("hash_total").set(&number(1), 42);
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("n", &[("1", 42.0)]),
        "the good unit serves"
    );
    assert_eq!(host.get("/-/healthy", &[]).status, 200);
}

/// The unit `bad` fails with a line that has all these words, and costs nobody else anything. With
/// --config.strict, alone or not, the host ends.
fn fails(bad: impl Fn(Setup) -> Setup, words: &[&str]) {
    let host = bad(Setup::new().unit("good", "maps", GOOD)).start();
    serves_good(&host);
    assert_says(&host.log(), words);
    host.stop();
    fails_without_others(&bad, words);
    let strict = bad(Setup::new().unit("good", "maps", GOOD))
        .argument("--config.strict")
        .run();
    assert_eq!(strict.code, Some(1), "--config.strict: {}", strict.log);
    strict.says(words);
}

fn fails_without_others(bad: impl Fn(Setup) -> Setup, words: &[&str]) {
    let only_bad = bad(Setup::new()).run();
    assert_eq!(only_bad.code, Some(1), "nothing can run: {}", only_bad.log);
    only_bad.says(words);
}

fn yaml_fails(yaml: &str, words: &[&str]) {
    let mut words = words.to_vec();
    words.push("bad.yaml");
    fails(|setup| setup.unit("bad", "maps", yaml), &words);
}

#[test]
fn a_yaml_that_does_not_parse() {
    yaml_fails(
        "metrics:\n  counters:\n    - name: [hash_total\n      help: x\n",
        &["bad.yaml:"],
    );
}

#[test]
fn a_yaml_that_is_not_text() {
    fails(
        |setup| {
            setup
                .unit("bad", "maps", "")
                .file("bad.yaml", [0xff, 0xfe, 0, 1])
        },
        &["bad.yaml"],
    );
}

#[test]
fn an_empty_yaml() {
    yaml_fails("", &[]);
}

#[test]
fn a_yaml_of_the_wrong_shape() {
    yaml_fails("metrics: {counters: 5}", &["counters"]);
}

#[test]
fn an_unknown_decoder() {
    yaml_fails(
        &counter("k4_total", "inet_ipp"),
        &["bad.yaml:9:", "inet_ipp", "inet_ip`"],
    );
}

#[test]
fn all_problems_of_a_file_at_once() {
    let yaml = "metrics:\n  counters:\n    - name: k4_total\n      labels:\n        - name: n\n          size: 4\n          decoders: [{name: uin}]\n    - help: Test.\n";
    let ended = Setup::new().unit("bad", "maps", yaml).run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["bad.yaml:3", "help"]);
    ended.says(&["bad.yaml:7", "uin"]);
    ended.says(&["bad.yaml:8", "name"]);
}

#[test]
fn a_bad_regular_expression() {
    yaml_fails(
        "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: string}, {name: regexp, regexps: ['(']}]}]}]}",
        &["regular expression", "("],
    );
}

#[test]
fn labels_that_do_not_add_up_to_the_key() {
    yaml_fails(&counter("k8_total", "uint"), &["k8_total", "4", "8"]);
}

#[test]
fn values_that_are_no_numbers_of_eight_bytes() {
    yaml_fails(
        &counter("narrow_total", "uint"),
        &["narrow_total", "4", "8"],
    );
}

#[test]
fn a_map_that_is_not_there() {
    yaml_fails(&counter("k44_total", "uint"), &["k44_total"]);
}

#[test]
fn an_unknown_bucket_type() {
    yaml_fails(
        "metrics: {histograms: [{name: h4, help: Test., bucket_type: exp3, bucket_min: 0, bucket_max: 3, labels: [{name: bucket, size: 4, decoders: [{name: uint}]}]}]}",
        &["exp3", "exp2"],
    );
}

#[test]
fn a_histogram_without_buckets() {
    yaml_fails(
        "metrics: {histograms: [{name: h4, help: Test., bucket_type: fixed, bucket_keys: [], labels: [{name: bucket, size: 4, decoders: [{name: uint}]}]}]}",
        &["bucket_keys"],
    );
}

#[test]
fn a_metric_name_that_prometheus_does_not_take() {
    yaml_fails(
        "metrics: {counters: [{name: 'k4 total', map: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}",
        &["k4 total"],
    );
}

#[test]
fn a_label_twice() {
    yaml_fails(
        "metrics: {counters: [{name: k8_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}, {name: n, size: 4, decoders: [{name: uint}]}]}]}",
        &["label", "n"],
    );
}

#[test]
fn a_yaml_of_ten_megabytes() {
    let mut yaml = counter("k4_total", "uint");
    while yaml.len() < 10 << 20 {
        yaml.push_str(
            "# a comment that goes on and on, as if somebody had left a log here by mistake\n",
        );
    }
    fails(|setup| setup.unit("bad", "maps", &yaml), &["bad.yaml"]);
}

#[test]
fn a_yaml_that_unfolds_without_end() {
    // Each anchor is ten of the one before it.
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        yaml.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    yaml.push_str("metrics: {counters: *a9}\n");
    yaml_fails(&yaml, &[]);
}

#[test]
fn a_yaml_of_deep_brackets() {
    yaml_fails(&format!("metrics: {}", "[".repeat(100_000)), &[]);
}

#[test]
fn an_object_that_is_missing() {
    fails(
        |setup| setup.file("bad.yaml", counter("k4_total", "uint")),
        &["bad", "bad.bpf.o"],
    );
}

fn object_fails(content: &[u8], words: &[&str]) {
    let mut words = words.to_vec();
    words.push("bad.bpf.o");
    fails(
        |setup| {
            setup
                .file("bad.yaml", counter("k4_total", "uint"))
                .file("bad.bpf.o", content)
        },
        &words,
    );
}

#[test]
fn an_object_that_is_cut_short() {
    let whole = fs::read(object("maps")).unwrap();
    object_fails(&whole[..whole.len() / 2], &[]);
}

#[test]
fn an_object_that_is_damaged() {
    // Neither of these is to take the host down, and the good unit is served. What the damage does
    // to the bad one is not foreseeable.
    let whole = fs::read(object("maps")).unwrap();
    for step in [7, 64, 333] {
        let mut damaged = whole.clone();
        damaged
            .iter_mut()
            .skip(64)
            .step_by(step)
            .for_each(|byte| *byte ^= 0xff);
        let host = Setup::new()
            .unit("good", "maps", GOOD)
            .file("bad.yaml", counter("k4_total", "uint"))
            .file("bad.bpf.o", damaged)
            .start();
        serves_good(&host);
    }
}

#[test]
fn an_object_that_is_empty() {
    object_fails(&[], &[]);
}

#[test]
fn an_object_that_is_text() {
    object_fails(b"int main(void) { return 0; }\n", &[]);
}

#[test]
fn an_object_that_is_a_program_for_this_machine() {
    object_fails(&fs::read("/bin/true").unwrap(), &[]);
}

#[test]
fn a_program_that_the_verifier_refuses() {
    fails(
        |setup| setup.unit("bad", "refused", &counter("refused_total", "uint")),
        &["bad", "reads_anything"],
    );
}

#[test]
fn a_unit_of_which_nothing_attaches_serves_on() {
    let host = Setup::new()
        .unit("good", "maps", GOOD)
        .unit("bad", "only-kprobe", &counter("kprobe_total", "uint"))
        .start();
    serves_good(&host);
    assert_says(&host.log(), &["bad", "impossible"]);
}

#[test]
fn a_kernel_symbol_that_is_not_there() {
    fails(
        |setup| {
            setup.unit("bad", "kaddrs", "kaddrs: [exporter_host_has_no_such_symbol]\nmetrics: {counters: [{name: addresses_total, help: Test., labels: [{name: n, size: 8, decoders: [{name: ksym}]}]}]}")
        },
        &["exporter_host_has_no_such_symbol"],
    );
}

#[test]
fn a_cgroup_map_that_is_not_there() {
    fails(
        |setup| {
            setup.unit(
                "bad",
                "maps",
                &format!(
                    "cgroup_id_map: {{name: nowhere, type: hash, regexps: ['x']}}\n{}",
                    counter("k4_total", "uint")
                ),
            )
        },
        &["nowhere"],
    );
}

#[test]
fn a_directory_that_does_not_exist() {
    let ended = Setup::new().argument("--config.dir=/does/not/exist").run();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    ended.says(&["/does/not/exist"]);
}

#[test]
fn a_directory_that_is_a_file() {
    let ended = Setup::new().argument("--config.dir=/etc/passwd").run();
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    ended.says(&["/etc/passwd"]);
}

#[test]
fn a_directory_with_nothing_in_it() {
    let ended = Setup::new().run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    ended.says(&["exporter-host-test-"]);
}

#[test]
fn no_directory_at_all() {
    let ended = Setup::new().argument("--config.dir=").run();
    assert_ne!(ended.code, Some(0), "{}", ended.log);
    ended.says(&["--config.dir"]);
}

#[test]
fn a_name_without_a_unit() {
    let host = Setup::new()
        .unit("good", "maps", GOOD)
        .argument("--config.names=good,godo")
        .start();
    serves_good(&host);
    assert_says(&host.log(), &["godo"]);
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Setup::new()
        .unit("good", "maps", GOOD)
        .own_listener()
        .argument(format!("--web.listen-address={address}"))
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    ended.says(&[&address, "in use"]);
}

#[test]
fn an_address_that_is_none() {
    let ended = Setup::new()
        .unit("good", "maps", GOOD)
        .own_listener()
        .argument("--web.listen-address=nowhere")
        .run();
    assert_ne!(ended.code, Some(0), "{}", ended.log);
    ended.says(&["nowhere"]);
}

#[test]
fn a_btf_that_does_not_exist() {
    let ended = Setup::new()
        .unit("good", "maps", GOOD)
        .argument("--btf.path=/does/not/exist")
        .run();
    assert_ne!(ended.code, Some(0), "{}", ended.log);
    ended.says(&["/does/not/exist"]);
}

#[test]
fn a_flag_that_is_unknown() {
    let ended = Setup::new()
        .unit("good", "maps", GOOD)
        .argument("--config.nmaes=good")
        .run();
    assert_ne!(ended.code, Some(0));
    ended.says(&["--config.nmaes"]);
}

/// A file in the config directory that ends in .wasm and is no component that decodes anything.
fn plugin_fails(content: &[u8]) {
    let host = Setup::new()
        .unit("good", "maps", GOOD)
        .file("broken.wasm", content)
        .start();
    serves_good(&host);
    assert_says(&host.log(), &["broken.wasm"]);
}

#[test]
fn a_component_that_is_text() {
    plugin_fails(b"this is no component");
}

#[test]
fn a_component_that_is_empty() {
    plugin_fails(b"");
}

#[test]
fn a_component_that_is_a_module() {
    // The header of a core module: version 1, layer 0.
    plugin_fails(b"\0asm\x01\0\0\0");
}

#[test]
fn a_component_that_exports_nothing() {
    // The header of a component: version 13, layer 1.
    plugin_fails(b"\0asm\x0d\0\x01\0");
}

#[test]
fn a_label_that_is_not_utf8() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: string}]}]}]}";
    let host = Host::start("maps", yaml);
    host.map("k4_total").set(b"a\xf0\x28z", 1);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("a\u{fffd}(z", 1.0)])
    );
}
