//! What happens to keys that are not known yet: each label's field goes through its decoders, the labels through the shaper, and every
//! placement becomes a target in the set of series. Column by column, so that a thousand keys cost one call per decoder.

use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Complaints, Contribution, NO_NUMBER, Outcomes};
use super::column::Column;
use super::layout::Layout;
use super::series::{FamilyShape, SeriesSet};
use crate::exposition::{BlockRenderer, BlockTemplate, FamilyMeta, LabelTemplate, LabelValues};
use crate::plugin::{
    Cells, DecoderId, NumberSource, Placement, Session, ShapedFamily, ShaperId, Slot,
};

/// Keys per call: smaller batches stay in the cache, and one batch bounds what a call can cost.
pub(super) const BATCH: usize = 1024;

/// The value of all labels of the series that stands for those over a metric's `max_series`.
const OTHER: &str = "other";

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

/// The way from a key to its targets.
#[derive(Debug)]
pub(super) struct Pipeline {
    layout: Layout,
    labels: Vec<Label>,
    shaper: Shaper,
    /// The labels of each family. Columns below the number of decoded labels are those, the others the shaper's new ones.
    families: Vec<BlockTemplate>,
    /// Of each family, the labels of the series that stands for those over the limit.
    others: Vec<Arc<str>>,
    /// The label blocks of a batch, kept for its memory.
    blocks: BlockRenderer,
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
        let of_family = |family: &ShapedFamily| {
            let columns = family.labels.iter().filter_map(|name| column_of(name));
            let columns: Vec<usize> = columns.collect();
            let template = LabelTemplate::with_constants(&family.labels, constants);
            let mut other = String::new();
            template.render_into(&mut other, |_| OTHER);
            (BlockTemplate::new(&template, &columns), other.into())
        };
        let (families, others) = shaper.families.iter().map(of_family).unzip();
        Self {
            layout,
            labels,
            shaper,
            families,
            others,
            blocks: BlockRenderer::default(),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn numbers(&self) -> &[NumberSource] {
        &self.shaper.numbers
    }

    /// The families, with the unit's prefix before their names.
    pub(super) fn family_shapes(&self, namespace: &str) -> Vec<FamilyShape> {
        let name = |family: &ShapedFamily| {
            if namespace.is_empty() {
                family.name.clone()
            } else {
                format!("{namespace}_{}", family.name)
            }
        };
        let shape = |(family, other): (&ShapedFamily, &Arc<str>)| FamilyShape {
            meta: Arc::new(FamilyMeta {
                name: name(family),
                help: family.help.clone(),
                unit: family.unit.clone(),
                kind: family.kind,
            }),
            bounds: family.bounds.as_slice().into(),
            other: Arc::clone(other),
        };
        let families = self.shaper.families.iter();
        families.zip(&self.others).map(shape).collect()
    }

    /// Answers every key of a batch. `keys` have `layout.row_key_size` bytes each.
    pub(super) fn resolve(
        &mut self,
        plugins: &mut Plugins,
        keys: &Cells,
        series: &mut SeriesSet,
        complaints: &mut Complaints,
    ) -> Outcomes {
        let mut batch = Batch::new(keys.len());
        let mut columns = Vec::with_capacity(self.labels.len());
        let key_size = self.layout.row_key_size;
        for (label, field) in self.labels.iter().zip(&self.layout.fields) {
            let mut column = Column::of(keys, key_size, field.clone(), batch.alive());
            for step in &label.chain {
                batch.decode(plugins, step, &mut column, complaints);
            }
            columns.push(column);
        }
        if !batch.alive().is_empty() {
            self.place(plugins, keys, &columns, series, &mut batch, complaints);
        }
        batch.into_outcomes()
    }

    /// Finds out where the rows that are left go.
    fn place(
        &mut self,
        plugins: &mut Plugins,
        keys: &Cells,
        columns: &[Column],
        series: &mut SeriesSet,
        batch: &mut Batch,
        complaints: &mut Complaints,
    ) {
        let Self {
            shaper,
            families,
            blocks,
            ..
        } = self;
        let rows = batch.alive();
        let mut values: Vec<LabelValues<'_>> = columns.iter().map(Column::values).collect();
        if !shaper.uniform.is_empty() {
            let placements = rows.iter().flat_map(|&row| {
                let of_row = shaper.uniform.iter();
                of_row.map(move |placement| Placement { row, ..*placement })
            });
            let contributions = contributions(families, blocks, placements, &values, series);
            return batch.placed(contributions, &[], &shaper.name, complaints);
        }
        let Some(session) = plugins.get(shaper.session) else {
            return;
        };
        let all = rows.len() == keys.len();
        let of_rows = (!all).then(|| rows.iter().map(|&row| keys.get(row as usize)).collect());
        let spread: Vec<_> = columns.iter().map(|column| column.spread(rows)).collect();
        let placed = match session.place(shaper.id, of_rows.as_ref().unwrap_or(keys), &spread) {
            Ok(placed) => placed,
            Err(error) => {
                complaints.failed.push((Arc::clone(&shaper.name), error));
                return;
            }
        };
        // Its rows count among those that are left.
        let which = (!all).then(|| {
            let mut which = vec![0; keys.len()];
            for (asked, &row) in (0..).zip(rows) {
                which[row as usize] = asked;
            }
            which
        });
        let new = placed.labels.iter();
        values.extend(
            new.map(|cells| LabelValues::new(cells.bytes(), cells.ends(), which.as_deref())),
        );
        let placements = placed.placements.iter().filter_map(|placement| {
            let row = *rows.get(placement.row as usize)?;
            Some(Placement { row, ..*placement })
        });
        let contributions = contributions(families, blocks, placements, &values, series);
        batch.placed(contributions, &placed.errors, &shaper.name, complaints);
    }

    /// Gives back the memory that many new keys at once have taken.
    pub(super) fn shrink(&mut self) {
        self.blocks = BlockRenderer::default();
    }
}

/// Finds or makes the series of rows, by a block of labels for each.
fn contributions(
    families: &[BlockTemplate],
    blocks: &mut BlockRenderer,
    placements: impl Iterator<Item = Placement> + Clone,
    values: &[LabelValues<'_>],
    series: &mut SeriesSet,
) -> Vec<(u32, Contribution)> {
    blocks.clear();
    for placement in placements.clone() {
        // Answers are checked: there is such a family.
        if let Some(family) = families.get(placement.family as usize) {
            blocks.render(family, values, placement.row as usize);
        }
    }
    let mut adding = series.adding();
    let contributions = placements.zip(blocks.blocks());
    let contributions = contributions.filter_map(|(placement, block)| {
        let slot = adding.slot(placement.family, placement.slot, block)?;
        let number = match placement.slot {
            Slot::None => NO_NUMBER,
            _ => placement.number,
        };
        let scale = placement.scale;
        let contribution = Contribution {
            slot,
            number,
            scale,
        };
        Some((placement.row, contribution))
    });
    contributions.collect()
}
