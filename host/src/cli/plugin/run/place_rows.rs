//! `plugin run FILE --shaper NAME`: where a shaper puts the numbers of rows.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{RunFlags, not_offered};
use crate::cli::plugin::list::write_json;
use crate::cli::plugin::{Format, Usage, exit_code};
use crate::plugin::{Cells, SeriesPart, ShapedFamily, Tool, new_labels};

#[derive(Serialize)]
struct PlacedReport {
    families: Vec<FamilyReport>,
    placements: Vec<PlacementReport>,
    errors: Vec<RowError>,
}

#[derive(Serialize)]
struct FamilyReport {
    name: String,
    kind: String,
    help: String,
    unit: String,
    labels: Vec<String>,
    bounds: Vec<f64>,
}

#[derive(Serialize)]
struct PlacementReport {
    row: u32,
    /// As in the text format.
    series: String,
    slot: String,
    /// Where in the map's value the number is.
    number: String,
    scale: f64,
}

#[derive(Serialize)]
struct RowError {
    row: u32,
    message: String,
}

pub(super) fn place_rows(
    flags: &RunFlags,
    shaper: &str,
    keys: &[Vec<u8>],
    tool: &Tool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    if !tool.offers.shapers.iter().any(|one| one.name == *shaper) {
        bail!(not_offered("shaper", shaper, tool, &tool.offers.shapers));
    }
    let count = flags.row.len().max(keys.len()).max(1);
    let labels = label_columns(flags, count)?;
    if !keys.is_empty() && keys.len() != count {
        bail!(Usage(format!(
            "{} --hex for {count} rows: one key each",
            keys.len()
        )));
    }
    let keys: Cells = (0..count)
        .map(|row| keys.get(row).map_or(&[][..], Vec::as_slice))
        .collect();
    let mut options = flags.options.first().cloned().unwrap_or(json!({}));
    if let Json::Object(fields) = &mut options {
        let metric = json!({"name": flags.metric, "help": "", "labels": flags.labels});
        fields.insert("metric".into(), metric);
    }
    let mut session = tool.session();
    let decoded: Vec<&str> = flags.labels.iter().map(String::as_str).collect();
    let opened = session.open_shaper(shaper, &options.to_string(), &decoded);
    let (id, families, numbers) = opened.with_context(|| format!("shaper `{shaper}`"))?;
    let placed = session
        .place_rows(id, &keys, &labels)
        .with_context(|| format!("shaper `{shaper}`"))?;
    let new = new_labels(&families, &decoded);
    let text_of = |label: &str, row: usize| {
        let column = match decoded.iter().position(|name| *name == label) {
            Some(index) => labels.get(index),
            None => new
                .iter()
                .position(|name| *name == label)
                .and_then(|index| placed.labels.get(index)),
        };
        let cell = column.map(|column| column.get(row)).unwrap_or_default();
        String::from_utf8_lossy(cell).into_owned()
    };
    let mut report = PlacedReport {
        families: families.iter().map(FamilyReport::of).collect(),
        placements: Vec::new(),
        errors: Vec::new(),
    };
    for placement in &placed.placements {
        let Some(family) = families.get(placement.family as usize) else {
            continue;
        };
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("{label}={:?}", text_of(label, placement.row as usize)))
            .collect();
        let number = numbers.get(placement.number as usize).map(|number| {
            format!("{:?}", number.encoding).to_lowercase() + &format!(" at {}", number.offset)
        });
        report.placements.push(PlacementReport {
            row: placement.row,
            series: format!("{}{{{}}}", family.name, labels.join(",")),
            slot: part_name(placement.part, &family.bounds),
            number: number.unwrap_or_default(),
            scale: placement.scale,
        });
    }
    let errors = placed.errors.into_iter();
    report.errors = errors
        .map(|(row, message)| RowError { row, message })
        .collect();
    match flags.format {
        Format::Text => report.write_text(out)?,
        Format::Json => write_json(out, &report)?,
    }
    Ok(exit_code(!report.errors.is_empty()))
}

fn label_columns(flags: &RunFlags, count: usize) -> anyhow::Result<Vec<Cells>> {
    if !flags.labels.is_empty() && flags.row.len() != count {
        bail!(Usage(format!(
            "{count} rows with the labels {}: give the texts of each with --row",
            flags.labels.join(", ")
        )));
    }
    let mut columns = vec![Cells::default(); flags.labels.len()];
    for row in &flags.row {
        let texts: Vec<&str> = row.split(',').collect();
        if texts.len() != columns.len() {
            bail!(Usage(format!(
                "--row {row:?} has {} texts, --labels names {} labels",
                texts.len(),
                columns.len()
            )));
        }
        for (column, text) in columns.iter_mut().zip(texts) {
            column.push(text.as_bytes());
        }
    }
    Ok(columns)
}

fn part_name(part: SeriesPart, bounds: &[f64]) -> String {
    match part {
        SeriesPart::Value => "value".to_owned(),
        SeriesPart::Sum => "sum".to_owned(),
        SeriesPart::None => "none".to_owned(),
        SeriesPart::Bucket(index) => match bounds.get(index as usize) {
            Some(bound) => format!("bucket le={bound}"),
            None => "bucket le=+Inf".to_owned(),
        },
    }
}

impl FamilyReport {
    fn of(family: &ShapedFamily) -> Self {
        Self {
            name: family.name.clone(),
            kind: format!("{:?}", family.kind).to_lowercase(),
            help: family.help.clone(),
            unit: family.unit.clone(),
            labels: family.labels.clone(),
            bounds: family.bounds.clone(),
        }
    }
}

impl PlacedReport {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        for family in &self.families {
            writeln!(out, "# HELP {} {}", family.name, family.help)?;
            writeln!(out, "# TYPE {} {}", family.name, family.kind)?;
        }
        for placement in &self.placements {
            let slot = match placement.slot.as_str() {
                "value" => String::new(),
                other => format!(" ({other})"),
            };
            writeln!(
                out,
                "{}{slot} += {} * {}",
                placement.series, placement.number, placement.scale
            )?;
        }
        for error in &self.errors {
            writeln!(out, "row {}\t(error: {})", error.row, error.message)?;
        }
        Ok(())
    }
}
