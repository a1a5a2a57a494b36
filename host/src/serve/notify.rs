//! Telling systemd (or whatever set NOTIFY_SOCKET) how far the start is. Nothing is said, and nothing fails, where nobody listens.

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

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "NOTIFY_SOCKET does not take messages");
    }
}
