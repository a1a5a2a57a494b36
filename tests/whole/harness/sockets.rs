//! The sockets of a process.

use std::collections::BTreeMap;
use std::fs;

/// What each open socket of a process is, as far as its network namespace lists it: `tcp listen`,
/// `unix seqpacket`, `netlink`.
pub(crate) fn of(pid: u32) -> Vec<String> {
    let known = known(pid);
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let inodes = links.filter_map(|link| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse::<u64>().ok()
    });
    inodes
        .map(|inode| {
            let kind = known.get(&inode).cloned();
            kind.unwrap_or_else(|| format!("unlisted {inode}"))
        })
        .collect()
}

/// All sockets of the process' namespace by inode.
fn known(pid: u32) -> BTreeMap<u64, String> {
    let mut known = BTreeMap::new();
    let mut add = |file: &str, column: usize, kind: &dyn Fn(&[&str]) -> String| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let Some(inode) = fields.get(column).and_then(|inode| inode.parse().ok()) {
                known.insert(inode, kind(&fields));
            }
        }
    };
    for file in ["tcp", "tcp6"] {
        add(file, 9, &|fields| match fields[3] {
            "0A" => "tcp listen".to_owned(),
            state => format!("tcp {state}"),
        });
    }
    for file in ["udp", "udp6", "raw", "raw6", "icmp", "icmp6"] {
        add(file, 9, &|_| file.to_owned());
    }
    add("packet", 8, &|_| "packet".to_owned());
    add("netlink", 9, &|_| "netlink".to_owned());
    // Num RefCount Protocol Flags Type St Inode Path
    add("unix", 6, &|fields| match (fields[4], fields[3]) {
        ("0005", _) => "unix seqpacket".to_owned(),
        ("0002", _) => "unix datagram".to_owned(),
        // Flags: it listens.
        ("0001", "00010000") => "unix listen".to_owned(),
        (kind, _) => format!("unix {kind}"),
    });
    known
}
