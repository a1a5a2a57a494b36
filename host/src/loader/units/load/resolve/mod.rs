//! A metric of the YAML and what the object says of its map -> what rows are made from. What the
//! YAML leaves to types is filled in; everything that does not fit is reported at once.

mod labels;
mod padding;
mod value;

use self::labels::{KeyFields, Labels};
use super::UnitError;
use crate::bpf::{
    CType, EntryTypes, MapInfo, ObjectError, check_readable, check_sample_map, cpu_numbers,
};
use crate::config::{Diagnostic, MetricConfig, MetricSource, Span, UnitConfig};
use crate::rows::{KeyShape, Layout, MetricSpec};

/// What does not fit, each where it stands.
type Misfits = Vec<(Span, String)>;

/// What a unit's metrics came to.
pub(super) struct Resolved {
    /// In the order of the YAML.
    pub(super) metrics: Vec<MetricSpec>,
    /// Why there are not more of them.
    pub(super) left_out: Vec<Diagnostic>,
    /// What keeps the unit from running.
    pub(super) fatal: Option<Diagnostic>,
}

/// The metrics of a unit. One that does not fit its map costs itself alone.
pub(super) fn resolve<'a>(
    config: &UnitConfig,
    map: impl Fn(&str) -> Result<(&'a MapInfo, EntryTypes), ObjectError>,
    strict: bool,
) -> Result<Resolved, UnitError> {
    let mut resolved = find_metrics(config, map);
    let nothing = resolved.metrics.is_empty() && config.collectors.is_empty();
    let left_out = !resolved.left_out.is_empty() && (strict || nothing);
    if resolved.fatal.is_some() || left_out {
        resolved.left_out.extend(resolved.fatal);
        return Err(UnitError::Config(resolved.left_out));
    }
    Ok(resolved)
}

/// The same, whatever is wrong.
pub(super) fn find_metrics<'a>(
    config: &UnitConfig,
    map: impl Fn(&str) -> Result<(&'a MapInfo, EntryTypes), ObjectError>,
) -> Resolved {
    let mut left_out = Vec::new();
    let mut metrics = Vec::new();
    for metric in &config.metrics {
        let resolved = match map(&metric.map) {
            Ok((map, types)) => resolve_metric(metric, map, &types),
            Err(error) => Err(vec![(metric.at.clone(), error.to_string())]),
        };
        match resolved {
            Ok(metric) => metrics.push(metric),
            Err(misfits) => left_out.extend(misfits.into_iter().map(|(at, message)| {
                Diagnostic::error(at, format!("metric `{}`: {message}", metric.name))
            })),
        }
    }
    let mut fatal = None;
    if let Some(wanted) = &config.cgroup_id_map
        && let Err(error) = map(&wanted.map)
    {
        fatal = Some(Diagnostic::error(wanted.at.clone(), error.to_string()));
    }
    Resolved {
        metrics,
        left_out,
        fatal,
    }
}

fn resolve_metric(
    metric: &MetricConfig,
    map: &MapInfo,
    types: &EntryTypes,
) -> Result<MetricSpec, Misfits> {
    if metric.source == MetricSource::Map {
        // Of the map: what else could be said of the metric would be about entries that it has not.
        check_readable(map).map_err(|error| vec![(metric.at.clone(), error.to_string())])?;
    }
    let value = metric.value.as_ref();
    let number = value::resolve(metric, map, types.value.as_deref())
        .map_err(|message| (value.map_or(&metric.at, |value| &value.at).clone(), message));
    let labels = labels::resolve(metric, map, types.key.as_deref());
    let key = labels.and_then(|Labels { specs, fields }| {
        let layout = lay_out(&fields, metric, map, types.key.as_deref());
        let layout = layout.map_err(|message| vec![(metric.at.clone(), message)])?;
        if let MetricSource::Samples { through, .. } = metric.source {
            check_sample_map(map, through, layout.row_key_size)
                .map_err(|error| vec![(metric.at.clone(), error.to_string())])?;
        }
        Ok((specs, layout))
    });
    match (key, number) {
        (Ok((labels, layout)), Ok(number)) => Ok(MetricSpec {
            name: metric.name.clone(),
            help: metric.help.clone(),
            map: metric.map.clone(),
            source: metric.source,
            labels,
            layout: Layout { number, ..layout },
            shape: metric.shape.clone(),
            scale: value.map(|value| value.scale).filter(|scale| *scale != 1.0),
            bounds: metric.bounds,
        }),
        (key, number) => {
            let mut misfits = key.err().unwrap_or_default();
            misfits.extend(number.err());
            Err(misfits)
        }
    }
}

fn lay_out(
    fields: &KeyFields,
    metric: &MetricConfig,
    map: &MapInfo,
    key: Option<&CType>,
) -> Result<Layout, String> {
    let shape = KeyShape {
        key_size: map.key_size,
        per_cpu: map.is_per_cpu(),
    };
    let layout = match fields {
        KeyFields::Members(members) => Layout::by_members(members, shape.key_size),
        KeyFields::Packed(fields) => {
            Layout::new(fields, metric.source, shape).map_err(|error| {
                let hint = padding::hint(fields, key).unwrap_or_default();
                format!("map `{}`: {error}{hint}", map.name)
            })?
        }
    };
    let cpu_numbers = if layout.split_cpus {
        cpu_numbers()
    } else {
        Vec::new()
    };
    Ok(Layout {
        cpu_numbers,
        value_size: map.value_size,
        ..layout
    })
}
