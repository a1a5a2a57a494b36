//! The event that the test objects count: `getpgid(argument)`, made by this thread.

use nix::unistd::{Pid, getpgid, gettid};

use super::host::Host;
use super::maps::{HostMap, number};

/// From now on, events of this thread count in this host's unit.
pub(crate) fn watch_me(host: &Host) {
    watch_me_in(&host.map("target"));
}

/// The same for one of several units.
pub(crate) fn watch_me_in(target: &HostMap) {
    let thread = u64::try_from(gettid().as_raw()).unwrap();
    target.set(&number(0), thread);
}

/// Makes the event `times` times.
pub(crate) fn fire(argument: i32, times: usize) {
    for _ in 0..times {
        // That there is no such process is of no interest.
        let _answer = getpgid(Some(Pid::from_raw(argument)));
    }
}
