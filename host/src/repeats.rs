//! What is said at each scrape is said once, and again when it changes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What was not said for so long is new.
const FORGET: Duration = Duration::from_secs(600);
/// With more texts than this at once all are forgotten.
const MAX_TEXTS: usize = 1024;

/// Texts that have been said, as far as they differ in more than numbers.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<HashMap<u64, Reported>>);

#[derive(Debug)]
struct Reported {
    last: Instant,
    held_back: u64,
}

impl Repeats {
    /// `Some` if the text is to be said now, with how often it was held back before.
    pub(crate) fn say(&self, text: &str) -> Option<u64> {
        self.say_at(text, Instant::now())
    }

    fn say_at(&self, text: &str, now: Instant) -> Option<u64> {
        let mut texts = self.0.lock();
        let key = key(text);
        if let Some(known) = texts.get_mut(&key) {
            let recent = now.saturating_duration_since(known.last) < FORGET;
            known.last = now;
            if recent {
                known.held_back += 1;
                return None;
            }
            return Some(std::mem::take(&mut known.held_back));
        }
        if texts.len() >= MAX_TEXTS {
            texts.clear();
        }
        let reported = Reported {
            last: now,
            held_back: 0,
        };
        texts.insert(key, reported);
        Some(0)
    }
}

/// The same for texts that differ in numbers only: times and counts.
fn key(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut in_number = false;
    for byte in text.bytes() {
        let digit = byte.is_ascii_digit();
        if !digit {
            hasher.write_u8(byte);
        } else if !in_number {
            hasher.write_u8(b'0');
        }
        in_number = digit;
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_once_until_it_changes_or_stops() {
        let repeats = Repeats::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(repeats.say_at("a 1", start), Some(0));
        assert_eq!(repeats.say_at("a 23", after(15)), None);
        assert_eq!(repeats.say_at("b 23", after(15)), Some(0));
        for minutes in 1..60 {
            assert_eq!(repeats.say_at("a 1", after(60 * minutes)), None);
        }
        assert_eq!(repeats.say_at("a 1", after(60 * 70)), Some(60));
    }
}
