//! `exporter-host plugin run FILE`: calls a plugin as a host would, with rows from the command line.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::super::values;
use super::list::{location, write_json};
use super::{Format, Usage, Workbench, bench, exit_code};
use crate::exposition;
use crate::plugin::{
    Cells, CollectRequest, Collector, DecoderId, Location, Offered, Session, ShapedFamily, Slot,
    Tool, new_labels,
};
use crate::telemetry::LogLevel;

/// Call a plugin with rows from the command line
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).multiple(false).args(["decoders", "shaper", "collect"])),
    after_help = "Exit codes: 0 all rows were answered, 1 the plugin failed or a row got no answer, 2 wrong usage.\n\n\
        Examples:\n  \
        exporter-host plugin run standard --decoder inet_ip --hex 0a000001\n  \
        exporter-host plugin run standard --decoder uint --decoder static_map --options '{}' --options '{\"static_map\": {\"1\": \"read\"}}' --hex 01000000\n  \
        exporter-host plugin run my.wasm --shaper my_shape --labels disk --row sda --row sdb\n  \
        exporter-host plugin run my.wasm --collect my_collector --target 192.0.2.1"
)]
pub(super) struct RunFlags {
    /// The component, or `standard` for the one inside this binary
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Decode with this one; several are a chain. What FILE does not offer is looked for in the standard plugin
    #[arg(long = "decoder", value_name = "NAME")]
    decoders: Vec<String>,

    /// Place rows with this one
    #[arg(long, value_name = "NAME")]
    shaper: Option<String>,

    /// Collect once with this one, and print the families as they would be served
    #[arg(long, value_name = "NAME")]
    collect: Option<String>,

    /// What a collector is asked about, as in a probe
    #[arg(long, value_name = "TARGET", requires = "collect")]
    target: Option<String>,

    /// A query parameter of a probe; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "collect", value_parser = param)]
    param: Vec<(String, String)>,

    /// How long a collector may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::timeout, requires = "collect")]
    timeout: Duration,

    /// The options, a JSON object; of a chain's decoders in their order
    #[arg(long, value_name = "JSON", value_parser = object)]
    options: Vec<Json>,

    /// A row's bytes (of a shaper: its raw key), two hexadecimal digits each; repeatable; - reads lines from standard input
    #[arg(long, value_name = "BYTES")]
    hex: Vec<String>,

    /// The names of a shaper's decoded labels
    #[arg(
        long,
        value_name = "NAME,NAME",
        value_delimiter = ',',
        requires = "shaper"
    )]
    labels: Vec<String>,

    /// A shaper's row: the texts of its labels, separated by commas; repeatable
    #[arg(long, value_name = "TEXT,TEXT", requires = "shaper")]
    row: Vec<String>,

    /// The name of the metric that a shaper shapes
    #[arg(
        long,
        value_name = "NAME",
        default_value = "metric",
        requires = "shaper"
    )]
    metric: String,

    /// Print what calls cost, with batches of 1, 512 and 4096 rows
    #[arg(long)]
    bench: bool,

    /// Directory for compiled plugins, as of the host
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    plugin_cache_dir: Option<PathBuf>,

    /// How answers are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What became of one row.
