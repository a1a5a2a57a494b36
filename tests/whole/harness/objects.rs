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

/// Objects name the probed program by its path, so their sources are made here.
fn build_usdt(directory: &Path) {
    compile_target(directory, "usdt-target", &[]);
    // At the same address in each process, as kernels before 5.15 want it.
    compile_target(directory, "usdt-arguments", &["-no-pie"]);
    let vendored = |to: &Path| {
        for (name, header) in libbpf_sys::API_HEADERS {
            fs::write(to.join(name), header).unwrap();
        }
    };
    build_probe(directory, "usdt", "usdt-target", "usdt", vendored);
    // Of a version that there is not yet.
    build_probe(directory, "usdt", "usdt-target", "usdt-unknown", |to| {
        vendored(to);
        let header = to.join("usdt.bpf.h");
        let text = fs::read_to_string(&header).unwrap();
        fs::write(&header, text.replace("arg_bitshift", "arg_shift")).unwrap();
    });
    build_probe(
        directory,
        "usdt-arguments",
        "usdt-arguments",
        "usdt-arguments-1.7",
        vendored,
    );
    // Of the system; of Debian 12: 1.1.
    build_probe(
        directory,
        "usdt-arguments",
        "usdt-arguments",
        "usdt-arguments-system",
        |to| {
            fs::write(to.join("usdt.bpf.h"), "#include <bpf/usdt.bpf.h>\n").unwrap();
        },
    );
    let older = fetch_libbpf(directory, "1.5");
    build_probe(
        directory,
        "usdt-arguments",
        "usdt-arguments",
        "usdt-arguments-1.5",
        |to| {
            for entry in fs::read_dir(&older).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "h") {
                    fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
                }
            }
        },
    );
}

fn compile_target(directory: &Path, name: &str, flags: &[&str]) {
    let new = directory.join(format!("{name}.new"));
    let output = Command::new("cc")
        .arg("-O2")
        .args(flags)
        .arg("-o")
        .arg(&new)
        .arg(repository().join(format!("tests/bpf/{name}.c")))
        .output()
        .expect("cc runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another run may be executing the one that is there.
    fs::rename(new, directory.join(name)).unwrap();
}

/// `headers` puts a version of usdt.bpf.h, and what that includes, beside the source.
fn build_probe(
    directory: &Path,
    source: &str,
    target: &str,
    name: &str,
    headers: impl FnOnce(&Path),
) {
    let from = |name: &str| repository().join("tests/bpf").join(name);
    let text = fs::read_to_string(from(&format!("{source}.bpf.c.in"))).unwrap();
    let text = text.replace("@TARGET@", directory.join(target).to_str().unwrap());
    let sources = directory.join(format!("{name}.src"));
    fs::create_dir_all(&sources).unwrap();
    headers(&sources);
    fs::write(sources.join(format!("{name}.bpf.c")), text).unwrap();
    fs::copy(from("test.bpf.h"), sources.join("test.bpf.h")).unwrap();
    build(directory, &[&sources]);
}

/// The sources of a release of libbpf, as the package libbpf-sys brings them.
fn fetch_libbpf(directory: &Path, version: &str) -> PathBuf {
    let package = directory.join(format!("libbpf-{version}"));
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("src/lib.rs"), "").unwrap();
    let manifest = package.join("Cargo.toml");
    let content = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\n[workspace]\n[dependencies]\n\
         libbpf-sys = \"~{version}\"\n"
    );
    fs::write(&manifest, content).unwrap();
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let found = packages.find(|package| package["name"] == "libbpf-sys");
    let manifest = found.unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).with_file_name("libbpf").join("src")
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
