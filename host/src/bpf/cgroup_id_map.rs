//! Tells a map which cgroups match the unit's regular expressions, and keeps it told while cgroups
//! come and go.
//!
//! A thread watches the cgroup2 tree with inotify. A full look at the tree follows soon after
//! anything was made (sub-directories may have been made before the watch was on) and now and then
//! anyway; where inotify does not work, that is all there is, more often.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use libbpf_rs::MapType;
use notify::EventKind;
use notify::RecursiveMode;
use notify::Watcher as _;
use notify::event::CreateKind;
use notify::event::RemoveKind;
use parking_lot::Mutex;
use regex::Regex;

use super::map::Map;
use crate::kernel::cgroup2_mount;
use crate::object_input::CgroupIdMapKind;

/// Between full looks when inotify works.
const RESCAN: Duration = Duration::from_secs(30);
/// And when it does not.
const POLL: Duration = Duration::from_secs(1);
/// From something new to the full look after it.
const SETTLE: Duration = Duration::from_millis(500);

/// Why the map cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("cgroup_id_map `{map}` is of type {kind:?}: `type: {wanted}` needs {expected}")]
    Kind {
        map: String,
        kind: MapType,
        wanted: &'static str,
        expected: &'static str,
    },
    #[error(
        "cgroup_id_map `{map}` has keys of {key} and values of {value} bytes: `type: {wanted}` needs keys of {expected} and values of 8"
    )]
    Size {
        map: String,
        key: usize,
        value: usize,
        wanted: &'static str,
        expected: usize,
    },
    #[error(
        "cgroup_id_map `{map}`: no cgroup2 file system is mounted (see /proc/self/mountinfo); mount one, in a container bind the host's"
    )]
    NoCgroup2 { map: String },
    #[error("cgroup_id_map `{map}`: cannot read the cgroups in {path}: {source}")]
    Walk {
        map: String,
        path: String,
        source: io::Error,
    },
    #[error("cgroup_id_map `{map}`: cannot start its thread: {source}")]
    Thread { map: String, source: io::Error },
}

/// How the map is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeeperStats {
    /// Cgroups that match now.
    pub(crate) matching: usize,
    /// Updates and deletions that the kernel refused since the start; a full map for one.
    pub(crate) errors: u64,
}

/// Keeps one map until it is dropped. The map's entries stay.
#[derive(Debug)]
pub(crate) struct CgroupIdKeeper {
    stats: Arc<Mutex<KeeperStats>>,
    /// The map and the root of the cgroups, until the thread has them.
    idle: Option<(CgroupIdSync, PathBuf)>,
    running: Option<(mpsc::Sender<Event>, JoinHandle<()>)>,
}

#[derive(Debug)]
enum Event {
    Made(PathBuf),
    Removed(PathBuf),
    /// Events were lost.
    Lost,
    Stop,
}

impl CgroupIdKeeper {
    /// Fills the map, best before the programs are attached. `regexps`: unanchored; a cgroup whose
    /// absolute path matches any of them is in.
    pub(crate) fn open(
        kind: CgroupIdMapKind,
        regexps: &[Regex],
        map: Map,
    ) -> Result<Self, KeeperError> {
        let name = || map.info().name.clone();
        check(kind, &map)?;
        let mount = cgroup2_mount().ok().flatten();
        let root = mount.ok_or_else(|| KeeperError::NoCgroup2 { map: name() })?;
        let stats = Arc::new(Mutex::new(KeeperStats::default()));
        let mut members = CgroupIdSync {
            map,
            kind,
            regexps: regexps.to_vec(),
            written: BTreeMap::new(),
            stats: Arc::clone(&stats),
            warned: false,
        };
        // Reading the root itself must work; what goes wrong below it is a cgroup that has just
        // gone.
        fs::read_dir(&root).map_err(|source| KeeperError::Walk {
            map: members.map.info().name.clone(),
            path: root.display().to_string(),
            source,
        })?;
        members.reconcile(&root);
        Ok(Self {
            stats,
            idle: Some((members, root)),
            running: None,
        })
    }

    /// Begins to follow the cgroups as they come and go, in a thread of its own: see
    /// `SampleCounter::run`.
    pub(crate) fn run(&mut self) -> Result<(), KeeperError> {
        let Some((mut members, root)) = self.idle.take() else {
            return Ok(());
        };
        let (sender, receiver) = mpsc::channel();
        let watcher = watch(&root, sender.clone());
        let rescan = if watcher.is_some() { RESCAN } else { POLL };
        // What came while nobody watched.
        members.reconcile(&root);
        let map = members.map.info().name.clone();
        let thread = thread::Builder::new()
            .name("bpf-cgroups".to_owned())
            .spawn(move || {
                keep(&mut members, &root, &receiver, rescan);
                drop(watcher);
            })
            .map_err(|source| KeeperError::Thread { map, source })?;
        self.running = Some((sender, thread));
        Ok(())
    }

    pub(crate) fn stats(&self) -> KeeperStats {
        *self.stats.lock()
    }
}

impl Drop for CgroupIdKeeper {
    fn drop(&mut self) {
        if let Some((events, thread)) = self.running.take() {
            // Fails only if the thread is gone.
            let _ = events.send(Event::Stop);
            let _ = thread.join();
        }
    }
}

