//! What decoders and collectors can do wrong alike.

use std::cell::Cell;
use std::hint::black_box;

use crate::bindings::exporter::plugin::log;

/// Does `what` if it is one of these, and may come back or not.
pub(crate) fn commit(what: &str) {
    match what {
        "loop" => {
            let mut number = 0_u64;
            while black_box(number) != u64::MAX {
                number = number.wrapping_add(2);
            }
        }
        "hog" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "recurse" => {
            black_box(recurse(0));
        }
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "trap" => trap(),
        "trap-third" if third() => trap(),
        "quote" => log::write(log::Level::Warn, "it said \"a\\b\" and\nleft"),
        "log" => {
            // 1 GB.
            let line = "log ".repeat(16 << 10);
            for _ in 0..16 << 10 {
                log::write(log::Level::Warn, &line);
            }
        }
        #[cfg(feature = "unknown-import")]
        "launch" => {
            black_box(crate::unknown::hostile::unknown::weapons::launch("host"));
        }
        _ => {}
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

pub(crate) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// True at the third call of this instance, the sixth, …
fn third() -> bool {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }
    CALLS.with(|calls| {
        calls.set(calls.get() + 1);
        calls.get() % 3 == 0
    })
}
