//! Groups of processes by name, with process-exporter's names. Its counters carry the pid as well:
//! each call is an instance of its own that remembers nothing, and the sum over a group would fall
//! when a process ends, which Prometheus takes for a restart from 0. `sum without (pid) (rate(…))`
//! is the group's.

use std::collections::BTreeMap;

use exporter_guest_sdk::families::{Kind, Value};
use exporter_guest_sdk::{Failure, Families, FileError, Host, log};
use procfs_core::FromRead;
use procfs_core::process::Stat;
use regex::Regex;

/// Ticks in a second, on all of Rust's Linux targets.
const USER_HZ: f64 = 100.0;
/// Processes name themselves as they like, so names are no bound. What is beyond this many groups
/// is one more.
const MAX_GROUPS: usize = 1000;
const OTHER: &str = "other";
/// Processes with counters of their own; those beyond count in their group's gauges only.
const MAX_PROCESSES: usize = 1000;

/// Which processes belong to a group, and how that is called.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) pattern: Regex,
    /// Or else on the command's name, which the kernel cuts to 15 bytes.
    pub(crate) on_command_line: bool,
    /// None: as the process.
    pub(crate) name: Option<String>,
}

/// What a group has at this moment.
#[derive(Debug, Default)]
struct Sizes {
    processes: u64,
    threads: u64,
    resident: u64,
    swapped: u64,
    virtual_: u64,
    /// None: nobody may say.
    descriptors: Option<u64>,
    /// Seconds since the machine was started; of the one that was started first.
    oldest_start: Option<f64>,
}

/// What a process has done since its start.
#[derive(Debug)]
struct Counts {
    user_ticks: u64,
    system_ticks: u64,
    minor_faults: u64,
    major_faults: u64,
    voluntary_switches: u64,
    involuntary_switches: u64,
}

/// One process.
struct Process {
    group: String,
    counts: Counts,
    sizes: Sizes,
}

