//! Paths of cgroups by id, and what is remembered of them.
//!
//! A path once known stays known for ten minutes after its cgroup is gone, because what a cgroup
//! did is often read after its end. An id is never given to another cgroup and a cgroup2 directory
//! can't be renamed, so a known path is right for as long as it is kept, and an id that a walk
//! begun after the question didn't find belongs to a cgroup that is gone for good.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{info, warn};

use super::allowance::{OncePerScrape, Scrape};
use super::cgroup_tree::{CgroupTree, MountedTree, Resolution};

const KEPT_AFTER_REMOVAL: Duration = Duration::from_secs(600);
/// How often it is checked which of the known cgroups are still there.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Paths remembered. Beyond that an id is still resolved by handle, each time anew.
const MAX_KNOWN: usize = 65_536;
/// Ids remembered as gone, for 8 bytes each. Beyond that all are forgotten, which costs one more
/// walk.
const MAX_ABSENT: usize = 65_536;

#[derive(Debug)]
pub(super) struct Cgroups<T = MountedTree> {
    tree: Option<T>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<u64, Known>,
    /// The kernel refused to open a handle. Privilege doesn't come back, so from then on the tree
    /// is walked.
    walking: bool,
    walked: OncePerScrape,
    /// Ids that a walk did not find.
    absent: HashSet<u64>,
    checked_at: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    path: String,
    seen_at: Instant,
}

// === impl Cgroups ===

impl Cgroups {
    pub(super) fn open() -> Self {
        let tree = match MountedTree::find() {
            Ok(Some(tree)) => Some(tree),
            Ok(None) => {
                info!("no cgroup2 file system is mounted; ids of cgroups stay without paths");
                None
            }
            Err(error) => {
                warn!("cannot open the cgroup2 mount: {error}; ids of cgroups stay without paths");
                None
            }
        };
        Self::on(tree)
    }
}

impl<T: CgroupTree> Cgroups<T> {
    fn on(tree: Option<T>) -> Self {
        Self {
            tree,
            state: Mutex::default(),
        }
    }

    pub(super) fn paths(&self, ids: &[u64], scrape: Scrape, now: Instant) -> Vec<Option<String>> {
        let Some(tree) = &self.tree else {
            return vec![None; ids.len()];
        };
        let mut state = self.state.lock();
        let mut paths: Vec<_> = ids
            .iter()
            .map(|id| state.known_or_opened(tree, *id, now))
            .collect();
        if state.walking {
            state.walk_for(tree, ids, scrape, now);
            for (id, path) in ids.iter().zip(&mut paths) {
                if path.is_none() {
                    *path = state.known(*id);
                }
            }
        }
        paths
    }

    /// Forgets what has been gone for ten minutes. Called at each scrape, does something once a
    /// minute.
    pub(super) fn check(&self, scrape: Scrape, now: Instant) {
        let Some(tree) = &self.tree else {
            return;
        };
        let mut state = self.state.lock();
        let checked_at = *state.checked_at.get_or_insert(now);
        if state.known.is_empty() || now.saturating_duration_since(checked_at) < CHECK_EVERY {
            return;
        }
        state.checked_at = Some(now);
        state.check(tree, scrape, now);
    }
}

// === impl State ===

impl State {
    fn known(&self, id: u64) -> Option<String> {
        self.known.get(&id).map(|known| known.path.clone())
    }

    fn known_or_opened<T: CgroupTree>(
        &mut self,
        tree: &T,
        id: u64,
        now: Instant,
    ) -> Option<String> {
        if let Some(path) = self.known(id) {
            return Some(path);
        }
        if self.walking {
            return None;
        }
        match tree.resolve(id) {
            Resolution::Path(path) => {
                let path = text(&path);
                self.remember(id, &path, now);
                Some(path)
            }
            Resolution::Absent => None,
            Resolution::Forbidden => {
                self.start_walking();
                None
            }
        }
    }

    fn start_walking(&mut self) {
        info!(
            "paths of cgroups are found by walking the cgroup2 tree, at most once per scrape: opening a cgroup by its id needs \
             CAP_DAC_READ_SEARCH"
        );
        self.walking = true;
    }

    fn walk_for<T: CgroupTree>(&mut self, tree: &T, ids: &[u64], scrape: Scrape, now: Instant) {
        let open = |id: &&u64| !self.known.contains_key(id) && !self.absent.contains(id);
        if ids.iter().find(open).is_none() || !self.walked.take(scrape) {
            return;
        }
        self.walk(tree, now);
        for id in ids {
            if !self.known.contains_key(id) {
                if self.absent.len() >= MAX_ABSENT {
                    self.absent.clear();
                }
                self.absent.insert(*id);
            }
        }
    }

    fn walk<T: CgroupTree>(&mut self, tree: &T, now: Instant) {
        tree.walk(&mut |id, path| match self.known.get_mut(&id) {
            Some(known) => known.seen_at = now,
            None => self.remember(id, &text(path), now),
        });
    }

    fn remember(&mut self, id: u64, path: &str, now: Instant) {
        if self.known.len() < MAX_KNOWN {
            let known = Known {
                path: path.to_owned(),
                seen_at: now,
            };
            self.known.insert(id, known);
        }
    }

