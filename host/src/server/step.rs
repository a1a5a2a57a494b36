//! What the threads of a server tell its main thread.

/// What the whole server does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything is there: requests may come.
    Ready,
    /// The loader wants it to end.
    Stop,
    /// The loader is gone, or a thread without which there is no server.
    Gone,
}
