//! Histograms: their bucket types and what each of them needs to know.

use serde_json::{Map, Value};

use super::label::LabelConfig;
use super::metric::MetricConfig;
use super::samples::MetricSource;
use super::{bounds, label, metric};
use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, Schema, shorten};
use crate::near;

/// Also the names of the shapes.
pub(super) const BUCKET_TYPES: [&str; 4] = ["exp2", "exp2zero", "linear", "fixed"];

/// Each one is a line of every series of every scrape.
const MAX_BUCKETS: i64 = 10_000;
/// 2^1023 is the largest power of two that a float can say.
const MAX_EXPONENT: i64 = 1023;

pub(super) const HISTOGRAM: Schema = Schema {
    what: "a histogram",
    known: &[
        "name",
        "help",
        "map",
        "bucket_type",
        "bucket_multiplier",
        "bucket_min",
        "bucket_max",
        "bucket_keys",
        "labels",
        "value",
        bounds::MAX_SERIES,
        bounds::EXPIRE,
        bounds::DEPARTED,
    ],
    later: &["native", "ringbuf", "perf_event_array", "flush_interval"],
};

pub(super) fn read_histogram(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
    let fields = Fields::of(node, &HISTOGRAM, diagnostics)?;
    let common = metric::read_common(&fields, &HISTOGRAM, diagnostics);
    if let (Some(value), Some(node)) = (
        common.as_ref().and_then(metric::Common::value),
        fields.get("value"),
    ) && value.scale != 1.0
    {
        diagnostics.error(
            node.at,
            "the value of a histogram's bucket is a count, which has no `scale`: see `bucket_multiplier`",
        );
    }
    let multiplier = read_multiplier(&fields, diagnostics);
    let bucket_type = read_bucket_type(&fields, diagnostics);
    let options = match bucket_type {
        Some("fixed") => read_keys(&fields, diagnostics),
        Some(bucket_type) => read_range(&fields, bucket_type, diagnostics),
        None => None,
    };
    let labels = label::read_labels(&fields, diagnostics);
    if let Some(labels) = &labels {
        check_labels(&fields, labels, diagnostics);
    }
    let mut options = options?;
    options.insert("bucket_multiplier".to_owned(), Value::from(multiplier?));
    Some(common?.into_metric(
        &fields,
        MetricSource::Map,
        labels?,
        (bucket_type?, Value::Object(options)),
        diagnostics,
    ))
}

fn read_bucket_type(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<&'static str> {
    let missing = format!(
        "a histogram needs a `bucket_type`: {}",
        near::one_of(&BUCKET_TYPES)
    );
    let written = fields.required_text("bucket_type", &missing, diagnostics)?;
    let found = BUCKET_TYPES.into_iter().find(|known| *known == written);
    if let (None, Some(node)) = (found, fields.get("bucket_type")) {
        diagnostics.error(
            node.at,
            format!(
                "unknown bucket type `{}`{}",
                shorten(written),
                near::suggestion(written, &BUCKET_TYPES)
            ),
        );
    }
    found
}

/// 0 is 1, as in ebpf_exporter.
fn read_multiplier(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<f64> {
    let Some(node) = fields.get("bucket_multiplier") else {
        return Some(1.0);
    };
    let multiplier = fields.float("bucket_multiplier", diagnostics)?;
    if multiplier < 0.0 {
        diagnostics.error(
            node.at,
            format!(
                "expected a positive number for `bucket_multiplier`, found {}",
                node.describe()
            ),
        );
        return None;
    }
    Some(if multiplier == 0.0 { 1.0 } else { multiplier })
}

/// `bucket_min` is 0 where it is left out, as in ebpf_exporter.
fn read_range(
    fields: &Fields<'_>,
    bucket_type: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Map<String, Value>> {
    if let Some(node) = fields.get("bucket_keys") {
        diagnostics.warning(
            node.at,
            format!(
                "`bucket_keys` has no effect on the bucket type `{bucket_type}`, only on `fixed`"
            ),
        );
    }
    let min = match fields.get("bucket_min") {
        Some(_) => fields.integer("bucket_min", diagnostics),
        None => Some(0),
    };
    let Some(max_node) = fields.get("bucket_max") else {
        diagnostics.error(fields.at, format!("a histogram of the bucket type `{bucket_type}` needs a `bucket_max`: the last finite bucket"));
        return None;
    };
    let max = fields.integer("bucket_max", diagnostics);
    let (min, max) = (min?, max?);
    if max <= min {
        diagnostics.error(
            max_node.at,
            format!("expected a `bucket_max` greater than `bucket_min`, found {max} and {min}"),
        );
        return None;
    }
    if max.saturating_sub(min) >= MAX_BUCKETS {
        diagnostics.error(max_node.at, format!("expected at most {MAX_BUCKETS} buckets, found `bucket_min` {min} and `bucket_max` {max}"));
        return None;
    }
    if bucket_type != "linear" && max > MAX_EXPONENT {
        diagnostics.error(
            max_node.at,
            format!(
                "expected a `bucket_max` of at most {MAX_EXPONENT} (a power of two), found {max}"
            ),
        );
        return None;
    }
    Some(Map::from_iter([
        ("bucket_min".to_owned(), Value::from(min)),
        ("bucket_max".to_owned(), Value::from(max)),
    ]))
}

/// `bucket_min` and `bucket_max` may stand there too: ebpf_exporter's own JSON schema asks for
/// them.
fn read_keys(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Map<String, Value>> {
    let Some(node) = fields.get("bucket_keys") else {
        diagnostics.error(fields.at, "a histogram of the bucket type `fixed` needs `bucket_keys`: the list of its buckets' upper bounds");
        return None;
    };
    let mut keys = metric::floats(node, "bucket_keys", diagnostics)?;
    if keys.is_empty() {
        diagnostics.error(
            node.at,
            "expected at least one number in `bucket_keys`, found none",
        );
        return None;
    }
    let mut pairs = keys.iter().zip(keys.iter().skip(1));
    if let Some((before, after)) = pairs.find(|(before, after)| after <= before) {
        diagnostics.warning(
            node.at,
            format!("`bucket_keys` are not in ascending order, {after} comes after {before}: they are sorted"),
        );
        keys.sort_by(f64::total_cmp);
        keys.dedup();
    }
    Some(Map::from_iter([(
        "bucket_keys".to_owned(),
        Value::from(keys),
    )]))
}

fn check_labels(fields: &Fields<'_>, labels: &[LabelConfig], diagnostics: &mut Diagnostics) {
    let Some((bucket, others)) = labels.split_last() else {
        let at = fields.get("labels").map_or(fields.at, |node| node.at);
        diagnostics.error(
            at,
            "a histogram needs at least one label: the last one is the bucket",
        );
        return;
    };
    for label in others.iter().filter(|label| label.name == "bucket") {
        diagnostics.warning(
            LineColumn::from(&label.at),
            format!(
                "the label `bucket` is not the last one: the last label of a histogram is its bucket, which is `{}` here",
                shorten(&bucket.name)
            ),
        );
    }
    if bucket.name == "cpu" {
        diagnostics.warning(
            LineColumn::from(&bucket.at),
            "the label `cpu` stands last, so it is taken for the histogram's bucket: put it before the bucket",
        );
    }
    for label in others.iter().filter(|label| label.name == "le") {
        let at = LineColumn::from(&label.at);
        diagnostics.error(
            at,
            "the label name `le` of a histogram is taken by its buckets: choose another",
        );
    }
}
