//! With cgroups of this test's own, in whichever tree this machine has.

use super::*;
use crate::bpf::testing;

/// A cgroup, removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(parent: &Path, name: &str) -> Self {
        let path = parent.join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn id(&self) -> [u8; 8] {
        fs::metadata(&self.0).unwrap().ino().to_ne_bytes()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

fn open(kind: CgroupIdMapKind, regexp: &str, map: Map) -> Result<CgroupIdKeeper, KeeperError> {
    CgroupIdKeeper::open(kind, &[Regex::new(regexp).unwrap()], map)
}

fn root() -> PathBuf {
    cgroup2_mount().unwrap().unwrap()
}

fn wait_until(mut fits: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !fits() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn cgroups_come_and_go_root() {
    let name = format!("exporter-test-{}", std::process::id());
    let before = Cgroup::new(&root(), &name);
    let map = testing::map(MapType::Hash, 8, 8, 64, 0);
    let mut keeper = open(
        CgroupIdMapKind::Hash,
        &format!("{name}(/in.*)?$"),
        map.try_clone().unwrap(),
    )
    .unwrap();
    keeper.run().unwrap();
    assert!(
        map.lookup(&before.id()).unwrap().is_some(),
        "not there from the start"
    );
    assert_eq!(keeper.stats().matching, 1);

    let inner = Cgroup::new(&before.0, "in");
    // Made right after its parent: perhaps before there is a watch on that.
    let innermost = Cgroup::new(&inner.0, "innermost");
    let sibling = Cgroup::new(&before.0, "outside");
    wait_until(|| keeper.stats().matching == 3, "new ones are not noticed");
    assert_eq!(
        map.lookup(&innermost.id()).unwrap().unwrap(),
        1_u64.to_ne_bytes()
    );
    assert!(map.lookup(&sibling.id()).unwrap().is_none());

    let removed_id = innermost.id();
    drop(innermost);
    wait_until(
        || map.lookup(&removed_id).unwrap().is_none(),
        "still there after removal",
    );
    assert_eq!(
        keeper.stats(),
        KeeperStats {
            matching: 2,
            errors: 0
        }
    );
    let started = Instant::now();
    drop(keeper);
    assert!(started.elapsed() < Duration::from_secs(1));
    drop((inner, sibling));
}

#[test]
fn a_full_map_is_counted_root() {
    let map = testing::map(MapType::Hash, 8, 8, 1, 0);
    let name = format!("exporter-full-{}", std::process::id());
    let outer = Cgroup::new(&root(), &name);
    let inner = Cgroup::new(&outer.0, "inner");
    let keeper = open(CgroupIdMapKind::Hash, &name, map).unwrap();
    assert_eq!(
        keeper.stats(),
        KeeperStats {
            matching: 1,
            errors: 1
        }
    );
    drop(inner);
}

#[test]
fn cgroup_storage_root() {
    let compiled = testing::compile(
        "struct { __uint(type, 32); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, u64); } cgroups SEC(\".maps\");\n\
         SEC(\"raw_tp/sys_enter\") int f(void *ctx) { return 0; }",
    );
    let object = crate::bpf::OpenObject::open(&compiled.path, &crate::bpf::OpenOptions::default())
        .unwrap()
        .load()
        .unwrap();
    let map = object.map("cgroups").unwrap();
    let name = format!("exporter-storage-{}", std::process::id());
    let cgroup = Cgroup::new(&root(), &name);
    let mut keeper = open(
        CgroupIdMapKind::CgrpStorage,
        &name,
        map.try_clone().unwrap(),
    )
    .unwrap();
    keeper.run().unwrap();
    assert_eq!(
        keeper.stats(),
        KeeperStats {
            matching: 1,
            errors: 0
        }
    );
    let directory = fs::File::open(&cgroup.0).unwrap();
    assert_eq!(
        map.lookup(&directory.as_raw_fd().to_ne_bytes())
            .unwrap()
            .unwrap(),
        1_u64.to_ne_bytes()
    );
    // And as the other kind it is refused.
    let error = open(CgroupIdMapKind::Hash, "x", map)
        .unwrap_err()
        .to_string();
    assert!(error.contains("needs a BPF_MAP_TYPE_HASH"), "{error}");
}

#[test]
fn sizes_are_checked_root() {
    for (key, value) in [(4, 8), (8, 4)] {
        let map = testing::map(MapType::Hash, key, value, 8, 0);
        let error = open(CgroupIdMapKind::Hash, "x", map)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("keys of {key} and values of {value} bytes")),
            "{error}"
        );
    }
}
