//! `max_series` and `expire`: how many series a metric has, and how long they are shown.

use std::time::{Duration, Instant};

use crate::harness::Host;
use crate::harness::maps::number;
use crate::harness::parser::Series;

/// The counter of most tests here.
const HASH: &str = "ebpf_exporter_hash_total";
const OVER_LIMIT: &str = "exporter_host_series_over_limit_total";

fn host(bounds: &str) -> Host {
    let labels = "labels: [{name: n, size: 4, decoders: [{name: uint}]}]";
    Host::start(
        "maps",
        &format!(
            "metrics: {{counters: [{{name: hash_total, help: Test., {bounds}, {labels}}}]}}\nconfig_labels: {{team: kernel}}"
        ),
    )
}

/// The metric's series by `n`.
fn shown(host: &Host) -> Vec<(String, f64)> {
    listed(host.series(HASH))
}

fn listed(found: Series) -> Vec<(String, f64)> {
    let series = found.into_iter().map(|(labels, value)| {
        assert_eq!(labels["team"], "kernel", "{labels:?}");
        (labels["n"].clone(), value)
    });
    series.collect()
}

fn wanted(series: &[(&str, f64)]) -> Vec<(String, f64)> {
    let series = series.iter();
    series.map(|(n, value)| ((*n).to_owned(), *value)).collect()
}

#[test]
fn keys_over_the_limit_are_added_up_under_other() {
    let host = host("max_series: 2");
    let map = host.map("hash_total");
    for n in [1, 2] {
        map.set(&number(n), u64::from(n));
    }
    assert_eq!(shown(&host), wanted(&[("1", 1.0), ("2", 2.0)]));
    assert!(host.series(OVER_LIMIT).is_empty());
    for n in [0, 3, 4] {
        map.set(&number(n), 100 + u64::from(n));
    }
    for _ in 0..2 {
        assert_eq!(
            shown(&host),
            wanted(&[("1", 1.0), ("2", 2.0), ("other", 307.0)])
        );
    }
    let mut counted = host.series(OVER_LIMIT);
    counted
        .values_mut()
        .for_each(|value| assert_eq!(*value, 3.0));
    let labels: Vec<_> = counted.into_keys().collect();
    assert_eq!(labels.len(), 1);
    assert_eq!(
        (labels[0]["metric"].as_str(), labels[0].len()),
        ("hash_total", 2)
    );
    let warning = "metric hash_total: more series than its max_series: those of 3 further keys are added up under `other`";
    assert!(host.log().contains(warning), "{}", host.log());
}

#[test]
fn a_series_that_stands_still_is_left_out_until_it_moves() {
    // In one format: what is left out may change between two scrapes.
    let host = host("expire: 300ms");
    let map = host.map("hash_total");
    map.set(&number(1), 5);
    map.set(&number(2), 1);
    let patience = Instant::now() + Duration::from_secs(30);
    let mut value = 1_i32;
    loop {
        let found = listed(host.text().series(HASH));
        let moving = wanted(&[("2", f64::from(value))]);
        if found == moving {
            break;
        }
        let both = wanted(&[("1", 5.0), ("2", f64::from(value))]);
        assert_eq!(found, both, "the one that moves is always there");
        assert!(Instant::now() < patience, "still there: {found:?}");
        value += 1;
        map.set(&number(2), u64::try_from(value).unwrap());
    }
    map.set(&number(1), 6);
    let found = listed(host.text().series(HASH));
    assert_eq!(found.first(), wanted(&[("1", 6.0)]).first());
}
