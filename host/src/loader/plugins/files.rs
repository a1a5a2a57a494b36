//! The plugin files of the directories: what they are now, and the last version of each that could
//! be compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::cache::{Cached, CompileCache};
use crate::config::sidecar::{self, PathPattern};
use crate::digest::Digest;
use crate::plugin::{
    Compile, CompileError, LoadError, PluginParts, STANDARD, STANDARD_NAME, read_component,
};

/// All plugins of the process, as files.
pub(crate) struct PluginFiles {
    directories: Vec<PathBuf>,
    cache: Option<CompileCache>,
    /// The compiled code of the plugin inside the binary.
    standard: Option<OwnedFd>,
    /// In the order of the directories, and in each of the names.
    files: Vec<PluginFile>,
    /// Orphan sidecars that were warned of.
    warned: BTreeSet<String>,
}

/// What the directories have come to.
pub(crate) struct Scan {
    /// Of all plugins that can be used, the standard one first. The last good version of what
    /// cannot be used now is among them.
    pub(crate) parts: Vec<PluginParts>,
    /// What cannot be used, and why.
    pub(crate) failed: Vec<(PathBuf, String)>,
    /// Directories that cannot be read, and why. Their plugins go on as they were.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
    /// Files that the sidecars of `parts` let plugins read.
    pub(crate) granted: Vec<PathPattern>,
}

struct PluginFile {
    path: PathBuf,
    /// The file's name less `.wasm`.
    name: String,
    /// The last one that could be used.
    good: Option<Version>,
    /// The last one that could not be compiled, and why.
    refused: Option<(Digest, String)>,
}

struct Version {
    /// Of the `.wasm`.
    digest: Digest,
    /// The text.
    sidecar: Option<Vec<u8>>,
    /// What the sidecar lets the plugin read.
    read: Vec<PathPattern>,
    compiled: OwnedFd,
}

impl PluginFiles {
    /// Nothing is read yet. `directories`: plugins of earlier ones come first. `cache`: for
    /// compiled code; None: it is kept in memory only.
    pub(crate) fn new(directories: Vec<PathBuf>, cache: Option<CompileCache>) -> Self {
        Self {
            directories,
            cache,
            standard: None,
            files: Vec::new(),
            warned: BTreeSet::new(),
        }
    }

    /// Looks at all files, and has `compile` compile what is new. Blocks as long as that takes.
    pub(crate) fn scan(&mut self, compile: &dyn Compile) -> Scan {
        let compile = Cached::new(self.cache.as_ref(), compile);
        let (mut failed, mut unreadable) = (Vec::new(), Vec::new());
        if self.standard.is_none() {
            match compile.compile(STANDARD_NAME, STANDARD) {
                Ok(compiled) => self.standard = Some(compiled),
                Err(error) => failed.push((STANDARD_NAME.into(), error.to_string())),
            }
        }
        let mut round = Round::new(std::mem::take(&mut self.files));
        for directory in &self.directories {
            match list(directory) {
                Ok((paths, orphans)) => {
                    for orphan in orphans {
                        if !self.warned.contains(&orphan) {
                            tracing::warn!("{orphan}");
                            self.warned.insert(orphan);
                        }
                    }
                    paths
                        .into_iter()
                        .for_each(|path| round.look(path, &compile));
                }
                Err(error) => {
                    round.keep(directory);
                    unreadable.push((directory.clone(), error));
                }
            }
        }
        self.files = round.files;
        failed.extend(round.failed);
        Scan {
            parts: self.parts(),
            failed,
            unreadable,
            granted: self.granted(),
        }
    }

    /// Those of the last scan, for whoever has none of them yet.
    pub(crate) fn parts(&self) -> Vec<PluginParts> {
        let standard = self.standard.as_ref();
        let standard = standard.map(|code| PluginParts::standard(duplicate(STANDARD_NAME, code)));
        let files = self.files.iter().filter_map(PluginFile::parts);
        standard.into_iter().chain(files).collect()
    }

    fn granted(&self) -> Vec<PathPattern> {
        let versions = self.files.iter().filter_map(|file| file.good.as_ref());
        versions
            .flat_map(|version| version.read.iter().cloned())
            .collect()
    }
}

/// One look at all files.
struct Round {
    /// What is known of those that have not been looked at.
    before: BTreeMap<PathBuf, PluginFile>,
    /// Those that have been.
    files: Vec<PluginFile>,
    /// Of plugins that can be used.
    names: BTreeSet<String>,
    failed: Vec<(PathBuf, String)>,
}

