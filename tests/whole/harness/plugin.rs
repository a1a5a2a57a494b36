//! A plugin in several versions, built once: a decoder `spoken` that puts its version before what it is given.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::objects::repository;

const SOURCE: &str = r#"
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

struct Spoken;

impl Decoder for Spoken {
    const NAME: &'static str = "spoken";
    const SUMMARY: &'static str = "anything: the same with this plugin's version before it";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        out.extend_from_slice(concat!(env!("SPOKEN_VERSION"), " ").as_bytes());
        out.extend_from_slice(input);
        Ok(Answer::Known)
    }
}

exporter_guest_sdk::export_plugin! { decoders: [Spoken] }
"#;

/// The component of this version: `first` or `second`.
pub(crate) fn spoken(version: &str) -> PathBuf {
    static ALL: OnceLock<PathBuf> = OnceLock::new();
    let directory = ALL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
        fs::create_dir_all(directory.join("src")).unwrap();
        // Another run of the tests may be building the same.
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        write_if_new(&directory.join("Cargo.toml"), &manifest());
        write_if_new(&directory.join("src/lib.rs"), SOURCE);
        fs::copy(
            repository().join("Cargo.lock"),
            directory.join("Cargo.lock"),
        )
        .unwrap();
        for version in ["first", "second"] {
            build(&directory, version);
        }
        directory
    });
    directory.join(format!("{version}.wasm"))
}

fn manifest() -> String {
    format!(
        "[package]\nname = \"spoken\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nexporter-guest-sdk = {{ path = {:?} }}\n\n\
         [profile.release]\npanic = \"abort\"\nstrip = \"symbols\"\n\n[workspace]\n",
        repository().join("guest-sdk")
    )
}

/// As build.rs of the host builds the standard plugin.
fn build(directory: &Path, version: &str) {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(directory)
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .arg("--target-dir")
        .arg(directory.join("target"))
        .env("SPOKEN_VERSION", version);
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
    let built = directory.join("target/wasm32-wasip2/release/spoken.wasm");
    fs::copy(built, directory.join(format!("{version}.wasm"))).unwrap();
}

/// A file that is written again is built again.
fn write_if_new(path: &Path, content: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(content) {
        fs::write(path, content).unwrap();
    }
}
