//! What this binary is. The environment of the build says what cargo doesn't:
//! `EXPORTER_HOST_REVISION`, `EXPORTER_HOST_RUSTC`.

use std::sync::LazyLock;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit, where the build knew it.
pub(crate) const REVISION: Option<&str> = option_env!("EXPORTER_HOST_REVISION");
/// The compiler, e.g. `1.95.0`, where the build said.
pub(crate) const RUSTC: Option<&str> = option_env!("EXPORTER_HOST_RUSTC");

/// One line, less the program's name: `0.1.0 (revision 0123abc, rustc 1.95.0, x86_64-linux)`.
pub(super) fn line() -> &'static str {
    static LINE: LazyLock<String> = LazyLock::new(|| {
        let revision = REVISION
            .map(|revision| format!("revision {revision}, "))
            .unwrap_or_default();
        let rustc = RUSTC
            .map(|rustc| format!("rustc {rustc}, "))
            .unwrap_or_default();
        format!(
            "{VERSION} ({revision}{rustc}{}-{})",
            std::env::consts::ARCH,
            std::env::consts::OS
        )
    });
    &LINE
}
