//! What the web side asks: a scrape of everything, the units' states, the maps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::account::{self, Account};
use super::demand::{LATER, SOON};
use super::host::Host;
use super::probe;
use super::report;
use crate::exposition::{Clash, Family, Source, merge};
use crate::plugin::Snapshot;
use crate::telemetry::{PluginCosts, RateLimit, UnitState};
use crate::unit::{Scraped, Selection};
use crate::web::{
    BoxFuture, Exporter, Filter, ProbeRequest, ProbeView, Probed, Unavailable, UnitStatus,
};

/// The name of the host's own families among the sources of a body.
const HOST: &str = "exporter-host";

pub(super) struct HostExporter {
    host: Arc<Host>,
    /// `--web.disable-exporter-metrics` turns it off.
    own_metrics: bool,
    accounts: Mutex<BTreeMap<Arc<str>, Account>>,
    plugins: Mutex<BTreeMap<Arc<str>, Snapshot>>,
    limit: RateLimit,
}

impl HostExporter {
    pub(super) fn new(host: Arc<Host>, own_metrics: bool) -> Self {
        Self {
            host,
            own_metrics,
            accounts: Mutex::default(),
            plugins: Mutex::default(),
            limit: account::log_limit(),
        }
    }

    /// One unit's families. A unit on demand is started if it does not run.
    async fn scrape_one(&self, name: &str, deadline: Instant) -> Result<Vec<Family>, Unavailable> {
        let host = &self.host;
        if host.fleet.phase(name).is_none() {
            return Err(Unavailable::Unknown);
        }
        // Kept to the end: the unit is not stopped meanwhile.
        let request = host.demand.request(name);
        if let Some(request) = &request {
            let awake = request.awaken(host, deadline).await;
            awake.map_err(|asleep| asleep.refusal(name))?;
        }
        host.environment.facts.begin_scrape();
        let selection = Selection::Unit(name.to_owned());
        let (scraped, collected) = tokio::join!(
            host.fleet.scrape_one(name, deadline),
            host.environment.collectors.scrape(deadline, &selection)
        );
        let Some(scraped) = scraped else {
            let why = host.fleet.problem(name);
            let why = why.unwrap_or_else(|| "it is being started or stopped".to_owned());
            let next = host.retries.next_of(name);
            let after = next.map_or(LATER, |next| next.max(SOON));
            return Err(not_now(
                format!("the unit {name} does not run: {why}"),
                after,
            ));
        };
        let telemetry = host.telemetry.unit(name);
        let name: Arc<str> = name.into();
        let mut accounts = self.accounts.lock();
        let known = accounts.entry(Arc::clone(&name));
        let account = known.or_insert_with(|| Account::new(Arc::clone(&name)));
        let families = match scraped {
            Scraped::Done(share) => {
                if share.claim() {
                    account.enter(&share.result, &telemetry, &self.limit);
                }
                share.result.families.clone()
            }
            Scraped::Late => {
                account.late(&telemetry, &self.limit);
                let why = format!(
                    "the maps of the unit {name} were not read within this scrape's time: try again"
                );
                return Err(not_now(why, SOON));
            }
        };
        drop(accounts);
        self.forget_if_gone(&name);
        let mut sources = vec![Source { name, families }];
        let collected = collected.into_iter();
        sources.extend(collected.map(|(name, families)| Source { name, families }));
        let (families, clashes) = merge(sources);
        self.report(clashes);
        Ok(families)
    }

    /// A unit that was stopped meanwhile: its series were forgotten, and have just been made again.
    fn forget_if_gone(&self, name: &str) {
        match self.host.fleet.phase(name) {
            None => self.host.telemetry.forget_unit(name),
            Some(UnitState::Stopped | UnitState::Skipped) => {
                self.host.telemetry.unit(name).emptied();
            }
            Some(_) => {}
        }
    }

