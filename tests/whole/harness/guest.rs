//! Plugins of the tests' own, from one source file each, built once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::objects::repository;

/// The component of this source. `variables` are there while it is built, for `env!`; `version`
/// tells several of one name apart.
pub(crate) fn component(
    name: &str,
    source: &str,
    version: &str,
    variables: &[(&str, &str)],
) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("plugin")
        .join(name);
    fs::create_dir_all(directory.join("src")).unwrap();
    // Another run of the tests may be building the same.
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    write_if_new(&directory.join("Cargo.toml"), &manifest(name));
    write_if_new(&directory.join("src/lib.rs"), source);
    let lock_file = repository().join("Cargo.lock");
    fs::copy(lock_file, directory.join("Cargo.lock")).unwrap();
    build(&directory, name, version, variables)
}

fn manifest(name: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nexporter-guest-sdk = {{ path = {:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
         [profile.release]\npanic = \"abort\"\nstrip = \"symbols\"\n\n[workspace]\n",
        repository().join("guest-sdk")
    )
}

/// As build.rs of the host builds the standard plugin.
fn build(directory: &Path, name: &str, version: &str, variables: &[(&str, &str)]) -> PathBuf {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(directory)
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .arg("--target-dir")
        .arg(directory.join("target"))
        .envs(variables.iter().copied());
    for variable in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let built = directory.join(format!("target/wasm32-wasip2/release/{name}.wasm"));
    let kept = directory.join(format!("{version}.wasm"));
    fs::copy(built, &kept).unwrap();
    kept
}

/// A file that is written again is built again.
fn write_if_new(path: &Path, content: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(content) {
        fs::write(path, content).unwrap();
    }
}
