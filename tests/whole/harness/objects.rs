//! The BPF objects of the tests and of the examples, compiled once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where this repository's sources are.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The compiled object of `tests/bpf/NAME.bpf.c` or `examples/conf.d/NAME.bpf.c`.
pub(crate) fn object(name: &str) -> PathBuf {
    let path = all().join(format!("{name}.bpf.o"));
    assert!(path.exists(), "no test object {name}");
    path
}

fn all() -> &'static Path {
    static ALL: OnceLock<PathBuf> = OnceLock::new();
    ALL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("objects");
        fs::create_dir_all(&directory).unwrap();
        // Another run of the tests may be compiling the same.
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let sources = repository();
        build(
            &directory,
            &[&sources.join("tests/bpf"), &sources.join("examples/conf.d")],
        );
        directory
    })
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
