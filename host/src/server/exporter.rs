//! What the web side asks: a scrape of everything, the units' states, the maps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::collectors::Selection;
use super::demand::{RETRY_LONG, RETRY_SHORT};
use super::recorder;
use super::units::{Scraped, UnitEntry, scrape_one};
use super::{Server, probe, programs, report};
use crate::cli::settings::WebSettings;
use crate::exposition::{Clash, ClashReason, Family, Source, merge};
use crate::link::UnitPhase;
use crate::plugin::Snapshot;
use crate::telemetry::{PluginCosts, RateLimit};
use crate::web::{
    BoxFuture, Exporter, Filter, ProbeRequest, ProbeView, Probed, ReloadAnswer, Unavailable,
    UnitStatus,
};

/// How long a request for a reload waits for what comes of it.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);
/// The name of the host's own families among the sources of a body.
const HOST: &str = "exporter-host";

pub(super) struct ServerExporter {
    server: Arc<Server>,
    /// `--web.disable-exporter-metrics` turns it off.
    own_metrics: bool,
    /// With `--web.detailed-exporter-metrics`.
    detailed: bool,
    plugins: Mutex<BTreeMap<Arc<str>, Snapshot>>,
    limit: RateLimit,
}

impl ServerExporter {
    pub(super) fn new(server: Arc<Server>, settings: &WebSettings) -> Self {
        Self {
            server,
            own_metrics: settings.exporter_metrics,
            detailed: settings.detailed_exporter_metrics,
            plugins: Mutex::default(),
            limit: recorder::log_limit(),
        }
    }

    /// One unit's families. A unit on demand is started if it does not run.
    async fn scrape_one(&self, name: &str, deadline: Instant) -> Result<Vec<Family>, Unavailable> {
        let server = &self.server;
        let unit = server.units.get(name).ok_or(Unavailable::Unknown)?;
        // Kept to the end: the unit is not idle meanwhile.
        let request = unit.request();
        server.facts.begin_scrape();
        let selection = Selection::Unit(name.to_owned());
        let mut attempts = 0;
        let (scraped, collected) = loop {
            if let Some(request) = &request {
                let served = request.ensure_served(deadline).await;
                served.map_err(|error| error.refusal(name))?;
            }
            let (scraped, collected) = tokio::join!(
                scrape_one(&unit, deadline),
                server.collectors.scrape(deadline, &selection)
            );
            attempts += 1;
            match scraped {
                Some(scraped) => break (scraped, collected),
                // The loader was stopping it when the request came.
                None if request.is_some() && attempts < 2 => {}
                None => return Err(not_served(&unit)),
            }
        };
        let Some(source) = self.recorded(&unit, &scraped) else {
            let why = format!(
                "the maps of the unit {name} were not read within this scrape's time: try again"
            );
            return Err(not_now(why, RETRY_SHORT));
        };
        Ok(self.merged(vec![source], collected))
    }

    /// Records how the scrape of a unit went, once for all who share it. Gives what it has brought;
    /// None: it was late.
    fn recorded(&self, unit: &UnitEntry, scraped: &Scraped) -> Option<Source> {
        let telemetry = || self.server.telemetry.unit(unit.name());
        let flight = match scraped {
            Scraped::Done(flight) => flight,
            Scraped::Late => {
                unit.recorder.lock().late(&telemetry(), &self.limit);
                self.forget_if_removed(unit);
                return None;
            }
        };
        if flight.take_recording() {
            let mut recorder = unit.recorder.lock();
            recorder.record(&flight.result, &telemetry(), &self.limit);
            drop(recorder);
            self.forget_if_removed(unit);
        }
        Some(Source {
            name: Arc::clone(unit.name()),
            families: flight.result.families.clone(),
        })
    }

    /// The families of units and collectors as one body has them.
    fn merged(
        &self,
        mut sources: Vec<Source>,
        collected: Vec<(Arc<str>, Vec<Family>)>,
    ) -> Vec<Family> {
        let collected = collected.into_iter();
        sources.extend(collected.map(|(name, families)| Source { name, families }));
        let (families, clashes) = merge(sources);
        self.report(clashes);
        families
    }

    /// A unit that was stopped meanwhile: its series were forgotten, and have just been made again.
    fn forget_if_removed(&self, unit: &UnitEntry) {
        let telemetry = &self.server.telemetry;
        if unit.life.lock().forgotten {
            telemetry.forget_unit(unit.name());
        } else if let Some(UnitPhase::Stopped | UnitPhase::Skipped) = unit.phase() {
            telemetry.unit(unit.name()).emptied();
        }
    }

