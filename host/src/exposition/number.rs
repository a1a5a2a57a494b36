//! Numbers as text: Go's shortest form for text format 0.0.4, its OpenMetrics variant, and integers
//! exactly.
//!
//! Go prints a float64 with the shortest digits that read back as the same value, in exponent form
//! iff the decimal exponent is below -4 or at least 6 (`strconv.AppendFloat(f, 'g', -1, 64)`):
//! `999999`, `1e+06`, `6.4e-05`.

use super::value::Number;

/// Decimal exponents from here on are written in exponent form.
const EXPONENT_FROM: i32 = 6;
/// And those below this one.
const PLAIN_FROM: i32 = -4;
/// Integers below this are written digit by digit in Go's form too.
const PLAIN_BELOW: u64 = 1_000_000;
/// Every integer up to here is a float64 of its own, and its decimal digits are the shortest ones.
const EXACT_BELOW: u64 = 1 << 53;

/// Go's form; an integer that no float64 equals is written exactly instead.
#[inline]
pub(super) fn go(out: &mut String, number: Number) {
    match number {
        Number::Unsigned(value) => go_integer(out, value),
        number => go_other(out, number),
    }
}

#[inline(never)]
fn go_other(out: &mut String, number: Number) {
    match number {
        Number::Unsigned(value) => go_integer(out, value),
        Number::Signed(value) => {
            if value < 0 {
                out.push('-');
            }
            go_integer(out, value.unsigned_abs());
        }
        Number::Float(value) => go_float(out, value),
        Number::Shifted {
            negative,
            digits,
            power,
        } => shifted(out, negative, digits, power),
    }
}

