//! What collectors may answer, and how each lie is told.

use crate::exposition::{Format, write};
use crate::plugin::CallError;
use crate::plugin::answer::{Answer, checked};
use crate::plugin::bindings::exports::exporter::plugin::collecting::{
    Bucket, Family, Histogram, Kind, Number, Quantile, Sample, Summary, Value,
};

fn family(name: &str, kind: Kind, labels: &[&str], samples: Vec<(&[&str], Value)>) -> Family {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Family {
        name: name.to_owned(),
        help: "Help.".to_owned(),
        unit: String::new(),
        kind,
        label_names: owned(labels),
        samples: samples
            .into_iter()
            .map(|(values, value)| Sample {
                label_values: owned(values),
                value,
            })
            .collect(),
    }
}

fn real(value: f64) -> Value {
    Value::Number(Number::Real(value))
}

fn histogram(buckets: &[(f64, u64)], count: u64) -> Value {
    let buckets = buckets.iter();
    Value::Histogram(Histogram {
        buckets: buckets
            .map(|&(upper_bound, cumulative_count)| Bucket {
                upper_bound,
                cumulative_count,
            })
            .collect(),
        sum: 1.5,
        count,
    })
}

fn summary(quantiles: &[(f64, f64)]) -> Value {
    let quantiles = quantiles.iter();
    Value::Summary(Summary {
        quantiles: quantiles
            .map(|&(quantile, value)| Quantile { quantile, value })
            .collect(),
        sum: 2.0,
        count: 3,
    })
}