pub(crate) fn collect(
    host: &impl Host,
    matchers: &[Matcher],
    families: &mut Families,
) -> Result<(), Failure> {
    let mut groups: BTreeMap<String, Sizes> = BTreeMap::new();
    // A group that has a name though no process belongs to it: 0 is worth an alert.
    let fixed = matchers.iter().filter_map(|matcher| matcher.name.as_ref());
    for name in fixed.filter(|name| !name.contains('$')) {
        groups.entry(name.clone()).or_default();
    }
    let mut processes = 0;
    for pid in host.list_dir("/proc")? {
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let mut process = match read(host, matchers, &pid) {
            Ok(Some(process)) => process,
            // It belongs to no group, or has ended since.
            Ok(None) | Err(Failure::Unreachable(_)) => continue,
            Err(Failure::Invalid(why)) => {
                log::warn(&format!("a process is left out: {why}"));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if groups.len() >= MAX_GROUPS && !groups.contains_key(&process.group) {
            OTHER.clone_into(&mut process.group);
        }
        processes += 1;
        if processes <= MAX_PROCESSES {
            process.counts.serve(&process.group, &pid, families);
        }
        groups.entry(process.group).or_default().add(&process.sizes);
    }
    if processes > MAX_PROCESSES {
        log::warn(&format!(
            "{processes} processes belong to groups: only the first {MAX_PROCESSES} have counters"
        ));
    }
    let boot = boot_time(host)?;
    for (group, sizes) in &groups {
        sizes.serve(group, boot, families);
    }
    Ok(())
}

/// None: it belongs to no group.
fn read(host: &impl Host, matchers: &[Matcher], pid: &str) -> Result<Option<Process>, Failure> {
    let path = format!("/proc/{pid}/stat");
    let text = host.read(&path)?;
    // procfs-core's slices want these in place.
    let opened = text.iter().position(|byte| *byte == b'(');
    let closed = text.iter().rposition(|byte| *byte == b')');
    if !matches!((opened, closed), (Some(1..), Some(end)) if opened < closed && end + 2 < text.len())
    {
        return Err(format!("{path}: no name in brackets in it").into());
    }
    let stat = Stat::from_read(&*text).map_err(|error| format!("{path}: {error}"))?;
    let Some(group) = group(host, matchers, pid, &stat.comm)? else {
        return Ok(None);
    };
    let status = host.read_to_string(&format!("/proc/{pid}/status"))?;
    let status = |field: &str| status_field(&status, field).unwrap_or(0);
    Ok(Some(Process {
        group,
        counts: Counts {
            user_ticks: stat.utime,
            system_ticks: stat.stime,
            minor_faults: stat.minflt,
            major_faults: stat.majflt,
            voluntary_switches: status("voluntary_ctxt_switches"),
            involuntary_switches: status("nonvoluntary_ctxt_switches"),
        },
        sizes: Sizes {
            processes: 1,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
            // Not Stat's rss, which is in pages and inexact.
            resident: status("VmRSS") * 1024,
            swapped: status("VmSwap") * 1024,
            virtual_: stat.vsize,
            descriptors: descriptors(host, pid)?,
            oldest_start: Some(stat.starttime as f64 / USER_HZ),
        },
    }))
}

/// The first matcher's that fits.
fn group(
    host: &impl Host,
    matchers: &[Matcher],
    pid: &str,
    comm: &str,
) -> Result<Option<String>, Failure> {
    let mut command_line = None;
    for matcher in matchers {
        let text = match matcher.on_command_line {
            false => comm,
            true => match &mut command_line {
                Some(line) => line,
                empty => empty.insert(
                    host.read_to_string(&format!("/proc/{pid}/cmdline"))?
                        .trim_end_matches('\0')
                        .replace('\0', " "),
                ),
            },
        };
        if let Some(captures) = matcher.pattern.captures(text) {
            let mut name = String::new();
            captures.expand(matcher.name.as_deref().unwrap_or(comm), &mut name);
            return Ok(Some(match &matcher.name {
                Some(_) => name,
                // Not a template: a name may hold dollars.
                None => comm.to_owned(),
            }));
        }
    }
    Ok(None)
}

/// `VmRSS: 1234 kB`, with a tab; kernel threads have no such line.
fn status_field(status: &str, field: &str) -> Option<u64> {
    let of_field = |line: &str| {
        line.strip_prefix(field)?
            .strip_prefix(':')
            .map(str::to_owned)
    };
    let rest = status.lines().find_map(of_field)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Linux 6.2 and later say it as the directory's size, so that nobody need look into it; before,
/// names are counted if they are granted.
fn descriptors(host: &impl Host, pid: &str) -> Result<Option<u64>, Failure> {
    let path = format!("/proc/{pid}/fd");
    let unless_denied = |error: FileError| match error.is_denied() {
        true => Ok(None),
        false => Err(Failure::from(error)),
    };
    match host.metadata(&path) {
        Ok(metadata) if metadata.size > 0 => return Ok(Some(metadata.size)),
        Ok(_) => {}
        Err(error) => return unless_denied(error),
    }
    match host.list_dir(&path) {
        Ok(names) => Ok(Some(names.len() as u64)),
        Err(error) => unless_denied(error),
    }
}

fn boot_time(host: &impl Host) -> Result<Option<f64>, Failure> {
    let text = match host.read_to_string("/proc/stat") {
        Err(error) if error.is_denied() => return Ok(None),
        text => text?,
    };
    let time = text.lines().find_map(|line| line.strip_prefix("btime "));
    Ok(time.and_then(|time| time.parse().ok()))
}

fn family(
    families: &mut Families,
    kind: Kind,
    (name, help): (&str, &str),
    labels: &[(&str, &str)],
    value: impl Into<Value>,
) {
    families
        .family(kind, &format!("namedprocess_namegroup_{name}"), help)
        .sample(labels, value);
}

// === impl Counts ===

impl Counts {
    fn serve(&self, group: &str, pid: &str, families: &mut Families) {
        let mut counter = |what, more: Option<(&str, &str)>, value: Value| {
            let mut labels = vec![("groupname", group), ("pid", pid)];
            labels.extend(more);
            family(families, Kind::Counter, what, &labels, value);
        };
        for (mode, ticks) in [("user", self.user_ticks), ("system", self.system_ticks)] {
            let seconds = ticks as f64 / USER_HZ;
            let what = ("cpu_seconds_total", "Cpu user usage in seconds");
            counter(what, Some(("mode", mode)), seconds.into());
        }
        let what = ("minor_page_faults_total", "Minor page faults");
        counter(what, None, self.minor_faults.into());
        let what = ("major_page_faults_total", "Major page faults");
        counter(what, None, self.major_faults.into());
        for (kind, switches) in [
            ("voluntary", self.voluntary_switches),
            ("nonvoluntary", self.involuntary_switches),
        ] {
            let what = ("context_switches_total", "Context switches");
            counter(what, Some(("ctxswitchtype", kind)), switches.into());
        }
    }
}

// === impl Sizes ===

impl Sizes {
    fn serve(&self, group: &str, boot: Option<f64>, families: &mut Families) {
        let mut gauge = |what, more: Option<(&str, &str)>, value: Value| {
            let mut labels = vec![("groupname", group)];
            labels.extend(more);
            family(families, Kind::Gauge, what, &labels, value);
        };
        let what = ("num_procs", "number of processes in this group");
        gauge(what, None, self.processes.into());
        let what = ("num_threads", "Number of threads");
        gauge(what, None, self.threads.into());
        for (memtype, bytes) in [
            ("resident", self.resident),
            ("virtual", self.virtual_),
            ("swapped", self.swapped),
        ] {
            let what = ("memory_bytes", "number of bytes of memory in use");
            gauge(what, Some(("memtype", memtype)), bytes.into());
        }
        if let Some(descriptors) = self.descriptors {
            let what = (
                "open_filedesc",
                "number of open file descriptors for this group",
            );
            gauge(what, None, descriptors.into());
        }
        if let (Some(boot), Some(start)) = (boot, self.oldest_start) {
            let what = (
                "oldest_start_time_seconds",
                "start time in seconds since 1970/01/01 of oldest process in group",
            );
            gauge(what, None, (boot + start).into());
        }
    }

    fn add(&mut self, process: &Self) {
        self.processes += process.processes;
        self.threads += process.threads;
        self.resident += process.resident;
        self.swapped += process.swapped;
        self.virtual_ += process.virtual_;
        if let Some(more) = process.descriptors {
            *self.descriptors.get_or_insert(0) += more;
        }
        let starts = [self.oldest_start, process.oldest_start];
        self.oldest_start = starts.into_iter().flatten().reduce(f64::min);
    }
}
