//! `plugin run FILE --collect NAME`: what a collector answers, as a scrape would show it.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::json;

use super::{RunFlags, not_offered};
use crate::exposition;
use crate::plugin::{CollectRequest, Collector, Tool};

pub(super) fn collect(
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
