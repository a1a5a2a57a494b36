//! The event that the test objects count: `getpgid(argument)`, made by this thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::host::Host;
use super::maps::{HostMap, number};
use super::sys::{getpgid, thread_id};

/// From now on, events of this thread count in this host's units.
pub(crate) fn watch_me(host: &Host) {
    watch(&host.maps("target"));
}

fn watch(targets: &[HostMap]) {
    let thread = u64::from(thread_id());
    for target in targets {
        target.set(&number(0), thread);
    }
}

/// Makes the event `times` times.
pub(crate) fn fire(argument: i32, times: usize) {
    for _ in 0..times {
        getpgid(argument);
    }
}

/// Events without end, of a thread of their own, until this is dropped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Stream {
    /// In each millisecond `each` events of each of four arguments. Returns when the first have
    /// happened.
    pub(crate) fn start(host: &Host, each: u32) -> Self {
        let targets = host.maps("target");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            watch(&targets);
            let mut fired = 0;
            while !stopped.load(Ordering::Relaxed) {
                for argument in 0..4 {
                    fire(argument, each as usize);
                    fired += each;
                }
                let _after_the_first = ready.send(());
                // A stream, not a flood: the other tests want to run too.
                thread::sleep(Duration::from_millis(1));
            }
            fired
        });
        is_ready.recv().unwrap();
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// The number of events.
    pub(crate) fn finish(mut self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap().into()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
