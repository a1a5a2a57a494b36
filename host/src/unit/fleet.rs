//! All units of the process: what state each is in, and scraping them side by side.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::task::JoinSet;

use super::collectors::Selection;
use super::error::Trouble;
use super::running::{Running, UnitScrape};
use super::share::{Share, Shared};
use crate::digest::Digest;
use crate::telemetry::UnitState;

/// A unit as it stands.
pub(crate) enum State {
    Running(Box<Running>),
    /// Nothing of it is in service.
    Down,
}

struct Slot {
    name: Arc<str>,
    state: Mutex<State>,
    /// Of requests that come at the same time: see `Shared`.
    scrapes: Shared<UnitScrape>,
    /// What the operator sees of its life; `state` may be locked for as long as a scrape takes.
    phase: Mutex<UnitState>,
    /// Held by whoever starts, changes or stops the unit: one at a time.
    changing: Mutex<()>,
    /// Why the last load or reload failed. A running unit with a problem is the last good version.
    problem: Mutex<Option<String>>,
    /// Of a unit that is not for this kernel: the YAML that says so.
    skipped: Mutex<Option<Digest>>,
}

/// What the status page shows of a unit.
#[derive(Debug, Clone)]
pub(crate) struct UnitView {
    pub(crate) name: Arc<str>,
    pub(crate) state: UnitState,
    /// Why it does not run, why its newest version does not, which of its programs do not.
    pub(crate) notes: Vec<String>,
}

/// One unit's part of a scrape.
pub(crate) enum Scraped {
    /// Perhaps shared with other requests.
    Done(Share<UnitScrape>),
    /// It did not answer in time.
    Late,
}

#[derive(Default)]
pub(crate) struct Fleet {
    units: RwLock<BTreeMap<Arc<str>, Arc<Slot>>>,
}

impl Fleet {
    /// Puts a version of a unit into service, in place of the one that is there. `Err`: why there is none; what was in service stays.
    pub(crate) fn put(&self, name: &str, version: Result<Running, String>) {
        let slot = self.slot(name);
        match version {
            Ok(running) => {
                let replaced = {
                    let mut state = slot.state.lock();
                    std::mem::replace(&mut *state, State::Running(Box::new(running)))
                };
                *slot.problem.lock() = None;
                // Detached only now that the new version is in service.
                drop(replaced);
            }
            Err(why) => *slot.problem.lock() = Some(why),
        }
    }

    /// Attaches a version of a unit and puts it into service in one go, so that what both versions see is short: they count into the same
    /// maps. `Err`: the one that is there stays.
    pub(crate) fn attach_and_put(&self, name: &str, mut version: Running) -> Result<(), Trouble> {
        let slot = self.slot(name);
        let replaced = {
            let mut state = slot.state.lock();
            version.attach();
            if let Some(why) = version.lacks() {
                return Err(Trouble::passing(why));
            }
            if let State::Running(before) = &*state
                && let Some(why) = version.falls_short_of(before)
            {
                return Err(Trouble::passing(why));
            }
            version.pin();
            std::mem::replace(&mut *state, State::Running(Box::new(version)))
        };
        // Detached only now that the new version is in service.
        drop(replaced);
        *slot.problem.lock() = None;
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.units.read().contains_key(name)
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        if let Some(slot) = self.units.read().get(name) {
            return Arc::clone(slot);
        }
        let name: Arc<str> = name.into();
        let slot = Arc::new(Slot {
            name: Arc::clone(&name),
            scrapes: Shared::default(),
            state: Mutex::new(State::Down),
            phase: Mutex::new(UnitState::Starting),
            changing: Mutex::new(()),
            problem: Mutex::new(None),
            skipped: Mutex::new(None),
        });
        Arc::clone(self.units.write().entry(name).or_insert(slot))
    }

    /// Takes a unit out of service and forgets it.
    pub(crate) fn remove(&self, name: &str) {
        let slot = self.units.write().remove(name);
        if let Some(slot) = slot {
            *slot.state.lock() = State::Down;
        }
    }

