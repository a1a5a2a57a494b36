//! Which files the process may still open once landlock is on.
//!
//! Landlock's rules hold for what lies beneath a directory, by inode and not by name. Two things
//! follow. A directory that is replaced as a whole is another inode: the rule has to be on its
//! parent. And a file that is replaced by renaming another one over it needs a rule on its
//! directory, not on itself.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const RESOLVER: &str = "/etc/resolv.conf";

/// Paths that landlock leaves open. What is not there is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Written to, made in, removed from.
    pub(super) write: Vec<PathBuf>,
    /// The same, but only some units need it: that it cannot be written to is no reason not to
    /// start.
    pub(super) write_if_needed: Vec<PathBuf>,
}

/// Whether this process has restricted what it reads.
static RESTRICTED: AtomicBool = AtomicBool::new(false);

pub(super) fn restricted() {
    RESTRICTED.store(true, Ordering::Relaxed);
}

/// What to add to an error: empty, unless landlock may be behind it.
pub(crate) fn denied(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied && RESTRICTED.load(Ordering::Relaxed) {
        "; its mode may say so, or landlock, which leaves a server what was there and granted to plugins at the start: see --hardening.read"
    } else {
        ""
    }
}

/// Where resolv.conf really is: systemd-resolved, resolvconf and NetworkManager keep it elsewhere,
/// and replace it there.
pub(super) fn resolver_directory() -> Option<PathBuf> {
    let real = Path::new(RESOLVER).canonicalize().ok()?;
    let directory = real.parent()?;
    (directory != Path::new("/etc")).then(|| directory.to_owned())
}

// === impl Access ===

impl Default for Access {
    fn default() -> Self {
        Self {
            write: vec![PathBuf::from("/dev/null")],
            write_if_needed: Vec::new(),
        }
    }
}

impl Access {
    /// A directory to keep files in.
    pub(crate) fn write(&mut self, path: impl Into<PathBuf>) {
        self.write.push(path.into());
    }

    /// A directory to keep files in that not everybody needs, as that of pinned maps. Where
    /// `--user` cannot write to it the start goes on.
    pub(crate) fn write_if_needed(&mut self, path: impl Into<PathBuf>) {
        self.write_if_needed.push(path.into());
    }

    /// All that may be written.
    pub(super) fn written(&self) -> impl Iterator<Item = &Path> {
        let all = self.write.iter().chain(&self.write_if_needed);
        all.map(PathBuf::as_path)
    }
}

/// The components of a pattern before the first one with `*` or its like: all of it if there is
/// none.
pub(super) fn literal_prefix(pattern: &str) -> PathBuf {
    let wild = |byte: &u8| matches!(byte, b'*' | b'?' | b'[');
    Path::new(pattern)
        .components()
        .take_while(|one| !one.as_os_str().as_encoded_bytes().iter().any(wild))
        .collect()
}

/// The directory that `path` lies in, if it is so deep down that it holds nothing else that
/// matters: not `/`, `/etc`, `/root`, `/var/lib` or somebody's home.
pub(super) fn dedicated_parent(path: &Path) -> Option<PathBuf> {
    let parent = path.canonicalize().ok()?.parent()?.to_owned();
    let names: Vec<&str> = parent
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let min_names = match names.first() {
        Some(&("home" | "var" | "run" | "mnt" | "media")) => 3,
        _ => 2,
    };
    (names.len() >= min_names).then_some(parent)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_parent_is_granted_only_if_it_holds_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let conf = directory.path().canonicalize().unwrap().join("conf.d");
        fs::create_dir(&conf).unwrap();
        assert_eq!(dedicated_parent(&conf), conf.parent().map(Path::to_owned));
        for shared in ["/", "/etc", "/etc/hosts", "/usr", "/var/lib", "/nowhere"] {
            assert_eq!(dedicated_parent(Path::new(shared)), None, "{shared}");
        }
        // Its parent is the directory of everybody's temporary files.
        assert_eq!(dedicated_parent(conf.parent().unwrap()), None);
    }
}
