use exporter_guest_sdk::testing::{FakeFiles, FakeHost, collect, open_collector, render, take_log};

use super::*;

fn host(files: &[(&str, &str)]) -> FakeHost {
    let mut host = FakeHost::default();
    for (path, content) in files {
        host.files.add(path, *content);
    }
    host
}

fn serve(options: &str, host: &FakeHost) -> String {
    let collector: Textfile = open_collector(options).unwrap();
    collect(&collector, host, &Request::default()).unwrap()
}

fn series(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

const PROM: &str = r#"{"paths": ["/m/*.prom"]}"#;

#[test]
fn good_files_are_served_with_node_exporter_s_own_families() {
    let mut host = host(&[
        ("/m/a.prom", "# TYPE a gauge\na{x=\"1\"} 1\n"),
        ("/m/b.prom", "a_total 2\n"),
        ("/m/c.tmp", "no"),
    ]);
    host.files.modified("/m/a.prom", 1_500_000_000.25);
    assert_eq!(
        serve(PROM, &host),
        "# HELP a Metric read from /m/a.prom\n\
         # TYPE a gauge\n\
         a{x=\"1\"} 1\n\
         # HELP a_total Metric read from /m/b.prom\n\
         # TYPE a_total untyped\n\
         a_total 2\n\
         # HELP node_textfile_scrape_error 1 if there was an error opening or reading a file, 0 otherwise\n\
         # TYPE node_textfile_scrape_error gauge\n\
         node_textfile_scrape_error 0\n\
         # HELP node_textfile_mtime_seconds Unixtime mtime of textfiles successfully read.\n\
         # TYPE node_textfile_mtime_seconds gauge\n\
         node_textfile_mtime_seconds{file=\"/m/a.prom\"} 1500000000.25\n\
         node_textfile_mtime_seconds{file=\"/m/b.prom\"} 0\n\
         # HELP textfile_conflicts Series of a file that are left out since an earlier file has their name for something else.\n\
         # TYPE textfile_conflicts gauge\n\
         textfile_conflicts{file=\"/m/a.prom\"} 0\n\
         textfile_conflicts{file=\"/m/b.prom\"} 0\n"
    );
}

#[test]
fn nothing_of_a_bad_file_is_served() {
    let host = host(&[("/m/a.prom", "a 1\n"), ("/m/bad.prom", "b 1\nc 1 2\n")]);
    let text = serve(PROM, &host);
    assert_eq!(
        series(&text),
        [
            "a 1",
            "node_textfile_scrape_error 1",
            "node_textfile_mtime_seconds{file=\"/m/a.prom\"} 0",
            "textfile_left_out{file=\"/m/bad.prom\",reason=\"invalid\"} 1",
            "textfile_conflicts{file=\"/m/a.prom\"} 0",
        ]
    );
    let log = take_log();
    assert!(
        log.iter().any(|(_, line)| line
            .starts_with("/m/bad.prom: nothing of it is served: line 2: timestamp `2`")),
        "{log:?}"
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let mut host = host(&[("/m/a.prom", "a 1\n"), ("/m/dir.prom/x", "")]);
    host.files.fail("/m/b.prom", FileProblem::TooLarge(5));
    host.files
        .fail("/m/c.prom", FileProblem::Denied("not granted".to_owned()));
    host.files.fail(
        "/m/d.prom",
        FileProblem::Io("input/output error".to_owned()),
    );
    // Found, and gone when it is to be read.
    host.files.fail("/m/e.prom", FileProblem::NotFound);
    let text = serve(
        r#"{"paths": ["/m/*.prom", "/nowhere/*.prom", "/nowhere/a.prom", "/m/dir.prom"]}"#,
        &host,
    );
    let left_out: Vec<&str> = series(&text)
        .into_iter()
        .filter(|line| line.starts_with(LEFT_OUT))
        .collect();
    assert_eq!(
        left_out,
        [
            "textfile_left_out{file=\"/m/b.prom\",reason=\"too_large\"} 1",
            "textfile_left_out{file=\"/m/c.prom\",reason=\"denied\"} 1",
            "textfile_left_out{file=\"/m/d.prom\",reason=\"unreadable\"} 1",
            "textfile_left_out{file=\"/nowhere\",reason=\"missing\"} 1",
            "textfile_left_out{file=\"/nowhere/a.prom\",reason=\"missing\"} 1",
        ]
    );
    assert!(
        series(&text).contains(&"a 1") && series(&text).contains(&"node_textfile_scrape_error 1")
    );
}

#[test]
fn a_directory_named_as_a_file_is_said_too() {
    let host = host(&[("/m/dir/x", "")]);
    let text = serve(r#"{"paths": ["/m/dir"]}"#, &host);
    assert!(
        text.contains("textfile_left_out{file=\"/m/dir\",reason=\"unreadable\"} 1"),
        "{text}"
    );
}

#[test]
fn lenient_files_are_served_line_by_line() {
    let host = host(&[
        ("/m/a.prom", "a 1\n"),
        ("/proc/stap/one/p", "b{x=y} 1\nc 1\n"),
        ("/proc/stap/two/q", ""),
    ]);
    let text = serve(
        r#"{"paths": ["/m/*.prom"], "lenient_paths": ["/proc/stap/*/p", "/m/a.prom"]}"#,
        &host,
    );
    let series = series(&text);
    for wanted in [
        "c 1",
        "node_textfile_scrape_error 0",
        "textfile_skipped_lines{file=\"/proc/stap/one/p\"} 1",
    ] {
        assert!(series.contains(&wanted), "{wanted} in {text}");
    }
    assert!(
        !text.contains("textfile_skipped_lines{file=\"/m/a.prom\"}"),
        "it is read once, strictly: {text}"
    );
    assert!(!text.contains("two"), "{text}");
}

#[test]
fn conflicts_are_reported_and_the_earlier_file_stands() {
    let host = host(&[
        ("/m/a.prom", "a 1\n"),
        ("/m/b.prom", "a 2\nb 1\nnode_textfile_scrape_error 7\n"),
    ]);
    let text = serve(PROM, &host);
    let series = series(&text);
    for wanted in [
        "a 1",
        "b 1",
        "node_textfile_scrape_error 1",
        "textfile_conflicts{file=\"/m/b.prom\"} 2",
    ] {
        assert!(series.contains(&wanted), "{wanted} in {text}");
    }
    assert!(
        take_log().iter().any(
            |(_, line)| line.contains("1 series left out that an earlier file has, e.g. `a{}`")
        )
    );
}

#[test]
fn stale_files_are_left_out_and_said_to_be() {
    let mut files = FakeFiles::default();
    files
        .add("/m/old.prom", "a 1\n")
        .modified("/m/old.prom", 1000.0);
    files
        .add("/m/new.prom", "b 1\n")
        .modified("/m/new.prom", 1400.0);
    files
        .add("/m/future.prom", "c 1\n")
        .modified("/m/future.prom", 9000.0);
    let collector: Textfile =
        open_collector(r#"{"paths": ["/m/*.prom"], "max_age": "10m"}"#).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1601);
    let mut families = Families::default();
    collector
        .answer(&files, Some((now, collector.max_age.unwrap())))
        .write(&mut families);
    let text = render(families.families());
    let series = series(&text);
    for wanted in [
        "b 1",
        "c 1",
        "node_textfile_scrape_error 0",
        "node_textfile_mtime_seconds{file=\"/m/old.prom\"} 1000",
        "textfile_left_out{file=\"/m/old.prom\",reason=\"stale\"} 1",
    ] {
        assert!(series.contains(&wanted), "{wanted} in {text}");
    }
    assert!(!series.contains(&"a 1"), "{text}");
}

#[test]
fn only_what_the_options_name_is_asked_for() {
    let host = host(&[
        ("/m/a.prom", "a 1\n"),
        ("/m/b.txt", ""),
        ("/other/c.prom", ""),
    ]);
    serve(PROM, &host);
    assert_eq!(host.files.asked(), ["/m", "/m/a.prom"]);
}

#[test]
fn options_say_what_is_wrong_with_them() {
    let error = |options| open_collector::<Textfile>(options).unwrap_err().to_string();
    assert!(error("{}").contains("give `paths`"));
    assert!(error(r#"{"paths": ["a.prom"]}"#).contains("`a.prom` is not absolute"));
    assert!(error(r#"{"paths": ["/a"], "max_age": "soon"}"#).contains("found `soon`"));
    assert!(error(r#"{"path": ["/a"]}"#).contains("textfile has no option `path`"));
    assert!(open_collector::<Textfile>(r#"{"paths": ["/a"], "max_age": 90}"#).is_ok());
}
