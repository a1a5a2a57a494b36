//! What libbpf says while it works: to tracing (debug), and into the error of the call that failed.
//!
//! libbpf has one print callback per process and calls it on the thread that is inside it, so a
//! thread-local buffer catches exactly the lines of one call.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Once;

use libbpf_rs::PrintLevel;

use super::sys;

/// Lines kept per call: verifier logs run to megabytes, and their end says what is wrong.
const KEPT_LINES: usize = 64;
/// Bytes kept per line.
const KEPT_BYTES: usize = 240;
/// Bytes of the summary that goes into an error.
const SUMMARY_BYTES: usize = 1500;

thread_local! {
    static CAPTURED: RefCell<Option<VecDeque<String>>> = const { RefCell::new(None) };
}

/// The last lines libbpf printed at level warning or info during one call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct LibbpfLog(VecDeque<String>);

impl LibbpfLog {
    /// The last line, e.g. for the reason of a failed attach.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.back().map(String::as_str)
    }

    /// The program that was not loaded, if that is what the call failed of.
    pub(super) fn refused_program(&self) -> Option<String> {
        let mut lines = self.0.iter().rev();
        lines.find_map(|line| {
            let (name, what) = line.strip_prefix("prog '")?.split_once("': ")?;
            what.starts_with("failed to load").then(|| name.to_owned())
        })
    }

    /// The last lines that say something, in one line of bounded length; empty if there are none.
    pub(super) fn summary(&self) -> String {
        const LINES: usize = 8;
        let mut picked: Vec<&str> = self
            .0
            .iter()
            .map(String::as_str)
            .filter(|line| !is_noise(line))
            .rev()
            .take(LINES)
            .collect();
        picked.reverse();
        let mut text = picked.join(" | ");
        truncate(&mut text, SUMMARY_BYTES);
        text
    }
}

/// Lines that repeat what the error says anyway.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("failed to load object")
        || line.starts_with("processed ")
        || line.starts_with("verification time")
        || line.starts_with("stack depth")
        || line.ends_with("PROG LOAD LOG --")
}

/// Runs `call` and hands back what libbpf printed meanwhile on this thread.
pub(super) fn capture<T>(call: impl FnOnce() -> T) -> (T, LibbpfLog) {
    install();
    let outer = CAPTURED.replace(Some(VecDeque::new()));
    let result = call();
    let lines = CAPTURED.replace(outer).unwrap_or_default();
    (result, LibbpfLog(lines))
}

/// Lets libbpf's debug lines through to tracing, for the rest of the process' life.
pub(super) fn enable_debug() {
    install();
    sys::print_debug_lines();
}

fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| sys::print_to(receive));
}

fn receive(level: PrintLevel, message: &str) {
    for line in message.lines() {
        let line = line.trim_end();
        let line = line.strip_prefix("libbpf: ").unwrap_or(line);
        tracing::debug!(target: "libbpf", ?level, "{line}");
        if level == PrintLevel::Debug {
            continue;
        }
        CAPTURED.with_borrow_mut(|captured| {
            let Some(lines) = captured else { return };
            if lines.len() == KEPT_LINES {
                lines.pop_front();
            }
            let mut line = line.to_owned();
            truncate(&mut line, KEPT_BYTES);
            lines.push_back(line);
        });
    }
}

fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_this_call_and_only_so_many() {
        receive(PrintLevel::Warn, "libbpf: before\n");
        let ((), log) = capture(|| {
            receive(PrintLevel::Debug, "libbpf: chatter\n");
            for n in 0..500 {
                receive(
                    PrintLevel::Warn,
                    &format!("libbpf: line {n} {}\n", "é".repeat(500)),
                );
            }
            receive(
                PrintLevel::Warn,
                "libbpf: prog 'f': R1 invalid mem access\nprocessed 3 insns\n",
            );
        });
        assert_eq!(log.0.len(), KEPT_LINES);
        assert!(
            log.0
                .iter()
                .all(|line| line.len() <= KEPT_BYTES + '…'.len_utf8())
        );
        let summary = log.summary();
        assert!(summary.len() <= SUMMARY_BYTES + '…'.len_utf8());
        assert!(!summary.contains("chatter") && !summary.contains("before"));
        assert!(!summary.contains("processed 3"));
        assert_eq!(log.refused_program(), None);
        let ((), log) = capture(|| {
            receive(
                PrintLevel::Warn,
                "libbpf: prog 'a.b': failed to load: -EACCES\n",
            );
            receive(PrintLevel::Warn, "libbpf: failed to load object 'x'\n");
        });
        assert_eq!(log.refused_program().as_deref(), Some("a.b"));
        assert_eq!(capture(|| ()).1, LibbpfLog::default());
    }
}
