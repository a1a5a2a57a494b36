//! Whole bodies in both formats.

use std::sync::Arc;

use super::escape::labels;
use super::*;

fn meta(name: &str, kind: Kind, help: &str, unit: &str) -> Arc<FamilyMeta> {
    Arc::new(FamilyMeta {
        name: name.into(),
        help: help.into(),
        unit: unit.into(),
        kind,
    })
}

fn number(labels: String, number: Number) -> Sample {
    Sample::new(labels.into(), Value::Number(number))
}

fn histogram(labels: &str, bounds: &[f64], counts: &[u64], sum: Number) -> Sample {
    let histogram = Histogram {
        bounds: bounds.into(),
        counts: counts.to_vec(),
        sum,
    };
    Sample::new(labels.into(), Value::Histogram(Box::new(histogram)))
}

fn summary(labels: &str, quantiles: &[(f64, f64)], sum: Number, count: u64) -> Sample {
    let summary = Summary {
        quantiles: quantiles.to_vec(),
        sum,
        count,
    };
    Sample::new(labels.into(), Value::Summary(Box::new(summary)))
}

pub(super) fn everything() -> Vec<Family> {
    let comm = |value: &str| labels(&["comm"], &[value]);
    vec![
        Family {
            meta: meta("empty_total", Kind::Counter, "x", ""),
            samples: vec![].into(),
        },
        Family {
            meta: meta(
                "ex_bytes_total",
                Kind::Counter,
                "Bytes \"sent\"\nby \\ name.",
                "bytes",
            ),
            samples: vec![
                number(comm("\u{fffd}"), Number::Unsigned(1_287_408)),
                number(comm("a\"b\\c\n"), Number::Unsigned(u64::MAX)),
            ]
            .into(),
        },
        Family {
            meta: meta("ex_build_info", Kind::Info, "Build.", ""),
            samples: vec![number(labels(&["version"], &["1"]), Number::Unsigned(1))].into(),
        },
        Family {
            meta: meta(
                "ex_run_time_seconds",
                Kind::Counter,
                "Without the suffix.",
                "seconds",
            ),
            samples: vec![number(String::new(), Number::Float(1.5))].into(),
        },
        Family {
            meta: meta(
                "ex_temperature_celsius",
                Kind::Gauge,
                "Below zero.",
                "celsius",
            ),
            samples: vec![number(String::new(), Number::Float(-3.0))].into(),
        },
        Family {
            meta: meta("ex_wait_seconds", Kind::Histogram, "Waits.", "seconds"),
            samples: vec![
                histogram(
                    "cpu=\"0\"",
                    &[1e-6, 1.0, 2e6],
                    &[1, 2, 999_999, 4],
                    Number::Float(3.5),
                ),
                histogram("cpu=\"1\"", &[1e-6, 1.0, 2e6], &[0; 4], Number::Unsigned(0)),
            ]
            .into(),
        },
        Family {
            meta: meta("ex_zip_seconds", Kind::Summary, "Zips.", "seconds"),
            samples: vec![
                summary(
                    "cpu=\"0\"",
                    &[(0.5, 0.25), (1.0, 2e6)],
                    Number::Float(3.0),
                    12,
                ),
                summary(
                    "cpu=\"1\"",
                    &[(0.0, -1.0), (0.5, f64::NAN)],
                    Number::Signed(-1),
                    0,
                ),
            ]
            .into(),
        },
    ]
}

