//! What lies in directories: to tell whether something has changed, and what has to be watched to
//! hear of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Directories in directories that are looked at.
const MAX_DEPTH: usize = 8;
/// Links that lead to links: the kernel follows as many.
const MAX_LINKS: usize = 40;

/// What is known of a file: device, inode, mode, and of what is no directory length and times.
type Facts = [u64; 8];

/// A look at directories.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::loader) struct Look {
    /// Each file that is not hidden, and what it leads to. None: it cannot be looked at.
    files: BTreeMap<PathBuf, Option<Facts>>,
    /// The directories themselves, and those in them that are not hidden.
    directories: BTreeSet<PathBuf>,
    /// Where links lie on the way, and where they lead.
    trail: BTreeSet<PathBuf>,
    /// The files that links lead to.
    targets: BTreeSet<PathBuf>,
}

/// What is to be heard of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// Which files come and go.
    Names,
    /// What happens to them, too.
    Contents,
}

impl Look {
    /// Follows links, as those of a ConfigMap or of stow.
    pub(in crate::loader) fn at(directories: &[PathBuf]) -> Self {
        let mut look = Self::default();
        let mut visited = BTreeSet::new();
        for directory in directories {
            look.add(directory, MAX_DEPTH, &mut visited);
        }
        look
    }

    /// The directories to watch. Those that only hold links, or our directories, may be busy with
    /// what is not ours.
    pub(super) fn watched(&self) -> BTreeMap<PathBuf, Extent> {
        let above = |paths: &BTreeSet<PathBuf>| -> Vec<PathBuf> {
            let above = paths.iter().filter_map(|path| path.parent());
            above.map(Path::to_owned).collect()
        };
        let names = above(&self.trail).into_iter();
        let mut watched: BTreeMap<PathBuf, Extent> =
            names.map(|path| (path, Extent::Names)).collect();
        let contents = above(&self.targets).into_iter();
        let contents = contents.chain(self.directories.iter().cloned());
        watched.extend(contents.map(|path| (path, Extent::Contents)));
        watched
    }

    /// Whether a file in a watched directory is any of ours.
    pub(super) fn concerns(&self, directory: &Path, name: &OsString) -> bool {
        let ours = !is_hidden(name) && self.directories.contains(directory);
        ours || self.trail.contains(&directory.join(name))
    }

    fn add(&mut self, directory: &Path, depth: usize, visited: &mut BTreeSet<(u64, u64)>) {
        let Some(real) = self.follow(directory) else {
            return;
        };
        self.note(directory);
        let Ok(metadata) = std::fs::metadata(directory) else {
            return;
        };
        // A link may lead back.
        if !visited.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        self.directories.insert(real);
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if is_hidden(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type();
            let is_link = kind.as_ref().is_ok_and(std::fs::FileType::is_symlink);
            let is_directory = if is_link {
                path.is_dir()
            } else {
                kind.is_ok_and(|kind| kind.is_dir())
            };
            if is_directory && depth > 0 {
                self.add(&path, depth - 1, visited);
                continue;
            }
            if is_link && let Some(target) = self.follow(&path) {
                self.targets.insert(target);
            }
            self.note(&path);
        }
    }

    fn note(&mut self, path: &Path) {
        let facts = std::fs::metadata(path).ok().map(|file| {
            let own = [file.dev(), file.ino(), file.mode().into()];
            let mut facts = [own[0], own[1], own[2], 0, 0, 0, 0, 0];
            if !file.is_dir() {
                let times = [
                    file.mtime(),
                    file.mtime_nsec(),
                    file.ctime(),
                    file.ctime_nsec(),
                ];
                facts[3] = file.len();
                for (fact, time) in facts[4..].iter_mut().zip(times) {
                    *fact = time.cast_unsigned();
                }
            }
            facts
        });
        self.files.insert(path.to_owned(), facts);
    }

    /// Notes all links on the way, and where it ends. Gives that.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let mut left: VecDeque<OsString> = VecDeque::new();
        prepend(&mut left, &path);
        let (mut real, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = left.pop_front() {
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            if let Ok(target) = std::fs::read_link(&real) {
                links += 1;
                self.trail.insert(real.clone());
                if links > MAX_LINKS {
                    return None;
                }
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                prepend(&mut left, &target);
            }
        }
        self.trail.insert(real.clone());
        Some(real)
    }
}

/// Puts the components of a path before what is left.
fn prepend(left: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => left.push_front(name.to_owned()),
            Component::ParentDir => left.push_front("..".into()),
            _ => {}
        }
    }
}

/// Editors' files, .git, and the versions of a ConfigMap: what a link leads to there is watched.
fn is_hidden(name: &OsString) -> bool {
    name.as_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_watched_where_they_lie_and_where_they_lead() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        for name in ["conf/sub", "conf/.git/objects", "ext/r1", "sets/one"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        fs::write(top.join("ext/r1/a.yaml"), "").unwrap();
        fs::write(top.join("conf/.git/index"), "").unwrap();
        symlink("r1", top.join("ext/current")).unwrap();
        symlink("../ext/current/a.yaml", top.join("conf/a.yaml")).unwrap();
        symlink("nowhere", top.join("conf/dangling.yaml")).unwrap();
        symlink(top.join("sets/one"), top.join("conf/linked")).unwrap();
        symlink("..", top.join("conf/sub/back")).unwrap();
        let roots = [top.join("conf")];
        let look = Look::at(&roots);
        let found: Vec<(String, Extent)> = look
            .watched()
            .into_iter()
            .filter_map(|(path, extent)| {
                Some((path.strip_prefix(&top).ok()?.display().to_string(), extent))
            })
            .collect();
        let expected = [
            ("", Extent::Names),
            ("conf", Extent::Contents),
            ("conf/sub", Extent::Contents),
            ("ext", Extent::Names),
            ("ext/r1", Extent::Contents),
            ("sets", Extent::Names),
            ("sets/one", Extent::Contents),
        ];
        assert_eq!(
            found,
            expected.map(|(path, extent)| (path.to_owned(), extent))
        );
        let concerns =
            |directory: &str, name: &str| look.concerns(&top.join(directory), &name.into());
        assert!(concerns("conf", "new.yaml") && concerns("sets/one", "new.yaml"));
        assert!(concerns("ext", "current") && concerns("ext/r1", "a.yaml"));
        assert!(!concerns("ext", "other") && !concerns("conf", ".swp"));
        assert_eq!(Look::at(&roots), look);
        symlink("nowhere", top.join("ext/tmp")).unwrap();
        fs::write(top.join("conf/.git/index"), "changed").unwrap();
        assert_eq!(Look::at(&roots), look);
        fs::rename(top.join("ext/tmp"), top.join("ext/current")).unwrap();
        assert_ne!(Look::at(&roots), look);
    }
}
