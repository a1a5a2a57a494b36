//! Spans of time as people write them in Prometheus' configuration.

use std::time::Duration;

/// `90`, `90s`, `1h30m`, `2d`: a number is seconds, units come in descending order, each once.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const UNITS: [(char, u64); 5] = [
        ('w', 604_800),
        ('d', 86_400),
        ('h', 3600),
        ('m', 60),
        ('s', 1),
    ];
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(end)?;
        let unit = after.chars().next()?;
        let (_, seconds) = units.by_ref().find(|(known, _)| *known == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        rest = after.get(unit.len_utf8()..)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1w1s", 604_801),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "-1",
            "1m1h",
            "1s1s",
            "1.5h",
            "1 h",
            "99999999999999999999s",
            "1mé",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
