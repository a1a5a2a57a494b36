//! What happens to keys that are not known yet: each label's field goes through its decoders, the labels through the shaper, and every
//! placement becomes a target in the set of series. Column by column, so that a thousand keys cost one call per decoder.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::layout::Layout;
use super::series::{FamilyShape, SeriesSet, SlotId};
use crate::exposition::{FamilyMeta, LabelTemplate};
use crate::plugin::{
    CallError, Cells, DecoderId, NumberSource, Session, ShapedFamily, ShaperId, Slot,
};

/// Keys per call: smaller batches stay in the cache, and one batch bounds what a call can cost.
pub(super) const BATCH: usize = 1024;

/// The plugin sessions of a unit.
#[derive(Default)]
pub(crate) struct Plugins {
    sessions: Vec<Session>,
    /// From then on nobody asks them: there is a deadline to keep.
    until: Option<Instant>,
}

/// One of a unit's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId(usize);

impl Plugins {
    /// The session with this plugin; `start` makes it if the unit has none yet.
    pub(crate) fn session(&mut self, plugin: &str, start: impl FnOnce() -> Session) -> SessionId {
        if let Some(known) = self
            .sessions
            .iter()
            .position(|session| session.plugin_name() == plugin)
        {
            return SessionId(known);
        }
        self.sessions.push(start());
        SessionId(self.sessions.len() - 1)
    }

    /// Keys that are not known at this time wait for the next scrape.
    pub(crate) fn ask_until(&mut self, until: Instant) {
        self.until = Some(until);
    }

    pub(super) fn out_of_time(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter()
    }

    pub(crate) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.0)
    }
}

/// One decoder of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The name in the YAML.
    pub(crate) name: Arc<str>,
    pub(crate) session: SessionId,
    pub(crate) decoder: DecoderId,
}

/// A label and the decoders that make its text.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) chain: Vec<Step>,
}

/// The shaper of a metric as it was opened.
#[derive(Debug, Clone)]
pub(crate) struct Shaper {
    pub(crate) name: Arc<str>,
    pub(crate) session: SessionId,
    pub(crate) id: ShaperId,
    pub(crate) families: Vec<ShapedFamily>,
    pub(crate) numbers: Vec<NumberSource>,
}

/// Of a target without a number.
const NO_NUMBER: u32 = u32::MAX;

/// Where a key's number goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    pub(super) slot: SlotId,
    /// `NO_NUMBER` adds nothing, but keeps the slot's series alive.
    pub(super) number: u32,
    pub(super) scale: f64,
}

/// Where one key's numbers go: nearly always to one place, which takes no allocation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Targets {
    None,
    One(Target),
    Many(Vec<Target>),
}

impl Targets {
    fn push(&mut self, target: Target) {
        match self {
            Self::None => *self = Self::One(target),
            Self::One(first) => *self = Self::Many(vec![*first, target]),
            Self::Many(targets) => targets.push(target),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Target> {
        match self {
            Self::None => Vec::new(),
            Self::One(target) => vec![target],
            Self::Many(targets) => targets,
        }
    }
}

/// The answer to one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// A filter said no.
    Dropped,
    /// This decoder or shaper can't make sense of it. Stays so, unless it was about a provisional text.
    Failed { by: Arc<str>, provisional: bool },
    /// No answer: a call failed. Asked again at the next scrape.
    Unanswered,
    Placed {
        targets: Targets,
        /// To be asked again at the next scrape.
        provisional: bool,
    },
}

/// What went wrong in one batch, for the log and the counters.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// The first message of each decoder or shaper that rejected rows.
    pub(super) rejected: Vec<(Arc<str>, String)>,
    /// Calls without an answer.
    pub(super) failed: Vec<(Arc<str>, CallError)>,
}

/// The labels of one family: where each comes from, in the order in which they are written.
#[derive(Debug)]
struct FamilyLabels {
    template: LabelTemplate,
    /// The column of each label. Columns below the number of decoded labels are those, the others the shaper's new ones.
    columns: Vec<usize>,
}

/// The way from a key to its targets.
#[derive(Debug)]
pub(super) struct Pipeline {
    layout: Layout,
    labels: Vec<Label>,
    shaper: Shaper,
    families: Vec<FamilyLabels>,
}

