//! /proc/vmstat: the kernel's own names and numbers, as many as the option `vmstat_fields` lets
//! through.

use std::collections::BTreeMap;

use exporter_guest_sdk::families::Value;
use exporter_guest_sdk::{Failure, Families, Host};
use regex::Regex;

const PATH: &str = "/proc/vmstat";

pub(crate) fn collect(
    host: &impl Host,
    fields: &Regex,
    families: &mut Families,
) -> Result<(), Failure> {
    let text = host.read_to_string(PATH)?;
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let (field, number) = line.split_once(' ').unwrap_or((line, ""));
        if !fields.is_match(field) {
            continue;
        }
        // Some numbers are gauges and may go below zero.
        let value = match (number.parse::<u64>(), number.parse::<i64>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => {
                crate::left_out(PATH, line, "expected a name and a number");
                continue;
            }
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !field.bytes().all(fits) {
            crate::left_out(PATH, line, "expected a name of letters, digits and `_`");
            continue;
        }
        crate::first(&mut all, PATH, field, value);
    }
    for (field, value) in all {
        families
            .unknown(
                &format!("node_vmstat_{field}"),
                &format!("/proc/vmstat information field {field}."),
            )
            .sample(&[], value);
    }
    Ok(())
}
