//! The least that a scrape can cost: walk the map, print the numbers, copy text that is there
//! already, write it to a socket.
//!
//! Knows everything beforehand that a host has to find out: which text belongs to the entry that
//! the kernel gives next, and where its number goes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::process;
use crate::shape::{MAX_BUCKET, Shape, Subject};

/// Entries a call and bytes a write: what is fastest here.
const BATCH: usize = 4096;
const WRITE: usize = 128 << 10;
const PREFIX: &str = "ebpf_exporter_";

pub(crate) struct Floor<'a> {
    subject: &'a Subject,
    /// The array's numbers, if it is one.
    mapped: &'static [AtomicU64],
    /// Text before each number, in the order of the numbers, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Where each entry's number goes, in the kernel's order: histograms only.
    slots: Vec<u32>,
    slot_count: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
    out: Vec<u8>,
    socket: TcpStream,
}

impl<'a> Floor<'a> {
    /// Walks once to learn the kernel's order.
    pub(crate) fn of(subject: &'a Subject) -> Self {
        let key_size = subject.shape.key_size();
        let mut floor = Self {
            subject,
            mapped: match subject.shape {
                Shape::Array => map(subject),
                _ => &[],
            },
            text: Vec::new(),
            ends: Vec::new(),
            slots: Vec::new(),
            slot_count: 0,
            keys: vec![0; BATCH * key_size],
            values: vec![0; BATCH * subject.shape.cpus() * 8],
            out: Vec::with_capacity(2 * WRITE),
            socket: drain(),
        };
        let mut keys = Vec::new();
        floor.walk(|floor, count| {
            keys.extend_from_slice(&floor.keys[..count * key_size]);
        });
        assert_eq!(keys.len() / key_size, subject.entries);
        match subject.shape {
            Shape::Histogram => floor.learn_histograms(&keys),
            shape => {
                let series = if shape == Shape::Split {
                    shape.cpus()
                } else {
                    1
                };
                for key in keys.chunks_exact(key_size) {
                    for cpu in 0..series {
                        let labels = shape.labels(key, cpu);
                        floor.push(&format!("{PREFIX}calls_total{{{labels}}} "));
                    }
                }
            }
        }
        floor
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        self.ends.push(self.text.len());
    }

    fn learn_histograms(&mut self, keys: &[u8]) {
        let mut series: HashMap<&[u8], u32> = HashMap::new();
        let width = MAX_BUCKET + 2;
        for key in keys.chunks_exact(Shape::Histogram.key_size()) {
            let known = u32::try_from(series.len()).unwrap();
            let number = *series.entry(&key[..20]).or_insert_with(|| known);
            if number == known {
                let labels = Shape::Histogram.labels(key, 0);
                let name = format!("{PREFIX}spent_seconds");
                for bucket in 0..=MAX_BUCKET {
                    let bound = 2_f64.powi(i32::try_from(bucket).unwrap());
                    self.push(&format!("{name}_bucket{{{labels},le=\"{bound}\"}} "));
                }
                self.push(&format!("{name}_bucket{{{labels},le=\"+Inf\"}} "));
                self.push(&format!("{name}_sum{{{labels}}} "));
                self.push(&format!("{name}_count{{{labels}}} "));
            }
            let bucket = u32::from_ne_bytes(key[20..].try_into().unwrap());
            self.slots.push(number * width + bucket);
        }
        self.slot_count = series.len() * width as usize;
    }

    /// One scrape. Its CPU time, and the bytes written.
    pub(crate) fn scrape(&mut self) -> (Duration, usize) {
        let started = process::own_cpu();
        let written = match self.subject.shape {
            Shape::Histogram => self.histograms(),
            Shape::Split => self.numbers(|value, print| {
                value.chunks_exact(8).for_each(|value| print(number(value)));
            }),
            Shape::Hash | Shape::Summed | Shape::Array => self.numbers(|value, print| {
                print(value.chunks_exact(8).map(number).fold(0, u64::wrapping_add));
            }),
        };
        (process::own_cpu() - started, written)
    }

