//! What a command line that can be read may still get wrong: paths that are not there. Refused
//! before anything is loaded.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use crate::config::discover::{self, DiscoverError};
use crate::loader::plugins::check_cache;
use crate::privileges::UserError;

#[derive(Debug, thiserror::Error)]
pub(super) enum PathError {
    #[error(transparent)]
    Config(#[from] DiscoverError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("--plugin.dir: cannot read the directory {}: {source}", path.display())]
    Plugins { path: PathBuf, source: io::Error },
    #[error("--plugin.cache-dir: cannot keep compiled code in {}: {why}", path.display())]
    Cache { path: PathBuf, why: String },
    #[error("--plugin.cache-dir: {} has to be writable for user {uid}: chown {uid} {}", path.display(), path.display())]
    CacheOwner { path: PathBuf, uid: u32 },
    #[error("{flag}: expected an absolute path, found {}", path.display())]
    Relative { flag: &'static str, path: PathBuf },
}

/// Looks at what the flags name.
pub(super) fn check(settings: &Settings) -> Result<(), PathError> {
    if let Some(user) = &settings.hardening.user {
        user.check_allowed()?;
    }
    let config = &settings.config;
    discover::discover(&config.dir, config.names.as_deref())?;
    for path in &settings.plugin_dirs {
        fs::read_dir(path).map_err(|source| PathError::Plugins {
            path: path.clone(),
            source,
        })?;
    }
    if let Some(path) = &settings.plugin_cache {
        check_cache_directory(path, settings)?;
    }
    for path in &settings.readable {
        absolute("--hardening.read", path)?;
    }
    absolute("--bpf.pin-dir", &settings.pin_dir)
}

fn check_cache_directory(path: &Path, settings: &Settings) -> Result<(), PathError> {
    absolute("--plugin.cache-dir", path)?;
    let user = settings.hardening.user.as_ref().map(|user| user.ids().0);
    check_cache(path, user).map_err(|why| PathError::Cache {
        path: path.to_owned(),
        why,
    })?;
    let owner = fs::metadata(path).map_or(0, |metadata| metadata.uid());
    match user.filter(|user| *user != owner) {
        Some(uid) => Err(PathError::CacheOwner {
            path: path.to_owned(),
            uid,
        }),
        None => Ok(()),
    }
}

fn absolute(flag: &'static str, path: &Path) -> Result<(), PathError> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(PathError::Relative {
        flag,
        path: path.to_owned(),
    })
}
