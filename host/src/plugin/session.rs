//! A unit's use of one plugin: the handles it has opened, kept alive across traps.
//!
//! After an error the instance is dead; the next call makes a new one and opens everything again.
//! After three failures in a row calls are refused for a while that doubles each time.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call_permits::CallPermit;
use super::cells::Cells;
use super::component::Plugin;
use super::error::{CallError, OpenError};
use super::instance::Instance;
use super::stats::{OpenBreaker, PluginStats};
use super::world::{Decoded, NumberSource, Placed, Placement, ShapeLimits, ShapedFamily};
use crate::digest::Digest;

/// A decoder that a session has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecoderId(usize);

/// A shaper that a session has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShaperId(usize);

pub(crate) struct Session {
    plugin: Arc<Plugin>,
    live: Option<Live>,
    decoders: Vec<Request>,
    shapers: Vec<(Request, ShapeLimits)>,
    breaker: Breaker,
}

/// An instance and the handles it gave, in the order of the session's requests.
struct Live {
    instance: Instance,
    decoders: Vec<u32>,
    shapers: Vec<u32>,
}

struct Request {
    name: String,
    options: String,
}

impl Live {
    /// The instance's handle of a shaper that the session has opened, and what its answers are
    /// checked against.
    fn shaper<'a>(
        &self,
        opened: &'a [(Request, ShapeLimits)],
        shaper: ShaperId,
    ) -> Result<(u32, &'a ShapeLimits), CallError> {
        match (self.shapers.get(shaper.0), opened.get(shaper.0)) {
            (Some(&handle), Some((_, limits))) => Ok((handle, limits)),
            _ => Err(gone()),
        }
    }
}

impl Session {
    pub(crate) fn new(plugin: Arc<Plugin>) -> Self {
        Self {
            plugin,
            live: None,
            decoders: Vec::new(),
            shapers: Vec::new(),
            breaker: Breaker::default(),
        }
    }

    pub(crate) fn plugin_name(&self) -> &str {
        &self.plugin.name
    }

    pub(crate) fn plugin_version(&self) -> Digest {
        self.plugin.version()
    }

    #[cfg(test)]
    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Makes an instance, if there is none, before it is asked for anything.
    pub(crate) fn start_now(&mut self) -> Result<(), CallError> {
        self.revive()
    }

    /// Opens a decoder. A refusal is final for these options.
    pub(crate) fn open_decoder(
        &mut self,
        name: &str,
        options: &str,
    ) -> Result<DecoderId, OpenError> {
        self.revive()?;
        let Some(live) = &mut self.live else {
            return Err(gone().into());
        };
        match live.instance.open_decoder(name, options) {
            Ok(handle) => live.decoders.push(handle),
            Err(error) => return Err(self.open_failed(error)),
        }
        self.decoders.push(Request {
            name: name.to_owned(),
            options: options.to_owned(),
        });
        Ok(DecoderId(self.decoders.len() - 1))
    }

    /// Opens a shaper. `decoded`: the names of the metric's decoded labels; whatever else the
    /// families declare has to come from `place`.
    pub(crate) fn open_shaper(
        &mut self,
        name: &str,
        options: &str,
        decoded: &[&str],
    ) -> Result<(ShaperId, Vec<ShapedFamily>, Vec<NumberSource>), OpenError> {
        self.revive()?;
        let Some(live) = &mut self.live else {
            return Err(gone().into());
        };
        let opened = match live.instance.open_shaper(name, options) {
            Ok(opened) => opened,
            Err(error) => return Err(self.open_failed(error)),
        };
        live.shapers.push(opened.handle);
        let limits = ShapeLimits {
            families: opened
                .families
                .iter()
                .map(|family| (family.kind, family.bounds.len()))
                .collect(),
            numbers: opened.numbers.len(),
            new_labels: new_labels(&opened.families, decoded).len(),
        };
        self.shapers.push((
            Request {
                name: name.to_owned(),
                options: options.to_owned(),
            },
            limits,
        ));
        Ok((
            ShaperId(self.shapers.len() - 1),
            opened.families,
            opened.numbers,
        ))
    }

    /// Where this shaper puts every key, if it treats all alike; none: `place` says it.
    pub(crate) fn uniform(&mut self, shaper: ShaperId) -> Result<Vec<Placement>, CallError> {
        self.revive()?;
        let live = self.live.as_mut().ok_or_else(gone)?;
        let (handle, limits) = live.shaper(&self.shapers, shaper)?;
        let answer = live.instance.uniform(handle, limits);
        self.settle(answer)
    }

    pub(crate) fn decode(
        &mut self,
        decoder: DecoderId,
        input: &Cells,
    ) -> Result<Decoded, CallError> {
        let _slot = self.call_permit()?;
        self.revive()?;
        let live = self.live.as_mut().ok_or_else(gone)?;
        let handle = *live.decoders.get(decoder.0).ok_or_else(gone)?;
        let answer = live.instance.decode(handle, input);
        self.settle(answer)
    }

    pub(crate) fn place(
        &mut self,
        shaper: ShaperId,
        keys: &Cells,
        labels: &[impl Borrow<Cells>],
    ) -> Result<Placed, CallError> {
        let _slot = self.call_permit()?;
        self.revive()?;
        let live = self.live.as_mut().ok_or_else(gone)?;
        let (handle, limits) = live.shaper(&self.shapers, shaper)?;
        let rows = u32::try_from(keys.len()).map_err(|_| gone())?;
        let answer = live.instance.place(handle, rows, keys, labels, limits);
        self.settle(answer)
    }

