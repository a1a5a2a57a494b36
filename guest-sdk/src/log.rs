//! Lines for the host's log: rate-limited there, cut to length and tagged with the plugin's name.
//! Natively they are kept for `testing::take_log`.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something is broken and someone must act.
    Error,
    /// Something is odd; the plugin goes on.
    Warn,
    /// Worth knowing once.
    Info,
    /// For debugging.
    Debug,
    /// For debugging, in bulk.
    Trace,
}

/// Writes one line.
pub fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::wasm::write_log(level, message);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::keep_log(level, message);
}

/// Writes one line at [`Level::Error`].
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// Writes one line at [`Level::Warn`].
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Writes one line at [`Level::Info`].
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Writes one line at [`Level::Debug`].
pub fn debug(message: &str) {
    write(Level::Debug, message);
}
