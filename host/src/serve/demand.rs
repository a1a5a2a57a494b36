//! Units on demand: started by the first request for their metrics or for a probe of theirs, once for all who ask meanwhile, and stopped when nobody has asked for a
//! while. That while counts from the end of the last request for the unit itself; scrapes of everything do not prolong it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::host::Host;
use crate::config::{CollectorConfig, UnitConfig};
use crate::digest::Digest;
use crate::telemetry::UnitState;
use crate::web::Unavailable;

/// A start that failed is not tried again for every request of a crowd.
const PAUSE: Duration = Duration::from_secs(1);

/// All units on demand.
pub(super) struct Demand {
    units: Mutex<BTreeMap<Arc<str>, Arc<OnDemand>>>,
    /// `--keepalive`
    keepalive: Duration,
    /// Something has happened from which another time to look may follow.
    changed: Arc<Notify>,
}

pub(super) struct OnDemand {
    name: Arc<str>,
    life: Mutex<Life>,
    changed: Arc<Notify>,
}

struct Life {
    /// As the next start takes it.
    config: UnitConfig,
    /// Zero: never stopped.
    keepalive: Duration,
    running: bool,
    /// Requests that are being answered.
    requests: usize,
    /// The end of the last request, or the start.
    quiet_since: Instant,
    /// A start that is under way; gives its outcome to all who wait.
    starting: Option<watch::Receiver<Option<Outcome>>>,
    failed: Option<(Instant, String)>,
}

/// Of a start: why it failed.
type Outcome = Result<(), String>;

/// A request for a unit on demand: while there is one, the unit is not stopped.
pub(super) struct Request(Arc<OnDemand>);

/// When to ask again for what only takes a moment longer.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// The same for what has failed.
pub(super) const LATER: Duration = Duration::from_secs(10);

/// Why a unit on demand does not answer.
pub(super) enum Asleep {
    /// The start takes longer than whoever asks can wait. It goes on.
    Starting,
    Failed(String),
}

impl Asleep {
    /// What whoever asked for the unit is told.
    pub(super) fn refusal(self, unit: &str) -> Unavailable {
        let (why, retry_after) = match self {
            Self::Starting => (
                format!(
                    "the unit {unit} is being started, which takes longer than this scrape may: try again"
                ),
                SOON,
            ),
            Self::Failed(why) => (format!("the unit {unit} cannot be started: {why}"), LATER),
        };
        Unavailable::NotNow { why, retry_after }
    }
}

impl Demand {
    pub(super) fn new(keepalive: Duration) -> Self {
        Self {
            units: Mutex::default(),
            keepalive,
            changed: Arc::default(),
        }
    }

    /// A unit is on demand, with this config from the next start on. To be called by whoever has the unit exclusively.
    pub(super) fn put(&self, config: UnitConfig, running: bool) {
        let keepalive = config.keepalive.unwrap_or(self.keepalive);
        let mut units = self.units.lock();
        match units.get(config.name.as_str()) {
            Some(unit) => {
                let mut life = unit.life.lock();
                life.config = config;
                life.keepalive = keepalive;
                life.running = running;
                life.failed = None;
            }
            None => {
                let name: Arc<str> = config.name.as_str().into();
                let life = Life {
                    config,
                    keepalive,
                    running,
                    requests: 0,
                    quiet_since: Instant::now(),
                    starting: None,
                    failed: None,
                };
                let unit = OnDemand {
                    name: Arc::clone(&name),
                    life: Mutex::new(life),
                    changed: Arc::clone(&self.changed),
                };
                units.insert(name, Arc::new(unit));
            }
        }
        self.changed.notify_one();
    }

    /// A unit is gone, or not on demand any more.
    pub(super) fn forget(&self, name: &str) {
        self.units.lock().remove(name);
    }

    /// The YAML with which a unit on demand waits. None: it is none.
    pub(super) fn config(&self, name: &str) -> Option<Digest> {
        let unit = self.get(name)?;
        let digest = unit.life.lock().config.digest;
        Some(digest)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.units.lock().contains_key(name)
    }

    /// Calls `visit` with each collector, and its unit, that will be there once its unit is started.
    pub(super) fn for_each_waiting(&self, mut visit: impl FnMut(&Arc<str>, &CollectorConfig)) {
        for unit in self.units.lock().values() {
            let life = unit.life.lock();
            if !life.running {
                let collectors = life.config.collectors.iter();
                collectors.for_each(|collector| visit(&unit.name, collector));
            }
        }
    }

    /// None: the unit is not on demand.
    pub(super) fn request(&self, name: &str) -> Option<Request> {
        let unit = self.get(name)?;
        unit.life.lock().requests += 1;
        Some(Request(unit))
    }

    fn get(&self, name: &str) -> Option<Arc<OnDemand>> {
        self.units.lock().get(name).map(Arc::clone)
    }

    /// Whether this is still what is known by its name.
    fn knows(&self, unit: &Arc<OnDemand>) -> bool {
        let units = self.units.lock();
        units
            .get(&unit.name)
            .is_some_and(|known| Arc::ptr_eq(known, unit))
    }

