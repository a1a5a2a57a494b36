//! One unit: the version that is served, the one that may follow it, and where it is in its life.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::Scraped;
use super::error::OpenError;
use super::flight::SingleFlight;
use super::version::{Program, UnitScrape, Version};
use crate::digest::Digest;
use crate::link::{ServedUnit, ToLoader, UnitPhase, UnitStatus};
use crate::plugin::Registry;
use crate::server::collectors;
use crate::server::demand::Demand;
use crate::server::loader::Loader;
use crate::server::recorder::ScrapeRecorder;

/// Locks are taken in the order of the fields, and none is held while the loader is waited for.
pub(in crate::server) struct UnitEntry {
    name: Arc<str>,
    /// Of requests that come at the same time.
    scrapes: SingleFlight<UnitScrape>,
    /// Locked for as long as a scrape takes. None: nothing of the unit is in service.
    served: Mutex<Option<Version>>,
    /// What was recorded of its scrapes.
    pub(in crate::server) recorder: Mutex<ScrapeRecorder>,
    pub(in crate::server) life: Mutex<Life>,
    /// Whoever waits for a unit on demand looks at `life` again.
    pub(in crate::server) life_changed: watch::Sender<()>,
    /// See `Units::changed`.
    pub(in crate::server) idle_changed: Arc<Notify>,
    pub(in crate::server) loader: Arc<Loader>,
}

/// What is known of a unit without a look at its maps.
#[derive(Default)]
pub(in crate::server) struct Life {
    /// As the loader has last said, and when it came.
    pub(in crate::server) status: Option<(UnitStatus, Instant)>,
    pub(in crate::server) served: Option<Served>,
    /// Opened, and neither served nor discarded yet.
    opened: Option<Box<Version>>,
    pub(in crate::server) demand: Demand,
    /// The unit is gone for good.
    pub(in crate::server) forgotten: bool,
}

/// About the version that is served.
#[derive(Debug, Clone)]
pub(in crate::server) struct Served {
    pub(in crate::server) kernel_side: u64,
    /// In use, by the contents of their files and sidecars.
    pub(in crate::server) plugins: BTreeMap<String, Digest>,
    pub(in crate::server) programs: Arc<[Program]>,
}

impl UnitEntry {
    pub(super) fn new(name: &Arc<str>, loader: &Arc<Loader>, changed: &Arc<Notify>) -> Self {
        Self {
            name: Arc::clone(name),
            scrapes: SingleFlight::default(),
            served: Mutex::new(None),
            recorder: Mutex::new(ScrapeRecorder::new(Arc::clone(name))),
            life: Mutex::default(),
            life_changed: watch::Sender::new(()),
            idle_changed: Arc::clone(changed),
            loader: Arc::clone(loader),
        }
    }

    pub(in crate::server) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// None: the loader has not said yet.
    pub(in crate::server) fn phase(&self) -> Option<UnitPhase> {
        self.with_status(|status| status.phase)
    }

    /// Why the last load or reload failed.
    pub(in crate::server) fn diagnostic(&self) -> Option<String> {
        self.with_status(|status| status.diagnostic.clone())
            .flatten()
    }

    pub(in crate::server) fn with_status<T>(
        &self,
        look: impl FnOnce(&UnitStatus) -> T,
    ) -> Option<T> {
        self.life
            .lock()
            .status
            .as_ref()
            .map(|(known, _)| look(known))
    }

    /// How long until the unit, or its programs that are not attached, are tried again.
    pub(in crate::server) fn next_try(&self) -> Option<Duration> {
        let life = self.life.lock();
        let (status, since) = life.status.as_ref()?;
        Some(status.next_try?.saturating_sub(since.elapsed()))
    }

    /// Opens a version beside the one that is served; it takes the place of another one that was
    /// opened before and is not served. Gives the plugins in use. Runs plugin code.
    pub(in crate::server) fn open(
        &self,
        unit: ServedUnit,
        descriptors: Vec<OwnedFd>,
        registry: &Registry,
        index: &Arc<collectors::Index>,
    ) -> Result<BTreeMap<String, Digest>, OpenError> {
        let served = self.kernel_side();
        let mut version = Version::open(unit, descriptors, served, registry, index)?;
        self.say_held(version.newly_held(None));
        let plugins = version.plugins();
        let before = self.life.lock().opened.replace(Box::new(version));
        drop(before);
        Ok(plugins)
    }

