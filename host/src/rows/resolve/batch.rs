//! A batch of keys on its way through the plugins: which rows go on, and what became of the others.

use std::sync::Arc;

use super::ask::{Asked, Waiting, ask};
use super::column::Column;
use super::plugins::{Plugins, Step};
use crate::plugin::{CallError, Placed};
use crate::rows::buckets::OutOfRange;
use crate::rows::key::Contribution;

/// The answer to one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rows) enum Outcome<'a> {
    /// A filter rejected it.
    Dropped,
    /// This decoder or shaper can't make sense of it. Stays so, unless it was about a provisional
    /// text.
    Failed { by: &'a Arc<str>, provisional: bool },
    /// It makes this decoder or shaper fail. Asked again after a while.
    Culprit { by: &'a Arc<str> },
    /// No answer: a call failed, or it was late. Asked again at the next scrape.
    Unanswered,
    Placed {
        /// With the key's row.
        contributions: &'a [(u32, Contribution)],
        /// To be asked again at the next scrape.
        provisional: bool,
    },
}

/// The answers to a batch.
#[derive(Debug)]
pub(in crate::rows) struct Outcomes {
    verdicts: Vec<Verdict>,
    provisional: Vec<bool>,
    /// Whom `Failed` and `Culprit` are about.
    failed_by: Vec<Arc<str>>,
    /// By row.
    contributions: Vec<(u32, Contribution)>,
}

/// What is settled about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unanswered,
    /// It has no answer and gets none in this scrape.
    Waiting,
    Dropped,
    /// By that one of `failed_by`.
    Failed(u32),
    Culprit(u32),
    Placed,
}

/// What went wrong in one batch, for the log and the counters.
#[derive(Debug, Default)]
pub(in crate::rows) struct Complaints {
    /// The first message of each decoder or shaper that rejected rows.
    pub(in crate::rows) rejected: Vec<(Arc<str>, String)>,
    /// Calls without an answer.
    pub(in crate::rows) failed: Vec<(Arc<str>, CallError)>,
    /// Rows that nobody was asked about, as it was late.
    pub(in crate::rows) postponed: u64,
    /// Rows of histograms that belong to no bucket.
    pub(in crate::rows) out_of_range: OutOfRange,
}

/// A batch on its way.
pub(super) struct Batch {
    /// Its rows have made a plugin fail before.
    suspects: bool,
    outcomes: Outcomes,
    /// Rows that go on, ascending.
    alive: Vec<u32>,
}

impl Outcomes {
    /// Nobody was asked.
    pub(in crate::rows) fn none(rows: usize) -> Self {
        Self {
            verdicts: vec![Verdict::Unanswered; rows],
            provisional: vec![false; rows],
            failed_by: Vec::new(),
            contributions: Vec::new(),
        }
    }

    /// In the order of the rows.
    pub(in crate::rows) fn iter(&self) -> impl Iterator<Item = Outcome<'_>> {
        let mut contributions = self.contributions.as_slice();
        let rows = (0..).zip(self.verdicts.iter().zip(&self.provisional));
        rows.map(move |(row, (verdict, &provisional))| {
            let own = contributions
                .iter()
                .take_while(|(of, _)| *of == row)
                .count();
            let (own, rest) = contributions.split_at(own);
            contributions = rest;
            match *verdict {
                Verdict::Unanswered | Verdict::Waiting => Outcome::Unanswered,
                // What was filtered on a provisional text may pass later; for now it goes nowhere,
                // wherever it went before.
                Verdict::Dropped if provisional => Outcome::Placed {
                    contributions: &[],
                    provisional,
                },
                Verdict::Dropped => Outcome::Dropped,
                Verdict::Failed(by) => match self.failed_by.get(by as usize) {
                    Some(by) => Outcome::Failed { by, provisional },
                    None => Outcome::Unanswered,
                },
                Verdict::Culprit(by) => match self.failed_by.get(by as usize) {
                    Some(by) => Outcome::Culprit { by },
                    None => Outcome::Unanswered,
                },
                Verdict::Placed => Outcome::Placed {
                    contributions: own,
                    provisional,
                },
            }
        })
    }

    fn set(&mut self, row: u32, verdict: Verdict) {
        if let Some(known) = self.verdicts.get_mut(row as usize) {
            *known = verdict;
        }
    }

    /// The index in `failed_by` of whoever has failed.
    fn failed_by(&mut self, name: &Arc<str>) -> u32 {
        self.failed_by.push(Arc::clone(name));
        self.failed_by.len() as u32 - 1
    }
}

impl Complaints {
    /// A decoder or shaper could not make sense of rows; `why`: the first of them.
    fn reject(&mut self, name: &Arc<str>, why: impl FnOnce() -> String) {
        if !self.rejected.iter().any(|(known, _)| known == name) {
            self.rejected.push((Arc::clone(name), why()));
        }
    }

    /// `rows` rows have to wait.
    fn wait(&mut self, name: &Arc<str>, rows: usize, why: Option<CallError>) {
        match why {
            Some(error) => self.failed.push((Arc::clone(name), error)),
            None => self.postponed += rows as u64,
        }
    }
}

/// For the log: a failure that comes of one input.
fn blamed(error: &CallError, input: &[u8]) -> String {
    const SHOWN: usize = 32;
    let shown = input.get(..SHOWN).unwrap_or(input);
    let mut hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if shown.len() < input.len() {
        hex.push('…');
    }
    format!(
        "{error}, each time with the input 0x{hex}, which it is asked about again from time to time"
    )
}

