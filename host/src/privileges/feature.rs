//! What became of each part of the hardening: for the log, the status page and
//! `exporter_host_hardening`.

use serde::{Deserialize, Deserializer, Serialize, de};

/// Every feature there is. One that comes over a socket has to be among them: its name becomes a
/// label's value.
const NAMES: [&str; 7] = [
    "capabilities",
    "unprivileged_user",
    "no_new_privs",
    "landlock",
    "seccomp",
    "server_capabilities",
    "split",
];

/// One part of the hardening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Feature {
    /// The value of the label `feature`.
    pub(crate) name: &'static str,
    pub(crate) active: bool,
    /// What is in force, or why nothing is.
    pub(crate) detail: String,
    /// Wanted and not to be had: a warning, not a remark.
    pub(crate) failed: bool,
}

/// A feature as another process has it.
#[derive(Deserialize)]
struct Received {
    name: String,
    active: bool,
    detail: String,
    failed: bool,
}

/// The features of both halves as one list. What both have is active only where it is active in
/// both, and its detail says both; what only one of them has is taken as it is. `split` comes last.
pub(crate) fn combined(loader: &[Feature], server: &[Feature], split: Feature) -> Vec<Feature> {
    let other = |features: &[Feature], name| -> Option<Feature> {
        features.iter().find(|one| one.name == name).cloned()
    };
    let of_loader = loader.iter().map(|ours| match other(server, ours.name) {
        Some(theirs) => ours.clone().and(theirs),
        None => ours.clone(),
    });
    let of_server = server
        .iter()
        .filter(|theirs| other(loader, theirs.name).is_none())
        .cloned();
    let split = match parted(loader, server) {
        Ok(()) => split,
        Err(why) if split.active => Feature::off(split.name, format!("partial: {why}")),
        Err(_) => split,
    };
    of_loader.chain(of_server).chain([split]).collect()
}

/// Whether what is the loader's is closed to the server. `Err`: why not.
fn parted(loader: &[Feature], server: &[Feature]) -> Result<(), String> {
    let of = |features: &[Feature], name| features.iter().find(|one| one.name == name).cloned();
    let user = |features| of(features, "unprivileged_user");
    let landlock = of(server, "landlock");
    let (Some(own), Some(servers), Some(landlock)) = (user(loader), user(server), landlock) else {
        return Ok(());
    };
    let same = match (own.active, servers.active) {
        (true, true) => own.detail == servers.detail,
        (own, servers) => own == servers,
    };
    if !same || landlock.active {
        return Ok(());
    }
    Err(format!(
        "both processes have the same user, and there is no landlock, so that the files of one are open to the other (landlock: {})",
        landlock.detail
    ))
}

// === impl Feature ===

impl Feature {
    pub(crate) fn on(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            active: true,
            detail: detail.into(),
            failed: false,
        }
    }

    /// The operator's choice.
    pub(crate) fn off(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            active: false,
            ..Self::on(name, detail)
        }
    }

    pub(crate) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            failed: true,
            ..Self::off(name, detail)
        }
    }

    /// The same feature of the loader, which this is, and of the server.
    fn and(self, server: Self) -> Self {
        let detail = if self.detail == server.detail {
            self.detail
        } else {
            format!("loader: {}; server: {}", self.detail, server.detail)
        };
        Self {
            name: self.name,
            active: self.active && server.active,
            detail,
            failed: self.failed || server.failed,
        }
    }

    pub(crate) fn log(&self) {
        let Self {
            name,
            active,
            detail,
            failed,
        } = self;
        if *failed {
            tracing::warn!(feature = name, active, "hardening: {detail}");
        } else {
            tracing::info!(feature = name, active, "hardening: {detail}");
        }
    }
}

/// Not derived, as that would borrow the name from what is read for ever.
impl<'de> Deserialize<'de> for Feature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Received {
            name,
            active,
            detail,
            failed,
        } = Received::deserialize(deserializer)?;
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            return Err(de::Error::unknown_variant(&name, &NAMES));
        };
        Ok(Self {
            name,
            active,
            detail,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_is_what_both_halves_have() {
        let loader = [
            Feature::on("capabilities", "held: CAP_BPF"),
            Feature::on("landlock", "written only /a"),
            Feature::off("seccomp", "off by --hardening.seccomp"),
        ];
        let server = [
            Feature::on("server_capabilities", "none held"),
            Feature::failed("landlock", "the kernel has none"),
            Feature::off("seccomp", "off by --hardening.seccomp"),
        ];
        let split = Feature::on("split", "two processes");
        assert_eq!(
            combined(&loader, &server, split.clone()),
            [
                loader[0].clone(),
                Feature::failed(
                    "landlock",
                    "loader: written only /a; server: the kernel has none"
                ),
                loader[2].clone(),
                server[0].clone(),
                split,
            ]
        );
    }

    #[test]
    fn two_processes_of_one_user_are_parted_by_landlock_alone() {
        let split = Feature::on("split", "two processes");
        let user = |user: &str| Feature::on("unprivileged_user", user);
        let root = Feature::off("unprivileged_user", "root");
        let reported = |loader: &Feature, server: &Feature, landlock: bool| {
            let landlock = if landlock {
                Feature::on("landlock", "all")
            } else {
                Feature::off("landlock", "off")
            };
            let server = [server.clone(), landlock];
            let all = combined(std::slice::from_ref(loader), &server, split.clone());
            all.last().cloned().unwrap()
        };
        for (loader, server) in [(user("5"), user("5")), (root.clone(), root.clone())] {
            assert_eq!(reported(&loader, &server, true), split);
            let partial = reported(&loader, &server, false);
            assert!(!partial.active && !partial.failed);
            assert!(partial.detail.starts_with("partial: "), "{partial:?}");
        }
        assert_eq!(reported(&user("5"), &user("6"), false), split);
        assert_eq!(reported(&root, &user("6"), false), split);
    }

    #[test]
    fn they_cross_a_socket_and_made_up_names_do_not() {
        let feature = Feature::failed("seccomp", "no filter");
        let text = serde_json::to_string(&feature).unwrap();
        assert_eq!(serde_json::from_str::<Feature>(&text).unwrap(), feature);
        let made_up = text.replace("seccomp", "x\\n");
        let error = serde_json::from_str::<Feature>(&made_up).unwrap_err();
        assert!(error.to_string().contains("`landlock`"), "{error}");
    }
}
