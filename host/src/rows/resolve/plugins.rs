//! The plugins of a unit, and what a metric's YAML has them do.

use std::sync::Arc;
use std::time::Instant;

use crate::plugin::{DecoderId, NumberSource, Placement, Session, ShapedFamily, ShaperId};

/// The plugin sessions of a unit.
#[derive(Default)]
pub(crate) struct Plugins {
    sessions: Vec<Session>,
    /// From then on nobody asks them: there is a deadline to keep.
    until: Option<Instant>,
}

/// One of a unit's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId(usize);

impl Plugins {
    /// None of a unit's: keys that are not known wait.
    pub(in crate::rows) fn out_of_reach() -> Self {
        Self {
            sessions: Vec::new(),
            until: Some(Instant::now()),
        }
    }

    /// The session with this plugin; `start` makes it if the unit has none yet.
    pub(crate) fn session(&mut self, plugin: &str, start: impl FnOnce() -> Session) -> SessionId {
        if let Some(known) = self
            .sessions
            .iter()
            .position(|session| session.plugin_name() == plugin)
        {
            return SessionId(known);
        }
        self.sessions.push(start());
        SessionId(self.sessions.len() - 1)
    }

    /// Keys that are not known at this time wait for the next scrape. Until then failed calls may
    /// take a quarter of the time.
    pub(crate) fn ask_until(&mut self, until: Instant) {
        self.until = Some(until);
        let left = until.saturating_duration_since(Instant::now());
        for session in &mut self.sessions {
            session.allow_failures(left / 4);
        }
    }

    pub(in crate::rows) fn out_of_time(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter()
    }

    pub(crate) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.0)
    }
}

/// One decoder of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The name in the YAML.
    pub(crate) name: Arc<str>,
    pub(crate) session: SessionId,
    pub(crate) decoder: DecoderId,
}

/// A label and the decoders that make its text.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) chain: Vec<Step>,
}

/// The shaper of a metric as it was opened.
#[derive(Debug, Clone)]
pub(crate) struct Shaper {
    pub(crate) name: Arc<str>,
    pub(crate) session: SessionId,
    pub(crate) id: ShaperId,
    pub(crate) families: Vec<ShapedFamily>,
    pub(crate) numbers: Vec<NumberSource>,
    /// Where every key goes. None: the shaper has to be asked.
    pub(crate) uniform: Vec<Placement>,
}
