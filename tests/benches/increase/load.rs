//! Events of processes that come and go.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::event::fire;

/// Above it an event's argument has the map's number: churn.bpf.c.
const MAP_BIT: u32 = 24;
/// Processes that make events at the same time: half of what a map has room for.
const LIVE: usize = 512;
/// Ids are given in turn and again, as Linux does it.
const IDS: u32 = 32_768;

/// The processes whose events one map counts.
pub(crate) struct Processes {
    map: u32,
    live: Vec<u32>,
    next: u32,
    /// A second.
    births: u64,
    random: Random,
}

impl Processes {
    pub(crate) fn new(map: u32, births: u64) -> Self {
        let live: Vec<u32> = (0..LIVE as u32).collect();
        Self {
            map,
            next: LIVE as u32,
            live,
            births,
            random: Random(0x5eed + u64::from(map)),
        }
    }

    /// One event of each that lives.
    pub(crate) fn all(&self) {
        self.live.iter().for_each(|process| self.event(*process));
    }

    fn event(&self, process: u32) {
        fire((self.map << MAP_BIT | process) as i32, 1);
    }

    /// The event `index` of `rate` a second: the first of a new process, which takes the turn of
    /// one that ends, or one more of any.
    fn step(&mut self, index: u64, rate: u64) {
        let turn = self.random.below(LIVE as u64) as usize;
        if (index + 1) * self.births / rate > index * self.births / rate {
            while self.live.contains(&self.next) {
                self.next = (self.next + 1) % IDS;
            }
            self.live[turn] = self.next;
            self.next = (self.next + 1) % IDS;
        }
        self.event(self.live[turn]);
    }
}

/// Makes `rate` events a second in each map.
pub(crate) fn run(maps: &mut [Processes], rate: u64, time: Duration) {
    let started = Instant::now();
    let mut index = 0;
    loop {
        let passed = started.elapsed();
        let due = passed.min(time).as_micros() as u64 * rate / 1_000_000;
        while index < due {
            maps.iter_mut().for_each(|map| map.step(index, rate));
            index += 1;
        }
        if passed >= time {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }
}
