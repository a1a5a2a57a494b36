//! Counters fed by samples that a program sends.

use crate::harness::event::{fire, watch_me};
use crate::harness::{Host, eventually, labels};

fn yaml(more: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: samples_total, help: Test., perf_event_array: true, {more} labels: [\
         {{name: argument, size: 4, decoders: [{{name: uint}}]}}, {{name: command, size: 16, decoders: [{{name: string}}]}}]}}]}}"
    )
}

#[test]
fn each_sample_counts_one() {
    let host = Host::start("perf-array", &yaml(""));
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
    fire(12, 1);
    let more = [("argument", "12"), ("command", "sampled")];
    eventually("counting goes on", || {
        (host.text().value("ebpf_exporter_samples_total", &more) == Some(3.0)).then_some(())
    });
}

#[test]
fn many_samples_are_counted_or_counted_as_lost() {
    const SENT: usize = 20_000;
    let host = Host::start("perf-array", &yaml(""));
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
fn counts_start_again_after_the_flush_interval() {
    let host = Host::start("perf-array", &yaml("flush_interval: 1s,"));
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
