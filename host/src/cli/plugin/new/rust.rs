//! What a Rust project has besides its template: a manifest, and the guest-sdk, which is on no
//! registry.

use std::path::Path;

use anyhow::Context;

use super::{NewFlags, ProjectFile, World};

// `SDK`: the files of guest-sdk/, by path, from build.rs.
include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

const WORKSPACE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));

pub(super) fn files(flags: &NewFlags) -> anyhow::Result<Vec<ProjectFile>> {
    let sdk = match &flags.sdk {
        Some(path) => path
            .canonicalize()
            .with_context(|| format!("--sdk: there is no {}", path.display()))?,
        None => "guest-sdk".into(),
    };
    let mut files = vec![
        ("Cargo.toml".into(), manifest(flags, &sdk)),
        (".gitignore".into(), "/target\n".to_owned()),
    ];
    if flags.sdk.is_none() {
        for (path, content) in SDK {
            let content = match *path {
                "Cargo.toml" => on_its_own(content, WORKSPACE),
                _ => (*content).to_owned(),
            };
            files.push((Path::new("guest-sdk").join(path), content));
        }
    }
    Ok(files)
}

fn manifest(flags: &NewFlags, sdk: &Path) -> String {
    let serde = match flags.world {
        World::Decoder => {
            format!(
                "serde = {}\n",
                dependency("serde", WORKSPACE).unwrap_or("\"1\"")
            )
        }
        World::Shaper | World::Collector => String::new(),
    };
    format!(
        "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         # The component, and for tests the same natively.\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
         [dependencies]\nexporter-guest-sdk = {{ path = {:?} }}\n{serde}\n\
         # Small and fast; a panic's message goes to the host's log.\n\
         [profile.release]\npanic = \"abort\"\nlto = true\ncodegen-units = 1\nstrip = \"symbols\"\n\n[workspace]\n",
        flags.name,
        sdk.display()
    )
}

/// A manifest without the workspace that it takes values from.
fn on_its_own(manifest: &str, workspace: &str) -> String {
    let mut out = String::new();
    for line in manifest.lines() {
        let inherited = line
            .strip_suffix(".workspace = true")
            .or_else(|| line.strip_suffix(" = { workspace = true }"));
        match inherited {
            Some(key) => {
                let value = dependency(key, workspace).unwrap_or_default();
                out.push_str(&format!("{key} = {value}\n"));
            }
            None if line == "[lints]" || line == "workspace = true" => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// What a workspace's manifest says of a key of a package or of a dependency.
fn dependency<'a>(key: &str, workspace: &'a str) -> Option<&'a str> {
    let mut lines = workspace.lines();
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_stands_on_its_own() {
        let workspace = "[workspace.package]\nedition = \"2024\"\n[workspace.dependencies]\nserde = { version = \"1\" }\nserde_json = \"1\"\n";
        let manifest = "[package]\nname = \"x\"\nedition.workspace = true\n[dependencies]\nserde = { workspace = true }\n[lints]\nworkspace = true\n";
        assert_eq!(
            on_its_own(manifest, workspace),
            "[package]\nname = \"x\"\nedition = \"2024\"\n[dependencies]\nserde = { version = \"1\" }\n"
        );
    }

    #[test]
    fn nothing_of_the_sdk_is_left_open() {
        let (_, manifest) = SDK.iter().find(|(path, _)| *path == "Cargo.toml").unwrap();
        let manifest = on_its_own(manifest, WORKSPACE);
        assert!(
            !manifest.contains("workspace") && !manifest.contains("= \n"),
            "{manifest}"
        );
        assert!(SDK.iter().any(|(path, _)| *path == "src/lib.rs"));
    }
}
