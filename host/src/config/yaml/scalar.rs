//! What the text of a scalar means. Fields of ebpf_exporter's schema are read as yaml.v2 reads them
//! (YAML 1.1: `yes` is true, `010` is 8); options of plugins as YAML 1.2's core schema has it, with
//! what is ambiguous left as text.

use serde_json::{Number, Value};

/// A number as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) enum Numeric {
    Integer(i128),
    Float(f64),
}

pub(in crate::config) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// YAML 1.1's booleans.
pub(in crate::config) fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// YAML 1.1's numbers, as yaml.v2 takes them: `0x10`, `0o17`, `017`, `0b11`, `1_000`, `1e3`, `.5`,
/// `.inf`.
pub(in crate::config) fn numeric(text: &str) -> Option<Numeric> {
    // `_` alone and `0x_` are no numbers, and no number starts with one.
    let (sign, magnitude) = split_sign(text);
    if magnitude.starts_with('_') {
        return None;
    }
    let digits = magnitude.replace('_', "");
    let based = |prefix: [&str; 2], radix| {
        let rest = digits
            .strip_prefix(prefix[0])
            .or_else(|| digits.strip_prefix(prefix[1]))?;
        unsigned(rest, radix)
    };
    let integer = based(["0x", "0X"], 16)
        .or_else(|| based(["0o", "0O"], 8))
        .or_else(|| based(["0b", "0B"], 2))
        .or_else(|| digits.strip_prefix('0').and_then(|rest| unsigned(rest, 8)))
        .or_else(|| {
            if digits.len() > 1 && digits.starts_with('0') {
                None
            } else {
                unsigned(&digits, 10)
            }
        });
    match integer {
        Some(value) => Some(Numeric::Integer(sign * value)),
        None => float(sign, &digits).map(Numeric::Float),
    }
}

/// A plain scalar of a plugin's options as JSON. Quoted ones are always strings and don't come
/// here. Text stays also a number that JSON cannot say (`.inf`) and one that YAML's versions don't
/// agree on (`017`, `1_000`).
pub(in crate::config) fn json(text: &str) -> Value {
    use serde_yaml::Value as Yaml;

    let as_text = || Value::String(text.to_owned());
    match serde_yaml::from_str(text) {
        Ok(Yaml::Null) => Value::Null,
        Ok(Yaml::Bool(value)) => Value::Bool(value),
        Ok(Yaml::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => value.into(),
            (_, Some(value), _) => value.into(),
            (.., Some(value)) => Number::from_f64(value).map_or_else(as_text, Value::Number),
            _ => as_text(),
        },
        _ => as_text(),
    }
}

fn split_sign(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits only: Rust's own parser would take another sign. Everything past 64 bits is left to
/// floats.
fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(i128::from)
}

fn float(sign: i128, magnitude: &str) -> Option<f64> {
    let value = match magnitude {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        // Rust's parser also takes `inf`, `nan` and `infinity`, which are words in YAML.
        _ if magnitude
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) =>
        {
            magnitude.parse().ok()?
        }
        _ => return None,
    };
    // `+-5` has two signs, and `e5` no digits: the parser refuses the latter, this the former.
    if magnitude.starts_with(['+', '-']) {
        return None;
    }
    Some(if sign < 0 { -value } else { value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_of_fields_are_those_of_yaml_1_1() {
        for (text, value) in [
            ("0", 0),
            ("8", 8),
            ("-8", -8),
            ("+8", 8),
            ("0x10", 16),
            ("-0x10", -16),
            ("0o17", 15),
            ("017", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("18446744073709551615", i128::from(u64::MAX)),
        ] {
            assert_eq!(numeric(text), Some(Numeric::Integer(value)), "{text}");
        }
        for (text, value) in [
            ("8.0", 8.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("-1.5e-3", -0.0015),
            ("1e+06", 1e6),
            ("-.inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(numeric(text), Some(Numeric::Float(value)), "{text}");
        }
        for text in [
            "", "-", "_1", "eight", "0x", "0xg", "1.2.3", "inf", "nan", "--1", "+-1", "e5", ".",
        ] {
            assert_eq!(numeric(text), None, "{text}");
        }
    }

    #[test]
    fn a_leading_zero_that_is_not_octal_is_a_float() {
        // As in Go: base 0 refuses `08`, the float pattern takes it.
        assert_eq!(numeric("08"), Some(Numeric::Float(8.0)));
    }

    #[test]
    fn booleans_of_fields_are_those_of_yaml_1_1() {
        assert_eq!(boolean("yes"), Some(true));
        assert_eq!(boolean("Off"), Some(false));
        assert_eq!(boolean("yEs"), None);
        assert_eq!(boolean("1"), None);
    }

    #[test]
    fn options_keep_as_text_what_is_ambiguous() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("5", json!(5)),
            ("-5", json!(-5)),
            ("0x10", json!(16)),
            ("0o17", json!(15)),
            ("017", json!("017")),
            ("1_000", json!("1_000")),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".inf", json!(".inf")),
            ("18446744073709551615", json!(u64::MAX)),
            // As a float it would be another number.
            ("18446744073709551616", json!("18446744073709551616")),
            ("text", json!("text")),
        ] {
            assert_eq!(json(text), value, "{text}");
        }
    }
}
