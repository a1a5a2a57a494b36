//! The registry of the host's own metrics, and its way into the families of a scrape.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;

use super::collectors::{CollectorCosts, CollectorStats, Collectors};
use super::http::HttpTelemetry;
use super::plugin::{PluginFamilies, PluginTelemetry};
use super::process::ProcessCollector;
use super::programs::{ProgramStats, Programs};
use super::registry::{FloatGauge, Labelled, Registry, UintGauge, family, head};
use super::unit::{UnitFamilies, UnitTelemetry};
use crate::exposition::{Family, Kind, Number, label_block};
use crate::link::{ProcessFigures, WatchMode};

/// What this binary is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildInfo {
    pub(crate) version: &'static str,
    /// Empty where the build did not say.
    pub(crate) revision: &'static str,
    pub(crate) branch: &'static str,
    /// The compiler.
    pub(crate) rustc: &'static str,
}

impl BuildInfo {
    /// The build sets `EXPORTER_HOST_REVISION`, `EXPORTER_HOST_BRANCH` and `EXPORTER_HOST_RUSTC`
    /// where it knows them.
    pub(crate) const THIS: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
        revision: or_empty(option_env!("EXPORTER_HOST_REVISION")),
        branch: or_empty(option_env!("EXPORTER_HOST_BRANCH")),
        rustc: or_empty(option_env!("EXPORTER_HOST_RUSTC")),
    };

    fn labels(self) -> [(&'static str, &'static str); 6] {
        [
            ("arch", std::env::consts::ARCH),
            ("branch", self.branch),
            ("os", std::env::consts::OS),
            ("revision", self.revision),
            ("rustc", self.rustc),
            ("version", self.version),
        ]
    }
}

const fn or_empty(value: Option<&'static str>) -> &'static str {
    match value {
        Some(value) => value,
        None => "",
    }
}

/// The host's own metrics. Cheap to update from anywhere.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    units: Arc<UnitFamilies>,
    plugins: Arc<PluginFamilies>,
    http: HttpTelemetry,
    programs: Programs,
    collectors: Collectors,
    processes: ProcessCollector,
    hardening: Labelled<UintGauge>,
    watch: Labelled<UintGauge>,
    reload_successful: Gauge,
    reload_success_time: FloatGauge,
}

impl Telemetry {
    pub(crate) fn new(build: BuildInfo) -> Arc<Self> {
        let mut registry = Registry::default();
        let units = Arc::new(UnitFamilies::register(&mut registry));
        let plugins = Arc::new(PluginFamilies::register(&mut registry));
        let http = HttpTelemetry::register(&mut registry);
        let hardening = registry.labelled(
            "exporter_host_hardening",
            "Whether this part of the hardening is in force",
            &["feature"],
        );
        let watch = registry.labelled(
            "exporter_host_config_watch",
            "Whether changes of the directories are noticed in this way",
            &["mode"],
        );
        register_build_info(&mut registry, build);
        let programs = Programs::default();
        registry.add(programs.clone());
        let collectors = Collectors::default();
        registry.add(collectors.clone());
        registry.add_detail(CollectorCosts(collectors.clone()));
        let processes = ProcessCollector::default();
        registry.add(processes.clone());
        let reload_successful = registry.single(
            "exporter_host_config_last_reload_successful",
            "Whether everything in the directories could be put into service at the last start or reload",
        );
        let reload_success_time = registry.single(
            "exporter_host_config_last_reload_success_timestamp_seconds",
            "When everything in the directories was last put into service",
        );
        Arc::new(Self {
            reload_successful,
            reload_success_time,
            registry,
            units,
            plugins,
            http,
            programs,
            collectors,
            processes,
            hardening,
            watch,
        })
    }

    /// The handle of a unit. A unit of that name that comes back goes on counting where it was,
    /// unless it was forgotten.
    pub(crate) fn unit(&self, config: &str) -> UnitTelemetry {
        Arc::clone(&self.units).unit(config)
    }

    /// Drops all series of a unit that is gone for good. Its handle must not be used any more.
    pub(crate) fn forget_unit(&self, config: &str) {
        self.units.forget(config);
    }

    pub(crate) fn plugin(&self, plugin: &str) -> PluginTelemetry {
        Arc::clone(&self.plugins).plugin(plugin)
    }

    /// A part of the hardening is in force, or is not.
    pub(crate) fn hardening(&self, feature: &str, active: bool) {
        self.hardening.of(&[feature]).set(active.into());
    }

