//! Asking a plugin about rows of which some may make it fail. A call that fails is made again with
//! fewer rows, down to the row that is to blame; the others get their answers. With p such rows
//! among n it takes some p log n calls.

use std::ops::Range;

use super::plugins::{Plugins, SessionId};
use crate::plugin::{Blame, CallError, Cells, Decoded, Placed, Session};

/// What came of asking about rows.
#[derive(Debug)]
pub(super) struct Asked<T> {
    /// Ascending, without those below.
    pub(super) answers: Vec<(Range<usize>, T)>,
    /// Rows that make the plugin fail.
    pub(super) culprits: Vec<(usize, CallError)>,
    /// Rows, the last ones, that have to wait.
    pub(super) waiting: Option<Waiting>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) rows: Range<usize>,
    /// None: it is late.
    pub(super) why: Option<CallError>,
}

/// An answer about some of the rows.
pub(super) trait Part: Sized {
    /// Of text.
    fn bytes(&self) -> usize;

    /// One answer about `rows` rows. Those that no part is about have empty cells.
    fn join(parts: Vec<(Range<usize>, Self)>, rows: usize) -> Self;
}

impl<T: Part> Asked<T> {
    /// Takes the answer about all rows.
    pub(super) fn take_answer(&mut self, rows: usize) -> T {
        T::join(std::mem::take(&mut self.answers), rows)
    }
}

/// Asks about `rows` rows by `call`. `suspects`: rows with which it has failed before.
pub(super) fn ask<T: Part>(
    plugins: &mut Plugins,
    id: SessionId,
    rows: usize,
    suspects: bool,
    mut call: impl FnMut(&mut Session, Range<usize>) -> Result<T, CallError>,
) -> Asked<T> {
    let mut asked = Asked {
        answers: Vec::new(),
        culprits: Vec::new(),
        waiting: None,
    };
    let (mut next, mut bytes) = (0, 0_usize);
    // The first suspect is asked about alone.
    let mut at_once = 1_usize;
    // One of the rows up to here is to blame.
    let mut bad_until = 0;
    let mut failure = None;
    // So many rows are asked about once more: an instance that was used may have been spoilt.
    let mut retry = None;
    let mut is_first = true;
    while next < rows {
        let is_late = !std::mem::take(&mut is_first) && plugins.out_of_time();
        let wait = |why| {
            let rows = next..rows;
            Some(Waiting { rows, why })
        };
        let Some(session) = plugins.get(id) else {
            asked.waiting = wait(None);
            break;
        };
        if is_late || !session.may_fail() {
            asked.waiting = wait(failure);
            break;
        }
        if bytes > session.output_limit() {
            asked.waiting = wait(Some(CallError::Output(session.output_limit())));
            break;
        }
        if !suspects {
            at_once = session.rows_at_once();
        }
        let within = match bad_until {
            bad if bad > next => (bad - next) / 2,
            _ => rows - next,
        };
        let size = retry.take().unwrap_or(at_once.min(within).max(1));
        let part = next..next + size;
        session.blame(if suspects {
            Blame::Suspects
        } else {
            Blame::Rows
        });
        let answer = call(session, part.clone());
        session.blame(Blame::Plugin);
        match answer {
            Ok(answer) => {
                next = part.end;
                bytes = bytes.saturating_add(answer.bytes());
                at_once = at_once.saturating_mul(2);
                asked.answers.push((part, answer));
            }
            Err(error) if !error.may_be_the_inputs() => {
                asked.waiting = wait(Some(error));
                break;
            }
            Err(error) => {
                let is_sure = session.was_fresh() || suspects;
                at_once = (part.len() / 2).max(1);
                if !is_sure && (part.len() == 1 || bad_until <= next) {
                    retry = Some(part.len());
                    failure = Some(error);
                } else if part.len() > 1 {
                    bad_until = part.end;
                    failure = Some(error);
                } else {
                    asked.culprits.push((next, error));
                    next = part.end;
                    bad_until = next;
                }
            }
        }
    }
    asked
}

impl Part for Decoded {
    fn bytes(&self) -> usize {
        self.cells.bytes().len()
    }

    fn join(mut parts: Vec<(Range<usize>, Self)>, rows: usize) -> Self {
        if let [(part, _)] = parts.as_slice()
            && *part == (0..rows)
            && let Some((_, whole)) = parts.pop()
        {
            return whole;
        }
        let mut joined = Self {
            cells: Cells::default(),
            dropped: Vec::new(),
            provisional: Vec::new(),
            errors: Vec::new(),
        };
        for (part, answer) in parts {
            let first = part.start as u32;
            joined.cells.fill_up(part.start);
            joined.cells.append(&answer.cells);
            let dropped = answer.dropped.iter();
            joined.dropped.extend(dropped.map(|row| first + row));
            let provisional = answer.provisional.iter();
            joined
                .provisional
                .extend(provisional.map(|row| first + row));
            shifted(&mut joined.errors, answer.errors, first);
        }
        joined.cells.fill_up(rows);
        joined
    }
}

impl Part for Placed {
    fn bytes(&self) -> usize {
        self.labels.iter().map(|cells| cells.bytes().len()).sum()
    }

    fn join(mut parts: Vec<(Range<usize>, Self)>, rows: usize) -> Self {
        if let [(part, _)] = parts.as_slice()
            && *part == (0..rows)
            && let Some((_, whole)) = parts.pop()
        {
            return whole;
        }
        let mut joined = Self::default();
        for (part, answer) in parts {
            let first = part.start as u32;
            // Answers are checked: each has as many.
            joined
                .labels
                .resize_with(answer.labels.len(), Cells::default);
            for (all, cells) in joined.labels.iter_mut().zip(&answer.labels) {
                all.fill_up(part.start);
                all.append(cells);
            }
            let placements = answer.placements.into_iter().map(|mut placement| {
                placement.row += first;
                placement
            });
            joined.placements.extend(placements);
            shifted(&mut joined.errors, answer.errors, first);
        }
        for cells in &mut joined.labels {
            cells.fill_up(rows);
        }
        joined
    }
}

/// Only the first message is looked at: the others are not kept.
fn shifted(all: &mut Vec<(u32, String)>, errors: Vec<(u32, String)>, first: u32) {
    for (row, message) in errors {
        let message = if all.is_empty() {
            message
        } else {
            String::new()
        };
        all.push((first + row, message));
    }
}