#[test]
fn text_004() {
    let mut out = String::new();
    write(&mut out, &everything(), Format::Text004);
    let expected = r#"# HELP ex_bytes_total Bytes "sent"\nby \\ name.
# TYPE ex_bytes_total counter
ex_bytes_total{comm="�"} 1.287408e+06
ex_bytes_total{comm="a\"b\\c\n"} 18446744073709551615
# HELP ex_build_info Build.
# TYPE ex_build_info gauge
ex_build_info{version="1"} 1
# HELP ex_run_time_seconds Without the suffix.
# TYPE ex_run_time_seconds counter
ex_run_time_seconds 1.5
# HELP ex_temperature_celsius Below zero.
# TYPE ex_temperature_celsius gauge
ex_temperature_celsius -3
# HELP ex_wait_seconds Waits.
# TYPE ex_wait_seconds histogram
ex_wait_seconds_bucket{cpu="0",le="1e-06"} 1
ex_wait_seconds_bucket{cpu="0",le="1"} 3
ex_wait_seconds_bucket{cpu="0",le="2e+06"} 1.000002e+06
ex_wait_seconds_bucket{cpu="0",le="+Inf"} 1.000006e+06
ex_wait_seconds_sum{cpu="0"} 3.5
ex_wait_seconds_count{cpu="0"} 1.000006e+06
ex_wait_seconds_bucket{cpu="1",le="1e-06"} 0
ex_wait_seconds_bucket{cpu="1",le="1"} 0
ex_wait_seconds_bucket{cpu="1",le="2e+06"} 0
ex_wait_seconds_bucket{cpu="1",le="+Inf"} 0
ex_wait_seconds_sum{cpu="1"} 0
ex_wait_seconds_count{cpu="1"} 0
# HELP ex_zip_seconds Zips.
# TYPE ex_zip_seconds summary
ex_zip_seconds{cpu="0",quantile="0.5"} 0.25
ex_zip_seconds{cpu="0",quantile="1"} 2e+06
ex_zip_seconds_sum{cpu="0"} 3
ex_zip_seconds_count{cpu="0"} 12
ex_zip_seconds{cpu="1",quantile="0"} -1
ex_zip_seconds{cpu="1",quantile="0.5"} NaN
ex_zip_seconds_sum{cpu="1"} -1
ex_zip_seconds_count{cpu="1"} 0
"#;
    assert_eq!(out, expected);
}

#[test]
fn open_metrics() {
    let mut out = String::new();
    write(&mut out, &everything(), Format::OpenMetrics100);
    let expected = r#"# HELP ex_bytes Bytes \"sent\"\nby \\ name.
# TYPE ex_bytes counter
# UNIT ex_bytes bytes
ex_bytes_total{comm="�"} 1287408
ex_bytes_total{comm="a\"b\\c\n"} 18446744073709551615
# HELP ex_build Build.
# TYPE ex_build info
ex_build_info{version="1"} 1
# HELP ex_run_time_seconds Without the suffix.
# TYPE ex_run_time_seconds unknown
# UNIT ex_run_time_seconds seconds
ex_run_time_seconds 1.5
# HELP ex_temperature_celsius Below zero.
# TYPE ex_temperature_celsius gauge
# UNIT ex_temperature_celsius celsius
ex_temperature_celsius -3.0
# HELP ex_wait_seconds Waits.
# TYPE ex_wait_seconds histogram
# UNIT ex_wait_seconds seconds
ex_wait_seconds_bucket{cpu="0",le="1e-06"} 1
ex_wait_seconds_bucket{cpu="0",le="1.0"} 3
ex_wait_seconds_bucket{cpu="0",le="2e+06"} 1000002
ex_wait_seconds_bucket{cpu="0",le="+Inf"} 1000006
ex_wait_seconds_sum{cpu="0"} 3.5
ex_wait_seconds_count{cpu="0"} 1000006
ex_wait_seconds_bucket{cpu="1",le="1e-06"} 0
ex_wait_seconds_bucket{cpu="1",le="1.0"} 0
ex_wait_seconds_bucket{cpu="1",le="2e+06"} 0
ex_wait_seconds_bucket{cpu="1",le="+Inf"} 0
ex_wait_seconds_sum{cpu="1"} 0
ex_wait_seconds_count{cpu="1"} 0
# HELP ex_zip_seconds Zips.
# TYPE ex_zip_seconds summary
# UNIT ex_zip_seconds seconds
ex_zip_seconds{cpu="0",quantile="0.5"} 0.25
ex_zip_seconds{cpu="0",quantile="1.0"} 2e+06
ex_zip_seconds_sum{cpu="0"} 3.0
ex_zip_seconds_count{cpu="0"} 12
ex_zip_seconds{cpu="1",quantile="0.5"} NaN
ex_zip_seconds_count{cpu="1"} 0
# EOF
"#;
    assert_eq!(out, expected);
}

