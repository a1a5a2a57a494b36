//! The textfile collector: files in, /metrics out.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Host, Setup};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("exporter-host-textfile-")
                .tempdir()
                .unwrap(),
        )
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Renamed into place, as the writer of such a file should do it.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        let new = self.path().join(format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        path.display().to_string()
    }

    fn host(&self, options: &str, grants: &str) -> Host {
        let directory = self.path().display().to_string();
        let unit = format!("collectors:\n  - name: textfile\n    options: {options}\n");
        Setup::new()
            .component("textfile")
            .file("textfile.yaml", unit.replace("DIR", &directory))
            .file(
                "textfile.plugin.yaml",
                format!("grants: {grants}\n").replace("DIR", &directory),
            )
            .start()
    }
}

const PATHS: &str = "{paths: [\"DIR/*.prom\"]}";
const READ: &str = "{read: [\"DIR/*.prom\"]}";

#[test]
fn good_files_are_merged_into_metrics() {
    let files = Files::new();
    let one = files.write(
        "one.prom",
        "# HELP backup_last_success_timestamp_seconds When.\n# TYPE backup_last_success_timestamp_seconds gauge\n\
         backup_last_success_timestamp_seconds{job=\"a \\\"b\\\"\\n\"} 1.5e9\n\
         # TYPE duration_seconds histogram\nduration_seconds_bucket{le=\"1\"} 2\nduration_seconds_bucket{le=\"+Inf\"} 3\n\
         duration_seconds_sum 7.5\nduration_seconds_count 3\n\
         # TYPE rpc_seconds summary\nrpc_seconds{quantile=\"0.5\"} 0.25\nrpc_seconds_sum 4\nrpc_seconds_count 8\n",
    );
    files.write(
        "two.prom",
        "plain 18446744073709551615\nplain{x=\"1\"} -1\n",
    );
    files.write("not-read.txt", "other 1\n");
    let host = files.host(PATHS, READ);
    let body = host.text();
    let job = [("job", "a \"b\"\n")];
    assert_eq!(
        body.value("backup_last_success_timestamp_seconds", &job),
        Some(1.5e9)
    );
    assert_eq!(
        body.family("backup_last_success_timestamp_seconds")
            .unwrap()
            .help,
        "When."
    );
    assert_eq!(
        body.value("duration_seconds_bucket", &[("le", "1")]),
        Some(2.0)
    );
    assert_eq!(body.value("duration_seconds_count", &[]), Some(3.0));
    assert_eq!(body.family("duration_seconds").unwrap().kind, "histogram");
    assert_eq!(
        body.value("rpc_seconds", &[("quantile", "0.5")]),
        Some(0.25)
    );
    assert_eq!(body.value("plain", &[("x", "1")]), Some(-1.0));
    assert_eq!(body.series("other"), [].into());
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(0.0));
    let mtime = fs::metadata(&one).unwrap().modified().unwrap();
    let mtime = mtime
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let served = body
        .value("node_textfile_mtime_seconds", &[("file", &one)])
        .unwrap();
    assert!((served - mtime).abs() < 1e-3, "{served} is {mtime}");
    host.open_metrics();

    // The next scrape sees what has changed.
    files.write("two.prom", "plain 5\n");
    assert_eq!(host.text().value("plain", &[]), Some(5.0));
}

#[test]
fn nothing_of_a_bad_file_is_passed_on() {
    let files = Files::new();
    files.write("good.prom", "good 1\n");
    let bad: Vec<String> = [
        "bad 1\nbad 1\n",
        "bad 1\nworse{x=y} 1\n",
        "bad 1 1395066363000\n",
        "bad 1\n# TYPE bad gauge\n",
        "# TYPE bad histogram\nbad_bucket{le=\"1\"} 1\nbad_sum 1\nbad_count 1\n",
        "# TYPE bad counter\nbad -1\n",
        "bad 1\ncut 1",
    ]
    .iter()
    .enumerate()
    .map(|(index, content)| files.write(&format!("bad{index}.prom"), content))
    .chain([files.write("bytes.prom", b"bad{x=\"\xff\"} 1\n")])
    .collect();
    let host = files.host(PATHS, READ);
    let body = host.text();
    assert_eq!(body.value("good", &[]), Some(1.0));
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(1.0));
    let names = ["bad", "worse", "cut", "bad_bucket"];
    assert!(
        body.samples().all(|sample| !names.contains(&&*sample.name)),
        "{body:?}"
    );
    for file in &bad {
        let labels = [("file", file.as_str()), ("reason", "invalid")];
        assert_eq!(
            body.value("textfile_left_out", &labels),
            Some(1.0),
            "{file}"
        );
        assert_eq!(
            body.value("node_textfile_mtime_seconds", &labels[..1]),
            None,
            "{file}"
        );
    }
    assert!(
        host.log().contains("nothing of it is served: line 2"),
        "{}",
        host.log()
    );
}

