//! Why the starter did not do what it was asked.

use std::io;
use std::time::Duration;

use super::messages::How;
use crate::link::SendError;
use crate::privileges::DropError;

/// How long the starter may take for an answer. It takes about a millisecond.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum StarterError {
    #[error("cannot fork the starter: {0}")]
    Threads(#[from] DropError),
    #[error("cannot fork the starter: {0}")]
    Fork(#[source] io::Error),
    #[error("the starter cannot give its privileges away: {0}")]
    Unconfined(String),
    #[error("the starter ended at once: {0}")]
    Ended(How),
    #[error("cannot start the threads that talk to the starter: {0}")]
    Link(#[source] io::Error),
    /// For good: servers and compilers are gone with it.
    #[error("the starter is gone, so no process can be started any more")]
    Gone,
    #[error("the starter did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Slow,
    #[error("the starter started nothing: {0}")]
    Refused(String),
    #[error("cannot ask the starter: {0}")]
    Send(#[source] SendError),
    #[error("cannot understand the starter: {0}")]
    Answer(String),
}
