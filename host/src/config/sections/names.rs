//! Prometheus' rules for the names of metrics and labels, in the form every version of every reader
//! accepts.

/// `Err`: what is wrong with it, as the rest of a sentence that starts with the name.
pub(super) fn check_metric_name(name: &str) -> Result<(), String> {
    check(
        name,
        "a metric's name",
        "letters, digits, `_` and `:`",
        |c| c == '_' || c == ':',
    )
}

/// As ebpf_exporter writes names that are not made of letters, digits and `_`: each other character
/// becomes a `_`, and so does a digit at the start. A colon too, which ebpf_exporter leaves.
pub(super) fn escape_label_name(name: &str) -> String {
    let escape = |(index, c): (usize, char)| match c {
        '_' => c,
        c if c.is_ascii_alphabetic() || (c.is_ascii_digit() && index > 0) => c,
        _ => '_',
    };
    name.chars().enumerate().map(escape).collect()
}

/// As for metrics, less the colon; names that start with `__` are Prometheus' own.
pub(super) fn check_label_name(name: &str) -> Result<(), String> {
    check(name, "a label's name", "letters, digits and `_`", |c| {
        c == '_'
    })?;
    if name.starts_with("__") {
        return Err("starts with `__`, which Prometheus keeps for itself".to_owned());
    }
    Ok(())
}

fn check(
    name: &str,
    what: &str,
    made_of: &str,
    extra: impl Fn(char) -> bool,
) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || extra(c);
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        let instead: String = name
            .chars()
            .map(|c| if allowed(c) { c } else { '_' })
            .collect();
        let hint = if instead.len() <= 64 {
            format!(": write `{instead}`?")
        } else {
            String::new()
        };
        return Err(format!(
            "has a {bad:?}, but {what} is made of {made_of}{hint}"
        ));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "starts with a digit, but {what} must not: write `_{name}`?"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_every_reader_accepts() {
        for name in ["a", "_a", "timer_starts_total", "a:b", "A9"] {
            assert_eq!(check_metric_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_label_name("_cpu"), Ok(()));
    }

    #[test]
    fn says_what_is_wrong() {
        let metric = |name| check_metric_name(name).unwrap_err();
        assert_eq!(
            metric("a-b"),
            "has a '-', but a metric's name is made of letters, digits, `_` and `:`: write `a_b`?"
        );
        assert_eq!(
            metric("9p"),
            "starts with a digit, but a metric's name must not: write `_9p`?"
        );
        assert_eq!(
            metric("größe"),
            "has a 'ö', but a metric's name is made of letters, digits, `_` and `:`: write `gr__e`?"
        );
        assert!(check_label_name("a:b").is_err());
        for (name, escaped) in [
            ("a.b-c", "a_b_c"),
            ("1port", "_port"),
            ("pört", "p_rt"),
            ("a1:b", "a1_b"),
            ("cpu_0", "cpu_0"),
        ] {
            assert_eq!(escape_label_name(name), escaped);
        }
        assert_eq!(
            check_label_name("__name__").unwrap_err(),
            "starts with `__`, which Prometheus keeps for itself"
        );
    }
}