    /// How changes of the directories are noticed from now on.
    pub(crate) fn watching(&self, mode: WatchMode) {
        for known in WatchMode::ALL {
            self.watch.of(&[known.as_str()]).set((known == mode).into());
        }
    }

    /// Drops all series of a plugin that is gone.
    pub(crate) fn forget_plugin(&self, plugin: &str) {
        self.plugins.forget(plugin);
    }

    /// A start or reload has ended: `successful` if everything is what the directories want.
    /// `last_success`: of the last one of which that can be said, in seconds since 1970.
    pub(crate) fn reloaded(&self, successful: bool, last_success: Option<f64>) {
        self.reload_successful.set(successful.into());
        if let Some(time) = last_success {
            self.reload_success_time.set(time);
        }
    }

    /// What the loader and the starter use, as they are shown from now on.
    pub(crate) fn set_loader_figures(&self, figures: ProcessFigures) {
        self.processes.set_loader(figures);
    }

    pub(crate) fn http(&self) -> &HttpTelemetry {
        &self.http
    }

    /// The programs of all units, as they are shown from now on.
    pub(crate) fn set_programs(&self, programs: Vec<ProgramStats>) {
        *self.programs.0.lock() = programs;
    }

    /// The collectors of all units, as they are shown from now on.
    pub(crate) fn set_collectors(&self, collectors: Vec<CollectorStats>) {
        *self.collectors.0.lock() = collectors;
    }

    /// The host's own families as of now. `detailed`: with what is left out by default.
    pub(crate) fn families(&self, detailed: bool) -> Vec<Family> {
        self.registry.families(detailed)
    }
}

