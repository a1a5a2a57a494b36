//! What the host says of itself: little by default, so that most of a body is what units count.

use crate::harness::{Setup, names};

const UNIT: &str = "metrics: {counters: [\
     {name: hash_total, help: h, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}, \
     {name: k4_total, help: h, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

/// The host's own series of a unit.
fn of_unit(setup: Setup) -> Vec<String> {
    let host = setup.unit("unit", "maps", UNIT).start();
    // The first scrape has told of itself.
    host.text();
    let body = host.fetch(crate::harness::parser::Format::Text);
    let own = body
        .lines()
        .filter(|line| line.starts_with("exporter_host_") && line.contains("config=\"unit\""));
    own.map(str::to_owned).collect()
}

#[test]
fn a_unit_has_ten_of_the_hosts_own_series_at_most() {
    let default = of_unit(Setup::new().default_metrics());
    assert!((5..=10).contains(&default.len()), "{default:#?}");
    for name in [
        "exporter_host_unit_state",
        "exporter_host_unit_map_fill_ratio",
        names::LOAD_SUCCESSFUL,
    ] {
        let start = format!("{name}{{");
        assert!(
            default.iter().any(|line| line.starts_with(&start)),
            "{name}"
        );
    }
    let detailed = of_unit(Setup::new());
    assert!(detailed.len() > 15, "{detailed:#?}");
    let name = |line: &String| line.split('{').next().unwrap().to_owned();
    let all: Vec<String> = detailed.iter().map(name).collect();
    assert!(default.iter().all(|line| all.contains(&name(line))));
}
