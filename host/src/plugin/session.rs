//! A unit's use of one plugin: the handles it has opened, kept alive across traps.
//!
//! After an error the instance is dead; the next call makes a new one and opens everything again.
//! After failures in a row calls are refused for a while that doubles each time. A failure with
//! many rows may be one row's doing: it halves how many the next call may have.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::call_permits::CallPermit;
use super::cells::Cells;
use super::component::Plugin;
use super::error::{CallError, OpenError};
use super::instance::Instance;
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
    blame: Blame,
    /// Rows that a call may have: halved by a failure, doubled by an answer.
    rows_at_once: usize,
    /// The last call was the first of its instance.
    was_fresh: bool,
    budget: FailureBudget,
}

/// Who is to blame for a call's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Blame {
    /// The plugin: failures in a row open the breaker.
    #[default]
    Plugin,
    /// Perhaps one of the rows: a call with one row alone, of a fresh instance, counts for the
    /// breaker, and it takes more of these to open it.
    Rows,
    /// Rows that are known to make it fail.
    Suspects,
}

/// What failures may cost in one scrape.
#[derive(Debug)]
struct FailureBudget {
    calls: u32,
    time: Duration,
}

/// Failed calls in one scrape, each of which costs an instance.
const MAX_FAILURES: u32 = 256;