fn register_build_info(registry: &mut Registry, build: BuildInfo) {
    // A gauge in ebpf_exporter.
    let names = [
        (
            "exporter_host_build_info",
            Kind::Info,
            "What this binary was built from, with the constant value 1.",
        ),
        (
            "ebpf_exporter_build_info",
            Kind::Gauge,
            "A metric with a constant '1' value labeled by version, revision, branch, goversion from which ebpf_exporter was built, \
             and the goos and goarch for the build.",
        ),
    ];
    for (name, kind, help) in names {
        let sample = (label_block(&build.labels()), Number::Unsigned(1));
        registry.add(family(head(name, help, kind), [sample]));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::collectors::CollectorTarget;
    use super::super::http::InFlight;
    use super::super::plugin::PluginCosts;
    use super::super::unit::Stage;
    use super::*;
    use crate::exposition::{Format, Source, merge, write};
    use crate::link::{LoadFigures, ProgramCounts, UnitPhase};

    fn body(telemetry: &Telemetry) -> String {
        in_format(telemetry, Format::Text004)
    }

    fn in_format(telemetry: &Telemetry, format: Format) -> String {
        let source = Source {
            name: "host".into(),
            families: telemetry.families(true),
        };
        let (families, clashes) = merge(vec![source]);
        assert_eq!(clashes, []);
        let mut out = String::new();
        write(&mut out, &families, format);
        out
    }

    /// Telemetry with a series of every family.
    fn filled() -> (Arc<Telemetry>, InFlight) {
        let telemetry = Telemetry::new(BuildInfo::THIS);
        let unit = telemetry.unit("net/drops");
        unit.set_phase(UnitPhase::Failed);
        unit.set_phase(UnitPhase::Running);
        unit.set_programs(ProgramCounts {
            attached: 2,
            failed: 1,
            disabled: 0,
        });
        let load = LoadFigures {
            successful: Some(true),
            last_success: Some(1.5e9),
            duration: Duration::from_millis(250),
        };
        unit.set_load(&load);
        unit.set_restarts(3);
        unit.spent(Stage::Decode, Duration::from_millis(500));
        unit.set_rows(3);
        unit.decoded(4);
        unit.errors("read", 2);
        unit.decoder_errors("ksym", 2);
        unit.lost_samples("events", 7);
        unit.map_fill("counts", 10, 1024);
        let plugin = telemetry.plugin("standard");
        let mut costs = PluginCosts {
            calls: 1,
            rows: 5,
            seconds: 2.0,
            memory_peak: 1 << 16,
            traps: vec![("deadline", 1)],
            denied: vec![("files", 3)],
            open_breakers: 1,
            ..PluginCosts::default()
        };
        plugin.add(&costs);
        costs = PluginCosts {
            memory_peak: 1,
            ..PluginCosts::default()
        };
        plugin.add(&costs);
        telemetry.http().answered("metrics", true, 200, 512);
        let in_flight = telemetry.http().started(true);
        let program = ProgramStats {
            config: "net/drops".into(),
            program: "kfree_skb".into(),
            tag: "0123456789abcdef".into(),
            id: 17,
            attached: true,
            run_time_ns: Some(1_500_000_000),
            run_count: None,
        };
        telemetry.set_programs(vec![program.clone(), program]);
        let target = |target: Option<&str>, age| CollectorTarget {
            target: target.map(str::to_owned),
            success: true,
            seconds: 0.25,
            series: 12,
            age,
        };
        let collector = |collector: &str, targets| CollectorStats {
            config: "stat".into(),
            collector: collector.into(),
            targets,
            failures: vec![("timeout", 2)],
        };
        telemetry.set_collectors(vec![
            collector("cpustat", vec![target(None, None)]),
            collector("tuners", vec![target(Some("10.0.0.1"), Some(7.5))]),
        ]);
        (telemetry, in_flight)
    }

    #[test]
    fn every_fact_has_its_series() {
        let (telemetry, _in_flight) = filled();
        let body = body(&telemetry);
        for line in [
            "ebpf_exporter_enabled_configs{name=\"net/drops\"} 1",
            "ebpf_exporter_decoder_errors_total{config=\"net/drops\"} 2",
            "# TYPE ebpf_exporter_ebpf_program_run_time_seconds counter",
            "ebpf_exporter_ebpf_program_run_time_seconds{id=\"17\"} 1.5",
            "ebpf_exporter_ebpf_program_attached{id=\"17\"} 1",
            "ebpf_exporter_ebpf_program_info{config=\"net/drops\",id=\"17\",program=\"kfree_skb\",tag=\"0123456789abcdef\"} 1",
            "exporter_host_unit_state{config=\"net/drops\"} 1",
            "exporter_host_unit_errors_total{config=\"net/drops\"} 4",
            "exporter_host_unit_lost_samples_total{config=\"net/drops\"} 7",
            "exporter_host_unit_map_fill_ratio{config=\"net/drops\"} 0.009765625",
            "exporter_host_unit_last_load_successful{config=\"net/drops\"} 1",
            "exporter_host_unit_last_load_duration_seconds{config=\"net/drops\"} 0.25",
            "exporter_host_unit_last_load_success_timestamp_seconds{config=\"net/drops\"} 1.5e+09",
            "exporter_host_unit_restarts_total{config=\"net/drops\"} 3",
            "exporter_host_unit_scrape_seconds_total{config=\"net/drops\",stage=\"decode\"} 0.5",
            "exporter_host_unit_scrape_seconds_total{config=\"net/drops\",stage=\"read\"} 0",
            "exporter_host_unit_rows{config=\"net/drops\"} 3",
            "exporter_host_unit_decodes_total{config=\"net/drops\"} 4",
            "exporter_host_errors_total{config=\"net/drops\",kind=\"read\"} 2",
            "exporter_host_decoder_errors_total{config=\"net/drops\",decoder=\"ksym\"} 2",
            "exporter_host_lost_samples_total{config=\"net/drops\",map=\"events\"} 7",
            "exporter_host_map_entries{config=\"net/drops\",map=\"counts\"} 10",
            "exporter_host_plugin_call_seconds_total{plugin=\"standard\"} 2",
            "exporter_host_plugin_traps_total{plugin=\"standard\",reason=\"deadline\"} 1",
            "exporter_host_plugin_memory_peak_bytes{plugin=\"standard\"} 65536",
            "exporter_host_http_requests_total{code=\"200\",handler=\"metrics\"} 1",
            "exporter_host_http_response_bytes_total{handler=\"metrics\"} 512",
            "promhttp_metric_handler_requests_total{code=\"200\"} 1",
            "promhttp_metric_handler_requests_total{code=\"503\"} 0",
            "promhttp_metric_handler_requests_in_flight 1",
            "exporter_host_collector_success{collector=\"cpustat\",config=\"stat\"} 1",
            "exporter_host_collector_duration_seconds{collector=\"tuners\",config=\"stat\",target=\"10.0.0.1\"} 0.25",
            "exporter_host_collector_samples{collector=\"cpustat\",config=\"stat\"} 12",
            "exporter_host_collector_age_seconds{collector=\"tuners\",config=\"stat\",target=\"10.0.0.1\"} 7.5",
            "exporter_host_collector_failures_total{collector=\"cpustat\",config=\"stat\",reason=\"timeout\"} 2",
        ] {
            assert!(body.lines().any(|found| found == line), "{line}\n{body}");
        }
        for start in [
            "process_cpu_seconds_total ",
            "ebpf_exporter_build_info{",
            "exporter_host_build_info{",
        ] {
            assert!(body.lines().any(|line| line.starts_with(start)), "{start}");
        }
        assert!(
            !body.contains("run_count_total{"),
            "unknown without kernel statistics"
        );
    }

    /// Names, help texts, types, units and the order of labels are what dashboards rely on.
    #[test]
    fn the_text_is_as_it_always_was() {
        let (telemetry, _in_flight) = filled();
        telemetry.hardening("landlock", true);
        telemetry.hardening("seccomp", false);
        telemetry.watching(WatchMode::Poll);
        telemetry.reloaded(true, Some(1.6e9));
        telemetry.set_loader_figures(ProcessFigures {
            cpu_seconds: Some(1.5),
            threads: Some(3),
            start_time: Some(1.6e9),
            virtual_bytes: Some(1 << 30),
            resident_bytes: Some(1 << 20),
            open_fds: Some(7),
            max_fds: Some(1024),
            ..ProcessFigures::default()
        });
        let mut run = ProgramStats {
            config: "a\"b".into(),
            program: "p".into(),
            tag: "00".into(),
            id: 3,
            attached: false,
            run_time_ns: Some(0),
            run_count: Some(12),
        };
        let first = run.clone();
        run.id = 20;
        telemetry.set_programs(vec![run, first]);
        // This process' own numbers and what was built are never the same.
        let changes = |line: &&str| {
            !["process_", "exporter_host_process_"]
                .iter()
                .any(|start| line.starts_with(start) && !line.contains("half=\"loader\""))
                && !line.contains("_build_info{")
        };
        let mut text = String::new();
        for format in [Format::Text004, Format::OpenMetrics100] {
            let all = in_format(&telemetry, format);
            text.extend(all.lines().filter(changes).flat_map(|line| [line, "\n"]));
        }
        assert!(text == include_str!("families.txt"), "{text}");
    }

    #[test]
    fn what_something_costs_is_a_detail() {
        let (telemetry, _in_flight) = filled();
        let names = |detailed| -> Vec<String> {
            let families = telemetry.families(detailed).into_iter();
            families.map(|family| family.meta.name.clone()).collect()
        };
        let (default, detailed) = (names(false), names(true));
        for name in [
            "exporter_host_unit_scrape_seconds_total",
            "exporter_host_map_entries",
            "exporter_host_plugin_call_seconds_total",
            "exporter_host_collector_samples",
        ] {
            let has = |names: &[String]| names.iter().any(|one| one == name);
            assert!(!has(&default) && has(&detailed), "{name}");
        }
        assert!(default.iter().all(|name| detailed.contains(name)));
        let of_unit = |family: &Family| {
            let named = |labels: &str| labels.contains("config=\"net/drops\"");
            let samples = family.samples.iter();
            samples.filter(|sample| named(sample.labels)).count()
        };
        let own = telemetry.families(false).into_iter();
        let own = own.filter(|family| family.meta.name.starts_with("exporter_host_"));
        let count: usize = own.map(|family| of_unit(&family)).sum();
        assert!((3..=10).contains(&count), "{count}");
    }

    #[test]
    fn a_forgotten_unit_leaves_nothing() {
        let telemetry = Telemetry::new(BuildInfo::THIS);
        for name in ["gone", "stays"] {
            let unit = telemetry.unit(name);
            unit.set_phase(UnitPhase::Running);
            unit.set_load(&LoadFigures::default());
            unit.errors("read", 1);
            unit.decoder_errors("ksym", 1);
            unit.lost_samples("m", 1);
            unit.map_fill("m", 1, 1);
        }
        telemetry.forget_unit("gone");
        let body = body(&telemetry);
        assert!(!body.contains("gone") && body.contains("stays"));
    }

    /// Text from outside may be a label value: it is escaped.
    #[test]
    fn odd_label_values_survive() {
        let telemetry = Telemetry::new(BuildInfo::THIS);
        telemetry.unit("a\"b\\c\n").set_rows(1);
        assert!(
            body(&telemetry).contains("exporter_host_unit_rows{config=\"a\\\"b\\\\c\\n\"} 1\n")
        );
    }
}
