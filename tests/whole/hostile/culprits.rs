//! Keys that make a decoder or shaper fail.

use super::{decoder, scrape, shaper, with_hostile};
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::{Body, eventually, labels};

/// A key that ends the call costs its own row. It is counted, named, and asked about again, less
/// and less often; keys that come later are served.
#[test]
fn a_key_that_traps_costs_its_own_row() {
    costs_its_own_row(&decoder("poison"), "k4_total", "trapped");
}

/// The same of a key that takes all of the call's time, within the scrape's.
#[test]
fn a_key_that_loops_costs_its_own_row() {
    costs_its_own_row(&decoder("poison-loop"), "k4_total", "CPU");
}

/// The same of a shaper.
#[test]
fn a_key_that_a_shaper_traps_on_costs_its_own_row() {
    costs_its_own_row(&shaper("poison"), "shaped_total", "trapped");
}

fn costs_its_own_row(yaml: &str, metric: &str, words: &str) {
    let host = with_hostile("").unit("bad", "maps", yaml).start();
    watch_me(&host);
    fire(1, 3);
    let map = host.map("k4_total");
    let set = |keys: std::ops::Range<u32>| keys.for_each(|key| map.set(&number(key), 1));
    let metric = format!("ebpf_exporter_{metric}");
    let served = |body: &Body| body.series(&metric).len();
    let errors = |body: &Body| {
        let name = "ebpf_exporter_decoder_errors_total";
        body.value(name, &[("config", "bad")]).unwrap_or_default()
    };
    set(0..40);
    // Finding one takes some calls, and a scrape some failures at most.
    eventually("all keys but two", || {
        (served(&scrape(&host)) == 38).then_some(())
    });
    set(40..60);
    // At once.
    let body = scrape(&host);
    assert_eq!(served(&body), 58, "{}", host.log());
    let body = scrape(&host);
    assert!(errors(&body) >= 2.0, "{}", errors(&body));
    // 0x37 is "7", which is one of the two.
    assert_says(&host.log(), &["bad", "hostile", words, "the input 0x"]);
    let before = failures_of_any_kind(&body);
    eventually("it is asked again", || {
        (failures_of_any_kind(&scrape(&host)) > before).then_some(())
    });
    let series = body.series(&metric);
    for poison in ["7", "13"] {
        assert!(!series.contains_key(&labels(&[("it", poison)])));
    }
}

fn failures_of_any_kind(body: &Body) -> f64 {
    let series = body.series("exporter_host_plugin_traps_total");
    series.values().sum()
}
