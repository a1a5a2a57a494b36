//! What happens to keys that are not known yet: each label's field goes through its decoders, the
//! labels through the shaper, and every placement becomes a contribution to a series. Column by
//! column, so that a thousand keys cost one call per decoder.

use std::collections::HashMap;
use std::sync::Arc;

use super::ask::ask;
use super::batch::{Batch, Complaints, Outcomes};
use super::column::Column;
use super::plugins::{Label, Plugins, Shaper};
use crate::exposition::{
    BlockRenderer, BlockTemplate, FamilyMeta, Kind, LabelTemplate, LabelValues,
};
use crate::plugin::{Cells, NumberSource, Placement, SeriesPart, ShapedFamily};
use crate::rows::key::{Contribution, Layout, NO_NUMBER};
use crate::rows::series::{FamilyShape, SeriesSet};

/// Keys per call: smaller batches stay in the cache, and one batch bounds what a call can cost.
pub(in crate::rows) const BATCH: usize = 1024;

/// The value of all labels of the series that stands for those over a metric's `max_series`.
const OTHER: &str = "other";

/// The way from a key to its targets.
#[derive(Debug)]
pub(in crate::rows) struct Pipeline {
    layout: Layout,
    labels: Vec<Label>,
    shaper: Shaper,
    /// The labels of each family. Columns below the number of decoded labels are those, the others
    /// the shaper's new ones.
    families: Vec<BlockTemplate>,
    /// Of each family, the labels of the series that stands for those over the limit.
    others: Vec<Arc<str>>,
    /// The label blocks of a batch, kept for its memory.
    blocks: BlockRenderer,
}

impl Pipeline {
    /// `constants`: labels of every series, with their values.
    pub(in crate::rows) fn new(
        layout: Layout,
        labels: Vec<Label>,
        constants: &[(String, String)],
        shaper: Shaper,
    ) -> Self {
        let decoded: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        let new = crate::plugin::new_labels(&shaper.families, &decoded);
        let mut column_of: HashMap<&str, usize> = HashMap::new();
        for (column, name) in decoded.iter().chain(&new).enumerate() {
            column_of.entry(name).or_insert(column);
        }
        let of_family = |family: &ShapedFamily| {
            let columns = family
                .labels
                .iter()
                .filter_map(|name| column_of.get(name.as_str()).copied());
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

    pub(in crate::rows) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(in crate::rows) fn numbers(&self) -> &[NumberSource] {
        &self.shaper.numbers
    }

    /// The families, with the unit's prefix before their names.
    pub(in crate::rows) fn family_shapes(&self, namespace: &str) -> Vec<FamilyShape> {
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

    /// Answers every key of a batch. `keys` have `layout.row_key_size` bytes each. `suspects`: each
    /// has made a plugin fail before.
    pub(in crate::rows) fn resolve(
        &mut self,
        plugins: &mut Plugins,
        keys: &Cells,
        suspects: bool,
        series: &mut SeriesSet,
        complaints: &mut Complaints,
    ) -> Outcomes {
        let mut batch = Batch::new(keys.len(), suspects);
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
            self.shape(plugins, keys, &columns, series, &mut batch, complaints);
        }
        batch.into_outcomes()
    }

    /// Finds out where the rows that are left go.
    fn shape(
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
        let total = rows.len();
        let all = total == keys.len();
        let of_rows: Option<Cells> =
            (!all).then(|| rows.iter().map(|&row| keys.get(row as usize)).collect());
        let of_rows = of_rows.as_ref().unwrap_or(keys);
        let spread: Vec<_> = columns.iter().map(|column| column.spread(rows)).collect();
        let suspects = batch.suspects();
        let mut asked = ask(plugins, shaper.session, total, suspects, |session, part| {
            if part.len() == total {
                return session.place_rows(shaper.id, of_rows, &spread);
            }
            let spread: Vec<Cells> = spread
                .iter()
                .map(|cells| cells.slice(part.clone()))
                .collect();
            session.place_rows(shaper.id, &of_rows.slice(part), &spread)
        });
        let placed = asked.take_answer(total);
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
        if let Some(bucket) = columns.last() {
            let none = placements.clone();
            let none = none.filter(|placement| placement.part == SeriesPart::None);
            let none = none.filter(|placement| is_histogram(shaper, placement.family));
            for placement in none {
                let cell = bucket.cell_of(placement.row);
                complaints.out_of_range.add(bucket.cells().get(cell));
            }
        }
        let contributions = contributions(families, blocks, placements, &values, series);
        batch.placed(contributions, &placed.errors, &shaper.name, complaints);
        let key = |row: u32| keys.get(row as usize);
        batch.not_placed(asked, key, &shaper.name, complaints);
    }

    /// Gives back the memory that many new keys at once have taken.
    pub(in crate::rows) fn shrink(&mut self) {
        self.blocks = BlockRenderer::default();
    }
}

fn is_histogram(shaper: &Shaper, family: u32) -> bool {
    let family = shaper.families.get(family as usize);
    family.is_some_and(|family| family.kind == Kind::Histogram)
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
        let accumulator = adding.accumulator(placement.family, placement.part, block)?;
        let number = match placement.part {
            SeriesPart::None => NO_NUMBER,
            _ => placement.number,
        };
        let scale = adding.relative_scale(placement.family, placement.part, placement.scale);
        let contribution = Contribution {
            accumulator,
            number,
            scale,
        };
        Some((placement.row, contribution))
    });
    contributions.collect()
}
