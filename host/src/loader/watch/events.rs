//! Events of the kernel about directories (inotify), as far as it has watches to give.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::look::{Extent, Look};

/// What is heard of each watched directory.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);
/// And of those with files of ours.
const CONTENTS: WatchFlags = NAMES
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB);

/// Bytes of events that are read at once.
const BUFFER: usize = 4096;

#[derive(Clone, Copy)]
struct Watch {
    number: i32,
    of: Watched,
}

/// Which directory is watched, by device and inode, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Watched {
    device: u64,
    inode: u64,
    extent: Extent,
}

/// A kernel's events, or none where it has no instance to give.
#[derive(Default)]
pub(super) struct Events {
    instance: Option<OwnedFd>,
    watches: BTreeMap<PathBuf, Watch>,
    /// Files in the middle of being written: half a YAML may be a YAML of its own.
    writing: BTreeSet<PathBuf>,
}

impl Events {
    /// Watches what a look says, and nothing else. `Err`: why not all of it is. True: there is a
    /// watch that was not there before.
    pub(super) fn watch(&mut self, look: &Look) -> Result<bool, String> {
        let instance = match &self.instance {
            Some(instance) => instance,
            None => {
                let made = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
                self.instance.insert(made.map_err(no_instance)?)
            }
        };
        let wanted: BTreeMap<PathBuf, Watched> = look
            .watched()
            .into_iter()
            .filter_map(|(path, extent)| {
                let metadata = std::fs::metadata(&path).ok()?;
                let of = Watched {
                    device: metadata.dev(),
                    inode: metadata.ino(),
                    extent,
                };
                Some((path, of))
            })
            .collect();
        self.watches.retain(|path, watch| {
            let stays = wanted.get(path) == Some(&watch.of);
            if !stays {
                // It ends by itself where the directory is gone.
                let _ = inotify::remove_watch(instance, watch.number);
            }
            stays
        });
        let (mut new, mut refused) = (false, None);
        for (path, of) in wanted {
            if self.watches.contains_key(&path) {
                continue;
            }
            let flags = match of.extent {
                Extent::Names => NAMES,
                Extent::Contents => CONTENTS,
            };
            match inotify::add_watch(instance, &path, flags) {
                Ok(number) => {
                    self.watches.insert(path, Watch { number, of });
                    new = true;
                }
                // Gone meanwhile, or not to be read: a look tells.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => refused = Some(no_watch(&path, error)),
            }
        }
        refused.map_or(Ok(new), Err)
    }

    pub(super) fn is_writing(&self) -> bool {
        !self.writing.is_empty()
    }

    pub(super) fn forget_writing(&mut self) {
        self.writing.clear();
    }

    /// Waits for an event that concerns what was looked at. False: none came in time.
    pub(super) fn wait(&mut self, limit: Duration, look: &Look) -> bool {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(instance) = &self.instance else {
                std::thread::sleep(left);
                return false;
            };
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut ready = [PollFd::new(instance, PollFlags::IN)];
            let any = poll(&mut ready, Some(&timeout)).is_ok_and(|ready| ready > 0);
            if any && self.read(look) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Reads all events that there are. True: one of them concerns what was looked at.
    fn read(&mut self, look: &Look) -> bool {
        let Some(instance) = &self.instance else {
            return false;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(instance.as_fd(), &mut buffer);
        let mut concerned = false;
        while let Ok(event) = reader.next() {
            let flags = event.events();
            let mut watches = self.watches.iter();
            let watched = watches.find(|(_, watch)| watch.number == event.wd());
            let Some((directory, _)) = watched else {
                // Of a watch that is no more, or some were lost.
                concerned |= flags.contains(ReadFlags::QUEUE_OVERFLOW);
                continue;
            };
            let directory = directory.clone();
            let Some(name) = event.file_name() else {
                if flags.contains(ReadFlags::IGNORED) {
                    self.watches.remove(&directory);
                }
                concerned = true;
                continue;
            };
            let name: OsString = OsStr::from_bytes(name.to_bytes()).to_owned();
            if !look.concerns(&directory, &name) {
                continue;
            }
            concerned = true;
            let path = directory.join(name);
            if flags.contains(ReadFlags::MODIFY) {
                if is_ours(&path) {
                    self.writing.insert(path);
                }
            } else if !flags.intersects(ReadFlags::CREATE | ReadFlags::ATTRIB) {
                self.writing.remove(&path);
            }
        }
        concerned
    }
}

fn no_instance(error: Errno) -> String {
    let setting = match error {
        Errno::MFILE => " (fs.inotify.max_user_instances, or the limit of open files)",
        _ => "",
    };
    format!("the kernel gives no inotify instance: {error}{setting}")
}

fn no_watch(path: &Path, error: Errno) -> String {
    let setting = match error {
        Errno::NOSPC => " (fs.inotify.max_user_watches)",
        _ => "",
    };
    format!(
        "the kernel does not watch {}: {error}{setting}",
        path.display()
    )
}

/// Configs, objects and plugins: that another file is kept open, a log perhaps, is no reason to
/// wait.
fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    matches!(extension, Some("yaml" | "yml" | "o" | "wasm"))
}
