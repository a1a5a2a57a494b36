//! Noticing that the directories have changed: a change counts once they have been quiet for a
//! while, and is then one reload.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::cli::settings::Watch;

/// How often a watched directory is compared with what its path leads to, where nobody tells: a
/// link may lead elsewhere, a directory come back.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// And where its own removal is an event: a directory above it may be moved, or something mounted
/// over it.
const LOOK_SELDOM: Duration = Duration::from_secs(10);
/// Whoever only looks knows that nothing has changed only when two looks in a row have found the
/// same.
const QUIET_TO_LOOKS: Duration = Duration::from_millis(2500);
/// A directory that never gets quiet is read all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// So is a file that somebody keeps open for writing.
const LONGEST_WRITE: Duration = Duration::from_secs(30);
/// Directories in directories that are looked at.
const DEEPEST: usize = 8;

/// What lies in directories: device, inode, length and time of each file.
pub(super) type Seen = BTreeMap<PathBuf, [u64; 5]>;

/// To tell later whether something was changed before the watch was set.
pub(super) fn look_at(directories: &[PathBuf]) -> Seen {
    let mut seen = Seen::new();
    for directory in directories {
        add(directory, DEEPEST, &mut seen);
    }
    seen
}

/// What cannot be read now is as good as not there.
fn add(directory: &Path, depth: usize, seen: &mut Seen) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth > 0 {
            add(&path, depth - 1, seen);
        }
        // A link is what it leads to.
        if let Ok(file) = std::fs::metadata(&path) {
            let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
            let time = [seconds.cast_unsigned(), nanoseconds.cast_unsigned()];
            seen.insert(path, [file.dev(), file.ino(), file.len(), time[0], time[1]]);
        }
    }
}

/// Calls `reload` whenever `directories` have changed and been quiet for `quiet`; also if they are
/// not as in `before` any more. Runs for as long as the process.
pub(super) fn start(
    directories: Vec<PathBuf>,
    before: Seen,
    how: Watch,
    quiet: Duration,
    reload: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    if how == Watch::Off {
        return Ok(());
    }
    let (sender, events) = mpsc::channel();
    let mut watched = Watched::new(directories.clone(), how, sender)?;
    watched.look();
    let quiet = if how == Watch::Poll {
        quiet.max(QUIET_TO_LOOKS)
    } else {
        quiet
    };
    std::thread::Builder::new()
        .name("config-watch".into())
        .spawn(move || {
            let mut writing = Writing::default();
            let mut changed = look_at(&directories) != before;
            loop {
                if !changed {
                    match events.recv_timeout(watched.pause()) {
                        Ok(sign) => writing.note(sign),
                        Err(RecvTimeoutError::Timeout) if !watched.look() => continue,
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
                changed = false;
                settle(&events, quiet, &mut writing);
                watched.look();
                reload();
            }
        })?;
    Ok(())
}

/// Waits until nothing has happened for `quiet` and no file is being written.
fn settle(events: &Receiver<Sign>, quiet: Duration, writing: &mut Writing) {
    let began = Instant::now();
    let longest = |writing: &Writing| {
        if writing.0.is_empty() {
            LONGEST_WAIT
        } else {
            LONGEST_WRITE
        }
    };
    while began.elapsed() < longest(writing) {
        match events.recv_timeout(quiet) {
            Ok(sign) => writing.note(sign),
            Err(RecvTimeoutError::Timeout) if !writing.0.is_empty() => {}
            Err(_) => return,
        }
    }
    writing.0.clear();
}

/// What an event says.
enum Sign {
    /// These files have been written to and not been closed since.
    Writing(Vec<PathBuf>),
    /// Nobody writes to these any more: closed, moved, removed.
    Done(Vec<PathBuf>),
    Other,
}

/// Files in the middle of being written: half a YAML may be a YAML of its own.
#[derive(Default)]
struct Writing(BTreeSet<PathBuf>);

impl Writing {
    fn note(&mut self, sign: Sign) {
        match sign {
            Sign::Writing(paths) => self.0.extend(paths),
            Sign::Done(paths) => self.0.retain(|path| !paths.contains(path)),
            Sign::Other => {}
        }
    }
}

/// None: nothing has changed.
fn sign(event: notify::Result<Event>, how: Watch) -> Option<Sign> {
    let Ok(Event { kind, paths, .. }) = event else {
        return Some(Sign::Other);
    };
    Some(match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Sign::Done(paths),
        // Reading the directory is an event too.
        EventKind::Access(_) => return None,
        // Whoever only looks cannot see a file being closed.
        EventKind::Modify(ModifyKind::Data(_)) if how == Watch::Events => {
            Sign::Writing(paths.into_iter().filter(|path| is_ours(path)).collect())
        }
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Sign::Done(paths),
        _ => Sign::Other,
    })
}

/// Configs, objects and plugins: that another file is kept open, a log perhaps, is no reason to
/// wait.
fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "o" | "wasm"))
}

