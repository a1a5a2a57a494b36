//! Durations as Go writes them (`90s`, `1h30m`, `1.5s`), which is what ebpf_exporter's YAML and its
//! kin's flags use.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("expected a duration such as `90s` or `1h30m`, found an empty text")]
    Empty,
    #[error("expected a duration such as `90s` or `1h30m`, found `{0}`")]
    Malformed(String),
    #[error("the duration `{0}` has a number without a unit: add one of ns, us, ms, s, m, h")]
    NoUnit(String),
    #[error("the duration `{text}` has the unknown unit `{unit}`: expected ns, us, ms, s, m or h")]
    Unit { text: String, unit: String },
    #[error("the duration `{0}` is negative")]
    Negative(String),
    #[error("the duration `{0}` is longer than 292 years")]
    TooLong(String),
}

/// Go keeps durations as signed 64-bit nanoseconds.
const MAX_NANOSECONDS: f64 = i64::MAX as f64;

/// Reads what Go's `time.ParseDuration` reads, except that a duration here can't be negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let own = || text.to_owned();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // The only duration that needs no unit.
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed(own()));
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !(c.is_ascii_digit() || c == '.'));
        rest = after;
        // `.` alone and `1.2.3` are no numbers; Rust's parser takes `1.` and `.5` as Go's does.
        let value: f64 = number
            .parse()
            .map_err(|_| DurationError::Malformed(own()))?;
        let scale = match unit {
            "" => return Err(DurationError::NoUnit(own())),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            unit => {
                return Err(DurationError::Unit {
                    text: own(),
                    unit: unit.to_owned(),
                });
            }
        };
        let nanoseconds = value * scale;
        if nanoseconds >= MAX_NANOSECONDS {
            return Err(DurationError::TooLong(own()));
        }
        total += Duration::from_nanos(nanoseconds as u64);
    }
    if total.as_nanos() > i64::MAX as u128 {
        return Err(DurationError::TooLong(own()));
    }
    if negative && total > Duration::ZERO {
        return Err(DurationError::Negative(own()));
    }
    Ok(total)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0s", 0),
            ("90s", 90_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("+1.5s", 1_500_000_000),
            (".5ms", 500_000),
            ("1.us", 1_000),
            ("3µs", 3_000),
            ("7ns", 7),
            ("1h1ns", 3_600_000_000_001),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_nanos(nanoseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn says_why_a_text_is_no_duration() {
        for (text, message) in [
            (
                "",
                "expected a duration such as `90s` or `1h30m`, found an empty text",
            ),
            (
                "soon",
                "expected a duration such as `90s` or `1h30m`, found `soon`",
            ),
            (
                "1.2.3s",
                "expected a duration such as `90s` or `1h30m`, found `1.2.3s`",
            ),
            (
                "+",
                "expected a duration such as `90s` or `1h30m`, found `+`",
            ),
            (
                "90",
                "the duration `90` has a number without a unit: add one of ns, us, ms, s, m, h",
            ),
            (
                "1d",
                "the duration `1d` has the unknown unit `d`: expected ns, us, ms, s, m or h",
            ),
            ("-5s", "the duration `-5s` is negative"),
            (
                "--5s",
                "expected a duration such as `90s` or `1h30m`, found `--5s`",
            ),
            (
                "3000000h",
                "the duration `3000000h` is longer than 292 years",
            ),
            (
                "2000000h2000000h",
                "the duration `2000000h2000000h` is longer than 292 years",
            ),
        ] {
            assert_eq!(
                parse_duration(text).unwrap_err().to_string(),
                message,
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_full_of_signs_is_no_duration() {
        let signs = "-".repeat(1 << 20);
        assert!(matches!(
            parse_duration(&signs),
            Err(DurationError::Malformed(_))
        ));
    }
}