impl Pipeline {
    pub(super) fn new(layout: Layout, labels: Vec<Label>, shaper: Shaper) -> Self {
        let decoded: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        let new = crate::plugin::new_labels(&shaper.families, &decoded);
        let column_of = |name: &str| {
            let known = decoded.iter().position(|label| *label == name);
            known.or_else(|| {
                new.iter()
                    .position(|label| *label == name)
                    .map(|column| decoded.len() + column)
            })
        };
        let families = shaper.families.iter().map(|family| {
            let columns = family
                .labels
                .iter()
                .filter_map(|name| column_of(name))
                .collect();
            FamilyLabels {
                template: LabelTemplate::new(&family.labels),
                columns,
            }
        });
        let families = families.collect();
        Self {
            layout,
            labels,
            shaper,
            families,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn numbers(&self) -> &[NumberSource] {
        &self.shaper.numbers
    }

    /// The families' heads, with the unit's prefix before their names.
    pub(super) fn family_shapes(&self, namespace: &str) -> Vec<FamilyShape> {
        let name = |family: &ShapedFamily| {
            if namespace.is_empty() {
                family.name.clone()
            } else {
                format!("{namespace}_{}", family.name)
            }
        };
        let shape = |family: &ShapedFamily| FamilyShape {
            meta: Arc::new(FamilyMeta {
                name: name(family),
                help: family.help.clone(),
                unit: family.unit.clone(),
                kind: family.kind,
            }),
            bounds: family.bounds.as_slice().into(),
        };
        self.shaper.families.iter().map(shape).collect()
    }

    /// Answers every key of a batch, in order. `keys` have `layout.row_key_size` bytes each.
    pub(super) fn resolve(
        &self,
        plugins: &mut Plugins,
        keys: &Cells,
        series: &mut SeriesSet,
        complaints: &mut Complaints,
    ) -> Vec<Outcome> {
        let mut batch = Batch::new(keys.len());
        let mut columns = Vec::with_capacity(self.labels.len());
        for (label, field) in self.labels.iter().zip(&self.layout.fields) {
            let fields =
                (0..keys.len()).map(|row| keys.get(row).get(field.clone()).unwrap_or_default());
            let mut column: Cells = fields.collect();
            for step in &label.chain {
                column = batch.decode(plugins, step, &column, complaints);
            }
            columns.push(column);
        }
        self.place(plugins, keys, &columns, series, batch, complaints)
    }

    fn place(
        &self,
        plugins: &mut Plugins,
        keys: &Cells,
        columns: &[Cells],
        series: &mut SeriesSet,
        batch: Batch,
        complaints: &mut Complaints,
    ) -> Vec<Outcome> {
        let Batch {
            mut outcomes,
            alive,
            provisional,
        } = batch;
        if alive.is_empty() {
            return outcomes
                .into_iter()
                .map(|outcome| outcome.unwrap_or(Outcome::Unanswered))
                .collect();
        }
        let everything = alive.len() == outcomes.len();
        let narrowed = |column: &Cells| -> Cells {
            alive.iter().map(|&row| column.get(row as usize)).collect()
        };
        let (keys, columns): (Cow<'_, Cells>, Cow<'_, [Cells]>) = if everything {
            (Cow::Borrowed(keys), Cow::Borrowed(columns))
        } else {
            let columns = columns.iter().map(narrowed).collect();
            (Cow::Owned(narrowed(keys)), Cow::Owned(columns))
        };
        let answer = match plugins.get(self.shaper.session) {
            Some(session) => session.place(self.shaper.id, &keys, &columns),
            None => return vec![Outcome::Unanswered; outcomes.len()],
        };
        let placed = match answer {
            Ok(placed) => placed,
            Err(error) => {
                complaints
                    .failed
                    .push((Arc::clone(&self.shaper.name), error));
                return outcomes
                    .into_iter()
                    .map(|outcome| outcome.unwrap_or(Outcome::Unanswered))
                    .collect();
            }
        };
        for &row in &alive {
            let provisional = provisional[row as usize];
            outcomes[row as usize] = Some(Outcome::Placed {
                targets: Targets::None,
                provisional,
            });
        }
        let mut text = String::new();
        let cell = |column: usize, row: u32| {
            let column = columns
                .get(column)
                .or_else(|| placed.labels.get(column.checked_sub(columns.len())?));
            let bytes = column.map(|cells| cells.get(row as usize));
            let bytes = bytes.unwrap_or_default();
            // The check alone is several times faster than the repair, and nearly all pass.
            match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(bytes),
            }
        };
        for placement in &placed.placements {
            let (Some(&row), Some(family)) = (
                alive.get(placement.row as usize),
                self.families.get(placement.family as usize),
            ) else {
                continue;
            };
            text.clear();
            family.template.render_into(&mut text, |label| {
                cell(
                    family.columns.get(label).copied().unwrap_or(usize::MAX),
                    placement.row,
                )
            });
            let target = series.slot(placement.family, &text, placement.slot);
            if let (Some(slot), Some(Some(Outcome::Placed { targets, .. }))) =
                (target, outcomes.get_mut(row as usize))
            {
                let number = match placement.slot {
                    Slot::None => NO_NUMBER,
                    _ => placement.number,
                };
                targets.push(Target {
                    slot,
                    number,
                    scale: placement.scale,
                });
            }
        }
        reject(
            &mut outcomes,
            &provisional,
            placed
                .errors
                .into_iter()
                .filter_map(|(row, why)| Some((*alive.get(row as usize)?, why))),
            &self.shaper.name,
            complaints,
        );
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Outcome::Unanswered))
            .collect()
    }
}

