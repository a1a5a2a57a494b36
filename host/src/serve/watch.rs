//! Noticing that the directories have changed: a change counts once they have been quiet for a while, and is then one reload.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{Config, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::cli::settings::Watch;

/// How often a watched directory is compared with what its path leads to: it may have been replaced as a whole, or come back.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A directory that never gets quiet is read all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Calls `reload` whenever `directories` have changed and been quiet for `quiet`. Runs for as long as the process.
pub(super) fn start(
    directories: Vec<PathBuf>,
    how: Watch,
    quiet: Duration,
    reload: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    if how == Watch::Off {
        return Ok(());
    }
    let (sender, events) = mpsc::channel();
    let mut watched = Watched::new(directories, how, sender)?;
    watched.look();
    std::thread::Builder::new()
        .name("config-watch".into())
        .spawn(move || {
            loop {
                match events.recv_timeout(LOOK_AGAIN) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) if !watched.look() => continue,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                settle(&events, quiet);
                watched.look();
                reload();
            }
        })?;
    Ok(())
}

/// Waits until nothing has happened for `quiet`.
fn settle(events: &mpsc::Receiver<()>, quiet: Duration) {
    let latest = Instant::now() + LONGEST_WAIT;
    while Instant::now() < latest && events.recv_timeout(quiet).is_ok() {}
}

struct Watched {
    watcher: Box<dyn Watcher + Send>,
    /// Which directory each path led to when the watch was set; none: nowhere.
    directories: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl Watched {
    fn new(
        directories: Vec<PathBuf>,
        how: Watch,
        sender: mpsc::Sender<()>,
    ) -> std::io::Result<Self> {
        let handler = move |event: notify::Result<notify::Event>| {
            // Reading the directory is an event too.
            if !matches!(
                event,
                Ok(notify::Event {
                    kind: EventKind::Access(_),
                    ..
                })
            ) {
                // Fails only when the thread is gone.
                let _ = sender.send(());
            }
        };
        let watcher: notify::Result<Box<dyn Watcher + Send>> = match how {
            Watch::Poll => PollWatcher::new(
                handler,
                Config::default().with_poll_interval(Duration::from_secs(2)),
            )
            .map(|watcher| Box::new(watcher) as Box<dyn Watcher + Send>),
            Watch::Events | Watch::Off => RecommendedWatcher::new(handler, Config::default())
                .map(|watcher| Box::new(watcher) as Box<dyn Watcher + Send>),
        };
        Ok(Self {
            watcher: watcher.map_err(std::io::Error::other)?,
            directories: directories
                .into_iter()
                .map(|directory| (directory, None))
                .collect(),
        })
    }

    /// Sets the watches that are missing or on what is not there any more. True if one was on something else.
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
        start(
            vec![directory.to_owned()],
            how,
            Duration::from_millis(100),
            reload,
        )
        .unwrap();
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
}