    async fn scrape_all(&self, deadline: Instant, selection: &Selection) -> Vec<Family> {
        let server = &self.server;
        server.facts.begin_scrape();
        let (scraped, collected) = tokio::join!(
            server.units.scrape(deadline, selection),
            server.collectors.scrape(deadline, selection)
        );
        let recorded = scraped
            .iter()
            .map(|(unit, scraped)| self.recorded(unit, scraped));
        let units: Vec<Option<Source>> = recorded.collect();
        // First: no unit can take the host's own names away.
        let own = self.own_metrics.then(|| self.own());
        let sources = own.into_iter().chain(units.into_iter().flatten());
        self.merged(sources.collect(), collected)
    }

    /// The host's own families.
    fn own(&self) -> Source {
        let server = &self.server;
        self.record_plugins();
        server
            .telemetry
            .set_programs(programs::stats(&server.units));
        server.telemetry.set_collectors(server.collectors.stats());
        Source {
            name: HOST.into(),
            families: server.telemetry.families(self.detailed),
        }
    }

    fn report(&self, clashes: Vec<Clash>) {
        for clash in clashes {
            let Clash {
                source,
                earlier,
                family,
                reason,
                dropped,
            } = clash;
            if let Some(unit) = self.server.units.get(&source) {
                if reason == ClashReason::Help {
                    unit.recorder.lock().other_help(&family, &earlier);
                    continue;
                }
                unit.recorder.lock().clash(
                    &self.server.telemetry.unit(&source),
                    &self.limit,
                    dropped,
                    &format!("{dropped} series of {family} are left out, {earlier} has {reason}"),
                );
            }
        }
    }

    /// Plugins count in totals; telemetry wants what came since.
    fn record_plugins(&self) {
        let mut known = self.plugins.lock();
        let stats = self.server.registry().stats();
        known.retain(|name, _| {
            let stays = stats.iter().any(|(current, _)| current == name);
            if !stays {
                self.server.telemetry.forget_plugin(name);
            }
            stays
        });
        for (name, now) in stats {
            let before = known
                .insert(Arc::clone(&name), now.clone())
                .unwrap_or_default();
            let telemetry = self.server.telemetry.plugin(&name);
            telemetry.add(&costs(&now.since(&before)));
        }
    }
}

/// Nothing of the unit is in service.
fn not_served(unit: &UnitEntry) -> Unavailable {
    let why = unit.diagnostic();
    let why = why.unwrap_or_else(|| "it is being started or stopped".to_owned());
    let after = unit
        .next_try()
        .map_or(RETRY_LONG, |next| next.max(RETRY_SHORT));
    not_now(
        format!("the unit {} does not run: {why}", unit.name()),
        after,
    )
}

fn not_now(why: String, retry_after: Duration) -> Unavailable {
    Unavailable::NotNow { why, retry_after }
}

fn costs(snapshot: &Snapshot) -> PluginCosts {
    PluginCosts {
        calls: snapshot.calls,
        rows: snapshot.rows,
        seconds: snapshot.seconds,
        restarts: snapshot.restarts,
        memory_peak: snapshot.memory_high_water,
        traps: snapshot.failures.clone(),
        denied: snapshot.denied.clone(),
        open_breakers: snapshot.open_breakers,
        suppressed_lines: snapshot.suppressed_lines,
    }
}

impl Exporter for ServerExporter {
    fn scrape<'a>(
        &'a self,
        deadline: Instant,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Family>, String>> {
        Box::pin(async move {
            let units = self.server.units.names();
            let collectors = &self.server.collectors;
            let selection = collectors.select(&filter.collect, &filter.exclude, &units)?;
            Ok(self.scrape_all(deadline, &selection).await)
        })
    }

    fn probe(&self, request: ProbeRequest) -> BoxFuture<'_, Probed> {
        Box::pin(probe::probe(&self.server, request))
    }

    fn probes(&self) -> Vec<ProbeView> {
        probe::views(&self.server)
    }

    fn scrape_unit<'a>(
        &'a self,
        name: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<Family>, Unavailable>> {
        Box::pin(self.scrape_one(name, deadline))
    }

    fn status(&self) -> Vec<UnitStatus> {
        report::status(&self.server.units)
    }

    fn units(&self) -> String {
        report::units(&self.server.units)
    }

    fn dump_maps(&self) -> String {
        self.server.units.dump_maps()
    }

    fn reload(&self) -> BoxFuture<'_, ReloadAnswer> {
        Box::pin(self.server.loader.reload(RELOAD_LIMIT))
    }

    /// Requests are answered only once everything is loaded.
    fn ready(&self) -> Result<(), String> {
        report::ready(&self.server.units)
    }
}
