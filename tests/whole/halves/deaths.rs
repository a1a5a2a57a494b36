//! Processes of a host that are killed or hang: the server is replaced and nothing that was counted
//! is lost; without the loader or the starter there is nothing left.

use std::thread;
use std::time::{Duration, Instant};

use super::scrapes::Scrapes;
use super::{EVENTS, events, mortal, reload, setup};
use crate::harness::event::{Stream, fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::objects::is_emulated;
use crate::harness::scraper::total;
use crate::harness::sys::{SIGKILL, SIGSTOP, send};
use crate::harness::tree::{descriptors, one_process, resident};
use crate::harness::{Host, Setup, eventually, names};
use crate::lifecycle::{all_kinds, loaded, programs};

/// Deaths after which the loader's memory and descriptors are what they will be.
const WARM_UP: usize = 5;

/// How often the server dies, and how long it may take until there is an answer again. An emulated
/// machine is too slow for both.
fn deaths() -> (usize, Duration) {
    if is_emulated() {
        (10, Duration::from_secs(60))
    } else {
        (50, Duration::from_secs(1))
    }
}

/// What the allocator may keep, and the log's lines.
const SLACK: u64 = 2 << 20;

/// In every answer: the unit's series, none of which goes back, and that it runs.
fn never_falls(host: &Host) -> Scrapes {
    let runs = "exporter_host_unit_state{config=\"unit\"} 1";
    let mut before = [0.0; 4];
    Scrapes::start(host, move |body| {
        if !body.contains(runs) {
            return Err("the unit does not run".to_owned());
        }
        for (argument, before) in before.iter_mut().enumerate() {
            let argument = format!("argument=\"{argument}\"");
            let of_argument = body.lines().filter(|line| line.contains(&argument));
            let now = total(&of_argument.collect::<Vec<_>>().join("\n"), EVENTS);
            if now < *before {
                return Err(format!("{now} events with {argument} after {before}"));
            }
            *before = now;
        }
        Ok(())
    })
}

#[test]
fn fifty_deaths_of_the_server_lose_no_count() {
    if one_process() {
        return;
    }
    let host = mortal(setup());
    let ids = programs(&host);
    let map = host.map("events_total").id();
    let stream = Stream::start(&host, 20);
    let scrapes = never_falls(&host);
    let loader = host.loader();
    let (mut before, mut slowest) = ((0, 0), Duration::ZERO);
    let (deaths, soon) = deaths();
    for death in 0..deaths {
        let server = host.server();
        let killed = Instant::now();
        send(server, SIGKILL).unwrap();
        let took = scrapes.answered_after(killed, Duration::from_secs(60));
        slowest = slowest.max(took);
        assert!(took < soon, "death {death}: {took:?}\n{}", host.log());
        if death == WARM_UP {
            before = (descriptors(loader), resident(loader));
        }
        // Another one is asked for something before it dies.
        thread::sleep(Duration::from_millis(100));
    }
    eventually("the loader has as many descriptors as before", || {
        (descriptors(loader) <= before.0).then_some(())
    });
    let after = resident(loader);
    assert!(
        after <= before.1 + SLACK,
        "{after} after {} bytes",
        before.1
    );
    let seen = scrapes.finish();
    let fired = stream.finish();
    eprintln!(
        "{deaths} deaths: an answer after {slowest:?} at most, {} answers, {} cut, {fired} events",
        seen.answers, seen.cut
    );
    let counted: f64 = host.series(EVENTS).values().sum();
    assert_eq!(counted, fired);
    assert_eq!((programs(&host), host.map("events_total").id()), (ids, map));
    // The loader is what goes on.
    assert_eq!(host.loader(), loader);
}

/// Slow: the loader gives it half a minute.
#[test]
fn a_server_that_hangs_is_replaced() {
    if one_process() {
        return;
    }
    let host = mortal(setup());
    let stream = Stream::start(&host, 1);
    let scrapes = never_falls(&host);
    let server = host.server();
    let stopped = Instant::now();
    send(server, SIGSTOP).unwrap();
    let another = host.tree().server_after(server);
    let took = stopped.elapsed();
    let answered = scrapes.answered_after(stopped, Duration::from_secs(10));
    eprintln!("another server after {took:?}, an answer after {answered:?}");
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert!(took > Duration::from_secs(10), "no rash decision: {took:?}");
    assert_eq!(host.server(), another);
    scrapes.finish();
    let fired = stream.finish();
    let counted: f64 = host.series(EVENTS).values().sum();
    assert_eq!(counted, fired);
}

#[test]
fn a_reload_while_there_is_no_server_is_not_lost() {
    if one_process() {
        return;
    }
    let host = mortal(setup());
    watch_me(&host);
    fire(3, 2);
    for turn in 0..5 {
        let help = format!("Turn-{turn}.");
        std::fs::write(host.path().join("unit.yaml"), events(&help)).unwrap();
        let killed = host.server();
        send(killed, SIGKILL).unwrap();
        // As soon as there is another one. The connection may be taken by the one that dies.
        eventually("it is reloaded", || {
            let response = crate::harness::http::whole(host.address(), "/-/healthy")?;
            (response.status == 200).then_some(())
        });
        host.tree().server_after(killed);
        let (status, message) = reload(&host);
        assert_eq!(status, 200, "{message}\n{}", host.log());
        let body = host.text();
        assert_eq!(body.family("ebpf_exporter_events").unwrap().help, help);
        assert_eq!(body.value(EVENTS, &[("argument", "3")]), Some(2.0));
        assert_eq!(body.value(names::RELOAD_SUCCESSFUL, &[]), Some(1.0));
    }
}

#[test]
fn without_the_loader_nothing_is_left() {
    if one_process() {
        return;
    }
    let host = all_kinds();
    let (ids, loader, address) = (programs(&host), host.loader(), host.address());
    let status = host.killed(loader);
    assert_eq!(status.code(), None, "{status}");
    are_unloaded(&ids);
    // Nobody holds its port.
    let next = Setup::new()
        .unit("unit", "events", &events("Test."))
        .own_listener()
        .argument(format!("--web.listen-address={address}"))
        .start();
    assert_eq!(next.address(), address);
}

#[test]
fn without_the_starter_nothing_is_left() {
    if one_process() {
        return;
    }
    let host = all_kinds();
    let (ids, starter) = (programs(&host), host.starter());
    let status = host.killed(starter);
    // Whoever supervises it starts all anew.
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    are_unloaded(&ids);
}

/// The kernel frees programs after a grace period of its own.
fn are_unloaded(ids: &[u32]) {
    eventually("the kernel has freed the programs", || {
        let loaded = loaded();
        ids.iter().all(|id| !loaded.contains(id)).then_some(())
    });
}

#[test]
fn a_death_is_told() {
    if one_process() {
        return;
    }
    let host = mortal(setup());
    let mut lines = host.log_from_now();
    let server = host.server();
    send(server, SIGKILL).unwrap();
    let another = host.tree().server_after(server);
    lines.next(&["server", "level=error"]);
    eventually("it answers", || {
        crate::harness::http::whole(host.address(), "/metrics")
    });
    assert_ne!(server, another);
    assert_says(&host.log(), &["server", "signal", "9"]);
}
