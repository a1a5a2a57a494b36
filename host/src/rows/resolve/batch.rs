//! A batch of keys on its way through the plugins: which rows go on, and what became of the others.

use std::sync::Arc;

use super::column::Column;
use super::plugins::{Plugins, Step};
use crate::plugin::CallError;
use crate::rows::key::Contribution;

/// The answer to one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rows) enum Outcome<'a> {
    /// A filter rejected it.
    Dropped,
    /// This decoder or shaper can't make sense of it. Stays so, unless it was about a provisional
    /// text.
    Failed { by: &'a Arc<str>, provisional: bool },
    /// No answer: a call failed. Asked again at the next scrape.
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
    failed_by: Vec<Arc<str>>,
    /// By row.
    contributions: Vec<(u32, Contribution)>,
}

/// What is settled about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unanswered,
    Dropped,
    /// By that one of `failed_by`.
    Failed(u32),
    Placed,
}

/// What went wrong in one batch, for the log and the counters.
#[derive(Debug, Default)]
pub(in crate::rows) struct Complaints {
    /// The first message of each decoder or shaper that rejected rows.
    pub(in crate::rows) rejected: Vec<(Arc<str>, String)>,
    /// Calls without an answer.
    pub(in crate::rows) failed: Vec<(Arc<str>, CallError)>,
}

/// A batch on its way.
pub(super) struct Batch {
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
                Verdict::Unanswered => Outcome::Unanswered,
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

    /// The verdict about rows that a decoder or shaper could not make sense of; `why`: the first of
    /// them.
    fn failed(&mut self, name: &Arc<str>, why: &str, complaints: &mut Complaints) -> Verdict {
        self.failed_by.push(Arc::clone(name));
        if !complaints.rejected.iter().any(|(known, _)| known == name) {
            complaints.rejected.push((Arc::clone(name), why.to_owned()));
        }
        Verdict::Failed(self.failed_by.len() as u32 - 1)
    }
}

impl Batch {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            outcomes: Outcomes::none(rows),
            alive: (0..rows as u32).collect(),
        }
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
        let Some(session) = plugins.get(step.session) else {
            return;
        };
        let decoded = match session.decode(step.decoder, column.cells()) {
            Ok(decoded) => decoded,
            Err(error) => {
                complaints.failed.push((Arc::clone(&step.name), error));
                self.alive.clear();
                return;
            }
        };
        let Self { outcomes, alive } = self;
        let settled = !decoded.dropped.is_empty() || !decoded.errors.is_empty();
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
                let failed = outcomes.failed(&step.name, why, complaints);
                for (cell, _) in &decoded.errors {
                    of_cell[*cell as usize].0 = failed;
                }
            }
            for &row in &*alive {
                if let Some(&(verdict, provisional)) = of_cell.get(column.cell_of(row)) {
                    outcomes.set(row, verdict);
                    outcomes.provisional[row as usize] |= provisional;
                }
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
        let Self { outcomes, alive } = self;
        for &row in &*alive {
            outcomes.set(row, Verdict::Placed);
        }
        if !contributions.is_sorted_by_key(|(row, _)| *row) {
            contributions.sort_by_key(|(row, _)| *row);
        }
        outcomes.contributions = contributions;
        if let Some((_, why)) = errors.first() {
            let failed = outcomes.failed(name, why, complaints);
            let rows = errors
                .iter()
                .filter_map(|(index, _)| alive.get(*index as usize));
            for &row in rows {
                outcomes.set(row, failed);
            }
        }
    }

    pub(super) fn into_outcomes(self) -> Outcomes {
        self.outcomes
    }
}