    /// Serves the version that was opened, in place of the one before. False: there is none of
    /// this generation. Waits for a scrape of the one before to end.
    pub(in crate::server) fn serve(&self, generation: u64) -> bool {
        let opened = {
            let mut life = self.life.lock();
            let is_it = |version: &mut Box<Version>| version.generation == generation;
            life.opened.take_if(is_it)
        };
        let Some(mut version) = opened else {
            return false;
        };
        let about = Served {
            kernel_side: version.kernel_side,
            plugins: version.plugins(),
            programs: version.programs(),
        };
        let replaced = {
            let mut served = self.served.lock();
            if served.as_ref().map(|before| before.kernel_side) != Some(version.kernel_side) {
                self.recorder.lock().begin_anew();
            }
            if let Err(error) = version.take_over(served.as_mut()) {
                tracing::error!(config = &*self.name, "samples are not counted: {error}");
            }
            version.publish();
            served.replace(*version)
        };
        drop(replaced);
        let mut life = self.life.lock();
        life.demand.served();
        life.served = Some(about);
        drop(life);
        self.say_changed();
        true
    }

    /// Of the version that is served.
    fn kernel_side(&self) -> Option<u64> {
        let life = self.life.lock();
        life.served.as_ref().map(|served| served.kernel_side)
    }

    /// A version that was opened does not come into service.
    pub(in crate::server) fn discard(&self, generation: u64) {
        let mut life = self.life.lock();
        let is_it = |version: &mut Box<Version>| version.generation == generation;
        let discarded = life.opened.take_if(is_it);
        drop(life);
        drop(discarded);
    }

    /// Nothing of the unit is in service any more. Waits for a scrape of it to end.
    pub(in crate::server) fn withdraw(&self) {
        let served = {
            let mut served = self.served.lock();
            self.recorder.lock().begin_anew();
            served.take()
        };
        let mut life = self.life.lock();
        let opened = life.opened.take();
        life.served = None;
        drop(life);
        drop((served, opened));
        self.say_changed();
    }

    pub(super) fn forget(&self) {
        self.withdraw();
        self.life.lock().forgotten = true;
        self.say_changed();
    }

    /// What the loader says of the unit from now on. Gives what it said before.
    pub(in crate::server) fn set_status(&self, status: UnitStatus) -> Option<UnitStatus> {
        let now = Instant::now();
        let before = {
            let mut life = self.life.lock();
            life.demand.status(&status, now);
            life.status.replace((status, now))
        };
        self.say_changed();
        before.map(|(before, _)| before)
    }

    /// A CPU has come: one more buffer of samples that are counted for a metric.
    pub(in crate::server) fn add_cpu(&self, map: &str, metric: usize, cpu: u32, buffer: OwnedFd) {
        if let Some(version) = &*self.served.lock() {
            version.add_cpu(map, metric, cpu, buffer);
        }
    }

    /// Lets `act` see the version that is served, if there is one.
    pub(super) fn with_served(&self, act: impl FnOnce(&mut Version)) {
        if let Some(version) = &mut *self.served.lock() {
            act(version);
        }
    }

    /// A scrape that began after this was called. None: nothing of the unit is served. Blocks.
    pub(super) fn scrape(&self, deadline: Instant) -> Option<Scraped> {
        let mut late = false;
        let flight = self.scrapes.get(|| match &mut *self.served.lock() {
            // Nobody waits for it any more, and it must not be taken for the others' scrape: it
            // would ask no plugin.
            Some(_) if Instant::now() >= deadline => {
                late = true;
                None
            }
            Some(version) => {
                let scrape = version.scrape(deadline);
                // Before anybody sees such a number.
                self.say_held(version.newly_held(Some(&scrape)));
                Some(scrape)
            }
            None => None,
        });
        match flight {
            None if late => Some(Scraped::Late),
            flight => flight.map(Scraped::Done),
        }
    }

    fn say_held(&self, metrics: Vec<Arc<str>>) {
        for metric in metrics {
            self.loader.say(&ToLoader::Holds {
                unit: self.name.to_string(),
                metric: metric.to_string(),
            });
        }
    }

    fn say_changed(&self) {
        self.life_changed.send_replace(());
        self.idle_changed.notify_one();
    }
}
