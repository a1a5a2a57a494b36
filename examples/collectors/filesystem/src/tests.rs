use exporter_guest_sdk::files::{FileProblem, Usage};
use exporter_guest_sdk::testing::{FakeHost, collect, open_collector};

use super::*;

const MOUNTS: &str = "\
proc /proc proc rw 0 0
/dev/vda / ext4 rw,relatime 0 0
tmpfs /run/user tmpfs rw 0 0
overlay /var/lib/x overlay rw 0 0
/dev/vdb /srv/my\\040data xfs ro 0 0
/dev/vdb /srv/my\\040data xfs rw 0 0
nonsense
/dev/vdc /srv/broken nfs rw 0 0
";

fn host() -> FakeHost {
    let mut host = FakeHost::default();
    let usage = Usage {
        total: 100,
        free: 50,
        available: 40,
        files: 10,
        files_free: 5,
        kind: 0xef53,
        read_only: false,
    };
    host.files
        .add("/proc/1/mounts", MOUNTS)
        .file_system_at("/", usage)
        .file_system_at("/srv/my data", Usage { total: 7, ..usage })
        .fail(
            "/srv/broken",
            FileProblem::Io("Stale file handle".to_owned()),
        );
    host
}

fn run(options: &str, host: &FakeHost) -> Result<String, Failure> {
    let filesystem: Filesystem = open_collector(options).unwrap();
    collect(&filesystem, host, &Request::default())
}

#[test]
fn file_systems_are_served_by_mount_point() {
    let host = host();
    let text = run("{}", &host).unwrap();
    for line in [
        "# HELP node_filesystem_avail_bytes Filesystem space available to non-root users in bytes.",
        "# TYPE node_filesystem_avail_bytes gauge",
        r#"node_filesystem_avail_bytes{device="/dev/vda",fstype="ext4",mountpoint="/"} 40"#,
        r#"node_filesystem_size_bytes{device="/dev/vdb",fstype="xfs",mountpoint="/srv/my data"} 7"#,
        r#"node_filesystem_readonly{device="/dev/vdb",fstype="xfs",mountpoint="/srv/my data"} 1"#,
        r#"node_filesystem_device_error{device="/dev/vda",fstype="ext4",mountpoint="/"} 0"#,
        r#"node_filesystem_device_error{device="/dev/vdc",fstype="nfs",mountpoint="/srv/broken"} 1"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nin\n{text}"
        );
    }
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("node_"))
            .count(),
        15
    );
    // What is left out is not looked at either.
    assert_eq!(
        host.files.asked(),
        ["/", "/proc/1/mounts", "/srv/broken", "/srv/my data"]
    );
}

#[test]
fn options_replace_what_is_left_out() {
    let text = run(
        r#"{"mount_points_exclude": "^/srv", "fs_types_exclude": "^$"}"#,
        &host(),
    )
    .unwrap();
    assert!(
        text.contains(
            r#"device_error{device="overlay",fstype="overlay",mountpoint="/var/lib/x"} 1"#
        )
    );
    assert!(!text.contains("/srv"));
    let error = open_collector::<Filesystem>(r#"{"fs_types_exclude": "("}"#).unwrap_err();
    assert!(error.to_string().starts_with("`fs_types_exclude`: "));
}

#[test]
fn what_is_not_granted_is_not_there() {
    let deny = |host: &mut FakeHost, path| {
        let problem = FileProblem::Denied("not granted".to_owned());
        host.files.fail(path, problem);
    };
    let mut host = host();
    deny(&mut host, "/srv/broken");
    assert!(!run("{}", &host).unwrap().contains("broken"));
    deny(&mut host, "/");
    deny(&mut host, "/srv/my data");
    let failure = run("{}", &host).unwrap_err();
    assert_eq!(failure, Failure::Denied("/: not granted".to_owned()));
}
