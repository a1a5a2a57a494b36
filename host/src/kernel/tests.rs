//! The facts of the kernel this test runs on. Tests that need root end in `_root` and say so where
//! they can't run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

use caps::{CapSet, Capability};

use super::{KernelFacts, cgroup2_mount};

fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

fn has(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap()
}

/// Runs `work` in a thread that has no capabilities.
fn without_capabilities<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                caps::clear(None, CapSet::Effective).unwrap();
                caps::clear(None, CapSet::Permitted).unwrap();
                assert!(!has(Capability::CAP_DAC_READ_SEARCH));
                work()
            })
            .join()
            .unwrap()
    })
}

/// A cgroup of the test's own, removed at its end.
struct OwnCgroup(PathBuf);

impl OwnCgroup {
    fn new(name: &str) -> Option<Self> {
        let mount = cgroup2_mount().ok()??;
        let path = mount.join(format!("exporter-host-{name}-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }

    fn text(&self) -> Option<String> {
        Some(self.0.to_str().unwrap().to_owned())
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_real_symbol_resolves_also_after_privilege_was_dropped_root() {
    if !has(Capability::CAP_SYSLOG) {
        return skipped("addresses of symbols need CAP_SYSLOG");
    }
    let facts = KernelFacts::open();
    let address = facts.addresses_of(&["vfs_read"]).unwrap()[0].unwrap();
    assert_ne!(address, 0);
    without_capabilities(|| {
        // First read of the table, through the handle from before.
        let symbols = facts.symbols(&[address, address + 5, 0]);
        let [Some(exact), Some(inside), None] = symbols.as_slice() else {
            panic!("{symbols:?}");
        };
        assert_eq!((exact.name.as_str(), exact.offset), ("vfs_read", 0));
        assert_eq!((inside.name.as_str(), inside.offset), ("vfs_read", 5));
        // And again.
        assert_eq!(facts.addresses_of(&["vfs_read"]).unwrap(), [Some(address)]);
    });
}

#[test]
fn a_handle_opened_without_privilege_answers_nothing_root() {
    let open = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
        .is_ok_and(|level| level.trim().parse().is_ok_and(|level: i32| level <= 1));
    if open {
        return skipped("perf_event_paranoid below 2 shows symbols to everyone");
    }
    let facts = without_capabilities(KernelFacts::open);
    assert_eq!(facts.addresses_of(&["vfs_read"]).unwrap(), [Some(0)]);
    assert_eq!(facts.symbols(&[0xffff_ffff_8100_0000]), [None]);
}

#[test]
fn a_cgroup_resolves_by_handle_and_is_known_after_its_end_root() {
    let facts = KernelFacts::open();
    let Some(cgroup) = OwnCgroup::new("handle") else {
        return skipped("needs a cgroup2 mount to make a cgroup in");
    };
    if !has(Capability::CAP_DAC_READ_SEARCH) {
        return skipped("opening by handle needs CAP_DAC_READ_SEARCH");
    }
    let (id, path) = (cgroup.id(), cgroup.text());
    assert_eq!(facts.cgroup_paths(&[id])[0], path);
    let root = fs::metadata(cgroup2_mount().unwrap().unwrap())
        .unwrap()
        .ino();
    assert_eq!(
        facts.cgroup_paths(&[root])[0].as_deref(),
        cgroup2_mount().unwrap().unwrap().to_str()
    );
    // A file of the cgroup file system has an id as well, and is no cgroup.
    let file = fs::metadata(cgroup.0.join("cgroup.procs")).unwrap().ino();
    assert_eq!(facts.cgroup_paths(&[file, 0, u64::MAX]), [None, None, None]);
    let fresh = KernelFacts::open();
    drop(cgroup);
    assert_eq!(facts.cgroup_paths(&[id]), [path]);
    assert_eq!(
        fresh.cgroup_paths(&[id]),
        [None],
        "gone before it was asked for"
    );
}

#[test]
fn a_cgroup_resolves_by_walking_without_privilege_root() {
    let facts = KernelFacts::open();
    let Some(cgroup) = OwnCgroup::new("walk") else {
        return skipped("needs a cgroup2 mount to make a cgroup in");
    };
    let root = cgroup2_mount().unwrap();
    let root = root.as_deref().and_then(|path| path.to_str());
    let first = without_capabilities(|| facts.cgroup_paths(&[cgroup.id(), u64::MAX, 1]));
    assert_eq!(first, [cgroup.text(), None, root.map(str::to_owned)]);
    let later = OwnCgroup::new("walk-later").unwrap();
    // Once walking, always walking: with the privilege that this thread has the handle would have
    // opened.
    assert_eq!(
        facts.cgroup_paths(&[later.id()]),
        [None],
        "one walk per scrape"
    );
    facts.begin_scrape();
    assert_eq!(facts.cgroup_paths(&[later.id()]), [later.text()]);
}

#[test]
fn block_devices_and_interfaces_of_this_machine() {
    let facts = KernelFacts::open();
    let partitions = fs::read_to_string("/proc/partitions").unwrap();
    let Some(line) = partitions.lines().nth(2) else {
        return skipped("this machine has no block device");
    };
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (major, minor): (u32, u32) = (columns[0].parse().unwrap(), columns[1].parse().unwrap());
    assert_eq!(
        facts.block_devices(&[major << 20 | minor]),
        [Some(columns[3].to_owned())]
    );
    assert_eq!(
        facts.interface_names(&[1, u32::MAX]),
        [Some("lo".to_owned()), None]
    );
}

#[test]
fn facts_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<KernelFacts>();
}
