//! Which kernel this is, and what a config or a check says of kernels by number.

use std::fmt;

/// The numbers of a kernel's version, e.g. 6.18 or 6.18.44: one to three of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelVersion(Vec<u32>);

/// The running kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// As the kernel says it, e.g. `6.18.44-1-amd64`.
    pub(crate) text: String,
    number: KernelVersion,
}

impl KernelVersion {
    /// `6`, `6.18` or `6.18.44`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Option<Vec<u32>> = text.split('.').map(number).collect();
        parts
            .filter(|parts| parts.len() <= MAX_PARTS)
            .map(KernelVersion)
    }

    /// Compares as far as this one goes: 6.18.44 is neither before nor after 6.18.
    pub(crate) fn compare(&self, running: &Release) -> std::cmp::Ordering {
        let mut other = running.number.0.clone();
        other.resize(self.0.len(), 0);
        self.0.cmp(&other)
    }

    /// Whether no kernel is both since this version and until the other one.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        let length = self.0.len().min(other.0.len());
        self.0.get(..length) > other.0.get(..length)
    }
}

const MAX_PARTS: usize = 3;

fn number(digits: &str) -> Option<u32> {
    // `parse` takes a sign too.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "." };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

impl Release {
    /// None: the kernel's answer has no number in it, or /proc is not there.
    pub(crate) fn running() -> Option<Self> {
        let text = super::read_text("/proc/sys/kernel/osrelease").ok()?;
        Self::parse(text.trim_end())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let numbers = text.get(..end.unwrap_or(text.len()))?;
        let parts: Vec<u32> = numbers
            .split('.')
            .map_while(number)
            .take(MAX_PARTS)
            .collect();
        (parts.len() >= 2).then(|| Self {
            text: text.to_owned(),
            number: KernelVersion(parts),
        })
    }

    /// Whether it is this version or a newer one.
    pub(crate) fn since(&self, major: u32, minor: u32) -> bool {
        KernelVersion(vec![major, minor]).compare(self).is_le()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_as_far_as_they_go() {
        let running = Release::parse("6.18.44-fc-v595").unwrap();
        assert!(running.since(6, 6) && running.since(6, 18) && !running.since(6, 19));
        assert!(!Release::parse("5.10").unwrap().since(5, 11));
        assert_eq!(Release::parse("none"), None);
        let of = |text: &str| KernelVersion::parse(text).unwrap();
        for (text, before, after) in [
            ("6.18", false, false),
            ("6", false, false),
            ("6.18.44", false, false),
            ("6.18.43", true, false),
            ("6.18.45", false, true),
            ("5.100", true, false),
            ("6.2", true, false),
            ("7.0", false, true),
        ] {
            let found = of(text).compare(&running);
            assert_eq!((found.is_lt(), found.is_gt()), (before, after), "{text}");
            assert_eq!(of(text).to_string(), text);
        }
        // The patch is 0 where the kernel says none.
        let short = Release::parse("6.19-rc1").unwrap();
        assert!(of("6.19.1").compare(&short).is_gt());
        assert!(of("6.19.0").compare(&short).is_eq());
    }

    #[test]
    fn what_is_no_version() {
        for text in [
            "",
            "6.",
            ".6",
            "6.x",
            "+6.1",
            "6.1.2.3",
            "6.1-rc1",
            "99999999999",
        ] {
            assert_eq!(KernelVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_that_leave_no_kernel() {
        let of = |text: &str| KernelVersion::parse(text).unwrap();
        assert!(of("6.10").is_after(&of("5.15")));
        assert!(!of("5.15").is_after(&of("6.10")));
        assert!(!of("6.1.5").is_after(&of("6.1")));
        assert!(of("6.1.5").is_after(&of("6.1.4")));
    }
}
