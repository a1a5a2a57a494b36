//! A Prometheus of our own that never sleeps long: it scrapes all the time while a test does
//! something else, and remembers what was wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::http;

/// From the start of one scrape to that of the next.
const INTERVAL: Duration = Duration::from_millis(50);
/// Complaints remembered.
const SHOWN: usize = 5;

pub(crate) struct Scraper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Scrapes>,
}

#[derive(Default)]
struct Scrapes {
    number: usize,
    complaints: Vec<String>,
}

impl Scraper {
    /// `check` is given each body.
    pub(crate) fn start(
        address: SocketAddr,
        mut check: impl FnMut(&str) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut scrapes = Scrapes::default();
            while !stopped.load(Ordering::Relaxed) {
                let next = Instant::now() + INTERVAL;
                let response = http::request(address, "GET", "/metrics", &[]);
                scrapes.number += 1;
                let checked = match response.status {
                    200 => check(response.text()),
                    status => Err(format!("status {status}: {}", response.text())),
                };
                if let Err(complaint) = checked
                    && scrapes.complaints.len() < SHOWN
                {
                    let number = scrapes.number;
                    scrapes
                        .complaints
                        .push(format!("scrape {number}: {complaint}"));
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            scrapes
        });
        Self { stop, thread }
    }

    /// Wants a sample that begins with each of these in each scrape.
    pub(crate) fn wants(address: SocketAddr, samples: &[&str]) -> Self {
        let samples: Vec<String> = samples.iter().map(|&sample| sample.to_owned()).collect();
        Self::start(address, move |body| has(body, &samples))
    }

    /// Panics if anything was wrong. Returns the number of scrapes.
    pub(crate) fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let scrapes = self.thread.join().unwrap();
        assert!(scrapes.number > 0, "there was time for a scrape");
        assert!(
            scrapes.complaints.is_empty(),
            "of {} scrapes: {:#?}",
            scrapes.number,
            scrapes.complaints
        );
        scrapes.number
    }
}

/// Whether a sample begins with each of these.
pub(crate) fn has<S: AsRef<str>>(body: &str, samples: &[S]) -> Result<(), String> {
    for sample in samples {
        let sample = sample.as_ref();
        if !body.lines().any(|line| line.starts_with(sample)) {
            return Err(format!("no sample begins with {sample}"));
        }
    }
    Ok(())
}

/// The sum of all samples of this name, whatever their labels.
pub(crate) fn total(body: &str, name: &str) -> f64 {
    let values = body.lines().filter_map(|line| {
        let labels = line.strip_prefix(name)?;
        let value = labels.starts_with('{').then_some(labels)?;
        value.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.sum()
}
