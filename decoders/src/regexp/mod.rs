//! `regexp`: what a pattern finds in a text, or no series at all.

mod repaired;

use std::cell::RefCell;

use exporter_guest_sdk::options::Text;
use exporter_guest_sdk::{Answer, Decoder, Error};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use serde::Deserialize;

use self::repaired::Repaired;

/// The first pattern that matches decides: its first group, or all it matched if it has no group.
/// No match drops the row.
#[derive(Debug)]
pub struct Regexp {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// Where groups were found, kept from call to call; None: the pattern has no group.
    groups: Option<RefCell<CaptureLocations>>,
}

/// Options of [`Regexp`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    regexps: Option<Vec<Text>>,
}

impl Decoder for Regexp {
    const NAME: &'static str = "regexp";
    const SUMMARY: &'static str = "any text: what the first matching pattern finds in it; without a match the series is left out";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"regexps":{"type":"array","items":{"type":["string","number","boolean"]}}},"required":["regexps"]}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        let patterns = options
            .regexps
            .ok_or("regexp wants `regexps`, a list of patterns")?;
        let patterns = patterns
            .iter()
            .map(|pattern| Pattern::new(pattern.as_str()));
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        // Go reads a byte that is no UTF-8 as the character U+FFFD: so does what is searched here,
        // but the answer is the bytes themselves.
        let repaired = Repaired::new(input);
        let searched = repaired.as_ref().map_or(input, Repaired::text);
        let Some((start, end)) = self
            .patterns
            .iter()
            .find_map(|pattern| pattern.find(searched))
        else {
            return Ok(Answer::Drop);
        };
        let (start, end) = match &repaired {
            Some(repaired) => (repaired.original(start), repaired.original(end)),
            None => (start, end),
        };
        out.extend_from_slice(input.get(start..end).unwrap_or_default());
        Ok(Answer::Known)
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(pattern: &str) -> Result<Self, Error> {
        let regex = RegexBuilder::new(&go_regexp::translate(pattern))
            .size_limit(go_regexp::SIZE_LIMIT)
            .build()
            .map_err(|error| {
                format!(
                    "`{pattern}` in `regexps` is no pattern: {}",
                    go_regexp::reason(&error)
                )
            })?;
        let groups = (regex.captures_len() > 1).then(|| RefCell::new(regex.capture_locations()));
        Ok(Self { regex, groups })
    }

    /// What the first group found, or the match; a group that took no part found nothing.
    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        let Some(groups) = &self.groups else {
            return self
                .regex
                .find(text)
                .map(|found| (found.start(), found.end()));
        };
        let mut groups = groups.borrow_mut();
        self.regex.captures_read(&mut groups, text)?;
        Some(groups.get(1).unwrap_or((0, 0)))
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;
    use crate::testing::say;

    fn bytes(patterns: &[&str], input: &[u8]) -> (Answer, Vec<u8>) {
        let patterns: Vec<String> = patterns
            .iter()
            .map(|pattern| format!("{pattern:?}"))
            .collect();
        let regexp: Regexp = open(&format!(r#"{{"regexps": [{}]}}"#, patterns.join(","))).unwrap();
        decode_one(&regexp, &FakeKernel::default(), input).unwrap()
    }

    fn find(patterns: &[&str], input: &str) -> Option<String> {
        match bytes(patterns, input.as_bytes()) {
            (Answer::Drop, _) => None,
            (_, text) => Some(String::from_utf8(text).unwrap()),
        }
    }

    #[test]
    fn a_match_without_a_group_is_the_match_itself() {
        assert_eq!(find(&["^bash$"], "bash").as_deref(), Some("bash"));
        assert_eq!(find(&["[0-9]+"], "abc 123 def 456").as_deref(), Some("123"));
        assert_eq!(find(&["x*"], "abc").as_deref(), Some(""));
        assert_eq!(find(&["^bash$"], "zsh"), None);
    }

    #[test]
    fn the_first_group_is_the_answer() {
        assert_eq!(
            find(&["^/system.slice/(.*)$"], "/system.slice/ssh").as_deref(),
            Some("ssh")
        );
        assert_eq!(find(&["^(a)?b"], "b").as_deref(), Some(""));
        assert_eq!(find(&["(a+)(b+)"], "xaabb").as_deref(), Some("aa"));
        assert_eq!(find(&["(?:a+)b"], "xaabb").as_deref(), Some("aab"));
    }

    #[test]
    fn the_first_pattern_that_matches_wins() {
        assert_eq!(find(&["b", "(a).*"], "ab").as_deref(), Some("b"));
        assert_eq!(find(&["x", "(a).*"], "ab").as_deref(), Some("a"));
        assert_eq!(find(&["x", "y"], "ab"), None);
        assert_eq!(find(&[], "ab"), None);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_characters() {
        assert_eq!(
            bytes(&["^(.*)$"], b"a\xff\xfe"),
            (Answer::Known, b"a\xff\xfe".to_vec())
        );
        assert_eq!(
            bytes(&["^a(..)b$"], b"a\xe2\x82b"),
            (Answer::Known, b"\xe2\x82".to_vec())
        );
        assert_eq!(
            bytes(&["^.(é)."], "\u{e4}é\u{20ac}".as_bytes()),
            (Answer::Known, "é".into())
        );
        assert_eq!(
            bytes(&["b+"], b"\xff\xffbb\xff"),
            (Answer::Known, b"bb".to_vec())
        );
    }

    #[test]
    fn options_are_checked_at_open() {
        let error = |options| open::<Regexp>(options).unwrap_err().to_string();
        assert_eq!(error("{}"), "regexp wants `regexps`, a list of patterns");
        assert_eq!(
            error(r#"{"regexps": null}"#),
            "regexp wants `regexps`, a list of patterns"
        );
        assert_eq!(
            error(r#"{"regexps": ["ok", "a(b"]}"#),
            "`a(b` in `regexps` is no pattern: unclosed group"
        );
        assert!(
            error(r#"{"regexps": ["(((a{1000}){1000}){1000})"]}"#).contains("exceeds size limit")
        );
        assert!(error(r#"{"regexp": []}"#).contains("has no option `regexp`"));
        let number: Regexp = open(r#"{"regexps": [42]}"#).unwrap();
        assert_eq!(say(&number, &FakeKernel::default(), b"x42"), "42");
    }
}
