//! One function for each way on which bytes come in that somebody else wrote. Each takes any bytes, and panics where what it reads does not hold.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Problem;
use crate::config::unit::read_unit;

/// A unit's YAML.
pub fn yaml(data: &[u8]) {
    let file = Arc::new(PathBuf::from("conf.d/unit.yaml"));
    for strict_keys in [false, true] {
        match read_unit("unit", &file, data, strict_keys) {
            Ok(read) => problems_lie_in(&read.warnings, data),
            Err(unreadable) => problems_lie_in(&unreadable.problems, data),
        }
    }
}

/// Positions are of the text, its end included, or of the file as a whole; messages are one line.
fn problems_lie_in(problems: &[Problem], text: &[u8]) {
    // In YAML either ends a line, or both.
    let breaks = text.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    let lines = breaks.count() + 1;
    for problem in problems {
        assert!(problem.at.line <= lines, "{lines} lines: {problem}");
        assert!(!problem.message.contains(char::is_control), "{problem:?}");
    }
}
