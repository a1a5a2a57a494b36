//! Units on demand: the loader starts them at the first request for their metrics or for a probe
//! of theirs, once for all who ask meanwhile, and stops them when it hears that nobody has asked
//! for a while. That while counts from the end of the last request for the unit itself; scrapes of
//! everything do not prolong it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::units::{UnitEntry, Units};
use crate::config::CollectorConfig;
use crate::link::{ToLoader, UnitPhase, UnitStatus};
use crate::web::Unavailable;

/// A start that failed is not tried again for every request of a crowd.
const PAUSE: Duration = Duration::from_secs(1);
/// A start without any answer is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// When to ask again for what only takes a moment longer.
pub(super) const RETRY_SHORT: Duration = Duration::from_secs(1);
/// The same for what has failed.
pub(super) const RETRY_LONG: Duration = Duration::from_secs(10);

/// Who asks for a unit, and what came of it.
#[derive(Debug)]
pub(super) struct Demand {
    /// Requests that are being answered.
    requests: usize,
    /// The end of the last request, or the start.
    quiet_since: Instant,
    /// The loader was told that nobody asks.
    idle_reported: Option<Instant>,
    /// A start that the loader was asked for and has not answered.
    start: Option<Start>,
    failed: Option<(Instant, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Start {
    asked: Instant,
    /// The loader has said since that the unit is starting.
    begun: bool,
}

/// A request for a unit on demand: while there is one, the unit is not idle.
pub(super) struct Request(Arc<UnitEntry>);

/// Why a unit on demand does not answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StartError {
    /// The start takes longer than whoever asks can wait. It goes on.
    Starting,
    Failed(String),
}

impl StartError {
    /// What whoever asked for the unit is told.
    pub(super) fn refusal(self, unit: &str) -> Unavailable {
        let (why, retry_after) = match self {
            Self::Starting => (
                format!(
                    "the unit {unit} is being started, which takes longer than this scrape may: try again"
                ),
                RETRY_SHORT,
            ),
            Self::Failed(why) => (
                format!("the unit {unit} cannot be started: {why}"),
                RETRY_LONG,
            ),
        };
        Unavailable::NotNow { why, retry_after }
    }
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            requests: 0,
            quiet_since: Instant::now(),
            idle_reported: None,
            start: None,
            failed: None,
        }
    }
}

impl Demand {
    /// A version of the unit is served from now on.
    pub(super) fn served(&mut self) {
        if self.start.take().is_some() {
            self.quiet_since = Instant::now();
        }
        self.failed = None;
        self.idle_reported = None;
    }

    /// The loader has said where the unit is in its life.
    pub(super) fn status(&mut self, status: &UnitStatus, now: Instant) {
        match (status.phase, &mut self.start) {
            (UnitPhase::Starting, Some(start)) => start.begun = true,
            (UnitPhase::Failed | UnitPhase::Skipped, Some(_))
            | (UnitPhase::Stopped, Some(Start { begun: true, .. })) => {
                let why = status.diagnostic.clone();
                let why = why.unwrap_or_else(|| "it was stopped meanwhile".to_owned());
                self.failed = Some((now, why));
                self.start = None;
            }
            // The YAML has changed: another start may go better.
            (UnitPhase::Stopped, None) if status.diagnostic.is_none() => self.failed = None,
            _ => {}
        }
    }

    /// Why a start that was asked for at `asked` or later has failed.
    fn failure(&self, asked: Instant) -> Option<StartError> {
        let (at, why) = self.failed.as_ref()?;
        let is_it = *at >= asked || at.elapsed() < PAUSE;
        is_it.then(|| StartError::Failed(why.clone()))
    }
}

impl UnitEntry {
    /// None: the unit is not on demand.
    pub(super) fn request(self: &Arc<Self>) -> Option<Request> {
        let mut life = self.life.lock();
        let on_demand = life.status.as_ref().is_some_and(is_on_demand);
        if !on_demand || life.forgotten {
            return None;
        }
        life.demand.requests += 1;
        drop(life);
        Some(Request(Arc::clone(self)))
    }