    fn numbers(&mut self, each: impl Fn(&[u8], &mut dyn FnMut(u64))) -> usize {
        let (mut line, mut start, mut written) = (0, 0, 0);
        let stride = self.subject.shape.cpus() * 8;
        self.walk(|floor, count| {
            let Self {
                values,
                text,
                ends,
                out,
                socket,
                ..
            } = floor;
            for value in values.chunks_exact(stride).take(count) {
                each(value, &mut |number| {
                    let end = ends[line];
                    out.extend_from_slice(&text[start..end]);
                    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                    out.push(b'\n');
                    (line, start) = (line + 1, end);
                });
                if out.len() >= WRITE {
                    written += flush(out, socket);
                }
            }
        });
        written + flush(&mut self.out, &mut self.socket)
    }

    fn histograms(&mut self) -> usize {
        let mut slots = vec![0_u64; self.slot_count];
        let mut entry = 0;
        self.walk(|floor, count| {
            for value in floor.values.chunks_exact(8).take(count) {
                slots[floor.slots[entry] as usize] += number(value);
                entry += 1;
            }
        });
        let (mut line, mut start, mut written) = (0, 0, 0);
        let Self {
            text,
            ends,
            out,
            socket,
            ..
        } = self;
        let mut print = |out: &mut Vec<u8>, number: u64| {
            let end = ends[line];
            out.extend_from_slice(&text[start..end]);
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            out.push(b'\n');
            (line, start) = (line + 1, end);
        };
        for series in slots.chunks_exact(MAX_BUCKET as usize + 2) {
            let mut total = 0;
            let (sum, counts) = series.split_last().unwrap();
            for count in counts {
                total += count;
                print(out, total);
            }
            print(out, total);
            print(out, *sum);
            print(out, total);
            if out.len() >= WRITE {
                written += flush(out, socket);
            }
        }
        written + flush(out, socket)
    }

    fn walk_mapped(&mut self, mut visit: impl FnMut(&mut Self, usize)) {
        let mut index = 0_u32;
        for words in self.mapped.chunks(BATCH) {
            self.keys.clear();
            self.values.clear();
            for word in words {
                self.keys.extend_from_slice(&index.to_ne_bytes());
                let value = word.load(Ordering::Relaxed);
                self.values.extend_from_slice(&value.to_ne_bytes());
                index += 1;
            }
            visit(self, words.len());
        }
    }

    fn walk(&mut self, mut visit: impl FnMut(&mut Self, usize)) {
        if self.subject.shape == Shape::Array {
            return self.walk_mapped(visit);
        }
        let key_size = self.subject.shape.key_size();
        let (mut from, mut to) = (vec![0_u8; key_size], vec![0_u8; key_size]);
        let mut started = false;
        loop {
            let mut count = u32::try_from(BATCH).unwrap();
            let position = if started {
                from.as_mut_ptr().cast()
            } else {
                std::ptr::null_mut()
            };
            #[expect(unsafe_code, reason = "the floor is the bare system call")]
            // SAFETY: there is room for BATCH keys and values, and for a position of at most a
            // key's size.
            let result = unsafe {
                libbpf_sys::bpf_map_lookup_batch(
                    self.subject.map.as_fd().as_raw_fd(),
                    position,
                    to.as_mut_ptr().cast(),
                    self.keys.as_mut_ptr().cast(),
                    self.values.as_mut_ptr().cast(),
                    &raw mut count,
                    std::ptr::null(),
                )
            };
            visit(self, count as usize);
            if result != 0 {
                // The last entries.
                assert_eq!(result, -libc::ENOENT);
                return;
            }
            std::mem::swap(&mut from, &mut to);
            started = true;
        }
    }
}

/// The array in our own memory, until the process ends.
fn map(subject: &Subject) -> &'static [AtomicU64] {
    #[expect(unsafe_code, reason = "mapping shared memory")]
    // SAFETY: a new mapping at an address of the kernel's choice; it has so many words of 8 bytes,
    // is never unmapped, and others write it, which is what atomics are for.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            subject.entries * 8,
            libc::PROT_READ,
            libc::MAP_SHARED,
            subject.map.as_fd().as_raw_fd(),
            0,
        );
        assert_ne!(address, libc::MAP_FAILED, "the array can be mapped");
        std::slice::from_raw_parts(address.cast(), subject.entries)
    }
}

fn flush(out: &mut Vec<u8>, socket: &mut TcpStream) -> usize {
    let bytes = out.len();
    socket.write_all(out).unwrap();
    out.clear();
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

/// A connection whose other end reads and throws away, as the client of the host does.
fn drain() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while theirs.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    ours
}
