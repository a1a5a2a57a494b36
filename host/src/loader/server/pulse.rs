//! Whether the server answers: a ping every 5 seconds, and its end if none was answered for 30.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ServerLink;
use crate::link::ToServer;
use crate::loader::figures;
use crate::loader::notify;
use crate::telemetry::flush_log;

const INTERVAL: Duration = Duration::from_secs(5);
/// A server that has not answered for so long is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the thread, which runs until the host stops. It also tells systemd that the host lives.
pub(super) fn start(link: &Arc<ServerLink>) -> io::Result<()> {
    let link = Arc::clone(link);
    std::thread::Builder::new()
        .name("server-pulse".into())
        .spawn(move || {
            let mut number = 0;
            loop {
                number += 1;
                if !link.beat(number) {
                    return;
                }
                notify::watchdog();
                flush_log();
            }
        })?;
    Ok(())
}

impl ServerLink {
    /// One ping, and the pause after it. False: the host stops.
    fn beat(&self, number: u64) -> bool {
        let figures = figures::of_the_loader(self.starter_pid());
        let mut shared = self.shared.lock();
        if let Some(connection) = &shared.connection {
            let silent = connection.pong.1.elapsed();
            if silent > PATIENCE {
                tracing::error!(
                    seconds = silent.as_secs(),
                    "the server does not answer: it is ended, and a new one started"
                );
                self.spawner.kill(&connection.child);
            } else {
                shared.send(&ToServer::Ping { number }, &[]);
                // One process has its figures already.
                if connection.up && self.starter_pid().is_some() {
                    shared.send(&ToServer::Figures(figures), &[]);
                }
            }
        }
        let end = Instant::now() + INTERVAL;
        while !shared.stopping {
            if self.changed.wait_until(&mut shared, end).timed_out() {
                return true;
            }
        }
        false
    }
}
