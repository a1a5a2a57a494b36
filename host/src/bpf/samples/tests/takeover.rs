//! Buffers outlive those who count: what came before them, between them and after them is counted.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

const PERF: SampleMap = SampleMap::PerfEventArray;

fn start(object: &LoadedObject, buffers: Option<&PerfBuffers>) -> SampleCounter {
    let channel = channel(object, buffers);
    let mut counter = SampleCounter::open("events", channel, &options()).unwrap();
    counter.run().unwrap();
    counter
}

fn send_many(samples: u64) {
    for _ in 0..samples {
        send(1);
    }
}

/// One counter after the other: the second one finds what came while there was none.
fn handed_over(object: &LoadedObject, buffers: Option<&PerfBuffers>) {
    let mut first = start(object, buffers);
    send_many(3);
    wait_for(&first, 3);
    assert_eq!(rows(&mut first), [(1, 3)]);
    drop(first);
    send_many(4);
    let mut second = start(object, buffers);
    wait_for(&second, 4);
    send_many(2);
    wait_for(&second, 6);
    assert_eq!(rows(&mut second), [(1, 6)]);
    let stats = second.stats();
    assert_eq!((stats.lost.unwrap_or(0), stats.damaged), (0, 0));
}

#[test]
fn a_second_counter_goes_on_with_perf_buffers_root() {
    let mut object = load(PERF);
    let buffers = open_buffers(&object, 8);
    attach(&mut object);
    handed_over(&object, Some(&buffers));
}

#[test]
fn a_second_counter_goes_on_with_a_ring_buffer_root() {
    let mut object = load(SampleMap::Ringbuf);
    attach(&mut object);
    handed_over(&object, None);
}

/// Counters that end at any moment of a stream, 50 times: each sample is counted by one of them.
fn ended_at_any_moment(object: &LoadedObject, buffers: Option<&PerfBuffers>) {
    let (mut counted, mut sent) = (0, 0);
    for round in 0..50 {
        let counter = start(object, buffers);
        send_many(20 * round);
        sent += 20 * round;
        let shared = Arc::clone(&counter.shared);
        drop(counter);
        counted += shared.table.lock().stats().counted;
    }
    let last = start(object, buffers);
    wait_for(&last, sent - counted);
    assert_eq!(last.stats().lost.unwrap_or(0), 0);
    // Nothing is counted twice.
    send_many(1);
    wait_for(&last, sent - counted + 1);
    assert_eq!(last.stats().counted, sent - counted + 1);
}

#[test]
fn no_sample_of_perf_buffers_is_lost_by_counters_that_end_root() {
    let mut object = load(PERF);
    let buffers = open_buffers(&object, 8);
    attach(&mut object);
    ended_at_any_moment(&object, Some(&buffers));
}

#[test]
fn no_sample_of_a_ring_buffer_is_lost_by_counters_that_end_root() {
    let mut object = load(SampleMap::Ringbuf);
    attach(&mut object);
    ended_at_any_moment(&object, None);
}

/// A full buffer takes nothing and wakes nobody, least of all if the kernel has told somebody
/// already.
#[test]
fn a_perf_buffer_that_is_full_is_read_root() {
    let mut object = load(PERF);
    let buffers = open_buffers(&object, 8);
    attach(&mut object);
    // 8 pages have room for 1365 of 24 bytes on one CPU.
    send_many(4000);
    for (_, buffer) in buffers.cpus() {
        let mut waiting = [PollFd::new(&buffer, PollFlags::IN)];
        poll(&mut waiting, Some(&Timespec::default())).unwrap();
        assert_eq!(poll(&mut waiting, Some(&Timespec::default())).unwrap(), 0);
    }
    let mut counter = start(&object, Some(&buffers));
    wait_for(&counter, 1365);
    // The kernel tells how many were lost with the next sample on that CPU.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut sent = 4000;
    while counter.stats().lost == Some(0) {
        assert!(Instant::now() < deadline, "{:?}", counter.stats());
        send(1);
        sent += 1;
        thread::yield_now();
    }
    wait_for(&counter, sent.min(4001));
    let stats = counter.stats();
    assert!(stats.lost.unwrap() <= 4000 - 1365, "{stats:?}");
    assert_eq!(rows(&mut counter)[0].0, 1);
}

/// 24 bytes do not divide a buffer's 32 KiB: some samples cross the end.
#[test]
fn samples_that_cross_the_end_are_counted_root() {
    let mut object = load(PERF);
    let buffers = open_buffers(&object, 8);
    attach(&mut object);
    let mut counter = start(&object, Some(&buffers));
    for round in 1..=30 {
        send_many(1000);
        wait_for(&counter, round * 1000);
    }
    assert_eq!(rows(&mut counter), [(1, 30_000)]);
    let stats = counter.stats();
    assert_eq!((stats.lost, stats.damaged), (Some(0), 0));
}

#[test]
fn a_ring_buffer_that_is_full_is_read_root() {
    let mut object = load(SampleMap::Ringbuf);
    attach(&mut object);
    // 64 KiB have room for 4096 of 16 bytes.
    send_many(6000);
    let counter = start(&object, None);
    wait_for(&counter, 4095);
    let room = counter.stats().counted;
    send_many(10_000.min(room));
    wait_for(&counter, 2 * room);
    assert_eq!(counter.stats().counted, 2 * room);
}

/// Without going offline: buffers are taken out and put in as if they had.
#[test]
fn cpus_that_come_are_followed_root() {
    let mut object = load(PERF);
    let mut buffers = open_buffers(&object, 8);
    attach(&mut object);
    let online: Vec<u32> = buffers.cpus().map(|(cpu, _)| cpu).collect();
    assert!(buffers.follow_cpus().is_empty());
    let counter = start(&object, Some(&buffers));
    send_many(5);
    assert!(buffers.follow(&[]).is_empty());
    assert_eq!(buffers.cpus().count(), 0);
    // Nowhere to go, and nobody to know of it.
    send_many(7);
    let added = buffers.follow(&online);
    assert!(added.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(added.len(), online.len());
    send_many(3);
    for (cpu, buffer) in buffers.cpus() {
        counter
            .add_cpu(cpu, buffer.try_clone_to_owned().unwrap())
            .unwrap();
    }
    send_many(2);
    wait_for(&counter, 10);
    let stats = counter.stats();
    assert_eq!((stats.counted, stats.lost), (10, Some(0)));
    // Too many pages, or none.
    let whole = |pages| SampleChannel::Perf {
        pages,
        cpus: vec![(
            0,
            buffers
                .cpus()
                .next()
                .unwrap()
                .1
                .try_clone_to_owned()
                .unwrap(),
        )],
    };
    for pages in [0, 3, 16, usize::MAX] {
        let error = SampleCounter::open("events", whole(pages), &options()).unwrap_err();
        assert!(error.to_string().contains("CPU 0, with"), "{error}");
    }
    let ring = SampleChannel::Ring(object.map_descriptor("events").unwrap());
    let error = SampleCounter::open("events", ring, &options()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("expected a ring buffer, found a map of the type PerfEventArray"),
        "{error}"
    );
}