    fn check<T: CgroupTree>(&mut self, tree: &T, scrape: Scrape, now: Instant) {
        if !self.walking {
            let mut forbidden = false;
            for (id, known) in &mut self.known {
                match tree.resolve(*id) {
                    Resolution::Path(_) => known.seen_at = now,
                    Resolution::Absent => {}
                    Resolution::Forbidden => {
                        forbidden = true;
                        break;
                    }
                }
            }
            if forbidden {
                self.start_walking();
            }
        }
        if self.walking && self.walked.take(scrape) {
            self.walk(tree, now);
        }
        self.known
            .retain(|_, known| now.saturating_duration_since(known.seen_at) < KEPT_AFTER_REMOVAL);
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::{CgroupTree, Cgroups, MAX_KNOWN, Resolution};

    /// A tree in memory that counts how it is asked.
    #[derive(Default)]
    struct Fake {
        cgroups: RefCell<BTreeMap<u64, PathBuf>>,
        forbidden: Cell<bool>,
        resolved: Cell<usize>,
        walked: Cell<usize>,
    }

    impl CgroupTree for &Fake {
        fn resolve(&self, id: u64) -> Resolution {
            self.resolved.set(self.resolved.get() + 1);
            if self.forbidden.get() {
                return Resolution::Forbidden;
            }
            match self.cgroups.borrow().get(&id) {
                Some(path) => Resolution::Path(path.clone()),
                None => Resolution::Absent,
            }
        }

        fn walk(&self, visit: &mut dyn FnMut(u64, &Path)) {
            self.walked.set(self.walked.get() + 1);
            for (id, path) in self.cgroups.borrow().iter() {
                visit(*id, path);
            }
        }
    }

    fn fake(cgroups: &[(u64, &str)]) -> Fake {
        let fake = Fake::default();
        for (id, path) in cgroups {
            fake.cgroups.borrow_mut().insert(*id, PathBuf::from(path));
        }
        fake
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn a_path_is_kept_for_ten_minutes_after_removal() {
        for forbidden in [false, true] {
            let tree = fake(&[(7, "/cg/a")]);
            tree.forbidden.set(forbidden);
            let cgroups = Cgroups::on(Some(&tree));
            let start = Instant::now();
            let ask = |scrape, at: Instant| {
                cgroups.check(scrape, at);
                cgroups.paths(&[7], scrape, at).remove(0)
            };
            // Alive for an hour, asked at its start and end only: still known as it was checked in
            // between.
            assert_eq!(ask(0, start).as_deref(), Some("/cg/a"));
            let removed_at = start + minutes(60);
            cgroups.check(1, removed_at);
            tree.cgroups.borrow_mut().clear();
            assert_eq!(ask(2, removed_at + minutes(9)).as_deref(), Some("/cg/a"));
            assert_eq!(
                ask(3, removed_at + minutes(10)),
                None,
                "forbidden: {forbidden}"
            );
        }
    }

    #[test]
    fn a_known_id_costs_no_system_call() {
        let tree = fake(&[(7, "/cg/a")]);
        let cgroups = Cgroups::on(Some(&tree));
        let now = Instant::now();
        for scrape in 0..5 {
            assert_eq!(cgroups.paths(&[7, 7], scrape, now).len(), 2);
        }
        assert_eq!(tree.resolved.get(), 1);
        assert_eq!(tree.walked.get(), 0);
    }

    #[test]
    fn walking_happens_once_per_scrape() {
        let tree = fake(&[(7, "/cg/a")]);
        tree.forbidden.set(true);
        let cgroups = Cgroups::on(Some(&tree));
        let now = Instant::now();
        assert_eq!(
            cgroups.paths(&[7, 8, 9], 0, now),
            [Some("/cg/a".to_owned()), None, None]
        );
        assert_eq!(tree.walked.get(), 1);
        tree.cgroups.borrow_mut().insert(10, PathBuf::from("/cg/b"));
        assert_eq!(cgroups.paths(&[10], 0, now), [None]);
        assert_eq!(cgroups.paths(&[10], 1, now), [Some("/cg/b".to_owned())]);
        assert_eq!((tree.walked.get(), tree.resolved.get()), (2, 1));
    }

    #[test]
    fn an_id_that_a_walk_did_not_find_causes_no_other() {
        let tree = fake(&[(7, "/cg/a")]);
        tree.forbidden.set(true);
        let cgroups = Cgroups::on(Some(&tree));
        let now = Instant::now();
        for scrape in 0..5 {
            assert_eq!(cgroups.paths(&[8, 9], scrape, now), [None, None]);
        }
        assert_eq!(tree.walked.get(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_rest_still_answered() {
        let tree = Fake::default();
        let last = u64::try_from(MAX_KNOWN).unwrap() + 1;
        for id in 1..=last {
            tree.cgroups.borrow_mut().insert(id, PathBuf::from("/cg/x"));
        }
        let cgroups = Cgroups::on(Some(&tree));
        let ids: Vec<u64> = (1..=last).collect();
        let answers = cgroups.paths(&ids, 0, Instant::now());
        assert!(answers.iter().all(Option::is_some));
        assert_eq!(cgroups.state.lock().known.len(), MAX_KNOWN);
    }

    #[test]
    fn without_cgroup2_every_answer_is_none() {
        let cgroups: Cgroups<&Fake> = Cgroups::on(None);
        assert_eq!(cgroups.paths(&[1, 2], 0, Instant::now()), [None, None]);
    }
}
