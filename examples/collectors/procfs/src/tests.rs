use exporter_guest_sdk::files::FileProblem;
use exporter_guest_sdk::testing::{FakeHost, collect, open_collector, take_log};

use super::*;

const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:1000 10 1 2 3 4 5 6 2000 20 11 12 13 14 15 16
eth0:1: bad
";

pub(crate) fn machine() -> FakeHost {
    let mut host = FakeHost::default();
    host.files
        .add("/proc/loadavg", "2.57 2.24 1.56 3/345 6789\n")
        .add("/proc/meminfo", "MemTotal:       24684096 kB\nActive(anon):  8 kB\nHugePages_Total:  3\nOdd line\n")
        .add(
            "/proc/stat",
            "cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 98808 0 10500 105528 860 1 79 98 7 5\ncpu7 1 x\nintr 1371156 0 5\nctxt 1748026\nbtime 1795472728\nprocesses 37067\nprocs_running 3\nprocs_blocked 1\n",
        )
        .add(
            "/proc/diskstats",
            "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n 254       0 vda 107829 12821 14687674 62791 35651 162947 62944512 350112 2 30852 413631 30125 6 5511376 3988 1833 78\n   8  0 sda 1 2 3\n   8 16 sdb 1 2 3 4 5 6 7 8 9 10 11\n",
        )
        .add("/proc/1/net/dev", NET_DEV)
        .add("/proc/pressure/cpu", "some avg10=72.30 avg60=47.79 avg300=36.68 total=259366568\n")
        .add("/proc/pressure/io", "some avg10=0.60 avg60=1.05 avg300=0.58 total=14570272\nfull avg10=0.43 avg60=0.91 avg300=0.44 total=12111672\n")
        .add("/proc/pressure/memory", "some\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=132863\n")
        .add("/proc/sys/fs/file-nr", "953\t0\t2466183\n")
        .add("/proc/uptime", "1661.25 3000.50\n")
        .add("/proc/vmstat", "nr_free_pages 5\npgfault 123\noom_kill 0\npgpgin -4\npswpin x\n");
    host
}

fn run(options: &str, host: &FakeHost) -> Result<String, Failure> {
    let procfs: Procfs = open_collector(options).unwrap();
    collect(&procfs, host, &Request::default())
}

/// All parts off but those named.
fn only(parts: &str) -> String {
    let all = [
        "load",
        "memory",
        "cpu",
        "kernel",
        "disk",
        "network",
        "pressure",
        "file_descriptors",
        "uptime",
        "vmstat",
    ];
    let off = all
        .iter()
        .filter(|part| !parts.split(' ').any(|on| on == **part));
    let off: Vec<String> = off.map(|part| format!(r#""{part}": false"#)).collect();
    format!("{{{}}}", off.join(", "))
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line}\nin\n{text}"
        );
    }
}

#[test]
fn every_part_has_node_exporters_names_and_numbers() {
    take_log();
    let host = machine();
    let text = run("{}", &host).unwrap();
    has(
        &text,
        &[
            "# HELP node_load15 15m load average.",
            "node_load1 2.57",
            "node_load15 1.56",
            "# HELP node_memory_Active_anon_bytes Memory information field Active_anon_bytes.",
            "# TYPE node_memory_MemTotal_bytes gauge",
            "node_memory_MemTotal_bytes 25276514304",
            "node_memory_Active_anon_bytes 8192",
            "node_memory_HugePages_Total 3",
            r#"node_cpu_seconds_total{cpu="0",mode="user"} 988.08"#,
            r#"node_cpu_seconds_total{cpu="0",mode="steal"} 0.98"#,
            r#"node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0.05"#,
            "# TYPE node_intr_total counter",
            "node_intr_total 1371156",
            "node_context_switches_total 1748026",
            "node_boot_time_seconds 1795472728",
            "node_forks_total 37067",
            "node_procs_running 3",
            "node_procs_blocked 1",
            r#"node_disk_read_bytes_total{device="vda"} 7520089088"#,
            r#"node_disk_read_time_seconds_total{device="vda"} 62.791000000000004"#,
            r#"node_disk_io_time_weighted_seconds_total{device="vda"} 413.63100000000003"#,
            r#"node_disk_flush_requests_total{device="vda"} 1833"#,
            r#"node_disk_io_now{device="vda"} 2"#,
            r#"node_disk_io_time_seconds_total{device="sdb"} 0.01"#,
            r#"node_network_receive_bytes_total{device="eth0"} 1000"#,
            r#"node_network_receive_multicast_total{device="eth0"} 6"#,
            r#"node_network_transmit_colls_total{device="eth0"} 14"#,
            "node_pressure_cpu_waiting_seconds_total 259.366568",
            "node_pressure_io_waiting_seconds_total 14.570272000000001",
            "node_pressure_memory_stalled_seconds_total 0.132863",
            "node_filefd_allocated 953",
            "node_filefd_maximum 2466183",
            "node_uptime_seconds 1661.25",
            "# TYPE node_vmstat_pgfault untyped",
            "node_vmstat_pgfault 123",
            "node_vmstat_pgpgin -4",
            r#"node_scrape_collector_success{collector="netdev"} 1"#,
        ],
    );
    for absent in [
        "loop0",
        "\"lo\"",
        "sda",
        "cpu=\"7\"",
        "nr_free_pages",
        "pswpin",
        "memory_waiting",
        "discards_completed_total{device=\"sdb\"}",
        "namedprocess",
    ] {
        assert!(!text.contains(absent), "{absent}");
    }
    // One line of each file could not be read, and said so.
    let log: Vec<String> = take_log().into_iter().map(|(_, line)| line).collect();
    for path in [
        "/proc/meminfo",
        "/proc/stat",
        "/proc/diskstats",
        "/proc/1/net/dev",
        "/proc/pressure/memory",
        "/proc/vmstat",
    ] {
        let lines = log
            .iter()
            .filter(|line| line.starts_with(&format!("{path}: a line is left out")));
        assert_eq!(lines.count(), 1, "{path}: {log:?}");
    }
}