/// A batch on its way through the decoders.
struct Batch {
    /// What is settled.
    outcomes: Vec<Option<Outcome>>,
    /// Rows that go on, ascending.
    alive: Vec<u32>,
    provisional: Vec<bool>,
}

impl Batch {
    fn new(rows: usize) -> Self {
        Self {
            outcomes: vec![None; rows],
            alive: (0..rows as u32).collect(),
            provisional: vec![false; rows],
        }
    }

    /// Runs one decoder over the rows that are still alive. Gives a column with a cell for every row of the batch.
    fn decode(
        &mut self,
        plugins: &mut Plugins,
        step: &Step,
        input: &Cells,
        complaints: &mut Complaints,
    ) -> Cells {
        let rows = self.outcomes.len();
        let everything = self.alive.len() == rows;
        if self.alive.is_empty() {
            return Cells::empty(rows);
        }
        let answer = match plugins.get(step.session) {
            Some(session) if everything => session.decode(step.decoder, input),
            Some(session) => {
                let narrowed: Cells = self
                    .alive
                    .iter()
                    .map(|&row| input.get(row as usize))
                    .collect();
                session.decode(step.decoder, &narrowed)
            }
            None => return Cells::empty(rows),
        };
        let decoded = match answer {
            Ok(decoded) => decoded,
            Err(error) => {
                complaints.failed.push((Arc::clone(&step.name), error));
                for row in self.alive.drain(..) {
                    self.outcomes[row as usize] = Some(Outcome::Unanswered);
                }
                return Cells::empty(rows);
            }
        };
        let row_of = |index: &u32| self.alive.get(*index as usize).copied();
        for row in decoded.provisional.iter().filter_map(row_of) {
            self.provisional[row as usize] = true;
        }
        for row in decoded.dropped.iter().filter_map(row_of) {
            // What was filtered on a provisional text may pass later; for now it goes nowhere, wherever it went before.
            let dropped = if self.provisional[row as usize] {
                Outcome::Placed {
                    targets: Targets::None,
                    provisional: true,
                }
            } else {
                Outcome::Dropped
            };
            self.outcomes[row as usize] = Some(dropped);
        }
        let errors: Vec<(u32, String)> = decoded
            .errors
            .iter()
            .filter_map(|(index, why)| Some((row_of(index)?, why.clone())))
            .collect();
        reject(
            &mut self.outcomes,
            &self.provisional,
            errors.into_iter(),
            &step.name,
            complaints,
        );
        let column = if everything {
            decoded.cells
        } else {
            let mut answers = self.alive.iter().enumerate().peekable();
            let cell_of = |row: usize| match answers.next_if(|(_, alive)| **alive as usize == row) {
                Some((index, _)) => decoded.cells.get(index),
                None => &[],
            };
            (0..rows).map(cell_of).collect()
        };
        self.alive
            .retain(|&row| self.outcomes[row as usize].is_none());
        column
    }
}

fn reject(
    outcomes: &mut [Option<Outcome>],
    provisional: &[bool],
    errors: impl Iterator<Item = (u32, String)>,
    name: &Arc<str>,
    complaints: &mut Complaints,
) {
    for (row, why) in errors {
        if let (Some(outcome), Some(&provisional)) = (
            outcomes.get_mut(row as usize),
            provisional.get(row as usize),
        ) {
            *outcome = Some(Outcome::Failed {
                by: Arc::clone(name),
                provisional,
            });
        }
        if !complaints.rejected.iter().any(|(known, _)| known == name) {
            complaints.rejected.push((Arc::clone(name), why));
        }
    }
}