/// Names that are fine side by side in 0.0.4 but not in OpenMetrics are distinguished by giving up
/// the weaker one's type.
#[test]
fn open_metrics_families_do_not_clash() {
    let one = |name: &str, kind| Family {
        meta: meta(name, kind, "", ""),
        samples: vec![number(String::new(), Number::Unsigned(1))].into(),
    };
    let families = [
        one("a", Kind::Gauge),
        one("a_info", Kind::Info),
        one("a_total", Kind::Counter),
        one("b_created", Kind::Gauge),
        one("b_total", Kind::Counter),
        one("c_total", Kind::Counter),
        one("c_total_total", Kind::Counter),
        Family {
            meta: meta("d", Kind::Histogram, "", ""),
            samples: vec![histogram("", &[-1.0], &[1, 1], Number::Signed(-1))].into(),
        },
        one("d_count_total", Kind::Counter),
        one("d_total", Kind::Counter),
        Family {
            meta: meta("e_total", Kind::Counter, "", ""),
            samples: vec![number(String::new(), Number::Float(f64::NAN))].into(),
        },
    ];
    let mut out = String::new();
    write(&mut out, &families, Format::OpenMetrics100);
    let expected = "# TYPE a gauge\na 1
# TYPE a_info gauge\na_info 1
# TYPE a_total unknown\na_total 1
# TYPE b_created gauge\nb_created 1
# TYPE b_total unknown\nb_total 1
# TYPE c counter\nc_total 1
# TYPE c_total_total unknown\nc_total_total 1
# TYPE d histogram\nd_bucket{le=\"-1.0\"} 1\nd_bucket{le=\"+Inf\"} 2
# TYPE d_count_total unknown\nd_count_total 1
# TYPE d_total unknown\nd_total 1
# TYPE e_total unknown\ne_total NaN
# EOF
";
    assert_eq!(out, expected);
}

#[test]
fn when_a_series_was_zero_is_a_line_of_its_own() {
    let at = |millis, sample: Sample| Sample {
        start: StartTime::of_millis(millis),
        ..sample
    };
    let one = || number("a=\"1\"".into(), Number::Unsigned(1));
    let family = |name, kind, samples: Vec<Sample>| Family {
        meta: meta(name, kind, "", ""),
        samples: samples.into(),
    };
    let of_two = vec![
        at(1_700_000_000_009, one()),
        number("a=\"2\"".into(), Number::Unsigned(2)),
    ];
    let families = [
        family("c_total", Kind::Counter, of_two),
        family("g", Kind::Gauge, vec![at(5, one())]),
        family(
            "h",
            Kind::Histogram,
            vec![at(
                61_250,
                histogram("", &[1.0], &[1, 1], Number::Unsigned(1)),
            )],
        ),
        family("u", Kind::Counter, vec![at(5, one())]),
    ];
    let body = |format| {
        let mut out = String::new();
        let mut writer = BodyWriter::new(&families, format).with_created(format);
        assert!(writer.write(&families, &mut out, usize::MAX));
        out
    };
    let expected = "# TYPE c counter\nc_total{a=\"1\"} 1\nc_created{a=\"1\"} 1700000000.009
c_total{a=\"2\"} 2
# TYPE g gauge\ng{a=\"1\"} 1
# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\nh_created 61.250
# TYPE u unknown\nu{a=\"1\"} 1
# EOF
";
    assert_eq!(body(Format::OpenMetrics100), expected);
    for format in [Format::OpenMetrics001, Format::Text004] {
        assert!(!body(format).contains("_created"));
    }
}

#[test]
fn a_value_of_another_kind_and_short_counts_do_no_harm() {
    let families = [
        Family {
            meta: meta("g", Kind::Gauge, "", ""),
            samples: vec![histogram("", &[1.0], &[1, 1], Number::Unsigned(1))].into(),
        },
        Family {
            meta: meta("h", Kind::Histogram, "", ""),
            samples: vec![
                number(String::new(), Number::Unsigned(1)),
                histogram(
                    "a=\"1\"",
                    &[1.0, f64::INFINITY],
                    &[u64::MAX, u64::MAX, 1, 1],
                    Number::Unsigned(1),
                ),
                histogram("a=\"2\"", &[1.0, 2.0], &[1], Number::Unsigned(1)),
            ]
            .into(),
        },
    ];
    let mut out = String::new();
    write(&mut out, &families, Format::OpenMetrics100);
    assert!(out.contains("h_bucket{a=\"1\",le=\"+Inf\"} 18446744073709551615\n"));
    assert!(out.contains("h_bucket{a=\"2\",le=\"+Inf\"} 1\n"));
    assert_eq!(out.matches("le=\"+Inf\"").count(), 2);
}
