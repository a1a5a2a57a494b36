//! Builds the standard plugin (decoders/) as a component, for the binary to embed, and notes
//! wasmtime's exact version for the compile cache.
#![expect(
    clippy::expect_used,
    reason = "failing loudly is a build script's way to report"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let workspace =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    for input in ["decoders", "guest-sdk", "wit", "Cargo.lock", "Cargo.toml"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!(
        "cargo::rustc-env=STANDARD_PLUGIN={}",
        build_standard_plugin(&workspace).display()
    );
    list_sdk(&workspace);
    // A uprobe finds `post_attach_mark` (src/bpf/mark.rs) even after strip.
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=post_attach_mark");
    println!(
        "cargo::rustc-env=WASMTIME_VERSION={}",
        locked_version(&workspace, "wasmtime")
    );
    println!(
        "cargo::rustc-env=EXPORTER_HOST_REVISION={}",
        revision(&workspace)
    );
    println!("cargo::rustc-env=EXPORTER_HOST_RUSTC={}", rustc_version());
}

/// A cargo of its own in a target directory of its own: the outer one holds the lock of the usual
/// one.
fn build_standard_plugin(workspace: &Path) -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out; debug and release share the component.
    let target = out
        .ancestors()
        .nth(4)
        .expect("OUT_DIR lies in the target directory")
        .join("guest");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo.current_dir(workspace).args([
        "build",
        "--package",
        "standard-decoders",
        "--lib",
        "--target",
        "wasm32-wasip2",
        "--profile",
        "guest",
    ]);
    cargo.arg("--target-dir").arg(&target);
    for variable in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
    ] {
        cargo.env_remove(variable);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(
        status.success(),
        "the standard plugin (decoders/) did not build for wasm32-wasip2, see the messages above; if the target is missing: rustup target add wasm32-wasip2"
    );
    target.join("wasm32-wasip2/guest/standard_decoders.wasm")
}

/// `sdk_files.rs`: the guest-sdk's files with their content, for `plugin new`.
fn list_sdk(workspace: &Path) {
    let root = workspace
        .join("guest-sdk")
        .canonicalize()
        .expect("guest-sdk is there");
    let mut files = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("guest-sdk can be read") {
            let path = entry.expect("guest-sdk can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut list = String::from("static SDK: &[(&str, &str)] = &[\n");
    for file in files {
        let path = file.strip_prefix(&root).expect("it is inside");
        list.push_str(&format!("    ({path:?}, include_str!({file:?})),\n"));
    }
    list.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("sdk_files.rs"), list).expect("OUT_DIR can be written to");
}

fn locked_version(workspace: &Path, package: &str) -> String {
    let lock =
        std::fs::read_to_string(workspace.join("Cargo.lock")).expect("Cargo.lock can be read");
    let start = lock
        .find(&format!("name = \"{package}\"\nversion = \""))
        .expect("the package is locked");
    lock[start..]
        .split('"')
        .nth(3)
        .expect("a locked package has a version")
        .to_owned()
}

/// The commit, or "unknown" outside a checkout.
fn revision(workspace: &Path) -> String {
    let output = Command::new("git")
        .current_dir(workspace)
        .args(["rev-parse", "HEAD"])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