#[test]
fn lenient_files_keep_their_good_lines() {
    let files = Files::new();
    let path = files.write(
        "stap.out",
        "usage_count{path=/bin/ls} 3\nusage_count{path=\"/bin/cat\"} 4\ncut 1",
    );
    let host = files.host(
        "{lenient_paths: [\"DIR/*.out\"]}",
        "{read: [\"DIR/*.out\"]}",
    );
    let body = host.text();
    assert_eq!(
        body.value("usage_count", &[("path", "/bin/cat")]),
        Some(4.0)
    );
    assert_eq!(
        body.value("textfile_skipped_lines", &[("file", &path)]),
        Some(2.0)
    );
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(0.0));
    assert_eq!(body.series("cut"), [].into());
}

#[test]
fn conflicts_leave_the_earlier_file_as_it_is() {
    let files = Files::new();
    files.write("a.prom", "# TYPE a gauge\na 1\n");
    let later = files.write("b.prom", "# TYPE a gauge\na 2\na{x=\"1\"} 3\nb 4\n");
    let other = files.write("c.prom", "# TYPE a counter\na{y=\"1\"} 5\n");
    let body = files.host(PATHS, READ).text();
    assert_eq!(body.series("a").len(), 2);
    assert_eq!(body.value("a", &[("x", "1")]), Some(3.0));
    assert_eq!(body.value("b", &[]), Some(4.0));
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(1.0));
    for file in [later, other] {
        assert_eq!(
            body.value("textfile_conflicts", &[("file", &file)]),
            Some(1.0),
            "{file}"
        );
    }
}

#[test]
fn old_files_are_left_out_if_the_operator_grants_the_clock() {
    let files = Files::new();
    let old = files.write("old.prom", "old 1\n");
    files.write("new.prom", "new 1\n");
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let file = fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(hours_ago).unwrap();
    let options = "{paths: [\"DIR/*.prom\"], max_age: 1h}";
    let body = files
        .host(options, "{read: [\"DIR/*.prom\"], clock: true}")
        .text();
    assert_eq!(
        (body.value("new", &[]), body.value("old", &[])),
        (Some(1.0), None)
    );
    assert_eq!(
        body.value("textfile_left_out", &[("file", &old), ("reason", "stale")]),
        Some(1.0)
    );
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(0.0));
    assert!(
        body.value("node_textfile_mtime_seconds", &[("file", &old)])
            .is_some()
    );

    let host = files.host(options, READ);
    assert_eq!(
        host.text().value("new", &[]),
        None,
        "nobody knows how old it is"
    );
    assert!(host.log().contains("add `clock: true`"), "{}", host.log());
}

#[test]
fn wider_paths_do_not_widen_what_is_read() {
    let files = Files::new();
    files.write("a.prom", "a 1\n");
    let secret = files.write("secret.txt", "secret 1\n");
    std::os::unix::fs::symlink(&secret, files.path().join("link.prom")).unwrap();
    let body = files
        .host(
            "{paths: [\"DIR/*\", /etc/hostname, \"/proc/*/environ\"]}",
            READ,
        )
        .text();
    assert_eq!(
        (body.value("a", &[]), body.value("secret", &[])),
        (Some(1.0), None)
    );
    assert_eq!(
        body.value(
            "textfile_left_out",
            &[("file", "/etc/hostname"), ("reason", "denied")]
        ),
        Some(1.0)
    );
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(1.0));
}

#[test]
fn files_that_are_too_large_cost_themselves() {
    let files = Files::new();
    let lines = |count: usize| -> String {
        (0..count)
            .map(|number| format!("many{{n=\"{number}\"}} {number}\n"))
            .collect()
    };
    let many = files.write("b-many.prom", lines(25_000));
    let long = format!("long{{text=\"{}\"}} 1\n", "x".repeat(9 << 20));
    let long = files.write("c-long.prom", long);
    let room = files.write("d-room.prom", lines(12_000));
    let second = files.write("e-second.prom", lines(12_000).replace("many", "more"));
    files.write("a-good.prom", "good 1\n");
    files.write("z-good.prom", "also_good 2\n");
    let host = files.host(PATHS, READ);
    let body = host.text();
    assert_eq!(body.value("good", &[]), Some(1.0), "{}", host.log());
    assert_eq!(body.value("also_good", &[]), Some(2.0));
    assert_eq!(body.series("many").len(), 12_000);
    assert_eq!(body.series("more").len(), 0);
    assert_eq!(body.value("node_textfile_scrape_error", &[]), Some(1.0));
    for (file, reason) in [
        (&many, "too_many_series"),
        (&long, "too_large"),
        (&second, "too_many_series"),
    ] {
        let labels = [("file", file.as_str()), ("reason", reason)];
        assert_eq!(
            body.value("textfile_left_out", &labels),
            Some(1.0),
            "{file}"
        );
    }
    let served = [("file", room.as_str())];
    assert!(body.value("node_textfile_mtime_seconds", &served).is_some());
    for _ in 0..3 {
        host.text();
    }
    assert_eq!(
        host.log().matches("c-long.prom").count(),
        1,
        "{}",
        host.log()
    );
}
