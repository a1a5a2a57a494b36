//! From values to samples.

use serde_json::json;

use super::bench::{Recipe, Seen, text, uint};
use crate::exposition::Number;

#[test]
fn integers_are_exact_and_wrap() {
    let mut bench = Recipe::counter().label("id", 1, vec![uint()]).bench();
    let odd = (1 << 53) + 1;
    let scraped = bench.scrape(&[([0], odd), ([1], u64::MAX)]);
    assert_eq!(
        scraped.text(),
        format!("id=\"0\" {odd}, id=\"1\" {}", u64::MAX)
    );
    let mut merged = Recipe::counter().padded("id", 1, 1, vec![uint()]).bench();
    let scraped = merged.scrape(&[([0, 0], u64::MAX), ([0, 1], 3)]);
    assert_eq!(scraped.text(), "id=\"0\" 2", "as the kernel's own counters");
    let scraped = merged.scrape(&[([0, 0], odd), ([0, 1], odd)]);
    assert_eq!(scraped.text(), format!("id=\"0\" {}", 2 * odd));
}

#[test]
fn cpus_are_summed() {
    let mut bench = Recipe::counter()
        .label("id", 1, vec![uint()])
        .per_cpu(3)
        .bench();
    let scraped = bench.scrape_cpus(&[([0], [1, 2, 4]), ([1], [u64::MAX, 1, 5])]);
    assert_eq!(scraped.text(), "id=\"0\" 7, id=\"1\" 5");
    assert_eq!(scraped.counts(), (2, 0, 2));
}

#[test]
fn cpus_are_split_where_they_are_a_label() {
    let mut bench = Recipe::counter()
        .label("cpu", 2, vec![uint()])
        .label("id", 1, vec![uint()])
        .key_size(1)
        .per_cpu(2)
        .bench();
    for decoded in [4, 0] {
        let scraped = bench.scrape_cpus(&[([5], [1, 2]), ([6], [4, 0])]);
        assert_eq!(
            scraped.text(),
            r#"cpu="0",id="5" 1, cpu="0",id="6" 4, cpu="1",id="5" 2, cpu="1",id="6" 0"#
        );
        assert_eq!(scraped.counts(), (4, 4 - decoded, decoded));
    }
    let scraped = bench.scrape_cpus(&[([6], [8, 9])]);
    assert_eq!(scraped.text(), r#"cpu="0",id="6" 8, cpu="1",id="6" 9"#);
}

#[test]
fn an_array_of_one_has_no_labels() {
    let mut bench = Recipe::counter().key_size(4).bench();
    for hits in [0, 1] {
        let scraped = bench.scrape(&[([0, 0, 0, 0], 42), ([1, 0, 0, 0], 1), ([2, 0, 0, 0], 1)]);
        assert_eq!(scraped.text(), " 42");
        assert_eq!(scraped.left_out(), [("zero key", 2)]);
        assert_eq!(scraped.counts(), (3, hits, 1 - hits));
    }
    assert_eq!(bench.metric.remembered(), 1);
}

#[test]
fn an_array_of_one_per_cpu() {
    let mut bench = Recipe::counter()
        .label("cpu", 2, vec![uint()])
        .key_size(4)
        .per_cpu(2)
        .bench();
    let scraped = bench.scrape_cpus(&[([0, 0, 0, 0], [3, 4]), ([1, 0, 0, 0], [9, 9])]);
    assert_eq!(scraped.text(), r#"cpu="0" 3, cpu="1" 4"#);
    assert_eq!(scraped.left_out(), [("zero key", 1)]);
}

fn exp2() -> Recipe {
    Recipe::shaped(
        "exp2",
        json!({ "bucket_min": 0, "bucket_max": 3, "bucket_multiplier": 0.5 }),
    )
    .label("disk", 1, vec![text()])
    .label("bucket", 1, vec![uint()])
}

fn histogram(counts: &[u64], sum: Number) -> Seen {
    Seen::Histogram(counts.to_vec(), sum)
}

#[test]
fn histograms_have_buckets_and_a_sum() {
    let mut bench = exp2().bench();
    for _ in 0..2 {
        let scraped = bench.scrape(&[
            (*b"a\x00", 1),
            (*b"a\x03", 5),
            (*b"a\x04", 30),
            (*b"b\x01", 7),
        ]);
        assert_eq!(scraped.series.len(), 2);
        assert_eq!(
            scraped.series[r#"unit_calls{disk="a"}"#],
            histogram(&[1, 0, 0, 5, 0], Number::Float(15.0))
        );
        assert_eq!(
            scraped.series[r#"unit_calls{disk="b"}"#],
            histogram(&[0, 7, 0, 0, 0], Number::Unsigned(0))
        );
    }
}

#[test]
fn a_key_out_of_range_keeps_its_series() {
    let mut bench = exp2().bench();
    for _ in 0..2 {
        let scraped = bench.scrape(&[(*b"a\x09", 1), (*b"b\x01", 7)]);
        assert_eq!(
            scraped.series[r#"unit_calls{disk="a"}"#],
            histogram(&[0, 0, 0, 0, 0], Number::Unsigned(0))
        );
        assert_eq!(scraped.left_out(), []);
    }
    let scraped = bench.scrape(&[(*b"b\x01", 7)]);
    assert_eq!(scraped.series.len(), 1);
}

#[test]
fn a_bad_bucket_label_leaves_the_others_alone() {
    let mut bench = Recipe::shaped("linear", json!({ "bucket_min": 0, "bucket_max": 1 }))
        .label("disk", 1, vec![text()])
        .label("bucket", 1, vec![text()])
        .bench();
    for _ in 0..3 {
        let scraped = bench.scrape(&[(*b"a0", 1), (*b"ax", 2), (*b"a1", 4), (*b"bx", 8)]);
        assert_eq!(scraped.text(), "disk=\"a\" [1, 4, 0] Unsigned(0)");
        assert_eq!(scraped.left_out(), [("linear", 2)]);
    }
}