fn check(kind: CgroupIdMapKind, map: &Map) -> Result<(), KeeperError> {
    let info = map.info();
    let (wanted, expected_size, kind_fits, expected) = match kind {
        CgroupIdMapKind::Hash => {
            let fits = matches!(info.kind, MapType::Hash | MapType::LruHash);
            ("hash", size_of::<u64>(), fits, "a BPF_MAP_TYPE_HASH")
        }
        CgroupIdMapKind::CgrpStorage => (
            "cgrp_storage",
            size_of::<i32>(),
            info.kind == MapType::CGrpStorage,
            "a BPF_MAP_TYPE_CGRP_STORAGE",
        ),
    };
    if !kind_fits {
        return Err(KeeperError::Kind {
            map: info.name.clone(),
            kind: info.kind,
            wanted,
            expected,
        });
    }
    if info.key_size != expected_size || info.value_size != size_of::<u64>() {
        return Err(KeeperError::Size {
            map: info.name.clone(),
            key: info.key_size,
            value: info.value_size,
            wanted,
            expected: expected_size,
        });
    }
    Ok(())
}

/// `None`: inotify does not work here.
fn watch(root: &Path, events: mpsc::Sender<Event>) -> Option<notify::RecommendedWatcher> {
    let handler = move |result: notify::Result<notify::Event>| {
        let events_of = |event: notify::Event| {
            let wrap = match event.kind {
                _ if event.need_rescan() => return vec![Event::Lost],
                EventKind::Create(CreateKind::Folder | CreateKind::Any) => Event::Made,
                EventKind::Remove(RemoveKind::Folder | RemoveKind::Any | RemoveKind::Other) => {
                    Event::Removed
                }
                _ => return Vec::new(),
            };
            event.paths.into_iter().map(wrap).collect()
        };
        for event in result.map_or_else(|_| vec![Event::Lost], events_of) {
            // Fails only when the keeper has stopped.
            let _ = events.send(event);
        }
    };
    let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| tracing::warn!(root = %root.display(), %error, "cannot watch the cgroups: looking once a second instead"))
        .ok()
}

/// The thread: until told to stop.
fn keep(members: &mut CgroupIdSync, root: &Path, events: &mpsc::Receiver<Event>, rescan: Duration) {
    let mut next_look = Instant::now() + rescan;
    loop {
        match events.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
            Ok(Event::Made(path)) => {
                members.visit(&path, &mut |_| ());
                next_look = next_look.min(Instant::now() + SETTLE);
            }
            Ok(Event::Removed(path)) => members.forget(&path),
            Ok(Event::Lost) => next_look = next_look.min(Instant::now() + SETTLE),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                members.reconcile(root);
                next_look = Instant::now() + rescan;
            }
            Ok(Event::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The map and what it has been told.
#[derive(Debug)]
struct CgroupIdSync {
    map: Map,
    kind: CgroupIdMapKind,
    regexps: Vec<Regex>,
    /// Matching cgroups: path and id.
    written: BTreeMap<PathBuf, u64>,
    stats: Arc<Mutex<KeeperStats>>,
    /// One line in the log is enough; the counter has the rest.
    warned: bool,
}

impl CgroupIdSync {
    /// Makes the map agree with the tree.
    fn reconcile(&mut self, root: &Path) {
        let mut present = BTreeMap::new();
        self.visit(root, &mut |(path, id)| {
            present.insert(path, id);
        });
        let removed: Vec<PathBuf> = self
            .written
            .iter()
            .filter(|(path, id)| present.get(*path) != Some(id))
            .map(|(path, _)| path.clone())
            .collect();
        for path in removed {
            self.remove(&path);
        }
    }

    /// Tells the map about every matching cgroup at and below `directory`, and `found` about each.
    fn visit(&mut self, directory: &Path, found: &mut dyn FnMut((PathBuf, u64))) {
        // Cgroups go away while we look: no error.
        let Ok(metadata) = fs::symlink_metadata(directory) else {
            return;
        };
        if !metadata.is_dir() {
            return;
        }
        let text = directory.to_string_lossy();
        if self.regexps.iter().any(|regexp| regexp.is_match(&text)) {
            self.add(directory, metadata.ino());
            found((directory.to_owned(), metadata.ino()));
        }
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.visit(&entry.path(), found);
            }
        }
    }

    fn add(&mut self, path: &Path, id: u64) {
        match self.written.get(path).copied() {
            Some(known) if known == id => return,
            // Removed and made again under the same name.
            Some(_) => self.remove(path),
            None => {}
        }
        let one = 1_u64.to_ne_bytes();
        let result = match self.kind {
            CgroupIdMapKind::Hash => self.map.update(&id.to_ne_bytes(), &one),
            CgroupIdMapKind::CgrpStorage => fs::File::open(path)
                .and_then(|directory| self.map.update(&directory.as_raw_fd().to_ne_bytes(), &one)),
        };
        match result {
            Ok(()) => {
                self.written.insert(path.to_owned(), id);
                self.stats.lock().matching = self.written.len();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.complain(path, &error),
        }
    }

    /// Removes `path` and everything below it.
    fn forget(&mut self, path: &Path) {
        let below: Vec<PathBuf> = self
            .written
            .range(path.to_owned()..)
            .take_while(|(written, _)| written.starts_with(path))
            .map(|(written, _)| written.clone())
            .collect();
        for path in below {
            // Made again meanwhile, perhaps: then the event for that is on its way.
            self.remove(&path);
        }
    }

    fn remove(&mut self, path: &Path) {
        let Some(id) = self.written.remove(path) else {
            return;
        };
        self.stats.lock().matching = self.written.len();
        // The kernel frees a cgroup's local storage itself.
        if self.kind == CgroupIdMapKind::Hash
            && let Err(error) = self.map.delete(&id.to_ne_bytes())
        {
            self.complain(path, &error);
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        self.stats.lock().errors += 1;
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                map = self.map.info().name,
                max_entries = self.map.info().max_entries,
                cgroup = %path.display(),
                %error,
                "cannot tell the map about a cgroup: raise max_entries or narrow the regexps if it is full"
            );
        }
    }
}