struct Watched {
    how: Watch,
    watcher: Box<dyn Watcher + Send>,
    /// Which directory each path led to when the watch was set; none: nowhere.
    directories: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl Watched {
    fn new(
        directories: Vec<PathBuf>,
        how: Watch,
        sender: mpsc::Sender<Sign>,
    ) -> std::io::Result<Self> {
        let handler = move |event: notify::Result<Event>| {
            if let Some(sign) = sign(event, how) {
                // Fails only when the thread is gone.
                let _ = sender.send(sign);
            }
        };
        let watcher: notify::Result<Box<dyn Watcher + Send>> = match how {
            Watch::Poll => PollWatcher::new(
                handler,
                // By their contents: of times it compares whole seconds.
                Config::default()
                    .with_poll_interval(LOOK_AGAIN)
                    .with_compare_contents(true),
            )
            .map(|watcher| Box::new(watcher) as Box<dyn Watcher + Send>),
            Watch::Events | Watch::Off => RecommendedWatcher::new(handler, Config::default())
                .map(|watcher| Box::new(watcher) as Box<dyn Watcher + Send>),
        };
        Ok(Self {
            how,
            watcher: watcher.map_err(std::io::Error::other)?,
            directories: directories
                .into_iter()
                .map(|directory| (directory, None))
                .collect(),
        })
    }

    /// Until the next look.
    fn pause(&self) -> Duration {
        let told = |(path, seen): (&PathBuf, &Option<_>)| {
            let plain = std::path::absolute(path).ok();
            seen.is_some() && plain.is_some_and(|plain| path.canonicalize().ok() == Some(plain))
        };
        if self.how == Watch::Events && self.directories.iter().all(told) {
            LOOK_SELDOM
        } else {
            LOOK_AGAIN
        }
    }

    /// Sets the watches that are missing or on what is not there any more. True if one was on
    /// something else.
    fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.directories {
            let now = identity(path);
            if now == *seen {
                continue;
            }
            changed = true;
            if seen.is_some() {
                // It is gone by itself where the directory is.
                let _ = self.watcher.unwatch(path);
            }
            let watched = match now {
                Some(_) => self.watcher.watch(path, RecursiveMode::Recursive),
                None => Ok(()),
            };
            if let Err(error) = watched {
                tracing::warn!(directory = %path.display(), %error, "cannot watch a directory: changes are noticed at SIGHUP only; see --config.watch");
            }
            *seen = now;
        }
        changed
    }
}

/// Device and inode of the directory that a path leads to.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloads(directory: &Path, how: Watch) -> mpsc::Receiver<()> {
        let (sender, reloads) = mpsc::channel();
        let reload = move || {
            let _ = sender.send(());
        };
        let directories = vec![directory.to_owned()];
        let before = look_at(&directories);
        start(directories, before, how, Duration::from_millis(100), reload).unwrap();
        reloads
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn many_changes_at_once_are_one_reload() {
        let directory = tempfile::tempdir().unwrap();
        let reloads = reloads(directory.path(), Watch::Events);
        for file in 0..20 {
            std::fs::write(directory.path().join(format!("{file}.yaml")), "x").unwrap();
        }
        reloads.recv_timeout(SOON).unwrap();
        assert!(
            reloads.recv_timeout(Duration::from_millis(500)).is_err(),
            "one reload"
        );
        // Reading is no change.
        std::fs::read(directory.path().join("1.yaml")).unwrap();
        assert!(reloads.recv_timeout(Duration::from_millis(500)).is_err());
    }

    #[test]
    fn what_changed_before_the_watch_was_set_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        std::fs::write(&file, "x").unwrap();
        let directories = vec![directory.path().to_owned()];
        let before = look_at(&directories);
        assert_eq!(look_at(&directories), before);
        std::fs::write(&file, "xy").unwrap();
        let (sender, reloads) = mpsc::channel();
        let reload = move || {
            let _ = sender.send(());
        };
        let quiet = Duration::from_millis(100);
        start(directories, before, Watch::Events, quiet, reload).unwrap();
        reloads.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn a_file_that_is_being_written_is_waited_for() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let reloads = reloads(directory.path(), Watch::Events);
        let mut file = std::fs::File::create(directory.path().join("a.yaml")).unwrap();
        file.write_all(b"half").unwrap();
        assert!(reloads.recv_timeout(Duration::from_millis(500)).is_err());
        drop(file);
        reloads.recv_timeout(SOON).unwrap();
        // Nobody waits for a log.
        let mut log = std::fs::File::create(directory.path().join("log")).unwrap();
        log.write_all(b"line").unwrap();
        reloads.recv_timeout(SOON).unwrap();
    }

    /// Nobody tells whoever only looks that a file is being written.
    #[test]
    fn a_file_that_grows_from_look_to_look_is_waited_for() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        let reloads = reloads(directory.path(), Watch::Poll);
        let mut file = std::fs::File::create(directory.path().join("a.yaml")).unwrap();
        for _ in 0..9 {
            file.write_all(b"part ").unwrap();
            assert!(reloads.recv_timeout(Duration::from_millis(500)).is_err());
        }
        drop(file);
        reloads.recv_timeout(SOON).unwrap();
        assert!(reloads.recv_timeout(Duration::from_secs(3)).is_err());
    }

    #[test]
    fn a_directory_may_be_swapped_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("conf.d");
        std::fs::create_dir(&path).unwrap();
        let reloads = reloads(&path, Watch::Events);
        std::fs::rename(&path, parent.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        reloads.recv_timeout(SOON).unwrap();
        while reloads.recv_timeout(Duration::from_millis(3000)).is_ok() {}
        std::fs::write(path.join("a.yaml"), "x").unwrap();
        reloads.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn a_link_may_lead_elsewhere() {
        let parent = tempfile::tempdir().unwrap();
        let [first, second, link] =
            ["first", "second", "conf.d"].map(|name| parent.path().join(name));
        for directory in [&first, &second] {
            std::fs::create_dir(directory).unwrap();
        }
        std::os::unix::fs::symlink(&first, &link).unwrap();
        let reloads = reloads(&link, Watch::Events);
        let new = parent.path().join("new");
        std::os::unix::fs::symlink(&second, &new).unwrap();
        std::fs::rename(&new, &link).unwrap();
        reloads.recv_timeout(SOON).unwrap();
    }
}
