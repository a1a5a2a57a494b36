//! Whether a directory is ours alone, so that what lies in it can be run as it is.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The sticky bit of a directory: files of others can neither be renamed nor removed there.
const STICKY: u32 = 0o1000;

/// Opens a directory that is ours alone: absolute, a real directory, owned by this user or root,
/// writable for nobody else, and in no directory where everybody could put another one in its
/// place. Who owns a directory above still can; what is done through the opened directory is not
/// affected by that. `Err`: why not, as a sentence's end.
pub(super) fn open(directory: &Path) -> Result<File, String> {
    open_as(directory, rustix::process::geteuid().as_raw())
}

/// As `open`, for a process that becomes this user. None: it stays who it is.
pub(crate) fn check(directory: &Path, user: Option<u32>) -> Result<(), String> {
    let user = user.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    open_as(directory, user).map(drop)
}

fn open_as(directory: &Path, user: u32) -> Result<File, String> {
    if !directory.is_absolute() {
        return Err("expected an absolute path".to_owned());
    }
    let real = directory
        .canonicalize()
        .map_err(|error| error.to_string())?;
    if real != directory {
        return Err(format!(
            "a part of the path is a symbolic link, it leads to {}",
            real.display()
        ));
    }
    if !directory.is_dir() {
        return Err("expected a directory".to_owned());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    let opened = File::from(opened.map_err(|error| error.to_string())?);
    let metadata = opened.metadata().map_err(|error| error.to_string())?;
    check_owner_as(&metadata, user)?;
    for parent in directory.ancestors().skip(1) {
        let metadata = fs::metadata(parent).map_err(|error| error.to_string())?;
        if let Err(why) = check_mode(&metadata)
            && metadata.mode() & STICKY == 0
        {
            return Err(format!(
                "others could put another directory in its place: of {}, {why}",
                parent.display()
            ));
        }
    }
    Ok(opened)
}

/// That a file or directory belongs to this user or root, and only they may write to it.
pub(super) fn check_owner(metadata: &Metadata) -> Result<(), String> {
    check_owner_as(metadata, rustix::process::geteuid().as_raw())
}

fn check_owner_as(metadata: &Metadata, own: u32) -> Result<(), String> {
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(format!(
            "it belongs to user {}, expected {own} or root",
            metadata.uid()
        ));
    }
    check_mode(metadata)
}

fn check_mode(metadata: &Metadata) -> Result<(), String> {
    if metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(format!(
        "others may write there (mode {:o}): chmod go-w",
        metadata.mode() & 0o777
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn refused(path: &Path) -> String {
        open(path).unwrap_err()
    }

    fn accepted(path: &Path) {
        open(path).unwrap();
    }

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        (directory, path)
    }

    #[test]
    fn a_directory_is_ours_alone() {
        let (_directory, path) = directory();
        mode(&path, 0o700);
        accepted(&path);
        mode(&path, 0o770);
        assert_eq!(
            refused(&path),
            "others may write there (mode 770): chmod go-w"
        );
        mode(&path, 0o700);
        let link = path.join("link");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("symbolic link"));
        assert!(refused(Path::new("relative")).contains("absolute"));
        let file = path.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(refused(&file), "expected a directory");
        assert!(refused(&path.join("missing")).contains("No such file"));
    }

    #[test]
    fn nobody_else_can_put_another_one_in_its_place() {
        let (_directory, path) = directory();
        let inner = path.join("inner");
        fs::create_dir(&inner).unwrap();
        mode(&inner, 0o700);
        for parent in [0o700, 0o755, 0o1777] {
            mode(&path, parent);
            accepted(&inner);
        }
        mode(&path, 0o777);
        let why = refused(&inner);
        let of = format!("of {}, others may write there", path.display());
        assert!(why.contains(&of), "{why}");
    }

    #[test]
    fn it_belongs_to_this_user_or_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_directory, path) = directory();
        let inner = path.join("inner");
        fs::create_dir(&inner).unwrap();
        std::os::unix::fs::chown(&inner, Some(4711), None).unwrap();
        assert_eq!(
            refused(&inner),
            "it belongs to user 4711, expected 0 or root"
        );
        // As in somebody's checkout, with sudo.
        std::os::unix::fs::chown(&inner, Some(0), None).unwrap();
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        accepted(&inner);
    }
}
