//! What a server says. Nothing of it is taken for granted: names are looked up, lengths bounded,
//! answers that nobody waits for dropped.

use std::collections::BTreeMap;
use std::time::Instant;

use super::files::FileQuestion;
use super::{Answer, PluginsOpened, Question, Refusal, ServerLink, Started};
use crate::config::Diagnostic;
use crate::link::ToLoader;
use crate::loader::tasks::Asked;

/// A unit's or a metric's name is a file's or a map's: nobody has longer ones.
const MAX_NAME: usize = 4096;
/// Reasons are for the log and the status page.
const MAX_TEXT: usize = 64 << 10;
/// Parts of the hardening, plugins and the like.
const MAX_LIST: usize = 4096;

impl ServerLink {
    /// Handles what the server of this number has said.
    pub(super) fn handle(&self, number: u64, message: ToLoader) {
        match message {
            ToLoader::Started { features, allowed } => {
                if features.len() > MAX_LIST || allowed.len() > MAX_LIST {
                    return;
                }
                let mut shared = self.shared.lock();
                shared.started = Some(Started { allowed });
                drop(shared);
                self.changed.notify_all();
            }
            ToLoader::PluginsOpened {
                id,
                failed,
                versions,
            } => {
                if failed.len() > MAX_LIST || versions.len() > MAX_LIST {
                    return;
                }
                let failed = failed.into_iter().map(|(path, why)| (path, cut(why)));
                let opened = PluginsOpened {
                    failed: failed.collect(),
                    versions: versions.into_iter().collect::<BTreeMap<_, _>>(),
                };
                self.answer(number, &Question::Plugins(id), Answer::Plugins(opened));
            }
            ToLoader::Opened {
                unit,
                generation,
                outcome,
            } => {
                let outcome = outcome.map_err(|refusal| Refusal {
                    why: cut(refusal.why),
                    retryable: refusal.retryable,
                    metrics: refusal.metrics.into_iter().map(cut_metric).collect(),
                });
                let question = Question::Opened(unit, generation);
                self.answer(number, &question, Answer::Opened(outcome));
            }
            ToLoader::Start { unit } if is_name(&unit) => self.tasks.start(unit),
            ToLoader::Idle { unit } if is_name(&unit) => self.tasks.idle(unit),
            ToLoader::Reload { id } => self.tasks.reload(Some(Asked { server: number, id })),
            ToLoader::Passed { number: barrier } => {
                let mut shared = self.shared.lock();
                if let Some(connection) = &mut shared.connection
                    && connection.number == number
                {
                    connection.settled = true;
                }
                drop(shared);
                self.answer(number, &Question::Passed(barrier), Answer::Passed);
            }
            ToLoader::Holds { unit, metric } if is_name(&unit) && is_name(&metric) => {
                self.hold(&unit, &metric);
            }
            ToLoader::File { id, path, wish } if is_name(&path) => {
                let shared = self.shared.lock();
                let Some(connection) = &shared.connection else {
                    return;
                };
                let sender = connection.sender.clone();
                drop(shared);
                let question = FileQuestion {
                    id,
                    path,
                    wish,
                    sender,
                };
                if let Err(question) = self.files.try_send(question) {
                    files_are_busy(&question);
                }
            }
            ToLoader::Pong { number: ping } => {
                let mut shared = self.shared.lock();
                if let Some(connection) = &mut shared.connection
                    && connection.number == number
                    && ping > connection.pong.0
                {
                    connection.pong = (ping, Instant::now());
                }
            }
            ToLoader::Start { .. }
            | ToLoader::Idle { .. }
            | ToLoader::Holds { .. }
            | ToLoader::File { .. } => {
                tracing::warn!("the server asks for something whose name is too long to be one");
            }
        }
    }

    /// Gives an answer to whoever waits for it.
    fn answer(&self, number: u64, question: &Question, answer: Answer) {
        let mut shared = self.shared.lock();
        let current = shared.connection.as_ref().map(|known| known.number);
        match shared.questions.get_mut(question) {
            Some(pending) if current == Some(number) && pending.is_none() => {
                *pending = Some(answer);
                drop(shared);
                self.changed.notify_all();
            }
            _ => tracing::debug!(?question, "an answer comes that nobody waits for"),
        }
    }
}

fn files_are_busy(question: &std::sync::mpsc::TrySendError<FileQuestion>) {
    let (std::sync::mpsc::TrySendError::Full(question)
    | std::sync::mpsc::TrySendError::Disconnected(question)) = question;
    question.refuse("the loader has too many files to open: try again");
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
}

fn cut_metric((index, diagnostic): (usize, Diagnostic)) -> (usize, Diagnostic) {
    let message = cut(diagnostic.message);
    (
        index,
        Diagnostic {
            message,
            ..diagnostic
        },
    )
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let mut end = MAX_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