impl Batch {
    pub(super) fn new(rows: usize, suspects: bool) -> Self {
        Self {
            suspects,
            outcomes: Outcomes::none(rows),
            alive: (0..rows as u32).collect(),
        }
    }

    pub(super) fn suspects(&self) -> bool {
        self.suspects
    }

    pub(super) fn alive(&self) -> &[u32] {
        &self.alive
    }

    /// Runs one decoder over the cells of the rows that are still alive.
    pub(super) fn decode(
        &mut self,
        plugins: &mut Plugins,
        step: &Step,
        column: &mut Column,
        complaints: &mut Complaints,
    ) {
        if self.alive.is_empty() {
            return;
        }
        let cells = column.cells();
        let total = cells.len();
        let mut asked = ask(
            plugins,
            step.session,
            total,
            self.suspects,
            |session, rows| {
                if rows.len() == total {
                    session.decode(step.decoder, cells)
                } else {
                    session.decode(step.decoder, &cells.slice(rows))
                }
            },
        );
        let decoded = asked.take_answer(total);
        let Asked {
            culprits, waiting, ..
        } = asked;
        let Self {
            outcomes, alive, ..
        } = self;
        let incomplete = !culprits.is_empty() || waiting.is_some();
        let settled = incomplete || !decoded.dropped.is_empty() || !decoded.errors.is_empty();
        if settled || !decoded.provisional.is_empty() {
            // What is said of a cell holds for all rows that have it.
            let mut of_cell = vec![(Verdict::Unanswered, false); decoded.cells.len()];
            for &cell in &decoded.provisional {
                of_cell[cell as usize].1 = true;
            }
            for &cell in &decoded.dropped {
                of_cell[cell as usize].0 = Verdict::Dropped;
            }
            if let Some((_, why)) = decoded.errors.first() {
                complaints.reject(&step.name, || why.clone());
                let failed = Verdict::Failed(outcomes.failed_by(&step.name));
                for (cell, _) in &decoded.errors {
                    of_cell[*cell as usize].0 = failed;
                }
            }
            if let Some((cell, error)) = culprits.first() {
                complaints.reject(&step.name, || blamed(error, cells.get(*cell)));
                let culprit = Verdict::Culprit(outcomes.failed_by(&step.name));
                for (cell, _) in &culprits {
                    of_cell[*cell].0 = culprit;
                }
            }
            if let Some(Waiting { rows, .. }) = &waiting {
                of_cell[rows.clone()].fill((Verdict::Waiting, false));
            }
            let mut waiting_rows = 0;
            for &row in &*alive {
                if let Some(&(verdict, provisional)) = of_cell.get(column.cell_of(row)) {
                    outcomes.set(row, verdict);
                    outcomes.provisional[row as usize] |= provisional;
                    waiting_rows += usize::from(verdict == Verdict::Waiting);
                }
            }
            if let Some(Waiting { why, .. }) = waiting {
                complaints.wait(&step.name, waiting_rows, why);
            }
        }
        column.replace(decoded.cells);
        if settled {
            let verdicts = &outcomes.verdicts;
            alive.retain(|&row| verdicts[row as usize] == Verdict::Unanswered);
            column.narrow(verdicts.len(), alive);
        }
    }

    /// Takes a shaper's answer about the rows that are alive: where each goes, and among them those
    /// that it could not place.
    pub(super) fn placed(
        &mut self,
        mut contributions: Vec<(u32, Contribution)>,
        errors: &[(u32, String)],
        name: &Arc<str>,
        complaints: &mut Complaints,
    ) {
        let Self {
            outcomes, alive, ..
        } = self;
        for &row in &*alive {
            outcomes.set(row, Verdict::Placed);
        }
        if !contributions.is_sorted_by_key(|(row, _)| *row) {
            contributions.sort_by_key(|(row, _)| *row);
        }
        outcomes.contributions = contributions;
        if let Some((_, why)) = errors.first() {
            complaints.reject(name, || why.clone());
            let failed = Verdict::Failed(outcomes.failed_by(name));
            let rows = errors
                .iter()
                .filter_map(|(index, _)| alive.get(*index as usize));
            for &row in rows {
                outcomes.set(row, failed);
            }
        }
    }

    /// After `placed`: the rows that are alive about which a shaper gave no answer. `key`: of the
    /// row.
    pub(super) fn not_placed<'a>(
        &mut self,
        asked: Asked<Placed>,
        key: impl Fn(u32) -> &'a [u8],
        name: &Arc<str>,
        complaints: &mut Complaints,
    ) {
        let Self {
            outcomes, alive, ..
        } = self;
        let mut culprit = None;
        for (index, error) in &asked.culprits {
            let Some(&row) = alive.get(*index) else {
                continue;
            };
            complaints.reject(name, || blamed(error, key(row)));
            let by = *culprit.get_or_insert_with(|| outcomes.failed_by(name));
            outcomes.set(row, Verdict::Culprit(by));
        }
        if let Some(Waiting { rows, why }) = asked.waiting {
            complaints.wait(name, rows.len(), why);
            for &row in alive.get(rows).unwrap_or_default() {
                outcomes.set(row, Verdict::Waiting);
            }
        }
    }

    pub(super) fn into_outcomes(self) -> Outcomes {
        self.outcomes
    }
}
