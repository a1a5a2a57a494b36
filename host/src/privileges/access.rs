//! Which files the process may still open once landlock is on.
//!
//! Landlock's rules hold for what lies beneath a directory, by inode and not by name. Two things follow. A directory that is replaced as a
//! whole is another inode: the rule has to be on its parent. And a file that is replaced by renaming another one over it needs a rule on its
//! directory, not on itself.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Readable for every host: kernel facts, the programs and libraries that uprobes are attached to, and what resolving names takes. Nothing
/// of it is secret on any distribution (/opt and /usr/local/etc may be, with configs of what is installed there), and nothing of it can be
/// executed.
const ALWAYS: &[&str] = &[
    "/proc",
    "/sys",
    // uprobe targets, pci.ids, libraries that the C library loads to resolve names, certificates.
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/libexec",
    "/usr/local/share",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/os-release",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/dev/null",
];
const RESOLVER: &str = "/etc/resolv.conf";

/// Paths that landlock leaves open. What is not there is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(super) read: Vec<PathBuf>,
    /// Written to, made in, removed from.
    pub(super) write: Vec<PathBuf>,
}

/// Whether this process has restricted itself.
static RESTRICTED: AtomicBool = AtomicBool::new(false);

pub(super) fn restricted() {
    RESTRICTED.store(true, Ordering::Relaxed);
}

/// What to add to an error: empty, unless landlock may be behind it.
pub(crate) fn denied(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied && RESTRICTED.load(Ordering::Relaxed) {
        "; landlock leaves this process what it knew of at its start: name further paths with --hardening.read, or restart"
    } else {
        ""
    }
}

// === impl Access ===

impl Default for Access {
    fn default() -> Self {
        let mut read: Vec<PathBuf> = ALWAYS.iter().map(PathBuf::from).collect();
        // systemd-resolved, resolvconf and NetworkManager keep it elsewhere, and replace it there.
        if let Ok(real) = Path::new(RESOLVER).canonicalize()
            && let Some(directory) = real.parent()
            && directory != Path::new("/etc")
        {
            read.push(directory.to_owned());
        }
        // The host itself, for its own symbols.
        read.extend(std::env::current_exe());
        Self {
            read,
            write: vec![PathBuf::from("/dev/null")],
        }
    }
}

impl Access {
    /// A file, or everything beneath a directory.
    pub(crate) fn read(&mut self, path: impl Into<PathBuf>) {
        self.read.push(path.into());
    }

    /// A directory to keep files in.
    pub(crate) fn write(&mut self, path: impl Into<PathBuf>) {
        self.write.push(path.into());
    }

    /// A directory that may be replaced as a whole, and what links in it lead to. `Err`: it can be read, but not replaced, since its parent
    /// holds more than may be opened.
    pub(crate) fn read_replaceable(&mut self, directory: &Path) -> Result<(), Shared> {
        self.read(directory);
        self.follow_links(directory, 2);
        match dedicated_parent(directory) {
            Some(parent) => {
                self.read(parent);
                Ok(())
            }
            None => Err(Shared(directory.to_owned())),
        }
    }

    /// A file that may be replaced by another one of the same name, where its directory allows that.
    pub(crate) fn read_file(&mut self, file: &Path) {
        self.read(dedicated_parent(file).unwrap_or_else(|| file.to_owned()));
    }

    /// All paths that match a pattern, `*` and its like included: as a directory, or a file that may be replaced.
    pub(crate) fn read_matching(&mut self, pattern: &str) {
        let literal: PathBuf = Path::new(pattern)
            .components()
            .take_while(|one| {
                let text = one.as_os_str().as_encoded_bytes();
                !text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
            })
            .collect();
        if literal.as_os_str() == pattern {
            self.read_file(&literal);
        } else {
            self.read(literal);
        }
    }

    fn follow_links(&mut self, directory: &Path, depth: usize) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            match kind {
                Ok(kind) if kind.is_dir() && depth > 0 => self.follow_links(&path, depth - 1),
                Ok(kind) if kind.is_symlink() => {
                    let (Ok(target), Ok(inside)) = (path.canonicalize(), directory.canonicalize())
                    else {
                        continue;
                    };
                    if !target.starts_with(inside) {
                        self.read_file(&target);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A config or plugin directory whose parent holds more than it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} can be changed, but not replaced by another directory while landlock is on: give it a parent directory of its own, or name one with --hardening.read", .0.display()
)]
pub(crate) struct Shared(PathBuf);

/// The directory that `path` lies in, if it is so deep down that it holds nothing else that matters: not `/`, `/etc`, `/root`, `/var/lib`
/// or somebody's home.
fn dedicated_parent(path: &Path) -> Option<PathBuf> {
    let parent = path.canonicalize().ok()?.parent()?.to_owned();
    let names: Vec<&str> = parent
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let least = match names.first() {
        Some(&("home" | "var" | "run" | "mnt" | "media")) => 3,
        _ => 2,
    };
    (names.len() >= least).then_some(parent)
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

    #[test]
    fn a_pattern_opens_the_directory_before_its_first_wildcard() {
        let mut access = Access {
            read: Vec::new(),
            write: Vec::new(),
        };
        for pattern in ["/var/lib/x/*.prom", "/sys/block/*/stat", "/etc/hostname"] {
            access.read_matching(pattern);
        }
        let opened: Vec<_> = access.read.iter().map(PathBuf::as_path).collect();
        assert_eq!(
            opened,
            ["/var/lib/x", "/sys/block", "/etc/hostname"].map(Path::new)
        );
    }

    #[test]
    fn links_out_of_the_directory_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (conf, shared) = (root.join("x/conf.d"), root.join("shared/objects"));
        fs::create_dir_all(&conf).unwrap();
        fs::create_dir_all(&shared).unwrap();
        fs::write(shared.join("a.bpf.o"), "").unwrap();
        std::os::unix::fs::symlink(shared.join("a.bpf.o"), conf.join("a.bpf.o")).unwrap();
        let mut access = Access::default();
        access.read_replaceable(&conf).unwrap();
        assert!(access.read.contains(&shared) && access.read.contains(&root.join("x")));
        assert!(!access.read.contains(&root));
    }

    #[test]
    fn secrets_are_out_by_default() {
        let access = Access::default();
        for secret in [
            "/etc/shadow",
            "/root/x",
            "/home/a",
            "/var/lib/x",
            "/tmp/x",
            "/opt/x/config",
            "/usr/local/etc/x",
        ] {
            let open = |paths: &[PathBuf]| {
                paths
                    .iter()
                    .any(|path| Path::new(secret).starts_with(path) && !path.is_file())
            };
            assert!(!open(&access.read) && !open(&access.write), "{secret}");
        }
    }
}
