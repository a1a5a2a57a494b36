//! Patterns over absolute paths: what a plugin may read.

use std::fmt;

use glob::{MatchOptions, Pattern};

use crate::config::yaml::shorten;

/// `**` costs a search of its own.
const MAX_RECURSIVE: usize = 2;
const MAX_LENGTH: usize = 4096;

/// A glob over absolute paths: `*` and `?` stay inside one component, `**` stands for any number of
/// components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of components, also none.
    Any,
    One(Pattern),
}

// === impl PathPattern ===

impl PathPattern {
    /// `Err`: what is wrong with it, as a sentence that names it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("the path pattern `{}` {why}", shorten(text));
        let Some(rest) = text.strip_prefix('/') else {
            return Err(wrong("is not absolute: start it with `/`"));
        };
        if text.len() > MAX_LENGTH {
            return Err(wrong("is longer than any path"));
        }
        let mut parts = Vec::new();
        for part in rest.split('/').filter(|_| !rest.is_empty()) {
            match part {
                "" => {
                    return Err(wrong(
                        "has an empty component: write single `/`, and none at its end",
                    ));
                }
                "." | ".." => {
                    return Err(wrong(
                        "has `.` or `..` in it: write the path without them, since no path that is asked for has them either",
                    ));
                }
                "**" => parts.push(Part::Any),
                _ if part.contains("**") => {
                    return Err(wrong(
                        "has `**` beside other characters: it has to be a component of its own",
                    ));
                }
                _ => match Pattern::new(part) {
                    Ok(pattern) => parts.push(Part::One(pattern)),
                    Err(error) => return Err(wrong(&format!("is no glob: {}", error.msg))),
                },
            }
        }
        if parts.iter().filter(|part| **part == Part::Any).count() > MAX_RECURSIVE {
            return Err(wrong("has more than two `**`"));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether a path matches, by its components.
    pub(crate) fn matches(&self, path: &[&str]) -> bool {
        matches(&self.parts, path)
    }

    /// Whether a path could match if more components were appended to it.
    pub(crate) fn leads_on(&self, path: &[&str]) -> bool {
        leads_on(&self.parts, path)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Part {
    fn matches(&self, component: &str) -> bool {
        const OPTIONS: MatchOptions = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        match self {
            Self::Any => true,
            Self::One(pattern) => pattern.matches_with(component, OPTIONS),
        }
    }
}

fn matches(parts: &[Part], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((Part::Any, later)), None) => matches(later, path),
        (Some((Part::Any, later)), Some((_, below))) => {
            matches(later, path) || matches(parts, below)
        }
        (Some(_), None) => false,
        (Some((part, later)), Some((component, below))) => {
            part.matches(component) && matches(later, below)
        }
    }
}

fn leads_on(parts: &[Part], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, _) => false,
        (Some((Part::Any, _)), _) | (Some(_), None) => true,
        (Some((part, later)), Some((component, below))) => {
            part.matches(component) && leads_on(later, below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(path: &str) -> Vec<&str> {
        path.split('/').filter(|part| !part.is_empty()).collect()
    }

    fn is_match(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern)
            .unwrap()
            .matches(&components(path))
    }

    fn leads(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern)
            .unwrap()
            .leads_on(&components(path))
    }

    #[test]
    fn a_star_stays_in_its_component() {
        assert!(is_match("/proc/stat", "/proc/stat"));
        assert!(!is_match("/proc/stat", "/proc/stat/x"));
        assert!(!is_match("/proc/stat", "/proc"));
        assert!(is_match(
            "/sys/class/net/*/statistics/*",
            "/sys/class/net/eth0/statistics/rx_bytes"
        ));
        assert!(!is_match("/sys/class/net/*", "/sys/class/net/eth0/mtu"));
        assert!(is_match("/a/*", "/a/.hidden"));
        assert!(is_match("/dev/sd[a-c]?", "/dev/sdb1"));
        assert!(!is_match("/dev/sd[a-c]?", "/dev/sdx1"));
    }

    #[test]
    fn two_stars_are_any_number_of_components() {
        for path in ["/etc", "/etc/a", "/etc/a/b/..c"] {
            assert!(is_match("/etc/**", path), "{path}");
        }
        assert!(!is_match("/etc/**", "/etcetera"));
        assert!(is_match("/**", "/"));
        assert!(is_match("/", "/"));
        assert!(!is_match("/", "/a"));
        assert!(is_match("/a/**/z", "/a/z"));
        assert!(is_match("/a/**/m/**/z", "/a/b/m/m/c/z"));
        assert!(!is_match("/a/**/z", "/a/b/c"));
        let long = vec!["a"; 2000];
        assert!(
            !PathPattern::parse("/**/b/**/c").unwrap().matches(&long),
            "a long path must not take forever"
        );
    }

    #[test]
    fn what_lies_above_a_grant_leads_to_it() {
        let pattern = "/sys/class/net/*/mtu";
        for path in ["/", "/sys", "/sys/class/net", "/sys/class/net/eth0"] {
            assert!(leads(pattern, path), "{path}");
        }
        for path in ["/sys/class/net/eth0/mtu", "/sys/block", "/proc"] {
            assert!(!leads(pattern, path), "{path}");
        }
        assert!(leads("/a/**/b", "/a/x/y"));
        assert!(!leads("/a/**/b", "/c"));
    }

    #[test]
    fn what_is_no_pattern_is_a_sentence() {
        for (text, why) in [
            ("proc/stat", "is not absolute"),
            ("", "is not absolute"),
            ("/proc//stat", "has an empty component"),
            ("/proc/", "has an empty component"),
            ("/proc/../etc", "has `.` or `..` in it"),
            ("/proc/[a", "is no glob: "),
            ("/proc/a**", "has `**` beside other characters"),
            ("/**/a/**/b/**", "has more than two `**`"),
        ] {
            let message = PathPattern::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
