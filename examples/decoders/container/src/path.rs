//! How container runtimes and the kubelet call their cgroups.
//!
//! With systemd as the cgroup driver: `…-pod<uid with _>.slice/<prefix>-<id>.scope`; with cgroupfs:
//! `…/pod<uid>/<id>`. Sources: the naming code of runc (libcontainer/cgroups/systemd), kubelet
//! (pkg/kubelet/cm), cri-o, podman (libpod) and moby.

/// A container's id and who runs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    pub(crate) id: &'a str,
    /// None: the path does not say.
    pub(crate) runtime: Option<&'static str>,
}

/// Prefixes of a container's cgroup. `…-conmon` is the monitor, which is not in the container.
const PREFIXES: [(&str, &str); 5] = [
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
];

/// Directories right above containers with bare ids.
const PARENTS: [(&str, &str); 2] = [("docker", "docker"), ("libpod_parent", "podman")];

impl<'a> Container<'a> {
    /// The innermost container on the path: what runs inside may have cgroups of its own, and nodes
    /// may be containers themselves.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let mut parts = path.rsplit('/').peekable();
        while let Some(part) = parts.next() {
            if let Some(container) = Self::of_part(part, parts.peek().copied().unwrap_or_default())
            {
                return Some(container);
            }
        }
        None
    }

    fn of_part(part: &'a str, parent: &str) -> Option<Self> {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        if is_container_id(part) {
            return Some(Self {
                id: part,
                runtime: known(&PARENTS, parent),
            });
        }
        // systemd's notation reaches cgroupfs where the runtime's and the kubelet's drivers differ:
        // slice:prefix:id.
        let (prefix, id) = part.rsplit_once([':', '-'])?;
        let prefix = prefix.rsplit(':').next().unwrap_or(prefix);
        let runtime = known(&PREFIXES, prefix)?;
        is_container_id(id).then_some(Self {
            id,
            runtime: Some(runtime),
        })
    }
}

/// The innermost pod's uid, with dashes. A static pod's is 32 digits without any, a pod of podman
/// has an id as containers do.
pub(crate) fn pod_of(path: &str) -> Option<String> {
    path.rsplit('/').find_map(|part| {
        // slice:prefix:id
        let part = part.split(':').next().unwrap_or(part);
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let (_, uid) = part.rsplit_once("pod")?;
        let uid = uid.strip_prefix('_').unwrap_or(uid).replace('_', "-");
        (is_uuid(&uid) || is_hex(&uid, 32) || is_container_id(&uid)).then_some(uid)
    })
}

fn known(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, runtime)| *runtime)
}

fn is_container_id(text: &str) -> bool {
    is_hex(text, 64)
}

/// 8-4-4-4-12
fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    [8, 4, 4, 4, 12]
        .iter()
        .all(|length| groups.next().is_some_and(|group| is_hex(group, *length)))
        && groups.next().is_none()
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5c7b8b4b3e6d8c1d2a0f4e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8";
    const OUTER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const POD: &str = "0a6f3c1e-7d1b-4b8e-9c55-4f1d2f3a4b5c";
    const SLICE: &str = "0a6f3c1e_7d1b_4b8e_9c55_4f1d2f3a4b5c";
    /// Of a static pod: a hash of its manifest.
    const STATIC: &str = "00112233445566778899aabbccddeeff";

    /// Runtime, id, pod; `-` for none.
    fn parts(path: &str) -> String {
        let path = path
            .replace("ID", ID)
            .replace("OUTER", OUTER)
            .replace("POD", POD)
            .replace("SLICE", SLICE)
            .replace("STATIC", STATIC);
        let path = format!("/sys/fs/cgroup{path}");
        let container = Container::of(&path);
        let runtime = container.as_ref().and_then(|container| container.runtime);
        let id = match container.map(|container| container.id) {
            Some(ID) => "id",
            Some(OUTER) => "outer",
            Some(other) => panic!("{other}"),
            None => "-",
        };
        let pod = match pod_of(&path).as_deref() {
            Some(POD) => "pod",
            Some(STATIC) => "static",
            Some(OUTER) => "outer",
            Some(other) => panic!("{other}"),
            None => "-",
        };
        format!("{} {id} {pod}", runtime.unwrap_or("-"))
    }

    #[test]
    fn layouts_of_systemd() {
        for (path, wanted) in [
            ("/system.slice/docker-ID.scope", "docker id -"),
            (
                "/kubepods.slice/kubepods-podSLICE.slice/cri-containerd-ID.scope",
                "containerd id pod",
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podSLICE.slice/crio-ID.scope",
                "cri-o id pod",
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podSLICE.slice/crio-ID.scope/container",
                "cri-o id pod",
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/docker-ID.scope",
                "docker id static",
            ),
            ("/machine.slice/libpod-ID.scope/container", "podman id -"),
            (
                "/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope/container",
                "podman id outer",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                "podman id -",
            ),
            ("/system.slice/nerdctl-ID.scope", "containerd id -"),
        ] {
            assert_eq!(parts(path), wanted, "{path}");
        }
    }

    #[test]
    fn layouts_of_cgroupfs() {
        for (path, wanted) in [
            ("/docker/ID", "docker id -"),
            ("/docker/ID/system.slice/nginx.service", "docker id -"),
            ("/kubepods/podPOD/ID", "- id pod"),
            ("/kubepods/burstable/podPOD/ID", "- id pod"),
            ("/kubepods/besteffort/podPOD/crio-ID", "cri-o id pod"),
            ("/libpod_parent/libpod-ID", "podman id -"),
            (
                "/system.slice/containerd.service/kubepods-burstable-podSLICE.slice:cri-containerd:ID",
                "containerd id pod",
            ),
        ] {
            assert_eq!(parts(path), wanted, "{path}");
        }
    }

    #[test]
    fn the_innermost_one_counts() {
        let kind = "/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podSLICE.slice/cri-containerd-ID.scope";
        assert_eq!(parts(kind), "containerd id pod");
        assert_eq!(parts("/docker/OUTER/docker/ID"), "docker id -");
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "",
            "/",
            "/system.slice/ssh.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/system.slice/docker-5c7b8b4b3e6d.scope",
            "/user.slice/podium-x.slice",
            "/a-pod1234.slice",
            "/system.slice/cpod-backup.service",
        ] {
            assert_eq!(parts(path), "- - -", "{path}");
        }
        assert_eq!(parts("/kubepods.slice/kubepods-podSLICE.slice"), "- - pod");
    }
}
