//! For the fuzzers in tests/fuzz: any bytes as a file.

use exporter_guest_sdk::{Families, testing};

use crate::merge::Merged;
use crate::parse::{self, Content};

/// What a strict reader takes, a lenient one reads as the same; and what either has read, written
/// down, is a good file.
pub fn textfile(data: &[u8]) {
    let lenient = parse::lenient(data);
    match parse::strict(data) {
        // As text, in which NaN is what it is.
        Ok(strict) => assert_eq!(format!("{strict:?}"), format!("{lenient:?}")),
        Err(problem) => {
            assert!(lenient.skipped > 0, "{problem}");
            let lines = data.split_inclusive(|byte| *byte == b'\n').count();
            assert!(problem.line >= 1 && problem.line <= lines, "{problem}");
        }
    }
    let text = written(lenient);
    let again = parse::strict(text.as_bytes());
    assert!(again.is_ok(), "{again:?}\n{text}");
    if let Ok(again) = again {
        assert_eq!(written(again), text);
    }
}

/// What the host serves can be read from a file.
pub fn is_good(text: &[u8]) {
    let read = parse::strict(text);
    assert!(read.is_ok(), "{read:?}\n{}", String::from_utf8_lossy(text));
}

fn written(content: Content) -> String {
    let mut merged = Merged::default();
    let conflicts = merged.add("file.prom", content.families);
    assert_eq!(conflicts, []);
    let mut families = Families::default();
    merged.write(&mut families);
    // An integer has one zero.
    testing::render(families.families()).replace(" -0\n", " 0\n")
}