    /// Whether the unit is served; if not, the loader is asked to start it, once for all who ask.
    /// `asked`: when whoever calls this began to wait.
    fn ensure_started(&self, asked: Instant) -> Result<bool, StartError> {
        let mut life = self.life.lock();
        if life.forgotten {
            return Err(StartError::Failed("it was removed meanwhile".to_owned()));
        }
        if life.served.is_some() {
            return Ok(true);
        }
        if let Some(failure) = life.demand.failure(asked) {
            return Err(failure);
        }
        let start = &mut life.demand.start;
        if start.is_none_or(|start| start.asked.elapsed() >= ASK_AGAIN) {
            *start = Some(Start {
                asked: Instant::now(),
                begun: false,
            });
            drop(life);
            let unit = self.name().to_string();
            self.loader.say(&ToLoader::Start { unit });
        }
        Ok(false)
    }

    /// Tells the loader if nobody has asked for the unit for its keepalive. When to look again;
    /// None: not before something changes.
    fn check_idle(&self, now: Instant) -> Option<Instant> {
        let mut life = self.life.lock();
        let (status, _) = life.status.as_ref()?;
        let keepalive = status.on_demand.as_ref()?.keepalive;
        let runs = status.phase.runs() && life.served.is_some();
        if !runs || keepalive.is_zero() || life.demand.requests > 0 {
            return None;
        }
        let demand = &mut life.demand;
        let since = demand.idle_reported.unwrap_or(demand.quiet_since);
        // None: longer than clocks reach.
        let end = since.max(demand.quiet_since).checked_add(keepalive)?;
        if end > now {
            return Some(end);
        }
        demand.idle_reported = Some(now);
        drop(life);
        let unit = self.name().to_string();
        self.loader.say(&ToLoader::Idle { unit });
        now.checked_add(keepalive)
    }
}

fn is_on_demand((status, _): &(UnitStatus, Instant)) -> bool {
    status.on_demand.is_some()
}

impl Request {
    /// Returns once the unit is served.
    pub(super) async fn ensure_served(&self, deadline: Instant) -> Result<(), StartError> {
        let (unit, asked) = (&self.0, Instant::now());
        let until = tokio::time::Instant::from_std(deadline);
        let mut changes = unit.life_changed.subscribe();
        loop {
            // What changes after this look is seen by the next one.
            changes.mark_unchanged();
            if unit.ensure_started(asked)? {
                return Ok(());
            }
            let changed = tokio::time::timeout_at(until, changes.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(StartError::Starting);
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut life = self.0.life.lock();
        life.demand.requests -= 1;
        life.demand.quiet_since = Instant::now();
        drop(life);
        self.0.idle_changed.notify_one();
    }
}

impl Units {
    /// Calls `visit` with each collector, and its unit, that will be there once its unit is
    /// started.
    pub(super) fn for_each_waiting(&self, mut visit: impl FnMut(&Arc<str>, &CollectorConfig)) {
        for entry in self.all() {
            let life = entry.life.lock();
            if life.served.is_some() {
                continue;
            }
            let status = life.status.as_ref();
            let on_demand = status.and_then(|(status, _)| status.on_demand.as_ref());
            let collectors = on_demand.map(|on_demand| on_demand.collectors.iter());
            let collectors = collectors.into_iter().flatten();
            collectors.for_each(|collector| visit(entry.name(), collector));
        }
    }

    /// Tells the loader of units on demand that nobody asks for. Never ends.
    pub(super) async fn watch_idle(&self) {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let next = self
                .all()
                .iter()
                .filter_map(|unit| unit.check_idle(now))
                .min();
            match next {
                Some(next) => {
                    // Either is a reason to look.
                    let _ = tokio::time::timeout_at(next.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }
}
