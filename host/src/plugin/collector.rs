//! Calling a collector: one call, one store, one instance.
//!
//! A fresh instance cannot carry anything from one target to the next, and a call that is given up
//! is ended by dropping it. What a call may take is bounded twice: by the plugin's CPU limit while
//! its code runs, and by the deadline whatever it does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::answer::{self, Answer, short};
use super::bindings::exports::exporter::plugin::collecting;
use super::breaker::Breaker;
use super::call_permits::CallPermit;
use super::capture::LogCapture;
use super::component::{CollectorPre, Plugin};
use super::engine::Ticking;
use super::error::{CallError, CollectError, FailureKind, OpenError};
use super::grants::Limits;
use super::imports::HostState;
use super::instance::classify;
use super::meter::Meter;

/// Targets whose failures are remembered. A probe's targets come from whoever asks, so there has to
/// be an end.
const MAX_BREAKERS: usize = 1024;
/// Of connections and sockets at once.
const MAX_HANDLES: usize = 256;
/// For `open`, which reads options and nothing else.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);

/// A collector of a plugin with its options, ready to be called any number of times at once.
pub(crate) struct Collector {
    plugin: Arc<Plugin>,
    /// As the plugin calls it.
    name: String,
    options: String,
    /// Of targets that fail. One device whose answers make the plugin trap must not stop the
    /// others' calls.
    breakers: Mutex<HashMap<Option<String>, Breaker>>,
}

/// One call.
pub(crate) struct CollectRequest<'a> {
    pub(crate) target: Option<&'a str>,
    /// A probe's other query parameters.
    pub(crate) params: &'a [(String, String)],
    /// Added to every series.
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) deadline: Instant,
    /// Gets the plugin's log lines besides the log.
    pub(crate) capture: Option<Arc<LogCapture>>,
}

impl Collector {
    /// Asks the plugin whether it takes the options. Blocks, for some seconds at most.
    pub(crate) fn open(plugin: &Arc<Plugin>, name: &str, options: &str) -> Result<Self, OpenError> {
        let collector = Self {
            plugin: Arc::clone(plugin),
            name: name.to_owned(),
            options: options.to_owned(),
            breakers: Mutex::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CallError::Instantiate(error.to_string()))?;
        let deadline = Instant::now() + OPEN_DEADLINE;
        let opened = runtime.block_on(collector.within(deadline, None, async |call| {
            call.open(&collector.name, &collector.options).await
        }));
        // Dropping it would wait for whatever still hangs in the system.
        runtime.shutdown_background();
        opened??;
        Ok(collector)
    }

    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// Calls it. The answer is checked, the labels are added.
    pub(crate) async fn collect(
        &self,
        request: &CollectRequest<'_>,
    ) -> Result<Answer, CollectError> {
        self.check_breaker(request.target)?;
        let given = self
            .within(request.deadline, request.capture.as_ref(), async |call| {
                let handle = match call.open(&self.name, &self.options).await? {
                    Ok(handle) => handle,
                    // It took these options before.
                    Err(why) => return Err(CallError::Instantiate(why.to_string())),
                };
                call.collect(handle, request).await
            })
            .await;
        let limit = self.plugin.policy.limits.series;
        let checked = given.and_then(|given| match given {
            Ok(families) => answer::checked(families, limit, request.labels)
                .inspect_err(|error| self.plugin.stats.failed(error))
                .map(Ok),
            Err(failure) => Ok(Err(failure)),
        });
        self.settle(request.target, &checked);
        match checked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err((failure, read))) => Err(failed(failure, read)),
            Err(error) => Err(error.into()),
        }
    }

    /// A turn among the plugin's calls, which every `collect` needs. To be had before anything that
    /// other plugins' calls wait for, too.
    pub(crate) async fn turn(&self, deadline: Instant) -> Result<CallPermit, CallError> {
        let call_permit = self.plugin.call_permits.take_until(deadline).await;
        call_permit.inspect_err(|error| self.plugin.stats.failed(error))
    }

    /// A new instance for `act`, ended at the deadline or at the CPU limit.
    async fn within<T>(
        &self,
        deadline: Instant,
        capture: Option<&Arc<LogCapture>>,
        act: impl AsyncFnOnce(&mut Call<'_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let stats = &self.plugin.stats;
        let started = Instant::now();
        let meter = Arc::new(Meter::default());
        let mut call = Call::new(&self.plugin, &meter, deadline, capture)?;
        let answer = {
            let mut running = std::pin::pin!(async {
                call.start().await?;
                act(&mut call).await
            });
            let metered = std::future::poll_fn(|context| meter.poll(running.as_mut(), context));
            let until = tokio::time::Instant::from_std(deadline);
            let whole = deadline.saturating_duration_since(started);
            let late = || {
                let (spent, starved) = (meter.spent(), meter.starved());
                if spent + starved < whole.mul_f64(0.75) {
                    CallError::Late(whole)
                } else if spent >= starved {
                    // Busy all along: that is the plugin's doing, not its target's.
                    CallError::Computing(whole)
                } else {
                    CallError::Starved { spent, whole }
                }
            };
            tokio::time::timeout_at(until, metered)
                .await
                .unwrap_or_else(|_| Err(late()))
        };
        stats.called(meter.spent(), 0, call.memory());
        answer.inspect_err(|error| stats.failed(error))
    }

    fn check_breaker(&self, target: Option<&str>) -> Result<(), CallError> {
        let breakers = self.breakers.lock();
        let breaker = breakers.get(&target.map(str::to_owned));
        breaker.map_or(Ok(()), |breaker| breaker.check(Instant::now()))
    }

    /// What a target does to a plugin counts, not what a target is like: a device that is off opens
    /// no breaker.
    fn settle<T>(&self, target: Option<&str>, answer: &Result<T, CallError>) {
        let key = target.map(str::to_owned);
        let mut breakers = self.breakers.lock();
        match answer {
            Err(error) if !error.is_the_plugins() => {}
            Ok(_) => {
                breakers.remove(&key);
            }
            Err(_) => {
                if breakers.len() >= MAX_BREAKERS && !breakers.contains_key(&key) {
                    breakers.clear();
                }
                breakers
                    .entry(key)
                    .or_default()
                    .failed(Instant::now(), &self.plugin.stats);
            }
        }
    }
}

