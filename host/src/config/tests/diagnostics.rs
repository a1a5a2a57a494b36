//! What is wrong with a file, and where.

use std::path::PathBuf;
use std::sync::Arc;

use super::{diagnostics, read, with_counter, with_decoder, with_histogram};
use crate::config::{Strictness, read_unit};

#[test]
fn what_is_wrong_with_the_text_is_said() {
    for (yaml, expected) in [
        (
            "",
            ": error: the file is empty: expected a mapping with `metrics`",
        ),
        (
            "# nothing\n",
            ": error: the file is empty: expected a mapping with `metrics`",
        ),
        (
            "- 1\n",
            ":1:1: error: expected a unit as a mapping of keys, found a list",
        ),
        (
            "metrics: [\n",
            ":2:1: error: not YAML: while parsing a node, did not find expected node content",
        ),
        (
            "metrics:\n\tcounters: []\n",
            ":2:2: error: not YAML: tabs disallowed within this context (block indentation): indent with spaces",
        ),
        (
            "a: b: c\n",
            ":1:5: error: not YAML: mapping values are not allowed in this context: a text that contains `: ` needs quotes",
        ),
        (
            "metrics: {counters: []}\nx: \0\n",
            ":2:4: error: a NUL byte: expected text in UTF-8 (a binary file, or UTF-16?)",
        ),
        (
            "metrics: {counters: []}\n---\nother: 1\n",
            ":2:1: warning: another document starts here: only the first one of a file is read",
        ),
        (
            "metrics: {}\nmetrics: {counters: []}\n",
            ":2:1: warning: duplicate key `metrics`: it is already at 1:1, this one counts",
        ),
        (
            "metrics: &a [*a]\n",
            ":1:14: error: an alias inside the very node it refers to",
        ),
        (
            "metrics: *no\n",
            ":1:10: error: not YAML: while parsing node, found unknown anchor",
        ),
        (
            "[a]: 1\n",
            ":1:3: error: expected a text as key, found a list",
        ),
        (
            "<<: 5\nmetrics: {counters: []}\n",
            ":1:5: error: expected a mapping to merge with `<<`, found `5`",
        ),
    ] {
        assert_eq!(diagnostics(yaml), expected, "{yaml}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_have_a_place() {
    let file = Arc::new(PathBuf::from("u.yaml"));
    let found = read_unit(
        "u",
        &file,
        b"a: 1\nb: \xc3\xa4\xff\n",
        Strictness::default(),
    )
    .unwrap_err();
    assert_eq!(
        found.diagnostics[0].to_string(),
        "u.yaml:2:5: error: a byte that is not UTF-8: save the file as UTF-8"
    );
}

#[test]
fn a_bomb_of_aliases_is_an_error() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        yaml.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(diagnostics(&yaml).ends_with("the file has more than 200000 values, with aliases written out: split it into several units"));
}

#[test]
fn depth_is_bounded_with_aliases_and_without() {
    let direct = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        diagnostics(&direct),
        ":1:67: error: more than 64 levels of lists and mappings"
    );
    let mut chained = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        chained.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(diagnostics(&chained).contains("more than 64 levels of lists and mappings"));
}

