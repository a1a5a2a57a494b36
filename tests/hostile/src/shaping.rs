//! The shaper.

use std::cell::RefCell;

use crate::bindings::exports::exporter::plugin::{shaping, uniform_shaping};
use crate::{Hostile, misdeeds, option};

thread_local! {
    static OPENED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn what(shaper: u32) -> String {
    OPENED
        .with_borrow(|opened| opened.get(shaper as usize).cloned())
        .unwrap_or_default()
}

impl shaping::Guest for Hostile {
    fn catalogue() -> Vec<shaping::Description> {
        vec![shaping::Description {
            name: "hostile".to_owned(),
            summary: "does what its option `do` says".to_owned(),
            options_schema: String::new(),
        }]
    }

    fn open(_: String, options: String) -> Result<shaping::Opened, String> {
        let options = serde_json::from_str(&options).map_err(|error| error.to_string())?;
        let what = option(&options, "do").to_owned();
        let labels = match what.as_str() {
            "labels" => (0..80_000).map(|label| format!("label_{label}")).collect(),
            _ => vec!["it".to_owned()],
        };
        let family = shaping::Family {
            name: "shaped_total".to_owned(),
            help: "What a hostile plugin says.".to_owned(),
            unit: String::new(),
            kind: shaping::Kind::Counter,
            labels,
            bounds: Vec::new(),
        };
        let shaper = OPENED.with_borrow_mut(|opened| {
            opened.push(what);
            u32::try_from(opened.len() - 1).unwrap_or_default()
        });
        Ok(shaping::Opened {
            shaper,
            families: vec![family],
            numbers: Vec::new(),
        })
    }

    fn place(
        shaper: u32,
        rows: u32,
        keys: shaping::Cells,
        _: Vec<shaping::Cells>,
    ) -> shaping::Placed {
        let mut keys = keys.bytes.chunks_exact(4);
        if what(shaper) == "poison" && keys.any(|key| matches!(key, [7 | 13, 0, 0, 0])) {
            misdeeds::trap();
        }
        shaping::Placed {
            placements: (0..rows).map(placement).collect(),
            labels: Vec::new(),
            errors: Vec::new(),
        }
    }
}

impl uniform_shaping::Guest for Hostile {
    fn placements(shaper: u32) -> Vec<shaping::Placement> {
        match what(shaper).as_str() {
            "alike" => vec![placement(0); 100_000],
            _ => Vec::new(),
        }
    }
}

fn placement(row: u32) -> shaping::Placement {
    shaping::Placement {
        row,
        family: 0,
        slot: shaping::Slot::Value,
        number: 0,
        scale: 1.0,
    }
}