/// An instance in its store, for as long as one call.
struct Call<'a> {
    limits: Limits,
    collecting: &'a CollectorPre,
    store: Store<HostState>,
    guest: Option<collecting::Guest>,
    deadline: Instant,
    _ticking: Ticking,
}

impl<'a> Call<'a> {
    fn new(
        plugin: &'a Plugin,
        meter: &Arc<Meter>,
        deadline: Instant,
        capture: Option<&Arc<LogCapture>>,
    ) -> Result<Self, CallError> {
        let limits = plugin.policy.limits.of_collectors();
        let Some(collecting) = &plugin.collecting else {
            return Err(CallError::Instantiate("it has no collectors".into()));
        };
        let mut state = plugin.host_state(capture.map(Arc::clone));
        state.enter_until(deadline);
        let mut store = Store::new(collecting.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_max_component_handles(MAX_HANDLES);
        let meter = Arc::clone(meter);
        // Each tick the guest lets the others run, and its time is looked at.
        store.epoch_deadline_callback(move |_| {
            if meter.spent() > limits.cpu {
                return Err(Trap::Interrupt.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(limits.output);
        Ok(Self {
            limits,
            collecting,
            store,
            guest: None,
            deadline,
            _ticking: Ticking::start(),
        })
    }

    async fn start(&mut self) -> Result<(), CallError> {
        let collecting = self.collecting;
        let made = collecting.pre.instantiate_async(&mut self.store).await;
        let made = made.and_then(|instance| collecting.indices.load(&mut self.store, &instance));
        match made {
            Ok(guest) => {
                self.guest = Some(guest);
                Ok(())
            }
            Err(error) => Err(match self.why(&error) {
                CallError::Trap(detail) | CallError::Malformed(detail) => {
                    CallError::Instantiate(detail)
                }
                other => other,
            }),
        }
    }

    async fn open(
        &mut self,
        name: &str,
        options: &str,
    ) -> Result<Result<u32, OpenError>, CallError> {
        let Some(guest) = &self.guest else {
            return Err(not_started());
        };
        let opened = guest.call_open(&mut self.store, name, options).await;
        let opened = opened.map_err(|error| self.why(&error))?;
        Ok(opened.map_err(|why| OpenError::Refused(short(&why))))
    }

    async fn collect(
        &mut self,
        handle: u32,
        request: &CollectRequest<'_>,
    ) -> Result<Result<Vec<collecting::Family>, (collecting::Failure, bool)>, CallError> {
        let Some(guest) = &self.guest else {
            return Err(not_started());
        };
        self.store.set_hostcall_fuel(self.limits.output);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let params: Vec<(&str, &str)> = request
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let asked = collecting::Request {
            target: request.target,
            params: &params,
            timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
        };
        let given = guest.call_collect(&mut self.store, handle, asked).await;
        let given = given.map_err(|error| self.why(&error))?;
        Ok(given.map_err(|failure| (failure, self.store.data().has_read)))
    }

    fn why(&self, error: &wasmtime::Error) -> CallError {
        classify(error, &self.store, self.limits)
    }

    /// Bytes of linear memory.
    fn memory(&self) -> usize {
        self.store.data().memory.used()
    }
}

/// Cannot happen: `within` starts every call.
fn not_started() -> CallError {
    CallError::Instantiate("the instance is not there".into())
}

/// `read`: the plugin has read something, from a file or a connection. What is invalid before can
/// only be what it was asked.
fn failed(failure: collecting::Failure, read: bool) -> CollectError {
    let (kind, message) = match failure {
        collecting::Failure::Unreachable(message) => (FailureKind::Unreachable, message),
        collecting::Failure::Timeout(message) => (FailureKind::Timeout, message),
        collecting::Failure::Invalid(message) if read => (FailureKind::Invalid, message),
        collecting::Failure::Invalid(message) => (FailureKind::Request, message),
        collecting::Failure::Denied(message) => (FailureKind::Denied, message),
    };
    CollectError::Failed {
        kind,
        message: short(&message),
    }
}
