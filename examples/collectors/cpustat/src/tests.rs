use exporter_guest_sdk::files::FileProblem;
use exporter_guest_sdk::testing::{FakeHost, collect, open_collector, take_log};

use super::*;

/// The talk's.
const SAMPLE: &str = "\
cpu  637436 120 143388 6167354 3276 0 5391 0 0 0
cpu0 178422 16 39617 1538043 937 0 4027 0 0 0
cpu1 152418 22 35188 1543279 806 0 773 0 0 0
cpu2 157274 40 34912 1541462 802 0 370 0 0 0
cpu3 149322 42 33671 1544570 731 0 221 0 0 0
intr 25873114 9 1087 0 0
ctxt 72211190
btime 1541160000
processes 30132
procs_running 1
procs_blocked 0
softirq 17206340 4 5430146
";

fn host(stat: &str) -> FakeHost {
    let mut host = FakeHost::default();
    host.files.add("/proc/stat", stat);
    host
}

fn run(options: &str, stat: &str) -> Vec<String> {
    let cpustat: Cpustat = open_collector(options).unwrap();
    let host = host(stat);
    // Nothing that a probe says makes it read anything else.
    let text = collect(&cpustat, &host, &Request::of("/etc/shadow")).unwrap();
    assert_eq!(host.files.asked(), ["/proc/stat"]);
    let lines = text.lines().map(str::to_owned);
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// Without the count of unreadable lines, which is the last sample.
fn times(options: &str, stat: &str) -> (Vec<String>, String) {
    let mut lines = run(options, stat);
    let unreadable = lines.pop().unwrap();
    let count = unreadable.strip_prefix("cpustat_unreadable_lines ");
    (lines, count.unwrap().to_owned())
}

#[test]
fn the_talks_sample_gives_its_twelve_samples() {
    let (lines, unreadable) = times("{}", SAMPLE);
    assert_eq!(unreadable, "0");
    assert_eq!(lines.len(), 12);
    assert_eq!(
        lines[..4],
        [
            r#"cpustat_time_user_hertz_total{cpu="cpu0",mode="user"} 178422"#,
            r#"cpustat_time_user_hertz_total{cpu="cpu0",mode="system"} 39617"#,
            r#"cpustat_time_user_hertz_total{cpu="cpu0",mode="idle"} 1538043"#,
            r#"cpustat_time_user_hertz_total{cpu="cpu1",mode="user"} 152418"#,
        ]
    );
    let cpustat: Cpustat = open_collector("{}").unwrap();
    let text = collect(&cpustat, &host(SAMPLE), &Request::default()).unwrap();
    assert!(text.starts_with(
        "# HELP cpustat_time_user_hertz_total Time in USER_HZ a given CPU spent in a given mode.\n\
         # TYPE cpustat_time_user_hertz_total counter\n"
    ));
}

#[test]
fn options_give_all_modes_and_seconds() {
    let (all, _) = times(r#"{"modes": "all"}"#, SAMPLE);
    assert_eq!(all.len(), 40);
    assert!(
        all.contains(&r#"cpustat_time_user_hertz_total{cpu="cpu1",mode="softirq"} 773"#.to_owned())
    );
    let (seconds, _) = times(r#"{"unit": "seconds"}"#, SAMPLE);
    assert_eq!(
        seconds[0],
        r#"cpustat_cpu_seconds_total{cpu="cpu0",mode="user"} 1784.22"#
    );
    let error = open_collector::<Cpustat>(r#"{"modes": "some"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "option `modes` of cpustat: unknown variant `some`, expected `main` or `all`"
    );
    let error = open_collector::<Cpustat>(r#"{"file": "/etc/shadow"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cpustat has no option `file`: expected one of modes, unit"
    );
}

#[test]
fn the_sum_of_all_cpus_is_known_by_its_name() {
    // The original dropped the first line, whatever it was.
    let (lines, _) = times(
        "{}",
        "cpu0 1 2 3 4\ncpu 1 2 3 4\ncpufreq 1 2 3 4 5 6 7 8 9 10\n",
    );
    assert_eq!(lines.len(), 3);
    assert!(lines[0].ends_with(r#"{cpu="cpu0",mode="user"} 1"#));
}

#[test]
fn five_hundred_cpus_with_gaps_keep_their_numbers() {
    let mut stat = "cpu  1 2 3 4 5 6 7 8 9 10\n".to_owned();
    for cpu in (0..512).filter(|cpu| cpu % 7 != 3) {
        stat.push_str(&format!("cpu{cpu} {cpu} 0 {cpu}1 {cpu}2 0 0 0 0 0 0\n"));
    }
    let (lines, unreadable) = times("{}", &stat);
    assert_eq!(
        (lines.len(), unreadable.as_str()),
        (3 * (0..512).filter(|cpu| cpu % 7 != 3).count(), "0")
    );
    assert!(!lines.iter().any(|line| line.contains("\"cpu10\"")));
    assert!(
        lines.contains(
            &r#"cpustat_time_user_hertz_total{cpu="cpu511",mode="idle"} 5112"#.to_owned()
        )
    );
}

#[test]
fn columns_are_read_as_far_as_they_go() {
    let all = r#"{"modes": "all"}"#;
    assert_eq!(times(all, "cpu0 1 2 3 4 5 6 7 8\n").0.len(), 8);
    assert_eq!(times(all, "cpu0 1 2 3 4 5 6 7 8 9 10 11 x\n").0.len(), 10);
    assert_eq!(times("{}", "cpu0 1 2\n").0.len(), 1);
}

#[test]
fn a_bad_line_loses_itself_only_and_is_counted() {
    take_log();
    let bad = "cpu0 1 2 x 4\ncpu1 1 2 3 4\ncpu2 99999999999999999999 1 1 1\ncpu3\ncpu1 5 5 5 5\ncpu4 -1 0 0 0\n";
    let (lines, unreadable) = times("{}", bad);
    assert_eq!((lines.len(), unreadable.as_str()), (3, "5"));
    assert!(lines.iter().all(|line| line.contains("\"cpu1\"")));
    let log: Vec<String> = take_log().into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        log[0],
        "/proc/stat: a line is left out: cpu0: system is `x`"
    );
    assert_eq!(log.len(), 5);
}

#[test]
fn numbers_are_exact_up_to_the_last() {
    let (lines, _) = times("{}", "cpu0 18446744073709551615 0 9007199254740993 0\n");
    assert!(lines[0].ends_with(" 18446744073709551615"));
    assert!(lines[1].ends_with(" 9007199254740993"));
}

#[test]
fn a_line_of_a_megabyte_does_not_matter() {
    let stat = format!("{SAMPLE}intr 1{}\ncpu9 1 1 1 1\n", " 0".repeat(512 << 10));
    assert_eq!(times("{}", &stat).0.len(), 15);
}

#[test]
fn nothing_to_read_gives_no_series_and_an_unreadable_file_fails() {
    assert_eq!(times("{}", ""), (Vec::new(), "0".to_owned()));
    let cpustat: Cpustat = open_collector("{}").unwrap();
    let failure = collect(&cpustat, &FakeHost::default(), &Request::default()).unwrap_err();
    assert_eq!(
        failure,
        Failure::Unreachable("/proc/stat: no such file or directory".to_owned())
    );
    let mut host = FakeHost::default();
    host.files
        .fail("/proc/stat", FileProblem::Denied("not granted".to_owned()));
    let failure = collect(&cpustat, &host, &Request::default()).unwrap_err();
    assert_eq!(
        failure,
        Failure::Denied("/proc/stat: not granted".to_owned())
    );
}
