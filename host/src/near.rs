//! "Did you mean …?": the known word nearest to one that isn't known.

/// The candidate that `word` was most likely meant to be, if any is near enough. Case and the
/// choice of `-` or `_` don't count.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // A huge word is no typing mistake, and comparing costs length times length.
    if word.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &plain(candidate)),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `, did you mean `x`?` where there is something near, otherwise what there is to choose from.
pub(crate) fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!(", did you mean `{near}`?"),
        None => format!(": expected {}", one_of(candidates)),
    }
}

/// `a`, `b` or `c`
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let words = ["name", "help", "labels", "perf_event_array"];
        assert_eq!(nearest("lables", words), Some("labels"));
        assert_eq!(nearest("hlep", words), Some("help"));
        assert_eq!(nearest("Perf-Event-Array", words), Some("perf_event_array"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest(&"labels".repeat(20), words), None);
    }

    #[test]
    fn lists_the_choices_where_nothing_is_near() {
        assert_eq!(
            suggestion("hsh", &["hash", "cgrp_storage"]),
            ", did you mean `hash`?"
        );
        assert_eq!(
            suggestion("tree", &["hash", "cgrp_storage"]),
            ": expected `hash` or `cgrp_storage`"
        );
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
