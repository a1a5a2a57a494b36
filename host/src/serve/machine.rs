//! CPUs and interfaces come and go: programs that are attached to each of them follow.

use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use crate::bpf::Machine;

/// How often it is looked for them.
const LOOK: Duration = Duration::from_secs(5);

impl Host {
    fn follow_machine(&self) {
        for name in self.fleet.names() {
            self.fleet.exclusively_known(&name, || {
                let failed = self
                    .fleet
                    .with_running(&name, crate::unit::Running::follow_machine);
                for (program, why) in failed.into_iter().flatten() {
                    tracing::warn!(
                        config = &*name,
                        program,
                        "program not attached to what has come: {why}"
                    );
                }
                if self.fleet.any_unattached(&name) {
                    self.attach_later(&name);
                }
            });
        }
    }
}

/// Looks from time to time. `seen`: what was there when the units were attached. Runs for as long as the process.
pub(super) async fn follow(host: Arc<Host>, mut seen: Machine) {
    loop {
        tokio::time::sleep(LOOK).await;
        let host = Arc::clone(&host);
        let before = seen.clone();
        let look = move || {
            let now = Machine::look();
            if now != before {
                host.follow_machine();
            }
            now
        };
        if let Ok(now) = tokio::task::spawn_blocking(look).await {
            seen = now;
        }
    }
}