    /// The units whose time is up, marked as not running, and when to look again.
    fn expired(&self, now: Instant) -> (Vec<Arc<OnDemand>>, Option<Instant>) {
        let (mut expired, mut next) = (Vec::new(), None::<Instant>);
        for unit in self.units.lock().values() {
            let mut life = unit.life.lock();
            if !life.running || life.requests > 0 || life.keepalive.is_zero() {
                continue;
            }
            match life.quiet_since.checked_add(life.keepalive) {
                Some(end) if end <= now => {
                    life.running = false;
                    expired.push(Arc::clone(unit));
                }
                Some(end) => next = Some(next.map_or(end, |next| next.min(end))),
                // Longer than clocks reach.
                None => {}
            }
        }
        (expired, next)
    }
}

impl Request {
    /// Returns once the unit runs.
    pub(super) async fn awaken(&self, host: &Arc<Host>, deadline: Instant) -> Result<(), Asleep> {
        let Some(mut outcome) = self.0.start(host)? else {
            return Ok(());
        };
        let until = tokio::time::Instant::from_std(deadline);
        let started = tokio::time::timeout_at(until, outcome.wait_for(Option::is_some)).await;
        match started {
            Err(_) => Err(Asleep::Starting),
            Ok(Ok(outcome)) => match &*outcome {
                Some(Err(why)) => Err(Asleep::Failed(why.clone())),
                _ => Ok(()),
            },
            // Whoever starts it has not come to its end.
            Ok(Err(_)) => Err(Asleep::Failed(
                "its start ended unexpectedly, see the log".to_owned(),
            )),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut life = self.0.life.lock();
        life.requests -= 1;
        life.quiet_since = Instant::now();
        drop(life);
        self.0.changed.notify_one();
    }
}

impl OnDemand {
    /// None: it runs. Else the outcome of the start, which is under way. It goes on whatever becomes of who asked for it.
    fn start(
        self: &Arc<Self>,
        host: &Arc<Host>,
    ) -> Result<Option<watch::Receiver<Option<Outcome>>>, Asleep> {
        let mut life = self.life.lock();
        if life.running {
            return Ok(None);
        }
        if let Some(outcome) = &life.starting {
            return Ok(Some(outcome.clone()));
        }
        if let Some((at, why)) = &life.failed
            && at.elapsed() < PAUSE
        {
            return Err(Asleep::Failed(why.clone()));
        }
        let (sender, outcome) = watch::channel(None);
        life.starting = Some(outcome.clone());
        drop(life);
        let (unit, host) = (Arc::clone(self), Arc::clone(host));
        tokio::task::spawn_blocking(move || {
            // However it ends, the next request may start it again.
            let ended = End(&unit);
            let started = host.start_on_demand(&unit);
            drop(ended);
            sender.send_replace(Some(started));
        });
        Ok(Some(outcome))
    }
}

struct End<'a>(&'a OnDemand);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.life.lock().starting = None;
    }
}

impl Host {
    /// A unit is on demand and does not run: from now on it can be asked for. To be called by whoever has it exclusively.
    pub(super) fn wait_for_demand(&self, config: UnitConfig) {
        let name = config.name.clone();
        self.demand.put(config, false);
        self.fleet.clear_problem(&name);
        // There is nothing more to its load than reading its YAML.
        self.telemetry.unit(&name).loaded(true, Duration::ZERO);
        self.set_state(&name, UnitState::Stopped);
    }

    fn start_on_demand(&self, unit: &Arc<OnDemand>) -> Outcome {
        let removed = || Err("it was removed meanwhile".to_owned());
        let started = self.fleet.exclusively_known(&unit.name, || {
            if !self.demand.knows(unit) {
                return removed();
            }
            let config = unit.life.lock().config.clone();
            let began = Instant::now();
            let started = if self.fleet.is_running(&unit.name) {
                Ok(())
            } else {
                self.set_state(&unit.name, UnitState::Starting);
                let started = self.replace(&unit.name, config.clone(), began, false);
                self.try_again_later(&config, None, started.as_ref().err());
                started
            };
            let mut life = unit.life.lock();
            life.running = started.is_ok();
            life.quiet_since = Instant::now();
            let started = started.map_err(|trouble| trouble.why);
            life.failed = started.clone().err().map(|why| (Instant::now(), why));
            started
        });
        self.demand.changed.notify_one();
        started.unwrap_or_else(removed)
    }

    fn let_rest(&self, unit: &Arc<OnDemand>) {
        self.fleet.exclusively_known(&unit.name, || {
            // Somebody may have been faster.
            if !self.demand.knows(unit) {
                return;
            }
            let keepalive = {
                let life = unit.life.lock();
                if life.running {
                    return;
                }
                life.keepalive
            };
            self.set_state(&unit.name, UnitState::Stopping);
            self.retries.forget(&unit.name);
            self.fleet.take_down(&unit.name);
            self.telemetry.unit(&unit.name).emptied();
            self.set_state(&unit.name, UnitState::Stopped);
            tracing::info!(config = &*unit.name, keepalive = ?keepalive, "unit stopped: nobody asked for it any more");
        });
    }
}

/// Stops units on demand when their time has come. Runs for as long as the process.
pub(super) async fn keep_alive(host: Arc<Host>) {
    loop {
        let (expired, next) = host.demand.expired(Instant::now());
        for unit in expired {
            let host = Arc::clone(&host);
            tokio::task::spawn_blocking(move || host.let_rest(&unit));
        }
        let changed = host.demand.changed.notified();
        match next {
            Some(next) => {
                // Either is a reason to look.
                let _ = tokio::time::timeout_at(next.into(), changed).await;
            }
            None => changed.await,
        }
    }
}