#[derive(Serialize)]
struct Answer {
    text: String,
    /// `known`, `provisional`, `dropped` or `error`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A decoder of a chain, opened.
struct Step {
    name: String,
    session: Session,
    decoder: DecoderId,
}

pub(super) fn run(flags: &RunFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let rows = hex_rows(&flags.hex, &mut io::stdin().lock())?;
    let bench = Workbench::new(flags.plugin_cache_dir.as_ref(), LogLevel::Info)?;
    let started = Instant::now();
    let tool = Tool::load(&bench.engine, &bench.facts, location(&flags.file))
        .with_context(|| format!("{} cannot be used", flags.file.display()))?;
    let loaded = started.elapsed();
    if let Some(name) = &flags.collect {
        if flags.bench {
            bail!(Usage("--bench measures decoders".to_owned()));
        }
        return collect(flags, name, &tool, out);
    }
    match &flags.shaper {
        Some(shaper) => {
            if flags.bench {
                bail!(Usage("--bench measures decoders".to_owned()));
            }
            place(flags, shaper, &rows, &tool, out)
        }
        None => {
            let mut chain = open_chain(flags, &bench, &tool)?;
            if rows.is_empty() {
                bail!(Usage("nothing to decode: give rows with --hex".to_owned()));
            }
            if flags.bench {
                let opened = bench::Opened {
                    loaded,
                    tool: &tool,
                };
                return bench::run(
                    &opened,
                    &rows,
                    |rows| decode_cells(&mut chain, rows),
                    flags.format,
                    out,
                );
            }
            decode(flags, &mut chain, &rows, out)
        }
    }
}

// === decoders ===

fn open_chain(flags: &RunFlags, bench: &Workbench, tool: &Tool) -> anyhow::Result<Vec<Step>> {
    if flags.options.len() > flags.decoders.len() {
        bail!(Usage(format!(
            "{} --options for {} --decoder: the first belongs to the first, and so on",
            flags.options.len(),
            flags.decoders.len()
        )));
    }
    let mut standard = None;
    let mut chain = Vec::new();
    for (index, name) in flags.decoders.iter().enumerate() {
        let offers = |tool: &Tool| tool.offers.decoders.iter().any(|one| one.name == *name);
        let tool = if offers(tool) {
            tool
        } else {
            let standard = match &mut standard {
                Some(standard) => standard,
                none => none.insert(Tool::load(&bench.engine, &bench.facts, Location::Standard)?),
            };
            if !offers(standard) {
                bail!(not_offered("decoder", name, tool, &tool.offers.decoders));
            }
            standard
        };
        let options = flags.options.get(index).cloned().unwrap_or(json!({}));
        let mut session = tool.session();
        let decoder = session
            .open_decoder(name, &options.to_string())
            .with_context(|| format!("decoder `{name}` of plugin `{}`", tool.name()))?;
        chain.push(Step {
            name: name.clone(),
            session,
            decoder,
        });
    }
    Ok(chain)
}

fn decode(
    flags: &RunFlags,
    chain: &mut [Step],
    rows: &[Vec<u8>],
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let answers = decode_rows(chain, rows)?;
    match flags.format {
        Format::Text => {
            for answer in &answers {
                match (&answer.error, answer.state) {
                    (Some(error), _) => writeln!(out, "\t(error: {error})")?,
                    (None, "known") => writeln!(out, "{}", answer.text)?,
                    (None, state) => writeln!(out, "{}\t({state})", answer.text)?,
                }
            }
        }
        Format::Json => write_json(out, &answers)?,
    }
    Ok(exit_code(
        answers.iter().any(|answer| answer.error.is_some()),
    ))
}

/// Sends all rows through the chain. A row that a decoder drops or has no answer for goes no further.
fn decode_rows(chain: &mut [Step], rows: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>> {
    let known = || Answer {
        text: String::new(),
        state: "known",
        error: None,
    };
    let mut answers: Vec<Answer> = rows.iter().map(|_| known()).collect();
    let mut texts = rows.to_vec();
    for step in chain {
        let live: Vec<usize> = (0..texts.len())
            .filter(|&row| matches!(answers[row].state, "known" | "provisional"))
            .collect();
        let input: Cells = live.iter().map(|&row| texts[row].as_slice()).collect();
        let decoded = step
            .session
            .decode(step.decoder, &input)
            .with_context(|| format!("decoder `{}`", step.name))?;
        for (cell, &row) in live.iter().enumerate() {
            texts[row] = decoded.cells.get(cell).to_vec();
        }
        let at = |cell: u32| live.get(cell as usize).copied();
        for row in decoded.provisional.iter().copied().filter_map(at) {
            answers[row].state = "provisional";
        }
        for row in decoded.dropped.iter().copied().filter_map(at) {
            answers[row].state = "dropped";
            texts[row].clear();
        }
        for (cell, message) in decoded.errors {
            if let Some(row) = at(cell) {
                answers[row].state = "error";
                answers[row].error = Some(format!("decoder `{}`: {message}", step.name));
                texts[row].clear();
            }
        }
    }
    for (answer, text) in answers.iter_mut().zip(texts) {
        answer.text = String::from_utf8_lossy(&text).into_owned();
    }
    Ok(answers)
}

/// The same without a word about single rows: what is measured.
fn decode_cells(chain: &mut [Step], rows: &Cells) -> anyhow::Result<()> {
    let mut decoded;
    let mut input = rows;
    for step in chain {
        let answer = step.session.decode(step.decoder, input);
        decoded = answer.with_context(|| format!("decoder `{}`", step.name))?;
        input = &decoded.cells;
    }
    Ok(())
}

// === shapers ===

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

fn place(
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
        .place(id, &keys, &labels)
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
            slot: slot(placement.slot, &family.bounds),
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

fn slot(slot: Slot, bounds: &[f64]) -> String {
    match slot {
        Slot::Value => "value".to_owned(),
        Slot::Sum => "sum".to_owned(),
        Slot::None => "none".to_owned(),
        Slot::Bucket(index) => match bounds.get(index as usize) {
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

// === collectors ===

fn collect(
    flags: &RunFlags,
    name: &str,
    tool: &Tool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let offered = &tool.offers.collectors;
    if !offered.iter().any(|one| one.name == *name) {
        bail!(not_offered("collector", name, tool, offered));
    }
    let options = flags.options.first().cloned().unwrap_or(json!({}));
    let collector = Collector::open(tool.plugin(), name, &options.to_string())
        .with_context(|| format!("collector `{name}`"))?;
    let request = CollectRequest {
        target: flags.target.as_deref(),
        params: &flags.param,
        labels: &[],
        deadline: Instant::now() + flags.timeout,
        capture: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(collector.collect(&request));
    // Dropping it would wait for whatever still hangs in the system.
    runtime.shutdown_background();
    let answer = answer.with_context(|| format!("collector `{name}`"))?;
    let mut text = String::new();
    exposition::write(&mut text, &answer.families, exposition::Format::Text004);
    out.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, e.g. module=fast")?;
    Ok((name.to_owned(), value.to_owned()))
}

// === what was typed ===

fn object(text: &str) -> Result<Json, String> {
    match serde_json::from_str(text) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) => Err("expected a JSON object, e.g. {\"name\": \"value\"}".to_owned()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

/// The rows' bytes; `-` stands for the lines of `input`.
fn hex_rows(arguments: &[String], input: &mut impl BufRead) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut rows = Vec::new();
    let mut add = |place: String, hex: &str| match bytes(hex) {
        Ok(row) => {
            rows.push(row);
            Ok(())
        }
        Err(why) => Err(Usage(format!("{place}: {why}"))),
    };
    for argument in arguments {
        if argument != "-" {
            add("--hex".to_owned(), argument)?;
            continue;
        }
        for (index, line) in input.by_ref().lines().enumerate() {
            let line = line.context("cannot read standard input")?;
            add(format!("line {} of standard input", index + 1), line.trim())?;
        }
    }
    Ok(rows)
}

/// Two hexadecimal digits a byte, perhaps after `0x`; spaces, `:` and `_` may stand between.
fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex).chars();
    let digits: Option<Vec<u8>> = digits
        .filter(|digit| !matches!(digit, ' ' | ':' | '_'))
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.ok_or_else(|| format!("expected hexadecimal digits, found {hex:?}"))?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!(
            "expected two digits a byte, found {} digits in {hex:?}",
            digits.len()
        ));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn not_offered(kind: &str, name: &str, tool: &Tool, offered: &[Offered]) -> String {
    let names: Vec<&str> = offered.iter().map(|one| one.name.as_str()).collect();
    let plugin = tool.name();
    if names.is_empty() {
        return format!("plugin `{plugin}` offers no {kind}s");
    }
    let near = crate::config::nearest(name, names.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!(
        "plugin `{plugin}` offers no {kind} `{name}`{hint}; there are: {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_hexadecimal_with_or_without_marks() {
        for hex in ["0a00ff", "0x0A00ff", "0a:00:ff", "0a 00 ff"] {
            assert_eq!(bytes(hex), Ok(vec![10, 0, 255]), "{hex}");
        }
        assert_eq!(bytes(""), Ok(vec![]));
        assert!(bytes("0").is_err() && bytes("zz").is_err());
    }

    #[test]
    fn a_dash_stands_for_lines() {
        let rows = |arguments: &[&str], input: &str| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            hex_rows(&arguments, &mut input.as_bytes())
        };
        assert_eq!(
            rows(&["01", "-", "04"], "02\n\n03\n").unwrap(),
            [&[1][..], &[2], &[], &[3], &[4]]
        );
        assert_eq!(
            rows(&["-"], "02\n0x\n1").unwrap_err().to_string(),
            "line 3 of standard input: expected two digits a byte, found 1 digits in \"1\""
        );
    }
}
