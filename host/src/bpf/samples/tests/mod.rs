//! Samples sent by a program of this test's own.

mod memory;
#[cfg(target_arch = "x86_64")]
mod speed;
#[cfg(target_arch = "x86_64")]
mod takeover;

use std::thread;

use super::*;
use crate::bpf::LoadedObject;
use crate::bpf::OpenObject;
use crate::bpf::OpenOptions;
use crate::bpf::testing;
use crate::object_input::SampleMap;

/// Sends {slot, 7} for each getsid() that this thread calls.
fn source(through: SampleMap) -> String {
    let (map, send) = match through {
        SampleMap::PerfEventArray => (
            "__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, u32); __type(value, u32);",
            "bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, key, sizeof(key))",
        ),
        SampleMap::Ringbuf => (
            "__uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 16);",
            "bpf_ringbuf_output(&events, key, sizeof(key), 0)",
        ),
    };
    format!(
        "struct {{ {map} }} events SEC(\".maps\");\n\
         struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); }} other SEC(\".maps\");\n\
         SEC(\"raw_tp/sys_enter\") int send(struct bpf_raw_tracepoint_args *ctx) {{\n\
            if ((u32)bpf_get_current_pid_tgid() != {thread} || ctx->args[1] != {getsid}) return 0;\n\
            u64 pid = 0; bpf_probe_read_kernel(&pid, 8, (void *)ctx->args[0] + {rdi});\n\
            u32 key[2] = {{ (u32)pid, 7 }};\n\
            {send}; return 0; }}",
        thread = this_thread(),
        getsid = libc::SYS_getsid,
        rdi = std::mem::offset_of!(libc::user_regs_struct, rdi),
    )
}

fn load(through: SampleMap) -> LoadedObject {
    let compiled = testing::compile(&source(through));
    OpenObject::open(&compiled.path, &OpenOptions::default())
        .unwrap()
        .load()
        .unwrap()
}

/// Has the program send.
fn attach(object: &mut LoadedObject) {
    let programs = object.attach();
    let failed =
        |attached: &crate::bpf::Attached| matches!(attached, crate::bpf::Attached::Failed(_));
    assert!(!programs.iter().any(|program| failed(&program.attached)));
}

fn options() -> SampleOptions {
    SampleOptions::new(8, Duration::from_secs(3600))
}

/// The loader's part.
fn open_buffers(object: &LoadedObject, pages: usize) -> PerfBuffers {
    PerfBuffers::open(object.map_handle("events").unwrap(), pages).unwrap()
}

fn channel(object: &LoadedObject, buffers: Option<&PerfBuffers>) -> SampleChannel {
    match buffers {
        Some(buffers) => SampleChannel::of(buffers, "events").unwrap(),
        None => SampleChannel::Ring(object.map_descriptor("events").unwrap()),
    }
}

fn this_thread() -> String {
    let path = std::fs::read_link("/proc/thread-self").unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[expect(
    unsafe_code,
    reason = "a system call nobody else in this process makes"
)]
fn send(key: u32) {
    // SAFETY: takes a number, touches no memory.
    unsafe { libc::getsid(key as i32) };
}

fn rows(counter: &mut SampleCounter) -> Vec<(u32, u64)> {
    let mut rows = Vec::new();
    counter.walk(|batch| {
        rows.extend(batch.rows().map(|(key, value)| {
            assert_eq!(key[4..], 7_u32.to_ne_bytes());
            (
                u32::from_ne_bytes(key[..4].try_into().unwrap()),
                u64::from_ne_bytes(value.try_into().unwrap()),
            )
        }));
    });
    rows.sort_unstable();
    rows
}

fn wait_for(counter: &SampleCounter, samples: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while {
        let stats = counter.stats();
        stats.counted + stats.overflowed + stats.short + stats.lost.unwrap_or(0)
    } < samples
    {
        assert!(Instant::now() < deadline, "{:?}", counter.stats());
        thread::yield_now();
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn samples_of_a_perf_event_array_are_counted_by_key_root() {
    samples_are_counted_by_key(SampleMap::PerfEventArray);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn samples_of_a_ring_buffer_are_counted_by_key_root() {
    samples_are_counted_by_key(SampleMap::Ringbuf);
}

#[cfg(target_arch = "x86_64")]
fn samples_are_counted_by_key(through: SampleMap) {
    let mut object = load(through);
    let three = SampleOptions {
        max_rows: 3,
        ..options()
    };
    let is_perf = through == SampleMap::PerfEventArray;
    let buffers = is_perf.then(|| open_buffers(&object, three.pages));
    let mut counter =
        SampleCounter::open("events", channel(&object, buffers.as_ref()), &three).unwrap();
    counter.run().unwrap();
    attach(&mut object);
    for key in [1000, 1001, 1000, 1002, 1000, 1003, 1004] {
        send(key);
    }
    wait_for(&counter, 7);
    assert_eq!(rows(&mut counter), [(1000, 3), (1001, 1), (1002, 1)]);
    let stats = counter.stats();
    assert_eq!(
        (
            stats.counted,
            stats.overflowed,
            stats.short,
            stats.lost,
            stats.rows
        ),
        (5, 2, 0, is_perf.then_some(0), 3)
    );
    assert_eq!(stats.pages >= 8, is_perf);

    let started = Instant::now();
    drop(counter);
    assert!(started.elapsed() < Duration::from_secs(1));

    // Keys longer than the samples: each is an error.
    let long = SampleOptions {
        key_size: 64,
        ..options()
    };
    let mut counter =
        SampleCounter::open("events", channel(&object, buffers.as_ref()), &long).unwrap();
    counter.run().unwrap();
    send(1000);
    wait_for(&counter, 1);
    assert_eq!(counter.stats().short, 1);
    assert_eq!(counter.walk(|_| panic!("no rows")).entries, 0);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn other_maps_are_refused_root() {
    let perf = SampleMap::PerfEventArray;
    let object = load(perf);
    let refused = |map: &str, through, key_size| {
        check_sample_map(object.map_info(map).unwrap(), through, key_size).unwrap_err()
    };
    assert_eq!(
        refused("other", perf, 8).to_string(),
        "map `other` is of the type Array, `perf_event_array` wants a BPF_MAP_TYPE_PERF_EVENT_ARRAY: take it out, or change the map"
    );
    assert_eq!(
        refused("events", SampleMap::Ringbuf, 8).to_string(),
        "map `events` is of the type PerfEventArray, `ringbuf` wants a BPF_MAP_TYPE_RINGBUF: take it out, or change the map"
    );
    assert!(matches!(
        refused("events", perf, 0),
        SampleError::NoKey { .. }
    ));
}
