//! Edits that come faster than a unit can be opened: none of them keeps the last one from coming.

use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::scrapes::Scrapes;
use super::{EVENTS, events};
use crate::harness::event::{fire, watch_me};
use crate::harness::scraper::total;
use crate::harness::{Setup, http, within};

const INTERVAL: Duration = Duration::from_millis(50);
/// After the last edit.
const OPEN: Duration = Duration::from_secs(2);

/// How long it is edited: a minute with `EXPORTER_TEST_LONG`.
fn time() -> Duration {
    let long = env::var_os("EXPORTER_TEST_LONG").is_some();
    Duration::from_secs(if long { 60 } else { 20 })
}

#[test]
fn the_last_of_many_edits_is_open_soon() {
    let host = Setup::new()
        .unit("unit", "events", &events("Edit-0."))
        .start();
    watch_me(&host);
    fire(3, 2);
    let scrapes = Scrapes::start(&host, |body| match total(body, EVENTS) {
        2.0 => Ok(()),
        other => Err(format!("{other} events")),
    });
    let (yaml, new) = (host.path().join("unit.yaml"), host.path().join(".unit.new"));
    let began = Instant::now();
    let mut edits = 0;
    while began.elapsed() < time() {
        edits += 1;
        fs::write(&new, events(&format!("Edit-{edits}."))).unwrap();
        fs::rename(&new, &yaml).unwrap();
        thread::sleep(INTERVAL);
    }
    let last = format!("Edit-{edits}.");
    let edited = Instant::now();
    // The text alone: parsing it takes longer than it may take.
    within(OPEN, "the last version is open", || {
        let body = http::whole(host.address(), "/metrics")?;
        body.text().contains(&last).then_some(())
    });
    eprintln!(
        "{edits} edits; the last one is open after {:?}",
        edited.elapsed()
    );
    let seen = scrapes.finish();
    assert_eq!(seen.cut, 0, "{}", host.log());
}