#[test]
fn a_part_that_is_off_reads_nothing() {
    for (part, path, family) in [
        ("load", "/proc/loadavg", "node_load1"),
        ("memory", "/proc/meminfo", "node_memory_MemTotal_bytes"),
        ("cpu", "/proc/stat", "node_cpu_seconds_total"),
        ("kernel", "/proc/stat", "node_forks_total"),
        ("disk", "/proc/diskstats", "node_disk_io_now"),
        (
            "network",
            "/proc/1/net/dev",
            "node_network_receive_bytes_total",
        ),
        (
            "file_descriptors",
            "/proc/sys/fs/file-nr",
            "node_filefd_maximum",
        ),
        ("uptime", "/proc/uptime", "node_uptime_seconds"),
        ("vmstat", "/proc/vmstat", "node_vmstat_pgfault"),
    ] {
        let host = machine();
        let text = run(&only(part), &host).unwrap();
        assert_eq!(host.files.asked(), [path]);
        assert!(text.contains(family));
        let parts = text.matches("node_scrape_collector_success{").count();
        assert_eq!(parts, 1, "{text}");
        let host = machine();
        let text = run(&format!(r#"{{"{part}": false}}"#), &host).unwrap();
        assert!(!text.contains(family));
    }
}

#[test]
fn a_part_that_fails_leaves_the_others_alone() {
    let mut host = machine();
    host.files.remove("/proc/pressure/cpu");
    let denied = FileProblem::Denied("not granted".to_owned());
    host.files.fail("/proc/meminfo", denied);
    let text = run("{}", &host).unwrap();
    has(
        &text,
        &[
            r#"node_scrape_collector_success{collector="meminfo"} 0"#,
            r#"node_scrape_collector_success{collector="pressure"} 0"#,
            r#"node_scrape_collector_success{collector="loadavg"} 1"#,
            "node_load1 2.57",
        ],
    );
    let failure = run(&only("memory"), &host).unwrap_err();
    assert!(matches!(failure, Failure::Denied(_)));
    let failure = run("{}", &FakeHost::default()).unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)));
}

