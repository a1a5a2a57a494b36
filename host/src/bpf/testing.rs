//! Helpers of this room's tests: maps of their own, objects compiled from C on the spot.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;

use libbpf_rs::MapHandle;
use libbpf_rs::MapType;

use super::map::Map;

/// A map that lives as long as the value.
pub(super) fn map(
    kind: MapType,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
) -> Map {
    let mut options = libbpf_sys::bpf_map_create_opts {
        map_flags: flags,
        ..Default::default()
    };
    options.sz = std::mem::size_of_val(&options) as _;
    let handle = MapHandle::create(
        kind,
        Some("exporter_test"),
        key_size,
        value_size,
        max_entries,
        &options,
    )
    .unwrap();
    Map::new(
        handle.as_fd().try_clone_to_owned().unwrap(),
        "exporter_test",
        false,
    )
    .unwrap()
}

/// A directory with one object in it, gone when dropped.
pub(super) struct Compiled {
    pub(super) path: PathBuf,
    _dir: tempfile::TempDir,
}

/// Compiles a BPF program. `source` follows the usual includes.
pub(super) fn compile(source: &str) -> Compiled {
    const HEAD: &str = "#include <linux/types.h>\n#include <linux/bpf.h>\n#include <linux/ptrace.h>\n\
        #include <stdbool.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\ntypedef __u64 u64; typedef __u32 u32;\n\
        char LICENSE[] SEC(\"license\") = \"GPL\";\n";
    let dir = tempfile::tempdir().unwrap();
    let (c, path) = (dir.path().join("test.bpf.c"), dir.path().join("test.bpf.o"));
    fs::write(&c, format!("{HEAD}{source}")).unwrap();
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x86"
    };
    let output = Command::new("clang")
        .args([
            "-g",
            "-O2",
            "-target",
            "bpf",
            &format!("-D__TARGET_ARCH_{arch}"),
        ])
        .arg(format!(
            "-I/usr/include/{}-linux-gnu",
            std::env::consts::ARCH
        ))
        .arg("-c")
        .arg(&c)
        .arg("-o")
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Compiled { path, _dir: dir }
}