impl Round {
    fn new(before: Vec<PluginFile>) -> Self {
        let before = before.into_iter();
        Self {
            before: before.map(|file| (file.path.clone(), file)).collect(),
            files: Vec::new(),
            names: BTreeSet::from([STANDARD_NAME.to_owned()]),
            failed: Vec::new(),
        }
    }

    fn look(&mut self, path: PathBuf, compile: &Cached<'_>) {
        let known = self.before.remove(&path);
        let mut file = known.unwrap_or_else(|| PluginFile::new(path));
        if self.names.contains(&file.name) {
            // It is not even compiled, and nothing of it is remembered.
            let taken = LoadError::NameTaken(file.name);
            self.failed.push((file.path, taken.to_string()));
            return;
        }
        if let Err(error) = file.look(compile) {
            self.failed.push((file.path.clone(), error.to_string()));
        }
        self.add(file);
    }

    /// Everything of a directory goes on as it was.
    fn keep(&mut self, directory: &Path) {
        let is_there = |path: &&PathBuf| path.parent() == Some(directory);
        let known: Vec<PathBuf> = self.before.keys().filter(is_there).cloned().collect();
        for path in known {
            if let Some(file) = self.before.remove(&path)
                && !self.names.contains(&file.name)
            {
                self.add(file);
            }
        }
    }

    fn add(&mut self, file: PluginFile) {
        if file.good.is_some() {
            self.names.insert(file.name.clone());
        }
        self.files.push(file);
    }
}

impl PluginFile {
    fn new(path: PathBuf) -> Self {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self {
            name: name.into_owned(),
            path,
            good: None,
            refused: None,
        }
    }

    /// Takes over what the file and its sidecar are now. An error: they cannot be used, and the
    /// last good version stays.
    fn look(&mut self, compile: &Cached<'_>) -> Result<(), LoadError> {
        let bytes = read_component(&self.path)?;
        let text = sidecar::read_text(&self.path).map_err(LoadError::Sidecar)?;
        let parsed = text.as_deref().map(|text| sidecar::parse(&self.path, text));
        let parsed = parsed.transpose().map_err(LoadError::Sidecar)?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = parsed.as_ref().and_then(|sidecar| sidecar.sha256)
            && expected != digest
        {
            return Err(LoadError::OtherBytes {
                expected,
                found: digest,
            });
        }
        let read = parsed.map(|sidecar| sidecar.grants.read);
        let read = read.unwrap_or_default();
        match (&mut self.good, &self.refused) {
            (Some(good), _) if good.digest == digest => {
                good.sidecar = text;
                good.read = read;
            }
            (_, Some((refused, why))) if *refused == digest => {
                return Err(CompileError::Refused(why.clone()).into());
            }
            _ => {
                let compiled = compile.compiled(&self.name, digest, &bytes);
                let compiled = compiled.inspect_err(|error| {
                    if let CompileError::Refused(why) = error {
                        self.refused = Some((digest, why.clone()));
                    }
                })?;
                self.good = Some(Version {
                    digest,
                    sidecar: text,
                    read,
                    compiled,
                });
            }
        }
        Ok(())
    }

    fn parts(&self) -> Option<PluginParts> {
        let Version {
            digest,
            sidecar,
            compiled,
            ..
        } = self.good.as_ref()?;
        Some(PluginParts {
            name: self.name.clone(),
            path: self.path.clone(),
            digest: *digest,
            sidecar: sidecar.clone(),
            compiled: duplicate(&self.name, compiled),
        })
    }
}

/// None, which is said, where this process may have no more descriptors: whoever has this version
/// already needs none.
fn duplicate(name: &str, compiled: &OwnedFd) -> Option<OwnedFd> {
    let duplicate = compiled.try_clone();
    let duplicate = duplicate.inspect_err(|error| {
        tracing::error!(
            plugin = name,
            "compiled code cannot be handed on: {error}: raise the limit on open files"
        );
    });
    duplicate.ok()
}

/// The plugins of a directory, and what is to be said of sidecars without one.
fn list(directory: &Path) -> io::Result<(Vec<PathBuf>, Vec<String>)> {
    let orphans = sidecar::orphans(directory)?;
    let orphans = orphans.iter().map(ToString::to_string).collect();
    Ok((plugin_files(directory)?, orphans))
}

/// The `*.wasm` of a directory, sorted; hidden files are somebody's temporary ones.
pub(crate) fn plugin_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.ends_with(b".wasm") && !name.starts_with(b".") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
