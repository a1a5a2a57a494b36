//! Measurements, run by hand:
//! `cargo test --release -p exporter-host --lib samples::tests::speed --`
//! `--ignored --nocapture --test-threads 1`

use std::io::Write as _;

use libbpf_rs::{PerfBufferBuilder, RingBufferBuilder};

use super::*;
use crate::bpf::samples::record::{Found, Left, SampleReader};

const SAMPLES: u64 = 1_000_000;
const ROUNDS: u64 = 20;

fn table() -> Mutex<Table> {
    Mutex::new(Table::new(
        8,
        65_536,
        Duration::from_secs(3600),
        Instant::now(),
    ))
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}

/// Has `SAMPLES` sent in rounds, each read after it has been sent, and gives the nanoseconds that
/// reading one took.
fn time(mut read: impl FnMut()) -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..ROUNDS {
        for number in 0..SAMPLES / ROUNDS {
            send(number as u32 % 100);
        }
        let started = Instant::now();
        read();
        spent += started.elapsed();
    }
    spent.as_nanos() as f64 / SAMPLES as f64
}

/// As the thread does it.
fn read(reader: &mut impl SampleReader, table: &Mutex<Table>) {
    let until = reader.written();
    loop {
        let mut table = table.lock();
        let left = reader.read(until, 1024, |found| match found {
            Found::Sample(sample) => table.count(sample),
            Found::Lost(samples) => table.lose(samples),
            Found::Damaged => table.damaged(),
        });
        if left != Left::More {
            return;
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn perf_buffers() {
    let mut object = load(SampleMap::PerfEventArray);
    attach(&mut object);
    for _ in 0..3 {
        let counts = Arc::new(table());
        let (count, lose) = (Arc::clone(&counts), Arc::clone(&counts));
        let libbpf = PerfBufferBuilder::new(&object.map_handle("events").unwrap())
            .pages(1024)
            .sample_cb(move |_, sample: &[u8]| count.lock().count(sample))
            .lost_cb(move |_, samples| lose.lock().lose(samples))
            .build()
            .unwrap();
        let theirs = time(|| libbpf.consume().unwrap());
        assert_eq!(counts.lock().stats().counted, SAMPLES);
        drop(libbpf);

        let counts = table();
        let buffers = open_buffers(&object, 1024);
        let mut readers: Vec<PerfReader> = buffers
            .cpus()
            .map(|(_, event)| {
                PerfReader::map(event.try_clone_to_owned().unwrap(), buffers.pages(), 8).unwrap()
            })
            .collect();
        let ours = time(|| readers.iter_mut().for_each(|reader| read(reader, &counts)));
        assert_eq!(counts.lock().stats().counted, SAMPLES);
        say(&format!(
            "perf buffers, ns a sample: libbpf {theirs:.1}, ours {ours:.1}"
        ));
    }
}

#[test]
#[ignore = "a measurement"]
fn ring_buffer() {
    let source = source(SampleMap::Ringbuf).replace("1 << 16", "1 << 22");
    let compiled = testing::compile(&source);
    let object = OpenObject::open(&compiled.path, &OpenOptions::default());
    let mut object = object.unwrap().load().unwrap();
    attach(&mut object);
    for _ in 0..3 {
        let counts = Arc::new(table());
        let count = Arc::clone(&counts);
        let handle = object.map_handle("events").unwrap();
        let mut builder = RingBufferBuilder::new();
        let count = move |sample: &[u8]| {
            count.lock().count(sample);
            0
        };
        builder.add(&handle, count).unwrap();
        let libbpf = builder.build().unwrap();
        let theirs = time(|| libbpf.consume().unwrap());
        assert_eq!(counts.lock().stats().counted, SAMPLES);
        drop(libbpf);

        let counts = table();
        let mut reader = RingReader::map(object.map_descriptor("events").unwrap(), 8).unwrap();
        let ours = time(|| read(&mut reader, &counts));
        assert_eq!(counts.lock().stats().counted, SAMPLES);
        say(&format!(
            "ring buffer, ns a sample: libbpf {theirs:.1}, ours {ours:.1}"
        ));
    }
}

/// How often the thread wakes while nothing happens.
#[test]
#[ignore = "a measurement"]
fn idle() {
    let mut object = load(SampleMap::PerfEventArray);
    let buffers = open_buffers(&object, 8);
    let channel = channel(&object, Some(&buffers));
    let mut counter = SampleCounter::open("events", channel, &options()).unwrap();
    counter.run().unwrap();
    attach(&mut object);
    let wakes = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let mut status =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        let status = status
            .find(|status| status.contains("Name:\tbpf-samples"))
            .unwrap();
        let (_, rest) = status.split_once("\nvoluntary_ctxt_switches:").unwrap();
        rest.lines().next().unwrap().trim().parse::<u64>().unwrap()
    };
    for seconds in 0..10 {
        if seconds == 5 {
            send(1);
        }
        thread::sleep(Duration::from_secs(1));
        say(&format!("after {} s: {} waits", seconds + 1, wakes()));
    }
}
