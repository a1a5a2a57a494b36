//! The event that the test objects count: `getpgid(argument)`, made by this thread.

use super::host::Host;
use super::maps::number;
use super::sys::{getpgid, thread_id};

/// From now on, events of this thread count in this host's units.
pub(crate) fn watch_me(host: &Host) {
    let thread = u64::from(thread_id());
    for target in host.maps("target") {
        target.set(&number(0), thread);
    }
}

/// Makes the event `times` times.
pub(crate) fn fire(argument: i32, times: usize) {
    for _ in 0..times {
        getpgid(argument);
    }
}