    /// Waits for the plugin's other calls where the operator bounds how many there may be.
    fn call_permit(&self) -> Result<CallPermit, CallError> {
        self.plugin
            .call_permits
            .take()
            .inspect_err(|error| self.plugin.stats.failed(error))
    }

    /// Makes sure that there is an instance with everything opened.
    fn revive(&mut self) -> Result<(), CallError> {
        if self.live.is_some() {
            return Ok(());
        }
        self.breaker.check(Instant::now())?;
        // Being made is no success: a plugin that starts well and fails at every call has to be
        // left alone too.
        match Self::start(&self.plugin, &self.decoders, &self.shapers) {
            Ok(live) => {
                self.live = Some(live);
                Ok(())
            }
            Err(error) => {
                self.bury(&error);
                Err(error)
            }
        }
    }

    fn start(
        plugin: &Plugin,
        decoders: &[Request],
        shapers: &[(Request, ShapeLimits)],
    ) -> Result<Live, CallError> {
        let mut instance = Instance::new(plugin)?;
        let reopened = |error: OpenError| match error {
            OpenError::Call(error) => error,
            OpenError::Refused(message) | OpenError::Invalid(message) => {
                CallError::Instantiate(message)
            }
        };
        let decoders = decoders
            .iter()
            .map(|request| instance.open_decoder(&request.name, &request.options))
            .collect::<Result<_, _>>()
            .map_err(reopened)?;
        let shapers = shapers
            .iter()
            .map(|(request, _)| {
                instance
                    .open_shaper(&request.name, &request.options)
                    .map(|opened| opened.handle)
            })
            .collect::<Result<_, _>>()
            .map_err(reopened)?;
        Ok(Live {
            instance,
            decoders,
            shapers,
        })
    }

    /// An error of a call kills the instance.
    fn settle<T>(&mut self, answer: Result<T, CallError>) -> Result<T, CallError> {
        match &answer {
            Ok(_) => self.breaker.succeeded(),
            Err(error) => self.bury(error),
        }
        answer
    }

    fn open_failed(&mut self, error: OpenError) -> OpenError {
        if let OpenError::Call(call) = &error {
            self.bury(call);
        }
        error
    }

    fn bury(&mut self, error: &CallError) {
        if self.live.take().is_some() {
            self.plugin.stats.restarted();
        }
        if !error.is_the_plugins() {
            return;
        }
        self.breaker.failed(Instant::now(), &self.plugin.stats);
    }
}

/// The labels that families declare beyond the decoded ones, in the order in which they are first
/// named.
pub(crate) fn new_labels<'a>(families: &'a [ShapedFamily], decoded: &[&str]) -> Vec<&'a str> {
    let mut new: Vec<&str> = Vec::new();
    for label in families.iter().flat_map(|family| &family.labels) {
        if !decoded.contains(&label.as_str()) && !new.contains(&label.as_str()) {
            new.push(label);
        }
    }
    new
}

/// Cannot happen: ids come from this session and are opened again with each instance.
fn gone() -> CallError {
    CallError::Instantiate("the instance has lost its handles".into())
}

/// Failures in a row before calls are refused, and the bounds of the back-off.
const TOLERATED: u32 = 3;
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// Refuses calls for a while that doubles each time, after failures in a row.
#[derive(Default)]
pub(super) struct Breaker {
    failures: u32,
    retry_at: Option<Instant>,
    /// From the failure at which calls begin to be refused until the next success.
    open: Option<OpenBreaker>,
}

impl Breaker {
    pub(super) fn check(&self, now: Instant) -> Result<(), CallError> {
        match self.retry_at {
            Some(retry_at) if now < retry_at => Err(CallError::BackOff {
                failures: self.failures,
                retry_in: retry_at - now,
            }),
            _ => Ok(()),
        }
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// `stats`: where it is counted as long as it is open.
    pub(super) fn failed(&mut self, now: Instant, stats: &Arc<PluginStats>) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= TOLERATED {
            let doublings = (self.failures - TOLERATED).min(16);
            self.retry_at =
                Some(now + (FIRST_BACK_OFF * 2_u32.pow(doublings)).min(LONGEST_BACK_OFF));
            self.open.get_or_insert_with(|| stats.breaker_opened());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_open_the_breaker_and_success_closes_it() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let stats = Arc::default();
        let open = |stats: &Arc<PluginStats>| stats.snapshot().open_breakers;
        breaker.failed(now, &stats);
        breaker.failed(now, &stats);
        assert!(breaker.check(now).is_ok());
        breaker.failed(now, &stats);
        assert!(breaker.check(now).is_err());
        assert_eq!(open(&stats), 1);
        assert!(breaker.check(now + FIRST_BACK_OFF).is_ok());
        for _ in 0..40 {
            breaker.failed(now, &stats);
        }
        assert!(
            breaker
                .check(now + LONGEST_BACK_OFF - Duration::from_millis(1))
                .is_err()
        );
        assert!(breaker.check(now + LONGEST_BACK_OFF).is_ok());
        assert_eq!(open(&stats), 1);
        breaker.succeeded();
        assert!(breaker.check(now).is_ok());
        assert_eq!(open(&stats), 0);
    }
}