    /// Takes a unit out of service; it stays known.
    pub(crate) fn take_down(&self, name: &str) {
        if let Some(slot) = self.existing(name) {
            let running = std::mem::replace(&mut *slot.state.lock(), State::Down);
            // Detaching takes a while, and nobody has to wait for it.
            drop(running);
        }
    }

    /// Takes a unit out of service that is not for this kernel, as this YAML has it.
    pub(crate) fn skip(&self, name: &str, config: Digest, why: String) {
        let slot = self.slot(name);
        self.take_down(name);
        *slot.problem.lock() = Some(why);
        *slot.skipped.lock() = Some(config);
        *slot.phase.lock() = UnitState::Skipped;
    }

    /// The YAML by which a unit is not for this kernel.
    pub(crate) fn skipped(&self, name: &str) -> Option<Digest> {
        let slot = self.existing(name)?;
        let skipped = *slot.phase.lock() == UnitState::Skipped;
        let digest = *slot.skipped.lock();
        digest.filter(|_| skipped)
    }

    /// Lets `act` start, change or stop a unit while nobody else does. The unit is made known by this.
    pub(crate) fn exclusively<T>(&self, name: &str, act: impl FnOnce() -> T) -> T {
        let slot = self.slot(name);
        let _alone = slot.changing.lock();
        act()
    }

    /// The same for a unit that is known; None where there is none any more.
    pub(crate) fn exclusively_known<T>(&self, name: &str, act: impl FnOnce() -> T) -> Option<T> {
        let slot = self.existing(name)?;
        let _alone = slot.changing.lock();
        self.has(name).then(act)
    }

    pub(crate) fn set_phase(&self, name: &str, phase: UnitState) {
        if let Some(slot) = self.existing(name) {
            *slot.phase.lock() = phase;
        }
    }

    /// None: there is no such unit.
    pub(crate) fn phase(&self, name: &str) -> Option<UnitState> {
        self.existing(name).map(|slot| *slot.phase.lock())
    }

    /// Why the last load or reload failed.
    pub(crate) fn problem(&self, name: &str) -> Option<String> {
        self.existing(name)?.problem.lock().clone()
    }

    fn existing(&self, name: &str) -> Option<Arc<Slot>> {
        self.units.read().get(name).map(Arc::clone)
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.units.read().keys().map(Arc::clone).collect()
    }

