//! Signals that reach all processes, as those of a terminal and of systemd do: only the loader
//! minds.

use super::{EVENTS, setup};
use crate::harness::event::{fire, watch_me};
use crate::harness::sys::{SIGHUP, SIGINT, SIGTERM, send};
use crate::harness::tree::one_process;

#[test]
fn only_the_loader_minds_signals() {
    if one_process() {
        return;
    }
    let host = setup().start();
    watch_me(&host);
    let before: Vec<u32> = host.tree().processes().iter().map(|one| one.pid).collect();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        for process in host.tree().others() {
            send(process.pid, signal).unwrap();
        }
        fire(3, 1);
        assert_eq!(host.get("/metrics", &[]).status, 200);
    }
    let after: Vec<u32> = host.tree().processes().iter().map(|one| one.pid).collect();
    assert_eq!(before, after);
    assert_eq!(host.text().value(EVENTS, &[("argument", "3")]), Some(3.0));
}

/// KillMode=control-group, Ctrl-C.
#[test]
fn a_signal_to_all_is_a_clean_end() {
    for signal in [SIGINT, SIGTERM] {
        let host = setup().start();
        for process in host.tree().others() {
            send(process.pid, signal).unwrap();
        }
        host.stop_by(signal);
    }
}
