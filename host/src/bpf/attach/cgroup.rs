//! `SEC("cgroup_skb/ingress")` and the like: attached to the root of the cgroup (v2) tree, so that
//! they see all of this machine's cgroups.

use std::fs::File;
use std::os::fd::AsRawFd;

use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;

use crate::kernel::cgroup2_mount;

/// Whether programs of this type are attached to a cgroup.
pub(super) fn takes(kind: ProgramType) -> bool {
    matches!(
        kind,
        ProgramType::CgroupSkb
            | ProgramType::CgroupSock
            | ProgramType::CgroupSockAddr
            | ProgramType::CgroupSockopt
            | ProgramType::CgroupSysctl
            | ProgramType::CgroupDevice
            | ProgramType::SockOps
    )
}

pub(super) fn attach(section: &str, program: &ProgramMut<'_>) -> Result<Link, String> {
    let root = cgroup2_mount()
        .map_err(|error| format!("cannot look for the cgroup (v2) file system: {error}"))?
        .ok_or("no cgroup (v2) file system is mounted, to whose root it would be attached")?;
    let directory =
        File::open(&root).map_err(|error| format!("cannot open {}: {error}", root.display()))?;
    // The link holds the cgroup; the descriptor is not needed any longer.
    super::by_libbpf(section, || program.attach_cgroup(directory.as_raw_fd()))
}
