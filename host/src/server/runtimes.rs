//! The server's threads, by what they do: three runtimes, so that nobody waits for what is not
//! his.

use std::io;
use std::thread::available_parallelism;

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer (setpriority(2)) threads with plugins' code are than all others.
const NICE: i32 = 5;
/// Map walks and decoders at once: more than a few per core only wait for each other.
const WALKS: usize = 32;
/// Files and name servers that collectors wait for at once.
const WAITING: usize = 64;

pub(super) struct Runtimes {
    /// Connections and the loader's pings: nothing that takes longer than a moment.
    pub(super) web: Runtime,
    /// Scrapes: walks of maps, decoders, families, bodies.
    scrapes: Runtime,
    /// Collectors' calls. A plugin lets others run each tick of its clock, and no sooner.
    collectors: Runtime,
}

impl Runtimes {
    pub(super) fn start() -> io::Result<Self> {
        let threads = available_parallelism().map_or(2, |cores| cores.get().min(4));
        let several = |name: &str, threads| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads).thread_name(name);
            builder.enable_all();
            builder
        };
        Ok(Self {
            web: several("web", threads).max_blocking_threads(2).build()?,
            scrapes: several("scrape", threads)
                .max_blocking_threads(WALKS)
                .build()?,
            collectors: several("collector", threads)
                .max_blocking_threads(WAITING)
                // A turn may take a tick: without this, what has come over sockets, and timers,
                // would be looked at each 61 of them.
                .event_interval(1)
                .global_queue_interval(1)
                .on_thread_start(be_nice)
                .build()?,
        })
    }

    pub(super) fn scrapes(&self) -> Handle {
        self.scrapes.handle().clone()
    }

    pub(super) fn collectors(&self) -> Handle {
        self.collectors.handle().clone()
    }

    /// Ends all threads. `patience`: how long to wait for those of scrapes.
    pub(super) fn stop(self, patience: std::time::Duration) {
        self.collectors.shutdown_background();
        self.web.shutdown_background();
        self.scrapes.shutdown_timeout(patience);
    }
}

/// Of this thread alone: Linux has a priority for each.
fn be_nice() {
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::debug!(%error, "threads of plugins have the priority of all others");
    }
}
