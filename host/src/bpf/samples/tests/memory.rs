//! The readers on memory that this test writes in the kernel's place.

use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::param::page_size;

use super::*;
use crate::bpf::samples::record::{Found, Left, SampleReader};
use crate::bpf::shared_memory::{Access, SharedMemory};

const SAMPLE: u32 = libbpf_sys::PERF_RECORD_SAMPLE;
const LOST: u32 = libbpf_sys::PERF_RECORD_LOST;
const HEAD: usize = 1024 / 8;
const TAIL: usize = 1032 / 8;
const KEY: usize = 5;

/// A buffer as the kernel lays it out, seen from the kernel's side.
struct Kernel {
    file: OwnedFd,
    memory: SharedMemory,
    /// Words before the records, and the numbers of those with the positions.
    before: usize,
    written: usize,
    read: usize,
}

impl Kernel {
    fn perf(pages: usize) -> Self {
        Self::new(1, pages, HEAD, TAIL)
    }

    fn ring(pages: usize) -> Self {
        Self::new(2, pages, page_size() / 8, 0)
    }

    fn new(before: usize, pages: usize, written: usize, read: usize) -> Self {
        let file = memfd_create("buffer", MemfdFlags::CLOEXEC).unwrap();
        let size = (before + pages) * page_size();
        ftruncate(&file, size as u64).unwrap();
        let memory = SharedMemory::map(file.as_fd(), 0, size, Access::ReadAndWrite).unwrap();
        Self {
            file,
            memory,
            before: before * page_size() / 8,
            written,
            read,
        }
    }

    fn perf_reader(&self) -> PerfReader {
        let pages = (self.memory.words().len() - self.before) * 8 / page_size();
        PerfReader::map(self.file.try_clone().unwrap(), pages, KEY).unwrap()
    }

    fn ring_reader(&self) -> RingReader {
        let size = (self.memory.words().len() - self.before) * 8;
        RingReader::map_sized(self.file.try_clone().unwrap(), size, KEY).unwrap()
    }

    fn position(&self, word: usize) -> &AtomicU64 {
        &self.memory.words()[word]
    }

    fn set(&self, written: u64, read: u64) {
        self.position(self.written)
            .store(written, Ordering::Relaxed);
        self.position(self.read).store(read, Ordering::Relaxed);
    }

    fn positions(&self) -> (u64, u64) {
        let load = |word| self.position(word).load(Ordering::Relaxed);
        (load(self.written), load(self.read))
    }

    /// Writes whole words, around the end if need be.
    fn put(&self, bytes: &[u8]) {
        let data = &self.memory.words()[self.before..];
        let (mut position, _) = self.positions();
        for word in bytes.chunks(8) {
            let mut padded = [0xee; 8];
            padded[..word.len()].copy_from_slice(word);
            let index = position as usize / 8 % data.len();
            data[index].store(u64::from_ne_bytes(padded), Ordering::Relaxed);
            position += 8;
        }
        self.position(self.written)
            .store(position, Ordering::Release);
    }

    fn put_perf(&self, kind: u32, size: u16, body: &[u8]) {
        let header = [&kind.to_ne_bytes()[..], &[0; 2], &size.to_ne_bytes()].concat();
        self.put(&[&header, body].concat());
    }

    fn put_sample(&self, sample: &[u8]) {
        let mut body = [&(sample.len() as u32).to_ne_bytes()[..], sample].concat();
        body.resize(body.len().next_multiple_of(8), 0xdd);
        self.put_perf(SAMPLE, body.len() as u16 + 8, &body);
    }

    fn put_ring(&self, length: u32, sample: &[u8]) {
        let header = [&length.to_ne_bytes()[..], &[0xcc; 4]].concat();
        self.put(&[&header, sample].concat());
    }
}

/// What a reader finds until there is nothing more: samples as texts.
fn read(reader: &mut impl SampleReader, many: usize) -> (Vec<String>, Left) {
    let mut found = Vec::new();
    let until = reader.written();
    let left = reader.read(until, many, |record| {
        found.push(match record {
            Found::Sample(sample) => String::from_utf8_lossy(sample).into_owned(),
            Found::Lost(samples) => format!("lost {samples}"),
            Found::Damaged => "damaged".to_owned(),
        });
    });
    (found, left)
}

