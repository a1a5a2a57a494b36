//! The decoder.

use std::cell::RefCell;

use crate::bindings::exports::exporter::plugin::decoding;
use crate::{Hostile, misdeeds, option};

thread_local! {
    static OPENED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl decoding::Guest for Hostile {
    fn catalogue() -> Vec<decoding::Description> {
        vec![decoding::Description {
            name: "hostile".to_owned(),
            summary: "does what its option `do` says".to_owned(),
            options_schema: String::new(),
        }]
    }

    fn open(_: String, options: String) -> Result<u32, String> {
        let options = serde_json::from_str(&options).map_err(|error| error.to_string())?;
        Ok(OPENED.with_borrow_mut(|opened| {
            opened.push(option(&options, "do").to_owned());
            u32::try_from(opened.len() - 1).unwrap_or_default()
        }))
    }

    fn decode(decoder: u32, input: decoding::Cells) -> decoding::Decoded {
        let what = OPENED.with_borrow(|opened| opened.get(decoder as usize).cloned());
        let what = what.unwrap_or_default();
        misdeeds::commit(&what);
        let poisoned = cells(&input).any(is_poison);
        match what.as_str() {
            "poison" if poisoned => misdeeds::trap(),
            "poison-loop" if poisoned => misdeeds::commit("loop"),
            _ => {}
        }
        let rows = input.ends.len() as u32;
        let count = match what.as_str() {
            "few" => rows - 1,
            "many" => rows + 1,
            _ => rows,
        };
        let cell: Vec<u8> = match what.as_str() {
            "utf8" => vec![0xff, 0xfe],
            "huge" => vec![b'x'; (100 << 20) / rows as usize],
            _ => b"well".to_vec(),
        };
        if what.starts_with("poison") {
            return decoding::Decoded {
                cells: decoding::Cells {
                    bytes: input.bytes,
                    ends: input.ends,
                },
                dropped: Vec::new(),
                provisional: Vec::new(),
                errors: Vec::new(),
            };
        }
        let ends = match what.as_str() {
            // Before its beginning, and behind its end.
            "ends" => vec![u32::MAX; rows as usize],
            _ => (1..=count).map(|cells| cells * cell.len() as u32).collect(),
        };
        decoding::Decoded {
            cells: decoding::Cells {
                bytes: cell.repeat(count as usize),
                ends,
            },
            dropped: if what == "rows" {
                vec![rows + 7]
            } else {
                Vec::new()
            },
            provisional: Vec::new(),
            errors: Vec::new(),
        }
    }
}

fn cells(input: &decoding::Cells) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    input.ends.iter().map(move |&end| {
        let cell = input.bytes.get(start..end as usize);
        start = end as usize;
        cell.unwrap_or_default()
    })
}

fn is_poison(cell: &[u8]) -> bool {
    matches!(cell, b"7" | b"13")
}
