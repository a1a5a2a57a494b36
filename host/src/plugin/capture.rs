//! What a plugin logs in one call, for whoever asked to see it.

use parking_lot::Mutex;

/// Kept of one call, so that a plugin which logs without end costs no more than this.
const MAX_LINES: usize = 1000;
const MAX_BYTES: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct LogCapture(Mutex<Captured>);

#[derive(Debug, Default)]
struct Captured {
    lines: Vec<String>,
    bytes: usize,
    left_out: u64,
}

impl LogCapture {
    /// `message`: escaped and cut already.
    pub(super) fn push(&self, level: &str, message: &str) {
        let mut captured = self.0.lock();
        let line = format!("level={level} msg=\"{message}\"");
        if captured.lines.len() >= MAX_LINES || captured.bytes + line.len() > MAX_BYTES {
            captured.left_out += 1;
            return;
        }
        captured.bytes += line.len();
        captured.lines.push(line);
    }

    /// The lines so far, and one about those that were left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let captured = self.0.lock();
        let mut lines = captured.lines.clone();
        if captured.left_out > 0 {
            lines.push(format!("({} more lines are left out)", captured.left_out));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_log_is_cut_and_says_so() {
        let capture = LogCapture::default();
        for number in 0..MAX_LINES + 5 {
            capture.push("info", &number.to_string());
        }
        let lines = capture.lines();
        assert_eq!(lines[1], "level=info msg=\"1\"");
        assert_eq!(lines.last().unwrap(), "(5 more lines are left out)");
        assert_eq!(lines.len(), MAX_LINES + 1);
    }
}
