//! What the web side asks: a scrape of everything, the units' states, the maps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::account::{self, Account};
use super::start::Started;
use crate::exposition::{Clash, Family, Source, merge};
use crate::kernel::KernelFacts;
use crate::plugin::{Registry, Snapshot};
use crate::telemetry::{PluginCosts, RateLimit, Telemetry, UnitState};
use crate::unit::{Fleet, Scraped};
use crate::web::{BoxFuture, Exporter, UnitStatus};

/// The name of the host's own families among the sources of a body.
const HOST: &str = "exporter-host";

pub(super) struct HostExporter {
    fleet: Arc<Fleet>,
    registry: Registry,
    facts: Arc<KernelFacts>,
    telemetry: Arc<Telemetry>,
    /// `--web.disable-exporter-metrics` turns it off.
    own_metrics: bool,
    accounts: Mutex<BTreeMap<Arc<str>, Account>>,
    plugins: Mutex<BTreeMap<Arc<str>, Snapshot>>,
    limit: RateLimit,
}

impl HostExporter {
    pub(super) fn new(started: Started, telemetry: Arc<Telemetry>, own_metrics: bool) -> Self {
        let Started {
            fleet,
            registry,
            facts,
            ..
        } = started;
        let units = fleet.view();
        let accounts = units
            .into_iter()
            .map(|unit| (Arc::clone(&unit.name), Account::new(unit.name, &telemetry)));
        let accounts = Mutex::new(accounts.collect());
        Self {
            fleet: Arc::new(fleet),
            registry,
            facts,
            telemetry,
            own_metrics,
            accounts,
            plugins: Mutex::default(),
            limit: account::log_limit(),
        }
    }

    /// Detaches everything.
    pub(super) fn stop(&self) {
        self.fleet.stop();
    }

    async fn scrape_all(&self, deadline: Instant) -> Vec<Family> {
        self.facts.begin_scrape();
        let scraped = self.fleet.scrape(deadline).await;
        let mut sources = Vec::with_capacity(scraped.len() + 1);
        {
            let mut accounts = self.accounts.lock();
            for (name, scraped) in scraped {
                let Some(account) = accounts.get_mut(&name) else {
                    continue;
                };
                match scraped {
                    Scraped::Done(mut scrape) => {
                        account.enter(&scrape, &self.limit);
                        sources.push(Source {
                            name,
                            families: std::mem::take(&mut scrape.families),
                        });
                    }
                    Scraped::Late => account.late(&self.limit),
                }
            }
        }
        if self.own_metrics {
            self.enter_plugins();
            self.enter_programs();
            // First: no unit can take the host's own names away.
            sources.insert(
                0,
                Source {
                    name: HOST.into(),
                    families: self.telemetry.families(),
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
        for (name, now) in self.registry.stats() {
            let before = known
                .insert(Arc::clone(&name), now.clone())
                .unwrap_or_default();
            self.telemetry
                .plugin(&name)
                .add(&costs(&now.since(&before)));
        }
    }

    fn enter_programs(&self) {
        let counted = account::kernel_counts();
        let mut programs = Vec::new();
        self.fleet
            .for_each_idle(|name, unit| programs.extend(account::programs(name, unit, counted)));
        self.telemetry.set_programs(programs);
    }
}

fn costs(snapshot: &Snapshot) -> PluginCosts {
    PluginCosts {
        calls: snapshot.calls,
        rows: snapshot.rows,
        seconds: snapshot.seconds,
        restarts: snapshot.restarts,
        memory_peak: snapshot.memory_high_water,
        traps: snapshot.failures.clone(),
    }
}

impl Exporter for HostExporter {
    fn scrape(&self, deadline: Instant) -> BoxFuture<'_, Vec<Family>> {
        Box::pin(self.scrape_all(deadline))
    }

    fn status(&self) -> Vec<UnitStatus> {
        let status = |unit: crate::unit::UnitView| UnitStatus {
            name: unit.name.to_string(),
            state: if unit.running {
                UnitState::Running
            } else {
                UnitState::Failed
            },
            reasons: unit.notes,
        };
        self.fleet.view().into_iter().map(status).collect()
    }

    fn dump_maps(&self) -> String {
        self.fleet.dump_maps()
    }

    /// Requests are answered only once everything is loaded.
    fn ready(&self) -> bool {
        true
    }
}
