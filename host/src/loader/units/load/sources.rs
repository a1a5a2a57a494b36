//! Where a unit's metrics get their entries: maps, or samples. What the server is to read of them.

use std::os::fd::OwnedFd;

use super::UnitError;
use crate::bpf::{LoadedObject, PerfBuffers, SampleOptions, check_readable, check_sample_map};
use crate::config::MetricSource;
use crate::link::ServedSource;
use crate::object_input::SampleMap;
use crate::rows::MetricSpec;

/// The perf buffers of one metric.
pub(super) struct SampleBuffers {
    map: String,
    /// Its name: a metric's place in the YAML may change.
    metric: String,
    buffers: PerfBuffers,
}

/// Checks that all sources can be read, and opens the perf buffers.
pub(super) fn open(
    metrics: &[MetricSpec],
    object: &LoadedObject,
) -> Result<Vec<SampleBuffers>, UnitError> {
    let mut buffers = Vec::new();
    for metric in metrics {
        let map = &metric.map;
        match metric.source {
            MetricSource::Map => check_readable(object.map(map)?.info())?,
            MetricSource::Samples {
                through,
                flush_interval,
            } => {
                let key_size = metric.layout.row_key_size;
                let options = SampleOptions::new(key_size, flush_interval);
                check_sample_map(object.map_info(map)?, through, key_size)?;
                if through == SampleMap::PerfEventArray {
                    buffers.push(SampleBuffers {
                        map: map.clone(),
                        metric: metric.name.clone(),
                        buffers: PerfBuffers::open(object.map_handle(map)?, options.pages)?,
                    });
                }
            }
        }
    }
    Ok(buffers)
}

/// The sources that metrics need, in the order of the YAML, and their descriptors.
pub(super) fn served(
    specs: &[MetricSpec],
    object: &LoadedObject,
    buffers: &[SampleBuffers],
) -> Result<(Vec<ServedSource>, Vec<OwnedFd>), UnitError> {
    let mut sources: Vec<ServedSource> = Vec::new();
    let mut descriptors = Vec::new();
    for (index, metric) in specs.iter().enumerate() {
        let known = sources.iter_mut().find_map(|source| match source {
            ServedSource::Map { map, metrics, .. } if *map == metric.map => Some(metrics),
            _ => None,
        });
        if metric.source == MetricSource::Map
            && let Some(metrics) = known
        {
            metrics.push(index);
            continue;
        }
        let (source, opened) = one(index, metric, object, buffers)?;
        sources.push(source);
        descriptors.extend(opened);
    }
    Ok((sources, descriptors))
}

fn one(
    index: usize,
    metric: &MetricSpec,
    object: &LoadedObject,
    buffers: &[SampleBuffers],
) -> Result<(ServedSource, Vec<OwnedFd>), UnitError> {
    let map = metric.map.clone();
    let whole = |source| Ok((source, vec![object.map_descriptor(&metric.map)?]));
    match metric.source {
        MetricSource::Map => {
            check_readable(object.map(&map)?.info())?;
            let created = object.created(&map);
            whole(ServedSource::Map {
                map,
                metrics: vec![index],
                created,
            })
        }
        MetricSource::Samples {
            through: SampleMap::Ringbuf,
            flush_interval,
        } => whole(ServedSource::Ring {
            map,
            metric: index,
            key_size: metric.layout.row_key_size,
            flush_interval,
        }),
        MetricSource::Samples {
            through: SampleMap::PerfEventArray,
            flush_interval,
        } => {
            let mut known = buffers.iter();
            let opened = known.find(|one| one.map == map && one.metric == metric.name);
            let (mut cpus, mut descriptors, mut pages) = (Vec::new(), Vec::new(), 0);
            if let Some(SampleBuffers { buffers, .. }) = opened {
                pages = buffers.pages();
                for (cpu, buffer) in buffers.cpus() {
                    let buffer =
                        buffer
                            .try_clone_to_owned()
                            .map_err(|source| UnitError::Descriptor {
                                map: map.clone(),
                                source,
                            })?;
                    cpus.push(cpu);
                    descriptors.push(buffer);
                }
            }
            let source = ServedSource::Perf {
                map,
                metric: index,
                key_size: metric.layout.row_key_size,
                flush_interval,
                pages,
                cpus,
            };
            Ok((source, descriptors))
        }
    }
}

/// See `KernelSide::follow_cpus`.
pub(super) fn follow_cpus(all: &mut [SampleBuffers]) -> Vec<(String, String, u32, OwnedFd)> {
    let mut added = Vec::new();
    for SampleBuffers {
        map,
        metric,
        buffers,
    } in all
    {
        let mut new = Vec::new();
        for (cpu, opened) in buffers.follow_cpus() {
            match opened {
                Ok(()) => new.push(cpu),
                Err(why) => {
                    tracing::warn!(map, cpu, "no perf buffer for a CPU that has come: {why}");
                }
            }
        }
        for (cpu, buffer) in buffers.cpus() {
            if new.contains(&cpu)
                && let Ok(buffer) = buffer.try_clone_to_owned()
            {
                added.push((map.clone(), metric.clone(), cpu, buffer));
            }
        }
    }
    added
}
