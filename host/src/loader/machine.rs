//! CPUs and interfaces come and go: programs that are attached to each of them follow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::tasks::Tasks;
use crate::bpf::{HostTopology, MachineEvents};

/// From the kernel's word that something has come or gone to the look: it seldom comes alone.
const SETTLE: Duration = Duration::from_millis(100);
/// It is looked this often where the kernel's word cannot be heard,
const LOOK_UNTOLD: Duration = Duration::from_secs(5);
/// and this often where it can: containers are not told everything.
const LOOK: Duration = Duration::from_secs(60);

/// Looks when the kernel says that there is something to see, on a thread of its own, for as long
/// as the process runs. `seen`: what was there when the units were attached.
pub(super) fn follow(tasks: Arc<Tasks>, mut seen: HostTopology) -> io::Result<()> {
    let mut events = MachineEvents::listen()
        .inspect_err(|error| {
            tracing::debug!(
                %error,
                "the kernel does not say when CPUs and interfaces come: looking every 5 seconds"
            );
        })
        .ok();
    std::thread::Builder::new()
        .name("machine-watch".into())
        .spawn(move || {
            loop {
                // The first time for what has happened before anybody listened.
                let now = HostTopology::look();
                if now != seen {
                    seen = now;
                    tasks.follow_machine();
                }
                wait(&mut events);
            }
        })?;
    Ok(())
}

/// Until it may be time to look again.
fn wait(events: &mut Option<MachineEvents>) {
    let heard = events.as_mut().map(|events| {
        events.wait(LOOK)?;
        std::thread::sleep(SETTLE);
        events.take()
    });
    match heard {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            tracing::warn!(
                %error,
                "the kernel no longer says when CPUs and interfaces come: looking every 5 seconds"
            );
            *events = None;
        }
        None => std::thread::sleep(LOOK_UNTOLD),
    }
}