fn all(reader: &mut impl SampleReader) -> Vec<String> {
    let (found, left) = read(reader, usize::MAX);
    assert_eq!(left, Left::Nothing);
    found
}

#[test]
fn a_perf_buffer_is_read_record_by_record() {
    let kernel = Kernel::perf(1);
    let mut reader = kernel.perf_reader();
    assert!(all(&mut reader).is_empty());
    kernel.put_sample(b"first and more");
    kernel.put_sample(b"abc");
    kernel.put_perf(
        LOST,
        24,
        &[&7_u64.to_ne_bytes()[..], &9_u64.to_ne_bytes()].concat(),
    );
    kernel.put_perf(5, 16, &[0; 8]);
    kernel.put_sample(b"");
    let (found, left) = read(&mut reader, 1);
    assert_eq!((found, left), (vec!["first".to_owned()], Left::More));
    assert_eq!(all(&mut reader), ["abc", "lost 9", ""]);
    let (written, read) = kernel.positions();
    assert_eq!(written, read);
}

/// Each record in each place around the end of the buffer.
#[test]
fn records_cross_the_end() {
    let (perf, ring) = (Kernel::perf(1), Kernel::ring(1));
    let (mut perf_reader, mut ring_reader) = (perf.perf_reader(), ring.ring_reader());
    for back in 0..6 {
        // Also where positions have 64 bits.
        for base in [
            page_size() as u64,
            1 << 40,
            u64::MAX - (u64::MAX % page_size() as u64) - page_size() as u64,
        ] {
            let start = base - back * 8;
            perf.set(start, start);
            perf.put_sample(b"12345678901");
            perf.put_perf(
                LOST,
                24,
                &[&7_u64.to_ne_bytes()[..], &9_u64.to_ne_bytes()].concat(),
            );
            perf.put_sample(b"second");
            assert_eq!(all(&mut perf_reader), ["12345", "lost 9", "secon"]);
            ring.set(start, start);
            ring.put_ring(11, b"12345678901");
            ring.put_ring(6, b"second");
            assert_eq!(all(&mut ring_reader), ["12345", "secon"]);
        }
    }
}

#[test]
fn a_ring_buffer_is_read_up_to_what_is_not_complete() {
    let kernel = Kernel::ring(1);
    let mut reader = kernel.ring_reader();
    kernel.put_ring(3, b"abc");
    kernel.put_ring(3 | libbpf_sys::BPF_RINGBUF_DISCARD_BIT, b"not");
    kernel.put_ring(6, b"second");
    let (busy, _) = kernel.positions();
    kernel.put_ring(3 | libbpf_sys::BPF_RINGBUF_BUSY_BIT, b"ghi");
    kernel.put_ring(0, b"");
    let (found, left) = read(&mut reader, usize::MAX);
    assert_eq!(found, ["abc", "secon"]);
    assert_eq!((left, kernel.positions().1), (Left::Unfinished, busy));
    let headers = &kernel.memory.half_words()[kernel.before * 2..];
    headers[busy as usize / 4].store(3, Ordering::Release);
    assert_eq!(all(&mut reader), ["ghi", ""]);
}

