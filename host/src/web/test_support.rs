//! Query strings of any bytes, for ../test_support.

use super::query;

/// A query string, as whoever asks writes it.
pub(crate) fn query(text: &str) {
    match query::parse(Some(text)) {
        Ok(pairs) => {
            let named = |name: &str| pairs.iter().filter(|(key, _)| key == name).count();
            let (collect, exclude) = (named("collect[]"), named("exclude[]"));
            let filter = query::filter(pairs);
            assert_eq!(filter.collect.len(), collect);
            assert_eq!(filter.exclude.len(), exclude);
        }
        Err(sentence) => assert!(sentence.ends_with('\n')),
    }
}
