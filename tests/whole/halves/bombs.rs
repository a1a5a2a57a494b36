//! Components that cost a compiler very much: refused in time, and nothing else suffers.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::scrapes::Scrapes;
use super::{EVENTS, reload, setup};
use crate::harness::bombs;
use crate::harness::event::{fire, watch_me};
use crate::harness::scraper::total;
use crate::harness::tree::{COMPILER, one_process};

const REFUSED: Duration = Duration::from_secs(10);
/// What is known by its digest is not compiled.
const AT_ONCE: Duration = Duration::from_secs(1);
const MEMORY: u64 = 512 << 20;

fn is_refused(bomb: &[u8]) {
    if one_process() {
        return;
    }
    let host = setup().start();
    watch_me(&host);
    fire(3, 2);
    let scrapes = Scrapes::start(&host, |body| match total(body, EVENTS) {
        2.0 => Ok(()),
        other => Err(format!("{other} events")),
    });
    let before = host.tree().memory();
    fs::write(host.path().join("bomb.wasm"), bomb).unwrap();
    let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let took = thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(host.tree().memory(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let answer = reload(&host);
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(answer.0, 500, "{}", answer.1);
        assert!(answer.1.contains("bomb.wasm"), "{}", answer.1);
        took
    });
    let more = peak.into_inner().saturating_sub(before);
    eprintln!("refused after {took:?}, {} MiB more meanwhile", more >> 20);
    assert!(took < REFUSED, "{took:?}\n{}", host.log());
    assert!(more < MEMORY, "{more} bytes more");

    let began = Instant::now();
    let (status, message) = reload(&host);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(status, 500, "{message}");
    assert!(message.contains("bomb.wasm"), "{message}");
    let compilers = host.tree().processes();
    assert!(compilers.iter().all(|process| process.name != COMPILER));

    // Units and plugins beside it come and go as ever.
    fs::write(host.path().join("unit.yaml"), super::events("Beside.")).unwrap();
    let (_, message) = reload(&host);
    assert!(message.contains("\nunit: reshape\n"), "{message}");
    fs::remove_file(host.path().join("bomb.wasm")).unwrap();
    assert_eq!(reload(&host).0, 200);
    let seen = scrapes.finish();
    assert_eq!(seen.cut, 0, "{}", host.log());
    assert!(seen.slowest < Duration::from_secs(2), "{:?}", seen.slowest);
}

#[test]
fn a_function_of_a_hundred_thousand_branches() {
    is_refused(&bombs::branches(1_000, 100_000));
}

#[test]
fn a_hundred_thousand_functions() {
    is_refused(&bombs::functions(100_000));
}

/// At a start there is nobody to answer yet: it is said, and everything else starts.
#[test]
fn a_bomb_at_the_start_delays_it_and_no_more() {
    if one_process() {
        return;
    }
    let began = Instant::now();
    let host = setup()
        .file("bomb.wasm", bombs::branches(1_000, 100_000))
        .start();
    assert!(began.elapsed() < REFUSED * 2, "{:?}", began.elapsed());
    crate::harness::host::assert_says(&host.log(), &["bomb.wasm"]);
    watch_me(&host);
    fire(3, 2);
    assert_eq!(host.text().value(EVENTS, &[("argument", "3")]), Some(2.0));
}
