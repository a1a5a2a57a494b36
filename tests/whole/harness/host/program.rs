//! The program that is tested, and what all hosts share.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// The host's program for another verb than serving.
pub(crate) fn program() -> Command {
    Command::new(binary())
}

/// `EXPORTER_HOST_BIN`, or the one that was built in the same target directory as this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = env::var_os("EXPORTER_HOST_BIN") {
        return path.into();
    }
    // target/PROFILE/deps/whole-HASH
    let test = env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("exporter-host");
    assert!(
        path.exists(),
        "no {}: run cargo build -p exporter-host, or tests/run.sh",
        path.display()
    );
    path
}

/// Where hosts keep compiled plugins, so that not each of some hundred compiles the same. Nothing
/// else is shared between tests.
pub(crate) fn compiled_plugins() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    })
}
