//! A metric of the YAML and what the object says of its map -> what rows are made from. What the
//! YAML leaves to types is filled in; everything that does not fit is reported at once.

mod labels;
mod value;

use self::labels::{KeyFields, Labels};
use super::UnitError;
use crate::bpf::{EntryTypes, MapInfo, ObjectError, cpu_numbers};
use crate::config::{Diagnostic, MetricConfig, Span, UnitConfig};
use crate::rows::{KeyShape, Layout, MetricSpec};

/// What does not fit, each where it stands.
type Misfits = Vec<(Span, String)>;

/// The metrics of a unit, in the order of its YAML.
pub(super) fn resolve<'a>(
    config: &UnitConfig,
    map: impl Fn(&str) -> Result<(&'a MapInfo, EntryTypes), ObjectError>,
) -> Result<Vec<MetricSpec>, UnitError> {
    let mut diagnostics = Vec::new();
    let mut specs = Vec::new();
    for metric in &config.metrics {
        let resolved = match map(&metric.map) {
            Ok((map, types)) => resolve_metric(metric, map, &types),
            Err(error) => Err(vec![(metric.at.clone(), error.to_string())]),
        };
        match resolved {
            Ok(spec) => specs.push(spec),
            Err(misfits) => diagnostics.extend(misfits.into_iter().map(|(at, message)| {
                Diagnostic::error(at, format!("metric `{}`: {message}", metric.name))
            })),
        }
    }
    if let Some(wanted) = &config.cgroup_id_map
        && let Err(error) = map(&wanted.map)
    {
        diagnostics.push(Diagnostic::error(wanted.at.clone(), error.to_string()));
    }
    if diagnostics.is_empty() {
        Ok(specs)
    } else {
        Err(UnitError::Config(diagnostics))
    }
}

fn resolve_metric(
    metric: &MetricConfig,
    map: &MapInfo,
    types: &EntryTypes,
) -> Result<MetricSpec, Misfits> {
    let value = metric.value.as_ref();
    let number = value::resolve(metric, map, types.value.as_deref())
        .map_err(|message| (value.map_or(&metric.at, |value| &value.at).clone(), message));
    let labels = labels::resolve(metric, map, types.key.as_deref());
    let key = labels.and_then(|Labels { specs, fields }| {
        let layout = lay_out(&fields, metric, map);
        let layout = layout.map_err(|message| vec![(metric.at.clone(), message)])?;
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

fn lay_out(fields: &KeyFields, metric: &MetricConfig, map: &MapInfo) -> Result<Layout, String> {
    let shape = KeyShape {
        key_size: map.key_size,
        per_cpu: map.is_per_cpu(),
    };
    let layout = match fields {
        KeyFields::Members(members) => Layout::by_members(members, shape.key_size),
        KeyFields::Packed(fields) => Layout::new(fields, metric.source, shape)
            .map_err(|error| format!("map `{}`: {error}", map.name))?,
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
