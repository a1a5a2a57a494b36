//! The collector.

use std::cell::RefCell;

use crate::bindings::exporter::plugin::{files, net};
use crate::bindings::exports::exporter::plugin::collecting::{
    self, Description, Failure, Family, Kind, Number, Request, Sample, Value,
};
use crate::{Hostile, misdeeds, option};

thread_local! {
    static OPENED: RefCell<Vec<serde_json::Value>> = const { RefCell::new(Vec::new()) };
}

impl collecting::Guest for Hostile {
    fn catalogue() -> Vec<Description> {
        vec![Description {
            name: "hostile".to_owned(),
            summary: "does what its option `do` says".to_owned(),
            options_schema: String::new(),
        }]
    }

    fn open(_: String, options: String) -> Result<u32, String> {
        let options = serde_json::from_str(&options).map_err(|error| error.to_string())?;
        Ok(OPENED.with_borrow_mut(|opened| {
            opened.push(options);
            u32::try_from(opened.len() - 1).unwrap_or_default()
        }))
    }

    fn collect(collector: u32, _: Request) -> Result<Vec<Family>, Failure> {
        let options = OPENED.with_borrow(|opened| opened.get(collector as usize).cloned());
        let options = options.unwrap_or_default();
        let what = option(&options, "do");
        misdeeds::commit(what);
        if what == "refuse" {
            return Err(Failure::Invalid("the target is no host".to_owned()));
        }
        if what == "read-and-refuse" {
            let read = files::read("/proc/stat").is_ok();
            return Err(Failure::Invalid(format!("read {read}: it makes no sense")));
        }
        Ok(vec![match what {
            "million" => family(
                "hostile_series",
                (0..1_000_000).map(|n| sample(&[&n.to_string()], 1)),
            ),
            "huge" => family("hostile_series", [sample(&[&"x".repeat(100 << 20)], 1)]),
            "names" => family("1 no name\nhostile_forged 1", [sample(&["a"], 1)]),
            "few" => family("hostile_series", [sample(&[], 1)]),
            "many" => family("hostile_series", [sample(&["a", "b"], 1)]),
            "twice" => family("hostile_series", [sample(&["a"], 1), sample(&["a"], 2)]),
            "read" => family("hostile_tried", tried(&options, read)),
            "connect" => family("hostile_tried", tried(&options, connect)),
            _ => family("hostile_series", [sample(&["well"], 1)]),
        }])
    }
}

fn family(name: &str, samples: impl IntoIterator<Item = Sample>) -> Family {
    Family {
        name: name.to_owned(),
        help: "What a hostile plugin says.".to_owned(),
        unit: String::new(),
        kind: Kind::Gauge,
        label_names: vec!["label".to_owned()],
        samples: samples.into_iter().collect(),
    }
}

fn sample(labels: &[&str], value: u64) -> Sample {
    Sample {
        label_values: labels.iter().map(|&label| label.to_owned()).collect(),
        value: Value::Number(Number::Unsigned(value)),
    }
}

/// One series for each of the option `at`: where, and 1 if it could be done.
fn tried(options: &serde_json::Value, attempt: impl Fn(&str) -> bool) -> Vec<Sample> {
    let at = options["at"].as_array().cloned().unwrap_or_default();
    at.iter()
        .filter_map(|target| target.as_str())
        .map(|target| sample(&[target], u64::from(attempt(target))))
        .collect()
}

/// In every way that there is.
fn read(path: &str) -> bool {
    files::read(path).is_ok()
        || files::list_dir(path).is_ok()
        || files::metadata(path).is_ok()
        || files::file_system(path).is_ok()
        || std::fs::read(path).is_ok()
        || std::fs::read_dir(path).is_ok()
}

fn connect(endpoint: &str) -> bool {
    let datagram =
        net::UdpSocket::open().is_ok_and(|socket| socket.send_to(endpoint, b"hostile").is_ok());
    net::TcpStream::connect(endpoint, 500).is_ok()
        || datagram
        || std::net::TcpStream::connect(endpoint).is_ok()
}