#[test]
fn every_problem_of_a_file_is_found_at_once() {
    let yaml = "\
metrics:
  counters:
    - nmae: a
      help: h
      labels:
        - name: pid
          decoders: []
        - name: __x
          size: -4
          decoders:
            - uint
        - {name: y, size: 4, decoders: [{name: regexp, regexps: ['a(']}]}
    - name: b-c
      labels: {}
      perf_event_array: maybe
      flush_interval: 90
  histograms:
    - name: h
      help: h
      bucket_type: exp
colour: red
kaddrs: x
cgroup_id_map: {name: m, type: tree, regexps: ['[']}
";
    assert_eq!(
        diagnostics(yaml),
        ":3:7: warning: unknown key `nmae` in a counter, did you mean `name`?\n\
:3:7: error: a counter needs a `name`\n\
:7:21: error: the label `pid` needs `decoders`: at least one, e.g. `- name: uint`\n\
:8:17: error: the label name `__x` starts with `__`, which Prometheus keeps for itself\n\
:9:17: error: expected a number of bytes from 1 to 65535 for `size`, found -4\n\
:11:15: error: expected a decoder as a mapping of keys, found `uint`: write `name: uint`\n\
:12:66: error: the regular expression `a(` does not compile: unclosed group\n\
:13:7: error: the counter `b-c` needs a `help`: one sentence for its readers\n\
:13:13: error: the metric name `b-c` has a '-', but a metric's name is made of letters, digits, `_` and `:`: write `b_c`?\n\
:14:15: error: expected a list of labels for `labels`, found a mapping: write `- …` or `[…]`\n\
:15:25: error: expected `true` or `false` for `perf_event_array`, found `maybe`\n\
:16:23: error: expected at least 1ms for `flush_interval`, found `90`: a bare number is nanoseconds, write e.g. `90s`\n\
:18:7: error: a histogram needs at least one label: the last one is the bucket\n\
:20:20: error: unknown bucket type `exp`, did you mean `exp2`?\n\
:21:1: warning: unknown key `colour` in a unit (it is ignored)\n\
:22:9: error: expected a list of kernel symbols for `kaddrs`, found `x`: write `- …` or `[…]`\n\
:23:32: error: unknown type `tree` of `cgroup_id_map`: expected `hash` or `cgrp_storage`\n\
:23:48: error: the regular expression `[` does not compile: unclosed character class"
    );
}