fn text(answer: &Answer) -> String {
    let mut out = String::new();
    write(&mut out, &answer.families, Format::Text004);
    let lines = out.lines().filter(|line| !line.starts_with("# HELP"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn good_answers_are_sorted_and_labelled() {
    let answer = vec![
        family(
            "z_total",
            Kind::Counter,
            &["b", "a"],
            vec![
                (&["2", "y"], Value::Number(Number::Unsigned(7))),
                (&["1", "x\n"], real(0.5)),
            ],
        ),
        family(
            "h",
            Kind::Histogram,
            &[],
            vec![(&[], histogram(&[(1.0, 2), (2.0, 2)], 5))],
        ),
        family(
            "s",
            Kind::Summary,
            &["a"],
            vec![(&["1"], summary(&[(0.5, 1.0)]))],
        ),
        family("build_info", Kind::Info, &["v"], vec![(&["1"], real(1.0))]),
        family("empty", Kind::Gauge, &["v"], vec![]),
        family(
            "without_suffix",
            Kind::Counter,
            &[],
            vec![(&[], Value::Number(Number::Signed(3)))],
        ),
    ];
    let labels = [("instance", "t\"1"), ("Z", "1")];
    let answer = checked(answer, 100, &labels).unwrap();
    assert_eq!(answer.series, 2 + 5 + 3 + 1 + 1);
    assert_eq!(
        text(&answer),
        r#"# TYPE build_info gauge
build_info{Z="1",instance="t\"1",v="1"} 1
# TYPE h histogram
h_bucket{Z="1",instance="t\"1",le="1"} 2
h_bucket{Z="1",instance="t\"1",le="2"} 2
h_bucket{Z="1",instance="t\"1",le="+Inf"} 5
h_sum{Z="1",instance="t\"1"} 1.5
h_count{Z="1",instance="t\"1"} 5
# TYPE s summary
s{Z="1",a="1",instance="t\"1",quantile="0.5"} 1
s_sum{Z="1",a="1",instance="t\"1"} 2
s_count{Z="1",a="1",instance="t\"1"} 3
# TYPE without_suffix counter
without_suffix{Z="1",instance="t\"1"} 3
# TYPE z_total counter
z_total{Z="1",a="x\n",b="1",instance="t\"1"} 0.5
z_total{Z="1",a="y",b="2",instance="t\"1"} 7
"#
    );
}

#[test]
fn each_lie_has_its_sentence() {
    let one = |name, kind, labels: &[&str], values: &[&str], value| {
        vec![family(name, kind, labels, vec![(values, value)])]
    };
    let gauge = |name| one(name, Kind::Gauge, &[], &[], real(1.0));
    let labelled =
        |labels: &[&str], values: &[&str]| one("g", Kind::Gauge, labels, values, real(1.0));
    let buckets = |buckets, count| one("h", Kind::Histogram, &[], &[], histogram(buckets, count));
    let quantiles = |quantiles| one("s", Kind::Summary, &[], &[], summary(quantiles));
    let twice = family(
        "g",
        Kind::Gauge,
        &["a"],
        vec![
            (&["1"], real(1.0)),
            (&["2"], real(1.0)),
            (&["1"], real(2.0)),
        ],
    );
    for (answer, sentence) in [
        (gauge(""), "family ``: the metric name is empty"),
        (
            gauge("a b"),
            "family `a b`: metric name `a b` has a ` ` at character 2",
        ),
        (
            gauge("a\nb 1"),
            "family `a b 1`: metric name `a b 1` has a ` ` at character 2",
        ),
        (
            labelled(&["a-b"], &["1"]),
            "family `g`: label name `a-b` has a `-`",
        ),
        (
            labelled(&["__name__"], &["1"]),
            "family `g`: label name `__name__` is reserved",
        ),
        (
            labelled(&["a", "b", "a"], &["1"]),
            "family `g`: the label `a` is named twice",
        ),
        (
            labelled(&["instance"], &["1"]),
            "family `g`: it has a label `instance` of its own",
        ),
        (
            labelled(&["a"], &[]),
            "family `g`: a sample has 0 label values, there are 1 label names",
        ),
        (
            labelled(&[], &["1"]),
            "family `g`: a sample has 1 label values, there are 0",
        ),
        (
            vec![twice],
            "family `g`: series `{a=\"1\",instance=\"t\"}` is there twice",
        ),
        (
            [gauge("g"), gauge("g")].concat(),
            "family `g` is there twice",
        ),
        (
            one("c_total", Kind::Counter, &[], &[], real(-1.0)),
            "family `c_total`: series `{instance=\"t\"}`: a counter is -1",
        ),
        (
            one("c_total", Kind::Counter, &[], &[], real(f64::NAN)),
            "family `c_total`: series `{instance=\"t\"}`: a counter is NaN",
        ),
        (
            one("i_info", Kind::Info, &[], &[], real(2.0)),
            "family `i_info`: series `{instance=\"t\"}`: an info is 2, not 1",
        ),
        (
            one("h", Kind::Histogram, &[], &[], real(1.0)),
            "family `h`: series `{instance=\"t\"}`: it has a number, the family is a histogram",
        ),
        (
            one("h", Kind::Histogram, &["le"], &["1"], histogram(&[], 0)),
            "family `h`: label name `le` is reserved",
        ),
        (
            one("s", Kind::Summary, &["quantile"], &["1"], summary(&[])),
            "family `s`: label name `quantile` is reserved",
        ),
        (
            one("g", Kind::Gauge, &[], &[], summary(&[])),
            "family `g`: series `{instance=\"t\"}`: it has a summary, the family is a gauge",
        ),
        (
            buckets(&[(f64::INFINITY, 1)], 1),
            "family `h`: series `{instance=\"t\"}`: a bucket has the bound inf",
        ),
        (
            buckets(&[(f64::NAN, 1)], 1),
            "family `h`: series `{instance=\"t\"}`: a bucket has the bound NaN",
        ),
        (
            buckets(&[(1.0, 1), (1.0, 1)], 1),
            "family `h`: series `{instance=\"t\"}`: the bound 1 comes after 1",
        ),
        (
            buckets(&[(1.0, 3), (2.0, 2)], 4),
            "family `h`: series `{instance=\"t\"}`: the buckets are not cumulative: 2 up to 2 after 3",
        ),
        (
            buckets(&[(1.0, 3)], 2),
            "family `h`: series `{instance=\"t\"}`: the count is 2, the last bucket has 3",
        ),
        (
            quantiles(&[(1.5, 1.0)]),
            "family `s`: series `{instance=\"t\"}`: the quantile 1.5 is not from 0 to 1",
        ),
        (
            quantiles(&[(0.5, 1.0), (0.5, 1.0)]),
            "family `s`: series `{instance=\"t\"}`: the quantile 0.5 comes after 0.5",
        ),
    ] {
        match checked(answer, 100, &[("instance", "t")]) {
            Err(CallError::Malformed(found)) => {
                assert!(
                    found.starts_with(sentence),
                    "{found:?} instead of {sentence:?}"
                );
            }
            other => panic!("{other:?} instead of {sentence:?}"),
        }
    }
}

#[test]
fn series_are_counted_as_a_scraper_counts_them() {
    let answer = || {
        vec![
            family(
                "h",
                Kind::Histogram,
                &[],
                vec![(&[], histogram(&[(1.0, 1)], 1))],
            ),
            family("s", Kind::Summary, &[], vec![(&[], summary(&[(0.5, 1.0)]))]),
        ]
    };
    assert_eq!(checked(answer(), 7, &[]).unwrap().series, 7);
    let error = checked(answer(), 6, &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "its answer has 7 series, the limit is 6: ask for less, or raise `series` in its .plugin.yaml"
    );
}

/// A name of a megabyte is no reason for a log line of one.
/// The output limit counts names once; they stand on every line.
#[test]
fn text_that_grows_when_it_is_written() {
    let name = "a".repeat(1 << 20);
    let samples = (0..100).map(|n| {
        let value: &[&str] = if n % 2 == 0 { &["x"] } else { &["y"] };
        (value, real(1.0))
    });
    let wide = family("f", Kind::Gauge, &[&name], samples.collect());
    let error = checked(vec![wide], 1000, &[]).unwrap_err().to_string();
    assert!(error.contains("bytes of text"), "{error}");
    let value = "v".repeat(1 << 20);
    let buckets: Vec<(f64, u64)> = (0..100).map(|n| (f64::from(n), 0)).collect();
    let deep = family(
        "f",
        Kind::Histogram,
        &["l"],
        vec![(&[&value], histogram(&buckets, 0))],
    );
    let error = checked(vec![deep], 1000, &[]).unwrap_err().to_string();
    assert!(error.contains("bytes of text"), "{error}");
}

#[test]
fn labels_without_end() {
    let names: Vec<String> = (0..100_000).map(|n| format!("l{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = family("f", Kind::Gauge, &names, Vec::new());
    let error = checked(vec![many], 1000, &[]).unwrap_err().to_string();
    assert!(error.contains("the limit is 256"), "{error}");
}

#[test]
fn sentences_are_short() {
    let long = "a".repeat(1 << 20) + " ";
    let answer = vec![family(&long, Kind::Gauge, &[], vec![])];
    let sentence = checked(answer, 100, &[]).unwrap_err().to_string();
    assert!(sentence.len() < 1000, "{}", sentence.len());
}
