//! Units that read maps: these need root, to make one.

use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};

use super::*;
use crate::config::{MetricSource, SeriesBounds};
use crate::link::ServedSource;
use crate::rows::{KeyShape, LabelSpec, Layout, MetricSpec, PackedField};

fn map() -> MapHandle {
    let mut options = libbpf_sys::bpf_map_create_opts::default();
    options.sz = std::mem::size_of_val(&options) as _;
    MapHandle::create(MapType::Hash, Some("counts"), 4, 8, 16, &options).unwrap()
}

fn set(map: &MapHandle, key: u32, value: u64) {
    let (key, value) = (key.to_ne_bytes(), value.to_ne_bytes());
    map.update(&key, &value, MapFlags::ANY).unwrap();
}

/// The metric `ns_calls` of the map, by `id`.
fn counting(generation: u64, max_series: Option<usize>) -> ServedUnit {
    let field = PackedField {
        name: "id".to_owned(),
        size: 4,
        padding: 0,
    };
    let shape = KeyShape {
        key_size: 4,
        per_cpu: false,
    };
    let metric = MetricSpec {
        name: "calls".to_owned(),
        help: "Calls.".to_owned(),
        map: "counts".to_owned(),
        source: MetricSource::Map,
        labels: vec![LabelSpec {
            name: "id".to_owned(),
            decoders: vec![plugin_use("uint")],
        }],
        layout: Layout::new(&[field], MetricSource::Map, shape).unwrap(),
        shape: plugin_use("counter"),
        scale: None,
        bounds: SeriesBounds {
            max_series: max_series.and_then(std::num::NonZeroUsize::new),
            ..SeriesBounds::default()
        },
    };
    let mut unit = unit("u", generation);
    unit.config.collectors.clear();
    unit.metrics.push(metric);
    unit.sources.push(ServedSource::Map {
        map: "counts".to_owned(),
        metrics: vec![0],
        created: Some(std::time::SystemTime::now()),
    });
    unit
}

fn calls(loader: &Loader) -> Vec<String> {
    let body = loader.get("/metrics/u");
    let lines = body.lines().filter(|line| line.starts_with("ns_calls{"));
    lines.map(|line| line.replace("ns_calls", "")).collect()
}

#[test]
fn a_map_is_read_through_its_descriptor_root() {
    let mut loader = Loader::ready();
    let map = map();
    set(&map, 1, 10);
    assert!(loader.serve(counting(1, None), &[map.as_fd()]).is_empty());
    assert_eq!(calls(&loader), ["{id=\"1\"} 10"]);
    set(&map, 1, 12);
    set(&map, 2, 3);
    assert_eq!(calls(&loader), ["{id=\"1\"} 12", "{id=\"2\"} 3"]);
    assert!(loader.get("/maps").contains("## counts (2 entries)"));
    loader.nothing_but_a_pong();
}

#[test]
fn a_metric_over_its_limit_is_held_and_then_shown_from_zero_root() {
    let mut loader = Loader::ready();
    let map = map();
    for key in 1..=2 {
        set(&map, key, 10);
    }
    assert!(
        loader
            .serve(counting(1, Some(2)), &[map.as_fd()])
            .is_empty()
    );
    assert_eq!(calls(&loader).len(), 2);
    loader.nothing_but_a_pong();
    set(&map, 3, 5);
    assert_eq!(calls(&loader).last().unwrap(), "{id=\"other\"} 5");
    let held = loader.next();
    assert!(
        matches!(&held, ToLoader::Holds { unit, metric } if unit == "u" && metric == "calls"),
        "{held:?}"
    );
    calls(&loader);
    loader.nothing_but_a_pong();

    // As the next server has it.
    let mut loader = Loader::ready();
    let mut next = counting(1, Some(2));
    next.held.push("calls".to_owned());
    loader.serve(next, &[map.as_fd()]);
    let zero: Vec<String> = calls(&loader);
    assert!(
        zero.len() == 3 && zero.iter().all(|line| line.ends_with(" 0")),
        "{zero:?}"
    );
    for key in 1..=3 {
        set(&map, key, 100);
    }
    let mut grown: Vec<u64> = calls(&loader)
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    grown.sort_unstable();
    assert_eq!(grown, [90, 90, 95]);
}
