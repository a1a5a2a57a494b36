//! Where a unit is in its life, and what may follow: one table, without a kernel.

use crate::link::UnitPhase;

/// A unit's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum State {
    /// It has just become known: nothing has been tried yet.
    #[default]
    New,
    /// On demand, and nothing of it is in service.
    Waiting,
    /// Its YAML says that it is not for this kernel.
    Skipped,
    /// Nothing of it is in service, and the last attempt to change that failed.
    Failed,
    /// Its first version is being loaded and opened.
    Starting,
    /// A version is in service.
    Running,
    /// A version is in service while its successor is being loaded and opened.
    Replacing,
    /// Its version is being taken out of service.
    Stopping,
}

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A version begins to be loaded.
    Begin,
    /// The version that was begun is attached and served.
    Serve,
    /// The version that was begun cannot be served, or its YAML cannot be used to begin one.
    Refuse,
    /// What is in service is to be taken out of it.
    Stop,
    /// On demand: it waits to be asked for.
    Wait,
    /// It is not for this kernel.
    Skip,
}

/// An event that cannot happen in a state: a bug of the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unit that is {state:?} cannot {event:?}: this is a bug, please report it")]
pub(crate) struct Illegal {
    pub(crate) state: State,
    pub(crate) event: Event,
}

impl State {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 8] = [
        Self::New,
        Self::Waiting,
        Self::Skipped,
        Self::Failed,
        Self::Starting,
        Self::Running,
        Self::Replacing,
        Self::Stopping,
    ];

    /// The state after an event.
    pub(crate) fn after(self, event: Event) -> Result<Self, Illegal> {
        use Event::{Begin, Refuse, Serve, Skip, Stop, Wait};
        Ok(match (self, event) {
            (Self::New | Self::Waiting | Self::Skipped | Self::Failed, Begin) => Self::Starting,
            (Self::Running, Begin) => Self::Replacing,
            (Self::Starting | Self::Replacing, Serve) => Self::Running,
            (Self::New | Self::Skipped | Self::Failed | Self::Starting, Refuse) => Self::Failed,
            // It can still be asked for, as it was before.
            (Self::Waiting, Refuse) => Self::Waiting,
            // The version before goes on.
            (Self::Running | Self::Replacing, Refuse) => Self::Running,
            (Self::Running, Stop) => Self::Stopping,
            (Self::New | Self::Waiting | Self::Skipped | Self::Failed | Self::Stopping, Wait) => {
                Self::Waiting
            }
            (Self::New | Self::Waiting | Self::Skipped | Self::Failed | Self::Stopping, Skip) => {
                Self::Skipped
            }
            (state, event) => return Err(Illegal { state, event }),
        })
    }

    /// Whether a version is in service.
    pub(crate) fn in_service(self) -> bool {
        matches!(self, Self::Running | Self::Replacing)
    }

    /// As people and Prometheus see it. A replacement is nothing that they have to know of.
    pub(crate) fn phase(self) -> UnitPhase {
        match self {
            Self::New | Self::Starting => UnitPhase::Starting,
            Self::Waiting => UnitPhase::Stopped,
            Self::Skipped => UnitPhase::Skipped,
            Self::Failed => UnitPhase::Failed,
            Self::Running | Self::Replacing => UnitPhase::Running,
            Self::Stopping => UnitPhase::Stopping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 6] = [
        Event::Begin,
        Event::Serve,
        Event::Refuse,
        Event::Stop,
        Event::Wait,
        Event::Skip,
    ];

    /// Every pair of state and event; `None` must not happen.
    #[test]
    fn every_transition() {
        use State::{Failed, New, Replacing, Running, Skipped, Starting, Stopping, Waiting};
        #[rustfmt::skip]
        let table: [(State, [Option<State>; 6]); 8] = [
            //           Begin            Serve          Refuse         Stop            Wait           Skip
            (New,       [Some(Starting),  None,          Some(Failed),  None,           Some(Waiting), Some(Skipped)]),
            (Waiting,   [Some(Starting),  None,          Some(Waiting), None,           Some(Waiting), Some(Skipped)]),
            (Skipped,   [Some(Starting),  None,          Some(Failed),  None,           Some(Waiting), Some(Skipped)]),
            (Failed,    [Some(Starting),  None,          Some(Failed),  None,           Some(Waiting), Some(Skipped)]),
            (Starting,  [None,            Some(Running), Some(Failed),  None,           None,          None]),
            (Running,   [Some(Replacing), None,          Some(Running), Some(Stopping), None,          None]),
            (Replacing, [None,            Some(Running), Some(Running), None,           None,          None]),
            (Stopping,  [None,            None,          None,          None,           Some(Waiting), Some(Skipped)]),
        ];
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (state, row) in table {
            for (event, wanted) in EVENTS.into_iter().zip(row) {
                let wanted = wanted.ok_or(Illegal { state, event });
                assert_eq!(state.after(event), wanted, "{state:?} {event:?}");
            }
        }
    }

    /// Whatever happens, in whatever order, what is in service is only what was served.
    #[test]
    fn nothing_is_in_service_that_was_not_served() {
        let mut seen = vec![(State::New, false)];
        let mut next = 0;
        while let Some(&(state, served)) = seen.get(next) {
            next += 1;
            assert_eq!(state.in_service() || state == State::Stopping, served);
            for event in EVENTS {
                let Ok(after) = state.after(event) else {
                    continue;
                };
                let served = match event {
                    Event::Serve => true,
                    Event::Wait | Event::Skip => false,
                    Event::Begin | Event::Refuse | Event::Stop => served,
                };
                if !seen.contains(&(after, served)) {
                    seen.push((after, served));
                }
            }
        }
        assert_eq!(seen.len(), State::ALL.len(), "{seen:?}");
    }
}
