//! What a reload does to a unit: the least that makes it what is wanted. Decided by contents, not
//! by time stamps.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::bpf;
use crate::config::{Enabled, Lifecycle, MetricConfig, MetricSource, UnitConfig};
use crate::digest::Digest;
use crate::doctor;
use crate::object_input::{CgroupIdMapKind, GlobalValue, SampleMap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    /// Nothing has changed.
    Keep,
    /// The YAML or a plugin has, the object has not: maps and links stay.
    Reshape,
    /// The object has changed, or what is written into it before it is loaded, or how its samples
    /// are counted.
    Replace,
    /// It is on demand and does not run: the next start takes the files as they are now.
    Wait,
    /// It is not for this kernel.
    Skip,
    Stop,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Keep => "keep",
            Self::Reshape => "reshape",
            Self::Replace => "replace",
            Self::Wait => "wait",
            Self::Skip => "skip",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be done to a unit, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) why: Cow<'static, str>,
}

/// What a version of a unit is made of, besides its plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Of the YAML.
    pub(crate) config: Digest,
    /// Of the object's file; none without an object.
    pub(crate) object: Option<Digest>,
    /// Of what the YAML wants to be done before the object is attached.
    pub(crate) preparation: Digest,
}

/// A unit before a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Current {
    /// It is new, or nothing of it could be put into service.
    Absent,
    /// It is on demand and waits, with this YAML.
    Waiting(Digest),
    /// By this YAML it is not for this kernel.
    Skipped(Digest),
    Running(Fingerprint),
}

/// A unit as its files want it.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    /// The object is none also where its file cannot be read, which `Replace` and `Start` then
    /// report.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) has_object: bool,
    pub(crate) lifecycle: Lifecycle,
    /// Why it is not for this kernel.
    pub(crate) skip: Option<String>,
}

impl Fingerprint {
    /// `object`: of the version's object file.
    pub(crate) fn of(config: &UnitConfig, object: Option<Digest>) -> Self {
        Self {
            config: config.digest,
            object,
            preparation: preparation(config),
        }
    }
}

impl Desired {
    /// Reads the object's file, and asks the kernel whether the unit is for it.
    pub(crate) fn of(config: &UnitConfig) -> Self {
        let object = config.object.as_ref();
        let bytes = object.and_then(|path| bpf::read_object(path).ok());
        Self {
            fingerprint: Fingerprint {
                config: config.digest,
                object: bytes.map(|bytes| Digest::of(&bytes)),
                preparation: preparation(config),
            },
            has_object: object.is_some(),
            lifecycle: config.lifecycle,
            skip: doctor::unmet(&config.kernel),
        }
    }
}

/// What turns `now` into `wanted`. `stale`: a plugin that the running version uses and that has
/// changed since.
pub(crate) fn plan_unit(
    now: Current,
    wanted: &Desired,
    stale: impl FnOnce() -> Option<String>,
) -> Step {
    let step = |action, why: &'static str| Step {
        action,
        why: why.into(),
    };
    if let Some(why) = &wanted.skip {
        return if now == Current::Skipped(wanted.fingerprint.config) {
            step(Action::Keep, "nothing has changed")
        } else {
            Step {
                action: Action::Skip,
                why: why.clone().into(),
            }
        };
    }
    let running = match (now, wanted.lifecycle) {
        (Current::Running(running), _) => running,
        (Current::Skipped(_), Lifecycle::Autostart) => {
            return step(Action::Start, "it is for this kernel");
        }
        (Current::Skipped(_), Lifecycle::OnDemand) => {
            return step(
                Action::Wait,
                "it is for this kernel, and starts when it is asked for",
            );
        }
        (Current::Waiting(config), Lifecycle::OnDemand) if config == wanted.fingerprint.config => {
            return step(Action::Keep, "nothing has changed");
        }
        (Current::Waiting(_), Lifecycle::OnDemand) => {
            return step(
                Action::Wait,
                "the YAML has changed; the next start takes it",
            );
        }
        (Current::Waiting(_), Lifecycle::Autostart) => {
            return step(Action::Start, "it is not on demand any more");
        }
        (Current::Absent, Lifecycle::OnDemand) => {
            return step(Action::Wait, "it starts when it is asked for");
        }
        (Current::Absent, Lifecycle::Autostart) => return step(Action::Start, "it does not run"),
    };
    let Desired {
        fingerprint,
        has_object,
        ..
    } = *wanted;
    let same_object = if has_object {
        running.object.is_some() && running.object == fingerprint.object
    } else {
        running.object.is_none()
    };
    if !same_object {
        return step(Action::Replace, "the object has changed");
    }
    if running.preparation != fingerprint.preparation {
        return step(
            Action::Replace,
            "what the YAML wants before the object is attached has changed",
        );
    }
    if running.config != fingerprint.config {
        return step(Action::Reshape, "the YAML has changed");
    }
    match stale() {
        Some(plugin) => Step {
            action: Action::Reshape,
            why: format!("the plugin {plugin} has changed").into(),
        },
        None => step(Action::Keep, "nothing has changed"),
    }
}

/// Everything that is done to an object before it is attached, in an order of its own: two configs
/// of one value can share a loaded object.
#[derive(Hash)]
struct Preparation<'a> {
    symbols: Vec<&'a str>,
    cgroups: Option<(&'a str, CgroupIdMapKind, Vec<&'a str>)>,
    /// Name, pin and `max_entries`.
    maps: Vec<(&'a str, bool, Option<u32>)>,
    globals: Vec<(&'a str, &'a GlobalValue)>,
    programs: Vec<(&'a str, Enabled)>,
    samples: Vec<CountedSamples<'a>>,
}

/// What tells counters of samples apart. Two cannot have buffers in one perf event array at a
/// time, or read one ring buffer, so that others take another map.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CountedSamples<'a> {
    map: &'a str,
    metric: &'a str,
    through: SampleMap,
    key_size: usize,
    flush_interval: Duration,
}