    /// Lets `act` see the running version of a unit. None if there is none.
    pub(crate) fn with_running<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Running) -> T,
    ) -> Option<T> {
        match &mut *self.existing(name)?.state.lock() {
            State::Running(unit) => Some(act(unit)),
            State::Down => None,
        }
    }

    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.with_running(name, |_| ()).is_some()
    }

    /// Whether there is a program of a running unit that should be attached and is not.
    pub(crate) fn any_unattached(&self, name: &str) -> bool {
        let any = self.with_running(name, |unit| unit.unattached().next().is_some());
        any.unwrap_or(false)
    }

    /// The unit is what it should be. True if it was not.
    pub(crate) fn clear_problem(&self, name: &str) -> bool {
        self.slot(name).problem.lock().take().is_some()
    }

    /// Scrapes all running units that are selected in parallel. A unit that is not done by `deadline` goes on by itself.
    pub(crate) async fn scrape(
        &self,
        deadline: Instant,
        selection: &Selection,
    ) -> Vec<(Arc<str>, Scraped)> {
        let mut slots = self.slots();
        slots.retain(|slot| selection.has_unit(&slot.name));
        let mut tasks = JoinSet::new();
        for (index, slot) in slots.iter().enumerate() {
            let slot = Arc::clone(slot);
            tasks.spawn_blocking(move || (index, slot.scrape(deadline)));
        }
        let mut scraped: Vec<Option<Scraped>> = slots.iter().map(|_| Some(Scraped::Late)).collect();
        let until = tokio::time::Instant::from_std(deadline);
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, tasks.join_next()).await {
            if let Ok((index, result)) = finished
                && let Some(place) = scraped.get_mut(index)
            {
                *place = result;
            }
        }
        // Those that have not begun never do. A walk cannot be cut short: it ends by itself, and its result is for nobody.
        tasks.abort_all();
        tasks.detach_all();
        let named = slots.iter().zip(scraped);
        named
            .filter_map(|(slot, scraped)| Some((Arc::clone(&slot.name), scraped?)))
            .collect()
    }

    /// Scrapes one unit. None: it does not run.
    pub(crate) async fn scrape_one(&self, name: &str, deadline: Instant) -> Option<Scraped> {
        let slot = self.existing(name)?;
        let mut scrape = tokio::task::spawn_blocking(move || slot.scrape(deadline));
        let until = tokio::time::Instant::from_std(deadline);
        match tokio::time::timeout_at(until, &mut scrape).await {
            Ok(Ok(scrape)) => scrape,
            // It panicked, which is in the log.
            Ok(Err(_)) => Some(Scraped::Late),
            Err(_) => {
                // If it has not begun it never does.
                scrape.abort();
                Some(Scraped::Late)
            }
        }
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.units.read().values().map(Arc::clone).collect()
    }

    /// Every unit with its notes, waiting for a running scrape of it at most shortly.
    pub(crate) fn view(&self) -> Vec<UnitView> {
        self.slots().iter().map(|slot| slot.view()).collect()
    }

    /// Calls `visit` with each running unit, one after the other.
    pub(crate) fn for_each_running(&self, mut visit: impl FnMut(&Arc<str>, &mut Running)) {
        for slot in self.slots() {
            if let State::Running(unit) = &mut *slot.state.lock() {
                visit(&slot.name, unit);
            }
        }
    }

    /// Calls `visit` with each running unit that is not being scraped right now. Waits for a unit shortly, and for none beyond `until`: one
    /// that is late must not make the others' answer late.
    pub(crate) fn for_each_idle(&self, until: Instant, mut visit: impl FnMut(&Arc<str>, &Running)) {
        for slot in self.slots() {
            let until = until.min(Instant::now() + PATIENCE);
            if let Some(state) = slot.state.try_lock_until(until)
                && let State::Running(unit) = &*state
            {
                visit(&slot.name, unit);
            }
        }
    }

    /// Detaches and unloads everything.
    pub(crate) fn stop(&self) {
        for slot in self.slots() {
            *slot.state.lock() = State::Down;
        }
    }
}

/// How long questions about a unit wait while it is being scraped.
const PATIENCE: Duration = Duration::from_millis(200);

impl Slot {
    /// A scrape that began after this was called. None: the unit does not run. Blocks.
    fn scrape(&self, deadline: Instant) -> Option<Scraped> {
        let mut late = false;
        let share = self.scrapes.get(|| match &mut *self.state.lock() {
            // Nobody waits for it any more, and it must not be taken for the others' scrape: it would ask no plugin.
            State::Running(_) if Instant::now() >= deadline => {
                late = true;
                None
            }
            State::Running(unit) => Some(unit.scrape(deadline)),
            State::Down => None,
        });
        match share {
            None if late => Some(Scraped::Late),
            share => share.map(Scraped::Done),
        }
    }

    fn view(&self) -> UnitView {
        let mut notes: Vec<String> = self.problem.lock().iter().cloned().collect();
        match self.state.try_lock_for(PATIENCE).as_deref() {
            Some(State::Running(unit)) => {
                if let Some(problem) = notes.first_mut() {
                    *problem = format!(
                        "the version before goes on, since the newest does not run: {problem}"
                    );
                }
                let unattached = unit.unattached();
                notes.extend(
                    unattached.map(|(program, why)| format!("program {}: {why}", program.name)),
                );
                notes.extend(unit.remarks().map(str::to_owned));
            }
            Some(State::Down) => {}
            None => notes.push("being scraped".into()),
        }
        UnitView {
            name: Arc::clone(&self.name),
            state: *self.phase.lock(),
            notes,
        }
    }
}
