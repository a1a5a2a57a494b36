//! The BPF objects of the tests and of the examples, compiled once.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where this repository's sources are.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The compiled object of `NAME.bpf.c` in `tests/bpf`, `examples/conf.d` or `examples/probes`.
pub(crate) fn object(name: &str) -> PathBuf {
    let path = all().join(format!("{name}.bpf.o"));
    assert!(path.exists(), "no test object {name}");
    path
}

/// A program with a USDT probe, and the object that is attached to it, `usdt.bpf.o` beside it.
pub(crate) fn usdt_target() -> PathBuf {
    all().join("usdt-target")
}

/// Whether this is one of the virtual machines of `tests/kernels.sh`.
pub(crate) fn is_emulated() -> bool {
    env::var_os("EXPORTER_TEST_OBJECTS").is_some_and(|are| are == "built")
}

/// Where all of them are. `EXPORTER_TEST_OBJECTS=built` in the virtual machines of
/// `tests/kernels.sh`, which have no compiler.
pub(crate) fn all() -> &'static Path {
    static ALL: OnceLock<PathBuf> = OnceLock::new();
    ALL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("objects");
        if is_emulated() {
            return directory;
        }
        fs::create_dir_all(&directory).unwrap();
        // Another run of the tests may be compiling the same.
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let sources = repository();
        build(
            &directory,
            &[
                &sources.join("tests/bpf"),
                &sources.join("examples/conf.d"),
                &sources.join("examples/probes"),
            ],
        );
        build_usdt(&directory);
        directory
    })
}

/// The object names the program by its path, so its source is made here.
fn build_usdt(directory: &Path) {
    let target = directory.join("usdt-target");
    let from = |name: &str| repository().join("tests/bpf").join(name);
    let new = directory.join("usdt-target.new");
    let output = Command::new("cc")
        .arg("-O2")
        .arg("-o")
        .arg(&new)
        .arg(from("usdt-target.c"))
        .output()
        .expect("cc runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another run may be executing the one that is there.
    fs::rename(new, &target).unwrap();
    let source = fs::read_to_string(from("usdt.bpf.c.in")).unwrap();
    let source = source.replace("@TARGET@", target.to_str().unwrap());
    // Beside its headers, which are found by their place: those of the libbpf that the host has in
    // it, as what a probe's arguments look like in memory is between the two of them.
    let sources = directory.join("usdt");
    fs::create_dir_all(&sources).unwrap();
    for (name, header) in libbpf_sys::API_HEADERS {
        fs::write(sources.join(name), header).unwrap();
    }
    fs::write(sources.join("usdt.bpf.c"), source).unwrap();
    fs::copy(from("test.bpf.h"), sources.join("test.bpf.h")).unwrap();
    build(directory, &[&sources]);
}

/// Compiles BPF programs as the examples are compiled.
pub(crate) fn build(directory: &Path, sources: &[&Path]) {
    let output = Command::new(repository().join("examples/build-bpf.sh"))
        .arg(directory)
        .args(sources)
        .output()
        .expect("examples/build-bpf.sh runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