/// An instance and the handles it gave, in the order of the session's requests.
struct Live {
    instance: Instance,
    /// It has not been called since it was made.
    fresh: bool,
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
            _ => Err(handles_lost()),
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
            blame: Blame::Plugin,
            rows_at_once: usize::MAX,
            was_fresh: false,
            budget: FailureBudget {
                calls: MAX_FAILURES,
                time: Duration::MAX,
            },
        }
    }

    /// Begins a scrape, in which failed calls may take so long in all.
    pub(crate) fn allow_failures(&mut self, time: Duration) {
        self.budget = FailureBudget {
            calls: MAX_FAILURES,
            time,
        };
    }

    /// Whether another failure is affordable in this scrape.
    pub(crate) fn may_fail(&self) -> bool {
        self.budget.calls > 0 && !self.budget.time.is_zero()
    }

    /// Who is to blame for failures from now on.
    pub(crate) fn blame(&mut self, blame: Blame) {
        self.blame = blame;
    }

    /// Rows that the next call should have at most, from 1.
    pub(crate) fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }

    /// Whether the last call was the first of its instance: no call before it can have spoilt it.
    pub(crate) fn was_fresh(&self) -> bool {
        self.was_fresh
    }

    /// Bytes that one answer may have.
    pub(crate) fn output_limit(&self) -> usize {
        self.plugin.policy.limits.output
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

    #[cfg(test)]
    pub(crate) fn stats(&self) -> super::stats::Snapshot {
        self.plugin.stats.snapshot()
    }

    /// Makes an instance, if there is none, before it is asked for anything.
    pub(crate) fn start_now(&mut self) -> Result<(), CallError> {
        self.ensure_instance()
    }

    /// Opens a decoder. A refusal is final for these options.
    pub(crate) fn open_decoder(
        &mut self,
        name: &str,
        options: &str,
    ) -> Result<DecoderId, OpenError> {
        self.ensure_instance()?;
        let Some(live) = &mut self.live else {
            return Err(handles_lost().into());
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
    /// families declare has to come from `place_rows`.
    pub(crate) fn open_shaper(
        &mut self,
        name: &str,
        options: &str,
        decoded: &[&str],
    ) -> Result<(ShaperId, Vec<ShapedFamily>, Vec<NumberSource>), OpenError> {
        self.ensure_instance()?;
        let Some(live) = &mut self.live else {
            return Err(handles_lost().into());
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

    /// Where this shaper puts every key, if it treats all alike; none: `place_rows` says it.
    pub(crate) fn uniform(&mut self, shaper: ShaperId) -> Result<Vec<Placement>, CallError> {
        self.ensure_instance()?;
        let live = self.live.as_mut().ok_or_else(handles_lost)?;
        let (handle, limits) = live.shaper(&self.shapers, shaper)?;
        let started = Instant::now();
        let answer = live.instance.uniform(handle, limits);
        self.settle(answer, 0, started)
    }

    pub(crate) fn decode(
        &mut self,
        decoder: DecoderId,
        input: &Cells,
    ) -> Result<Decoded, CallError> {
        let _slot = self.call_permit()?;
        self.ensure_instance()?;
        let live = self.live.as_mut().ok_or_else(handles_lost)?;
        let handle = *live.decoders.get(decoder.0).ok_or_else(handles_lost)?;
        let started = Instant::now();
        let answer = live.instance.decode(handle, input);
        self.settle(answer, input.len(), started)
    }

    pub(crate) fn place_rows(
        &mut self,
        shaper: ShaperId,
        keys: &Cells,
        labels: &[impl Borrow<Cells>],
    ) -> Result<Placed, CallError> {
        let _slot = self.call_permit()?;
        self.ensure_instance()?;
        let live = self.live.as_mut().ok_or_else(handles_lost)?;
        let (handle, limits) = live.shaper(&self.shapers, shaper)?;
        let rows = u32::try_from(keys.len()).map_err(|_| handles_lost())?;
        let started = Instant::now();
        let answer = live.instance.place_rows(handle, rows, keys, labels, limits);
        self.settle(answer, keys.len(), started)
    }

    /// Waits for the plugin's other calls where the operator bounds how many there may be.
    fn call_permit(&self) -> Result<CallPermit, CallError> {
        self.plugin
            .call_permits
            .take()
            .inspect_err(|error| self.plugin.stats.failed(error))
    }

    /// Makes sure that there is an instance with everything opened.
    fn ensure_instance(&mut self) -> Result<(), CallError> {
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
                self.discard_instance(&error);
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
            fresh: true,
            decoders,
            shapers,
        })
    }

    /// An error of a call kills the instance.
    fn settle<T>(
        &mut self,
        answer: Result<T, CallError>,
        rows: usize,
        started: Instant,
    ) -> Result<T, CallError> {
        let live = self.live.as_mut();
        self.was_fresh = live.is_some_and(|live| std::mem::take(&mut live.fresh));
        let error = match &answer {
            Ok(_) => {
                self.breaker.succeeded();
                self.rows_at_once = self.rows_at_once.saturating_mul(2);
                return answer;
            }
            Err(error) => error,
        };
        self.budget.calls = self.budget.calls.saturating_sub(1);
        self.budget.time = self.budget.time.saturating_sub(started.elapsed());
        match self.blame {
            Blame::Plugin => self.discard_instance(error),
            Blame::Suspects => self.drop_instance(),
            Blame::Rows => {
                self.rows_at_once = (rows / 2).max(1);
                self.drop_instance();
                if rows <= 1 && self.was_fresh {
                    self.breaker
                        .failed_with_one_row(Instant::now(), &self.plugin.stats);
                }
            }
        }
        answer
    }

    fn open_failed(&mut self, error: OpenError) -> OpenError {
        if let OpenError::Call(call) = &error {
            self.discard_instance(call);
        }
        error
    }

    fn discard_instance(&mut self, error: &CallError) {
        self.drop_instance();
        if error.is_the_plugins() {
            self.breaker.failed(Instant::now(), &self.plugin.stats);
        }
    }

    fn drop_instance(&mut self) {
        if self.live.take().is_some() {
            self.plugin.stats.restarted();
        }
    }
}

/// The labels that families declare beyond the decoded ones, in the order in which they are first
/// named.
pub(crate) fn new_labels<'a>(families: &'a [ShapedFamily], decoded: &[&str]) -> Vec<&'a str> {
    let mut known: HashSet<&str> = decoded.iter().copied().collect();
    let labels = families.iter().flat_map(|family| &family.labels);
    labels
        .map(String::as_str)
        .filter(|label| known.insert(label))
        .collect()
}

/// Cannot happen: ids come from this session and are opened again with each instance.
fn handles_lost() -> CallError {
    CallError::Instantiate("the instance has lost its handles".into())
}
