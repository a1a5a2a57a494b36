//! Telling systemd (or whatever set NOTIFY_SOCKET) how far the start is, and that the host lives.
//! Nothing is said, and nothing fails, where nobody listens.

use sd_notify::NotifyState;

pub(super) fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

pub(super) fn ready(text: &str) {
    send(&[NotifyState::Status(text), NotifyState::Ready]);
}

pub(super) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// To be said while the host runs: the loader does, and the server answers or is being started.
pub(super) fn watchdog() {
    if std::env::var_os("WATCHDOG_USEC").is_some() {
        send(&[NotifyState::Watchdog]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "NOTIFY_SOCKET does not take messages");
    }
}
