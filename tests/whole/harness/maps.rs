//! The maps of a running host, opened by id: entries that a test writes are what a BPF program
//! would have left there.

use std::fs;
use std::os::fd::RawFd;

use libbpf_rs::{MapCore, MapFlags, MapHandle};

/// The kernel keeps this many characters of a map's name.
const NAME_LENGTH: usize = 15;

pub(crate) struct HostMap {
    map: MapHandle,
}

impl HostMap {
    /// The maps called `name` among those that the process holds open.
    pub(crate) fn of_process(pid: u32, name: &str) -> Vec<Self> {
        let cut = &name[..name.len().min(NAME_LENGTH)];
        map_ids(pid)
            .into_iter()
            .filter_map(|id| MapHandle::from_map_id(id).ok())
            .filter(|map| map.name() == cut)
            .map(|map| Self { map })
            .collect()
    }

    pub(crate) fn id(&self) -> u32 {
        self.map.info().unwrap().info.id
    }

    pub(crate) fn set(&self, key: &[u8], value: u64) {
        self.map
            .update(key, &value.to_ne_bytes(), MapFlags::ANY)
            .unwrap_or_else(|error| panic!("{:?} takes the key {key:?}: {error}", self.map.name()));
    }

    /// A value that is more than one number.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) {
        self.map.update(key, value, MapFlags::ANY).unwrap();
    }

    /// `value(cpu)` for each possible CPU.
    pub(crate) fn set_per_cpu(&self, key: &[u8], value: impl Fn(u64) -> u64) {
        let values: Vec<Vec<u8>> = (0..possible_cpus())
            .map(|cpu| value(cpu).to_ne_bytes().to_vec())
            .collect();
        self.map.update_percpu(key, &values, MapFlags::ANY).unwrap();
    }

    /// The same for values that are more than one number.
    pub(crate) fn put_per_cpu(&self, key: &[u8], values: &[Vec<u8>]) {
        self.map.update_percpu(key, values, MapFlags::ANY).unwrap();
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<u64> {
        let value = self.map.lookup(key, MapFlags::ANY).unwrap()?;
        Some(u64::from_ne_bytes(value.try_into().unwrap()))
    }

    /// The value that a storage map has for the cgroup behind this descriptor.
    pub(crate) fn get_by_descriptor(&self, descriptor: RawFd) -> Option<u64> {
        self.get(&descriptor.to_ne_bytes())
    }

    pub(crate) fn delete(&self, key: &[u8]) {
        self.map.delete(key).unwrap();
    }

    /// All entries of a map of numbers by number.
    pub(crate) fn entries(&self) -> Vec<(u32, u64)> {
        let entries = self.map.keys().filter_map(|key| {
            let value = self.get(&key)?;
            Some((u32::from_ne_bytes(key.try_into().unwrap()), value))
        });
        entries.collect()
    }

    pub(crate) fn set_many(&self, entries: impl Iterator<Item = (u32, u64)>) {
        let (mut keys, mut values, mut count) = (Vec::new(), Vec::new(), 0);
        for (key, value) in entries {
            keys.extend(key.to_ne_bytes());
            values.extend(value.to_ne_bytes());
            count += 1;
        }
        self.map
            .update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
            .unwrap();
    }
}

fn map_ids(pid: u32) -> Vec<u32> {
    let mut ids: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|info| {
            info.lines()
                .find_map(|l| l.strip_prefix("map_id:")?.trim().parse().ok())
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

pub(crate) fn possible_cpus() -> u64 {
    u64::try_from(libbpf_rs::num_possible_cpus().unwrap()).unwrap()
}

/// A u32 as a key.
pub(crate) fn number(value: u32) -> [u8; 4] {
    value.to_ne_bytes()
}

/// Two u32 as a key.
pub(crate) fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&first.to_ne_bytes());
    key[4..].copy_from_slice(&second.to_ne_bytes());
    key
}
