//! Having the server open a version, with what has to be left out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::Kernel;
use crate::config::{Diagnostic, joined};
use crate::link::{ServedConfig, ServedUnit, ToServer};
use crate::loader::ready::{Ready, served};
use crate::loader::server::{OpenedVersion, Refusal};
use crate::loader::units::{Exclusive, LeftOut, LoadFailure, Loaded, UnitError, UnitFailure};
use crate::rows::MetricSpec;

impl Kernel {
    /// Has the server open a version. `Err`: why it cannot be served. None: without the metrics
    /// that plugins refuse it can be, and those are taken out of it.
    pub(super) fn open(
        &mut self,
        (metrics, left_out): (&mut Vec<MetricSpec>, &mut Vec<Diagnostic>),
        message: &ServedUnit,
        descriptors: &[OwnedFd],
    ) -> Result<Option<OpenedVersion>, UnitFailure> {
        let refusal = match self.ask_to_open(message, descriptors)? {
            Ok(opened) => return Ok(Some(opened)),
            Err(refusal) => refusal,
        };
        let wrong: BTreeSet<usize> = refusal.metrics.iter().map(|(index, _)| *index).collect();
        let diagnostics = refusal
            .metrics
            .into_iter()
            .map(|(_, diagnostic)| diagnostic);
        let diagnostics: Vec<Diagnostic> = diagnostics.collect();
        let is_right = |index: usize| !wrong.contains(&index);
        let any_right = (0..metrics.len()).any(is_right) || !message.config.collectors.is_empty();
        // Otherwise nothing would be another time.
        let any_wrong = (0..metrics.len()).any(|index| !is_right(index));
        if !any_wrong || !any_right || !self.may_leave_out(&message.config.name, &diagnostics) {
            return Err(UnitFailure {
                why: match left_out.as_slice() {
                    [] => refusal.why,
                    left_out => format!("{}; {}", joined(left_out), refusal.why),
                },
                retryable: refusal.retryable,
            });
        }
        let mut index = 0..;
        metrics.retain(|_| index.next().is_some_and(is_right));
        left_out.extend(diagnostics);
        Ok(None)
    }

    /// As `open`, until there is nothing more to leave out. `first`: the first attempt.
    pub(super) fn open_loaded(
        &mut self,
        loaded: &mut Loaded,
        first: (ServedUnit, Vec<OwnedFd>),
    ) -> Result<(OpenedVersion, ServedUnit, Vec<OwnedFd>), UnitFailure> {
        let (mut message, mut descriptors) = first;
        loop {
            let version = (&mut loaded.metrics, &mut loaded.left_out);
            if let Some(opened) = self.open(version, &message, &descriptors)? {
                return Ok((opened, message, descriptors));
            }
            (message, descriptors) = served(loaded, self.number())?;
        }
    }

    fn ask_to_open(
        &self,
        message: &ServedUnit,
        descriptors: &[OwnedFd],
    ) -> Result<Result<OpenedVersion, Refusal>, UnitFailure> {
        self.link.open(message, descriptors).map_err(|error| {
            // An answer that comes later finds nobody.
            self.link.discard(&message.config.name, message.generation);
            UnitFailure::retryable(error.to_string())
        })
    }

    /// Whether a unit may run without these metrics: with `--config.strict` it may not, and a
    /// version that runs is not replaced by one that lacks what it has.
    pub(super) fn may_leave_out(&mut self, unit: &str, diagnostics: &[Diagnostic]) -> bool {
        if diagnostics.is_empty() {
            return true;
        }
        if self.environment.strict {
            return false;
        }
        let unit = self.units.enter_known(unit);
        let Some(version) = unit.as_ref().and_then(Exclusive::serving) else {
            return true;
        };
        let known = &version.left_out.diagnostics;
        // Lines move when something is written above them.
        let is_known = |one: &Diagnostic| known.iter().any(|known| known.message == one.message);
        diagnostics.iter().all(is_known)
    }

    pub(super) fn left_out(&self, diagnostics: Vec<Diagnostic>) -> LeftOut {
        LeftOut {
            plugins: if diagnostics.is_empty() {
                BTreeMap::new()
            } else {
                self.plugin_versions.clone()
            },
            diagnostics,
        }
    }

    /// The whole story of a failure: with a config that is wrong, also what only plugins can tell.
    pub(in crate::loader) fn explain(&mut self, unit: &str, failure: LoadFailure) -> UnitFailure {
        let LoadFailure { error, config } = failure;
        if let (UnitError::Config(diagnostics), Some(config)) = (&error, config) {
            let generation = self.number();
            let message = || ToServer::Explain {
                generation,
                config: Box::new(ServedConfig::from(&*config)),
                decoders: config.decoders().cloned().collect(),
                diagnostics: diagnostics.clone(),
            };
            if let Some(why) = self.link.explain(message, unit, generation) {
                return UnitFailure {
                    why,
                    retryable: false,
                };
            }
        }
        error.into()
    }

    /// The second half of a unit's start, at the start of the host: it is attached already.
    pub(in crate::loader) fn open_attached(
        &mut self,
        name: &str,
        ready: Result<Ready, LoadFailure>,
        began: Instant,
    ) -> Result<(), UnitFailure> {
        let Ready {
            mut loaded,
            message,
            descriptors,
        } = match ready {
            Ok(ready) => ready,
            Err(failure) => return Err(self.explain(name, failure)),
        };
        let first = (message, descriptors);
        let (opened, message, descriptors) = self.open_loaded(&mut loaded, first)?;
        self.put(name, loaded, opened, message, descriptors, began)
    }
}