    async fn scrape_all(&self, deadline: Instant, selection: &Selection) -> Vec<Family> {
        self.host.environment.facts.begin_scrape();
        let collectors = &self.host.environment.collectors;
        let (scraped, collected) = tokio::join!(
            self.host.fleet.scrape(deadline, selection),
            collectors.scrape(deadline, selection)
        );
        let mut sources = Vec::with_capacity(scraped.len() + 1);
        {
            let mut accounts = self.accounts.lock();
            // The totals of a unit that starts again begin anew.
            accounts.retain(|name, _| self.host.fleet.phase(name) == Some(UnitState::Running));
            for (name, scraped) in scraped {
                let telemetry = self.host.telemetry.unit(&name);
                let known = accounts.entry(Arc::clone(&name));
                let account = known.or_insert_with(|| Account::new(Arc::clone(&name)));
                match scraped {
                    Scraped::Done(share) => {
                        if share.claim() {
                            account.enter(&share.result, &telemetry, &self.limit);
                        }
                        sources.push(Source {
                            name,
                            families: share.result.families.clone(),
                        });
                    }
                    Scraped::Late => account.late(&telemetry, &self.limit),
                }
                self.forget_if_gone(account.name());
            }
        }
        let collected = collected.into_iter();
        sources.extend(collected.map(|(name, families)| Source { name, families }));
        if self.own_metrics {
            self.enter_plugins();
            self.enter_programs(deadline);
            let stats = self.host.environment.collectors.stats();
            self.host.telemetry.set_collectors(stats);
            // First: no unit can take the host's own names away.
            sources.insert(
                0,
                Source {
                    name: HOST.into(),
                    families: self.host.telemetry.families(),
                },
            );
        }
        let (families, clashes) = merge(sources);
        self.report(clashes);
        families
    }

    fn report(&self, clashes: Vec<Clash>) {
        let accounts = self.accounts.lock();
        for clash in clashes {
            let Clash {
                source,
                earlier,
                family,
                reason,
                dropped,
            } = clash;
            if let Some(account) = accounts.get(&source) {
                account.clash(
                    &self.host.telemetry.unit(&source),
                    &self.limit,
                    dropped,
                    &format!("{dropped} series of {family} are left out, {earlier} has {reason}"),
                );
            }
        }
    }

    /// Plugins count in totals; telemetry wants what came since.
    fn enter_plugins(&self) {
        let mut known = self.plugins.lock();
        let stats = self.host.registry().stats();
        known.retain(|name, _| {
            let stays = stats.iter().any(|(current, _)| current == name);
            if !stays {
                self.host.telemetry.forget_plugin(name);
            }
            stays
        });
        for (name, now) in stats {
            let before = known
                .insert(Arc::clone(&name), now.clone())
                .unwrap_or_default();
            self.host
                .telemetry
                .plugin(&name)
                .add(&costs(&now.since(&before)));
        }
    }

    fn enter_programs(&self, deadline: Instant) {
        let counted = account::kernel_counts();
        let mut programs = Vec::new();
        self.host.fleet.for_each_idle(deadline, |name, unit| {
            programs.extend(account::programs(name, unit, counted));
        });
        self.host.telemetry.set_programs(programs);
    }
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
    }
}

impl Exporter for HostExporter {
    fn scrape<'a>(
        &'a self,
        deadline: Instant,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Family>, String>> {
        Box::pin(async move {
            let units = self.host.fleet.names();
            let collectors = &self.host.environment.collectors;
            let selection = collectors.select(&filter.collect, &filter.exclude, &units)?;
            Ok(self.scrape_all(deadline, &selection).await)
        })
    }

    fn probe(&self, request: ProbeRequest) -> BoxFuture<'_, Probed> {
        Box::pin(probe::probe(&self.host, request))
    }

    fn probes(&self) -> Vec<ProbeView> {
        probe::views(&self.host)
    }

    fn scrape_unit<'a>(
        &'a self,
        name: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<Family>, Unavailable>> {
        Box::pin(self.scrape_one(name, deadline))
    }

    fn status(&self) -> Vec<UnitStatus> {
        report::status(&self.host)
    }

    fn units(&self) -> String {
        report::units(&self.host)
    }

    fn dump_maps(&self) -> String {
        self.host.fleet.dump_maps()
    }

    fn reload(&self) -> BoxFuture<'_, Result<String, String>> {
        let host = Arc::clone(&self.host);
        Box::pin(async move {
            let reloaded = tokio::task::spawn_blocking(move || host.reload()).await;
            match reloaded {
                Ok(outcome) => outcome.report(),
                Err(_) => Err("the reload ended unexpectedly, see the log\n".to_owned()),
            }
        })
    }

    /// Requests are answered only once everything is loaded.
    fn ready(&self) -> bool {
        true
    }
}
