use super::*;
use crate::exposition::{Format, write};

const TEXT: &str = r#"# HELP b A counter.
# TYPE b counter
b_total{z="1",a="q\"b\\s\nn"} 18446744073709551615
b_created{a="x"} 1.5e9
b_total 1.5 # {trace="x"} 0.5
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_sum{a="1"} 2.5
h_seconds_count{a="1"} 3
h_seconds_bucket{le="1.0",a="1"} 1
h_seconds_bucket{le="+Inf",a="1"} 3
# TYPE build info
build_info{version="1"} 1
# TYPE s_seconds summary
s_seconds_count{a="1"} 3
s_seconds{quantile="0.9",a="1"} 1e-3
s_seconds{quantile="0.5",a="1"} 2
s_seconds_sum{a="1"} 7
s_seconds_created{a="1"} 7
# TYPE g gauge
g{} -3
free NaN
# EOF
"#;

#[test]
fn what_is_read_is_written_again() {
    let mut families = parse(TEXT).unwrap();
    families.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    let mut out = String::new();
    write(&mut out, &families, Format::OpenMetrics100);
    let expected = r#"# HELP b A counter.
# TYPE b counter
b_total 1.5
b_total{a="q\"b\\s\nn",z="1"} 18446744073709551615
# TYPE build info
build_info{version="1"} 1
# TYPE free unknown
free NaN
# TYPE g gauge
g -3
# TYPE h_seconds histogram
# UNIT h_seconds seconds
h_seconds_bucket{a="1",le="1.0"} 1
h_seconds_bucket{a="1",le="+Inf"} 3
h_seconds_sum{a="1"} 2.5
h_seconds_count{a="1"} 3
# TYPE s_seconds summary
s_seconds{a="1",quantile="0.5"} 2.0
s_seconds{a="1",quantile="0.9"} 0.001
s_seconds_sum{a="1"} 7
s_seconds_count{a="1"} 3
# EOF
"#;
    assert_eq!(out, expected);
    assert_eq!(parse(&out).unwrap().len(), families.len());
}

#[test]
fn errors_name_line_and_cause() {
    for (text, line, start) in [
        ("a 1\n", 2, "the text ends without `# EOF`"),
        ("a 1\n\n# EOF\n", 2, "an empty line"),
        ("# EOF\na 1\n", 2, "text after"),
        ("a 1 123\n# EOF\n", 1, "a timestamp `123`"),
        ("a one\n# EOF\n", 1, "expected a number, found `one`"),
        ("a\n# EOF\n", 1, "expected a number"),
        ("9a 1\n# EOF\n", 1, "expected a metric name, found `9a`"),
        ("a{b=\"c} 1\n# EOF\n", 1, "expected labels"),
        ("a{b=\"\\t\"} 1\n# EOF\n", 1, "expected labels"),
        (
            "a{b=\"1\",b=\"2\"} 1\n# EOF\n",
            1,
            "label `b` is there twice",
        ),
        ("a 1\nb 1\na 2\n# EOF\n", 3, "family `a` is there twice"),
        (
            "# TYPE a gauge\na 1\na 2\n# EOF\n",
            4,
            "series `a{}` is there twice",
        ),
        ("# TYPE a stateset\n# EOF\n", 1, "expected one of counter"),
        (
            "# TYPE a summary\na{quantile=\"2\"} 1\n# EOF\n",
            2,
            "summary series ``: a sample without a number from 0 to 1",
        ),
        ("# TYPE a summary\na 1\n# EOF\n", 2, "summary series ``"),
        (
            "# TYPE a summary\na{quantile=\"1\"} 1\na{quantile=\"1.0\"} 1\n# EOF\n",
            4,
            "summary series ``: a quantile is there twice",
        ),
        (
            "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
            2,
            "family `a` has a second `TYPE`",
        ),
        (
            "# UNIT a bytes\n# EOF\n",
            1,
            "family `a` does not end in its unit `bytes`",
        ),
        ("# FOO a b\n# EOF\n", 1, "expected `# HELP`"),
        ("#\n# EOF\n", 1, "expected `# HELP`"),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n",
            3,
            "histogram series ``: its last bucket",
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
            4,
            "histogram series ``: its buckets are not cumulative",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line.get(), line, "{text:?}: {error}");
        assert!(
            error.problem.to_string().starts_with(start),
            "{text:?}: {error}"
        );
    }
}

/// Cutting or changing any byte of a good text gives families or an error, never a panic.
#[test]
fn damaged_text_is_survived() {
    for end in 0..TEXT.len() {
        let _ = parse(&TEXT[..end]);
        for byte in [b'"', b'\\', b'{', b'}', b' ', b'\n', b'#', b'9'] {
            let mut bytes = TEXT.as_bytes().to_vec();
            bytes[end] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = parse(text);
            }
        }
    }
}
