//! `plugin run FILE --decoder NAME`: rows through a chain of decoders.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::json;

use super::{RunFlags, not_offered};
use crate::cli::plugin::list::write_json;
use crate::cli::plugin::{Format, Usage, Workbench, exit_code};
use crate::plugin::{Cells, DecoderId, Location, Session, Tool};

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
pub(super) struct Step {
    name: String,
    session: Session,
    decoder: DecoderId,
}

pub(super) fn open_chain(
    flags: &RunFlags,
    bench: &Workbench,
    tool: &Tool,
) -> anyhow::Result<Vec<Step>> {
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
                none => none.insert(Tool::load(
                    &bench.engine,
                    &bench.facts,
                    &bench.compile(),
                    Location::Standard,
                )?),
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

pub(super) fn decode(
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

/// Sends all rows through the chain. A row that a decoder drops or has no answer for goes no
/// further.
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
pub(super) fn cells(chain: &mut [Step], rows: &Cells) -> anyhow::Result<()> {
    let mut decoded;
    let mut input = rows;
    for step in chain {
        let answer = step.session.decode(step.decoder, input);
        decoded = answer.with_context(|| format!("decoder `{}`", step.name))?;
        input = &decoded.cells;
    }
    Ok(())
}
