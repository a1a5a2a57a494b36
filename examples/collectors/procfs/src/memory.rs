//! /proc/meminfo, see proc_meminfo(5): each line a family, whatever the kernel calls it.

use std::collections::BTreeMap;

use exporter_guest_sdk::families::Kind;
use exporter_guest_sdk::{Failure, Families, Host};

const PATH: &str = "/proc/meminfo";

pub(crate) fn collect(host: &impl Host, families: &mut Families) -> Result<(), Failure> {
    let text = host.read_to_string(PATH)?;
    let mut all = BTreeMap::new();
    for line in text.lines() {
        match field(line) {
            Some((field, number)) => crate::first(&mut all, PATH, &field, number),
            None => crate::left_out(PATH, line, "expected `Name: number kB`"),
        }
    }
    for (field, number) in all {
        let kind = match field.ends_with("_total") {
            true => Kind::Counter,
            false => Kind::Gauge,
        };
        let help = format!("Memory information field {field}.");
        families
            .family(kind, &format!("node_memory_{field}"), &help)
            .sample(&[], number);
    }
    Ok(())
}

/// `Active(anon):   8 kB` is Active_anon_bytes, 8192; a line without a unit is a number of things.
fn field(line: &str) -> Option<(String, u64)> {
    let (name, rest) = line.split_once(':')?;
    let name = name.replace('(', "_").replace(')', "");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(fits) {
        return None;
    }
    let mut rest = rest.split_whitespace();
    let number: u64 = rest.next()?.parse().ok()?;
    match rest.next() {
        None => Some((name, number)),
        Some("kB") => Some((format!("{name}_bytes"), number.checked_mul(1024)?)),
        Some(_) => None,
    }
}
