//! Sizes in bytes as people write them: `32MiB`.

/// Binary and decimal units, told apart.
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `Err`: what is wrong with it, as a sentence that names it.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size such as `32MiB`";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(format!("{EXPECTED}, found `{text}`"));
    }
    if unit.is_empty() {
        return Err(format!(
            "the size `{text}` has no unit: add one of B, KiB, MiB, GiB"
        ));
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "the size `{text}` has the unknown unit `{unit}`: expected B, KiB, MiB or GiB"
        ));
    };
    match number.parse::<f64>() {
        // Exact up to 8 PiB, which is far beyond every limit.
        Ok(value) if value * (*scale as f64) < (1_u64 << 53) as f64 => {
            Ok((value * (*scale as f64)) as u64)
        }
        Ok(_) => Err(format!("the size `{text}` is too large")),
        Err(_) => Err(format!("{EXPECTED}, found `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in [
            ("32MiB", 32 << 20),
            ("1.5 KiB", 1536),
            ("8MB", 8_000_000),
            ("64B", 64),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, why) in [
            ("", "expected a size"),
            ("MiB", "expected a size"),
            ("1.2.3MiB", "expected a size"),
            ("-1MiB", "expected a size"),
            ("32", "has no unit"),
            ("32Mi", "has the unknown unit `Mi`"),
            ("32mib", "has the unknown unit `mib`"),
            ("99999999999GiB", "is too large"),
        ] {
            let message = parse_size(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
