//! From the bytes of a value to a number, and arithmetic on numbers: exact on integers as long as
//! that is possible.

use crate::exposition::Number;
use crate::plugin::{Encoding, NumberSource};

/// Sum of two numbers: exact for integers (u64 wraps as the kernel's own counters do), in f64 as
/// soon as one of them is.
#[inline]
pub(super) fn add(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Unsigned(a), Number::Unsigned(b)) => Number::Unsigned(a.wrapping_add(b)),
        (Number::Signed(a), Number::Signed(b)) => Number::Signed(a.wrapping_add(b)),
        // A fresh accumulator is an unsigned zero.
        (Number::Unsigned(0), other) => other,
        (a, b) => Number::Float(as_float(a) + as_float(b)),
    }
}

/// The difference of two numbers, exact where `add` is: what was added to `b` since it was `a`.
pub(super) fn subtract(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Unsigned(a), Number::Unsigned(b)) => Number::Unsigned(a.wrapping_sub(b)),
        (Number::Signed(a), Number::Signed(b)) => Number::Signed(a.wrapping_sub(b)),
        (other, Number::Unsigned(0)) => other,
        (a, b) => Number::Float(as_float(a) - as_float(b)),
    }
}

/// The number's bits, for `like` and `is_less`.
#[inline]
pub(super) fn bits(number: Number) -> u64 {
    match number {
        Number::Unsigned(value) => value,
        Number::Signed(value) => value.cast_unsigned(),
        number => number.to_f64().to_bits(),
    }
}

/// The number of these bits, of the same kind as another.
#[inline]
pub(super) fn like(other: Number, bits: u64) -> Number {
    match other {
        Number::Unsigned(_) => Number::Unsigned(bits),
        Number::Signed(_) => Number::Signed(bits.cast_signed()),
        Number::Float(_) | Number::Shifted { .. } => Number::Float(f64::from_bits(bits)),
    }
}

/// Whether the number is less than the one of its kind with these bits.
#[inline]
pub(super) fn is_less(number: Number, bits: u64) -> bool {
    match number {
        Number::Unsigned(value) => value < bits,
        Number::Signed(value) => value < bits.cast_signed(),
        number => number.to_f64() < f64::from_bits(bits),
    }
}

/// A zero of the kind that `read` gives.
pub(super) fn zero(source: NumberSource) -> Number {
    let at_start = NumberSource {
        offset: 0,
        ..source
    };
    read(at_start, &[0; size_of::<u64>()]).unwrap_or(Number::Unsigned(0))
}

/// The number times the factor; a factor of 1 keeps integers exact.
#[inline]
pub(super) fn scale(number: Number, factor: f64) -> Number {
    if factor == 1.0 {
        number
    } else {
        Number::Float(as_float(number) * factor)
    }
}

pub(super) fn as_float(number: Number) -> f64 {
    number.to_f64()
}

/// A bucket's count. Negative and fractional numbers are cut to what a count can be.
pub(super) fn as_count(number: Number) -> u64 {
    match number {
        Number::Unsigned(value) => value,
        Number::Signed(value) => u64::try_from(value).unwrap_or(0),
        number => number.to_f64() as u64,
    }
}

/// Reads a number out of one value; None if it lies outside.
#[inline]
pub(super) fn read(source: NumberSource, value: &[u8]) -> Option<Number> {
    // Nearly all are of this kind.
    if source.encoding == Encoding::U64 {
        let bytes = value.get(source.offset..source.offset + size_of::<u64>())?;
        return Some(Number::Unsigned(u64::from_ne_bytes(bytes.try_into().ok()?)));
    }
    read_other(source, value)
}

#[inline(never)]
fn read_other(source: NumberSource, value: &[u8]) -> Option<Number> {
    let bytes = value.get(source.offset..source.offset + source.encoding.size())?;
    Some(match source.encoding {
        Encoding::U64 => Number::Unsigned(u64::from_ne_bytes(bytes.try_into().ok()?)),
        Encoding::S64 => Number::Signed(i64::from_ne_bytes(bytes.try_into().ok()?)),
        Encoding::U32 => Number::Unsigned(u32::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::S32 => Number::Signed(i32::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::F64 => Number::Float(f64::from_ne_bytes(bytes.try_into().ok()?)),
        Encoding::U16 => Number::Unsigned(u16::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::S16 => Number::Signed(i16::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::U8 => Number::Unsigned(u8::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::S8 => Number::Signed(i8::from_ne_bytes(bytes.try_into().ok()?).into()),
        Encoding::F32 => Number::Float(f32::from_ne_bytes(bytes.try_into().ok()?).into()),
    })
}

/// Reads a number out of each CPU's value and adds them up. `stride`: bytes from one CPU's value to
/// the next.
#[inline]
pub(super) fn read_sum(source: NumberSource, values: &[u8], stride: usize) -> Option<Number> {
    if values.len() <= stride {
        return read(source, values);
    }
    let mut sum = Number::Unsigned(0);
    for value in values.chunks_exact(stride) {
        sum = add(sum, read(source, value)?);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_exact() {
        let big = Number::Unsigned((1 << 53) + 1);
        assert_eq!(
            add(big, Number::Unsigned(1)),
            Number::Unsigned((1 << 53) + 2)
        );
        assert_eq!(scale(big, 1.0), big);
        assert_eq!(
            add(Number::Unsigned(0), Number::Signed(-3)),
            Number::Signed(-3)
        );
        assert_eq!(
            add(Number::Signed(-3), Number::Signed(1)),
            Number::Signed(-2)
        );
        assert_eq!(
            add(Number::Unsigned(1), Number::Float(0.5)),
            Number::Float(1.5)
        );
    }

    #[test]
    fn numbers_come_out_of_values() {
        let mut value = 7_u32.to_ne_bytes().to_vec();
        value.extend((-1_i32).to_ne_bytes());
        let at = |offset, encoding| read(NumberSource { offset, encoding }, &value);
        assert_eq!(at(0, Encoding::U32), Some(Number::Unsigned(7)));
        assert_eq!(at(4, Encoding::S32), Some(Number::Signed(-1)));
        assert_eq!(at(4, Encoding::U64), None, "outside of the value");
        value.extend((-2_i16).to_ne_bytes());
        value.extend([200, 1]);
        value.extend(0.1_f32.to_ne_bytes());
        let at = |offset, encoding| read(NumberSource { offset, encoding }, &value);
        assert_eq!(at(8, Encoding::S16), Some(Number::Signed(-2)));
        assert_eq!(at(8, Encoding::U16), Some(Number::Unsigned(65534)));
        assert_eq!(at(10, Encoding::U8), Some(Number::Unsigned(200)));
        assert_eq!(at(10, Encoding::S8), Some(Number::Signed(-56)));
        assert_eq!(at(12, Encoding::F32), Some(Number::Float(0.1_f32.into())));
        assert_eq!(at(15, Encoding::U16), None);
    }

    #[test]
    fn cpus_are_summed() {
        let values: Vec<u8> = [1_u64, 2, 4]
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect();
        let source = NumberSource {
            offset: 0,
            encoding: Encoding::U64,
        };
        assert_eq!(read_sum(source, &values, 8), Some(Number::Unsigned(7)));
        assert_eq!(read_sum(source, &values[..8], 8), Some(Number::Unsigned(1)));
    }
}
