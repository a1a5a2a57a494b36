//! Bytes that are no UTF-8, as Go's regexp sees them: each is the character U+FFFD.

/// A text in which each byte that is no UTF-8 became U+FFFD, and the way back.
pub(super) struct Repaired {
    text: String,
    /// Where in `text` the replacements are, ascending.
    replaced: Vec<usize>,
}

impl Repaired {
    /// None if nothing needs repair.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if str::from_utf8(bytes).is_ok() {
            return None;
        }
        let mut text = String::with_capacity(bytes.len() * 3);
        let mut replaced = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                replaced.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Some(Self { text, replaced })
    }

    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// A position in the text as one in the bytes.
    pub(super) fn original(&self, position: usize) -> usize {
        let replaced = self
            .replaced
            .partition_point(|&replaced| replaced < position);
        position - replaced * (char::REPLACEMENT_CHARACTER.len_utf8() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lead_back_to_the_bytes() {
        assert!(Repaired::new("é".as_bytes()).is_none());
        let repaired = Repaired::new(b"a\xffb\xe2\x82c").unwrap();
        assert_eq!(repaired.text(), "a\u{fffd}b\u{fffd}\u{fffd}c".as_bytes());
        let positions = [0, 1, 4, 5, 8, 11, 12].map(|position| repaired.original(position));
        assert_eq!(positions, [0, 1, 2, 3, 4, 5, 6]);
    }
}
