//! Counters fed by samples that a program sends.

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::{Host, Setup, eventually, labels};

/// The field of the YAML, and an object that sends so.
#[derive(Clone, Copy)]
struct Through {
    field: &'static str,
    object: &'static str,
}

const PERF_EVENT_ARRAY: Through = Through {
    field: "perf_event_array",
    object: "perf-array",
};
/// It has room for all that the tests send.
const RING_BUFFER: Through = Through {
    field: "ringbuf",
    object: "ring-buffer",
};

/// Its samples wake nobody.
const SILENT_RING_BUFFER: Through = Through {
    field: "ringbuf",
    object: "ring-buffer-silent",
};

impl Through {
    fn host(self, more: &str) -> Host {
        let field = self.field;
        let yaml = format!(
            "metrics: {{counters: [{{name: samples_total, help: Test., {field}: true, {more} labels: [\
             {{name: argument, size: 4, decoders: [{{name: uint}}]}}, {{name: command, size: 16, decoders: [{{name: string}}]}}]}}]}}"
        );
        Host::start(self.object, &yaml)
    }
}

/// A scrape sees what was sent before it, whether somebody was woken by it or not.
#[test]
fn a_scrape_sees_all_that_was_sent_before() {
    for through in [SILENT_RING_BUFFER, RING_BUFFER, PERF_EVENT_ARRAY] {
        let host = through.host("");
        watch_me(&host);
        for sent in 1..=3_u32 {
            fire(11, 1);
            let found: f64 = host.series("ebpf_exporter_samples_total").values().sum();
            assert_eq!(found, f64::from(sent), "{}", through.object);
        }
    }
}

#[test]
fn each_sample_counts_one_of_a_perf_event_array() {
    each_sample_counts_one(PERF_EVENT_ARRAY);
}

#[test]
fn each_sample_counts_one_of_a_ring_buffer() {
    each_sample_counts_one(RING_BUFFER);
}

fn each_sample_counts_one(through: Through) {
    let host = through.host("");
    crate::harness::sys::set_command(b"sampled");
    watch_me(&host);
    fire(11, 5);
    fire(12, 2);
    let wanted = [
        (labels(&[("argument", "11"), ("command", "sampled")]), 5.0),
        (labels(&[("argument", "12"), ("command", "sampled")]), 2.0),
    ];
    eventually("all samples are counted", || {
        let found = host.text().series("ebpf_exporter_samples_total");
        let total: f64 = found.values().sum();
        assert!(total <= 7.0, "no sample counts twice: {found:?}");
        (total == 7.0).then(|| assert_eq!(found, wanted.clone().into()))
    });
    assert_eq!(host.series("ebpf_exporter_samples_total"), wanted.into());
    // A ring buffer does not say what it dropped.
    let lost = host.series("exporter_host_lost_samples_total");
    assert_eq!(lost.is_empty(), through.field == RING_BUFFER.field);
    fire(12, 1);
    let more = [("argument", "12"), ("command", "sampled")];
    eventually("counting goes on", || {
        (host.text().value("ebpf_exporter_samples_total", &more) == Some(3.0)).then_some(())
    });
}

#[test]
fn many_samples_are_counted_or_counted_as_lost_of_a_perf_event_array() {
    many_samples_are_counted_or_counted_as_lost(PERF_EVENT_ARRAY);
}

#[test]
fn many_samples_are_counted_or_counted_as_lost_of_a_ring_buffer() {
    many_samples_are_counted_or_counted_as_lost(RING_BUFFER);
}

fn many_samples_are_counted_or_counted_as_lost(through: Through) {
    const SENT: usize = 20_000;
    let host = through.host("");
    watch_me(&host);
    fire(1, SENT);
    eventually("counted + lost = sent", || {
        let body = host.text();
        let counted: f64 = body.series("ebpf_exporter_samples_total").values().sum();
        let lost: f64 = body
            .samples()
            .filter(|s| s.name.contains("lost") && s.name.ends_with("_total"))
            .map(|s| s.value)
            .sum();
        (counted + lost == f64::from(u32::try_from(SENT).unwrap())).then_some(())
    });
}

#[test]
fn counts_start_again_after_the_flush_interval_of_a_perf_event_array() {
    counts_start_again_after_the_flush_interval(PERF_EVENT_ARRAY);
}

#[test]
fn counts_start_again_after_the_flush_interval_of_a_ring_buffer() {
    counts_start_again_after_the_flush_interval(RING_BUFFER);
}

fn counts_start_again_after_the_flush_interval(through: Through) {
    let host = through.host("flush_interval: 1s,");
    watch_me(&host);
    // Until a scrape falls between the event and the flush.
    eventually("a sample is seen", || {
        fire(5, 1);
        host.text()
            .value("ebpf_exporter_samples_total", &[("argument", "5")])
    });
    eventually("the flush takes the series away", || {
        host.text()
            .series("ebpf_exporter_samples_total")
            .is_empty()
            .then_some(())
    });
}

#[test]
fn a_map_of_another_kind_is_refused() {
    let yaml = "metrics: {counters: [{name: samples_total, help: Test., ringbuf: true, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Setup::new()
        .unit("crossed", PERF_EVENT_ARRAY.object, yaml)
        .unit("good", RING_BUFFER.object, yaml)
        .start();
    let why =
        "map `samples_total` is of the type PerfEventArray, `ringbuf` wants a BPF_MAP_TYPE_RINGBUF";
    assert_says(&host.log(), &["crossed", why]);
    watch_me(&host);
    fire(3, 1);
    eventually("the other unit counts", || {
        let value = host
            .text()
            .value("ebpf_exporter_samples_total", &[("n", "3")]);
        (value == Some(1.0)).then_some(())
    });
}
