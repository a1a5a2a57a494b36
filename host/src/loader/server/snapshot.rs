//! What a new server has to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Descriptors;
use crate::link::{PluginMessage, ServedSource, ServedUnit, ToServer, UnitStatus, WatchMode};
use crate::privileges::{Feature, ServerPaths};

#[derive(Default)]
pub(super) struct Snapshot {
    /// The listeners, then kallsyms and pci.ids as far as they are there.
    pub(super) welcome: Welcome,
    /// What a server may open.
    pub(super) paths: ServerPaths,
    /// With the compiled code of all of them.
    pub(super) plugins: Option<(Vec<PluginMessage>, Descriptors)>,
    /// In service.
    pub(super) units: BTreeMap<String, (ServedUnit, Descriptors)>,
    /// Metrics that the next server has to show from 0, by unit.
    pub(super) holds: BTreeMap<String, BTreeSet<String>>,
    /// With the time that each was said at.
    pub(super) statuses: BTreeMap<String, (UnitStatus, Instant)>,
    pub(super) reload: LastReload,
    pub(super) watching: Option<WatchMode>,
    /// Requests are answered.
    pub(super) ready: Option<String>,
}

#[derive(Default)]
pub(crate) struct Welcome {
    pub(crate) listeners: usize,
    pub(crate) kallsyms: bool,
    pub(crate) pci_ids: bool,
    pub(crate) features: Vec<Feature>,
    pub(crate) descriptors: Descriptors,
}

/// How the last reload went.
#[derive(Default, Clone, Copy)]
pub(super) struct LastReload {
    successful: Option<bool>,
    last_success: Option<f64>,
}

impl LastReload {
    pub(super) fn note(&mut self, successful: bool) {
        self.successful = Some(successful);
        if successful && let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
            self.last_success = Some(now.as_secs_f64());
        }
    }

    pub(super) fn message(&self, id: Option<u64>, text: &str) -> ToServer {
        ToServer::Reloaded {
            id,
            successful: self.successful.unwrap_or(false),
            last_success: self.last_success,
            text: text.to_owned(),
        }
    }
}

impl Snapshot {
    pub(super) fn welcome(&self, predecessors: u64) -> (ToServer, Descriptors) {
        let Welcome {
            listeners,
            kallsyms,
            pci_ids,
            features,
            descriptors,
        } = &self.welcome;
        let message = ToServer::Welcome {
            predecessors,
            listeners: *listeners,
            kallsyms: *kallsyms,
            pci_ids: *pci_ids,
            features: features.clone(),
        };
        (message, Arc::clone(descriptors))
    }

    /// The versions in service, with what a new server has to show from 0.
    pub(super) fn take_units(&mut self) -> Vec<(ServedUnit, Descriptors)> {
        for (unit, metrics) in std::mem::take(&mut self.holds) {
            if let Some((served, _)) = self.units.get_mut(&unit) {
                served.held.extend(metrics);
                served.held.sort_unstable();
                served.held.dedup();
            }
        }
        let units = self.units.values().cloned();
        units
            .map(|(mut unit, descriptors)| {
                unit.resumed = true;
                (unit, descriptors)
            })
            .collect()
    }

    /// All statuses as of now: what is left until the next attempt has become less.
    pub(super) fn statuses(&self) -> Vec<UnitStatus> {
        let now = |(status, reported_at): &(UnitStatus, Instant)| {
            let mut status = status.clone();
            status.next_try = status
                .next_try
                .map(|left| left.saturating_sub(reported_at.elapsed()));
            status
        };
        self.statuses.values().map(now).collect()
    }

    /// The last reload, if there was one.
    pub(super) fn reloaded(&self) -> Option<ToServer> {
        self.reload.successful?;
        Some(self.reload.message(None, ""))
    }

    /// Gives the metric's place among the unit's.
    pub(super) fn add_buffer(
        &mut self,
        unit: &str,
        map: &str,
        metric: &str,
        cpu: u32,
        buffer: &OwnedFd,
    ) -> Option<usize> {
        let (served, descriptors) = self.units.get_mut(unit)?;
        let mut metrics = served.metrics.iter();
        let index = metrics.position(|known| known.name == metric)?;
        let mut at = 0;
        for source in &mut served.sources {
            let after = at + source.descriptors();
            if let ServedSource::Perf {
                map: of,
                metric: number,
                cpus,
                ..
            } = source
                && *of == map
                && *number == index
            {
                let mut all = Vec::with_capacity(descriptors.len() + 1);
                for (index_in_unit, known) in descriptors.iter().enumerate() {
                    if index_in_unit == after {
                        all.push(buffer.try_clone().ok()?);
                    }
                    all.push(known.try_clone().ok()?);
                }
                if after == descriptors.len() {
                    all.push(buffer.try_clone().ok()?);
                }
                cpus.push(cpu);
                *descriptors = Arc::new(all);
                return Some(index);
            }
            at = after;
        }
        None
    }
}
