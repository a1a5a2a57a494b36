//! Which names a metric and a label may have: the classic character set only, so that no scraper
//! needs an escaping scheme.

use super::family::Kind;

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("the {what} name is empty")]
    Empty { what: &'static str },
    #[error("{what} name `{name}` has a `{character}` at character {at}; allowed are {allowed}")]
    Character {
        what: &'static str,
        name: String,
        character: char,
        /// Counted from 1.
        at: usize,
        allowed: &'static str,
    },
    #[error("label name `{name}` is reserved: names that start with `__` belong to Prometheus")]
    Internal { name: String },
    #[error("label name `{name}` is reserved: a histogram's buckets are told apart by it")]
    Bucket { name: String },
    #[error("label name `{name}` is reserved: a summary's quantiles are told apart by it")]
    Quantile { name: String },
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub(crate) fn metric_name(name: &str) -> Result<(), NameError> {
    characters(
        "metric",
        name,
        "letters, digits, `_` and `:`, no digit first",
        |character| character == ':',
    )
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, not starting with `__`, not `le` in a histogram and not `quantile` in
/// a summary.
pub(crate) fn label_name(name: &str, kind: Kind) -> Result<(), NameError> {
    characters(
        "label",
        name,
        "letters, digits and `_`, no digit first",
        |_| false,
    )?;
    if name.starts_with("__") {
        return Err(NameError::Internal {
            name: name.to_owned(),
        });
    }
    if name == "le" && kind == Kind::Histogram {
        return Err(NameError::Bucket {
            name: name.to_owned(),
        });
    }
    if name == "quantile" && kind == Kind::Summary {
        return Err(NameError::Quantile {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn characters(
    what: &'static str,
    name: &str,
    allowed: &'static str,
    also: fn(char) -> bool,
) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    for (index, character) in name.chars().enumerate() {
        let fits = character.is_ascii_alphabetic()
            || character == '_'
            || also(character)
            || (index > 0 && character.is_ascii_digit());
        if !fits {
            let (name, at) = (name.to_owned(), index + 1);
            return Err(NameError::Character {
                what,
                name,
                character,
                at,
                allowed,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_names_pass_and_others_say_why() {
        for good in ["a", "_a", "a:b", "ebpf_exporter_timer_starts_total", "A9"] {
            assert_eq!(metric_name(good), Ok(()));
        }
        assert_eq!(metric_name(""), Err(NameError::Empty { what: "metric" }));
        let error = metric_name("a.b").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("metric name `a.b` has a `.` at character 2")
        );
        assert!(metric_name("9a").is_err() && metric_name("é").is_err());
        assert_eq!(label_name("le", Kind::Counter), Ok(()));
        assert!(matches!(
            label_name("le", Kind::Histogram),
            Err(NameError::Bucket { .. })
        ));
        assert_eq!(label_name("quantile", Kind::Histogram), Ok(()));
        assert!(matches!(
            label_name("quantile", Kind::Summary),
            Err(NameError::Quantile { .. })
        ));
        assert!(matches!(
            label_name("__name__", Kind::Gauge),
            Err(NameError::Internal { .. })
        ));
        assert!(label_name("a:b", Kind::Gauge).is_err());
    }
}
