//! What happens to keys that are not known yet: each label's field goes through its decoders, the labels through the shaper, and every
//! placement becomes a target in the set of series. Column by column, so that a thousand keys cost one call per decoder.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Complaints, NO_NUMBER, Outcomes, Target};
use super::layout::Layout;
use super::series::{FamilyShape, SeriesSet};
use crate::exposition::{FamilyMeta, LabelTemplate, is_plain, label_value};
use crate::plugin::{
    Cells, DecoderId, NumberSource, Placed, Placement, Session, ShapedFamily, ShaperId, Slot,
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
    /// Where every key goes. None: the shaper has to be asked.
    pub(crate) uniform: Vec<Placement>,
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
    /// `constants`: labels of every series, with their values.
    pub(super) fn new(
        layout: Layout,
        labels: Vec<Label>,
        constants: &[(String, String)],
        shaper: Shaper,
    ) -> Self {
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
                template: LabelTemplate::with_constants(&family.labels, constants),
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

    /// Answers every key of a batch. `keys` have `layout.row_key_size` bytes each.
    pub(super) fn resolve(
        &self,
        plugins: &mut Plugins,
        keys: &Cells,
        series: &mut SeriesSet,
        complaints: &mut Complaints,
    ) -> Outcomes {
        let mut batch = Batch::new(keys.len());
        let mut columns = Vec::with_capacity(self.labels.len());
        let runs = self.layout.split_cpus;
        for (label, field) in self.labels.iter().zip(&self.layout.fields) {
            let mut column = keys.parts(field.clone());
            for step in &label.chain {
                column = batch.decode(plugins, step, column, runs, complaints);
            }
            columns.push(column);
        }
        self.place(plugins, keys, &columns, series, &mut batch, complaints);
        batch.into_outcomes()
    }

    fn place(
        &self,
        plugins: &mut Plugins,
        keys: &Cells,
        columns: &[Cells],
        series: &mut SeriesSet,
        batch: &mut Batch,
        complaints: &mut Complaints,
    ) {
        if batch.alive().is_empty() {
            return;
        }
        let Some(session) = plugins.get(self.shaper.session) else {
            return;
        };
        let (keys, columns): (Cow<'_, Cells>, Cow<'_, [Cells]>) = if batch.everything_is_alive() {
            (Cow::Borrowed(keys), Cow::Borrowed(columns))
        } else {
            let columns = columns.iter().map(|column| batch.narrowed(column));
            (Cow::Owned(batch.narrowed(keys)), columns.collect())
        };
        let mut placed = Placed::default();
        if self.shaper.uniform.is_empty() {
            placed = match session.place(self.shaper.id, &keys, &columns) {
                Ok(placed) => placed,
                Err(error) => {
                    let name = Arc::clone(&self.shaper.name);
                    complaints.failed.push((name, error));
                    return;
                }
            };
        } else {
            let rows = 0..keys.len() as u32;
            let uniform = self.shaper.uniform.iter();
            let placements = rows.flat_map(|row| {
                let of_row = uniform.clone();
                of_row.map(move |placement| Placement { row, ..*placement })
            });
            placed.placements = placements.collect();
        }
        let texts = columns.iter().chain(&placed.labels).map(Column::new);
        let texts: Vec<Column<'_>> = texts.collect();
        let mut targets = Vec::with_capacity(placed.placements.len());
        let mut adding = series.adding();
        for placement in &placed.placements {
            let Some(family) = self.families.get(placement.family as usize) else {
                continue;
            };
            let row = placement.row as usize;
            let slot = adding.slot(placement.family, placement.slot, |block| {
                family.template.render_with(block, |block, label| {
                    let column = family.columns.get(label);
                    if let Some(column) = column.and_then(|column| texts.get(*column)) {
                        column.write(block, row);
                    }
                });
            });
            if let Some(slot) = slot {
                let number = match placement.slot {
                    Slot::None => NO_NUMBER,
                    _ => placement.number,
                };
                let scale = placement.scale;
                let target = Target {
                    slot,
                    number,
                    scale,
                };
                targets.push((placement.row, target));
            }
        }
        batch.placed(targets, placed.errors, &self.shaper.name, complaints);
    }
}

/// A column of label values on its way into label blocks. What can be looked at for all cells together is.
struct Column<'a> {
    cells: &'a Cells,
    /// All cells, if that is text.
    text: Option<&'a str>,
    plain: bool,
}

impl<'a> Column<'a> {
    fn new(cells: &'a Cells) -> Self {
        let text = std::str::from_utf8(cells.bytes()).ok();
        Self {
            cells,
            text,
            plain: text.is_some_and(is_plain),
        }
    }

    /// Appends the cell of a row as a label value; what is no UTF-8 is repaired.
    #[inline]
    fn write(&self, block: &mut String, row: usize) {
        // A cell may begin or end inside a character even where all of them together are text.
        match self.text.and_then(|text| text.get(self.cells.range(row))) {
            Some(cell) if self.plain => block.push_str(cell),
            Some(cell) => label_value(block, cell),
            None => label_value(block, &String::from_utf8_lossy(self.cells.get(row))),
        }
    }
}