#[test]
fn problems_of_fields_are_said() {
    for (yaml, expected) in [
        (
            "kaddrs: [x]\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`",
        ),
        (
            "metrics:\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`",
        ),
        (
            "metrics: {counter: []}\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`\n\
             :1:11: warning: unknown key `counter` in `metrics`, did you mean `counters`?",
        ),
        (
            "metrics: 5\n",
            ":1:10: error: expected `metrics` as a mapping of keys, found `5`",
        ),
        (
            "metrics: {counters: {name: c}}\n",
            ":1:21: error: expected a list of counters for `counters`, found a mapping: write `- …` or `[…]`",
        ),
        (
            "namespace: a-b\nmetrics: {counters: []}\n",
            ":1:12: error: the namespace `a-b` has a '-', but a metric's name is made of letters, digits, `_` and `:`: write `a_b`?",
        ),
        (
            "object: ''\nmetrics: {counters: []}\n",
            ":1:9: error: expected the path of a BPF object for `object`, found an empty text",
        ),
        (
            "cgroup_id_map: {name: m}\nmetrics: {counters: []}\n",
            ":1:16: warning: `cgroup_id_map` has no `regexps`: no cgroup will be in it",
        ),
        (
            &with_counter("labels: 5"),
            ":3:34: error: expected a list of labels for `labels`, found `5`: write `- …` or `[…]`",
        ),
        (
            &with_counter("perf_event_array: 'yes'"),
            ":3:44: error: expected `true` or `false` for `perf_event_array`, found the text `yes` in quotes: remove the quotes",
        ),
        (
            &with_counter("flush_interval: 10s"),
            ":3:42: warning: `flush_interval` has no effect without `perf_event_array: true` or `ringbuf: true`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: soon"),
            ":3:66: error: `flush_interval`: expected a duration such as `90s` or `1h30m`, found `soon`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: -1"),
            ":3:66: error: expected a positive duration such as `90s` for `flush_interval`, found `-1`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: [1]"),
            ":3:66: error: expected a duration such as `90s` for `flush_interval`, found a list",
        ),
        (
            &with_counter("ringbuf: true, perf_event_array: true"),
            ":3:35: error: `perf_event_array` and `ringbuf` exclude each other: samples come through one of them",
        ),
        (
            &with_counter(
                "map: m, ringbuf: true, labels: []}\n    - {name: d, help: h, map: m, ringbuf: true",
            ),
            ":4:7: error: the ring buffer `m` is read by the metric `c` already, and each sample can be read once: send to another one",
        ),
        (
            &with_counter("max_series: 0"),
            ":3:38: error: expected a number of series from 1 on for `max_series`, found 0",
        ),
        (
            &with_counter("departed: maybe"),
            ":3:36: error: expected `keep` or `drop` for `departed`, found `maybe`",
        ),
        (
            &with_counter("max_series: many"),
            ":3:38: error: expected an integer for `max_series`, found `many`",
        ),
        (
            &with_counter("expire: 0"),
            ":3:34: error: expected a duration such as `10m` for `expire`, found 0: leave it out for series that stay",
        ),
        (
            &with_counter("expire: 10"),
            ":3:34: error: `expire`: the duration `10` has a number without a unit: add one of ns, us, ms, s, m, h",
        ),
        (
            &with_counter("labels: [{name: l, size: 4.5, decoders: [{name: uint}]}]"),
            ":3:51: warning: expected an integer for `size`, found `4.5`: read as 4",
        ),
        (
            &with_counter("labels: [{name: l, size: '4', decoders: [{name: uint}]}]"),
            ":3:51: error: expected an integer for `size`, found the text `4` in quotes: remove the quotes",
        ),
        (
            &with_counter("labels: [{name: l, size: 0, decoders: [{name: uint}]}]"),
            ":3:51: error: expected a number of bytes from 1 to 65535 for `size`, found 0",
        ),
        (
            &with_counter("labels: [{name: l, size: 99999, decoders: [{name: uint}]}]"),
            ":3:51: error: expected a number of bytes from 1 to 65535 for `size`, found 99999",
        ),
        (
            &with_counter(
                "labels: [{name: l, size: 1, decoders: [{name: uint}]}, {name: l, size: 1, decoders: [{name: uint}]}]",
            ),
            ":3:81: error: duplicate label `l`: it is already at 3:35",
        ),
        (
            &with_decoder("{static_map: {}}"),
            ":9:15: error: a decoder needs a `name`, e.g. `uint`",
        ),
        (
            &with_decoder("{name: static_map, static_map: [a]}"),
            ":9:46: error: expected a mapping of texts for `static_map`, found a list",
        ),
        (
            &with_decoder("{name: static_map, static_map: {a: [b]}}"),
            ":9:50: error: expected a text for a value of `static_map`, found a list",
        ),
        (
            &with_decoder("{name: regexp, regexps: a}"),
            ":9:39: error: expected a list of regular expressions for `regexps`, found `a`: write `- …` or `[…]`",
        ),
        (
            &with_histogram("bucket_type: exp2"),
            ":3:7: error: a histogram of the bucket type `exp2` needs a `bucket_max`: the last finite bucket",
        ),
        (
            &with_histogram("bucket_type: exp2, bucket_max: 0"),
            ":3:113: error: expected a `bucket_max` greater than `bucket_min`, found 0 and 0",
        ),
        (
            &with_histogram("bucket_type: exp2, bucket_max: 2000"),
            ":3:113: error: expected a `bucket_max` of at most 1023 (a power of two), found 2000",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 10000"),
            ":3:115: error: expected at most 10000 buckets, found `bucket_min` 0 and `bucket_max` 10000",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_multiplier: -1"),
            ":3:137: error: expected a positive number for `bucket_multiplier`, found `-1`",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_multiplier: .inf"),
            ":3:137: error: expected a number for `bucket_multiplier`, found `.inf`",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_keys: [1]"),
            ":3:131: warning: `bucket_keys` has no effect on the bucket type `linear`, only on `fixed`",
        ),
        (
            &with_histogram("bucket_type: fixed"),
            ":3:7: error: a histogram of the bucket type `fixed` needs `bucket_keys`: the list of its buckets' upper bounds",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: []"),
            ":3:115: error: expected at least one number in `bucket_keys`, found none",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: [1, 3, 2]"),
            ":3:115: warning: `bucket_keys` are not in ascending order, 2 comes after 3: they are sorted",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: [1, x]"),
            ":3:119: error: expected a number for an item of `bucket_keys`, found `x`",
        ),
        (
            "metrics: {histograms: [{name: h, help: h, bucket_type: exp2, bucket_max: 5}]}\n",
            ":1:24: error: a histogram needs at least one label: the last one is the bucket",
        ),
        (
            "metrics:\n  counters: [{name: a, help: h}, {name: h_sum, help: h}]\n  gauges: [{name: a, help: h}]\n  histograms:\n  - {name: h, help: h, \
             bucket_type: exp2, bucket_max: 5, labels: [{name: le, size: 4, decoders: [{name: uint}]}, {name: b, size: 4, decoders: [{name: uint}]}]}\n",
            ":3:12: error: duplicate metric `a`: it is already at 2:14\n\
             :5:67: error: the label name `le` of a histogram is taken by its buckets: choose another",
        ),
        (
            "metrics:\n  counters: [{name: a, help: h}, {name: h_sum, help: h}]\n  histograms:\n  - {name: h, help: h, \
             bucket_type: exp2, bucket_max: 5, labels: [{name: b, size: 4, decoders: [{name: uint}]}]}\n",
            ":2:34: error: the metric `h_sum` clashes with the series of that name of the histogram `h` at 4:5",
        ),
        (
            "programs: [{name: timers, metrics: {counters: []}}]\n",
            ":1:11: error: this is a config of ebpf_exporter 1.x, whose `programs` are a list with code: since 2.0 each program is a unit of its own. \
             Move what is below its `metrics` to `metrics:` at the top of a file of its own, NAME.yaml, write its `code` against libbpf (the map of a \
             metric is called as the metric is, SEC() says what a program is attached to), and compile it to NAME.bpf.o beside the YAML",
        ),
    ] {
        assert_eq!(diagnostics(yaml), expected, "{yaml}");
    }
}