/// An integer times a power of ten in Go's form, with all of its digits.
fn shifted(out: &mut String, negative: bool, digits: u64, power: i8) {
    if digits == 0 {
        return out.push('0');
    }
    if negative {
        out.push('-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(digits);
    let exponent = i32::try_from(digits.len()).unwrap_or(0) - 1 + i32::from(power);
    let digits = digits.trim_end_matches('0');
    in_form(out, digits, exponent);
}

/// Integers as they are, floats in Go's form with `.0` where neither point nor exponent shows that
/// they are floats.
pub(super) fn open_metrics(out: &mut String, number: Number) {
    match number {
        Number::Unsigned(value) => integer(out, value),
        Number::Signed(value) => out.push_str(itoa::Buffer::new().format(value)),
        Number::Float(value) => open_metrics_float(out, value),
        number @ Number::Shifted { .. } => {
            let start = out.len();
            go(out, number);
            show_that_it_is_a_float(out, start);
        }
    }
}

pub(super) fn open_metrics_float(out: &mut String, value: f64) {
    let start = out.len();
    go_float(out, value);
    if value.is_finite() {
        show_that_it_is_a_float(out, start);
    }
}

fn show_that_it_is_a_float(out: &mut String, start: usize) {
    if !out[start..].contains(['.', 'e']) {
        out.push_str(".0");
    }
}

/// Milliseconds as seconds.
pub(super) fn seconds(out: &mut String, millis: u64) {
    integer(out, millis / 1000);
    out.push('.');
    for digit in [100, 10, 1] {
        integer(out, millis / digit % 10);
    }
}

pub(super) fn integer(out: &mut String, value: u64) {
    out.push_str(itoa::Buffer::new().format(value));
}

pub(super) fn go_integer(out: &mut String, value: u64) {
    if value < PLAIN_BELOW {
        return integer(out, value);
    }
    if value < EXACT_BELOW {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value);
        let exponent = i32::try_from(digits.len()).unwrap_or(0) - 1;
        return exponent_form(out, digits.trim_end_matches('0'), exponent);
    }
    let significant_bits = u64::BITS - value.leading_zeros() - value.trailing_zeros();
    if significant_bits <= f64::MANTISSA_DIGITS {
        return go_float(out, value as f64);
    }
    integer(out, value);
}

pub(super) fn go_float(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value == 0.0 {
        // -0 too, as Go does.
        return out.push('0');
    }
    if value < 0.0 {
        out.push('-');
    }
    let magnitude = value.abs();
    if magnitude < EXACT_BELOW as f64 && magnitude.fract() == 0.0 {
        return go_integer(out, magnitude as u64);
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = Decimal::of(buffer.format_finite(magnitude));
    in_form(out, shortest.digits(), shortest.exponent);
}

fn in_form(out: &mut String, digits: &str, exponent: i32) {
    if (PLAIN_FROM..EXPONENT_FROM).contains(&exponent) {
        plain_form(out, digits, exponent);
    } else {
        exponent_form(out, digits, exponent);
    }
}

/// `d.ddde±XX`; `digits` without trailing zeros.
fn exponent_form(out: &mut String, digits: &str, exponent: i32) {
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    let exponent = exponent.unsigned_abs();
    if exponent < 10 {
        out.push('0');
    }
    out.push_str(itoa::Buffer::new().format(exponent));
}

fn plain_form(out: &mut String, digits: &str, exponent: i32) {
    let Ok(exponent) = usize::try_from(exponent) else {
        out.push_str("0.");
        for _ in 1..exponent.unsigned_abs() {
            out.push('0');
        }
        return out.push_str(digits);
    };
    match digits.split_at_checked(exponent + 1) {
        Some((whole, "")) => out.push_str(whole),
        Some((whole, fraction)) => {
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        None => {
            out.push_str(digits);
            for _ in digits.len()..=exponent {
                out.push('0');
            }
        }
    }
}

/// The digits d1 d2 d3... and exponent e of d1.d2d3... * 10^e; no zeros at either end.
struct Decimal {
    digits: [u8; 32],
    len: usize,
    exponent: i32,
}

impl Decimal {
    /// Takes apart what zmij prints for a finite positive number: `123.45`, `1.5e-7`, `0.001`,
    /// `1e16`.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut decimal = Self {
            digits: [b'0'; 32],
            len: 0,
            exponent: exponent.parse().unwrap_or(0),
        };
        decimal.exponent += i32::try_from(whole.len()).unwrap_or(0) - 1;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if decimal.len == 0 && digit == b'0' {
                decimal.exponent -= 1;
            } else if let Some(next) = decimal.digits.get_mut(decimal.len) {
                *next = digit;
                decimal.len += 1;
            }
        }
        decimal
    }

    fn digits(&self) -> &str {
        // Both steps cannot fail: `len` counts ASCII bytes that were stored.
        let digits = self.digits.get(..self.len).unwrap_or_default();
        std::str::from_utf8(digits)
            .unwrap_or("0")
            .trim_end_matches('0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go_text(number: Number) -> String {
        let mut out = String::new();
        go(&mut out, number);
        out
    }

    fn om_text(number: Number) -> String {
        let mut out = String::new();
        open_metrics(&mut out, number);
        out
    }

    #[test]
    fn floats_look_like_go() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_287_408.0, "1.287408e+06"),
            (16_777_216.0, "1.6777216e+07"),
            (0.0001, "0.0001"),
            (0.000064, "6.4e-05"),
            (123_456.789, "123456.789"),
            (1_234_567.89, "1.23456789e+06"),
            (0.1 * 3.0, "0.30000000000000004"),
            (0.5, "0.5"),
            (-12.25, "-12.25"),
            (100_000.0, "100000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (4_851_340.5, "4.8513405e+06"),
            (18_446_744_073_709_551_615.0, "1.8446744073709552e+19"),
            (9_007_199_254_740_993.0, "9.007199254740992e+15"),
        ] {
            assert_eq!(go_text(Number::Float(value)), text, "{value:?}");
        }
    }

    #[test]
    fn integers_are_exact() {
        for (value, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_000_000, "1e+06"),
            (1_287_408, "1.287408e+06"),
            ((1 << 53) - 1, "9.007199254740991e+15"),
            (1 << 53, "9.007199254740992e+15"),
            ((1 << 53) + 1, "9007199254740993"),
            (1 << 63, "9.223372036854776e+18"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(go_text(Number::Unsigned(value)), text, "{value}");
        }
        assert_eq!(go_text(Number::Signed(-1_500_000)), "-1.5e+06");
        assert_eq!(go_text(Number::Signed(i64::MIN)), "-9.223372036854776e+18");
        assert_eq!(om_text(Number::Unsigned(u64::MAX)), "18446744073709551615");
        assert_eq!(om_text(Number::Signed(-3)), "-3");
    }

    #[test]
    fn the_point_is_shifted_exactly() {
        for (digits, power, text, open_metrics) in [
            (1_000_000_000_000_000_000, -9, "1e+09", "1e+09"),
            (
                1_234_567_890_123_456_789,
                -9,
                "1.234567890123456789e+09",
                "1.234567890123456789e+09",
            ),
            (15, -9, "1.5e-08", "1.5e-08"),
            (1500, -3, "1.5", "1.5"),
            (2000, -3, "2", "2.0"),
            (0, -3, "0", "0.0"),
            (64, -6, "6.4e-05", "6.4e-05"),
            (1, -4, "0.0001", "0.0001"),
            (999_999, 0, "999999", "999999.0"),
            (7, 5, "700000", "700000.0"),
            (7, 6, "7e+06", "7e+06"),
        ] {
            let number = |negative| Number::Shifted {
                negative,
                digits,
                power,
            };
            assert_eq!(go_text(number(false)), text);
            assert_eq!(om_text(number(false)), open_metrics);
            assert_eq!(number(false).to_f64(), text.parse::<f64>().unwrap());
            if digits > 0 {
                assert_eq!(go_text(number(true)), format!("-{text}"));
                assert_eq!(number(true).to_f64(), -number(false).to_f64());
            }
        }
    }

    #[test]
    fn open_metrics_floats_show_that_they_are_floats() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (1e6, "1e+06"),
            (0.25, "0.25"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(om_text(Number::Float(value)), text);
        }
    }

    /// A cheap generator in place of a property-test library: every printed form reads back as the
    /// same number.
    #[test]
    fn any_float_and_integer_reads_back() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let float = f64::from_bits(state);
            if float.is_finite() {
                let text = go_text(Number::Float(float));
                let back: f64 = text.parse().unwrap();
                assert_eq!(back, float, "{text}");
                // As many digits as the standard library's shortest form (ties between two shortest
                // are broken otherwise there).
                let digits = |text: &str| {
                    let mantissa = text.split('e').next().unwrap_or_default();
                    mantissa.bytes().filter(u8::is_ascii_digit).count()
                };
                if text.contains('e') {
                    assert_eq!(digits(&text), digits(&format!("{float:e}")), "{text}");
                }
            }
            let integer = state >> (state % 64);
            let text = go_text(Number::Unsigned(integer));
            assert_eq!(text.parse::<f64>().unwrap(), integer as f64, "{text}");
        }
    }
}
