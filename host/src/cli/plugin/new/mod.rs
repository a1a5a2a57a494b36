//! `exporter-host plugin new`: a project that builds and passes its test, from files inside this
//! binary.

mod readme;
mod rust;
mod templates;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use templates::Template;

/// Write the project of a new plugin: sources, a test, how to build it, a sidecar with its grants,
/// and the interface
#[derive(Debug, Args)]
#[command(
    after_help = "Every language can be used for every world. What comes out is a small working plugin to change into yours."
)]
pub(super) struct NewFlags {
    /// What the plugin does
    #[arg(long, value_enum)]
    world: World,

    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,

    /// The plugin's name, by which configs will ask for it: small letters, digits and _
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,

    /// Directory of the project [default: NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Rust: use the guest-sdk at this path rather than a copy of this binary's own
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum World {
    /// The bytes of a label become text
    Decoder,
    /// A map's keys and values become families
    Shaper,
    /// Families from files or the network, without BPF
    Collector,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Built by cargo for wasm32-wasip2
    Rust,
    /// Built by clang and wasm-tools
    C,
    /// Built by componentize-qjs (QuickJS)
    Js,
    /// Built by componentize-py (CPython)
    Python,
}

/// One file of a project: where, and what is in it.
type ProjectFile = (PathBuf, String);

pub(super) fn new(flags: &NewFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let directory = flags
        .dir
        .clone()
        .unwrap_or_else(|| flags.name.clone().into());
    let files = project(flags)?;
    write(&directory, &files)?;
    let directory = directory.display();
    writeln!(
        out,
        "{directory}: {} in {}",
        flags.world.with_article(),
        flags.lang.name()
    )?;
    for (path, _) in &files {
        // The SDK's are many and none of the author's.
        if !path.starts_with("guest-sdk") {
            writeln!(out, "  {}", path.display())?;
        }
    }
    let commands = readme::commands(flags.world, flags.lang, &flags.name);
    writeln!(out, "\nTo build, test and try it:\n  cd {directory}")?;
    for command in commands {
        writeln!(out, "  {command}")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All files of the project.
fn project(flags: &NewFlags) -> anyhow::Result<Vec<ProjectFile>> {
    if flags.sdk.is_some() && flags.lang != Language::Rust {
        bail!(super::Usage("--sdk is for --lang rust".to_owned()));
    }
    let template = Template::of(flags.world, flags.lang);
    let mut files: Vec<ProjectFile> = template
        .files
        .iter()
        .map(|(path, content)| (path.into(), content.replace(template.name, &flags.name)))
        .collect();
    files.push(("wit/plugin.wit".into(), templates::WIT.to_owned()));
    if flags.lang == Language::Rust {
        files.extend(rust::files(flags)?);
    }
    files.push((
        format!("{}.plugin.yaml", flags.name).into(),
        readme::sidecar(flags.world, &flags.name),
    ));
    files.push((
        "README.md".into(),
        readme::readme(flags.world, flags.lang, &flags.name),
    ));
    files.sort();
    Ok(files)
}

/// Nothing that is there is touched.
fn write(directory: &Path, files: &[ProjectFile]) -> anyhow::Result<()> {
    if let Ok(mut entries) = fs::read_dir(directory)
        && entries.next().is_some()
    {
        bail!(
            "{} is not empty: name another directory with --dir",
            directory.display()
        );
    }
    for (path, content) in files {
        let path = directory.join(path);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, content));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

// === impl World ===

impl World {
    fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Shaper => "shaper",
            Self::Collector => "collector",
        }
    }

    fn with_article(self) -> String {
        format!("a {}", self.name())
    }
}

// === impl Language ===

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Js => "JavaScript",
            Self::Python => "Python",
        }
    }
}

/// A name that is one in each language and in the YAML, and not the name of something that a
/// project has already.
fn name(text: &str) -> Result<String, String> {
    const TAKEN: [&str; 14] = [
        "alloc",
        "app",
        "bindings",
        "core",
        "decoder",
        "exporter_guest_sdk",
        "json",
        "main",
        "plugin",
        "proc_macro",
        "shaper",
        "std",
        "test",
        "wit_world",
    ];
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && text.len() <= 64;
    if !good {
        return Err("expected small letters, digits and _, a letter first".to_owned());
    }
    if TAKEN.contains(&text) {
        return Err("this name means something else in a project".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_everywhere() {
        for good in ["a", "tcp_state2", "x1"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", "1a", "A", "a-b", "a b", "../a", "_a", "std", "test"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_trace_of_the_templates_name_is_left() {
        for world in World::value_variants() {
            for lang in Language::value_variants() {
                let flags = NewFlags {
                    world: *world,
                    lang: *lang,
                    name: "mine".to_owned(),
                    dir: None,
                    sdk: None,
                };
                let files = project(&flags).unwrap();
                for (path, content) in &files {
                    for name in ["tcp_state", "hits_misses", "load_average"] {
                        assert!(!content.contains(name), "{}: {name}", path.display());
                    }
                }
                let has = |wanted: &str| files.iter().any(|(path, _)| path == Path::new(wanted));
                assert!(has("README.md") && has("mine.plugin.yaml") && has("wit/plugin.wit"));
            }
        }
    }
}
