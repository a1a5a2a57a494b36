use exporter_guest_sdk::families::{Histogram, Summary};

use super::*;

fn families(content: &str) -> Vec<Family> {
    strict(content.as_bytes()).unwrap().families
}

fn refused(content: &str) -> String {
    strict(content.as_bytes()).unwrap_err().to_string()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// One family of one series.
fn one(content: &str) -> (Kind, Labels, Value) {
    let [family] = &families(content)[..] else {
        panic!("one family")
    };
    let [(labels, value)] = &family.series[..] else {
        panic!("one series")
    };
    (family.kind, labels.clone(), value.clone())
}

#[test]
fn the_definitions_own_example_less_its_timestamps() {
    let content = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{method="post",code="400"}    3

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="0.1"} 33444
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} 76656
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"#;
    let families = families(content);
    let kinds: Vec<(&str, Kind)> = families
        .iter()
        .map(|family| (&*family.name, family.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("http_requests_total", Kind::Counter),
            ("msdos_file_access_time_seconds", Kind::Unknown),
            ("metric_without_timestamp_and_labels", Kind::Unknown),
            ("something_weird", Kind::Unknown),
            ("http_request_duration_seconds", Kind::Histogram),
            ("rpc_duration_seconds", Kind::Summary),
        ]
    );
    assert_eq!(
        families[0].help.as_deref(),
        Some("The total number of HTTP requests.")
    );
    assert_eq!(
        families[0].series,
        [
            (
                labels(&[("method", "post"), ("code", "200")]),
                Value::Unsigned(1027)
            ),
            (
                labels(&[("method", "post"), ("code", "400")]),
                Value::Unsigned(3)
            ),
        ]
    );
    let escaped = labels(&[
        ("path", "C:\\DIR\\FILE.TXT"),
        ("error", "Cannot find file:\n\"FILE.TXT\""),
    ]);
    assert_eq!(
        families[1].series,
        [(escaped, Value::Real(1_458_255_915.0))]
    );
    assert_eq!(families[3].series[0].1, Value::Real(f64::INFINITY));
    let buckets = vec![(0.05, 24054), (0.1, 33444)];
    let histogram = Histogram {
        buckets,
        sum: 53423.0,
        count: 144_320,
    };
    assert_eq!(
        families[4].series,
        [(Labels::new(), Value::Histogram(histogram))]
    );
    let quantiles = vec![(0.01, 3102.0), (0.99, 76656.0)];
    let summary = Summary {
        quantiles,
        sum: 17_560_473.0,
        count: 2693,
    };
    assert_eq!(
        families[5].series,
        [(Labels::new(), Value::Summary(summary))]
    );
}

#[test]
fn blanks_and_comments_are_where_the_format_lets_them_be() {
    for content in [
        "a{x=\"1\"} 5\n",
        "\ta  {  x  =  \"1\"  ,  }  5\t \n",
        "a{x=\"1\",}5\n",
        "\n#\n# a comment\n#HELPER a b c d\n  # EOF\na{x=\"1\",y=\"\"} 5\n",
    ] {
        assert_eq!(
            one(content),
            (Kind::Unknown, labels(&[("x", "1")]), Value::Unsigned(5)),
            "{content}"
        );
    }
    assert_eq!(one("a 5\n").1, Labels::new());
    assert_eq!(one("a{} 5\n").1, Labels::new());
    assert_eq!(families("a 1\n\t ").len(), 1);
    assert!(families("").is_empty() && families("# HELP a b\n# TYPE a gauge\n").is_empty());
    let head = families("# HELP\ta  tabs\tand \\\\ and \\n and \"\n#TYPE a GAUGE\na 1\n");
    assert_eq!(head[0].help.as_deref(), Some("tabs\tand \\ and \n and \""));
    assert_eq!(head[0].kind, Kind::Gauge);
    assert_eq!(families("# HELP a\na 1\n")[0].help.as_deref(), Some(""));
    assert_eq!(families("a:b_C9 1\n_ 1\n: 1\n").len(), 3);
}