fn preparation(config: &UnitConfig) -> Digest {
    let cgroups = config.cgroup_id_map.as_ref().map(|map| {
        let regexps = map.regexps.iter().map(regex::Regex::as_str).collect();
        (map.map.as_str(), map.kind, regexps)
    });
    let maps = config.maps.iter();
    let mut maps: Vec<_> = maps
        .map(|map| (map.name.as_str(), map.pin, map.max_entries))
        .collect();
    maps.sort_unstable();
    let globals = config.globals.iter();
    let mut globals: Vec<_> = globals
        .map(|global| (global.name.as_str(), &global.value))
        .collect();
    globals.sort_unstable_by_key(|(name, _)| *name);
    let programs = config.programs.iter();
    let mut programs: Vec<_> = programs
        .filter(|program| program.enabled != Enabled::Auto)
        .map(|program| (program.name.as_str(), program.enabled))
        .collect();
    programs.sort_unstable();
    let mut samples: Vec<_> = config.metrics.iter().filter_map(counted).collect();
    samples.sort_unstable();
    Digest::of_value(&Preparation {
        symbols: config.kaddrs.iter().map(|(name, _)| &**name).collect(),
        cgroups,
        maps,
        globals,
        programs,
        samples,
    })
}

fn counted(metric: &MetricConfig) -> Option<CountedSamples<'_>> {
    let MetricSource::Samples {
        through,
        flush_interval,
    } = metric.source
    else {
        return None;
    };
    let labels = metric.labels.iter();
    Some(CountedSamples {
        map: &metric.map,
        metric: &metric.name,
        through,
        key_size: labels
            .filter_map(|label| Some(label.size? + label.padding))
            .sum(),
        flush_interval,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(config: &str, object: &str, preparation: &str) -> Fingerprint {
        Fingerprint {
            config: Digest::of(config.as_bytes()),
            object: Some(Digest::of(object.as_bytes())),
            preparation: Digest::of(preparation.as_bytes()),
        }
    }

    fn action(now: Current, wanted: Fingerprint, lifecycle: Lifecycle) -> Action {
        let wanted = Desired {
            fingerprint: wanted,
            has_object: true,
            lifecycle,
            skip: None,
        };
        plan_unit(now, &wanted, || None).action
    }

    #[test]
    fn the_least_is_done() {
        use Lifecycle::{Autostart, OnDemand};
        let old = fingerprint("c", "o", "p");
        let running = Current::Running(old);
        for lifecycle in [Autostart, OnDemand] {
            assert_eq!(action(running, old, lifecycle), Action::Keep);
            assert_eq!(
                action(running, fingerprint("d", "o", "p"), lifecycle),
                Action::Reshape
            );
            assert_eq!(
                action(running, fingerprint("d", "o", "q"), lifecycle),
                Action::Replace
            );
            assert_eq!(
                action(running, fingerprint("c", "n", "p"), lifecycle),
                Action::Replace
            );
        }
        assert_eq!(action(Current::Absent, old, Autostart), Action::Start);
        assert_eq!(action(Current::Absent, old, OnDemand), Action::Wait);
        let waiting = Current::Waiting(old.config);
        assert_eq!(action(waiting, old, OnDemand), Action::Keep);
        // The object is read at the start.
        assert_eq!(
            action(waiting, fingerprint("c", "n", "p"), OnDemand),
            Action::Keep
        );
        assert_eq!(
            action(waiting, fingerprint("d", "o", "p"), OnDemand),
            Action::Wait
        );
        assert_eq!(action(waiting, old, Autostart), Action::Start);
    }

    #[test]
    fn what_is_not_for_this_kernel_is_skipped_once() {
        let fingerprint = fingerprint("c", "o", "p");
        let mut wanted = Desired {
            fingerprint,
            has_object: true,
            lifecycle: Lifecycle::Autostart,
            skip: Some("it is for Linux 7".to_owned()),
        };
        for now in [
            Current::Absent,
            Current::Running(fingerprint),
            Current::Waiting(fingerprint.config),
        ] {
            let decided = plan_unit(now, &wanted, || None);
            assert_eq!(
                (decided.action, &*decided.why),
                (Action::Skip, "it is for Linux 7")
            );
        }
        let skipped = Current::Skipped(fingerprint.config);
        assert_eq!(plan_unit(skipped, &wanted, || None).action, Action::Keep);
        wanted.fingerprint.config = Digest::of(b"d");
        assert_eq!(plan_unit(skipped, &wanted, || None).action, Action::Skip);
        wanted.skip = None;
        assert_eq!(plan_unit(skipped, &wanted, || None).action, Action::Start);
        wanted.lifecycle = Lifecycle::OnDemand;
        assert_eq!(plan_unit(skipped, &wanted, || None).action, Action::Wait);
    }

    #[test]
    fn an_object_that_is_gone_is_a_change_and_so_is_a_plugin() {
        let old = fingerprint("c", "o", "p");
        let mut wanted = Desired {
            fingerprint: Fingerprint {
                object: None,
                ..old
            },
            has_object: true,
            lifecycle: Lifecycle::Autostart,
            skip: None,
        };
        let decided = plan_unit(Current::Running(old), &wanted, || None);
        assert_eq!(decided.action, Action::Replace);
        wanted.fingerprint = old;
        let decided = plan_unit(Current::Running(old), &wanted, || Some("spoken".to_owned()));
        assert_eq!(decided.action, Action::Reshape);
        assert_eq!(decided.why, "the plugin spoken has changed");
    }
}
