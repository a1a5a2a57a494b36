//! Noticing that the directories have changed: a change counts once they have been quiet for a
//! while, and is then one reload.
//!
//! Events of the kernel only say when to look; whether something has changed is told by comparing
//! what lies there. So where the kernel has no watches to give, looking often enough is the same.

mod events;
mod look;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) use self::look::Look;

use self::events::Events;
use crate::cli::settings::Watch;
use crate::link::WatchMode;

/// How often the directories are compared with what they were, where nobody tells.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// And where the kernel does: something may be mounted over a directory, or changed on another
/// machine.
const LOOK_SELDOM: Duration = Duration::from_secs(10);
/// Whoever only looks knows that nothing changes when two looks so far apart find the same.
const QUIET_TO_LOOKS: Duration = Duration::from_secs(1);
/// A directory that never gets quiet is read all the same.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// So is a file that somebody keeps open for writing.
const MAX_WRITE: Duration = Duration::from_secs(30);

/// Calls `reload` whenever `directories` have changed and been quiet for `quiet`; also if they are
/// not as in `before` any more. `watching` hears how changes are noticed, whenever that changes.
/// Runs for as long as the process.
pub(super) fn start(
    directories: Vec<PathBuf>,
    before: Look,
    how: Watch,
    quiet: Duration,
    watching: impl Fn(WatchMode) + Send + 'static,
    reload: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    if how == Watch::Off {
        watching(WatchMode::Off);
        return Ok(());
    }
    let mut watch = Watcher {
        directories,
        how,
        quiet,
        events: Events::default(),
        look: before,
        mode: None,
        watching,
    };
    // Before anybody hears that the host runs: what is changed then is noticed as it happens.
    let mut changed = watch.look();
    std::thread::Builder::new()
        .name("config-watch".into())
        .spawn(move || {
            loop {
                if changed {
                    watch.settle();
                    reload();
                }
                let pause = if watch.is_notified() {
                    LOOK_SELDOM
                } else {
                    LOOK_AGAIN
                };
                watch.events.wait(pause, &watch.look);
                changed = watch.look();
            }
        })?;
    Ok(())
}

struct Watcher<W> {
    directories: Vec<PathBuf>,
    how: Watch,
    quiet: Duration,
    events: Events,
    look: Look,
    /// None: nobody has heard it yet.
    mode: Option<WatchMode>,
    watching: W,
}

impl<W: Fn(WatchMode)> Watcher<W> {
    /// All that changes is told by the kernel.
    fn is_notified(&self) -> bool {
        self.mode == Some(WatchMode::Events)
    }

    /// Looks at the directories, and watches what is there now. True: something is not as it was.
    fn look(&mut self) -> bool {
        let mut now = Look::at(&self.directories);
        if self.how == Watch::Events {
            let watched = loop {
                match self.events.watch(&now) {
                    // What came before the watch was set is in the next look.
                    Ok(true) => now = Look::at(&self.directories),
                    Ok(false) => break Ok(()),
                    Err(why) => break Err(why),
                }
            };
            self.note(watched);
        } else {
            self.note(Err(String::new()));
        }
        let changed = now != self.look;
        self.look = now;
        changed
    }

    /// Says how changes are noticed, if that is new.
    fn note(&mut self, watched: Result<(), String>) {
        let mode = match watched {
            Ok(()) => WatchMode::Events,
            Err(_) => WatchMode::Poll,
        };
        if self.mode == Some(mode) {
            return;
        }
        match &watched {
            Err(why) if self.how == Watch::Events => {
                tracing::warn!(
                    "the directories are compared every {} s instead of being watched, until that works again: {why}",
                    LOOK_AGAIN.as_secs()
                );
            }
            Ok(()) if self.mode.is_some() => {
                tracing::info!("the directories are watched again");
            }
            _ => {}
        }
        self.mode = Some(mode);
        (self.watching)(mode);
    }

    /// Waits until nothing has changed for a while and no file is being written.
    fn settle(&mut self) {
        let began = Instant::now();
        loop {
            let max_wait = if self.events.is_writing() {
                MAX_WRITE
            } else {
                MAX_WAIT
            };
            if began.elapsed() >= max_wait {
                break;
            }
            let quiet = if self.is_notified() {
                self.quiet
            } else {
                self.quiet.max(QUIET_TO_LOOKS)
            };
            let more = self.events.wait(quiet, &self.look);
            let changed = self.look();
            if !more && !changed && !self.events.is_writing() {
                break;
            }
        }
        self.events.forget_writing();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;

    fn reloads(directory: &Path, how: Watch) -> mpsc::Receiver<()> {
        let (sender, reloads) = mpsc::channel();
        let reload = move || {
            let _ = sender.send(());
        };
        let directories = vec![directory.to_owned()];
        let before = Look::at(&directories);
        let quiet = Duration::from_millis(100);
        start(directories, before, how, quiet, |_| {}, reload).unwrap();
        reloads
    }

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn many_changes_at_once_are_one_reload() {
        let directory = tempfile::tempdir().unwrap();
        let reloads = reloads(directory.path(), Watch::Events);
        for file in 0..20 {
            std::fs::write(directory.path().join(format!("{file}.yaml")), "x").unwrap();
        }
        reloads.recv_timeout(TIMEOUT).unwrap();
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
        let before = Look::at(&directories);
        std::fs::write(&file, "xy").unwrap();
        let (sender, reloads) = mpsc::channel();
        let reload = move || {
            let _ = sender.send(());
        };
        let quiet = Duration::from_millis(100);
        start(directories, before, Watch::Events, quiet, |_| {}, reload).unwrap();
        reloads.recv_timeout(TIMEOUT).unwrap();
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
        reloads.recv_timeout(TIMEOUT).unwrap();
        // Nobody waits for a log.
        let mut log = std::fs::File::create(directory.path().join("log")).unwrap();
        log.write_all(b"line").unwrap();
        reloads.recv_timeout(TIMEOUT).unwrap();
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
        reloads.recv_timeout(TIMEOUT).unwrap();
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
        reloads.recv_timeout(TIMEOUT).unwrap();
        while reloads.recv_timeout(Duration::from_millis(3000)).is_ok() {}
        std::fs::write(path.join("a.yaml"), "x").unwrap();
        reloads.recv_timeout(TIMEOUT).unwrap();
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
        reloads.recv_timeout(TIMEOUT).unwrap();
    }
}