#[test]
fn a_file_of_something_else_is_not_listed_line_by_line() {
    let text: String = (0..50_000).map(|line| format!("k{line}: 1\n")).collect();
    let found = read(&text).unwrap_err();
    assert_eq!(found.len(), 101);
    assert_eq!(
        found[100].to_string(),
        "conf.d/sub/u.yaml: error: and 49901 more problems"
    );
}

/// Half-written files are read too: whatever they contain, the answer is a unit or problems with
/// places.
#[test]
fn no_text_is_too_broken_to_be_answered() {
    let good = with_decoder("{name: static_map, static_map: {1: 'a', \"b\": &x c, d: *x}}")
        + "  histograms:\n    - {name: h, help: >-\n        folded\n      }\nkaddrs: [a, b] # end\n--- |\n  x\n";
    let mut texts: Vec<String> = good
        .char_indices()
        .map(|(end, _)| good[..end].to_owned())
        .collect();
    // A fixed sequence of edits, so that a failure can be repeated (xorshift).
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces = [
        "\n", " ", "\t", ":", "- ", "[", "]", "{", "}", ",", "'", "\"", "|", ">", "&x", "*x", "?",
        "!", "%", "#", "<<: ", "\u{feff}", "ä", "\r",
    ];
    for _ in 0..3000 {
        let mut text = good.clone();
        for _ in 0..=random(3) {
            let at = (0..=random(text.len()))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            text.insert_str(at, pieces[random(pieces.len())]);
        }
        texts.push(text);
    }
    for text in texts {
        if let Err(diagnostics) = read(&text) {
            assert!(
                diagnostics.iter().any(crate::config::Diagnostic::is_error),
                "{text}"
            );
        }
    }
}