/// What is found in the place of a record is given up, and what comes after it is read.
#[test]
fn a_damaged_perf_buffer_is_read_on() {
    let kernel = Kernel::perf(1);
    let mut reader = kernel.perf_reader();
    let page = page_size() as u64;
    let long = [&100_u32.to_ne_bytes()[..], &[0; 4]].concat();
    let damages: [(&str, &dyn Fn()); 9] = [
        ("no size", &|| kernel.put_perf(SAMPLE, 0, &[0; 8])),
        ("less than a header", &|| {
            kernel.put_perf(SAMPLE, 4, &[0; 8])
        }),
        ("an odd size", &|| kernel.put_perf(SAMPLE, 15, &[0; 8])),
        ("longer than all", &|| {
            kernel.put_perf(SAMPLE, 0xfff8, &[0; 8])
        }),
        ("no length", &|| kernel.put_perf(SAMPLE, 8, &[])),
        ("a sample beyond its record", &|| {
            kernel.put_perf(SAMPLE, 16, &long)
        }),
        ("a short loss", &|| kernel.put_perf(LOST, 16, &[0; 8])),
        ("more than there is room", &|| {
            kernel.set(10 * page, 9 * page - 8)
        }),
        ("between words", &|| kernel.set(10 * page, 10 * page - 9)),
    ];
    for (what, damage) in damages {
        damage();
        assert_eq!(all(&mut reader), ["damaged"], "{what}");
        let (written, read) = kernel.positions();
        assert_eq!(written, read, "{what}");
        kernel.put_sample(b"good");
        assert_eq!(all(&mut reader), ["good"], "{what}");
    }
}

#[test]
fn a_damaged_ring_buffer_is_read_on() {
    let kernel = Kernel::ring(1);
    let mut reader = kernel.ring_reader();
    let page = page_size() as u64;
    let damages: [(&str, &dyn Fn()); 5] = [
        ("longer than what is written", &|| {
            kernel.put_ring(17, b"abc")
        }),
        ("as long as can be", &|| {
            kernel.put_ring(u32::MAX >> 2, b"abc")
        }),
        ("more than there is room", &|| {
            kernel.set(10 * page, 9 * page - 8)
        }),
        ("before what is read", &|| {
            kernel.set(10 * page, 10 * page + 8)
        }),
        ("between records", &|| kernel.set(10 * page, 10 * page - 9)),
    ];
    for (what, damage) in damages {
        damage();
        assert_eq!(all(&mut reader), ["damaged"], "{what}");
        let (written, read) = kernel.positions();
        assert_eq!(written, read, "{what}");
        kernel.put_ring(4, b"good");
        assert_eq!(all(&mut reader), ["good"], "{what}");
    }
}

/// Whatever is there, each look ends, and gives up or takes all of it.
#[test]
fn any_content_is_read_to_its_end() {
    let (perf, ring) = (Kernel::perf(1), Kernel::ring(1));
    let (mut perf_reader, mut ring_reader) = (perf.perf_reader(), ring.ring_reader());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for kernel in [&perf, &ring] {
        for word in &kernel.memory.words()[kernel.before..] {
            word.store(random(), Ordering::Relaxed);
        }
    }
    for _ in 0..20_000 {
        let (written, back) = (random() & !7, random() % (2 * page_size() as u64));
        for kernel in [&perf, &ring] {
            // Small numbers, as sizes are.
            let word = random() as usize % (page_size() / 8);
            let small = random() & 0x0000_ff18_0000_0009_u64.rotate_left((random() % 64) as u32);
            kernel.memory.words()[kernel.before + word].store(small, Ordering::Relaxed);
            kernel.set(written, written.wrapping_sub(back));
        }
        all(&mut perf_reader);
        assert_eq!(perf.positions(), (written, written));
        let (_, left) = read(&mut ring_reader, usize::MAX);
        assert!(left == Left::Unfinished || ring.positions() == (written, written));
    }
}

/// A sample that ends whoever counts it is met once.
#[test]
fn a_record_is_given_back_before_it_is_handed_on() {
    let (perf, ring) = (Kernel::perf(1), Kernel::ring(1));
    perf.put_sample(b"bad");
    perf.put_sample(b"good");
    ring.put_ring(3, b"bad");
    ring.put_ring(4, b"good");
    fn meet(mut reader: impl SampleReader) {
        let until = reader.written();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            reader.read(until, usize::MAX, |found| {
                assert_ne!(found, Found::Sample(b"bad"));
            });
        }));
        assert!(ended.is_err());
    }
    meet(perf.perf_reader());
    meet(ring.ring_reader());
    assert_eq!(all(&mut perf.perf_reader()), ["good"]);
    assert_eq!(all(&mut ring.ring_reader()), ["good"]);
}
