//! A batch of keys on its way through the plugins: which rows go on, and what became of the others.

use std::sync::Arc;

use super::pipeline::{Plugins, Step};
use super::series::SlotId;
use crate::plugin::{CallError, Cells};

/// Of a target without a number.
pub(super) const NO_NUMBER: u32 = u32::MAX;

/// Where a key's number goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    pub(super) slot: SlotId,
    /// `NO_NUMBER` adds nothing, but keeps the slot's series alive.
    pub(super) number: u32,
    pub(super) scale: f64,
}

/// The answer to one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome<'a> {
    /// A filter said no.
    Dropped,
    /// This decoder or shaper can't make sense of it. Stays so, unless it was about a provisional text.
    Failed { by: &'a Arc<str>, provisional: bool },
    /// No answer: a call failed. Asked again at the next scrape.
    Unanswered,
    Placed {
        /// With the key's row.
        targets: &'a [(u32, Target)],
        /// To be asked again at the next scrape.
        provisional: bool,
    },
}

/// The answers to a batch.
#[derive(Debug)]
pub(super) struct Outcomes {
    verdicts: Vec<Verdict>,
    provisional: Vec<bool>,
    failed_by: Vec<Arc<str>>,
    /// By row.
    targets: Vec<(u32, Target)>,
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
pub(super) struct Complaints {
    /// The first message of each decoder or shaper that rejected rows.
    pub(super) rejected: Vec<(Arc<str>, String)>,
    /// Calls without an answer.
    pub(super) failed: Vec<(Arc<str>, CallError)>,
}

/// A batch on its way.
pub(super) struct Batch {
    outcomes: Outcomes,
    /// Rows that go on, ascending.
    alive: Vec<u32>,
}

impl Outcomes {
    /// Nobody was asked.
    pub(super) fn none(rows: usize) -> Self {
        Self {
            verdicts: vec![Verdict::Unanswered; rows],
            provisional: vec![false; rows],
            failed_by: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// In the order of the rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Outcome<'_>> {
        let mut targets = self.targets.as_slice();
        let rows = (0..).zip(self.verdicts.iter().zip(&self.provisional));
        rows.map(move |(row, (verdict, &provisional))| {
            let own = targets.iter().take_while(|(of, _)| *of == row).count();
            let (own, rest) = targets.split_at(own);
            targets = rest;
            match *verdict {
                Verdict::Unanswered => Outcome::Unanswered,
                // What was filtered on a provisional text may pass later; for now it goes nowhere, wherever it went before.
                Verdict::Dropped if provisional => Outcome::Placed {
                    targets: &[],
                    provisional,
                },
                Verdict::Dropped => Outcome::Dropped,
                Verdict::Failed(by) => match self.failed_by.get(by as usize) {
                    Some(by) => Outcome::Failed { by, provisional },
                    None => Outcome::Unanswered,
                },
                Verdict::Placed => Outcome::Placed {
                    targets: own,
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

    fn reject<'a>(
        &mut self,
        errors: impl Iterator<Item = (u32, &'a str)>,
        name: &Arc<str>,
        complaints: &mut Complaints,
    ) {
        let by = self.failed_by.len() as u32;
        for (row, why) in errors {
            if self.failed_by.len() == by as usize {
                self.failed_by.push(Arc::clone(name));
            }
            self.set(row, Verdict::Failed(by));
            if !complaints.rejected.iter().any(|(known, _)| known == name) {
                complaints.rejected.push((Arc::clone(name), why.to_owned()));
            }
        }
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

    pub(super) fn everything_is_alive(&self) -> bool {
        self.alive.len() == self.outcomes.verdicts.len()
    }

    /// The cells of the rows that go on.
    pub(super) fn narrowed(&self, column: &Cells) -> Cells {
        let rows = self.alive.iter();
        rows.map(|&row| column.get(row as usize)).collect()
    }

    /// Runs one decoder over the rows that are still alive. Gives a column with a cell for every row of the batch.
    ///
    /// `runs`: many a row has the same cell as the one before, as the CPUs of a key have. Then only the first of them is asked about.
    pub(super) fn decode(
        &mut self,
        plugins: &mut Plugins,
        step: &Step,
        input: Cells,
        runs: bool,
        complaints: &mut Complaints,
    ) -> Cells {
        let rows = self.outcomes.verdicts.len();
        let Some(session) = plugins.get(step.session) else {
            return Cells::empty(rows);
        };
        if self.alive.is_empty() {
            return Cells::empty(rows);
        }
        let runs = runs.then(|| self.runs(&input));
        let everything = runs.is_none() && self.everything_is_alive();
        let answer = if everything {
            session.decode(step.decoder, &input)
        } else {
            let asked: Cells = match &runs {
                Some(runs) => {
                    let mut asked = Cells::with_capacity(runs.len(), input.bytes().len());
                    let first = |run: &u32| self.alive.get(*run as usize);
                    for &row in runs.iter().filter_map(first) {
                        asked.push(input.get(row as usize));
                    }
                    asked
                }
                None => self.narrowed(&input),
            };
            session.decode(step.decoder, &asked)
        };
        let decoded = match answer {
            Ok(decoded) => decoded,
            Err(error) => {
                complaints.failed.push((Arc::clone(&step.name), error));
                self.alive.clear();
                return Cells::empty(rows);
            }
        };
        let Self { outcomes, alive } = self;
        // The rows that an answer is about.
        let rows_of = |index: u32| -> &[u32] {
            let index = index as usize;
            let (from, to) = match &runs {
                Some(runs) => {
                    let end = runs.get(index + 1).map(|&next| next as usize);
                    let start = runs.get(index).map(|&start| start as usize);
                    (start.unwrap_or(alive.len()), end.unwrap_or(alive.len()))
                }
                None => (index, index + 1),
            };
            alive.get(from..to).unwrap_or_default()
        };
        for &row in decoded.provisional.iter().flat_map(|&index| rows_of(index)) {
            outcomes.provisional[row as usize] = true;
        }
        let settled = !decoded.dropped.is_empty() || !decoded.errors.is_empty();
        for &row in decoded.dropped.iter().flat_map(|&index| rows_of(index)) {
            outcomes.set(row, Verdict::Dropped);
        }
        let errors = decoded.errors.iter();
        let errors = errors.flat_map(|(index, why)| {
            let rows = rows_of(*index).iter();
            rows.map(move |&row| (row, why.as_str()))
        });
        outcomes.reject(errors, &step.name, complaints);
        let column = if everything {
            decoded.cells
        } else {
            let each = decoded.cells.bytes().len() / decoded.cells.len().max(1) + 1;
            let mut column = Cells::with_capacity(rows, each * rows);
            for index in 0..decoded.cells.len() {
                for &row in rows_of(index as u32) {
                    column.fill_up(row as usize);
                    column.push(decoded.cells.get(index));
                }
            }
            column.fill_up(rows);
            column
        };
        if settled {
            let verdicts = &outcomes.verdicts;
            alive.retain(|&row| verdicts[row as usize] == Verdict::Unanswered);
        }
        column
    }

    /// Where among the rows that go on a run of rows with the same cell begins.
    fn runs(&self, input: &Cells) -> Vec<u32> {
        let mut before = None;
        let cells = self.alive.iter().map(|&row| input.get(row as usize));
        let firsts = (0..).zip(cells).filter(|(_, cell)| {
            let first = before != Some(*cell);
            before = Some(*cell);
            first
        });
        firsts.map(|(index, _)| index).collect()
    }

    /// Takes a shaper's answer: rows count among those that are alive.
    pub(super) fn placed(
        &mut self,
        mut targets: Vec<(u32, Target)>,
        errors: Vec<(u32, String)>,
        name: &Arc<str>,
        complaints: &mut Complaints,
    ) {
        let Self { outcomes, alive } = self;
        for &row in &*alive {
            outcomes.set(row, Verdict::Placed);
        }
        if !targets.is_sorted_by_key(|(row, _)| *row) {
            targets.sort_by_key(|(row, _)| *row);
        }
        if alive.len() < outcomes.verdicts.len() {
            for (row, _) in &mut targets {
                *row = alive.get(*row as usize).copied().unwrap_or(u32::MAX);
            }
        }
        outcomes.targets = targets;
        let errors = errors.iter().filter_map(|(index, why)| {
            let row = alive.get(*index as usize)?;
            Some((*row, why.as_str()))
        });
        outcomes.reject(errors, name, complaints);
    }

    pub(super) fn into_outcomes(self) -> Outcomes {
        self.outcomes
    }
}