#[test]
fn numbers_are_go_s() {
    for (text, value) in [
        ("18446744073709551615", Value::Unsigned(u64::MAX)),
        ("-9", Value::Signed(-9)),
        (
            "18446744073709551616",
            Value::Real(18_446_744_073_709_551_616.0),
        ),
        ("1e3", Value::Real(1000.0)),
        (".5", Value::Real(0.5)),
        ("5.", Value::Real(5.0)),
        ("+1", Value::Real(1.0)),
        ("Inf", Value::Real(f64::INFINITY)),
        ("-inf", Value::Real(f64::NEG_INFINITY)),
        ("+Infinity", Value::Real(f64::INFINITY)),
    ] {
        assert_eq!(one(&format!("a {text}\n")).2, value, "{text}");
    }
    for nan in ["NaN", "nan"] {
        assert!(matches!(one(&format!("a {nan}\n")).2, Value::Real(number) if number.is_nan()));
    }
    for text in [
        "x", "1x", "0x10", "1_0", "1e999", "+nan", "-NaN", "-1e999", "1,5", "--1", "\u{661}", "1\r",
    ] {
        assert!(
            refused(&format!("a {text}\n")).starts_with("line 1: expected a number, found `"),
            "{text}"
        );
    }
    assert_eq!(refused("a\n"), "line 1: expected a number, found ``");
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_number() {
    for (content, problem) in [
        (
            "a 1\nb-c 1\n",
            "line 2: expected a metric name, found `b-c 1`",
        ),
        ("9a 1\n", "line 1: expected a metric name, found `9a 1`"),
        (
            "{x=\"1\"} 1\n",
            "line 1: expected a metric name, found `{x=\"1\"} 1`",
        ),
        (
            "# TYPE é gauge\n",
            "line 1: expected a metric name, found `é gauge`",
        ),
        (
            "a 1 1395066363000\n",
            "line 1: timestamp `1395066363000`: a file's samples are as of the scrape, leave timestamps out",
        ),
        (
            "a 1 2 3\n",
            "line 1: expected the end of the line after the value, found `2 3`",
        ),
        (
            "a 1 # x\n",
            "line 1: expected the end of the line after the value, found `# x`",
        ),
        ("a{x} 1\n", "found `x} 1`"),
        ("a{x=1} 1\n", "found `x=1} 1`"),
        ("a{x=/bin/ls} 3\n", "expected labels as `name=\"value\"`"),
        ("a{x=\"1} 1\n", "found `x=\"1} 1`"),
        ("a{x=\"1\"\n", "expected labels"),
        ("a{x=\"1\" y=\"2\"} 1\n", "expected labels"),
        ("a{,} 1\n", "expected labels"),
        ("a{x:y=\"1\"} 1\n", "expected labels"),
        ("a{x=\"1\"...} 1\n", "expected labels"),
        ("a{x=\"1\",x=\"2\"} 1\n", "label `x` is there twice"),
        ("a{__name__=\"b\"} 1\n", "label `__name__` is reserved"),
        ("a{x=\"\\t\"} 1\n", "the escape `\\t` does not exist"),
        ("a{x=\"\\101\"} 1\n", "the escape `\\1` does not exist"),
        ("# HELP a \\\"\n", "the escape `\\\"` does not exist"),
        ("# HELP a \\\n", "the escape `\\` does not exist"),
        ("# TYPE a\n", "found ``"),
        (
            "# TYPE a counters\n",
            "expected one of counter, gauge, histogram, summary, untyped as type, found `counters`",
        ),
        ("# TYPE a gauge histogram\n", "found `gauge histogram`"),
        (
            "# HELP a b\n# HELP a b\n",
            "line 2: a second HELP line for `a`",
        ),
        (
            "# TYPE a gauge\n# TYPE a gauge\n",
            "line 2: a second TYPE line for `a`",
        ),
        (
            "a 1\n# TYPE a gauge\n",
            "line 2: a second TYPE line for `a`, or one after its samples",
        ),
        ("a 1\na 2\n", "line 2: series `a{}` is there twice"),
        (
            "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\",z=\"\"} 2\n",
            "line 2: series `a{x=\"1\",y=\"2\"}` is there twice",
        ),
        (
            "# TYPE a counter\na -1\n",
            "line 2: counter `a` cannot be -1",
        ),
        (
            "# TYPE a counter\na NaN\n",
            "line 2: counter `a` cannot be NaN",
        ),
        ("a 1", "line 1: the last line does not end"),
        ("a 1\n b", "line 2: the last line does not end"),
    ] {
        let found = refused(content);
        assert!(found.contains(problem), "{content:?}: {found}");
    }
    assert_eq!(
        strict(b"a 1\nb{x=\"\xff\"} 1\n").unwrap_err().to_string(),
        "line 2: it is not UTF-8"
    );
    let long = refused(&format!("{} 1\n", "-".repeat(5000)));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn families_need_not_stand_together() {
    let families = families("a{x=\"1\"} 1\nb 1\na{x=\"2\"} 1\n# HELP a late\n");
    assert_eq!((families[0].series.len(), families[1].series.len()), (2, 1));
    assert_eq!(families[0].help.as_deref(), Some("late"));
}

const HEAD: &str = "# TYPE h histogram\n";

#[test]
fn histograms_are_put_together_whatever_the_order() {
    let content = format!(
        "{HEAD}h_count{{x=\"1\"}} 3\nh_bucket{{le=\"+Inf\",x=\"1\"}} 3.0\nh_bucket{{x=\"1\",le=\"10\"}} 2e0\nh_bucket{{x=\"1\",le=\"-1\"}} 0\n\
         h_sum{{x=\"1\"}} NaN\nh_sum 0\nh_count 0\nh_bucket{{le=\"Inf\"}} 0\n"
    );
    let [family] = &families(&content)[..] else {
        panic!("one family")
    };
    assert_eq!(family.series[0].0, labels(&[("x", "1")]));
    let Value::Histogram(first) = &family.series[0].1 else {
        panic!("a histogram")
    };
    assert_eq!(
        (&first.buckets, first.count),
        (&vec![(-1.0, 0), (10.0, 2)], 3)
    );
    assert!(first.sum.is_nan());
    assert_eq!(
        family.series[1],
        (Labels::new(), Value::Histogram(Histogram::default()))
    );
}

#[test]
fn histograms_and_summaries_have_to_be_whole() {
    let bucket = "h_bucket{le=\"+Inf\"} 1\n";
    for (lines, problem) in [
        (
            format!("{bucket}h_count 1\n"),
            "line 2: `h{}`: the histogram has no `_sum`",
        ),
        (
            format!("{bucket}h_sum 1\n"),
            "the histogram has no `_count`",
        ),
        (
            "h_sum 1\nh_count 1\n".to_owned(),
            "the histogram has no bucket with le=\"+Inf\"",
        ),
        (
            "h_sum 1\nh_count 1\nh_bucket{le=\"1\"} 1\n".to_owned(),
            "no bucket with le=\"+Inf\"",
        ),
        (
            format!("{bucket}h_sum 1\nh_count 2\n"),
            "bucket with le=\"+Inf\" and its `_count` differ",
        ),
        (
            format!("h_bucket{{le=\"1\"}} 2\n{bucket}h_sum 1\nh_count 1\n"),
            "has less than one with a smaller bound",
        ),
        (
            format!("h_bucket{{le=\"-Inf\"}} 0\n{bucket}h_sum 1\nh_count 1\n"),
            "le=\"-Inf\"",
        ),
        (
            format!("{bucket}h_bucket{{le=\"Inf\"}} 1\n"),
            "line 3: series `h_bucket{le=\"inf\"}` is there twice",
        ),
        (
            "h_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n".to_owned(),
            "is there twice",
        ),
        (
            "h_bucket 1\n".to_owned(),
            "`h_bucket` has no label `le` with a number, found ``",
        ),
        ("h_bucket{le=\"x\"} 1\n".to_owned(), "found `x`"),
        ("h_bucket{le=\"NaN\"} 1\n".to_owned(), "found `NaN`"),
        (
            "h_bucket{le=\"1\"} 1.5\n".to_owned(),
            "expected a number of observations, found `1.5`",
        ),
        (
            "h_bucket{le=\"1\"} -1\n".to_owned(),
            "expected a number of observations",
        ),
        (
            "h_bucket{le=\"1\"} +Inf\n".to_owned(),
            "expected a number of observations",
        ),
        (
            "h_count{le=\"1\"} 1\n".to_owned(),
            "label `le` of `h_count` is for the parts of `h`",
        ),
        ("h 1\n".to_owned(), "`h` is no part of histogram `h`"),
    ] {
        let found = refused(&format!("{HEAD}{lines}"));
        assert!(found.contains(problem), "{lines:?}: {found}");
    }
    for (lines, problem) in [
        ("s_count 1\n", "line 2: `s{}`: the summary has no `_sum`"),
        (
            "s_sum 1\ns{quantile=\"0.5\"} 1\n",
            "the summary has no `_count`",
        ),
        ("s 1\n", "`s` has no label `quantile` with a number"),
        ("s{quantile=\"1.5\"} 1\n", "found `1.5`"),
        (
            "s{quantile=\"0.5\"} 1\ns{quantile=\"0.50\"} 1\n",
            "is there twice",
        ),
        (
            "s_sum 1\ns_sum 2\n",
            "line 3: series `s_sum{}` is there twice",
        ),
    ] {
        let found = refused(&format!("# TYPE s summary\n{lines}"));
        assert!(found.contains(problem), "{lines:?}: {found}");
    }
}

#[test]
fn names_of_families_do_not_overlap() {
    for content in [
        "# TYPE a summary\n# TYPE a_count gauge\n",
        "a_sum 1\n# TYPE a summary\n",
        "# TYPE a_bucket gauge\n# TYPE a histogram\n",
    ] {
        assert!(refused(content).contains("overlap"), "{content}");
    }
    // Without a type they are families of their own.
    assert_eq!(families("a 1\na_count 1\na_bucket{le=\"1\"} 1\n").len(), 3);
    assert_eq!(families("# TYPE a gauge\na 1\na_sum 1\n").len(), 2);
}

#[test]
fn lenient_reading_leaves_out_what_is_wrong_and_nothing_else() {
    // What systemtap's tapset prints, its mistakes included; the last line is cut.
    let content = b"syscall_count{pid=\"bash[1]\",name=\"read\"} 5\n\
        usage_count{path=/bin/ls} 3\n\
        syscall_count{pid=\"x\\033\",name=\"read\"} 5\n\
        syscall_count{pid=\"a long name\"...,name=\"read\"} 5\n\
        timeouts{poll=\"1\"} bash\n\
        syscall_count{pid=\"bash[1]\",name=\"read\"} 6\n\
        \xff 1\n\
        # TYPE h histogram\n\
        h_sum 1\n\
        h_count 1\n\
        a 1 2\n\
        b -5\n\
        c 12";
    let found = lenient(content);
    let series: Vec<(String, &Value)> = found
        .families
        .iter()
        .flat_map(|family| {
            family
                .series
                .iter()
                .map(|(labels, value)| (shown(&family.name, labels), value))
        })
        .collect();
    assert_eq!(
        series,
        [
            (
                "syscall_count{name=\"read\",pid=\"bash[1]\"}".to_owned(),
                &Value::Unsigned(5)
            ),
            ("b{}".to_owned(), &Value::Signed(-5)),
        ]
    );
    assert_eq!(found.skipped, 10);
    assert_eq!(found.first_problem.unwrap().line, 2);
    assert_eq!(lenient(b"a 1\n"), strict(b"a 1\n").unwrap());
}

/// Whatever is done to a good file: no panic, a strict answer or none, and lenient reading never
/// gives what strict reading does not take.
#[test]
fn damaged_files_are_read_without_harm() {
    let good = b"# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\",x=\"\\\"\"} 1\nh_bucket{le=\"+Inf\",x=\"\\\"\"} 2\nh_sum{x=\"\\\"\"} 3\n\
        h_count{x=\"\\\"\"} 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\na{b=\"c\",} -1.5e3\n";
    assert!(strict(good).is_ok());
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let pieces = b"{}=\",#\\ \n0aA_:.-+\xff";
    for _ in 0..20_000 {
        let mut file = good.to_vec();
        for _ in 0..=random(3) {
            let at = random(file.len());
            match random(3) {
                0 => file[at] = pieces[random(pieces.len())],
                1 => drop(file.remove(at)),
                _ => file.insert(at, pieces[random(pieces.len())]),
            }
        }
        let found = lenient(&file);
        match strict(&file) {
            Ok(content) => assert_eq!(content, found),
            Err(_) => assert!(found.skipped > 0),
        }
    }
}
