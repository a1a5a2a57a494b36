//! All units of the process: what state each is in, and scraping them side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::running::{Running, UnitScrape};

/// A unit as it stands.
pub(crate) enum State {
    Running(Box<Running>),
    /// Why it does not run.
    Failed(String),
    Stopped,
}

struct Slot {
    name: Arc<str>,
    state: Mutex<State>,
}

/// What the status page shows of a unit.
#[derive(Debug, Clone)]
pub(crate) struct UnitView {
    pub(crate) name: Arc<str>,
    pub(crate) running: bool,
    /// Why it does not run, or which of its programs do not.
    pub(crate) notes: Vec<String>,
}

/// One unit's part of a scrape.
pub(crate) enum Scraped {
    Done(Box<UnitScrape>),
    /// It did not answer in time.
    Late,
}

pub(crate) struct Fleet {
    units: Vec<Arc<Slot>>,
}

impl Fleet {
    pub(crate) fn new(units: impl IntoIterator<Item = (String, State)>) -> Self {
        let slot = |(name, state): (String, State)| {
            Arc::new(Slot {
                name: name.into(),
                state: Mutex::new(state),
            })
        };
        Self {
            units: units.into_iter().map(slot).collect(),
        }
    }

    /// Scrapes all running units in parallel. Results come in the units' order; a unit that is not done by `deadline` goes on by itself.
    pub(crate) async fn scrape(&self, deadline: Instant) -> Vec<(Arc<str>, Scraped)> {
        let mut tasks = JoinSet::new();
        for (index, slot) in self.units.iter().enumerate() {
            let slot = Arc::clone(slot);
            tasks.spawn_blocking(move || match &mut *slot.state.lock() {
                State::Running(unit) => (index, Some(unit.scrape())),
                _ => (index, None),
            });
        }
        let mut scraped: Vec<Option<Scraped>> =
            self.units.iter().map(|_| Some(Scraped::Late)).collect();
        let until = tokio::time::Instant::from_std(deadline);
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, tasks.join_next()).await {
            if let Ok((index, result)) = finished
                && let Some(place) = scraped.get_mut(index)
            {
                *place = result.map(|scrape| Scraped::Done(Box::new(scrape)));
            }
        }
        // A walk cannot be cut short; it ends by itself and its result is for nobody.
        tasks.detach_all();
        let named = self
            .units
            .iter()
            .zip(scraped)
            .filter_map(|(slot, scraped)| Some((Arc::clone(&slot.name), scraped?)));
        named.collect()
    }

    /// Every unit with its notes, waiting for a running scrape of it at most shortly.
    pub(crate) fn view(&self) -> Vec<UnitView> {
        self.units.iter().map(|slot| slot.view()).collect()
    }

    /// Calls `visit` with each running unit, one after the other.
    pub(crate) fn for_each_running(&self, mut visit: impl FnMut(&Arc<str>, &mut Running)) {
        for slot in &self.units {
            if let State::Running(unit) = &mut *slot.state.lock() {
                visit(&slot.name, unit);
            }
        }
    }

    /// Calls `visit` with each running unit that is not being scraped right now.
    pub(crate) fn for_each_idle(&self, mut visit: impl FnMut(&Arc<str>, &Running)) {
        for slot in &self.units {
            if let Some(state) = slot.state.try_lock_for(VIEW_PATIENCE)
                && let State::Running(unit) = &*state
            {
                visit(&slot.name, unit);
            }
        }
    }

    /// Detaches and unloads everything.
    pub(crate) fn stop(&self) {
        for slot in &self.units {
            *slot.state.lock() = State::Stopped;
        }
    }
}

/// How long the status page waits for a unit that is being scraped.
const VIEW_PATIENCE: Duration = Duration::from_millis(200);

impl Slot {
    fn view(&self) -> UnitView {
        let Some(state) = self.state.try_lock_for(VIEW_PATIENCE) else {
            return UnitView {
                name: Arc::clone(&self.name),
                running: true,
                notes: vec!["being scraped".into()],
            };
        };
        let (running, notes) = match &*state {
            State::Running(unit) => (
                true,
                unit.unattached()
                    .map(|(program, why)| format!("program {}: {why}", program.name))
                    .collect(),
            ),
            State::Failed(why) => (false, vec![why.clone()]),
            State::Stopped => (false, vec!["stopped".into()]),
        };
        UnitView {
            name: Arc::clone(&self.name),
            running,
            notes,
        }
    }
}
