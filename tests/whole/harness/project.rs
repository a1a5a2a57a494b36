//! Plugin projects as `exporter-host plugin new` writes them, built and tested by their languages'
//! tools (tests/languages.sh).

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::host::{binary, compiled_plugins};
use super::objects::repository;

/// Runs `exporter-host plugin …`.
pub(crate) fn plugin(arguments: &[&str]) -> Output {
    Command::new(binary())
        .arg("plugin")
        .args(arguments)
        .output()
        .expect("the host runs")
}

/// The same, which has to succeed: what it printed.
pub(crate) fn plugin_says(arguments: &[&str]) -> String {
    let output = plugin(arguments);
    assert!(
        output.status.success(),
        "plugin {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// `--plugin.cache-dir` of all hosts of the tests.
pub(crate) fn cache() -> String {
    format!("--plugin.cache-dir={}", compiled_plugins().display())
}

/// The component of a new project, which has passed its own test.
pub(crate) fn built(world: &str, lang: &str, name: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("projects")
        .join(name);
    fs::create_dir_all(&project).unwrap();
    // Another run of the tests may be building the same.
    let lock = File::create(project.join(".lock")).unwrap();
    lock.lock().unwrap();
    let changed = write_project(&project, world, lang, name);
    let run = |program: &str, arguments: &[&str]| run(&project, program, arguments);
    let component = match lang {
        "rust" => Path::new("target/wasm32-wasip2/release").join(format!("{name}.wasm")),
        _ => format!("{name}.wasm").into(),
    };
    let component = project.join(component);
    let stale = changed || !component.exists();
    match lang {
        "rust" => {
            run("cargo", &["test", "--quiet"]);
            run(
                "cargo",
                &["build", "--quiet", "--release", "--target", "wasm32-wasip2"],
            );
        }
        "c" => {
            run("make", &["test"]);
            run("make", &[]);
        }
        "js" => {
            run("npm", &["test"]);
            if stale {
                run("npm", &["run", "build"]);
            }
        }
        "python" => {
            run("python3", &["-m", "unittest"]);
            if stale {
                run("sh", &["build.sh"]);
            }
        }
        other => panic!("no language {other}"),
    }
    component
}

/// Files that are the same stay, so that what was built of them does. Whether any is not.
fn write_project(project: &Path, world: &str, lang: &str, name: &str) -> bool {
    let fresh = tempfile::tempdir().unwrap();
    let directory = fresh.path().to_str().unwrap();
    plugin_says(&[
        "new", "--world", world, "--lang", lang, "--dir", directory, name,
    ]);
    if lang == "rust" {
        // The versions of dependencies that everything else is tested with.
        fs::copy(
            repository().join("Cargo.lock"),
            fresh.path().join("Cargo.lock"),
        )
        .unwrap();
    }
    let mut changed = false;
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(fresh.path().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                fs::create_dir_all(project.join(&path)).unwrap();
                directories.push(path);
                continue;
            }
            let content = fs::read(entry.path()).unwrap();
            // Cargo adds what is missing to the lock file: only the first one counts.
            let keep = path == Path::new("Cargo.lock") && project.join(&path).exists();
            if !keep && fs::read(project.join(&path)).ok().as_ref() != Some(&content) {
                fs::write(project.join(&path), content).unwrap();
                changed = true;
            }
        }
    }
    changed
}

fn run(project: &Path, program: &str, arguments: &[&str]) {
    let languages = repository().join("target/languages");
    let tools = [
        languages.join("venv/bin"),
        languages.join("node/node_modules/.bin"),
    ];
    for directory in &tools {
        assert!(
            directory.exists(),
            "there is no {}: run tests/languages.sh",
            directory.display()
        );
    }
    let path = env::var_os("PATH").unwrap();
    let path = env::join_paths(tools.into_iter().chain(env::split_paths(&path))).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(project)
        .args(arguments)
        .env("PATH", path);
    for variable in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "MAKEFLAGS",
    ] {
        command.env_remove(variable);
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program} runs (tests/languages.sh installs it): {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} in {}:\n{}{}",
        project.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