#[test]
fn filters_are_options() {
    let text = run(
        r#"{"disk_exclude": "^vda$", "network_exclude": "^$", "vmstat_fields": "^nr_"}"#,
        &machine(),
    )
    .unwrap();
    assert!(text.contains("loop0") && !text.contains("vda"));
    assert!(text.contains("\"lo\"") && text.contains("node_vmstat_nr_free_pages 5"));
    for (options, error) in [
        (r#"{"disk_exclude": "("}"#, "`disk_exclude`: "),
        (
            r#"{"processes": [{"name": "x"}]}"#,
            "each of `processes` has either",
        ),
        (
            r#"{"processes": [{"comm": "a", "pid": 1}]}"#,
            "option `processes` of procfs: unknown field `pid`",
        ),
        (r#"{"root": "/etc"}"#, "procfs has no option `root`"),
    ] {
        let found = open_collector::<Procfs>(options).unwrap_err().to_string();
        assert!(found.starts_with(error), "{found}");
    }
}

/// A process as its files show it.
pub(crate) fn process(host: &mut FakeHost, pid: u32, comm: &str, start: u64, utime: u64) {
    let rest = format!(
        "S 1 1 1 0 -1 4194304 30 0 5 0 {utime} 7 0 0 20 0 3 0 {start} 8192000 500 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    );
    host.files
        .add(&format!("/proc/{pid}/stat"), format!("{pid} ({comm}) {rest}"))
        .add(&format!("/proc/{pid}/status"), format!("Name:\t{comm}\nVmRSS:\t    2000 kB\nVmSwap:\t       4 kB\nThreads:\t3\nvoluntary_ctxt_switches:\t11\nnonvoluntary_ctxt_switches:\t2\n"))
        .add(&format!("/proc/{pid}/cmdline"), format!("/usr/bin/{comm}\0--port\0{pid}\0"))
        .add(&format!("/proc/{pid}/fd/0"), "")
        .add(&format!("/proc/{pid}/fd/5"), "");
}

fn groups(options: &str) -> String {
    let parts = only("");
    format!(
        "{}, \"processes\": {options}}}",
        parts.trim_end_matches('}')
    )
}

#[test]
fn processes_are_grouped_by_the_first_pattern() {
    let mut host = machine();
    process(&mut host, 10, "postgres", 100, 200);
    process(&mut host, 11, "postgres", 300, 100);
    process(&mut host, 12, "evil) (name", 100, 0);
    process(&mut host, 13, "kworker/0:1", 100, 0);
    process(&mut host, 14, "other", 100, 0);
    host.files.add("/proc/15/stat", "15 nonsense");
    host.files.add("/proc/16/other", "");
    let options = groups(
        r#"[{"comm": "^(kworker)/", "name": "${1}s"}, {"comm": "^(evil|postgres)"}, {"cmdline": "--port (14)$", "name": "port-$1"}]"#,
    );
    let text = run(&options, &host).unwrap();
    has(
        &text,
        &[
            r#"namedprocess_namegroup_num_procs{groupname="postgres"} 2"#,
            r#"namedprocess_namegroup_num_procs{groupname="kworkers"} 1"#,
            r#"namedprocess_namegroup_num_procs{groupname="evil) (name"} 1"#,
            r#"namedprocess_namegroup_num_procs{groupname="port-14"} 1"#,
            r#"namedprocess_namegroup_num_threads{groupname="postgres"} 6"#,
            r#"namedprocess_namegroup_cpu_seconds_total{groupname="postgres",pid="10",mode="user"} 2"#,
            r#"namedprocess_namegroup_cpu_seconds_total{groupname="postgres",pid="11",mode="system"} 0.07"#,
            r#"namedprocess_namegroup_memory_bytes{groupname="postgres",memtype="resident"} 4096000"#,
            r#"namedprocess_namegroup_memory_bytes{groupname="postgres",memtype="virtual"} 16384000"#,
            r#"namedprocess_namegroup_memory_bytes{groupname="postgres",memtype="swapped"} 8192"#,
            r#"namedprocess_namegroup_open_filedesc{groupname="postgres"} 4"#,
            r#"namedprocess_namegroup_oldest_start_time_seconds{groupname="postgres"} 1795472729"#,
            r#"namedprocess_namegroup_context_switches_total{groupname="postgres",pid="10",ctxswitchtype="voluntary"} 11"#,
        ],
    );
}

#[test]
fn a_group_with_a_fixed_name_is_there_without_processes() {
    let mut host = machine();
    host.files.add("/proc/16/other", "");
    let text = run(
        &groups(r#"[{"comm": "^db$", "name": "database"}, {"comm": "^web$"}]"#),
        &host,
    )
    .unwrap();
    has(
        &text,
        &[r#"namedprocess_namegroup_num_procs{groupname="database"} 0"#],
    );
    assert!(!text.contains("web") && !text.contains("oldest_start"));
}

#[test]
fn file_descriptors_are_counted_only_if_granted() {
    let mut host = machine();
    process(&mut host, 10, "db", 100, 200);
    let denied = FileProblem::Denied("not granted".to_owned());
    host.files.fail("/proc/10/fd", denied);
    let text = run(&groups(r#"[{"comm": "^db$"}]"#), &host).unwrap();
    assert!(text.contains("num_procs") && !text.contains("open_filedesc"));
}

#[test]
fn many_names_end_in_one_group() {
    let mut host = machine();
    for pid in 1000..2100 {
        process(&mut host, pid, &format!("p{pid}"), 100, 0);
    }
    let text = run(&groups(r#"[{"comm": "."}]"#), &host).unwrap();
    has(
        &text,
        &[r#"namedprocess_namegroup_num_procs{groupname="other"} 100"#],
    );
    let processes = text.matches("minor_page_faults_total{").count();
    assert_eq!(processes, 1000);
}
