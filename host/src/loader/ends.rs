//! How the starter's children have ended, and that the starter has.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::tasks::Tasks;
use crate::starter::{ChildId, Exited, How, Starter};

/// Ends that are remembered: whoever wants to know asks soon.
const MAX_ENDS: usize = 64;

#[derive(Default)]
pub(super) struct Ends {
    known: Mutex<VecDeque<Exited>>,
    changed: Condvar,
}

impl Ends {
    /// Starts the thread that hears of them. Without the starter the host cannot go on.
    pub(super) fn follow(starter: &Starter, tasks: Arc<Tasks>) -> io::Result<Arc<Self>> {
        let ends = Arc::<Self>::default();
        let exits = starter.wait_exit();
        let heard = Arc::clone(&ends);
        std::thread::Builder::new()
            .name("starter-exits".into())
            .spawn(move || {
                for exited in exits.into_iter().flatten() {
                    let mut known = heard.known.lock();
                    if known.len() >= MAX_ENDS {
                        known.pop_front();
                    }
                    known.push_back(exited);
                    heard.changed.notify_all();
                }
                if !tasks.is_stopping() {
                    tasks.fail("the starter has ended: no server can be started any more".into());
                }
            })?;
        Ok(ends)
    }

    /// How a child has ended, as soon as that is known.
    pub(super) fn of(&self, child: ChildId, limit: Duration) -> Option<How> {
        let end = Instant::now() + limit;
        let mut known = self.known.lock();
        loop {
            if let Some(found) = known.iter().find(|exited| exited.child == child) {
                return Some(found.how);
            }
            if self.changed.wait_until(&mut known, end).timed_out() {
                return None;
            }
        }
    }
}
