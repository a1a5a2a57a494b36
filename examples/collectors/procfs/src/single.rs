//! Parts of a few numbers each: load, pressure, file descriptors, uptime.

use std::io::Cursor;

use exporter_guest_sdk::{Failure, Families, Host};
use procfs_core::{FromRead, Uptime, parse_pressure_record};

pub(crate) fn load(host: &impl Host, families: &mut Families) -> Result<(), Failure> {
    const PATH: &str = "/proc/loadavg";
    let text = host.read_to_string(PATH)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    for minutes in [1, 5, 15] {
        let Some(Ok(load)) = numbers.next() else {
            return Err(format!("{PATH} has not three numbers: {text}").into());
        };
        families
            .gauge(
                &format!("node_load{minutes}"),
                &format!("{minutes}m load average."),
            )
            .sample(&[], load);
    }
    Ok(())
}

pub(crate) fn pressure(host: &impl Host, families: &mut Families) -> Result<(), Failure> {
    let waiting = [
        (
            "cpu",
            "some",
            "waiting",
            "Total time in seconds that processes have waited for CPU time",
        ),
        (
            "io",
            "some",
            "waiting",
            "Total time in seconds that processes have waited due to IO congestion",
        ),
        (
            "io",
            "full",
            "stalled",
            "Total time in seconds no process could make progress due to IO congestion",
        ),
        (
            "memory",
            "some",
            "waiting",
            "Total time in seconds that processes have waited for memory",
        ),
        (
            "memory",
            "full",
            "stalled",
            "Total time in seconds no process could make progress due to memory congestion",
        ),
    ];
    let mut failure = None;
    for (resource, record, state, help) in waiting {
        let path = format!("/proc/pressure/{resource}");
        let text = match host.read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                failure.get_or_insert(Failure::from(error));
                continue;
            }
        };
        let prefix = format!("{record} ");
        let line = text.lines().find(|line| line.starts_with(&prefix));
        let read = line.and_then(|line| parse_pressure_record(line).ok());
        let Some(read) = read else {
            crate::left_out(
                &path,
                line.unwrap_or_default(),
                format!("no `{record}` in it"),
            );
            continue;
        };
        // Microseconds.
        let seconds = read.total as f64 / 1000.0 / 1000.0;
        let name = format!("node_pressure_{resource}_{state}_seconds_total");
        families.counter(&name, help).sample(&[], seconds);
    }
    failure.map_or(Ok(()), Err)
}

pub(crate) fn file_descriptors(host: &impl Host, families: &mut Families) -> Result<(), Failure> {
    const PATH: &str = "/proc/sys/fs/file-nr";
    let text = host.read_to_string(PATH)?;
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    let &[allocated, _, maximum] = numbers.as_slice() else {
        return Err(format!("{PATH} has not three numbers: {text}").into());
    };
    for (name, number) in [("allocated", allocated), ("maximum", maximum)] {
        families
            .gauge(
                &format!("node_filefd_{name}"),
                &format!("File descriptor statistics: {name}."),
            )
            .sample(&[], number);
    }
    Ok(())
}

pub(crate) fn uptime(host: &impl Host, families: &mut Families) -> Result<(), Failure> {
    const PATH: &str = "/proc/uptime";
    let uptime = Uptime::from_read(Cursor::new(host.read(PATH)?))
        .map_err(|error| format!("{PATH}: {error}"))?;
    families
        .gauge(
            "node_uptime_seconds",
            "Time since the machine was started, suspended time included.",
        )
        .sample(&[], uptime.uptime);
    Ok(())
}
