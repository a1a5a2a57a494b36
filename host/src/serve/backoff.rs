//! Units that should run and do not, and programs that should be attached and are not: tried again after a second, and then after twice as
//! long each time, if what is wrong may go away without anybody changing a file. A change of the files tries at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::host::Host;
use crate::config::{Lifecycle, UnitConfig};
use crate::digest::Digest;
use crate::unit::{Running, Trouble, Wanted, decide};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// What is to be tried again, by unit.
#[derive(Default)]
pub(super) struct Retries {
    waiting: Mutex<BTreeMap<String, Retry>>,
    changed: Notify,
}

pub(super) struct Retry {
    what: What,
    pause: Duration,
    at: Instant,
}

enum What {
    /// To put this version into service. With another object it is for a reload, which somebody asks for or watches for.
    Version {
        config: Box<UnitConfig>,
        object: Option<Digest>,
    },
    /// To attach the programs that are not attached.
    Programs,
}

impl What {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Programs, Self::Programs) => true,
            (
                Self::Version { config, object },
                Self::Version {
                    config: other_config,
                    object: other_object,
                },
            ) => config.digest == other_config.digest && object == other_object,
            _ => false,
        }
    }
}

impl Retries {
    /// The first attempt has failed. What is waiting already stays as it is.
    fn add(&self, name: &str, what: What) {
        let mut waiting = self.waiting.lock();
        if waiting.get(name).is_some_and(|known| known.what.is(&what)) {
            return;
        }
        let retry = Retry {
            what,
            pause: FIRST,
            at: Instant::now() + FIRST,
        };
        waiting.insert(name.to_owned(), retry);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Another attempt has failed.
    fn add_again(&self, name: &str, what: What, pause: Duration) {
        let pause = (pause * 2).min(LONGEST);
        let retry = Retry {
            what,
            pause,
            at: Instant::now() + pause,
        };
        self.waiting.lock().insert(name.to_owned(), retry);
        self.changed.notify_one();
    }

    pub(super) fn forget(&self, name: &str) {
        self.waiting.lock().remove(name);
    }

    /// How long until the unit is tried again. None: it is not.
    pub(super) fn next_of(&self, name: &str) -> Option<Duration> {
        let waiting = self.waiting.lock();
        let retry = waiting.get(name)?;
        Some(retry.at.saturating_duration_since(Instant::now()))
    }

    fn next(&self) -> Option<Instant> {
        self.waiting.lock().values().map(|retry| retry.at).min()
    }

    fn due(&self, now: Instant) -> Vec<(String, Retry)> {
        let mut waiting = self.waiting.lock();
        waiting.extract_if(.., |_, retry| retry.at <= now).collect()
    }
}

impl Host {
    /// Sees to what should be tried again after an attempt to put a version of a unit into service. To be called by whoever has the unit
    /// exclusively.
    pub(super) fn try_again_later(
        &self,
        config: &UnitConfig,
        object: Option<Digest>,
        trouble: Option<&Trouble>,
    ) {
        let name = config.name.as_str();
        let running = self.fleet.is_running(name);
        match trouble {
            // One on demand is tried again by the next request.
            Some(trouble)
                if trouble.may_heal && (running || config.lifecycle == Lifecycle::Autostart) =>
            {
                let config = Box::new(config.clone());
                self.retries.add(name, What::Version { config, object });
            }
            None if self.fleet.any_unattached(name) => self.retries.add(name, What::Programs),
            _ => self.retries.forget(name),
        }
    }

    /// A program that was attached is not any more.
    pub(super) fn attach_later(&self, name: &str) {
        if self.retries.next_of(name).is_none() {
            self.retries.add(name, What::Programs);
        }
    }

    fn retry(&self, name: &str, retry: Retry) {
        let Retry { what, pause, .. } = retry;
        self.fleet.exclusively_known(name, || {
            // A reload was faster and has put another attempt into its place.
            if self.retries.next_of(name).is_some() {
                return;
            }
            match what {
                What::Programs => {
                    let attached = self.fleet.with_running(name, Running::attach_missing);
                    let Some(attached) = attached else { return };
                    self.telemetry.unit(name).restarted();
                    for program in attached {
                        tracing::info!(config = name, program, "program attached at last");
                    }
                    if self.fleet.any_unattached(name) {
                        self.retries.add_again(name, What::Programs, pause);
                    }
                }
                What::Version { config, object } => {
                    let wanted = Wanted::of(&config);
                    // Cured by a reload meanwhile, or for the next one to look at.
                    if self.fleet.problem(name).is_none() || wanted.make.object != object {
                        return;
                    }
                    self.telemetry.unit(name).restarted();
                    let registry = self.registry();
                    let now = self.now(name);
                    let step = decide(now, &wanted, || self.stale_plugin(name, &registry));
                    let done = self.act(&step, (*config).clone(), &registry, true);
                    match done {
                        Err(trouble) if trouble.may_heal => {
                            let what = What::Version { config, object };
                            self.retries.add_again(name, what, pause);
                        }
                        done => {
                            self.try_again_later(&config, object, done.as_ref().err());
                        }
                    }
                }
            }
        });
    }
}

/// Tries again what is to be tried again, when its time has come. Runs for as long as the process.
pub(super) async fn keep_trying(host: Arc<Host>) {
    loop {
        for (name, retry) in host.retries.due(Instant::now()) {
            let host = Arc::clone(&host);
            tokio::task::spawn_blocking(move || host.retry(&name, retry));
        }
        let changed = host.retries.changed.notified();
        match host.retries.next() {
            Some(next) => {
                // Either is a reason to look.
                let _ = tokio::time::timeout_at(next.into(), changed).await;
            }
            None => changed.await,
        }
    }
}
